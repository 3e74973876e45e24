"""How a process comes into a lab: it leads if nobody does, with a pool of its own; else it follows the leader.

Where the controller is to be a process of its own, this one never leads: it starts that process, unless there is one.
"""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from ..core.base.errors import HexdagError, LabInUse, Refused, StoreUnavailable
from ..core.machine.decide import decide
from ..core.machine.effects import Reply
from ..core.machine.state import RunState
from ..ports import Blobs, CommitRefused, ListedBlobs, Store
from ..runtime import wire
from ..runtime.controller import Controller
from ..runtime.keys import Keys
from ..runtime.pools import pool_of
from ..runtime.remote import Remote
from ..runtime.seal import Seal
from ..runtime.shipping import Shipping
from ..runtime.stores import owner_id, store_of
from ..worker.blobs import blobs_of
from .launch import Launch
from .places import home_of, key_of

LOOK_EVERY = 1.0  #: seconds between looks whether the process that was started still leads


class Entrance(NamedTuple):
    """All that it takes to lead: pool, workers, threads and standby as `Lab` was given them, and whether it may.

    region     where this process is, if the pool has regions
    label      what this process adds to its name when it leads: see `wire.SERVICE`
    ttl        seconds that its lease outlives it; None: as is usual
    launch     how the process that leads is started, if it is not this one
    grouping   whether short nodes may share a task of a Dask pool's
    place      the store's URL, where that means the same to other processes
    home       the folder of its key, and by default of its blobs;  temporary  the same, if it goes with this process
    """

    store: Store
    blobs: Blobs
    shipping: Shipping
    keys: Keys
    pool: Any
    workers: int | None
    threads: int
    standby: int
    may_lead: bool
    place: str
    home: Path
    temporary: tempfile.TemporaryDirectory[str] | None = None
    region: str = ""
    label: str = ""
    ttl: float | None = None
    launch: Launch | None = None
    grouping: bool = True

    @classmethod
    def of(
        cls, pool: Any, store: str | Store, blobs: Any, workers: int | None, threads: int, standby: int, may_lead: bool,
        **more: Any,
    ) -> Entrance:  # fmt: skip
        """As `Lab` is given them. Raises `ValueError` for a store or blobs that there are not."""
        opened = store_of(store)
        home, temporary = home_of(store)
        kept = blobs_of(blobs if blobs is not None else f"file://{home / 'blobs'}")
        shipping = Shipping(kept, Seal() if temporary else Seal.of_file(home / "key"))
        keys = Keys(None if temporary else home / "keys")
        place = key_of(store) if isinstance(store, str) and temporary is None else ""
        return cls(
            opened, kept, shipping, keys, pool, workers, threads, standby, may_lead, place, home, temporary, **more
        )

    @property
    def owner(self) -> str:
        """Who this process is when it leads."""
        return owner_id() + self.label

    async def enter(self, leader: bool | None) -> Controller | Remote:
        """Open the store, and lead or follow. Raises `LabInUse` if it has to lead and another process does."""
        await self.store.open()
        if self.launch is not None:
            await self.summon()
        controller = await self.lead(bool(leader)) if self.may_lead else None
        if controller is None and leader:
            holder = await self.store.holder(wire.LEADER)
            raise LabInUse(f"another process leads this lab ({holder}); end it, or open the lab with leader=False")
        return controller or Remote(self.store, self.shipping, self.keys, owner_id(), asyncio.get_running_loop())

    async def lead(self, insist: bool = False, wait_for_pool: bool | None = None) -> Controller | None:
        """A controller that leads, or None if another process does, or will in a moment: unless we `insist`."""
        if (holder := await self.store.holder(wire.LEADER)) is not None and holder != self.owner:
            return None
        if not insist and await self.store.holder(wire.STANDBY) is not None:
            return None
        await self._check_key()
        if self.place and isinstance(self.blobs, ListedBlobs):  # so that nobody sweeps them who knows other stores only
            await asyncio.to_thread(self.blobs.use_for, self.place)
        url = getattr(self.blobs, "url", None)
        made = pool_of(
            self.pool, workers=self.workers, threads=self.threads, standby=self.standby, blobs=url, region=self.region,
            grouping=self.grouping,
        )  # fmt: skip
        if hasattr(made, "blobs"):
            made.blobs = self.blobs
        controller = Controller(self.store, made, self.shipping, self.owner, self.keys, self.ttl)
        pools = self.pool.values() if isinstance(self.pool, Mapping) else (self.pool,)
        wait = "dask" not in pools if wait_for_pool is None else wait_for_pool
        return controller if await controller.open(wait_for_pool=wait) else None

    async def _check_key(self) -> None:
        """Whoever leads a lab has its key: two labs of one name would refuse each other's results and commands."""
        if self.temporary is not None:
            return
        print_ = self.shipping.key.mac("lab", "key").encode()
        known = await self.store.get(wire.LAB)
        if known is None and isinstance(await self.store.commit({wire.LAB: 0}, {wire.LAB: print_}), CommitRefused):
            known = await self.store.get(wire.LAB)
        if known is not None and known.data != print_:
            raise LabInUse(
                f"{getattr(self.store, 'where', self.store)} holds a lab with another key than the one in"
                f" {self.home / 'key'}: copy that lab's key there, or give this lab a name of its own, ?lab=NAME"
            )

    async def led(self) -> bool:
        """Whether any process leads, or waits to do so in a moment."""
        return await self.store.holder(wire.LEADER) is not None or await self.store.holder(wire.STANDBY) is not None

    async def served(self) -> bool:
        """Whether others may start runs here: a service leads, or will in a moment."""
        holder = await self.store.holder(wire.LEADER)
        return await self.led() if holder is None else holder.endswith(wire.SERVICE)

    async def summon(self) -> None:
        """Start the process that leads, if nobody does."""
        assert self.launch is not None
        if not await self.led():
            await self.launch.until(self.led)
        if not await self.served():
            holder = await self.store.holder(wire.LEADER)
            raise LabInUse(f"another process leads this lab, and for itself alone ({holder}); close it there first")

    async def look_after(self, busy: Callable[[], bool], fail: Callable[[Exception], None]) -> None:
        """Start the process that leads again, should it end while runs go on here; `fail` if that cannot be."""
        while True:
            await asyncio.sleep(LOOK_EVERY)
            try:
                if busy():
                    await self.summon()
            except StoreUnavailable:
                continue  # who reads the journal says so
            except HexdagError as error:
                return fail(error)


def refuse_unled(state: RunState, run: str, message: Any) -> None:
    """Nobody leads: raise what any leader would refuse, or else that there is none."""
    for effect in decide(state, message)[1]:
        if isinstance(effect, Reply) and isinstance(effect.value, Refused):
            raise effect.value
    text = "nobody leads this lab now, so nobody would answer"
    raise Refused(text, rule="no-leader", fix=f"lab.attach({run!r}), or: hexdag-lab attach {run}")
