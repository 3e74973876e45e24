"""The worker's side of a Dask pool: run a task, and say what happens over Dask's event topics.

A report goes out before the task's own end does, on the same stream, so the controller hears of a node's success no
later than of its downstream's start; and where Dask lets us, in the same message. What is only nice to know (a start,
progress) waits up to 5 ms for company.
"""

from __future__ import annotations

import pickle
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

from distributed import Worker, WorkerPlugin, get_worker
from distributed.utils import sync

from ..core.base.errors import HexdagError, StoreUnavailable
from ..core.dag.dag import Dag
from ..core.machine.messages import Failed, Lost, Skipped, Started, Succeeded, Suspended, Unbegun
from ..core.runs.attempt import Task
from .blobs import FileBlobs
from .bundle import Rerun, pending
from .execute import NOTHING, Outcome, World, execute
from .failures import failure_of
from .holding import hold, holding
from .outbox import Outbox
from .process import LabWorker, executing, pause
from .safepoint import Answers
from .trail import Trail
from .versions import Versions

LOOK = 0.1  #: seconds between looks whether something still runs here
DESKS = 32  #: labs that a worker process remembers
ENDS = (Succeeded, Failed, Skipped, Suspended)

answers = Answers()  #: to attempts in this process


class Outcomes(NamedTuple):
    """What a bundle leaves in the pool: the outcomes of its attempts, by (node, fence)."""

    made: Mapping[tuple[str, int], Outcome]


def run_task(topic: str, payload: bytes, code: bytes, *upstream: Outcome | Outcomes) -> Outcome:
    """One attempt on this Dask worker. `upstream` are the outcomes of the inputs made in the pool, in order.

    It never raises: Dask would run it again, or fail whatever waits for it."""
    task: Task
    task, blobs_url = pickle.loads(payload)
    desk = _desk(topic, blobs_url, get_worker())
    return _attempt(desk, task, code, upstream)


def run_bundle(topic: str, payload: bytes, codes: list[bytes]) -> Outcomes:
    """Several attempts on this Dask worker, one after the other; `codes` are those that `payload` refers to by number.

    Nothing of it runs a second time where Dask begins it again: only the lab knows what of it has ended."""
    tasks: tuple[tuple[Task, int], ...]
    key, tasks, blobs_url = pickle.loads(payload)
    desk, made = _desk(topic, blobs_url, get_worker()), {}
    attempts = [(task.run, task.node, task.fence) for task, _ in tasks]
    if desk.has_begun(tasks[0][0].run, key):
        desk.say(attempts[0][0], Rerun(key))
        return Outcomes({})
    pending.arrive(attempts)
    for attempt, (task, number) in zip(attempts, tasks, strict=True):
        if pending.begins(attempt):
            made[attempt[1:]] = _attempt(desk, task, codes[number], (), hurry=False)
    desk.flush()
    return Outcomes(made)


def _attempt(
    desk: _Desk, task: Task, code: bytes, upstream: Sequence[Outcome | Outcomes], hurry: bool = True
) -> Outcome:
    say = desk.sayer(task, hurry)
    if holding.holds((desk.topic, task.run, task.node, task.fence)):
        say(Unbegun(time.time(), task.node, task.fence))
        return NOTHING
    try:
        if task.effects and desk.has_begun(task.run, f"{task.node}#{task.fence}"):
            why = "its worker died while it ran; what acts on the outside world is not run again by the pool itself"
            say(Lost(time.time(), task.node, task.fence, why))
            return NOTHING
        wanted = [wanted for wanted in task.inputs if wanted.from_pool]
        given = {w.up: picked(outcome, w.up, w.fence) for w, outcome in zip(wanted, upstream, strict=True)}
        outcome = execute(task, code, given, say, desk.world)
    except Exception as error:  # a bug, or a report that cannot be written
        say(Failed(time.time(), task.node, task.fence, 0.0, failure_of(error), desk.world.worker))
        outcome = NOTHING
    desk.ended(task, hurry)
    return outcome


