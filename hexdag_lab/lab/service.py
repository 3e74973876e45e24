"""A lab that is led for others: what `hexdag-lab up` and `hexdag-lab standby` do.

A service goes on with every run that nobody leads, takes runs from whoever has the store and the lab's key, and asks no
agent that lives elsewhere. A standby waits until nobody leads, and then does the same.
"""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from ..core.base.errors import HexdagError, LabInUse
from ..ports import Store, StoreAway
from ..runtime import wire
from ..runtime.controller import Controller
from ..runtime.lead import SERVICE_SECONDS, holding
from ..runtime.stores import store_of
from .entrance import Entrance
from .launch import LEADS
from .live import Announcement
from .rows import GOING_ON, run_rows

LOOK_EVERY = 0.2  #: seconds between looks whether anybody leads
PATIENCE = 20.0  #: seconds for a service to end that was told to
AGAIN = 2.0  #: seconds until a standby that could not lead tries again


class Service:
    """Leads one lab until `stop`. `say(text)` tells whoever reads its log; `owner` is the person it goes on for.

    `announced` is made while it leads, and only then."""

    def __init__(
        self,
        entrance: Entrance,
        owner: str,
        say: Callable[[str], None],
        announced: Announcement,
        idle: float | None = None,
    ) -> None:
        self._entrance, self._owner, self._say, self._announced, self._idle = entrance, owner, say, announced, idle
        self._stopping = asyncio.Event()

    def stop(self) -> None:
        """Give the lead back; a standby takes it at once."""
        self._stopping.set()

    async def up(self) -> None:
        """Lead now, until `stop` or the lead is lost. Raises `LabInUse`, `StoreUnavailable`, `PoolUnavailable`."""
        store = self._entrance.store
        await store.open()
        try:
            controller = await self._entrance.lead(insist=True)
            if controller is None:
                holder = await store.holder(wire.LEADER)
                raise LabInUse(f"another process leads this lab ({holder}); `hexdag-lab standby` waits for its end")
            if (why := await self._lead(controller)) is not None:
                raise why
        finally:
            await store.close()

    async def standby(self) -> None:
        """Lead as often as nobody does, until `stop`. Raises `StoreUnavailable` if there is no store at the start."""
        store = self._entrance.store
        await store.open()
        try:
            while not self._stopping.is_set():
                controller = await self._wait_to_lead()
                if controller is not None and (why := await self._lead(controller)) is not None:
                    self._say(f"{why}")
                    if not isinstance(why, LabInUse):
                        await self._pause(AGAIN)
        finally:
            await store.close()

    async def _wait_to_lead(self) -> Controller | None:
        """A controller that leads, once nobody else does; None if it has to stop before."""
        self._say("stands by until nobody leads")
        away = False
        async with holding(
            self._entrance.store, wire.STANDBY, self._entrance.owner, self._entrance.ttl or SERVICE_SECONDS
        ):
            while not self._stopping.is_set():
                try:
                    controller = await self._entrance.lead(insist=True, wait_for_pool=False)
                    if controller is not None:
                        return controller
                    away = False
                except StoreAway as error:
                    if not away:
                        self._say(f"{error}")
                    away = True
                await self._pause(LOOK_EVERY)
        return None

    async def _pause(self, seconds: float) -> None:
        """Wait, but not after `stop`."""
        try:
            async with asyncio.timeout(seconds):
                await self._stopping.wait()
        except TimeoutError:
            pass

    async def _lead(self, controller: Controller) -> Exception | None:
        """Lead until there is an end to it: None if it was asked for, else why."""
        self._announced.made(True)
        adopting = asyncio.create_task(self._adopt(controller))
        ended = asyncio.create_task(controller.ended())
        stopping = asyncio.create_task(self._stop_or_idle(controller))
        try:
            await asyncio.wait([ended, stopping], return_when=asyncio.FIRST_COMPLETED)
            if ended.done():
                return ended.result()
            await controller.close()
            return None
        finally:
            self._announced.taken_back()
            for task in (adopting, ended, stopping):
                task.cancel()

    async def _adopt(self, controller: Controller) -> None:
        """Go on with all runs that have not ended; one that cannot be read stops no other."""
        going_on = []
        for row in await run_rows(self._entrance.store, set()):
            if row.status in GOING_ON:
                try:
                    await controller.adopt(row.id, self._owner)
                    going_on.append(row.id)
                except HexdagError as error:
                    self._say(f"run {row.id} cannot go on: {error}")
        runs = f", and goes on with {', '.join(going_on)}" if going_on else ""
        self._say(f"{LEADS}{runs}")

    async def _stop_or_idle(self, controller: Controller) -> None:
        """Until it is to stop, or there has been nothing to do for long."""
        if self._idle is None:
            await self._stopping.wait()
            return
        busy_at = time.monotonic()
        while not self._stopping.is_set():
            busy_at = time.monotonic() if controller.runs() else max(busy_at, controller.heard_at)
            if time.monotonic() - busy_at > self._idle:
                self._say(f"nothing to do for {self._idle:g} s")
                return
            await self._pause(min(1.0, self._idle / 4))


async def leader_of(store: str) -> str | None:
    """Who leads the lab in a store: "host:pid:…", or None."""
    async with _opened(store) as found:
        return await found.holder(wire.LEADER)


async def end(store: str, holder: str) -> None:
    """End the process that leads, and wait for it. Raises `HexdagError` if it is on another host, or does not end."""
    host, pid = holder.split(":")[:2]
    if host != socket.gethostname():
        raise HexdagError(f"the service is process {pid} on {host}: end it there")
    os.kill(int(pid), signal.SIGTERM)
    async with _opened(store) as found:
        for _ in range(int(PATIENCE / LOOK_EVERY)):
            if await found.holder(wire.LEADER) != holder:
                return
            await asyncio.sleep(LOOK_EVERY)
    raise HexdagError(f"process {pid} has been told to end, and still leads after {PATIENCE:g} s")


@asynccontextmanager
async def _opened(store: str) -> AsyncIterator[Store]:
    found = store_of(store)
    await found.open()
    try:
        yield found
    finally:
        await found.close()
