"""What moves out of a journal stays part of it: events, states, audits and attaching go on through it."""

from __future__ import annotations

import asyncio
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

import hexdag_lab as hx
from hexdag_lab.core.base.codec import dumps
from hexdag_lab.core.base.errors import SchemaError, StoreUnavailable
from hexdag_lab.lab.audit import audit
from hexdag_lab.lab.depot import Depot, depot_of
from hexdag_lab.runtime import compaction, snapshot, wire
from hexdag_lab.runtime.archive import Archive
from hexdag_lab.runtime.compaction import Compacted, Compaction
from hexdag_lab.runtime.history import Damaged, Journal
from hexdag_lab.runtime.seal import Seal
from hexdag_lab.runtime.stores.sqlite import SqliteStore
from tests.runtime.kit import open_gate, pass_gate, until


def one() -> int:
    return 1


def held(gate: str, **ups: Any) -> int:
    pass_gate(gate)
    return len(ups)


def url_of(home: Path) -> str:
    return f"sqlite:///{home}/lab.db"


def start(lab: hx.Lab, home: Path, run_id: str) -> hx.Run:
    """A run of twelve nodes, one after another, and a held one, that a proposal has added a node to."""
    chain = [hx.NodeSpec(f"n{i}", one).after(*([f"n{i - 1}"] if i else [])) for i in range(12)]
    gate = {"gate": str(home / "gate")}
    run = lab.start(hx.Dag.of(*chain, hx.NodeSpec("held", held, params=gate).after("n11")), run_id=run_id)
    run.propose(hx.Changeset.on(run.dag).add_node(hx.NodeSpec("late", one).after("held"))).wait(30)
    until(lambda: run.nodes["held"].state == "RUNNING")
    return run


def compact(home: Path, least: int = 10, keep: int = 5) -> Compacted:
    async def work() -> Compacted:
        async with depot_of(url_of(home)) as depot:
            assert depot.seal is not None
            return await Compaction(depot.store, depot.blobs, depot.seal, least).compact("r", keep=keep)

    return asyncio.run(work())


def asked(home: Path, work: Any) -> Any:
    """What comes of a coroutine function over a lab's depot."""

    async def ask() -> Any:
        async with depot_of(url_of(home)) as depot:
            return await work(depot)

    return asyncio.run(ask())


