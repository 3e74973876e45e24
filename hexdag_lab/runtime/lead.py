"""`Lead`: the right of one process to lead a lab. It is a lease in the store, and every commit is fenced with it.

A process that was away for longer than its lease lasts, as a laptop that slept, takes it again if nobody else has led
meanwhile; a mark that each leader leaves tells. Otherwise it has to step down.
"""

from __future__ import annotations

import asyncio
import logging

from ..core.base.errors import LabInUse, StoreUnavailable
from ..ports import CommitRefused, Lease, Store
from . import wire

LEASE_SECONDS = 15.0
_log = logging.getLogger(__name__)


class Lead:
    """The lease on the lead, for one owner."""

    def __init__(self, store: Store, owner: str) -> None:
        self._store, self.owner = store, owner
        self._mark = b""
        self.lease: Lease | None = None

    async def take(self) -> bool:
        """Whether the lead is ours now; not, if another live process has it."""
        self.lease = await self._store.acquire(wire.LEADER, self.owner, LEASE_SECONDS)
        return self.lease is not None and await self._leave_mark()

    async def regain(self) -> bool:
        """Take an expired lease again, unless somebody else leads, or has led meanwhile."""
        if not await self._untouched():
            return False
        lease = await self._store.acquire(wire.LEADER, self.owner, LEASE_SECONDS)
        if lease is None:
            return False
        if not await self._untouched():
            await self._store.release(lease)
            return False
        self.lease = lease
        return await self._leave_mark()

    async def keep(self) -> None:
        """Renew the lease for ever; raises `LabInUse` when it is somebody else's."""
        while True:
            await asyncio.sleep(LEASE_SECONDS / 3)
            try:
                lease = self.lease
                if lease is not None and not await self._store.renew(lease) and lease is self.lease:
                    await self.insist()
            except StoreUnavailable as error:
                _log.warning("the lease could not be renewed: %s", error)

    async def insist(self) -> None:
        """Have the lead again, or raise `LabInUse`."""
        if not await self.regain():
            raise LabInUse(
                "another process leads this lab now; this one was away too long and has stepped down. "
                "Lab() gives a remote handle"
            )

    async def give_back(self) -> None:
        """Let somebody else lead, if the store can be told."""
        lease, self.lease = self.lease, None
        if lease is not None:
            try:
                await self._store.release(lease)
            except StoreUnavailable as error:
                _log.warning("the lease could not be given back, and ends by itself: %s", error)

    async def _leave_mark(self) -> bool:
        assert self.lease is not None
        self._mark = f"{self.owner} {self.lease.token}".encode()
        revision = await self._store.commit(puts={wire.LED: self._mark}, fence=self.lease)
        return not isinstance(revision, CommitRefused)

    async def _untouched(self) -> bool:
        """Whether we were the last to take the lead."""
        mark = await self._store.get(wire.LED)
        return mark is not None and mark.data == self._mark
