"""Regions as the labs in them see each other, through the store.

Who leads writes down how the regions are. A lab of a region reads that, and leaves a note of what it has seen, so that
others can tell how far it is behind. While the store does not answer, its region is cut off: nothing is decided there,
and it says so. That is all this knows: where attempts go is the pool's, who leads is the lease's.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from typing import TypeVar

from ..core.base.codec import dumps, loads, record
from ..core.base.errors import HexdagError, SchemaError, StoreUnavailable
from ..core.base.frozen import FrozenDict
from ..core.runs.region import Region, clock
from ..ports import CommitRefused, Lease, Store, StoreAway
from . import wire
from .lead import said_by_leader
from .reach import LOOK_AGAIN, LOOK_EVERY, Reach

WRITE_EVERY = 2.0  #: seconds between two notes, if nothing new was seen
AT_ONCE = 0.5  #: seconds for an answer to what may as well be asked later
SILENCE = 3.0  #: seconds without an answer of the store after which a region is held to be cut off
T = TypeVar("T")
_log = logging.getLogger(__name__)

Seen = Callable[[], Mapping[str, int]]
"""Run -> how many events of it have been seen, for the runs that go on."""


@record
class Sighting:
    """What the labs of a region have seen, and when they said so (unix seconds by their clock)."""

    at: float
    runs: FrozenDict[int]


class Census:
    """The regions as who leads sees them: `regions` tells of its pool's, `heads` how long the journals are."""

    def __init__(self, store: Store, regions: Callable[[], Sequence[Region]], heads: Seen) -> None:
        self._store, self._regions, self._heads = store, regions, heads
        self._sightings: dict[str, Sighting] = {}

    def rows(self) -> tuple[Region, ...]:
        """The regions as they are now, and how far their labs were behind when they were heard of last."""
        return tuple(self._with_sighting(row) for row in self._regions())

    def _with_sighting(self, row: Region) -> Region:
        last = self._sightings.get(row.name)
        if last is None:
            return row
        events = sum(max(0, head - last.runs.get(run, 0)) for run, head in self._heads().items())
        return replace(row, events=events, seconds=max(0.0, time.time() - last.at))

    async def keep(self, lease: Callable[[], Lease | None]) -> None:
        """Let all labs see the regions, for ever."""
        written, at = list[Region](), 0.0
        while True:
            try:
                for row in self._regions():
                    if (found := await self._store.get(wire.region(row.name))) is not None:
                        self._sightings[row.name] = loads(found.data)
                rows, held = self.rows(), lease()
                still = [replace(row, seconds=None) for row in rows]  # without what changes by itself
                if rows and held is not None and (still != written or time.monotonic() - at > WRITE_EVERY):
                    done = await self._store.commit(puts={wire.REGIONS: dumps((held.owner, rows))}, fence=held)
                    if not isinstance(done, CommitRefused):
                        written, at = still, time.monotonic()
            except HexdagError as error:
                _log.warning("the regions cannot be shown to other processes just now: %s", error)
            await asyncio.sleep(LOOK_EVERY)


async def regions_seen(store: Store) -> list[Region]:
    """The regions as who leads has written them down; none if nobody leads, or has one pool only."""
    return await said_by_leader(store, wire.REGIONS)


class Outlook:
    """What a lab in `region` knows of the regions. `since`: when the store has stopped to answer (unix seconds)."""

    def __init__(self, store: Store, region: str) -> None:
        self._store, self.region = store, region
        self._reach, self._rows = Reach(store, AT_ONCE), tuple[Region, ...]()
        self.since: float | None = None

    async def keep(self, seen: Seen) -> None:
        """Look at the others, and tell them what was seen here, for ever."""
        answered, told, told_at = time.time(), dict[str, int](), 0.0
        patience = SILENCE
        while True:
            try:
                async with asyncio.timeout(patience):
                    found = await self._store.get(wire.REGIONS)
                    answered, self.since, patience = time.time(), None, SILENCE
                    self._rows = self._rows if found is None else loads(found.data)[1]
                    if (now := dict(seen())) != told or time.monotonic() - told_at > WRITE_EVERY:
                        sighting = dumps(Sighting(time.time(), FrozenDict(now)))
                        await self._store.commit(puts={wire.region(self.region): sighting})
                        told, told_at = now, time.monotonic()
            except SchemaError as error:  # a newer leader says it in another way
                _log.warning("the regions cannot be read: %s", error)
            except (StoreUnavailable, TimeoutError) as error:
                self._reach.lost()
                patience = LOOK_AGAIN
                if self.since is None and time.time() - answered > SILENCE:
                    self.since = answered
                    _log.warning("%s: %s", self.why, error)
            await asyncio.sleep(LOOK_EVERY)

    async def asked(self, work: Callable[[Store], Awaitable[T]]) -> T:
        """What the store says to something that may as well be asked later. Raises `StoreAway` if it does not answer at
        once, and without asking until it is found: who edits a draft is not to wait for it."""
        try:
            return await self._reach.asked(work)
        except StoreAway as error:
            text = self.why or f"the store does not answer in region {self.region}; it is looked for"
            raise StoreAway(text) from error

    def regions(self) -> list[Region]:
        """The regions as they were seen last; while this one is cut off it reaches none of the others."""
        away = self.since
        return [row if away is None or row.name == self.region else replace(row, since=away) for row in self._rows]

    @property
    def why(self) -> str | None:
        """Why nothing can be decided here, in a sentence; None if it can."""
        if self.since is None:
            return None
        home = next((row.name for row in self._rows if row.home), self.region)
        if home == self.region:
            return f"region {self.region} is cut off from the others since {clock(self.since)}"
        return f"cut off from home region {home} since {clock(self.since)}"