def picked(outcome: Outcome | Outcomes, node: str, fence: int) -> Outcome:
    """The outcome of an attempt, out of what its task leaves in the pool; empty if it was not run."""
    return outcome.made.get((node, fence), NOTHING) if isinstance(outcome, Outcomes) else outcome


def hear_answers(said: list[tuple[str, str, int, int, bool]]) -> None:
    """Tell attempts of this process, (run, node, fence, number, go on), whether to go on from a safe point."""
    for run, node, fence, number, go_on in said:
        answers.give((run, node, fence), number, go_on)


def probe(url: str, theirs: str) -> str:
    """Read a blob that the other side has written, write an answer: its SHA-256. Empty: not from here."""
    try:
        blobs = FileBlobs(url)
        return blobs.put(b"seen: " + blobs.get(theirs))
    except Exception:  # any failure at all means: not from here
        return ""


class _Tasks(WorkerPlugin):
    """Calls `begins()` on the worker's loop when a task is about to begin there, and `ended()` when one has ended,
    right before the scheduler is told."""

    def __init__(self, begins: Callable[[], None], ended: Callable[[], None]) -> None:
        self._begins, self._ended = begins, ended

    def transition(self, key: Any, start: str, finish: str, **more: Any) -> None:
        if start in ("executing", "long-running"):
            self._ended()
        if finish == "executing":
            self._begins()


def held_keys(topic: str) -> list[str]:
    """Where the attempts of a lab that are not to begin lie in the scheduler's metadata, for workers that come."""
    return [f"{topic}-held"]


