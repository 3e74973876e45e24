"""`Lead`: the right of one process to lead a lab. It is a lease in the store, and every commit is fenced with it.

Each commit also leaves a mark, "owner token number", guarded by the revision of the mark before. It tells two things.
After an answer that was lost, whether the commit was done: a store that is away is waited for, and nothing is journaled
twice. And for a process that was away for longer than its lease lasts, as a laptop that slept, whether nobody else has
led meanwhile: then it takes the lease again. Otherwise it has to step down.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any

from ..core.base.codec import loads
from ..core.base.errors import LabInUse, StoreUnavailable
from ..ports import CommitRefused, Lease, Store, StoreAway
from . import wire
from .thread import cancelled

LEASE_SECONDS = 15.0  #: while a lab is led in a notebook, which may be busy
SERVICE_SECONDS = 5.0  #: in a process that does nothing else
AGAIN = 0.5  #: seconds between looks for a store that is away
_log = logging.getLogger(__name__)


class GuardFailed(Exception):
    """A commit did nothing, since a key that it depends on is somebody else's now."""

    def __init__(self, key: str) -> None:
        super().__init__(f"{key} was changed by somebody else")
        self.key = key


class Lead:
    """The lease on the lead, for one owner; it outlives a silent one by `ttl` seconds."""

    def __init__(self, store: Store, owner: str, ttl: float | None = None) -> None:
        self._store, self.owner, self._ttl = store, owner, LEASE_SECONDS if ttl is None else ttl
        self._rev = self._number = 0  # of the last mark
        self._turn = asyncio.Lock()
        self.lease: Lease | None = None

    async def take(self) -> bool:
        """Whether the lead is ours now; not, if another live process has it."""
        self.lease = await self._store.acquire(wire.LEADER, self.owner, self._ttl)
        return self.lease is not None and await self._leave_mark()

    async def regain(self) -> bool:
        """Take an expired lease again, unless somebody else leads, or has led meanwhile."""
        if not await self._untouched():
            return False
        lease = await self._store.acquire(wire.LEADER, self.owner, self._ttl)
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
            await asyncio.sleep(self._ttl / 3)
            try:
                lease = self.lease
                if lease is not None and not await self._store.renew(lease):
                    async with self._turn:  # a commit in doubt is told by its mark, which must stay until then
                        await self._insist(lease)
            except StoreUnavailable as error:
                _log.warning("the lease could not be renewed: %s", error)

    async def commit(
        self,
        puts: Mapping[str, bytes | None],
        append: Mapping[str, Sequence[bytes]],
        guards: Mapping[str, int] = {},
    ) -> None:
        """Commit under the lease, once, however long the store is away. Raises `LabInUse`, what a store refuses, and
        `GuardFailed` if a key has not the revision that it should have; then nothing is done."""
        away = False
        async with self._turn:
            mark = self._next_mark()
            while True:
                try:
                    if await self._committed(mark, puts, append, guards):
                        break
                except StoreAway as error:
                    if not away:
                        _log.warning("runs wait, and go on when their store is back: %s", error)
                    away = True
                    await asyncio.sleep(AGAIN)
        if away:
            _log.warning("the store is back, and runs go on")

    async def _committed(
        self,
        mark: bytes,
        puts: Mapping[str, bytes | None],
        append: Mapping[str, Sequence[bytes]],
        guards: Mapping[str, int],
    ) -> bool:
        lease, guarded = self.lease, {wire.LED: self._rev, **guards}
        answer = await self._store.commit(guarded, {**puts, wire.LED: mark}, append, lease)
        if isinstance(answer, CommitRefused):
            led = await self._store.get(wire.LED)
            if led is None or led.data != mark:
                if answer.kind == "guard" and answer.key in guards:
                    raise GuardFailed(answer.key)
                await self._insist(lease)  # it did nothing, so it can be done under another lease
                return False
            answer = led.rev  # done before, and the answer was lost
        self._rev = answer
        return True

    async def _insist(self, lost: Lease | None) -> None:
        """Have the lead again, or raise `LabInUse`."""
        if self.lease is lost and not await self.regain():
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

    def _next_mark(self) -> bytes:
        assert self.lease is not None
        self._number += 1
        return f"{self.owner} {self.lease.token} {self._number}".encode()

    async def _leave_mark(self) -> bool:
        revision = await self._store.commit(puts={wire.LED: self._next_mark()}, fence=self.lease)
        if isinstance(revision, CommitRefused):
            return False
        self._rev = revision
        return True

    async def _untouched(self) -> bool:
        """Whether we were the last to lead; under which lease does not matter, nor whether we were told."""
        led = await self._store.get(wire.LED)
        return led is not None and led.data.startswith(f"{self.owner} ".encode())


@asynccontextmanager
async def holding(store: Store, name: str, owner: str, ttl: float) -> AsyncIterator[None]:
    """Hold a lease for as long as the block lasts, so that others can see that this process lives. While somebody else
    has it, or the store is away, it is tried again."""
    lease: list[Lease] = []
    await _renewed(store, name, owner, ttl, lease)
    task = asyncio.create_task(_hold(store, name, owner, ttl, lease))
    try:
        yield
    finally:
        await cancelled([task])
        for held in lease:
            with suppress(StoreUnavailable):  # then it ends by itself
                await store.release(held)


async def _hold(store: Store, name: str, owner: str, ttl: float, lease: list[Lease]) -> None:
    while True:
        await asyncio.sleep(ttl / 3)
        await _renewed(store, name, owner, ttl, lease)


async def _renewed(store: Store, name: str, owner: str, ttl: float, lease: list[Lease]) -> None:
    """Hold it for another ttl, if nobody else does."""
    try:
        if not lease or not await store.renew(lease[0]):
            taken = await store.acquire(name, owner, ttl)
            lease[:] = [taken] if taken is not None else []
    except StoreUnavailable as error:
        _log.warning("the lease %r could not be renewed: %s", name, error)


async def said_by_leader(store: Store, key: str) -> list[Any]:
    """The rows that the leader has written down under `key`, as `(owner, rows)`; none of a leader that is gone."""
    leader, found = await store.holder(wire.LEADER), await store.get(key)
    if leader is None or found is None:
        return []
    owner, rows = loads(found.data)
    return list(rows) if owner == leader else []
