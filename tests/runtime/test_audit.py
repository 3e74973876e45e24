"""The audit finds what was done to a journal behind the lab's back, in real SQLite files."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import hexdag_lab as hx
from hexdag_lab.core.base.codec import dumps, loads
from hexdag_lab.core.base.errors import Refused, SchemaError, StoreUnavailable
from hexdag_lab.core.votes.ballot import choice_of
from hexdag_lab.lab.audit import audit, save_head
from hexdag_lab.ports import Value
from hexdag_lab.runtime import chain, wire
from hexdag_lab.runtime.audit import Report
from hexdag_lab.runtime.audit import audited as audit_of
from hexdag_lab.runtime.seal import Seal
from hexdag_lab.runtime.stores.memory import MemoryStore
from tests.runtime.kit import open_gate, pass_gate, until


def held(gate: str) -> int:
    pass_gate(gate)
    return 1


def more(held: int) -> int:
    return held + 1


def less(held: int) -> int:
    return held - 1


def wary(context: Any) -> Any:
    return hx.Ballot("approve" if "more" in context.proposal.changeset.added else "reject", "as I see it")


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a lab whose run "r" has ended: `more` was approved by two, `less` was rejected."""
    home = tmp_path_factory.mktemp("lab")
    store = f"sqlite:///{home}/lab.db"
    with hx.Lab(pool="inline", store=store, owner="dana", policy=hx.Supermajority(3 / 4)) as lab:
        lab.add_agent(hx.HumanAgent("dana"))
        lab.add_agent(hx.Agent("critic", trust=1.0, vote=wary))
        lab.add_agent(hx.Agent("writer", role="executor"))
        run = lab.start(hx.Dag.of(hx.NodeSpec("held", held, params={"gate": str(home / "gate")})), run_id="r")
        for fn in (more, less):
            p = run.propose(hx.Changeset.on(run.dag).add_node(hx.NodeSpec(fn.__name__, fn)), by="writer")
            if fn is more:
                p.vote("dana", "approve", "it is cheap")
            p.wait(30)
        open_gate(home / "gate")
        run.wait(30)
    return home


@pytest.fixture
def home(written: Path, tmp_path: Path) -> Path:
    """A copy of that lab, to be tampered with."""
    return Path(shutil.copytree(written, tmp_path / "lab"))


def sql(home: Path, *statements: tuple[Any, ...]) -> None:
    with closing(sqlite3.connect(home / "lab.db")) as db, db:
        for statement, *values in statements:
            db.execute(statement, values)


def rows(home: Path, stream: str = "run/r") -> dict[int, bytes]:
    with closing(sqlite3.connect(home / "lab.db")) as db:
        return dict(db.execute("SELECT seq, data FROM log WHERE stream = ? ORDER BY seq", (stream,)))


def place(home: Path, kind: str) -> int:
    """The first row that holds an event of a kind."""
    return next(seq for seq, data in rows(home).items() if loads(data).kind == kind)


def edit(home: Path, seq: int, change: Callable[[bytes], bytes], stream: str = "run/r") -> None:
    new = change(rows(home, stream)[seq])
    assert new != rows(home, stream)[seq]
    sql(home, ("UPDATE log SET data = ? WHERE stream = ? AND seq = ?", new, stream, seq))


def audited(home: Path, head: Path | None = None) -> Report:
    return audit(f"sqlite:///{home}/lab.db", "r", head)


def found(home: Path, head: Path | None = None) -> list[str]:
    return [str(finding) for finding in audited(home, head).findings]


def committed(home: Path, seq: int) -> chain.Link:
    """The commit that wrote a row."""
    links = [chain.unpack(data) for data in rows(home, "chain/r").values()]
    return next(link for link in links if link.after < seq <= link.seq)


def together(home: Path, seq: int) -> str:
    """How the rows of the commit that wrote a row are called."""
    link = committed(home, seq)
    return "it is" if link.seq - link.after == 1 else f"rows {link.after + 1}-{link.seq} are"


# -- as it was written


