"""`DaskPool`: attempts run on a Dask cluster. One controller step is one small graph of futures.

Inputs that are still being made are futures of earlier graphs, so the scheduler starts a node the moment its last
upstream ends, without asking us. A task never raises; what happens is told over an event topic (see `worker.dask`), and
futures are only looked at to notice what nobody can tell any more: a worker that died, a scheduler that forgot.
"""

from __future__ import annotations

import asyncio
import pickle
import re
import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ...core.base.codec import loads
from ...core.base.errors import NotFinished, PoolUnavailable
from ...core.machine.messages import Failed, Lost, PoolChanged, Succeeded, Suspended
from ...core.runs.attempt import Task
from ...ports import Put
from ...worker.dask import from_pool, probe, run_task, version_keys
from .child import shorten
from .cluster import OwnCluster

CONNECT = 4.0  #: seconds to wait for a scheduler that should be there
BOOT = 60.0  #: seconds for an own cluster to come up
LOOKAHEAD = 32  #: attempts known to Dask beforehand, per slot
LARGE_CODE = 16 * 1024  #: bytes; larger code is sent once per worker, not once per task
SILENCE = 5.0  #: seconds after which an attempt that ended without a report is held to be lost
LOOK_EVERY = 0.25  #: seconds between looks at futures and workers

Attempt = tuple[str, str, int]


