"""`ServerStore`: what stores behind a server share: patience, commits that are done once, watches that go on.

A server can be away, and an answer can be lost on its way, so that nobody knows whether a commit was done. Each store
here therefore has a key of its own, its slot. Every commit puts a fresh mark there, guarded by the revision that the
last one left. After a lost answer the slot is read: it holds the mark, or else the commit is sent again under the
guard; a first copy that arrives late fails on it. So `commit` is done once for as long as it tries. If it gives up and
raises, the caller knows what the port says, and no more.

A backend has the methods that begin with "_" at the end of the class. Each asks the server once, and raises
`Unanswered` if it is not known whether that was done.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from typing import Any, NamedTuple, TypeVar, TypeVarTuple
from urllib.parse import SplitResult, parse_qs, unquote, urlsplit

from ...core.base.errors import StoreUnavailable
from ...ports import SHARED, CommitRefused, Durability, Lease, Limits, Row, StoreAway, Value
from . import check_sizes, process_gone

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

LAB = "hexdag"  #: the name of a lab that is given none
ALL = "*"  #: in place of a lab's name: where what all labs of a server share is
OPENING = 2.5  #: seconds that `open` tries; with the last request it stays below 5
PATIENCE = 3.0  #: seconds that any other call tries, then it raises
REQUEST = 1.5  #: seconds for one request: well below what callers wait, so that there is time for another server
HINT = 1.0  #: seconds that a watcher waits for a hint before it looks by itself
WORTH_A_WORD = 4  #: failures in a row of a watcher; fewer are one server of several
BATCH = 1000  #: rows that a watcher reads at once
_log = logging.getLogger(__name__)


class Unanswered(Exception):
    """No answer, or none that tells: the server may have done what it was asked, or not."""


class Held(NamedTuple):
    """A lease as the server has it; `handle` is the server's own name for it."""

    owner: str
    token: int
    handle: str = ""


class Address(NamedTuple):
    """What a store's URL says: "scheme://user:password@host:port,host:port/path?lab=name"."""

    scheme: str
    hosts: tuple[str, ...]
    user: str
    password: str
    path: str
    lab: str

    @classmethod
    def of(cls, url: str, port: int) -> Address:
        """Raises `ValueError` that says how to write it."""
        parts: SplitResult = urlsplit(url)
        login, _, hosts = parts.netloc.rpartition("@")
        user, _, password = login.partition(":")
        options = parse_qs(parts.query)
        lab = options.pop("lab", [LAB])[-1]
        if options or not hosts or not lab.strip("/") or lab == ALL:
            shown = f"{parts.scheme}://{hosts}"
            raise ValueError(f"{shown} is no store: write {parts.scheme}://host:{port}, and ?lab=NAME for a second lab")
        named = tuple(host if host.rpartition(":")[2].isdecimal() else f"{host}:{port}" for host in hosts.split(","))
        return cls(parts.scheme, named, unquote(user), unquote(password), parts.path.strip("/"), lab)


