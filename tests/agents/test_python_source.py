"""Code that an agent proposes: the text is on the card, a person votes, and the text that was voted on is what runs."""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

import hexdag_lab as hx
from hexdag_lab.views import models
from hexdag_lab.worker.source import python_source
from tests.agents.conftest import Room, load

FIRST = "def run(load):\n    total = load\n    return total + 1\n"
SECOND = "def run(load):\n    total = load\n    return total + 2\n"


@pytest.fixture
def room(tmp_path: Path) -> Iterator[Room]:
    catalog = hx.Catalog(load, hx.python_source)
    with hx.Lab(pool="inline", store="memory://", catalog=catalog, owner="marie") as lab:
        yield Room(lab, tmp_path / "gate")


def coded(source: str, name: str = "code") -> hx.NodeSpec:
    return hx.python_source.node(name, {"source": source}, ["load"])


def proposed(room: Room, run: Any, change: hx.Changeset) -> Any:
    """An agent that is bound to the catalogue proposes, and all other agents agree."""
    room.lab.add_agent(hx.Agent("coder", role="executor", catalogued=True))
    room.lab.add_agent(hx.Agent("judge", vote=lambda context: True))
    return run.propose(change, by="coder", reason="one more is needed")


def test_it_waits_for_a_person_under_any_policy_and_runs_once_she_says_yes(room: Room) -> None:
    run = room.start(hx.Majority())
    proposal = proposed(room, run, hx.Changeset.on(run.dag).add_node(coded(FIRST)))
    assert proposal.state == "OPEN"
    assert "marie" in proposal.tally.needs
    proposal.vote("marie", "approve")
    assert proposal.wait(30) == "APPLIED"
    assert room.end(run).result("code") == 4


def test_its_text_is_on_the_card_with_its_hash_and_a_change_of_it_as_a_diff(room: Room) -> None:
    run = room.start(hx.Majority())
    first = proposed(room, run, hx.Changeset.on(run.dag).add_node(coded(FIRST)))
    shown = models.card(run.view.state, run.view.state.proposals[first.id], 0.0).source
    assert shown[0] == f"code.source, SHA-256 {sha256(FIRST.encode()).hexdigest()}:"
    assert "+    return total + 1" in shown
    first.vote("marie", "approve")
    first.wait(30)
    change = hx.Changeset.on(run.dag).replace_node("code", coded(SECOND), running="restart", finished="rerun")
    second = proposed(room, run, change)
    shown = models.card(run.view.state, run.view.state.proposals[second.id], 0.0).source
    assert [line for line in shown if line[0] in "+-"] == ["-    return total + 1", "+    return total + 2"]
    second.vote("marie", "approve")
    second.wait(30)
    assert room.end(run).result("code") == 5


def test_a_text_that_is_another_one_than_was_voted_on_does_not_run() -> None:
    with pytest.raises(hx.SchemaError, match="was voted on"):
        python_source(SECOND, sha256(FIRST.encode()).hexdigest(), load=3)


def test_an_approval_of_one_text_is_none_of_another() -> None:
    assert coded(FIRST).digest != coded(SECOND).digest
    assert coded(FIRST).params["digest"] == sha256(FIRST.encode()).hexdigest()


def test_an_error_in_it_shows_its_lines(room: Room) -> None:
    run = room.lab.start(hx.Dag.of(hx.NodeSpec("load", load), coded("def run(load):\n    return load / 0\n")))
    with pytest.raises(hx.RunFailed, match="ZeroDivisionError"):
        run.wait(30)
    assert "return load / 0" in run.nodes["code"].trace


@pytest.mark.parametrize(
    ("params", "sentence"),
    [
        ({"source": "def run(:"}, "this is no Python"),
        ({"source": "x = 1"}, r"the text defines no function run\(…\)"),
        ({"source": FIRST, "digest": "ab"}, "leave digest out"),
        ({"source": "#" * 30_000}, "at most 20000 characters"),
        ({}, "source: Field required"),
    ],
)
def test_a_text_that_cannot_be_is_refused_before_anybody_is_asked(params: dict[str, Any], sentence: str) -> None:
    with pytest.raises(hx.SchemaError, match=sentence):
        hx.python_source.node("code", params)


def test_no_catalogue_has_it_by_itself() -> None:
    assert "python_source" not in hx.Catalog(load)
    assert hx.python_source.risk == "high"
