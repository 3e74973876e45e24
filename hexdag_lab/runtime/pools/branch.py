"""`Branch`: the pool of one region, as a federation holds it: what is asked of it is done in order, and waited for by
nobody else.

A region may be cut off at any moment, so each branch has a queue of its own. Its silence is looked at from outside;
here is no decision about what goes where.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import replace
from typing import Protocol, runtime_checkable

from ...core.base.errors import PoolUnavailable
from ...core.machine.messages import PoolChanged
from ...core.runs.region import LABEL, Reach, Region
from ...core.runs.worker import Worker, WorkerState
from ...ports import Pool, Put
from ..thread import cancelled

SILENCE = 3.0  #: seconds without an answer after which a region is held to be cut off
LOOK = 1.0  #: seconds, the most that one look counts as silence: a process that was stuck has heard nobody
AGAIN = 1.0  #: seconds until one that did not answer at the start is tried again
_log = logging.getLogger(__name__)


@runtime_checkable
class Distant(Protocol):
    """A pool whose workers are elsewhere, so that it may hear nothing of them."""

    answered: float
    """When it has heard of them last, on the monotonic clock."""


class Branch:
    """One region: `pool` is its pool, `since` when it was cut off (unix seconds; None: it answers)."""

    def __init__(self, name: str, pool: Pool) -> None:
        self.name, self.pool = name, pool
        self.since: float | None = None
        self.offer = PoolChanged(0.0, 0, 0, ())
        self._asked: asyncio.Queue[Callable[[], Awaitable[None]]] = asyncio.Queue()
        self._tasks: list[asyncio.Task[None]] = []
        self._opened, self._answered, self._looked, self._silent = False, 0.0, time.monotonic(), 0.0

    # -- life

    async def open(self, put: Put) -> PoolUnavailable | None:
        """Reach it; if it does not answer that is returned, and it is tried again until it does."""
        unavailable = await self._tried(put)
        if unavailable is not None:
            self.since = time.time()
            self._tasks.append(asyncio.create_task(self._try_again(put)))
        self._tasks.append(asyncio.create_task(self._work()))
        return unavailable

    async def _tried(self, put: Put) -> PoolUnavailable | None:
        try:
            await self.pool.open(put)
        except PoolUnavailable as error:
            return error
        self._opened = True
        return None

    async def _try_again(self, put: Put) -> None:
        unavailable: PoolUnavailable | None = PoolUnavailable()
        while unavailable is not None:
            await asyncio.sleep(AGAIN)
            unavailable = await self._tried(put)

    async def close(self) -> None:
        """End it."""
        await cancelled(self._tasks)
        await self.pool.close()

    # -- what is asked of it

    def ask(self, work: Callable[[], Awaitable[None]]) -> None:
        """Have something done after all that was asked for before; returns at once."""
        self._asked.put_nowait(work)

    async def _work(self) -> None:
        while True:
            work = await self._asked.get()
            try:
                await work()
            except Exception:  # a pool is the edge of the world
                _log.exception("region %s: something could not be done", self.name)

    # -- how it is

    def look(self) -> bool:
        """Look whether it answers; whether that has changed."""
        now = time.monotonic()
        passed, self._looked = now - self._looked, now
        answered = self.pool.answered if isinstance(self.pool, Distant) else now
        self._silent = self._silent + min(passed, LOOK) if answered == self._answered else 0.0
        self._answered = answered
        away = not self._opened or self._silent > SILENCE
        if away == (self.since is not None):
            return False
        self.since = time.time() - self._silent if away else None
        return True

    @property
    def reach(self) -> Reach:
        return Reach(self.name, self.since)

    @property
    def slots(self) -> int:
        """How many nodes it can run at once, as far as that is known; none while it is cut off."""
        return self.offer.slots if self.since is None else 0

    @property
    def capabilities(self) -> tuple[frozenset[str], ...]:
        """What its workers can do, each set once: all are in this region."""
        return tuple(has | {LABEL + self.name} for has in self.offer.capabilities or ()) if self.slots else ()

    def takes(self, requires: Iterable[str]) -> bool:
        """Whether a node with such needs can run here now."""
        wanted = frozenset(requires)
        return any(wanted <= has for has in self.capabilities)

    def has_other(self, worker: str) -> bool:
        """Whether another worker than this one takes nodes here."""
        return any(row.state.works and row.id != worker for row in self.pool.workers())

    def workers(self) -> list[Worker]:
        """Its workers, named as all others know them: "region/name"."""
        return [self._named(row) for row in self.pool.workers()]

    def _named(self, row: Worker) -> Worker:
        able = tuple(sorted({*row.capabilities, LABEL + self.name}))
        row = replace(row, id=self.named(row.id), capabilities=able)
        return row if self.since is None else replace(row, state=WorkerState.FAILED, why=str(self.reach))

    def named(self, worker: str) -> str:
        """A worker of this region, as all others know it."""
        return f"{self.name}/{worker}"

    def seen(self, home: bool) -> Region:
        """The region, for people."""
        works = [row for row in self.pool.workers() if row.state.works] if self.since is None else []
        return Region(self.name, home, len(works), self.slots, self.since)


async def opened(branches: Iterable[Branch], put: Callable[[Branch], Put]) -> None:
    """Reach all regions. Raises `PoolUnavailable` if none of them answers."""
    found = await asyncio.gather(*(branch.open(put(branch)) for branch in branches))
    failures = [error for error in found if error is not None]
    if failures and len(failures) == len(found):
        raise failures[0]
    for error in failures:
        _log.warning("a region is waited for: %s", error)
