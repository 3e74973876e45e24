"""`Sections`: holds the leases of critical sections that the runs led here claim (`@node(exclusive="warehouse")`).

It follows the states: what a state claims is taken as soon as it is free, renewed, and given back when the claim ends,
however the attempt ended. Leases are of the store, under names that all its labs share. With each goes a mark, put
under the lease; the commit that journals the result guards the mark's revision. So a result that comes after somebody
else has taken the lease is refused in its own commit, whatever the clocks say.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

from ..core.base.errors import StoreUnavailable
from ..core.machine import messages as ms
from ..core.machine.state import RunState
from ..core.runs.claim import Claim
from ..ports import CommitRefused, Lease, Store
from . import wire
from .lead import GuardFailed
from .thread import cancelled

TTL = 15.0  #: seconds that a dead holder keeps others out
LOOK_EVERY = 0.25  #: seconds between looks at a lease that another lab holds
_log = logging.getLogger(__name__)

Key = tuple[str, str, int]
"""A claim: run, node, and the seq of the event that made it."""


class Section(NamedTuple):
    """A lease that is held, and the revision of its mark."""

    lease: Lease
    rev: int


class Sections:
    """The critical sections of one controller. `put` tells it what becomes of a claim."""

    def __init__(self, store: Store, owner: str, put: Callable[[str, Any], None], ttl: float = TTL) -> None:
        self._store, self._owner, self._put, self._ttl = store, owner, put, ttl
        self._tasks: dict[Key, asyncio.Task[None]] = {}
        self._held: dict[Key, Section] = {}
        self._freed = asyncio.Event()
        self._leaving: set[asyncio.Task[None]] = set()

    def follow(self, run: str, state: RunState) -> None:
        """This is the state of a run now: take what it claims, give back what it claims no more."""
        claimed = {(run, node, claim.seq): claim for node, claim in state.claims.items()}
        for key in [key for key in self._tasks if key[0] == run and key not in claimed]:
            leaving = asyncio.create_task(self._leave(key, self._tasks.pop(key)))
            self._leaving.add(leaving)
            leaving.add_done_callback(self._leaving.discard)
        for key, claim in claimed.items():
            if key not in self._tasks:
                self._tasks[key] = asyncio.create_task(self._keep(key, claim))

    def guards(self, run: str, state: RunState, nodes: Iterable[str]) -> dict[str, int]:
        """What has to hold for the results of some nodes: nobody else has held their leases meanwhile. Raises
        `GuardFailed` where that is known already."""
        found = {}
        for node in nodes:
            if (claim := state.claims.get(node)) is None:
                continue
            key = wire.section(claim.name)
            if (section := self._held.get((run, node, claim.seq))) is None:
                raise GuardFailed(key)
            found[key] = section.rev
        return found

    async def close(self) -> None:
        """Give back all leases."""
        for key, task in list(self._tasks.items()):
            await self._leave(key, task)
        self._tasks.clear()

    async def _leave(self, key: Key, task: asyncio.Task[None]) -> None:
        await cancelled([task])
        section = self._held.pop(key, None)
        if section is not None:
            try:
                await self._store.release(section.lease)
            except StoreUnavailable as error:
                _log.warning("the lease %r could not be given back, and ends by itself: %s", section.lease.name, error)
        self._freed.set()  # somebody here may wait for it
        self._freed = asyncio.Event()

    async def _keep(self, key: Key, claim: Claim) -> None:
        """Take the lease and keep it, until this is cancelled, or it is somebody else's."""
        (run, node, seq), taken = key, False
        while True:
            try:
                if not taken:
                    await self._take(key, claim)
                    taken = True
                    self._put(run, ms.LeaseTaken(time.time(), node, seq))
                await asyncio.sleep(self._ttl / 3)
                if key not in self._held:
                    break
                if not await self._renewed(key):
                    self._held.pop(key, None)
                    self._put(run, ms.LeaseLost(time.time(), node, seq))
                    break
            except StoreUnavailable as error:
                _log.warning("run %s: the lease %r cannot be looked after just now: %s", run, claim.name, error)
                await asyncio.sleep(LOOK_EVERY)

    async def _take(self, key: Key, claim: Claim) -> None:
        run, node, seq = key
        name, owner, told = wire.section(claim.name), f"{self._owner}:{run}/{node}", ""
        while True:
            freed = self._freed
            lease = await self._store.acquire(name, owner, self._ttl)
            if lease is not None:
                self._held[key] = Section(lease, 0)  # so that it is given back if we are cancelled here
                rev = await self._store.commit(puts={name: owner.encode()}, fence=lease)
                if not isinstance(rev, CommitRefused):
                    self._lose_others(key, name)
                    self._held[key] = Section(lease, rev)
                    return
                del self._held[key]
                continue
            holder = in_words(await self._store.holder(name))
            if holder != told:
                self._put(run, ms.LeaseBusy(time.time(), node, seq, holder))
                told = holder
            await _within(freed, LOOK_EVERY)

    def _lose_others(self, key: Key, name: str) -> None:
        """Whoever had the lease here before has lost it, though it may not have noticed: it slept too long."""
        for other, section in list(self._held.items()):
            if other != key and section.lease.name == name:
                del self._held[other]
                self._put(other[0], ms.LeaseLost(time.time(), other[1], other[2]))

    async def _renewed(self, key: Key) -> bool:
        """Whether the section is ours still; also if the lease ended while we slept, and nobody else has taken it."""
        section = self._held[key]
        if await self._store.renew(section.lease):
            return True
        lease = await self._store.acquire(section.lease.name, section.lease.owner, self._ttl)
        if lease is None:
            return False
        mark = await self._store.get(section.lease.name)
        if mark is None or mark.rev != section.rev:
            await self._store.release(lease)
            return False
        self._held[key] = section._replace(lease=lease)
        return True


def claims_of(state: RunState, key: str) -> list[tuple[str, Claim]]:
    """The nodes of a run that hold the lease whose mark is under a key, and their claims."""
    return [(node, c) for node, c in state.claims.items() if c.held and wire.section(c.name) == key]


def in_words(holder: str | None) -> str:
    """Who holds a lease, for people: "run-2/load of host"; the owner is "host:pid:start:space:run/node"."""
    host, _, rest = (holder or "").partition(":")
    what = rest.rpartition(":")[2]
    return f"{what} of {host}" if what and host else holder or "somebody"


async def _within(event: asyncio.Event, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        return


def results_of(events: Mapping[str, list[Any]]) -> dict[str, list[str]]:
    """The nodes that have succeeded, by run."""
    return {run: [e.node for e in found if e.kind == "NodeSucceeded"] for run, found in events.items()}