def in_store(home: Path) -> list[int]:
    with closing(sqlite3.connect(home / "lab.db")) as db:
        return [seq for (seq,) in db.execute("SELECT seq FROM log WHERE stream = 'run/r' ORDER BY seq")]


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a lab whose run "r" goes on, and nobody leads it."""
    home = tmp_path_factory.mktemp("lab")
    with hx.Lab(pool="inline", store=url_of(home), owner="dana") as lab:
        start(lab, home, "r")
    return home


@pytest.fixture
def gate(written: Path) -> Path:
    """What the run "r" waits for."""
    return written / "gate"


@pytest.fixture
def home(written: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(written, tmp_path / "lab"))


def test_a_run_reads_the_same_whether_its_rows_are_in_the_store_or_in_blobs(home: Path) -> None:
    before, past = asked(home, lambda depot: depot.journal.state("r"))
    done = compact(home)
    assert done.rows > 0
    assert done.saved == before.seq
    assert in_store(home) == [*range(done.rows + 1, before.seq + 1)]
    assert asked(home, lambda depot: depot.journal.state("r"))[0] == before
    assert asked(home, lambda depot: depot.journal.events("r", before.seq)) == list(past)
    assert asked(home, lambda depot: Journal(depot.store, depot.blobs).state("r"))[0] == before, "without the snapshot"


def test_an_attached_run_goes_on_from_its_snapshot_with_all_its_events_and_its_time_slider(
    home: Path, gate: Path
) -> None:
    compact(home)
    with hx.Lab(pool="inline", store=url_of(home), owner="dana") as lab:
        run = lab.attach("r")
        assert run.feed.events.unread > 0, "nobody has looked at the events before the snapshot"
        open_gate(gate)
        assert run.wait(30)["late"] == 1
        assert [event.seq for event in run.events()] == [*range(1, run.seq + 1)]
        assert (run.at(1).seq, run.at(1).nodes["n0"].state) == (1, "READY")
        assert [v.number for v in run.versions] == [1, 2]
        assert run.story("n0")[0].strip().startswith("1 ")
    assert audit(url_of(home), "r").findings == ()


def test_the_chain_goes_through_segments_and_a_change_in_the_store_is_found_as_before(home: Path) -> None:
    done = compact(home)
    report = audit(url_of(home), "r")
    assert (report.findings, report.chained, report.rows) == ((), 1, in_store(home)[-1])
    with closing(sqlite3.connect(home / "lab.db")) as db, db:
        db.execute("UPDATE log SET data = CAST(replace(data, '\"at\":', '\"at\": ') AS BLOB) WHERE stream = 'run/r'")
    assert audit(url_of(home), "r").findings[0].seq == done.rows + 1


def test_a_segment_that_is_gone_or_changed_is_named(home: Path) -> None:
    done = compact(home)
    (segment,) = asked(home, lambda depot: depot.journal.archive("r")).archive.segments
    blob = home / "blobs" / segment.blob[:2] / segment.blob
    blob.write_bytes(blob.read_bytes()[:-1] + b"!")
    with pytest.raises(StoreUnavailable, match=f"{segment.blob} at .* is damaged"):
        audit(url_of(home), "r")
    blob.unlink()
    with pytest.raises(StoreUnavailable, match="is missing"):
        audit(url_of(home), "r")
    assert segment.seq == done.rows


def test_other_rows_in_a_segment_are_found_by_the_chain(home: Path) -> None:
    """Whoever can write the store can also name another blob."""
    from hexdag_lab.runtime.archive import packed_segment, unpacked_segment

    compact(home)

    async def swap(depot: Depot) -> None:
        archive, rev = await depot.journal.archive("r")
        (segment,) = archive.segments
        rows, links = unpacked_segment(segment, depot.blobs.get(segment.blob))
        changed = [rows[0].data.replace(b'"by":"dana"', b'"by":"eve!"'), *(row.data for row in rows[1:])]
        blob = depot.blobs.put(packed_segment(changed, [row.data for row in links]))
        other = archive._replace(segments=(segment._replace(blob=blob),))
        await depot.store.commit({wire.archive("r"): rev}, {wire.archive("r"): other.pack()})

    asked(home, swap)
    assert audit(url_of(home), "r").findings[0].seq == 1


def test_a_snapshot_that_was_not_made_with_the_labs_key_is_not_read(
    home: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, _ = asked(home, lambda depot: depot.journal.state("r"))
    compact(home)
    monkeypatch.setattr(snapshot, "unpacked", lambda data: pytest.fail("a pickle of a stranger was read"))
    state, _ = asked(home, lambda depot: Journal(depot.store, depot.blobs, Seal()).state("r"))
    assert state == before
    assert "does not carry the lab's key" in caplog.text


def test_a_snapshot_of_other_code_is_not_read(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before, _ = asked(home, lambda depot: depot.journal.state("r"))
    compact(home)
    monkeypatch.setattr(snapshot, "code", lambda: "of a newer hexdag_lab")
    monkeypatch.setattr(snapshot, "unpacked", lambda data: pytest.fail("it would read as something else"))
    assert asked(home, lambda depot: depot.journal.state("r"))[0] == before


def test_a_snapshot_that_is_damaged_is_passed_over(home: Path, caplog: pytest.LogCaptureFixture) -> None:
    before, _ = asked(home, lambda depot: depot.journal.state("r"))
    compact(home)
    saved = asked(home, lambda depot: depot.journal.archive("r")).archive.saved
    (home / "blobs" / saved.blob[:2] / saved.blob).write_bytes(b"no snapshot")
    assert asked(home, lambda depot: depot.journal.state("r"))[0] == before
    assert "cannot be used" in caplog.text


def test_a_compaction_that_was_killed_between_its_commit_and_the_trim_is_finished_by_the_next(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, _ = asked(home, lambda depot: depot.journal.state("r"))

    async def killed(self: SqliteStore, stream: str, upto: int) -> None:
        raise StoreUnavailable("killed here")

    with monkeypatch.context() as patch:
        patch.setattr(SqliteStore, "trim", killed)
        with pytest.raises(StoreUnavailable):
            compact(home)
    assert in_store(home)[0] == 1
    assert asked(home, lambda depot: depot.journal.state("r"))[0] == before
    assert audit(url_of(home), "r").findings == ()
    compact(home)
    assert in_store(home)[0] > 1
    assert audit(url_of(home), "r").findings == ()


def test_of_two_compactions_at_once_one_moves_the_rows(home: Path) -> None:
    async def both(depot: Depot) -> list[Compacted]:
        assert depot.seal is not None
        makers = [Compaction(depot.store, depot.blobs, depot.seal, 10) for _ in range(2)]
        return list(await asyncio.gather(*(made.compact("r", keep=5) for made in makers)))

    moved = [done.rows for done in asked(home, both)]
    assert min(moved) == 0 < max(moved)
    assert audit(url_of(home), "r").findings == ()


def test_a_journal_with_a_hole_stays_as_it_is(home: Path) -> None:
    state, _ = asked(home, lambda depot: depot.journal.state("r"))
    with closing(sqlite3.connect(home / "lab.db")) as db, db:
        db.execute("DELETE FROM log WHERE stream = 'run/r' AND seq = 4")

    async def moved(depot: Depot) -> Compacted:
        assert depot.seal is not None
        return await Compaction(depot.store, depot.blobs, depot.seal, 10).compact("r", state, keep=5)

    assert asked(home, moved).rows == 0
    assert in_store(home)[:4] == [1, 2, 3, 5]


def test_the_leader_compacts_a_run_that_grows_and_who_watches_it_misses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compaction, "SEGMENT", 10)
    monkeypatch.setattr(compaction, "KEEP", 2)
    monkeypatch.setattr(compaction, "LOOK_EVERY", 0.01)
    monkeypatch.setattr(Compaction.__init__, "__defaults__", (10,))
    monkeypatch.setattr(Compaction.compact, "__defaults__", (None, 2))
    with hx.Lab(pool="inline", store=url_of(tmp_path), owner="dana") as lab:
        run = start(lab, tmp_path, "r")
        until(lambda: in_store(tmp_path)[0] > 10, "the first rows move")

        async def late(depot: Depot) -> list[int]:
            seen = []
            async for row in depot.journal.follow("r", 3):
                seen.append(row.seq)
                if row.seq == run.seq:
                    return seen
            return seen

        assert asked(tmp_path, late) == [*range(4, run.seq + 1)]
        open_gate(tmp_path / "gate")
        run.wait(30)
    assert audit(url_of(tmp_path), "r").findings == ()


def test_a_result_whose_row_has_moved_is_used_again(home: Path) -> None:
    cached = hx.NodeSpec("slow", one, cache=True)
    with hx.Lab(pool="inline", store=url_of(home), owner="dana") as lab:
        lab.start(hx.Dag.of(cached), run_id="first").wait(30)
        row = asked(home, lambda depot: depot.journal.state("first"))[0].seq

    async def move(depot: Depot) -> Compacted:
        assert depot.seal is not None
        return await Compaction(depot.store, depot.blobs, depot.seal, 2).compact("first", keep=0)

    assert asked(home, move).rows == row
    with hx.Lab(pool="inline", store=url_of(home), owner="dana") as lab:
        again = lab.start(hx.Dag.of(cached))
        again.wait(30)
        assert any("reused from" in line for line in again.story("slow"))


def test_an_archive_of_a_newer_version_says_so(home: Path) -> None:
    async def newer(depot: Depot) -> None:
        text = Archive().pack().replace(b'"format": 1', b'"format": 9')
        await depot.store.commit(puts={wire.archive("r"): text})
        await depot.journal.rows("r")

    with pytest.raises(SchemaError, match=r"format 9.*upgrade"):
        asked(home, newer)


# -- rows that are not what they should be


def spoil(home: Path, seq: int, data: bytes) -> bytes:
    """Write something else into a row; what was there."""
    with closing(sqlite3.connect(home / "lab.db")) as db, db:
        ((right,),) = db.execute("SELECT data FROM log WHERE stream = 'run/r' AND seq = ?", (seq,)).fetchall()
        db.execute("UPDATE log SET data = ? WHERE stream = 'run/r' AND seq = ?", (data, seq))
    return bytes(right)


SPOILED = {
    "not JSON": (b'{"!":"NodeSta', "not readable as JSON"),
    "of a newer version": (b'{"!":"NodeTeleported","seq":9,"at":1.0}', "unknown record 'NodeTeleported'.*newer"),
    "a field of a newer version": (b'{"!":"RunResumed","seq":9,"at":1.0,"by":"x","mood":1}', "newer hexdag_lab"),
    "another row": (dumps(hx.Budget(cost=1)), "has no seq|no attribute"),
}


@pytest.mark.parametrize("kind", SPOILED)
def test_a_row_that_cannot_be_read_is_named_and_what_is_before_it_can_be_looked_at(home: Path, kind: str) -> None:
    data, why = SPOILED[kind]
    spoil(home, 9, data)
    with hx.Lab(pool="inline", store=url_of(home), owner="dana") as lab:
        with pytest.raises(SchemaError, match=rf"run r is damaged at row 9: .*{why}") as told:
            lab.attach("r")
        assert "rows 1 to 8 can be read" in str(told.value)
        assert "audit r" in str(told.value)
        run = lab.attached("r")
        assert (run.seq, len(run.events()), run.at(8).seq) == (8, 8, 8)
        assert lab.start(hx.Dag.of(hx.NodeSpec("n", one))).wait(30) == {"n": 1}, "other runs go on"


def test_who_watches_a_damaged_run_sees_what_is_before_the_damage(home: Path) -> None:
    right = spoil(home, 9, b"rubbish")
    with hx.Lab(pool="inline", store=url_of(home), owner="dana", leader=False) as lab:
        with pytest.raises(SchemaError, match="damaged at row 9"):
            lab.attach("r")
        assert lab.attached("r").seq == 8
        spoil(home, 9, right)
        until(lambda: lab.attach("r").seq > 8)


def test_a_damaged_run_that_was_put_right_can_be_attached(home: Path, gate: Path) -> None:
    right = spoil(home, 9, b"rubbish")
    with hx.Lab(pool="inline", store=url_of(home), owner="dana") as lab:
        with pytest.raises(Damaged):
            lab.attach("r")
        spoil(home, 9, right)
        open_gate(gate)
        assert lab.attach("r").wait(30)["late"] == 1
