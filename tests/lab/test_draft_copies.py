"""Who holds copies of a draft, who is behind, and two processes that write one draft at the same time."""

from __future__ import annotations

import subprocess
import sys
import textwrap
import time
from pathlib import Path
from typing import Any

import pytest

import hexdag_lab as hx
from hexdag_lab.core.base.errors import StoreUnavailable
from hexdag_lab.core.replica.clock import Clock
from hexdag_lab.core.replica.copies import Told
from hexdag_lab.lab import draft_link
from hexdag_lab.runtime import wire
from tests.lab.conftest import fit, load, until

Labs = tuple[hx.Lab, hx.Lab]


def extra(**inputs: Any) -> int:
    return len(inputs)


def away(_: Any) -> Any:
    raise StoreUnavailable("the store is away")


def copy_of(draft: Any, who: str) -> Any:
    (found,) = [copy for copy in draft.copies() if copy.by == who]
    return found


def test_a_draft_opened_twice_in_a_notebook_is_one_copy(labs: Labs) -> None:
    draft = labs[0].draft("next", of=hx.Dag.of(load, fit))
    assert labs[0].draft("next") is draft
    assert [copy.here for copy in draft.copies()] == [True]


def test_each_sees_what_the_other_did_last_and_when(labs: Labs) -> None:
    dana, arun = labs[0].draft("next", of=hx.Dag.of(load, fit)), labs[1].draft("next")
    began = int(time.time() * 1000)
    arun.add_node(hx.NodeSpec("check", extra).after("load"))
    seen = copy_of(dana, "arun")
    assert (seen.last, seen.edits, seen.here) == ("writes the edge load -> check", 2, False)
    assert seen.at >= began
    assert copy_of(arun, "arun").here


def test_who_is_offline_is_behind_by_so_many_changes_since_the_first_of_them(
    labs: Labs, monkeypatch: pytest.MonkeyPatch
) -> None:
    dana, arun = labs[0].draft("next", of=hx.Dag.of(load, fit)), labs[1].draft("next")
    with monkeypatch.context() as offline:
        offline.setattr(labs[1], "in_store", away)
        assert arun.dag == dana.dag
        assert arun.offline
        first = int(time.time() * 1000)
        dana.add_node(hx.NodeSpec("check", extra).after("load"))
        dana.replace_node("fit", fit.as_node("fit", depth=9))
        lacks = copy_of(dana, "arun")
        assert (lacks.behind, copy_of(dana, "dana").behind) == (3, 0)
        assert lacks.since is not None
        assert first <= lacks.since <= int(time.time() * 1000)
        assert copy_of(arun, "arun").behind == 0, "it cannot know"
    assert arun.dag == dana.dag
    assert not arun.offline
    until(lambda: arun.dag and copy_of(dana, "arun").behind == 0)
    dana.add_node(hx.NodeSpec("late", extra).after("load"))
    arun.add_node(hx.NodeSpec("more", extra).after("load"))
    assert copy_of(dana, "arun").behind == 0, "what it writes says what it has seen"


def test_many_looks_are_told_of_once(labs: Labs, monkeypatch: pytest.MonkeyPatch) -> None:
    dana, arun = labs[0].draft("next", of=hx.Dag.of(load, fit)), labs[1].draft("next")
    told: list[str] = []
    tell = draft_link._tell

    async def counted(store: Any, name: str, replica: str, word: Told) -> bool:
        told.append(word.by)
        return await tell(store, name, replica, word)

    monkeypatch.setattr(draft_link, "_tell", counted)
    monkeypatch.setattr(draft_link, "TELL_SOON", 1000.0)
    for i in range(5):
        dana.add_node(hx.NodeSpec(f"check{i}", extra).after("load"))
        assert arun.dag == dana.dag
    assert told == []


