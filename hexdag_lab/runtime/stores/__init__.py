"""Stores: where a lab keeps its journal, ballots and leases. `store_of` finds one by its URL.

What stores on one host share stands here as well: who owns a lease and whether that process still lives, the
clock that leases run by, how large a value may be, and the bell that wakes the watchers inside a process.
What a store promises is told in `ports.Store` and checked by `testing.conformance`; it is not told again
here.
"""

from __future__ import annotations

import asyncio
import os
import socket
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from importlib import import_module
from pathlib import Path
from threading import Lock

from ...core.base.errors import SchemaError, StoreUnavailable
from ...ports import Limits, Store

LARGEST = 16 * 2**20
"""The most bytes that a value or row may have in a store of this machine."""

KNOWN = (
    "sqlite:///relative.db or sqlite:////absolute/path.db (a file on a local disk)",
    "memory://name (shared by name in this process) or memory:// (private)",
    "redis://user:password@host:6379/0 (Redis 7 or Valkey)",
    "etcd://host:2379,host:2379,host:2379",
    "consul://:token@host:8500",
)

SERVERS = {
    "redis": ("redis", "RedisStore"), "rediss": ("redis", "RedisStore"),
    "etcd": ("etcd", "EtcdStore"), "etcds": ("etcd", "EtcdStore"),
    "consul": ("consul", "ConsulStore"), "consuls": ("consul", "ConsulStore"),
}  # fmt: skip
"""For each scheme of a server: the module, which is also the name of the extra that installs its client, and class."""


def store_of(url: str | Store) -> Store:
    """The store that a URL names; a store passes through. It is not opened yet."""
    if not isinstance(url, str):
        return url
    scheme, mark, rest = url.partition("://")
    if mark and scheme == "memory":
        from .memory import MemoryStore, named

        return named(rest) if rest else MemoryStore()
    if mark and scheme == "sqlite":
        from .sqlite import SqliteStore

        return SqliteStore(_sqlite_path(url, rest))
    if mark and scheme in SERVERS:
        return _behind_a_server(url, *SERVERS[scheme])
    raise ValueError(f"there is no store for {url!r}; known are: {'; '.join(KNOWN)}")


def where(url: str) -> str:
    """A URL for people, and to compare: that of a server with its port, and without the password."""
    return str(getattr(store_of(url), "where", url)) if url.partition("://")[0] in SERVERS else url


def _behind_a_server(url: str, extra: str, name: str) -> Store:
    try:
        module = import_module(f".{extra}", __name__)
    except ModuleNotFoundError as error:
        if error.name is not None and error.name.startswith(__name__):
            raise
        package = str(error.name).partition(".")[0]
        text = f"a store in {extra} needs the package {package}: pip install 'hexdag-lab[{extra}]'"
        raise StoreUnavailable(text) from error
    store: Store = getattr(module, name)(url)
    return store


def _sqlite_path(url: str, rest: str) -> str:
    if not rest.startswith("/"):
        raise ValueError(f"{url!r} has too few slashes; write sqlite:///{rest or 'relative.db'}")
    path = rest[1:]
    if not path or path.startswith(":memory:"):
        raise ValueError(f"{url!r} names no file; write sqlite:///relative.db, or memory:// to keep nothing")
    return path


def check_sizes(
    limits: Limits, guards: Mapping[str, int], puts: Mapping[str, bytes | None], append: Mapping[str, Sequence[bytes]]
) -> None:
    """Refuse what is too large, before anything is sent."""
    sizes = {f"the value of {key!r}": len(data) for key, data in puts.items() if data is not None}
    for stream, rows in append.items():
        sizes[f"a row for stream {stream!r}"] = max(map(len, rows), default=0)
    most = min(limits.value, LARGEST)
    for what, size in sizes.items():
        if size > most:
            raise _too_large(what, size, most)
    if limits.commit is not None:
        size = sum(len(data or b"") for data in puts.values()) + sum(sum(map(len, rows)) for rows in append.values())
        if size > limits.commit:
            raise _too_large("a commit", size, limits.commit)
    keys = len(guards.keys() | puts.keys()) + 2 * len(append)
    if limits.keys is not None and keys > limits.keys:
        raise SchemaError(
            f"a commit has {keys} keys, streams counted twice, and this store takes at most {limits.keys};"
            " make several commits of it"
        )


def _too_large(what: str, size: int, most: int) -> SchemaError:
    return SchemaError(
        f"{what} has {size:,} bytes and a store takes at most {most:,}; keep it as a blob and store its SHA-256"
    )


def owner_id() -> str:
    """Who this process is, for leases: "host:pid:starttime:pidspace"; ":label" may be added."""
    pid = os.getpid()
    return f"{socket.gethostname()}:{pid}:{_started(pid) or 0}:{_pid_space()}"


def process_gone(owner: str) -> bool:
    """Whether an owner was a process of this host that has ended; False where that cannot be told."""
    host, pid, started, space, *_ = (*owner.split(":"), "", "", "", "")
    if space == "0" or space != _pid_space() or host != socket.gethostname():
        return False  # another host, or a container with process ids of its own: only time can tell
    if not pid.isdecimal() or len(pid) > 10:
        return False
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return True
    except (PermissionError, OverflowError):
        pass  # it is there, and somebody else's
    now = _started(int(pid))
    return now is not None and now != started


def _started(pid: int) -> str | None:
    """When a process started, in ticks since boot; "ended" if it only waits to be reaped; None if hidden."""
    try:
        text = Path(f"/proc/{pid}/stat").read_bytes()
    except OSError:
        return None
    fields = text.rpartition(b")")[2].split()  # the name in brackets may hold anything
    return "ended" if fields[0] in (b"Z", b"X") else fields[19].decode()


def _pid_space() -> str:
    """The namespace of process ids: in another container a number means another process. "0": not Linux."""
    try:
        return str(Path("/proc/self/ns/pid").readlink()).strip("pid:[]")
    except OSError:
        return "0"


if sys.platform == "linux":

    def host_clock() -> float:
        """Seconds since this host has started: the same in all its processes, going on while it sleeps."""
        return time.clock_gettime(time.CLOCK_BOOTTIME)

else:
    host_clock = time.monotonic


def boot_id() -> str:
    """Which start of the host this is: its clock begins anew with each. "": not Linux."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""


class Bell:
    """Wakes the watchers of a stream in this process, in whichever event loop each of them lives."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._ears: dict[str, list[tuple[asyncio.AbstractEventLoop, asyncio.Event]]] = {}

    @contextmanager
    def listening(self, stream: str) -> Iterator[asyncio.Event]:
        """An event that each ring for the stream sets. Listen first, then look: so nothing is missed."""
        ear = (asyncio.get_running_loop(), asyncio.Event())
        with self._lock:
            self._ears.setdefault(stream, []).append(ear)
        try:
            yield ear[1]
        finally:
            with self._lock:
                self._ears[stream].remove(ear)
                if not self._ears[stream]:
                    del self._ears[stream]

    def ring(self, streams: Iterable[str]) -> None:
        """Say that these streams have grown; from any thread."""
        if not self._ears:
            return
        with self._lock:
            ears = [ear for stream in streams for ear in self._ears.get(stream, ())]
        for loop, event in ears:
            with suppress(RuntimeError):  # that loop is closed, and its watcher with it
                loop.call_soon_threadsafe(event.set)


async def heard(rung: asyncio.Event, seconds: float) -> None:
    """Wait for the bell, at most so long. The next look must come after this returns."""
    timer = asyncio.get_running_loop().call_later(seconds, rung.set)
    try:
        await rung.wait()
    finally:
        timer.cancel()
    rung.clear()
