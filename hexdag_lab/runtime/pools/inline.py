"""`InlinePool`: attempts run on threads of this process, without Dask.

For tests, tutorials and cheap nodes. It takes ready nodes only (lookahead 0), so everything a task needs is there.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from ...core.base.errors import NotFinished
from ...core.dag.dag import Dag
from ...core.machine.messages import PoolChanged
from ...core.runs.attempt import Task
from ...ports import Blobs, Put
from ...worker.execute import Outcome, World, execute
from ...worker.versions import Versions

Attempt = tuple[str, str, int]


class InlinePool:
    """A pool of `slots` threads in this process."""

    def __init__(self, slots: int = 4) -> None:
        self.slots = slots
        self.blobs: Blobs | None = None
        self._published: dict[tuple[str, int], bytes] = {}
        self._versions = Versions(lambda run, version: self._published[run, version])
        self._outcomes: dict[Attempt, Outcome] = {}
        self._busy: dict[Attempt, str] = {}
        self._withdrawn: set[Attempt] = set()

    async def open(self, put: Put) -> None:
        self._put = put
        self._threads = ThreadPoolExecutor(self.slots, thread_name_prefix="hexdag-node")
        self._later = ThreadPoolExecutor(1, thread_name_prefix="hexdag-keep")
        put("", PoolChanged(time.time(), self.slots, 0, None))

    async def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)
        self._later.shutdown(wait=False, cancel_futures=True)

    async def publish(self, run: str, version: int, data: bytes) -> None:
        self._published[run, version] = data

    async def submit(self, tasks: Sequence[Task], code: Callable[[str], bytes]) -> None:
        for task in tasks:
            self._threads.submit(self._run, task, code(task.code))

    async def withdraw(self, run: str, attempts: Sequence[tuple[str, int]]) -> None:
        self._withdrawn |= {(run, node, fence) for node, fence in attempts}

    async def forget(self, run: str, attempts: Sequence[tuple[str, int]]) -> None:
        for node, fence in attempts:
            self._outcomes.pop((run, node, fence), None)

    async def value(self, run: str, node: str, fence: int) -> Any:
        outcome = self._outcomes.get((run, node, fence))
        if outcome is None:
            raise NotFinished(f"the result of {node} is not here any more")
        return outcome.value

    def workers(self) -> list[Mapping[str, Any]]:
        busy = sorted(node for _, node, _ in self._busy)
        return [{"id": "inline", "state": "busy" if busy else "idle", "nodes": busy, "slots": self.slots}]

    def _run(self, task: Task, code: bytes) -> None:
        attempt = (task.run, task.node, task.fence)
        if attempt in self._withdrawn:
            return
        self._busy[attempt] = task.node
        upstream = {
            wanted.up: self._outcomes.get((task.run, wanted.up, wanted.fence), Outcome(False))
            for wanted in task.inputs
            if wanted.up and (wanted.kept is None or wanted.kept.where == "pool")
        }
        outcome = execute(task, code, upstream, lambda message: self._put(task.run, message), self._world())
        self._outcomes[attempt] = outcome
        del self._busy[attempt]

    def _world(self) -> World:
        blobs = self.blobs
        fetch = blobs.get if blobs else _nowhere
        return World("inline", fetch, blobs.put if blobs else None, self._dag, _background(self._later))

    def _dag(self, run: str, version: int) -> Dag:
        return self._versions.dag(run, version)


def _background(threads: ThreadPoolExecutor) -> Callable[[Callable[[], None]], None]:
    def later(work: Callable[[], None]) -> None:
        threads.submit(work)

    return later


def _nowhere(sha256: str) -> bytes:
    raise NotFinished(f"blob {sha256[:12]} cannot be read: this pool has no blob store")
