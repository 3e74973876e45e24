"""`run.debug`: a node run here, on the inputs that it had in the run; nothing of the run changes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

import hexdag_lab as hx


def load(rows: int) -> list[int]:
    return list(range(rows))


def scale(load: list[int], /, by: int = 2) -> list[int]:
    return [by * value for value in load]


def total(offset: int = 1, **parts: list[int]) -> int:
    return offset + sum(sum(part) for part in parts.values())


def plainly(fn: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    return fn(*args, **kwargs)


@pytest.fixture
def run() -> Any:
    with hx.Lab(pool="inline", store="memory://") as lab:
        run = lab.start(
            hx.Dag.of(
                load, hx.NodeSpec("scale", scale, params={"by": 3}), hx.NodeSpec("total", total).after("load", "scale")
            ),
            inputs={"rows": 4, "total.offset": 10},
        )
        run.wait(20)
        yield run


def test_it_gets_what_it_got_in_the_run_and_gives_what_it_gave(run: Any) -> None:
    for name, value in run.results().items():
        assert run.debug(name, plainly) == value


def test_a_node_of_a_fork_runs_on_what_the_fork_took_over(run: Any) -> None:
    fork = run.fork()
    fork.wait(20)
    assert fork.debug("scale", plainly) == [0, 3, 6, 9]


def test_it_runs_under_pdb_unless_told_otherwise(run: Any) -> None:
    import inspect
    import pdb

    assert inspect.signature(hx.Run.debug).parameters["call"].default is pdb.runcall


def test_nothing_of_the_run_changes(run: Any) -> None:
    before = len(run.events())
    run.debug("load", plainly)
    assert len(run.events()) == before


def test_a_node_without_inputs_yet_says_so() -> None:
    with hx.Lab(pool="inline", store="memory://") as lab:
        run = lab.start(hx.Dag.of(hx.NodeSpec("bad", lambda: 1 / 0), hx.NodeSpec("after", lambda bad: bad)))
        with pytest.raises(hx.RunFailed):
            run.wait(20)
        with pytest.raises(hx.NotFinished, match="bad has no result"):
            run.debug("after", plainly)