def test_a_journal_as_it_was_written_has_no_findings_and_says_who_approved_what(home: Path) -> None:
    report = audited(home)
    assert (report.findings, report.notes, report.chained) == ((), (), 1)
    assert report.rows == len(rows(home))
    assert report.links == len(rows(home, "chain/r"))
    said = [(v.proposal, v.who, v.said, v.via) for v in report.votes]
    assert said[:1] + sorted(said[1:3]) == [
        ("r/p1", "writer", "proposed", ""),
        ("r/p1", "critic", "approve", "rule"), ("r/p1", "dana", "approve", "notebook"),
    ]  # fmt: skip
    assert said[3:] == [("r/p2", "writer", "proposed", ""), ("r/p2", "critic", "reject", "rule")]
    assert report.outcomes == {
        "r/p1": ("+1 node", "APPLIED", "critic, dana", 2), "r/p2": ("+1 node", "REJECTED", "critic", None)
    }  # fmt: skip
    assert all(v.proof == f"signed {v.key[:12]}…" and v.counter for v in report.votes)
    assert len({v.key for v in report.votes}) == 3


def test_the_store_holds_no_secret(home: Path) -> None:
    data = b"".join((home / name).read_bytes() for name in ("lab.db", "lab.db-wal") if (home / name).exists())
    secrets = [path.read_text().strip() for path in (*(home / "keys").iterdir(), home / "key")]
    assert len(secrets) == 5
    for secret in secrets:
        assert secret.encode() not in data
        assert bytes.fromhex(secret) not in data


def test_a_run_that_is_not_there_is_named(home: Path) -> None:
    with pytest.raises(Refused, match="there is no run 'other' in this store"):
        audit(f"sqlite:///{home}/lab.db", "other")


# -- what was done to it


def test_an_edited_row_is_found(home: Path) -> None:
    seq = place(home, "NodeSucceeded")
    edit(home, seq, lambda data: data.replace(b'"seconds":', b'"seconds":9'))
    assert found(home) == [f"row {committed(home, seq).after + 1}: {together(home, seq)} not as written: changed, "
                           "swapped or inserted"]  # fmt: skip


def test_an_edited_ballot_is_found_by_the_chain_and_by_its_signature(home: Path) -> None:
    seq = next(seq for seq, data in rows(home).items() if b"it is cheap" in data)
    edit(home, seq, lambda data: data.replace(b'"reason":"it is cheap"', b'"reason":"I was paid"'))
    assert (
        f"row {seq}: the ballot of dana: the reason that was signed is 'it is cheap', and here it is 'I was paid'"
        in (found(home))
    )
    assert any("not as written" in text for text in found(home))


def test_a_ballot_whose_signed_text_was_edited_with_it_is_found(home: Path) -> None:
    seq = next(seq for seq, data in rows(home).items() if b"it is cheap" in data)
    edit(home, seq, lambda data: data.replace(b"it is cheap", b"I was paid"))
    assert f"row {seq}: the ballot of dana: the signature does not fit what it signs" in found(home)
    assert [v.proof for v in audited(home).votes if v.who == "dana"] == ["BAD"]


def test_a_removed_row_is_found(home: Path) -> None:
    seq = place(home, "ProposalApproved")
    sql(home, ("DELETE FROM log WHERE stream = 'run/r' AND seq = ?", seq))
    assert f"row {seq}: it is missing" in found(home)
    with hx.Lab(pool="inline", store=f"sqlite:///{home}/lab.db") as lab, pytest.raises(SchemaError, match="audit r"):
        lab.attach("r")


def test_a_removed_row_is_found_though_the_rest_was_moved_up(home: Path) -> None:
    seq = place(home, "BallotCast")
    sql(
        home,
        ("DELETE FROM log WHERE stream = 'run/r' AND seq = ?", seq),
        *[("UPDATE log SET seq = ? WHERE stream = 'run/r' AND seq = ?", n - 1, n) for n in rows(home) if n > seq],
    )
    assert f"row {seq}: it holds event {seq + 1}: rows were removed, inserted or swapped" in found(home)


def test_swapped_rows_are_found(home: Path) -> None:
    one, two = place(home, "ProposalOpened"), place(home, "BallotCast")
    data = rows(home)
    sql(home, *[("UPDATE log SET data = ? WHERE stream = 'run/r' AND seq = ?", data[a], b)
                for a, b in ((one, two), (two, one))])  # fmt: skip
    assert f"row {one}: it holds event {two}: rows were removed, inserted or swapped" in found(home)


