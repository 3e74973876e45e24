"""The one door in: whoever wants something puts a message here, from any thread, and goes on."""

from __future__ import annotations

import asyncio
from collections import deque
from concurrent.futures import Future
from typing import Any, NamedTuple


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

    def put(self, item: Item) -> None:
        """Add an item: from any thread; returns at once."""
        self._items.append(item)
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._there.set)

    async def take(self, timeout: float | None) -> list[Item]:
        """All items that are there, or those that come within `timeout` seconds; may be empty."""
        if not self._items:
            self._there.clear()
            if not self._items:
                try:
                    await asyncio.wait_for(self._there.wait(), timeout)
                except TimeoutError:
                    return []
        taken = []
        while self._items:
            taken.append(self._items.popleft())
        return taken
