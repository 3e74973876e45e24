"""`InlinePool`: attempts run on threads of this process, without Dask.

For tests, tutorials and cheap nodes. As with Dask, attempts may be handed over before their upstreams have ended: each
begins the moment its last upstream has, without asking the controller, whose commits are then few and large.
"""

from __future__ import annotations

import logging
import queue
import socket
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from itertools import count as count_up
from typing import Any

import psutil

from ...core.base.errors import NotFinished, Refused, StoreUnavailable
from ...core.dag.dag import Dag
from ...core.machine.effects import Answer
from ...core.machine.messages import Failed, Lost, PoolChanged, Succeeded, Suspended, Unbegun
from ...core.runs.attempt import Task
from ...core.runs.worker import Worker, WorkerState
from ...ports import Blobs, Put
from ...worker.execute import NOTHING, Outcome, World, execute
from ...worker.safepoint import Answers
from ...worker.versions import Versions
from .turns import FIRST, Turn, Turns

LOOKAHEAD = 128  #: attempts known beforehand, per slot

Attempt = tuple[str, str, int]
ENDS = (Succeeded, Failed, Suspended)
_log = logging.getLogger(__name__)


class _Held:
    """An attempt that is here: what it still waits for, what waits for it, and what it has made once it has ended."""

    __slots__ = ("begun", "below", "code", "outcome", "task", "turn", "unmet", "upstream")

    def __init__(self, task: Task, code: bytes, upstream: dict[str, _Held], turn: Turn) -> None:
        self.task, self.code, self.upstream, self.turn = task, code, upstream, turn
        self.unmet, self.begun = 0, False
        self.below: list[_Held] = []
        self.outcome: Outcome | None = None