def test_swapped_rows_are_found_though_their_numbers_were_put_right(home: Path) -> None:
    one = place(home, "ProposalOpened")
    data = {seq: json.loads(row) for seq, row in rows(home).items()}
    for here, there in ((one, one + 1), (one + 1, one)):
        row = json.dumps({**data[here], "seq": there}, separators=(",", ":")).encode()
        sql(home, ("UPDATE log SET data = ? WHERE stream = 'run/r' AND seq = ?", row, there))
    assert any("not as written: changed, swapped or inserted" in text for text in found(home))


def test_an_inserted_row_is_found(home: Path) -> None:
    seq, data = place(home, "BallotCast"), rows(home)
    sql(
        home,
        *[("UPDATE log SET seq = ? WHERE stream = 'run/r' AND seq = ?", n + 1, n) for n in sorted(data, reverse=True)
          if n > seq],
        ("INSERT INTO log VALUES ('run/r', ?, ?)", seq + 1, data[seq]),
    )  # fmt: skip
    assert f"row {seq + 1}: it holds event {seq}: rows were removed, inserted or swapped" in found(home)


def test_a_row_that_was_put_behind_the_last_one_is_found(home: Path) -> None:
    last = len(rows(home))
    forged = json.dumps({"!": "RunPaused", "seq": last + 1, "at": 0, "by": "mallory"}).encode()
    sql(home, ("INSERT INTO log VALUES ('run/r', ?, ?)", last + 1, forged))
    assert f"row {last + 1}: row {last + 1} is not written by a leader: the chain ends before" in found(home)


def test_a_cut_tail_is_found(home: Path) -> None:
    cut, last = place(home, "ProposalApplied"), len(rows(home))
    sql(home, ("DELETE FROM log WHERE stream = 'run/r' AND seq >= ?", cut))
    texts = found(home)
    assert any(text.startswith(f"row {cut}: it is missing") for text in texts)
    assert any(text.endswith(f"{last} are missing: the tail was cut off") for text in texts)


def test_a_tail_that_was_cut_together_with_its_chain_is_found_by_the_signed_head(home: Path) -> None:
    keep, last = committed(home, place(home, "ProposalMade")), len(rows(home))
    links = [seq for seq, data in rows(home, "chain/r").items() if chain.unpack(data).seq > keep.seq]
    sql(
        home,
        ("DELETE FROM log WHERE stream = 'run/r' AND seq > ?", keep.seq),
        ("DELETE FROM log WHERE stream = 'chain/r' AND seq >= ?", links[0]),
    )
    assert f"row {last}: the signed head says row {last}, and the chain ends at row {keep.seq}" in found(home)


def forge(home: Path, seal: Seal | None, upto: int | None = None) -> None:
    """Write the chain and the head anew over the rows as they are, signed with a key, or with the old signature."""
    link = chain.linked(chain.begin("r"), [data for seq, data in rows(home).items() if upto is None or seq <= upto])
    with closing(sqlite3.connect(home / "lab.db")) as db, db:
        summary = json.loads(db.execute("SELECT data FROM kv WHERE key = 'summary/r'").fetchone()[0])
        if seal is not None:
            summary["head"] = chain.packed_head(chain.signed_head("r", link, summary["at"], seal))
        else:
            said = {**json.loads(summary["head"]["text"]), "hash": link.hash}
            summary["head"]["text"] = json.dumps(said, separators=(",", ":"), sort_keys=True)
        db.execute("UPDATE kv SET data = ? WHERE key = 'summary/r'", (json.dumps(summary).encode(),))
        db.execute("DELETE FROM log WHERE stream = 'chain/r'")
        db.execute("INSERT INTO log VALUES ('chain/r', 1, ?)", (chain.pack(link),))


def spoil(home: Path) -> None:
    edit(home, place(home, "NodeSucceeded"), lambda data: data.replace(b'"seconds":', b'"seconds":9'))


def test_a_head_that_was_edited_is_found(home: Path) -> None:
    spoil(home)
    forge(home, None)
    last = len(rows(home))
    what = "the signature of this head does not fit what it signs"
    assert found(home) == [f"row {last}: the head of the chain is forged or damaged: {what}"]


