"""The one door in: whoever wants something puts a message here, from any thread, and goes on."""

from __future__ import annotations

import asyncio
from collections import deque
from concurrent.futures import Future, InvalidStateError
from contextlib import suppress
from typing import Any, NamedTuple

from ..core.base.errors import Refused


class Item(NamedTuple):
    """A message for a run ("" for all runs). `reply` gets the answer of a local command; `command` and `offset` are
    the id and the place in the store's inbox of a command that came from another process."""

    run: str
    message: Any
    reply: Future[Any] | None = None
    command: str = ""
    offset: int = 0


class Inbox:
    """An unbounded queue that one loop drains."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._items: deque[Item] = deque()
        self._there = asyncio.Event()
        self._woken = False  # since the last time that there was nothing: each wake costs the loop a system call

    def put(self, item: Item) -> None:
        """Add an item: from any thread; returns at once."""
        self._items.append(item)
        if not self._woken:
            self.wake()

    def wake(self) -> None:
        """Let `take` return, though there may be nothing; from any thread."""
        self._woken = True
        with suppress(RuntimeError):  # the loop is closed, and nobody takes any more
            self._loop.call_soon_threadsafe(self._there.set)

    async def take(self, timeout: float | None) -> list[Item]:
        """All items that are there, or those that come within `timeout` seconds; may be empty."""
        if not self._items:
            self._woken = False  # in this order: what is put from here on wakes, what was put before is seen below
            self._there.clear()
            if not self._items:
                try:
                    async with asyncio.timeout(timeout):
                        await self._there.wait()
                except TimeoutError:
                    return []
        return self.drain()

    def drain(self) -> list[Item]:
        """All items that are there; from any thread."""
        taken = []
        with suppress(IndexError):
            while True:
                taken.append(self._items.popleft())
        return taken


def settle(reply: Future[Any] | None, value: Any) -> None:
    """Give the answer to a command: a value or a `Refused`; any other exception is raised where it is waited for."""
    if reply is None or reply.done():
        return
    with suppress(InvalidStateError):  # cancelled, or answered on another thread
        if isinstance(value, Exception) and not isinstance(value, Refused):
            reply.set_exception(value)
        else:
            reply.set_result(value)
