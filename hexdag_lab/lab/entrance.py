"""How a process comes into a lab: it leads if nobody does, with a pool of its own; else it follows the leader."""

from __future__ import annotations

import asyncio
from typing import Any, NamedTuple

from ..core.base.errors import LabInUse, Refused
from ..core.machine.decide import decide
from ..core.machine.effects import Reply
from ..core.machine.state import RunState
from ..ports import Blobs, Store
from ..runtime import wire
from ..runtime.controller import Controller
from ..runtime.keys import Keys
from ..runtime.pools import pool_of
from ..runtime.remote import Remote
from ..runtime.shipping import Shipping
from ..runtime.stores import owner_id


class Entrance(NamedTuple):
    """All that it takes to lead: pool, workers, threads and standby as `Lab` was given them, and whether it may."""

    store: Store
    blobs: Blobs
    shipping: Shipping
    keys: Keys
    pool: Any
    workers: int | None
    threads: int
    standby: int
    may_lead: bool

    async def enter(self, leader: bool | None) -> Controller | Remote:
        """Open the store, and lead or follow. Raises `LabInUse` if it has to lead and another process does."""
        await self.store.open()
        controller = await self.lead() if self.may_lead else None
        if controller is None and leader:
            holder = await self.store.holder(wire.LEADER)
            raise LabInUse(f"another process leads this lab ({holder}); end it, or open the lab with leader=False")
        return controller or Remote(self.store, self.shipping, asyncio.get_running_loop())

    async def lead(self) -> Controller | None:
        """A controller that leads, or None if another process does."""
        if (holder := await self.store.holder(wire.LEADER)) is not None and holder != owner_id():
            return None
        url = getattr(self.blobs, "url", None)
        made = pool_of(self.pool, workers=self.workers, threads=self.threads, standby=self.standby, blobs=url)
        if hasattr(made, "blobs"):
            made.blobs = self.blobs
        controller = Controller(self.store, made, self.shipping, owner_id(), self.keys)
        return controller if await controller.open(wait_for_pool=self.pool != "dask") else None


def refuse_unled(state: RunState, run: str, message: Any) -> None:
    """Nobody leads: raise what any leader would refuse, or else that there is none."""
    for effect in decide(state, message)[1]:
        if isinstance(effect, Reply) and isinstance(effect.value, Refused):
            raise effect.value
    text = "nobody leads this lab now, so nobody would answer"
    raise Refused(text, rule="no-leader", fix=f"lab.attach({run!r}), or: hexdag-lab attach {run}")