class DaskPool:
    """A Dask cluster as a pool: an `OwnCluster`, a scheduler's address, or a `distributed.Client`."""

    def __init__(self, cluster: Any, blobs: str | None = None) -> None:
        self._own = cluster if isinstance(cluster, OwnCluster) else None
        self._security = getattr(cluster, "security", None)
        scheduler = getattr(cluster, "scheduler", None)
        self._address = cluster if isinstance(cluster, str) else getattr(scheduler, "address", "")
        self._blobs_url = blobs
        self._topic = f"hexdag-{secrets.token_hex(6)}"
        self._futures: dict[Attempt, Any] = {}
        self._told: set[Attempt] = set()
        self._quiet: dict[Attempt, float] = {}
        self._code: dict[str, Any] = {}
        self._workers: list[Mapping[str, Any]] = []
        self._offered: tuple[int, int, tuple[frozenset[str], ...]] | None = None
        self._published: dict[tuple[str, int], bytes] = {}
        self._client: Any = None
        self._watching: asyncio.Task[None] | None = None

    async def open(self, put: Put) -> None:
        self._put = put
        if self._own is not None:
            self._own.start()
            self._address = self._own.address
        await self._connect(BOOT if self._own else CONNECT)
        self._watching = asyncio.create_task(self._watch())

    async def _connect(self, patience: float) -> None:
        from distributed import Client

        client = Client(
            self._address, asynchronous=True, timeout=patience, security=self._security, name="hexdag-lab"
        )
        try:
            await client
        except (OSError, TimeoutError, ValueError) as error:
            await client.close(timeout=0)
            logged = f"\n{self._own.log_tail()}" if self._own else ""
            raise PoolUnavailable(
                f"no Dask scheduler answers at {self._address} ({error}); start one with `dask scheduler`, or use "
                f'pool="dask" for a cluster of the lab\'s own{logged}'
            ) from error
        self._client = client
        shorten(client.scheduler_comm)
        client.subscribe_topic(self._topic, self._heard)
        if self._own is None and self._blobs_url is not None:
            answers = await client.run(probe, self._blobs_url)
            if not answers or not all(answers.values()):
                self._blobs_url = None
        for (run, version), data in list(self._published.items()):
            await client.set_metadata(version_keys(run, version), data)
        await self._look_at_workers()

    async def close(self) -> None:
        if self._watching is not None:
            self._watching.cancel()
        for future in (*self._futures.values(), *self._code.values()):
            future.release()
        self._futures.clear()
        if self._client is not None:
            await self._client.close(timeout=2)
        if self._own is not None:
            await asyncio.to_thread(self._own.stop)

    async def publish(self, run: str, version: int, data: bytes) -> None:
        self._published[run, version] = data
        if self._client is not None:
            await self._client.set_metadata(version_keys(run, version), data)

    async def submit(self, tasks: Sequence[Task], code: Callable[[str], bytes]) -> None:
        # Resources are said per graph, so each stretch of tasks with the same needs is a graph of its own.
        stretch: list[Task] = []
        for task in tasks:
            if stretch and task.requires != stretch[-1].requires:
                self._submit(stretch, code)
                stretch = []
            stretch.append(task)
        if stretch:
            self._submit(stretch, code)

    def _submit(self, tasks: Sequence[Task], code: Callable[[str], bytes]) -> None:
        keys = {(t.run, t.node, t.fence): _key(t) for t in tasks}
        graph: dict[str, Any] = {}
        for task in tasks:
            upstream = []
            for wanted in task.inputs:
                if from_pool(wanted):
                    attempt = (task.run, wanted.up, wanted.fence)
                    upstream.append(keys.get(attempt) or self._futures.get(attempt))
            if None in upstream:
                self._put(
                    task.run, Lost(time.time(), task.node, task.fence, "an input is not in the pool any more")
                )
                continue
            payload = pickle.dumps((task, self._blobs_url), protocol=5)
            graph[keys[task.run, task.node, task.fence]] = (
                run_task, self._topic, payload, self._shipped(code(task.code), task.code), upstream,
            )  # fmt: skip
        if not graph:
            return
        resources = dict.fromkeys(tasks[0].requires, 1) or None
        futures = self._client.get(graph, list(graph), sync=False, resources=resources)
        by_key = {future.key: future for future in futures}
        for attempt, key in keys.items():
            if key in by_key:
                self._futures[attempt] = by_key[key]

    def _shipped(self, data: bytes, reference: str) -> Any:
        """Small code goes with each task; large code is one more key that workers fetch once."""
        if len(data) <= LARGE_CODE:
            return data
        if reference not in self._code:
            key = f"hexdag_code-{reference[:32]}"
            (self._code[reference],) = self._client.get({key: (bytes, data)}, [key], sync=False)
        return self._code[reference]

    async def withdraw(self, run: str, attempts: Sequence[tuple[str, int]]) -> None:
        self._release(run, attempts)

    async def forget(self, run: str, attempts: Sequence[tuple[str, int]]) -> None:
        self._release(run, attempts)

    def _release(self, run: str, attempts: Sequence[tuple[str, int]]) -> None:
        for node, fence in attempts:
            future = self._futures.pop((run, node, fence), None)
            self._quiet.pop((run, node, fence), None)
            self._told.discard((run, node, fence))
            if future is not None:
                future.release()

    async def value(self, run: str, node: str, fence: int) -> Any:
        future = self._futures.get((run, node, fence))
        if future is None:
            raise NotFinished(f"the result of {node} is not in the pool any more")
        outcome = await future
        return outcome.value

    def workers(self) -> list[Mapping[str, Any]]:
        return list(self._workers)

    # -- listening and looking

    def _heard(self, event: tuple[float, Any]) -> None:
        for run, data in event[1]:
            message = loads(data)
            if isinstance(message, Succeeded | Failed | Suspended):
                self._told.add((run, message.node, message.fence))
            self._put(run, message)

    async def _watch(self) -> None:
        """Notice what no worker can tell: dead workers, lost attempts, a dead scheduler."""
        while True:
            await asyncio.sleep(LOOK_EVERY)
            if self._own is not None and not self._own.scheduler_alive:
                await self._restart()
            if self._own is not None:
                await asyncio.to_thread(self._own.revive)
            try:
                await self._look_at_workers()
            except (OSError, TimeoutError):
                continue  # the next look, or the client's own reconnecting, will tell
            self._look_at_futures()

    def _look_at_futures(self) -> None:
        now = time.monotonic()
        for attempt, future in list(self._futures.items()):
            run, node, fence = attempt
            if future.status in ("error", "cancelled", "lost"):
                why = "its worker died" if future.status == "error" else "the scheduler lost it"
            elif future.status == "finished" and self._silent(attempt, now):
                why = "its report was lost"
            else:
                continue
            self._release(run, [(node, fence)])
            self._put(run, Lost(time.time(), node, fence, why))

    def _silent(self, attempt: Attempt, now: float) -> bool:
        """Whether an attempt ended some seconds ago and has not said how."""
        return attempt not in self._told and now - self._quiet.setdefault(attempt, now) > SILENCE

    async def _look_at_workers(self) -> None:
        identity = await self._client.scheduler.identity(n_workers=-1)
        rows: list[Mapping[str, Any]] = []
        slots, capabilities = 0, set[frozenset[str]]()
        for address, row in sorted(identity["workers"].items()):
            has = frozenset(row.get("resources") or ())
            capabilities.add(has)
            slots += row["nthreads"]
            rows.append(
                {
                    "id": str(row["name"]), "host": row.get("host", address), "state": row.get("status", "running"),
                    "slots": row["nthreads"], "capabilities": sorted(has),
                }
            )  # fmt: skip
        self._workers = rows
        offered = (slots, LOOKAHEAD * slots, tuple(sorted(capabilities, key=sorted)))
        if offered != self._offered:
            self._offered = offered
            self._put("", PoolChanged(time.time(), *offered))

    async def _restart(self) -> None:
        """The scheduler died, and with it all futures: start the cluster anew, and say what was lost."""
        assert self._own is not None
        await self._client.close(timeout=0)
        await asyncio.to_thread(self._own.stop)
        lost, self._futures, self._code = list(self._futures), {}, {}
        self._own.start()
        self._address, self._offered = self._own.address, None
        await self._connect(BOOT)
        for run, node, fence in lost:
            self._put(run, Lost(time.time(), node, fence, "the scheduler died"))


def _key(task: Task) -> str:
    """A Dask key with a stable prefix: the scheduler learns durations by it."""
    label = re.sub(r"\W", "_", task.label.rpartition(".")[2]) or "node"
    return f"{label}-{task.run}_{task.node}_{task.fence}"