def test_a_copy_that_came_by_file_is_named(labs: Labs, tmp_path: Path) -> None:
    dana = labs[0].draft("next", of=hx.Dag.of(load, fit))
    dana.save(tmp_path / "out.draft")
    with hx.Lab(pool="inline", store="memory://", owner="lea") as elsewhere:
        lea = elsewhere.draft("next").merge(tmp_path / "out.draft")
        lea.add_node(hx.NodeSpec("check", extra).after("load")).save(tmp_path / "back.draft")
    dana.merge(tmp_path / "back.draft").add_node(hx.NodeSpec("late", extra).after("load"))
    assert (copy_of(dana, "lea").behind, copy_of(dana, "lea").last) == (2, "writes the edge load -> check")


def test_whoever_only_looks_is_no_copy_and_whoever_edits_is(labs: Labs) -> None:
    labs[0].draft("next", of=hx.Dag.of(load, fit))
    (looked,) = labs[1].drafts()
    assert looked.name == "next"
    assert [copy.by for copy in looked.copies()] == ["dana"]
    looked.add_node(hx.NodeSpec("check", extra).after("load"), by="arun")
    assert {copy.by for copy in labs[0].draft("next").copies()} == {"dana", "arun"}


def test_a_silent_copy_is_forgotten_and_comes_back_by_itself() -> None:
    day = 86_400_000
    known = {
        "dana-old": Told("dana", Clock(), 10 * day - draft_link.REPLACED_AFTER),
        "dana-new": Told("dana", Clock(), 10 * day),
        "arun": Told("arun", Clock(), 4 * day),
        "lea": Told("lea", Clock(), 3 * day),
    }
    assert set(draft_link._named(known, "dana-new")) == {"dana-new", "arun"}
    assert set(draft_link._named(known, "lea")) == set(known), "a clock that is behind drives nobody out"


def test_what_copies_told_may_be_damaged(labs: Labs) -> None:
    dana = labs[0].draft("next", of=hx.Dag.of(load, fit))
    labs[0].in_store(lambda store: store.commit(puts={wire.copies("next"): b"nonsense"}))
    assert [copy.by for copy in dana.copies()] == ["dana"]
    dana.add_node(hx.NodeSpec("check", extra).after("load"))
    arun = labs[1].draft("next")
    assert {copy.by for copy in arun.copies()} == {"dana", "arun"}


WRITER = """
    import sys, time
    from pathlib import Path
    import hexdag_lab as hx
    from hexdag_lab.core.base.errors import HexdagError

    url, name, where = sys.argv[1:]

    def step(**inputs):
        return len(inputs)

    with hx.Lab(store=url, owner=name, leader=False) as lab:
        draft = lab.draft("next")
        Path(where, name).touch()
        while len(list(Path(where).iterdir())) < 2:
            time.sleep(0.005)
        for i in range(12):
            draft.add_node(hx.NodeSpec(f"{name}_{i}", step).after("load"))
            draft.replace_node("fit", hx.NodeSpec("fit", step, params={"by": name, "turn": i}))
"""


def test_two_processes_write_one_draft_at_the_same_time_and_nothing_is_lost(url: str, tmp_path: Path) -> None:
    script, ready = tmp_path / "writer.py", tmp_path / "ready"
    script.write_text(textwrap.dedent(WRITER))
    ready.mkdir()
    with hx.Lab(pool="inline", store=url, owner="dana") as lab:
        draft = lab.draft("next", of=hx.Dag.of(load, hx.NodeSpec("fit", extra).after("load")))
        children = [subprocess.Popen([sys.executable, script, url, name, ready]) for name in ("arun", "lea")]
        assert [child.wait(100) for child in children] == [0, 0]
        assert {f"{name}_{i}" for name in ("arun", "lea") for i in range(12)} < set(draft.dag)
        assert len([edit for edit in draft.changes() if edit.text == "writes fit"]) == 24
        ends = {(intent.by) for conflict in draft.conflicts for intent in draft.intents(conflict)}
        assert draft.dag.nodes["fit"].params["turn"] == 11 or ends == {"arun", "lea"}
        assert {copy.by: copy.edits for copy in draft.copies() if not copy.here} == {"arun": 36, "lea": 36}
