"""A lab without Dask and without files, small graphs, and gates to hold a node where a test wants it."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

import hexdag_lab as hx
from hexdag_lab.lab import registry
from hexdag_lab.ports import CommitRefused, Row, StoreAway, Value
from hexdag_lab.runtime.stores.memory import MemoryStore
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


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/lab.db"


@pytest.fixture
def labs(url: str) -> Iterator[tuple[hx.Lab, hx.Lab]]:
    """Two notebooks on one store: the second is a lab as another process has it."""
    with hx.Lab(pool="inline", store=url, owner="dana") as first:
        live, registry._LIVE = registry._LIVE, {}
        try:
            second = hx.Lab(store=url, owner="arun", leader=False)
        finally:
            registry._LIVE = live
        with second:
            yield first, second


def until(met: Callable[[], Any], seconds: float = 10) -> None:
    """Wait until something holds."""
    give_up = time.monotonic() + seconds
    while not met():
        assert time.monotonic() < give_up, "it did not come about"
        time.sleep(0.005)


@contextmanager
def leading(script: str, *arguments: object, cwd: Path | None = None) -> Iterator[subprocess.Popen[str]]:
    """Another process that leads a lab, once it has printed "led"; it is killed at the end."""
    command = [sys.executable, "-c", script, *map(str, arguments)]
    with subprocess.Popen(command, cwd=cwd, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as child:
        try:
            assert child.stdout is not None
            assert child.stdout.readline() == "led\n"
            yield child
        finally:
            child.kill()


class Severed(MemoryStore):
    """A store whose server does not answer while `away`; `missed`: the streams that somebody wanted to read then."""

    def __init__(self) -> None:
        super().__init__()
        self.away, self.missed = False, list[str]()

    def _reach(self) -> None:
        if self.away:
            raise StoreAway("the store does not answer")

    async def get(self, key: str) -> Value | None:
        self._reach()
        return await super().get(key)

    async def commit(self, *said: Any, **more: Any) -> int | CommitRefused:
        self._reach()
        return await super().commit(*said, **more)

    async def read(self, stream: str, after: int = 0, limit: int = 1000) -> list[Row]:
        self.missed += [stream] if self.away else []
        self._reach()
        return await super().read(stream, after, limit)