class InlinePool:
    """A pool of `slots` threads in this process. `capabilities`: what it can do, as in `@node(requires={"gpu"})`."""

    def __init__(self, slots: int = 4, capabilities: Iterable[str] = ()) -> None:
        self.slots, self.capabilities = slots, frozenset(capabilities)
        self.blobs: Blobs | None = None
        self._published: dict[tuple[str, int], bytes] = {}
        self._versions = Versions(lambda run, version: self._published[run, version])
        self._held: dict[Attempt, _Held] = {}  # what is wanted: attempts that have not ended, and results
        self._lock = threading.Lock()  # over what waits for what
        self._turns = Turns()
        self._busy: dict[Attempt, str] = {}
        self._answers = Answers()
        self._nodes, self._keeping = _Threads("hexdag-node", slots), _Threads("hexdag-keep", 1)

    async def open(self, put: Put) -> None:
        self._put = put
        self._nodes.begin()
        self._keeping.begin()
        put("", PoolChanged(time.time(), self.slots, LOOKAHEAD * self.slots, (self.capabilities,)))

    async def close(self) -> None:
        self._held.clear()
        self._answers.end()
        for threads in (self._nodes, self._keeping):
            threads.end()

    async def publish(self, run: str, version: int, data: bytes) -> None:
        self._published[run, version] = data

    async def submit(self, tasks: Sequence[Task], code: Callable[[str], bytes]) -> None:
        for task in tasks:
            upstream = self._upstream(task)
            if upstream is not None:
                held = _Held(task, code(task.code), upstream, self._turns.of(task, time.monotonic()))
                self._held[task.run, task.node, task.fence] = held
                if not self._waits(held):
                    self._begin(held)

    def _upstream(self, task: Task) -> dict[str, _Held] | None:
        """The inputs that are only here, or are being made; None if one is lost, which is said."""
        found = {}
        for wanted in task.inputs:
            if not wanted.from_pool:
                continue
            made = self._held.get((task.run, wanted.up, wanted.fence))
            if made is None:
                now, why = time.time(), f"the result of {wanted.up} is not in the pool any more"
                self._put(task.run, Lost(now, wanted.up, wanted.fence, "it is not in the pool any more"))
                self._put(task.run, Lost(now, task.node, task.fence, why))
                return None
            found[wanted.up] = made
        return found

    def _waits(self, held: _Held) -> bool:
        """Whether some of its upstreams have not ended; then the last of them lets it begin."""
        with self._lock:
            for above in held.upstream.values():
                if above.outcome is None:
                    above.below.append(held)
                    held.unmet += 1
            return held.unmet > 0

    def _let_begin(self, below: Iterable[_Held]) -> None:
        """An upstream of these has ended."""
        with self._lock:
            for held in below:
                held.unmet -= 1
            free = [held for held in below if not held.unmet]
        for held in free:
            self._begin(held)

    def _begin(self, held: _Held) -> None:
        self._nodes.do(partial(self._run, held), held.turn)

    async def withdraw(self, run: str, attempts: Sequence[tuple[str, int]]) -> None:
        await self.forget(run, attempts)

    async def hold(self, run: str, attempts: Sequence[tuple[str, int]]) -> None:
        for node, fence in attempts:
            held = self._held.get((run, node, fence))
            if held is not None and self._take(held):
                del self._held[run, node, fence]
                self._put(run, Unbegun(time.time(), node, fence))

    def _take(self, held: _Held) -> bool:
        """Whether an attempt has not begun until now; it is for whoever hears so to begin it, or not to."""
        with self._lock:
            begun, held.begun = held.begun, True
            return not begun

    async def answer(self, run: str, answer: Answer) -> None:
        self._answers.give((run, answer.node, answer.fence), answer.number, answer.go_on)

    async def forget(self, run: str, attempts: Sequence[tuple[str, int]]) -> None:
        for node, fence in attempts:
            self._held.pop((run, node, fence), None)

    async def end(self, run: str, keep: Sequence[tuple[str, int]]) -> None:
        kept = {(run, node, fence) for node, fence in keep}
        for attempt in list(self._held):
            if attempt[0] == run and attempt not in kept:
                self._held.pop(attempt, None)
        self._turns.end(run)
        for version in [v for v in self._published if v[0] == run]:
            del self._published[version]

    async def value(self, run: str, node: str, fence: int) -> Any:
        held = self._held.get((run, node, fence))
        if held is None or held.outcome is None or not held.outcome.ok:
            raise NotFinished(f"the result of {node} is not in the pool any more")
        return held.outcome.read()

    def workers(self) -> list[Worker]:
        busy = tuple(sorted([*self._busy.values()]))
        state = WorkerState.BUSY if busy else WorkerState.IDLE
        memory, host = psutil.Process().memory_info().rss, socket.gethostname()
        able = tuple(sorted(self.capabilities))
        return [Worker("inline", host, state, busy, self.slots, able, None, memory)]

    async def drain(self, worker: str) -> None:
        text = "the inline pool is threads of this process, and none of them can leave"
        raise Refused(text, rule="inline-pool", fix='use hx.Lab(pool="dask")')

    def _run(self, held: _Held) -> None:
        task = held.task
        attempt = (task.run, task.node, task.fence)
        if self._held.get(attempt) is not held or not self._take(held):
            return
        last: list[Any] = []

        def say(message: Any) -> None:
            if isinstance(message, ENDS):
                last.append(message)  # a value must be there when its report is
            else:
                self._put(task.run, message)

        upstream = {name: above.outcome or NOTHING for name, above in held.upstream.items()}
        self._busy[attempt] = task.node
        try:
            outcome = execute(task, held.code, upstream, say, self._world())
        finally:
            del self._busy[attempt]
        held.upstream = {}  # else a chain would hold the values of all that was before
        with self._lock:  # from here on nothing more is put below it
            held.outcome, below = outcome, held.below
            held.below = []
        for message in last:
            self._put(task.run, message)
        if not outcome.ok:  # there is nothing to be had from it
            self._held.pop(attempt, None)
        self._let_begin(below)

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
        self._numbers = count_up()
        self._work: queue.PriorityQueue[tuple[Turn, int, Callable[[], None] | None]] = queue.PriorityQueue()
        self._ended = False

    def begin(self) -> None:
        """Start the threads."""
        for number in range(self._count):
            threading.Thread(target=self._main, name=f"{self._name}-{number}", daemon=True).start()

    def do(self, work: Callable[[], None], turn: Turn = FIRST) -> None:
        """Do something when a thread is free and it is its turn; among equals, the first comes first."""
        self._work.put((turn, next(self._numbers), work))

    def end(self) -> None:
        """Start nothing more; what has begun goes on."""
        self._ended = True
        self._work.put((FIRST, 0, None))

    def _main(self) -> None:
        while (work := self._work.get()[2]) is not None and not self._ended:
            try:
                work()
            except BaseException:
                _log.exception("a thread of the inline pool goes on after an error that is a bug")
        self._work.put((FIRST, 0, None))  # for the next one


def _nowhere(sha256: str) -> bytes:
    raise StoreUnavailable(f"blob {sha256[:12]} cannot be read: this pool has no blob store")
