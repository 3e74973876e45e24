"""What a store says of all its runs: a list of them, and what they have taught, as their leaders keep it there."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, NamedTuple

from ..core.base.codec import loads
from ..core.base.errors import Refused
from ..core.machine.lessons import lessons
from ..core.votes.trust import Lesson
from ..ports import Store
from ..runtime import wire
from ..runtime.history import Journal

GOING_ON = ("RUNNING", "PAUSED")


class RunRow(NamedTuple):
    """A run in a list. `led`: a live process goes on with it."""

    id: str
    status: str
    version: int
    done: int
    nodes: int
    open: int
    by: str
    started: float
    led: bool


async def run_rows(store: Store, here: set[str] | None) -> list[RunRow]:
    """All runs, the latest last. `here`: the runs that this process goes on with, None if it does not lead."""
    holder = await store.holder(wire.LEADER)
    rows = []
    for row in await store.read(wire.RUNS, 0, 1_000_000):
        id_ = row.data.decode()
        found = await store.get(wire.summary(id_))
        if found is not None:
            s = json.loads(found.data)
            led = id_ in here if here is not None else holder is not None and s.get("leader", holder) == holder
            what = (s["status"], s["version"], s["done"], s["nodes"], s["open"], s["by"], s["started"])
            rows.append(RunRow(id_, *what, led=led))
    return rows


async def lessons_of(store: Store, journal: Journal, here: Mapping[str, tuple[Lesson, ...]]) -> list[Lesson]:
    """What the runs of a store have taught about voters, the first run first. `here`: of runs that go on here.

    A run that is over has written it down; that of another one is folded from its journal."""
    found = list[Lesson]()
    for row in await store.read(wire.RUNS, 0, 1_000_000):
        run = row.data.decode()
        if run in here:
            found += here[run]
        elif (written := await store.get(wire.lessons(run))) is not None:
            found += loads(written.data)
        else:
            found += lessons((await journal.state(run))[0])
    return found


async def free_id(store: Store) -> str:
    """The next name "run-N" that no run has."""
    number = len(await store.read(wire.RUNS, 0, 1_000_000)) + 1
    while await store.get(wire.summary(f"run-{number}")) is not None:
        number += 1
    return f"run-{number}"


def checked_id(id_: Any, what: str = "a run id") -> str:
    """The name of a run, or of something else, if it can be one."""
    if not isinstance(id_, str) or not 0 < len(id_) <= 100 or not all(c.isalnum() or c in "-_." for c in id_):
        raise ValueError(f"{what} has letters, digits, '-', '_' and '.', at most 100; not {id_!r}")
    return id_


async def summary_of(store: Store, run: str) -> dict[str, Any]:
    """A run's summary. Raises `Refused` where there is no such run."""
    found = await store.get(wire.summary(run))
    if found is None:
        raise Refused(f"there is no run {run!r} in this store", rule="unknown-run", fix="see lab.runs()")
    summary: dict[str, Any] = json.loads(found.data)
    return summary
