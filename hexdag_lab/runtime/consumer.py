"""The consumer of the store's inbox: commands of other processes, in the order of the stream, each decided once.

`heard` is how far the stream has been read, `offset` how far it has been decided. The offset is journaled in the commit
that answers, so whoever leads next begins after it: no command is lost, and none is decided twice. One for a run that
nobody leads is passed over, and taken up by whoever goes on with that run. What other processes read is not here: they
follow the journal.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from contextlib import aclosing

from ..core.base.errors import Refused
from ..core.machine import messages as ms
from ..ports import Store
from . import wire
from .history import unanswered
from .inbox import Item
from .seal import Seal

AGAIN = 1.0  #: seconds until an inbox that could not be read is tried again
_log = logging.getLogger(__name__)


class Consumer:
    """Reads commands and puts them into the controller's own inbox. `known`: whether the controller has a run."""

    def __init__(self, store: Store, seal: Seal, put: Callable[[Item], None], known: Callable[[str], bool]) -> None:
        self._store, self._seal, self._put, self._known = store, seal, put, known
        self._starting: set[str] = set()
        self.heard = self.offset = 0
        self.heard_at = time.monotonic()  #: when another process has asked for something last

    async def open(self) -> None:
        """Begin where the last leader has stopped."""
        row = await self._store.get(wire.OFFSET)
        self.heard = self.offset = int(row.data) if row else 0

    async def consume(self) -> None:
        """Read on, for ever."""
        while True:
            try:
                async with aclosing(self._store.watch(wire.INBOX, self.heard)) as news:
                    async for row in news:
                        self._hear(wire.unpack_command(row.data, self._seal), row.seq)
            except Exception as error:  # a store is the edge of the world; our own runs go on without it
                _log.warning("commands of other processes cannot be read just now: %s", error)
                await asyncio.sleep(AGAIN)

    def _hear(self, command: wire.Command, seq: int) -> None:
        self.heard, self.heard_at = seq, time.monotonic()
        if isinstance(command.message, ms.StartRun):
            self._starting.add(command.run)  # what comes for it after this is decided after this
        if isinstance(command.message, Refused):
            _log.warning("command %s in the inbox: %s", seq, command.message)
        elif not (
            isinstance(command.message, wire.REQUESTS) or self._known(command.run) or command.run in self._starting
        ):
            return  # it counts when somebody goes on with that run: see `catch_up`
        self._put(Item(command.run, command.message, command=command.id, offset=seq))

    async def catch_up(self, run: str, heard: int) -> None:
        """Take up what was asked of a run, up to a place in the stream, while nobody led it."""
        for command in await unanswered(self._store, self._seal, run, heard):
            self._put(Item(run, command.message, command=command.id))
