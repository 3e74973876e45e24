"""A lab without Dask and without files, small graphs, and gates to hold a node where a test wants it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import hexdag_lab as hx
from tests.lab import gates


@pytest.fixture(autouse=True)
def _gates() -> Iterator[None]:
    yield
    gates.reset()


@pytest.fixture
def lab() -> Iterator[hx.Lab]:
    with hx.Lab(pool="inline", store="memory://", owner="dana") as made:
        yield made


@hx.node
def load(path: str = "data.csv") -> str:
    return path


@hx.node
def fit(load: str, depth: int = 3) -> str:
    return f"{load}@{depth}"


@hx.node
def held(load: str) -> str:
    from tests.lab import gates

    gates.pass_through("held")
    return load.upper()


@hx.node
def report(fit: str) -> str:
    return f"<{fit}>"


@pytest.fixture
def dag() -> hx.Dag:
    """load -> fit."""
    return hx.Dag.of(load, fit.after("load"))


@pytest.fixture
def slow_dag() -> hx.Dag:
    """load -> fit, and load -> held, which waits at the gate "held": the run goes on until a test opens it."""
    return hx.Dag.of(load, fit.after("load"), held.after("load"))


@pytest.fixture
def running(lab: hx.Lab, slow_dag: hx.Dag) -> hx.Run:
    """A run in which `load` and `fit` have finished and `held` runs."""
    run = lab.start(slow_dag)
    gates.reached("held")
    until(lambda: (run.nodes["fit"].state, run.nodes["held"].state) == ("SUCCEEDED", "RUNNING"))
    return run


def until(met: Callable[[], Any], seconds: float = 10) -> None:
    """Wait until something holds."""
    give_up = time.monotonic() + seconds
    while not met():
        assert time.monotonic() < give_up, "it did not come about"
        time.sleep(0.005)
