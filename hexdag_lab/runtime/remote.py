"""A lab from another process than the one that leads it: it reads the journal and sends commands through the store."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

from ..core.base.codec import loads
from ..core.base.errors import NotFinished, StoreUnavailable
from ..core.machine.evolve import evolve
from ..core.machine.state import RunState
from ..core.runs.value import Kept
from ..ports import CommitRefused, Store
from . import wire
from .feed import Feed
from .shipping import Shipping
from .view import RunView

PATIENCE = 20.0  #: seconds for the leader to answer a command
LOOK_EVERY = 0.05  #: seconds


class Remote:
    """Watches and commands a lab through its store. The same doors as `Controller`."""

    def __init__(self, store: Store, shipping: Shipping, loop: asyncio.AbstractEventLoop) -> None:
        self._store, self._shipping, self._loop = store, shipping, loop
        self._feeds: dict[str, Feed] = {}
        self._following: dict[str, Future[None]] = {}
        self.broken: Exception | None = None

    def command(self, run: str, message: Any) -> Future[Any]:
        """Ask the leader for something; the future gets its answer."""
        return asyncio.run_coroutine_threadsafe(self._command(run, message), self._loop)

    async def _command(self, run: str, message: Any) -> Any:
        id_, data = wire.pack_command(run, message, self._shipping.key)
        outcome = await self._store.commit(append={wire.INBOX: [data]})
        assert not isinstance(outcome, CommitRefused)
        give_up = time.monotonic() + PATIENCE
        while time.monotonic() < give_up:
            answer = await self._store.get(wire.reply_key(id_))
            if answer is not None:
                return wire.unpack_reply(answer.data)
            await asyncio.sleep(LOOK_EVERY)
        raise StoreUnavailable(
            f"nobody has answered within {PATIENCE:.0f} s: the process that leads this lab is gone or stuck; the command "
            f"is in the inbox and counts when somebody attaches the run (hexdag-lab attach {run})"
        )

    def feed(self, run: str) -> Feed:
        """The published states of a run, followed from its journal."""
        if run not in self._feeds:
            self._feeds[run] = Feed()
            self._following[run] = asyncio.run_coroutine_threadsafe(self._follow(run), self._loop)
        return self._feeds[run]

    async def _follow(self, run: str) -> None:
        feed, state = self._feeds[run], RunState()
        seen = 0
        while rows := await self._store.read(wire.journal(run), seen):
            events = [loads(row.data) for row in rows]
            for event in events:
                state = evolve(state, event)
            seen = rows[-1].seq
            feed.publish(state, events)
        async for row in self._store.watch(wire.journal(run), seen):
            event = loads(row.data)
            state = evolve(state, event)
            feed.publish(state, [event])

    def view(self, run: str) -> RunView:
        """A run as it was at the last event that was seen."""
        return RunView(self.feed(run).state, self.reader(run))

    def reader(self, run: str) -> Callable[[str, int, Kept], Any]:
        def read(node: str, fence: int, kept: Kept) -> Any:
            if kept.where == "pool":
                raise NotFinished(
                    f"the result of {node} is only in the workers' memory: ask the process that leads"
                )
            return self._shipping.read(kept)

        return read

    def workers(self) -> list[Any]:
        return []

    def runs(self) -> tuple[str, ...]:
        return ()

    async def close(self) -> None:
        for following in self._following.values():
            following.cancel()
