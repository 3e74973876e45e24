"""`Link`: the connection of a pool to a Dask scheduler, its own or somebody else's. It knows nothing of runs.

It is opened once, and reopened when the scheduler is gone: an own cluster is started anew, another one is looked for at
the same address. All futures of a scheduler end with the connection to it.
"""

from __future__ import annotations

import asyncio
import inspect
import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from ...core.base.errors import HexdagError, PoolUnavailable
from ...worker import process
from ...worker.blobs import FileBlobs
from ...worker.dask import probe
from ...worker.joining import nobody_at
from ...worker.trail import Attempt, begun, trail_of
from ..thread import cancelled
from .cluster import OwnCluster

CONNECT = 3.5  #: seconds to wait for a scheduler that should be there; with imports before it, 5 are promised
BOOT = 60.0  #: seconds for an own cluster to come up
BOOTS = 3  #: times that an own cluster is started if its scheduler dies at once, as when its port was taken
ANSWER = 10.0  #: seconds for a scheduler to answer

Heard = Callable[[tuple[float, Any]], None]
Row = Mapping[str, Any]


class Link:
    """A way to the scheduler of an `OwnCluster`, at an address, or of a `distributed.Client`."""

    def __init__(self, cluster: Any, blobs: str | None) -> None:
        self._own = cluster if isinstance(cluster, OwnCluster) else None
        self._security = getattr(cluster, "security", None)
        scheduler = getattr(cluster, "scheduler", None)
        self.address = cluster if isinstance(cluster, str) else getattr(scheduler, "address", "")
        self._client: Any = None
        self._probed: set[str] = set()
        self.blobs = blobs

    async def open(self, topics: Mapping[str, Heard]) -> None:
        """Start or reach the scheduler, and hear of these topics. `PoolUnavailable` if it does not answer."""
        self._topics = topics
        if self._own is None:
            return await self._connect(CONNECT)
        for boot in range(1, BOOTS + 1):
            try:
                return await self._boot(self._own)
            except PoolUnavailable:
                retry = boot < BOOTS and not self._own.scheduler_alive
                await asyncio.to_thread(self._own.stop)
                if not retry:
                    raise
        return None

    async def _boot(self, own: OwnCluster) -> None:
        try:
            async with asyncio.timeout(BOOT):
                await asyncio.to_thread(own.start)
        except OSError as error:  # TimeoutError is one
            raise self._unavailable(error) from error
        self.address = own.address
        await self._connect(BOOT)

    async def reopen(self) -> None:
        """Forget what was, and open again."""
        await self._disconnect(0)
        if self._own is not None:
            await asyncio.to_thread(self._own.stop)
        await self.open(self._topics)

    async def close(self) -> None:
        """End what was started; leave what was given."""
        await self._disconnect(2)
        if self._own is not None:
            await asyncio.to_thread(self._own.stop)

    async def _connect(self, patience: float) -> None:
        from distributed import Client

        client = Client(
            self.address, asynchronous=True, timeout=patience, security=self._security, name="hexdag-lab",
            set_as_default=False,  # the user's own Dask code goes on using the user's own client
        )  # fmt: skip
        connecting, give_up = asyncio.ensure_future(_ready(client)), time.monotonic() + patience
        try:
            while not connecting.done():
                await asyncio.wait([connecting], timeout=0.2)
                if self._own is not None and not self._own.scheduler_alive:
                    raise OSError("it ended while it started")
                if time.monotonic() > give_up and not connecting.done():  # Dask waits for a greeting without an end
                    raise TimeoutError(f"nothing was said within {patience:g} s")
            connecting.result()
        except BaseException as error:
            await cancelled([connecting])
            await client.close(timeout=0)
            if isinstance(error, Exception):  # also MemoryError: what a web server says is a huge message to Dask
                raise self._unavailable(error) from error
            raise
        self._client, self._probed = client, set()
        process.shorten(client.scheduler_comm)
        for topic, heard in self._topics.items():
            client.subscribe_topic(topic, heard)

    def _unavailable(self, error: Exception) -> PoolUnavailable:
        if self._own is not None:
            return PoolUnavailable(
                f"the lab's own Dask cluster does not come up: {error}; what it wrote last:\n{self._own.log_tail()}"
            )
        return nobody_at(self.address, error, ', or use pool="dask" for a cluster of the lab\'s own')

    async def _disconnect(self, patience: float) -> None:
        client, self._client = self._client, None
        if client is not None:
            await client.close(timeout=patience)

    @property
    def shared(self) -> bool:
        """Whether others may use the scheduler as well."""
        return self._own is None

    @property
    def alive(self) -> bool:
        """Whether the scheduler is the one that was opened. A client that reconnects has lost all futures."""
        if self._own is not None and not self._own.scheduler_alive:
            return False
        return self._client is not None and self._client.status == "running"

    def kill_workers(self) -> None:
        """End the workers of an own cluster, whose scheduler is dead: nobody hears any more of what they do."""
        if self._own is not None:
            self._own.kill_workers()

    def begun(self, topic: str, address: str) -> dict[Attempt, str]:
        """What had begun in a dead worker of an own cluster, and its name; of others' workers nobody here can tell."""
        folder = None if self._own is None else self._own.folder
        return {} if folder is None else begun(trail_of(folder, topic, address))

    async def end_if_frozen(self, worker: str) -> None:
        """End a silent worker of an own cluster if its process is stopped; of others' processes nobody knows here."""
        if self._own is not None:
            await asyncio.to_thread(self._own.end_if_frozen, worker)

    async def dismiss(self, worker: str) -> None:
        """Do not start a worker again that has left."""
        if self._own is not None:
            await asyncio.to_thread(self._own.dismiss, worker)

    async def revive(self) -> None:
        """Start workers of an own cluster again that have died."""
        if self._own is not None and self._own.short_of_workers:
            await asyncio.to_thread(self._own.revive)

    def get(
        self, graph: Mapping[str, Any], resources: Mapping[str, float] | None, places: Sequence[str] = (),
        order: Mapping[str, float] | None = None,
    ) -> dict[str, Any]:  # fmt: skip
        """Futures for all keys of a graph; `places`: the addresses of the workers on which alone it is to run, if any;
        `order`: the lowest goes first, among all that Dask was given within the same minute."""
        options = {"resources": resources, "workers": list(places) or None}
        if order and (found := _ordered(self._client, graph, order, options)) is not None:
            return found
        futures = self._client.get(graph, list(graph), sync=False, **options)
        return {future.key: future for future in futures}

    async def publish(self, keys: list[str], value: Any) -> None:
        """Write into the scheduler's metadata."""
        async with asyncio.timeout(ANSWER):
            await self._client.set_metadata(keys, value)

    async def look(self) -> Mapping[str, Row]:
        """What the scheduler says of the workers that it has now, by address."""
        async with asyncio.timeout(ANSWER):  # on Python 3.11 `wait_for` may swallow a cancellation
            identity = await self._client.scheduler.identity(n_workers=-1)
        workers: Mapping[str, Row] = identity["workers"]
        if new := [address for address in workers if address not in self._probed]:
            await self._probe(new)
        return workers

    async def on_workers(self, function: Callable[..., Any], addresses: list[str] | None) -> dict[str, Any]:
        """What a function says on some workers, or on all, by address; one that is gone says nothing."""
        async with asyncio.timeout(ANSWER):  # one that is frozen does not answer
            said = await self._client.run(function, workers=addresses, on_error="return")
        return {address: value for address, value in said.items() if not isinstance(value, BaseException)}

    async def retire(self, address: str) -> bool:
        """Copy what only this worker has to others, and end it; False if nobody can take it."""
        return bool(await self._client.retire_workers([address], close_workers=True))

    async def _probe(self, addresses: list[str]) -> None:
        """See whether workers reach the lab's blobs; if one does not, results stay in the workers' memory."""
        self._probed |= set(addresses)
        if self.blobs is None or (self._own is not None and self.blobs.startswith("file:")):
            return
        try:
            blobs = FileBlobs(self.blobs)
            ours = await asyncio.to_thread(blobs.put, secrets.token_bytes(16))
            answers = await self.on_workers(partial(probe, self.blobs, ours), addresses)
            reached = [await asyncio.to_thread(blobs.has, answer) for answer in answers.values()]
        except HexdagError:
            reached = [False]
        if not all(reached):
            self.blobs = None


async def _ready(client: Any) -> None:
    await client


def _ordered(
    client: Any, graph: Mapping[str, Any], order: Mapping[str, float], options: Mapping[str, Any]
) -> dict[str, Any] | None:
    """As `Client.get`, in an order of our own. Dask has that for its own purposes only, and else computes one that
    knows the graph and not the run; a release that does not have it gives None, and keeps its own order."""
    try:
        from dask._expr import LLGExpr
        from distributed.spans import SpanMetadata

        send = partial(client._graph_to_futures, internal_priority=order, fifo_timeout="60s", **options)
        span = SpanMetadata(collections=[{"type": "low-level-graph"}])
        named = LLGExpr(graph, _determ_token=secrets.token_hex(16))  # else a digest of all that is in it
        inspect.signature(send).bind(named, set(), span)
    except (ImportError, AttributeError, TypeError, AssertionError):
        return None
    return dict(send(named, set(graph), span))