def test_a_head_that_somebody_else_has_signed_is_found(home: Path) -> None:
    spoil(home)
    forge(home, Seal())
    (text,) = found(home)
    assert "which is not the lab's key" in text


def test_without_the_key_file_a_head_of_another_key_is_only_noted_unless_one_was_saved(home: Path) -> None:
    save_head(audited(home), home / "head.json")
    spoil(home)
    forge(home, Seal())
    (home / "key").unlink()
    report = audited(home)
    assert report.findings == ()
    assert "without the lab's key file nobody can tell here" in report.notes[0]
    texts = found(home, home / "head.json")
    assert any("it was written anew, or the store was put back" in text for text in texts)
    assert any("the saved head is signed by" in text for text in texts)


def test_a_missing_head_is_found(home: Path) -> None:
    with closing(sqlite3.connect(home / "lab.db")) as db, db:
        summary = json.loads(db.execute("SELECT data FROM kv WHERE key = 'summary/r'").fetchone()[0])
        del summary["head"]
        db.execute("UPDATE kv SET data = ? WHERE key = 'summary/r'", (json.dumps(summary).encode(),))
    assert found(home) == [f"row {len(rows(home))}: the signed head of the chain is missing"]


def test_a_chain_that_was_taken_away_is_found(home: Path) -> None:
    sql(home, ("DELETE FROM log WHERE stream = 'chain/r'",))
    assert any("the chain was taken away" in text for text in found(home))
    assert any("and the chain is gone" in text for text in found(home))


def test_a_link_that_was_removed_or_damaged_is_found(home: Path) -> None:
    links = {seq: chain.unpack(data) for seq, data in rows(home, "chain/r").items()}
    edit(home, 2, lambda _: b"{}", "chain/r")
    texts = found(home)
    assert f"row {links[2].after + 1}: the link of the chain that follows is damaged" in "\n".join(texts)
    assert any("a part of it was removed or replaced" in text for text in texts)


def test_a_link_in_the_middle_that_was_removed_is_found(home: Path) -> None:
    links = {seq: chain.unpack(data) for seq, data in rows(home, "chain/r").items()}
    sql(home, ("DELETE FROM log WHERE stream = 'chain/r' AND seq = 2",))
    assert f"row {links[1].seq + 1}: the chain goes from row {links[1].seq} to row {links[3].after + 1}" in "\n".join(
        found(home)
    )


def test_the_head_of_another_run_is_found(home: Path) -> None:
    with hx.Lab(pool="inline", store=f"sqlite:///{home}/lab.db", owner="dana") as lab:
        lab.start(hx.Dag.of(hx.NodeSpec("one", lambda: 1)), run_id="other").wait(30)
    save_head(audit(f"sqlite:///{home}/lab.db", "other"), home / "other.json")
    last = len(rows(home))
    assert found(home, home / "other.json") == ["row 0: the saved head is that of another run, 'other'"]
    with closing(sqlite3.connect(home / "lab.db")) as db, db:
        both = dict(db.execute("SELECT key, data FROM kv WHERE key LIKE 'summary/%'"))
        new = {**json.loads(both["summary/r"]), "head": json.loads(both["summary/other"])["head"]}
        db.execute("UPDATE kv SET data = ? WHERE key = 'summary/r'", (json.dumps(new).encode(),))
    assert f"row {last}: the head in the store is that of another run, 'other'" in found(home)


def test_a_summary_that_was_edited_is_found(home: Path) -> None:
    with closing(sqlite3.connect(home / "lab.db")) as db, db:
        summary = json.loads(db.execute("SELECT data FROM kv WHERE key = 'summary/r'").fetchone()[0])
        db.execute(
            "UPDATE kv SET data = ? WHERE key = 'summary/r'",
            (json.dumps({**summary, "status": "FAILED", "version": 7}).encode(),),
        )
    assert found(home) == [f"row {len(rows(home))}: the run's summary differs from its journal in status, version"]


# -- by somebody who has the lab's key: the votes themselves


