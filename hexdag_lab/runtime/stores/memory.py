"""`MemoryStore`: the store contract inside one process, for tests, demos and runs that nobody will resume.

`memory://name` gives the same instance to everybody in the process who asks for that name, so that a second
lab can attach to it. It survives no end of the process; closing it keeps its content for whoever opens it
next.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Mapping, Sequence
from threading import Lock
from typing import NamedTuple

from ...ports import CommitRefused, Durability, Lease, Limits, Row, Value
from . import LARGEST, Bell, check_sizes, heard, process_gone

_NAMED: dict[str, MemoryStore] = {}
_NAMING = Lock()


def named(name: str) -> MemoryStore:
    """The one store of that name in this process."""
    with _NAMING:
        return _NAMED.setdefault(name, MemoryStore())


class _Held(NamedTuple):
    owner: str
    token: int
    expires: float


class MemoryStore:
    """A store in dictionaries behind one lock; any thread and any event loop may use it."""

    durability: Durability = Durability(crash=False, power=False, failover=False)
    limits: Limits = Limits(LARGEST)

    def __init__(self) -> None:
        self._lock = Lock()
        self._bell = Bell()
        self._values: dict[str, Value] = {}
        self._streams: dict[str, list[Row]] = {}
        self._leases: dict[str, _Held] = {}
        self._rev = 0

    async def open(self) -> None:
        """Nothing to do."""

    async def close(self) -> None:
        """Nothing to do: another user of the same store may go on."""

    async def get(self, key: str) -> Value | None:
        """The value under a key, or None."""
        with self._lock:
            return self._values.get(key)

    async def commit(
        self,
        guards: Mapping[str, int] = {},
        puts: Mapping[str, bytes | None] = {},
        append: Mapping[str, Sequence[bytes]] = {},
        fence: Lease | None = None,
    ) -> int | CommitRefused:
        """All of it, or nothing and why."""
        check_sizes(self.limits, guards, puts, append)
        await asyncio.sleep(0)  # others get a turn, as with a store that really waits
        with self._lock:
            refused = self._refusal(guards, fence)
            if refused is not None:
                return refused
            self._rev += 1
            for key, data in puts.items():
                if data is None:
                    self._values.pop(key, None)
                else:
                    self._values[key] = Value(bytes(data), self._rev)
            for stream, rows in append.items():
                log = self._streams.setdefault(stream, [])
                log.extend(Row(seq, bytes(data)) for seq, data in enumerate(rows, log[-1].seq + 1 if log else 1))
            rev = self._rev
        self._bell.ring(append)
        return rev

    def _refusal(self, guards: Mapping[str, int], fence: Lease | None) -> CommitRefused | None:
        if fence is not None and not self._holds(fence):
            return CommitRefused("fence", fence.name)
        for key, wanted in guards.items():
            found = self._values.get(key)
            if (found.rev if found else 0) != wanted:
                return CommitRefused("guard", key)
        return None

    async def read(self, stream: str, after: int = 0, limit: int = 1000) -> list[Row]:
        """The rows after `after`, at most `limit`."""
        with self._lock:
            log = self._streams.get(stream, [])
            first = log[0].seq if log else 1
            return log[max(after + 1 - first, 0) :][:limit]

    async def trim(self, stream: str, upto: int) -> None:
        """Let go of rows up to `upto`, but for the last one of all."""
        with self._lock:
            log = self._streams.get(stream)
            if log:
                del log[: max(min(upto, log[-1].seq - 1) + 1 - log[0].seq, 0)]

    async def watch(self, stream: str, after: int = 0) -> AsyncGenerator[Row, None]:
        """The rows after `after`, for ever."""
        with self._bell.listening(stream) as rung:
            while True:
                rows = await self.read(stream, after)
                for row in rows:
                    after = row.seq
                    yield row
                if not rows:
                    await heard(rung, 1.0)

    async def acquire(self, name: str, owner: str, ttl: float) -> Lease | None:
        """The lease, unless another holder is alive."""
        with self._lock:
            held = self._current(name)
            if held is not None and held.owner != owner and not process_gone(held.owner):
                return None
            self._rev += 1  # tokens are revisions, so that they grow whatever becomes of a lease
            self._leases[name] = _Held(owner, self._rev, time.monotonic() + ttl)
            return Lease(name, owner, self._rev, ttl)

    async def renew(self, lease: Lease) -> bool:
        """Whether it was still held; then it is, for another ttl."""
        with self._lock:
            if not self._holds(lease):
                return False
            self._leases[lease.name] = _Held(lease.owner, lease.token, time.monotonic() + lease.ttl)
            return True

    async def release(self, lease: Lease) -> None:
        """Give it back, if it is still this one."""
        with self._lock:
            if self._holds(lease):
                del self._leases[lease.name]

    async def holder(self, name: str) -> str | None:
        """Who holds the lease and is alive."""
        with self._lock:
            held = self._current(name)
        return None if held is None or process_gone(held.owner) else held.owner

    def _current(self, name: str) -> _Held | None:
        held = self._leases.get(name)
        return held if held is not None and time.monotonic() < held.expires else None

    def _holds(self, lease: Lease) -> bool:
        held = self._current(lease.name)
        return held is not None and held.token == lease.token
