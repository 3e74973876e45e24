"""`InlinePool`: attempts run on threads of this process, without Dask.

For tests, tutorials and cheap nodes. It takes ready nodes only (lookahead 0), so everything a task needs is there.
"""

from __future__ import annotations

import logging
import queue
import socket
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any

import psutil

from ...core.base.errors import NotFinished, Refused, StoreUnavailable
from ...core.dag.dag import Dag
from ...core.machine.effects import Answer
from ...core.machine.messages import Failed, Lost, PoolChanged, Succeeded, Suspended
from ...core.runs.attempt import Task
from ...core.runs.worker import Worker, WorkerState
from ...ports import Blobs, Put
from ...worker.execute import Outcome, World, execute
from ...worker.safepoint import Answers
from ...worker.versions import Versions

Attempt = tuple[str, str, int]
ENDS = (Succeeded, Failed, Suspended)
_log = logging.getLogger(__name__)


class InlinePool:
    """A pool of `slots` threads in this process. `capabilities`: what it can do, as in `@node(requires={"gpu"})`."""

    def __init__(self, slots: int = 4, capabilities: Iterable[str] = ()) -> None:
        self.slots, self.capabilities = slots, frozenset(capabilities)
        self.blobs: Blobs | None = None
        self._published: dict[tuple[str, int], bytes] = {}
        self._versions = Versions(lambda run, version: self._published[run, version])
        self._wanted: set[Attempt] = set()  # submitted, and neither ended nor withdrawn
        self._outcomes: dict[Attempt, Outcome] = {}
        self._busy: dict[Attempt, str] = {}
        self._answers = Answers()
        self._nodes, self._keeping = _Threads("hexdag-node", slots), _Threads("hexdag-keep", 1)

    async def open(self, put: Put) -> None:
        self._put = put
        self._nodes.begin()
        self._keeping.begin()
        put("", PoolChanged(time.time(), self.slots, 0, (self.capabilities,)))

    async def close(self) -> None:
        self._wanted.clear()
        self._answers.end()
        for threads in (self._nodes, self._keeping):
            threads.end()

    async def publish(self, run: str, version: int, data: bytes) -> None:
        self._published[run, version] = data

    async def submit(self, tasks: Sequence[Task], code: Callable[[str], bytes]) -> None:
        for task in tasks:
            upstream = self._upstream(task)
            if upstream is not None:
                self._wanted.add((task.run, task.node, task.fence))
                self._nodes.do(partial(self._run, task, code(task.code), upstream))

    def _upstream(self, task: Task) -> dict[str, Outcome] | None:
        """The inputs that are only here; None if one is lost, which is said."""
        found = {}
        for wanted in task.inputs:
            if wanted.param is not None and (wanted.kept is None or wanted.kept.where == "pool"):
                outcome = self._outcomes.get((task.run, wanted.up, wanted.fence))
                if outcome is None:
                    now, why = time.time(), f"the result of {wanted.up} is not in the pool any more"
                    self._put(task.run, Lost(now, wanted.up, wanted.fence, "it is not in the pool any more"))
                    self._put(task.run, Lost(now, task.node, task.fence, why))
                    return None
                found[wanted.up] = outcome
        return found

    async def withdraw(self, run: str, attempts: Sequence[tuple[str, int]]) -> None:
        for node, fence in attempts:
            self._wanted.discard((run, node, fence))
        await self.forget(run, attempts)

    async def answer(self, run: str, answer: Answer) -> None:
        self._answers.give((run, answer.node, answer.fence), answer.number, answer.go_on)

    async def forget(self, run: str, attempts: Sequence[tuple[str, int]]) -> None:
        for node, fence in attempts:
            self._outcomes.pop((run, node, fence), None)

    async def end(self, run: str, keep: Sequence[tuple[str, int]]) -> None:
        kept = {(run, node, fence) for node, fence in keep}
        for attempt in [*self._wanted, *self._outcomes]:
            if attempt[0] == run and attempt not in kept:
                self._wanted.discard(attempt)
                self._outcomes.pop(attempt, None)
        for version in [v for v in self._published if v[0] == run]:
            del self._published[version]

    async def value(self, run: str, node: str, fence: int) -> Any:
        outcome = self._outcomes.get((run, node, fence))
        if outcome is None or not outcome.ok:
            raise NotFinished(f"the result of {node} is not in the pool any more")
        return outcome.read()

    def workers(self) -> list[Worker]:
        busy = tuple(sorted([*self._busy.values()]))
        state = WorkerState.BUSY if busy else WorkerState.IDLE
        memory, host = psutil.Process().memory_info().rss, socket.gethostname()
        able = tuple(sorted(self.capabilities))
        return [Worker("inline", host, state, busy, self.slots, able, None, memory)]

    async def drain(self, worker: str) -> None:
        text = "the inline pool is threads of this process, and none of them can leave"
        raise Refused(text, rule="inline-pool", fix='use hx.Lab(pool="dask")')

    def _run(self, task: Task, code: bytes, upstream: Mapping[str, Outcome]) -> None:
        attempt = (task.run, task.node, task.fence)
        if attempt not in self._wanted:
            return
        last: list[Any] = []

        def say(message: Any) -> None:
            if isinstance(message, ENDS):
                last.append(message)  # a value must be there when its report is
            else:
                self._put(task.run, message)

        self._busy[attempt] = task.node
        try:
            outcome = execute(task, code, upstream, say, self._world())
        finally:
            del self._busy[attempt]
        if outcome.ok and outcome.encoded is None and attempt in self._wanted:  # what is small is in its report
            self._outcomes[attempt] = outcome
        self._wanted.discard(attempt)
        for message in last:
            self._put(task.run, message)

    def _world(self) -> World:
        blobs = self.blobs
        fetch, keep = (blobs.get, blobs.put) if blobs else (_nowhere, None)
        return World("inline", fetch, keep, self._dag, self._keeping.do, self._answers)

    def _dag(self, run: str, version: int) -> Dag:
        return self._versions.dag(run, version)


class _Threads:
    """Some threads that work off a queue. Unlike those of an executor they do not keep the process from ending."""

    def __init__(self, name: str, count: int) -> None:
        self._name, self._count = name, count
        self._work: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._ended = False

    def begin(self) -> None:
        """Start the threads."""
        for number in range(self._count):
            threading.Thread(target=self._main, name=f"{self._name}-{number}", daemon=True).start()

    def do(self, work: Callable[[], None]) -> None:
        """Do something when a thread is free."""
        self._work.put(work)

    def end(self) -> None:
        """Start nothing more; what has begun goes on."""
        self._ended = True
        self._work.put(None)

    def _main(self) -> None:
        while (work := self._work.get()) is not None and not self._ended:
            try:
                work()
            except BaseException:
                _log.exception("a thread of the inline pool goes on after an error that is a bug")
        self._work.put(None)  # for the next one


def _nowhere(sha256: str) -> bytes:
    raise StoreUnavailable(f"blob {sha256[:12]} cannot be read: this pool has no blob store")