class ServerStore(ABC):
    """A store behind a server. It belongs to the event loop in which it was opened."""

    limits: Limits
    durability: Durability = Durability(crash=False, power=False, failover=False)  # known once it is open

    def __init__(self, where: str, lab: str) -> None:
        self.where = where if lab == LAB else f"{where}?lab={lab}"  # for messages: without the password
        self._lab = f"{lab}/"
        self._slot = f"once/{secrets.token_hex(8)}"
        self._rev: int | None = 0
        self._turn = asyncio.Lock()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.where!r})"

    # life

    async def open(self) -> None:
        """Reach a server, and look whether it will do."""
        self._turn = asyncio.Lock()
        try:
            await self._patiently(OPENING, self._connect)
        except BaseException:
            await self._hang_up()
            raise

    async def close(self) -> None:
        """Hang up."""
        await self._hang_up()

    async def _patiently(self, seconds: float, call: Callable[[*Ts], Awaitable[T]], *args: *Ts) -> T:
        """Call until there is an answer; `StoreUnavailable` if there is none in time."""
        clock = asyncio.get_running_loop().time
        give_up, pause = clock() + seconds, 0.02
        while True:
            try:
                return await call(*args)
            except Unanswered as error:
                if clock() + pause > give_up:
                    advice = "is it running, and the address right?"
                    raise StoreAway(f"the store {self.where} does not answer: {error}; {advice}") from None
            await asyncio.sleep(pause)
            pause = min(2 * pause, 0.25)

    def _unavailable(self, what: str, advice: str) -> StoreUnavailable:
        return StoreUnavailable(f"the store {self.where} {what}; {advice}")

    def _place(self, kind: str, name: str) -> str:
        """Where a key or a lease is: in the lab's own part of the server, or in what all labs share."""
        lab = f"{ALL}/" if name.startswith(SHARED) else self._lab
        return f"{lab}{kind}/{name}"

    def _closed(self) -> StoreUnavailable:
        return self._unavailable("is not open", "`await store.open()` first")

    # values and rows

    async def get(self, key: str) -> Value | None:
        """The value under a key, or None."""
        return await self._patiently(PATIENCE, self._get, key)

    async def commit(
        self,
        guards: Mapping[str, int] = {},
        puts: Mapping[str, bytes | None] = {},
        append: Mapping[str, Sequence[bytes]] = {},
        fence: Lease | None = None,
    ) -> int | CommitRefused:
        """All of it, or nothing and why."""
        check_sizes(self.limits, guards, puts, append)
        append = {stream: rows for stream, rows in append.items() if rows}
        async with self._turn:
            return await self._once(guards, puts, append, fence)

    async def _once(
        self,
        guards: Mapping[str, int],
        puts: Mapping[str, bytes | None],
        append: Mapping[str, Sequence[bytes]],
        fence: Lease | None,
    ) -> int | CommitRefused:
        mark, refused, copies = secrets.token_bytes(8), None, 0
        rev, self._rev = self._rev, None  # not known until there is an answer, also if we are cancelled

        async def attempt() -> int | CommitRefused:
            nonlocal rev, refused, copies
            while True:
                if rev is None:
                    slot = await self._get(self._slot)
                    rev = 0 if slot is None else slot.rev
                    if slot is not None and slot.data == mark:
                        self._rev = rev
                        return rev  # an earlier copy was done
                if refused is not None:
                    self._rev = rev
                    return refused
                sent, rev, copies = rev, None, copies + 1
                answer = await self._commit({**guards, self._slot: sent}, {**puts, self._slot: mark}, append, fence)
                if not isinstance(answer, CommitRefused):
                    self._rev = answer
                    return answer
                if answer.key != self._slot:
                    refused = answer
                    rev = sent if copies == 1 else None  # else an earlier copy may be why: the slot tells

        return await self._patiently(PATIENCE, attempt)

    async def read(self, stream: str, after: int = 0, limit: int = 1000) -> list[Row]:
        """The rows after `after`, at most `limit`."""
        return await self._patiently(PATIENCE, self._read, stream, max(after, 0), limit)

    async def trim(self, stream: str, upto: int) -> None:
        """Let go of rows up to `upto`, as far as they do not share a commit with later ones."""
        await self._patiently(PATIENCE, self._trim, stream, upto)

    async def watch(self, stream: str, after: int = 0) -> AsyncGenerator[Row, None]:
        """The rows after `after`, for ever; what the server says meanwhile is only a hint to read."""
        failures = 0
        while True:
            try:
                rows = await self._read(stream, after, BATCH)
                if not rows:
                    async with asyncio.timeout(HINT + REQUEST):
                        await self._news(stream, after)
                failures = 0
            except (Unanswered, TimeoutError) as error:
                failures, rows = failures + 1, []
                if failures == WORTH_A_WORD:
                    _log.warning("the store %s does not answer; its watchers wait: %s", self.where, error)
                await asyncio.sleep(0.2)
            for row in rows:
                after = row.seq
                yield row

    # leases

    async def acquire(self, name: str, owner: str, ttl: float) -> Lease | None:
        """The lease, unless another holder is alive."""
        return await self._patiently(PATIENCE, self._acquire, name, owner, ttl)

    async def _acquire(self, name: str, owner: str, ttl: float) -> Lease | None:
        while True:
            held = await self._held(name)
            if held is not None and held.owner != owner and not process_gone(held.owner):
                return None
            token = await self._take(name, owner, ttl, held)
            if token is not None:
                return Lease(name, owner, token, ttl)

    async def renew(self, lease: Lease) -> bool:
        """Whether it was still held; then it is, for another ttl."""
        return await self._patiently(PATIENCE, self._renew, lease)

    async def release(self, lease: Lease) -> None:
        """Give it back, if it is still this one."""
        await self._patiently(PATIENCE, self._release, lease)

    async def holder(self, name: str) -> str | None:
        """Who holds the lease and is alive."""
        held = await self._patiently(PATIENCE, self._held, name)
        return None if held is None or process_gone(held.owner) else held.owner

    # what a backend has

    @abstractmethod
    async def _connect(self) -> None:
        """Reach a server, look whether it will do, and set `durability`."""

    @abstractmethod
    async def _hang_up(self) -> None:
        """Give the connections back; twice does no harm."""

    @abstractmethod
    async def _get(self, key: str) -> Value | None: ...

    @abstractmethod
    async def _commit(
        self,
        guards: Mapping[str, int],
        puts: Mapping[str, bytes | None],
        append: Mapping[str, Sequence[bytes]],
        fence: Lease | None,
    ) -> int | CommitRefused: ...

    @abstractmethod
    async def _read(self, stream: str, after: int, limit: int) -> list[Row]: ...

    @abstractmethod
    async def _trim(self, stream: str, upto: int) -> None: ...

    @abstractmethod
    async def _news(self, stream: str, after: int) -> Any:
        """Wait until there may be rows after `after`, or about `HINT` seconds."""

    @abstractmethod
    async def _held(self, name: str) -> Held | None: ...

    @abstractmethod
    async def _take(self, name: str, owner: str, ttl: float, held: Held | None) -> int | None:
        """The new token, if the lease is still as it was seen."""

    @abstractmethod
    async def _renew(self, lease: Lease) -> bool: ...

    @abstractmethod
    async def _release(self, lease: Lease) -> None: ...
