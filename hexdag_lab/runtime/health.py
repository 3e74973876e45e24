"""How the workers of a lab are, as its other processes see it: a record in the store, which counts while its leader
leads."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import replace

from ..core.base.codec import dumps
from ..core.base.errors import HexdagError
from ..core.runs.worker import Worker
from ..ports import CommitRefused, Lease, Store
from . import wire
from .lead import said_by_leader

LOOK_EVERY = 1.0  #: seconds; what has changed is written then
WRITE_EVERY = 5.0  #: seconds between two records, if nothing but memory and heartbeats has changed
_log = logging.getLogger(__name__)


async def keep_health(store: Store, workers: Callable[[], Sequence[Worker]], lease: Callable[[], Lease | None]) -> None:
    """Let other processes see the workers, for ever."""
    seen, written = None, 0.0
    while True:
        rows = tuple(replace(row, heartbeat=row.heartbeat or time.time()) for row in workers())
        states = [(row.id, row.state, row.nodes, row.why) for row in rows]
        held = lease()
        if held is not None and (states != seen or time.monotonic() - written > WRITE_EVERY):
            try:
                done = await store.commit(puts={wire.WORKERS: dumps((held.owner, rows))}, fence=held)
                if not isinstance(done, CommitRefused):
                    seen, written = states, time.monotonic()
            except HexdagError as error:
                _log.warning("the workers cannot be shown to other processes just now: %s", error)
        await asyncio.sleep(LOOK_EVERY)


async def health(store: Store) -> list[Worker]:
    """The workers of the process that leads; none if nobody does, or while a new leader has not told of its own."""
    return await said_by_leader(store, wire.WORKERS)