class _Desk:
    """Reports of one lab from one worker."""

    def __init__(self, topic: str, blobs_url: str | None, worker: Worker) -> None:
        self.topic, self.worker = topic, worker
        self._outbox = Outbox(self._send, self._soon)
        self._rows = deque[tuple[str, bytes]]()  # on their way from other threads to the worker's loop
        folder = worker.trails if isinstance(worker, LabWorker) else ""
        self._trail = Trail(folder, topic, worker.address, str(worker.name)) if folder else None
        self._lock = threading.Lock()
        self._giving_way = False
        self._keeping: ThreadPoolExecutor | None = None
        self._versions = Versions(self._fetch_version)
        blobs = _blobs_at(blobs_url)
        self.world = World(
            worker=str(worker.name),
            fetch=blobs.get if blobs else _nowhere,
            keep=blobs.put if blobs else None,
            dag=self._dag,
            later=self._later,
            answers=answers,
            stray=self._stray,
        )
        hold(topic, sync(worker.loop, worker.scheduler.get_metadata, keys=held_keys(topic), default=()))
        self._hears_ends = self._listen()

    def _listen(self) -> bool:
        """Hear of tasks that begin and end; False where Dask has no way to."""
        try:
            sync(
                self.worker.loop,
                self.worker.plugin_add,
                plugin=_Tasks(self._outbox.expect, self._outbox.flush),
                name=self.topic,
            )
        except (AttributeError, TypeError, RuntimeError):
            return False
        return True

    def leave(self) -> None:
        """Hear of nothing more."""
        self.worker.loop.add_callback(self.worker.plugins.pop, self.topic, None)

    def sayer(self, task: Task, hurry: bool) -> Callable[[Any], None]:
        def say(message: Any) -> None:
            if self._trail is not None and isinstance(message, Started):
                self._trail.mark((task.run, task.node, task.fence))
            self._outbox.say(task.run, message, hurry and not (self._hears_ends and isinstance(message, ENDS)))

        return say

    def say(self, run: str, message: Any) -> None:
        self._outbox.say(run, message)

    def ended(self, task: Task, hurry: bool) -> None:
        """An attempt has said all that it has to say: send it, unless more comes in a moment, or its task ends now."""
        self._outbox.ended(task.run, task.node, task.fence, hurry and not self._hears_ends)

    def flush(self) -> None:
        self._outbox.flush()

    def _send(self, rows: list[tuple[str, bytes]]) -> None:
        self._rows.extend(rows)  # in one queue: what is said on the loop's own thread must not overtake what was before
        self._on_loop(self._post)

    def _post(self) -> None:
        rows = []
        while self._rows:  # other threads add to it meanwhile
            rows.append(self._rows.popleft())
        if rows:
            self.worker.log_event(self.topic, rows)

    def _soon(self, seconds: float, flush: Callable[[], None]) -> None:
        self._on_loop(self.worker.loop.call_later, seconds, flush)

    def _on_loop(self, call: Callable[..., Any], *arguments: Any) -> None:
        """Call on the worker's loop: at once on its own thread, which need not be woken, else when it comes to it."""
        if threading.get_ident() == self.worker.thread_id:
            call(*arguments)
        else:
            self.worker.loop.add_callback(call, *arguments)

    def _later(self, work: Callable[[], None]) -> None:
        with self._lock:
            if self._keeping is None:
                self._keeping = ThreadPoolExecutor(1, thread_name_prefix="hexdag-keep")
        self._keeping.submit(work)

    def _stray(self) -> str:
        """A thread of this process does not stop: take nothing more, and be replaced once nothing else runs here."""
        if self.worker.nanny is None and not isinstance(self.worker, LabWorker):
            return "it goes on until it ends by itself, since nobody would start this worker again"
        if not self._giving_way:
            self._giving_way = True
            self.worker.loop.add_callback(self._give_way)
        return "this worker takes nothing more, and is replaced as soon as nothing else runs on it"

    def _give_way(self) -> None:
        pause(self.worker)
        if executing(self.worker):
            self.worker.loop.call_later(LOOK, self._give_way)
            return
        nanny = self.worker.nanny is not None
        self.worker.loop.add_callback(self.worker.close_gracefully, restart=nanny, reason="hexdag-stray-thread")

    def has_begun(self, run: str, what: str) -> bool:
        """Whether an attempt, or a bundle, has begun before, here or on another worker; from now on it has. Dask runs
        one in two places only one after the other, so nobody asks between the question and the answer."""
        keys = [self.topic, run, "begun", what]
        return bool(sync(self.worker.loop, self._begin, keys))

    async def _begin(self, keys: list[str]) -> bool:
        begun = await self.worker.scheduler.get_metadata(keys=keys, default=False)
        if not begun:
            await self.worker.scheduler.set_metadata(keys=keys, value=True)
        return bool(begun)

    def _dag(self, run: str, version: int) -> Dag:
        return self._versions.dag(run, version)

    def _fetch_version(self, run: str, version: int) -> bytes:
        keys = version_keys(self.topic, run, version)
        data = sync(self.worker.loop, self.worker.scheduler.get_metadata, keys=keys, default=None)
        if data is None:
            raise HexdagError(f"version {version} of run {run} is not known here any more: the run has ended")
        return bytes(data)


def version_keys(topic: str, run: str, version: int | None = None) -> list[str]:
    """Where the versions of a run, or one of them, lie in the scheduler's metadata. A topic is a lab's own."""
    return [topic, run] if version is None else [topic, run, str(version)]


_desks: dict[tuple[str, str | None, str], _Desk] = {}
_desks_lock = threading.Lock()


def _desk(topic: str, blobs_url: str | None, worker: Worker) -> _Desk:
    """The desk of a lab at a worker; a process can have several workers."""
    key = (topic, blobs_url, worker.address)
    with _desks_lock:
        desk = _desks.get(key)
        if desk is None or desk.worker is not worker:
            while len(_desks) >= DESKS:
                _desks.pop(next(iter(_desks))).leave()
            desk = _desks[key] = _Desk(topic, blobs_url, worker)
        return desk


def _blobs_at(url: str | None) -> FileBlobs | None:
    try:
        return FileBlobs(url) if url else None
    except (HexdagError, ValueError):  # as where the package for that kind of URL is not installed
        return None


def _nowhere(sha256: str) -> bytes:
    raise StoreUnavailable(
        f"blob {sha256[:12]} cannot be read on this worker: it does not reach the lab's blob store; "
        "give the lab blobs= that all workers reach"
    )
