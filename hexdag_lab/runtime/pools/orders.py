"""`Orders`: what workers of a Dask cluster are told beside their tasks: that they may go on from a safe point, or may
not, and what is not to begin.

Nobody waits until a worker has heard; one that is frozen or gone keeps no other one waiting.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Iterable
from contextlib import suppress
from functools import partial
from typing import Any

from ...core.machine.effects import Answer
from ...worker.bundle import take_back
from ...worker.dask import hear_answers, held_keys
from ...worker.holding import hold
from .link import Link
from .roster import Attempt, Roster

_log = logging.getLogger(__name__)


class Orders:
    """For one lab, known by its topic."""

    def __init__(self, link: Link, roster: Roster, topic: str) -> None:
        self._link, self._roster, self._topic = link, roster, topic
        self._answers: dict[str, list[tuple[str, str, int, int, bool]]] = {}  # by worker, what it is told next
        self._answering: set[str] = set()
        self.held: set[Attempt] = set()  #: are not to begin, nor to begin again, and have not ended
        self.under_way: set[asyncio.Task[Any]] = set()

    def answer(self, run: str, answer: Answer) -> None:
        """Tell an attempt whether to go on from its safe point. It asks again if it does not hear that."""
        said = (run, answer.node, answer.fence, answer.number, answer.go_on)
        self._answers.setdefault(answer.worker, []).append(said)
        if answer.worker not in self._answering:  # else it goes along with what that worker is told next
            self._answering.add(answer.worker)
            self.begin(self._answer(answer.worker))

    async def _answer(self, worker: str) -> None:
        try:
            while said := self._answers.pop(worker, None):
                if address := self._roster.address(worker):
                    await self._tell(partial(hear_answers, said), [address])
        finally:
            self._answering.discard(worker)

    async def take_back(self, attempts: list[Attempt], addresses: list[str] | None = None) -> list[Attempt]:
        """Keep attempts in bundles from beginning on some workers, or on all. Which of them waited there to begin."""
        said = await self._tell(partial(take_back, attempts), addresses)
        return [tuple(attempt) for waiting in said.values() for attempt in waiting]

    def hold(self, attempts: Iterable[Attempt]) -> None:
        """Keep attempts from beginning, on workers that are there, and on those that come."""
        self.held.update(attempts)
        self.begin(self._hold(list(self.held)))

    async def _hold(self, attempts: list[Attempt]) -> None:
        with suppress(OSError):  # where there is no scheduler, nothing begins
            await self._link.publish(held_keys(self._topic), attempts)
        await self._tell(partial(hold, self._topic, attempts))

    def begin(self, telling: Coroutine[Any, Any, Any]) -> None:
        """Do something that nobody waits for."""
        task = asyncio.create_task(telling)
        self.under_way.add(task)
        task.add_done_callback(self.under_way.discard)

    async def _tell(self, what: Callable[[], Any], addresses: list[str] | None = None) -> dict[str, Any]:
        """What some workers, or all, say to something, by address; nothing if one of them does not answer."""
        try:
            return await self._link.on_workers(what, addresses)
        except (OSError, TimeoutError) as error:
            _log.info("workers do not hear what they are told: %s", error)
            return {}
