"""`Link`: the connection of a pool to a Dask scheduler, its own or somebody else's. It knows nothing of runs.

It is opened once, and reopened when the scheduler is gone: an own cluster is started anew, another one is looked for at
the same address. All futures of a scheduler end with the connection to it.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Callable, Mapping
from typing import Any

from ...core.base.errors import HexdagError, PoolUnavailable
from ...worker.blobs import FileBlobs
from ...worker.dask import probe
from ..thread import cancelled
from .child import shorten
from .cluster import OwnCluster

CONNECT = 4.0  #: seconds to wait for a scheduler that should be there
BOOT = 60.0  #: seconds for an own cluster to come up
BOOTS = 3  #: times that an own cluster is started if its scheduler dies at once, as when its port was taken
ANSWER = 10.0  #: seconds for a scheduler to answer

Heard = Callable[[tuple[float, Any]], None]


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
        self.workers: list[Mapping[str, Any]] = []

    async def open(self, topic: str, heard: Heard) -> None:
        """Start or reach the scheduler. `PoolUnavailable` if it does not answer."""
        self._topic, self._on_event = topic, heard
        if self._own is None:
            return await self._connect(CONNECT)
        for boot in range(1, BOOTS + 1):
            await asyncio.to_thread(self._own.start)
            self.address = self._own.address
            try:
                return await self._connect(BOOT)
            except PoolUnavailable:
                retry = boot < BOOTS and not self._own.scheduler_alive
                await asyncio.to_thread(self._own.stop)
                if not retry:
                    raise
        return None

    async def reopen(self) -> None:
        """Forget what was, and open again."""
        await self._disconnect(0)
        if self._own is not None:
            await asyncio.to_thread(self._own.stop)
        await self.open(self._topic, self._on_event)

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
        shorten(client.scheduler_comm)
        client.subscribe_topic(self._topic, self._on_event)

    def _unavailable(self, error: Exception) -> PoolUnavailable:
        if self._own is not None:
            return PoolUnavailable(
                f"the lab's own Dask cluster does not come up: {error}; what it wrote last:\n{self._own.log_tail()}"
            )
        return PoolUnavailable(
            f"no Dask scheduler answers at {self.address} ({error}); start one with `dask scheduler`, or use "
            'pool="dask" for a cluster of the lab\'s own'
        )

    async def _disconnect(self, patience: float) -> None:
        client, self._client, self.workers = self._client, None, []
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

    async def revive(self) -> None:
        """Start workers of an own cluster again that have died."""
        if self._own is not None and self._own.short_of_workers:
            await asyncio.to_thread(self._own.revive)

    def get(self, graph: Mapping[str, Any], resources: Mapping[str, float] | None) -> dict[str, Any]:
        """Futures for all keys of a graph."""
        futures = self._client.get(graph, list(graph), sync=False, resources=resources)
        return {future.key: future for future in futures}

    async def publish(self, keys: list[str], value: Any) -> None:
        """Write into the scheduler's metadata."""
        async with asyncio.timeout(ANSWER):
            await self._client.set_metadata(keys, value)

    async def look(self) -> list[Mapping[str, Any]]:
        """The workers that are there now, one row each."""
        async with asyncio.timeout(ANSWER):  # on Python 3.11 `wait_for` may swallow a cancellation
            identity = await self._client.scheduler.identity(n_workers=-1)
        workers = identity["workers"]
        if new := [address for address in workers if address not in self._probed]:
            await self._probe(new)
        self.workers = [
            {
                "id": str(row["name"]), "host": row.get("host", address), "state": row.get("status", "running"),
                "slots": row["nthreads"], "capabilities": sorted(row.get("resources") or ()),
            }
            for address, row in sorted(workers.items())
        ]  # fmt: skip
        return self.workers

    async def _probe(self, addresses: list[str]) -> None:
        """See whether workers reach the lab's blobs; if one does not, results stay in the workers' memory."""
        self._probed |= set(addresses)
        if self.blobs is None or (self._own is not None and self.blobs.startswith("file:")):
            return
        try:
            blobs = FileBlobs(self.blobs)
            ours = await asyncio.to_thread(blobs.put, secrets.token_bytes(16))
            answers = await self._client.run(probe, self.blobs, ours, workers=addresses, on_error="return")
            said = [answer for answer in answers.values() if isinstance(answer, str)]  # else it is gone again
            reached = [await asyncio.to_thread(blobs.has, answer) for answer in said]
        except HexdagError:
            reached = [False]
        if not all(reached):
            self.blobs = None


async def _ready(client: Any) -> None:
    await client
