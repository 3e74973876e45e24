"""The seams: what the controller needs from the world, as Protocols. Each method is one sentence.

A store keeps bytes, a blob store keeps big bytes by content, a pool runs attempts. Implementations live in `runtime`;
conformance suites for them live in `testing`.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, Protocol, runtime_checkable

from .core.base.errors import StoreUnavailable
from .core.machine.effects import Answer
from .core.runs.attempt import Task
from .core.runs.region import Region
from .core.runs.worker import Worker

Put = Callable[[str, Any], None]
"""How the world tells the controller something: `put(run, message)`, from any thread; returns at once."""


SHARED = "shared/"
"""Keys and leases whose names begin with this are the same for all labs of a server; the others are a lab's own."""


class Value(NamedTuple):
    """A stored value and its revision: opaque, to be compared for equality only."""

    data: bytes
    rev: int


class Row(NamedTuple):
    """One entry of a stream; `seq` counts 1, 2, 3, ... without a gap."""

    seq: int
    data: bytes


class Lease(NamedTuple):
    """The right to act under a name for `ttl` seconds; `token` is greater than that of every earlier holder."""

    name: str
    owner: str
    token: int
    ttl: float


class CommitRefused(NamedTuple):
    """Why a commit did nothing: `kind` is "guard" (another revision than expected) or "fence" (the lease is gone)."""

    kind: str
    key: str


class Durability(NamedTuple):
    """What an acknowledged commit survives: a killed process, a power cut, the loss of the leading server."""

    crash: bool
    power: bool
    failover: bool

    @property
    def words(self) -> str:
        """The same for people: "a killed process and a power cut, but not the loss of its leading server"."""
        faults = ("a killed process", "a power cut", "the loss of its leading server")
        survived = [fault for fault, holds in zip(faults, self, strict=True) if holds]
        fatal = [fault for fault, holds in zip(faults, self, strict=True) if not holds]
        if not survived:
            return "no fault"
        return " and ".join(survived) + (f", but not {' or '.join(fatal)}" if fatal else "")


class Limits(NamedTuple):
    """The most that a store takes: bytes of one value or row, bytes of all values and rows of one commit, and keys of
    one commit, each stream counted as two. None: what memory and disk allow."""

    value: int
    commit: int | None = None
    keys: int | None = None


class StoreAway(StoreUnavailable):
    """The server of a store does not answer: it is down, or cut off, and may be back. Whoever leads waits for it."""


@runtime_checkable
class Store(Protocol):
    """A small linearizable store with one primitive, `commit`. All methods may raise `StoreUnavailable`.

    What every store takes, whatever its `limits` say: a value or row of 64 KiB, 32 keys a commit. If `commit` raises
    `StoreUnavailable`, it may have been done or not, or be done a little later: guard it with a key that it puts, and
    read that key.
    """

    durability: Durability
    limits: Limits

    async def open(self) -> None:
        """Connect, create what is missing; `StoreUnavailable` within 5 s if nobody answers."""

    async def close(self) -> None:
        """Give everything back."""

    async def get(self, key: str) -> Value | None:
        """The value under a key, or None."""

    async def commit(
        self,
        guards: Mapping[str, int] = {},
        puts: Mapping[str, bytes | None] = {},
        append: Mapping[str, Sequence[bytes]] = {},
        fence: Lease | None = None,
    ) -> int | CommitRefused:
        """Atomically: if every guarded key has its revision (0: absent) and the fence is the current, unexpired lease,
        put all values (None deletes), append all rows, and return the new revision; else change nothing. The fence
        is looked at first; what is beyond the store's `limits` raises `SchemaError`, and nothing is done."""

    async def read(self, stream: str, after: int = 0, limit: int = 1000) -> list[Row]:
        """The rows of a stream with seq > after, in order, at most `limit`; without those that were trimmed."""

    async def trim(self, stream: str, upto: int) -> None:
        """Let go of the rows with seq <= upto, which the caller keeps elsewhere. The last row of a stream stays, and
        rows count on as if nothing had gone. A store may let go of fewer; again does no harm."""

    def watch(self, stream: str, after: int = 0) -> AsyncGenerator[Row, None]:
        """The rows of a stream with seq > after, for ever; a row is seen at most 1 s after its commit. A server that is
        away is waited for."""

    async def acquire(self, name: str, owner: str, ttl: float) -> Lease | None:
        """The lease of that name, or None while another holder's is alive. The same owner string may take its own
        lease again, with a new token; a holder on this host whose process is dead loses it at once."""

    async def renew(self, lease: Lease) -> bool:
        """Whether the lease was still held and is now held for another ttl."""

    async def release(self, lease: Lease) -> None:
        """Give the lease back; tokens keep growing."""

    async def holder(self, name: str) -> str | None:
        """The owner of the lease of that name while it is alive, else None."""


