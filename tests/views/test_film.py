"""Looking back: a run at any of its moments, folded from its journal, with nothing executed again."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

import hexdag_lab as hx
from hexdag_lab.views import film
from hexdag_lab.views.film import Film
from tests.runtime.kit import executions, ran

WITNESS = "w"


def step(witness: str, name: str, before: object = None) -> str:
    ran(witness, name)
    print(f"this is {name}")
    return name


@pytest.fixture
def run(tmp_path: Path) -> Iterator[hx.Run]:
    witness = str(tmp_path / WITNESS)
    specs = [hx.NodeSpec("n0", step, params={"witness": witness, "name": "n0"})]
    for number in range(1, 6):
        spec = hx.NodeSpec(f"n{number}", step, params={"witness": witness, "name": f"n{number}"})
        specs.append(spec.after(f"n{number - 1}"))
    with hx.Lab(pool="inline", store="memory://") as lab:
        run = lab.start(hx.Dag.of(*specs))
        run.wait(30)
        yield run


@pytest.mark.parametrize("every", [1, 4, 250])
def test_each_moment_is_the_state_that_its_events_make(
    run: hx.Run, every: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(film, "KEEP_EVERY", every)
    seen = Film(run.feed)
    last = run.events()[-1].seq
    for seq in (*range(last, 0, -1), *range(1, last + 1)):
        moment = seen.at(seq)
        assert moment.state == run.at(seq).state
        assert [event.seq for event in moment.events] == list(range(1, seq + 1))
        assert not moment.live


def test_looking_back_executes_nothing(run: hx.Run, tmp_path: Path) -> None:
    seen = Film(run.feed)
    for seq in range(1, run.seq + 1):
        seen.at(seq)
    assert set(executions(tmp_path / WITNESS).values()) == {1}


def test_a_moment_has_what_nodes_had_said_by_then(run: hx.Run) -> None:
    seen = Film(run.feed)
    assert {line.node for line in seen.now().lines} == {f"n{n}" for n in range(6)}
    done = next(event.seq for event in run.events() if event.kind == "NodeSucceeded" and event.node == "n2")
    said = {line.node for line in seen.at(done).lines}
    assert {"n0", "n1"} <= said
    assert "n5" not in said
    assert [line.text for line in seen.now().lines_of("n2")] == ["this is n2"]


def test_beyond_the_last_event_is_the_last_one_and_before_the_first_is_the_first(run: hx.Run) -> None:
    seen = Film(run.feed)
    assert seen.at(10_000).state == run.feed.state
    assert seen.at(0).state == run.at(1).state
    assert seen.now().live