def test_a_version_without_its_votes_is_found_though_all_was_chained_and_signed_anew(home: Path) -> None:
    seq = next(seq for seq, data in rows(home).items() if b"it is cheap" in data)

    def turned(data: bytes) -> bytes:
        event = loads(data)
        return dumps(replace(event, ballot=replace(event.ballot, choice=choice_of("reject"))))

    edit(home, seq, turned)
    forge(home, Seal.of_file(home / "key"))
    texts = found(home)
    assert f"row {seq}: the ballot of dana: the choice that was signed is 'approve', and here it is 'reject'" in texts
    assert f"row {place(home, 'ProposalApproved')}: r/p1 was approved, though its ballots say no" in texts


def test_another_change_than_was_voted_on_is_found_though_all_was_chained_and_signed_anew(home: Path) -> None:
    edit(home, place(home, "VersionCommitted"), lambda data: data.replace(b'"more"', b'"most"'))
    forge(home, Seal.of_file(home / "key"))
    seq = place(home, "VersionCommitted")
    assert found(home)[0] == f"row {seq}: v2 is another change than the one that was voted on as r/p1"


def test_a_version_out_of_turn_is_found_though_all_was_chained_and_signed_anew(home: Path) -> None:
    seq = place(home, "VersionCommitted")
    edit(home, seq, lambda data: data.replace(b'"version":2', b'"version":7'))
    forge(home, Seal.of_file(home / "key"))
    assert f"row {seq}: v7 is said to be r/p1, which became v2" in found(home)
    assert f"row {seq}: v7 follows v1" in found(home)


def test_a_row_that_cannot_be_read_is_found_and_what_is_before_it_is_still_told(home: Path) -> None:
    seq = place(home, "ProposalRejected")
    edit(home, seq, lambda data: data[:-3])
    report = audited(home)
    assert any(finding.seq == seq and "not readable as JSON" in finding.text for finding in report.findings)
    assert f"the rows after {seq - 1} were not replayed" in report.notes
    assert [v.who for v in report.votes if v.said == "proposed"] == ["writer", "writer"]


# -- heads that are kept elsewhere


def test_a_store_that_was_put_back_is_found_only_with_a_head_that_was_saved(home: Path) -> None:
    save_head(audited(home), home / "head.json")
    keep = committed(home, place(home, "ProposalMade"))
    old = home.parent / "old"
    shutil.copytree(home, old)
    sql(old, ("DELETE FROM log WHERE stream = 'run/r' AND seq > ?", keep.seq))
    forge(old, Seal.of_file(home / "key"))  # what a copy of the store from that moment would hold
    assert [text for text in found(old) if "summary" not in text] == []
    assert any("or the store was put back" in text for text in found(old, home / "head.json"))
    assert found(home, home / "head.json") == []


def test_a_run_that_was_removed_whole_is_found_only_with_a_head_that_was_saved(home: Path) -> None:
    save_head(audited(home), home / "head.json")
    last = len(rows(home))
    sql(home, ("DELETE FROM log",), ("DELETE FROM kv WHERE key = 'summary/r'",))
    with pytest.raises(Refused, match="there is no run 'r'"):
        audited(home)
    (text,) = found(home, home / "head.json")
    assert text.startswith(f"row {last}: the saved head says row {last}, and the chain of today does not go through it")


def test_no_head_is_saved_of_a_journal_that_was_changed(home: Path) -> None:
    spoil(home)
    with pytest.raises(SchemaError, match="the head of r is not saved"):
        save_head(audited(home), home / "head.json")
    assert not (home / "head.json").exists()


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"text":"{}","signature":"00","key":"00"}'])
def test_a_file_that_holds_no_head_is_named(home: Path, text: str) -> None:
    (home / "head.json").write_text(text)
    with pytest.raises(SchemaError, match=r"head.json: .*--save FILE"):
        audited(home, home / "head.json")


# -- journals from before there were chains, and those that go on


