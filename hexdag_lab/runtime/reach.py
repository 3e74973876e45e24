"""A store that may be out of reach, for what may as well be asked later: an edit of a draft, say.

Once it did not answer nobody waits for it: it is looked for, apart, and asked again when it is back. What must not be
put off has the store itself, with its patience.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from ..core.base.errors import StoreUnavailable
from ..ports import Store, StoreAway
from . import wire

LOOK_EVERY = 0.5  #: seconds between looks
LOOK_AGAIN = 1.0  #: seconds for an answer when there was none
AWAY = "the store does not answer; it is looked for"
T = TypeVar("T")

Asked = Callable[[Callable[[Store], Awaitable[Any]]], Awaitable[Any]]
"""`Reach.asked`."""


class Reach:
    """All of it is for one event loop. `patience`: seconds for an answer; None: as long as the store itself tries."""

    def __init__(self, store: Store, patience: float | None = None) -> None:
        self._store, self._patience = store, patience
        self._looking: asyncio.Task[None] | None = None

    async def asked(self, work: Callable[[Store], Awaitable[T]]) -> T:
        """What the store says. Raises `StoreAway` if it does not answer, and without asking until it is found."""
        if self._looking is not None:
            raise StoreAway(AWAY)
        try:
            async with asyncio.timeout(self._patience):
                return await work(self._store)
        except StoreAway:
            self.lost()
            raise
        except TimeoutError as error:
            self.lost()
            raise StoreAway(AWAY) from error

    def lost(self) -> None:
        """It did not answer: look for it."""
        if self._looking is None:
            self._looking = asyncio.create_task(self._look())

    async def _look(self) -> None:
        found = False
        while not found:
            await asyncio.sleep(LOOK_EVERY)
            try:
                async with asyncio.timeout(LOOK_AGAIN):
                    await self._store.get(wire.REGIONS)  # any key does
                    found = True
            except (StoreUnavailable, TimeoutError):
                pass
        self._looking = None
