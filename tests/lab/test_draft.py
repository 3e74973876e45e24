"""A draft that two notebooks write together: through a store, without one, and by files."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
import sys
import textwrap
import threading
import zipfile
from pathlib import Path
from typing import Any

import pytest

import hexdag_lab as hx
from hexdag_lab.core.base.errors import SchemaError, StoreUnavailable
from hexdag_lab.core.replica.packing import unpack, writes_from_data
from hexdag_lab.ports import CommitRefused
from hexdag_lab.runtime import wire
from hexdag_lab.runtime.stores.memory import MemoryStore
from tests.lab.conftest import Severed, fit, held, load
from tests.runtime.kit import until


def extra(**inputs: Any) -> int:
    return len(inputs)


def test_two_notebooks_see_each_others_edits(labs: tuple[hx.Lab, hx.Lab]) -> None:
    dana, arun = labs[0].draft("next", of=hx.Dag.of(load, fit)), labs[1].draft("next")
    assert arun.dag == dana.dag
    dana.add_node(hx.NodeSpec("report", extra).after("fit"))
    arun.add_node(hx.NodeSpec("check", extra).after("load"))
    assert dana.dag == arun.dag
    assert set(dana.dag) == {"load", "fit", "report", "check"}
    assert [(edit.by, edit.text) for edit in dana.changes()] == [
        ("dana", "writes report"),
        ("dana", "writes the edge fit -> report"),
        ("arun", "writes check"),
        ("arun", "writes the edge load -> check"),
    ]


def test_a_look_asks_the_store_once_and_an_edit_of_what_was_seen_once_more(
    labs: tuple[hx.Lab, hx.Lab], monkeypatch: pytest.MonkeyPatch
) -> None:
    dana, arun = labs[0].draft("next", of=hx.Dag.of(load)), labs[1].draft("next")
    dana.add_node(hx.NodeSpec("report", extra).after("load"))
    asked, in_store = list[Any](), labs[1].in_store
    monkeypatch.setattr(labs[1], "in_store", lambda work: asked.append(work) or in_store(work))
    monkeypatch.setattr(arun._link, "tell", lambda *_: None)  # now and then, by the clock
    seen = arun.dag
    assert (set(seen), len(asked)) == ({"load", "report"}, 1)
    arun.edit(hx.Changeset.on(seen).add_node(hx.NodeSpec("check", extra).after("load")))
    assert len(asked) == 2
    assert set(dana.dag) == {"load", "report", "check"}


def test_a_draft_is_found_again_by_its_name(labs: tuple[hx.Lab, hx.Lab]) -> None:
    labs[0].draft("next", of=hx.Dag.of(load)).add_node(hx.NodeSpec("check", extra).after("load"))
    assert set(labs[0].draft("next").dag) == {"load", "check"}
    assert set(labs[0].draft("next", of=hx.Dag.of(load)).dag) == {"load", "check"}


def test_a_draft_cannot_begin_with_two_graphs(labs: tuple[hx.Lab, hx.Lab]) -> None:
    labs[0].draft("next", of=hx.Dag.of(load))
    with pytest.raises(hx.Refused, match=r"was begun with another graph; lab.draft\('next'\) goes on with it"):
        labs[1].draft("next", of=hx.Dag.of(load, fit))


def test_a_draft_needs_a_name(labs: tuple[hx.Lab, hx.Lab]) -> None:
    with pytest.raises(ValueError, match="the name of a draft has letters"):
        labs[0].draft("no/name")


def test_offline_edits_wait_and_go_when_the_store_is_back(
    labs: tuple[hx.Lab, hx.Lab], monkeypatch: pytest.MonkeyPatch
) -> None:
    dana, arun = labs[0].draft("next", of=hx.Dag.of(load, fit)), labs[1].draft("next")

    def away(_: Any) -> Any:
        raise StoreUnavailable("the store is away")

    with monkeypatch.context() as offline:
        offline.setattr(labs[1], "in_store", away)
        arun.replace_node("fit", hx.NodeSpec("fit", extra, params={"k": 1}))
        assert arun.unsent > 0
        dana.replace_node("fit", hx.NodeSpec("fit", extra, params={"k": 2}))
        assert not arun.conflicts
    (conflict,) = arun.conflicts
    assert arun.unsent == 0
    assert dana.dag == arun.dag
    assert {who in str(conflict) for who in ("dana", "arun")} == {True}


def test_a_store_that_is_away_is_waited_for_once_and_not_at_each_edit() -> None:
    store = Severed()
    with hx.Lab(pool="inline", store=store, owner="dana") as lab:
        draft = lab.draft("next", of=hx.Dag.of(load))
        store.away = True
        for name in ("one", "two", "three"):
            draft.add_node(hx.NodeSpec(name, extra).after("load"))
            assert name in draft.dag
        assert draft.offline
        assert draft.unsent == 6, "three nodes, three edges"
        assert store.missed.count(wire.draft("next")) == 1
        store.away = False
        until(lambda: draft.dag and draft.unsent == 0)
        assert not draft.offline


class Slow(MemoryStore):
    """A store that takes a row of a draft only when it is `let`; `rows`: those that it was given."""

    def __init__(self) -> None:
        super().__init__()
        self.let, self.rows = threading.Event(), list[bytes]()

    async def commit(self, *said: Any, **more: Any) -> int | CommitRefused:
        if fresh := [row for stream, rows in more.get("append", {}).items() if "next" in stream for row in rows]:
            self.rows += fresh
            await asyncio.to_thread(self.let.wait)
        return await super().commit(*said, **more)


def test_edits_that_wait_for_nothing_are_here_at_once_and_go_to_the_store_together() -> None:
    store = Slow()
    with hx.Lab(pool="inline", store=store, owner="dana") as lab:
        store.let.set()
        draft = lab.draft("next", of=hx.Dag.of(load))
        store.let.clear()
        store.rows.clear()
        for number in range(20):
            draft.edit(hx.Changeset.on(draft.shown).add_node(hx.NodeSpec(f"n{number}", extra)), wait=False)
        assert len(draft.shown) == 21
        assert draft.unsent == 20
        store.let.set()
        until(lambda: draft.unsent == 0)
        assert len(store.rows) < 5
        writes = [w for row in store.rows for w in writes_from_data(unpack(row))]
        assert [w.key for w in writes] == [f"n{number}" for number in range(20)], "each once, in their order"


def test_what_waits_goes_to_the_store_when_the_lab_is_closed(tmp_path: Path) -> None:
    where: dict[str, Any] = {"pool": "inline", "store": f"sqlite:///{tmp_path}/lab.db", "owner": "dana"}
    with hx.Lab(**where) as lab:
        draft = lab.draft("next", of=hx.Dag.of(load))
        for number in range(5):
            draft.edit(hx.Changeset.on(draft.shown).add_node(hx.NodeSpec(f"n{number}", extra)), wait=False)
    with hx.Lab(**where) as again:
        assert len(again.draft("next").dag) == 6


def test_a_lab_that_is_closed_without_its_store_says_which_draft_loses_how_much(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(_: Any) -> Any:
        raise StoreUnavailable("the store is away")

    with hx.Lab(pool="inline", store="memory://", owner="dana") as lab:
        draft = lab.draft("next", of=hx.Dag.of(load))
        monkeypatch.setattr(lab, "in_store", away)
        draft.add_node(hx.NodeSpec("report", extra))
        assert draft.unsent == 1
    assert "draft next: the store has not taken its last changes (1)" in caplog.text


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (lambda draft: draft.edit("add a node"), r"expected a change, as hx.Changeset.on\(draft.dag\)"),
        (lambda draft: draft.join("load"), "expected a graph or a run that a draft begins with, not 'load'"),
        (lambda draft: draft.choose("Keep dana's"), r"expected one of draft.choices\(conflict\)"),
        (lambda draft: draft.settle("load"), "expected one of draft.conflicts, not 'load'"),
        (lambda draft: draft.choices("load"), "expected one of draft.conflicts, not 'load'"),
        (lambda draft: draft.intents(None), "expected one of draft.conflicts, not None"),
        (lambda draft: draft.submit("run-1"), r"expected a run, as lab.attach\(run_id\) gives it, not 'run-1'"),
    ],
)
def test_what_a_draft_does_not_take_is_named_with_what_it_takes(wrong: Any, said: str, lab: hx.Lab) -> None:
    draft = lab.draft("next", of=hx.Dag.of(load))
    with pytest.raises(TypeError, match=said):
        wrong(draft)


@pytest.mark.parametrize("damaged", [b"\xff\x00", b"{}", b'{"format":1,"names":[],"writes":[[]]}'])
def test_a_row_that_is_damaged_is_named_and_what_was_read_before_it_can_be_saved(
    damaged: bytes, lab: hx.Lab, tmp_path: Path
) -> None:
    draft = lab.draft("next", of=hx.Dag.of(load))
    draft.add_node(hx.NodeSpec("report", extra).after("load"))
    lab.in_store(lambda store: store.commit(append={wire.draft("next"): [damaged]}))
    with pytest.raises(SchemaError, match=r"row 3 of draft next is damaged.*draft.save\(path\)"):
        _ = draft.dag
    draft.save(tmp_path / "saved.draft")
    assert set(lab.draft("anew").merge(tmp_path / "saved.draft").dag) == {"load", "report"}


def test_a_list_of_drafts_that_is_damaged_is_named(lab: hx.Lab) -> None:
    lab.draft("next", of=hx.Dag.of(load))
    lab.in_store(lambda store: store.commit(append={wire.DRAFTS: [b"\xff"]}))
    with pytest.raises(SchemaError, match="row 2 of the list of drafts is damaged"):
        lab.drafts()


def test_a_conflict_is_settled_for_both(labs: tuple[hx.Lab, hx.Lab]) -> None:
    dana, arun = labs[0].draft("next", of=hx.Dag.of(load, fit)), labs[1].draft("next")
    _at_once(dana, arun)
    (conflict,) = dana.conflicts
    lost = conflict.dots[0]
    dana.settle(conflict, keep=lost)
    assert not dana.conflicts
    assert not arun.conflicts
    assert dana.dag == arun.dag


def _at_once(dana: Any, arun: Any) -> None:
    """Both change `fit` without having read what the other wrote."""
    change = hx.Changeset.on(arun.dag).replace_node("fit", hx.NodeSpec("fit", extra, params={"k": 1}))
    shipped = arun._lab.shipping.changeset(change)
    dana.replace_node("fit", hx.NodeSpec("fit", extra, params={"k": 2}))
    from hexdag_lab.core.replica.draft import edit

    arun._wrote(edit(arun._replica, shipped, "arun"))


def test_what_is_shown_can_be_settled_on(labs: tuple[hx.Lab, hx.Lab]) -> None:
    dana, arun = labs[0].draft("next", of=hx.Dag.of(load, fit)), labs[1].draft("next")
    _at_once(dana, arun)
    shown = dana.dag
    dana.settle(dana.conflicts[0])
    assert dana.dag == arun.dag == shown
    assert not arun.conflicts


def test_a_draft_becomes_a_proposal_like_any_other(labs: tuple[hx.Lab, hx.Lab]) -> None:
    run = labs[0].start(hx.Dag.of(load, fit, held), inputs={"path": "x.csv"})
    dana, arun = labs[0].draft("next", of=run), labs[1].draft("next")
    dana.add_node(hx.NodeSpec("check", extra).after("load"))
    arun.add_node(hx.NodeSpec("report", extra).after("fit"))
    proposal = dana.submit(run, reason="two more looks")
    assert proposal.changeset.added == ("check", "report")
    assert proposal.state == "APPLIED"
    assert proposal.reason == "two more looks"


def test_open_conflicts_are_settled_before_a_draft_is_put_to_the_vote(labs: tuple[hx.Lab, hx.Lab]) -> None:
    run = labs[0].start(hx.Dag.of(load, fit), inputs={"path": "x.csv"})
    dana, arun = labs[0].draft("next", of=run), labs[1].draft("next")
    _at_once(dana, arun)
    with pytest.raises(hx.Refused, match="1 open conflicts"):
        dana.submit(run)


def test_a_draft_travels_by_file(labs: tuple[hx.Lab, hx.Lab], tmp_path: Path) -> None:
    with hx.Lab(pool="inline", store="memory://", owner="lea") as elsewhere:
        lea = elsewhere.draft("hers", of=hx.Dag.of(load, fit))
        lea.add_node(hx.NodeSpec("check", extra).after("load"))
        lea.save(tmp_path / "hers.draft")
    dana = labs[0].draft("next", of=hx.Dag.of(load, fit))
    dana.merge(tmp_path / "hers.draft")
    assert set(dana.dag) == {"load", "fit", "check"}
    assert dana.merge(tmp_path / "hers.draft").dag == labs[1].draft("next").dag


def test_a_file_that_is_no_draft_is_refused(labs: tuple[hx.Lab, hx.Lab], tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("no draft")
    with pytest.raises(SchemaError, match=r"notes.txt: it is no draft that draft.save wrote"):
        labs[0].draft("next").merge(tmp_path / "notes.txt")


def test_code_travels_with_the_file_and_runs_where_the_lab_has_the_same_key(tmp_path: Path) -> None:
    desk, train = tmp_path / "desk", tmp_path / "train"
    with hx.Lab(pool="inline", store=f"sqlite:///{desk}/lab.db", owner="dana") as lab:
        train.mkdir()
        shutil.copy(desk / "key", train)
        with hx.Lab(pool="inline", store=f"sqlite:///{train}/lab.db", owner="lea") as elsewhere:
            elsewhere.draft("hers").add_node(hx.NodeSpec("answer", lambda: 42)).save(tmp_path / "hers.draft")
        draft = lab.draft("next").merge(tmp_path / "hers.draft")
        assert lab.start(draft.dag).wait(30) == {"answer": 42}
        again = tmp_path / "again.draft"
        draft.save(again)
        draft.save(tmp_path / "twice.draft")
        assert again.read_bytes() == (tmp_path / "twice.draft").read_bytes()


@pytest.mark.parametrize("fault", ["code", "draft", "cut"])
def test_a_damaged_file_is_refused_and_nothing_of_it_taken_in(
    labs: tuple[hx.Lab, hx.Lab], tmp_path: Path, fault: str
) -> None:
    file, other = tmp_path / "hers.draft", tmp_path / "damaged.draft"
    with hx.Lab(pool="inline", store="memory://", owner="lea") as elsewhere:
        elsewhere.draft("hers").add_node(hx.NodeSpec("check", extra)).save(file)
    with zipfile.ZipFile(file) as whole, zipfile.ZipFile(other, "w") as damaged:
        for name in whole.namelist():
            changed = (fault == "code" and name.startswith("code/")) or fault == name
            damaged.writestr(name, b"{}" if changed else whole.read(name))
    if fault == "cut":
        other.write_bytes(file.read_bytes()[:-40])
    draft = labs[0].draft("next")
    with pytest.raises(SchemaError, match=r"damaged.draft: "):
        draft.merge(other)
    assert not draft.changes()


def test_another_process_writes_into_the_draft_and_its_code_runs_here(url: str, tmp_path: Path) -> None:
    script = tmp_path / "arun.py"
    script.write_text(
        textwrap.dedent("""
            import sys
            import hexdag_lab as hx

            @hx.node
            def doubled(load: str) -> str:
                return load * 2

            with hx.Lab(store=sys.argv[1], owner="arun", leader=False) as lab:
                lab.draft("next").add_node(doubled)
        """)
    )
    with hx.Lab(pool="inline", store=url, owner="dana") as lab:
        run = lab.start(hx.Dag.of(load, fit), inputs={"path": "x"}, run_id="run-7", policy="pair")
        draft = lab.draft("next", of=run)
        subprocess.run([sys.executable, script, url], check=True, timeout=60)
        assert [edit.by for edit in draft.changes()] == ["arun", "arun"]
        lab.add_agent(hx.HumanAgent("lea"))
        again = lab.start(draft.dag, inputs={"path": "x"}, run_id="run-8")
        assert again.wait(30)["doubled"] == "xx"