def aged(home: Path) -> int:
    """Make the journal one from before there were keys and chains, of a run that is interrupted; its last row."""
    last = place(home, "NodeSucceeded") - 1
    sql(
        home,
        ("DELETE FROM log WHERE stream = 'chain/r'",),
        ("DELETE FROM log WHERE stream = 'run/r' AND seq > ?", last),
    )
    for seq, data in rows(home).items():
        event: Any = loads(data)
        match event.kind:
            case "RunStarted":
                event = replace(event, seats=tuple(replace(seat, key="") for seat in event.seats))
            case "ProposalMade":
                seats = tuple(replace(seat, key="") for seat in event.proposal.electorate.seats)
                electorate = replace(event.proposal.electorate, seats=seats)
                event = replace(event, proposal=replace(event.proposal, proof=None, electorate=electorate))
            case "BallotCast":
                event = replace(event, ballot=replace(event.ballot, proof=None))
        sql(home, ("UPDATE log SET data = ? WHERE stream = 'run/r' AND seq = ?", dumps(event), seq))
    with closing(sqlite3.connect(home / "lab.db")) as db, db:
        summary = json.loads(db.execute("SELECT data FROM kv WHERE key = 'summary/r'").fetchone()[0])
        del summary["head"]
        summary |= {"seq": last, "status": "RUNNING"}
        db.execute("UPDATE kv SET data = ? WHERE key = 'summary/r'", (json.dumps(summary).encode(),))
    return last


def test_an_old_journal_is_told_to_be_unchained_and_is_chained_once_somebody_goes_on_with_it(home: Path) -> None:
    last = aged(home)
    report = audited(home)
    assert "not chained: written before there were chains, so changes there cannot be found" in report.notes
    assert [str(f) for f in report.findings if "summary" not in f.text] == []
    assert {v.proof for v in report.votes} == {"the seat has no key"}
    with hx.Lab(pool="inline", store=f"sqlite:///{home}/lab.db", owner="dana") as lab:
        assert lab.attach("r").wait(30) == {"held": 1, "more": 2}
    report = audited(home)
    assert report.findings == ()
    assert report.chained == last + 1
    assert report.notes == (f"not chained before row {last + 1}: written before there were chains, so changes there "
                            "cannot be found",)  # fmt: skip


def test_a_damaged_end_of_the_chain_stops_nobody_and_is_found(home: Path) -> None:
    sql(home, ("DELETE FROM log WHERE stream = 'run/r' AND seq >= ?", place(home, "NodeSucceeded")))
    edit(home, max(rows(home, "chain/r")), lambda _: b"?", "chain/r")
    with hx.Lab(pool="inline", store=f"sqlite:///{home}/lab.db", owner="dana") as lab:
        assert lab.attach("r").wait(30) == {"held": 1, "more": 2}
    assert any("the link of the chain that follows is damaged" in text for text in found(home))


class Restless(MemoryStore):
    """A store of a run that never stands still while somebody looks."""

    def __init__(self) -> None:
        super().__init__()
        self.looks = 0

    async def get(self, key: str) -> Value | None:
        self.looks += 1
        return Value(b"{}", self.looks) if key == wire.summary("r") else None


def test_a_run_that_never_stands_still_is_said_to_be_too_fast() -> None:
    with pytest.raises(StoreUnavailable, match=r"run r goes on too fast to be read as a whole now; .*run.pause\(\)"):
        asyncio.run(audit_of(Restless(), "r"))


def test_a_row_that_is_missing_is_found_in_an_old_journal_too(home: Path) -> None:
    last = aged(home)
    sql(home, ("DELETE FROM log WHERE stream = 'run/r' AND seq = ?", last - 1))
    assert f"row {last - 1}: it is missing" in found(home)


def test_another_key_of_an_agent_is_noted(tmp_path: Path) -> None:
    with hx.Lab(pool="inline", store=f"sqlite:///{tmp_path}/lab.db", owner="dana") as lab:
        lab.add_agent(hx.Agent("critic"))
        dag = hx.Dag.of(hx.NodeSpec("held", held, params={"gate": str(tmp_path / "gate")}))
        run = lab.start(dag, run_id="r")
        lab.add_agent(hx.Agent("critic", public_key="ab" * 32))
        open_gate(tmp_path / "gate")
        run.wait(30)
    report = audited(tmp_path)
    assert report.findings == ()
    assert report.notes == (f"row {place(tmp_path, 'SeatTaken')}: critic has another key from here, {'ab' * 8}",)