class Listed(NamedTuple):
    """A blob in a list: how many bytes it has, and when it was put last, in unix seconds."""

    sha256: str
    size: int
    at: float


@runtime_checkable
class Blobs(Protocol):
    """Big values by content. Keys are SHA-256, hexadecimal."""

    def put(self, data: bytes) -> str:
        """Keep bytes; their SHA-256."""

    def get(self, sha256: str) -> bytes:
        """The bytes; `StoreUnavailable` if they are missing or not what their name says."""

    def has(self, sha256: str) -> bool:
        """Whether the bytes are there."""


@runtime_checkable
class ListedBlobs(Blobs, Protocol):
    """Blobs that can also be swept."""

    def listed(self) -> Iterator[Listed]:
        """All that are there; one that comes or goes meanwhile may be missing."""

    def remove(self, sha256: str) -> None:
        """Let go of the bytes, if they are there."""

    def use_for(self, store: str) -> None:
        """Labs of the store with that URL keep blobs here from now on."""

    def used_by(self) -> tuple[str, ...]:
        """The URLs of all stores whose labs keep blobs here, sorted; `StoreUnavailable` if one cannot be told."""


class Pool(Protocol):
    """Runs attempts somewhere. Everything it has to say goes through `put`."""

    async def open(self, put: Put) -> None:
        """Start or reach workers; `PoolUnavailable` within 5 s if nobody answers. Ends with a `PoolChanged` report.

        Everything else may be asked for meanwhile, and is done when the workers are there."""

    async def close(self) -> None:
        """End what it started; leave what it was given."""

    async def publish(self, run: str, version: int, data: bytes) -> None:
        """Let workers see a version of a run: version 1 is a whole graph as JSON, later ones are changesets."""

    async def submit(self, tasks: Sequence[Task], code: Callable[[str], bytes]) -> None:
        """Run some attempts; inputs that are still being made are named by node and fence. `code` gives the bytes for
        a task's reference to code. If a finished result that an attempt needs is gone, both are `Lost`."""

    async def withdraw(self, run: str, attempts: Sequence[tuple[str, int]]) -> None:
        """Forget attempts that are no longer wanted; one that runs already may run to its end."""

    async def hold(self, run: str, attempts: Sequence[tuple[str, int]]) -> None:
        """Keep attempts from beginning. One that has begun goes on, and has said so, but does not begin again where its
        worker dies; of each other one there is an `Unbegun` report, at the latest when its turn comes."""

    async def answer(self, run: str, answer: Answer) -> None:
        """Tell an attempt that waits at a safe point whether to go on; it asks again if that does not arrive."""

    async def forget(self, run: str, attempts: Sequence[tuple[str, int]]) -> None:
        """Let go of results that are kept elsewhere or needed no more."""

    async def end(self, run: str, keep: Sequence[tuple[str, int]]) -> None:
        """A run is over: let go of all that is held for it, except for the results of these attempts."""

    async def value(self, run: str, node: str, fence: int) -> Any:
        """A result that lives in the pool only; `NotFinished` if it is lost."""

    def workers(self) -> list[Worker]:
        """The workers as they are now."""

    async def drain(self, worker: str) -> None:
        """Let a worker finish what it runs and take nothing more, move what only it has, and end it. `Refused` if there
        is none of that name, or it cannot leave."""


@runtime_checkable
class Regional(Protocol):
    """A pool that has regions."""

    def regions(self) -> list[Region]:
        """The regions as they are now, by name."""