def test_a_ballot_that_a_deadline_has_cast_needs_no_signature_but_what_its_voter_had_said(tmp_path: Path) -> None:
    policy = hx.Majority() & hx.Deadline(seconds=0.2)
    with hx.Lab(pool="inline", store=f"sqlite:///{tmp_path}/lab.db", owner="dana", policy=policy) as lab:
        lab.add_agent(hx.HumanAgent("marie", otherwise="reject"))
        lab.add_agent(hx.Agent("writer", role="executor"))
        run = lab.start(hx.Dag.of(hx.NodeSpec("held", held, params={"gate": str(tmp_path / "gate")})), run_id="r")
        assert run.propose(hx.Changeset.on(run.dag).add_node(more), by="writer").wait(30) == "REJECTED"
        open_gate(tmp_path / "gate")
        run.wait(30)
    report = audited(tmp_path)
    assert report.findings == ()
    vote = report.votes[-1]
    assert (vote.who, vote.said, vote.via, vote.proof) == ("marie", "reject", "default", "as its voter had said")
    seq = place(tmp_path, "BallotCast")
    edit(tmp_path, seq, lambda data: data.replace(b'"v":"reject"', b'"v":"approve"'))
    forge(tmp_path, Seal.of_file(tmp_path / "key"))
    assert f"row {seq}: the ballot of marie: no deadline has cast it, nor had its voter said so" in found(tmp_path)


def test_a_cut_tail_is_found_though_somebody_went_on_with_the_run(home: Path, caplog: pytest.LogCaptureFixture) -> None:
    cut = place(home, "NodeSucceeded")
    sql(home, ("DELETE FROM log WHERE stream = 'run/r' AND seq >= ?", cut))
    with hx.Lab(pool="inline", store=f"sqlite:///{home}/lab.db", owner="dana") as lab:
        assert lab.attach("r").wait(30) == {"held": 1, "more": 2}
    assert "the journal of run r is not as it was written: hexdag-lab audit r says where" in caplog.text
    assert any("a part of it was removed or replaced" in text for text in found(home))


WRITER = """
import sys, time
from pathlib import Path
import hexdag_lab as hx

def first():
    import time
    time.sleep(600)

home = Path(sys.argv[1])
lab = hx.Lab(pool="inline", store=f"sqlite:///{home}/lab.db", owner="dana")
run = lab.start(hx.Dag.of(hx.NodeSpec("first", first)), run_id="r") if not (home / "lab.db-kept").exists() else None
run = run or lab.attach("r")
print("up", flush=True)
while True:
    n = len(run.dag.nodes)
    run.propose(hx.Changeset.on(run.dag).add_node(hx.NodeSpec(f"n{n}", lambda: 1)))
"""


@pytest.mark.skipif(os.name != "posix", reason="SIGKILL is a matter of POSIX")
def test_a_leader_that_is_killed_at_any_moment_leaves_a_journal_that_can_be_audited(tmp_path: Path) -> None:
    for wanted in (20, 33):
        child = subprocess.Popen([sys.executable, "-c", WRITER, str(tmp_path)], stdout=subprocess.PIPE, text=True)
        assert child.stdout is not None
        assert child.stdout.readline() == "up\n"
        until(lambda wanted=wanted: len(rows(tmp_path)) > wanted)
        child.send_signal(signal.SIGKILL)
        child.wait()
        child.stdout.close()
        report = audited(tmp_path)
        assert (report.findings, report.notes, report.chained) == ((), (), 1)
        assert report.rows == len(rows(tmp_path))
        (tmp_path / "lab.db-kept").touch()


def test_a_run_can_be_audited_while_somebody_leads_it(tmp_path: Path) -> None:
    with hx.Lab(pool="inline", store=f"sqlite:///{tmp_path}/lab.db", owner="dana") as lab:
        dag = hx.Dag.of(hx.NodeSpec("held", held, params={"gate": str(tmp_path / "gate")}))
        run = lab.start(dag, run_id="r")
        for n in range(5):
            run.propose(hx.Changeset.on(run.dag).add_node(hx.NodeSpec(f"n{n}", lambda: 1)))
            assert found(tmp_path) == []
        open_gate(tmp_path / "gate")
        run.wait(30)
    assert found(tmp_path) == []
