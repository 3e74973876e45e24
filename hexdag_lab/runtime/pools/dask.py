"""`DaskPool`: attempts run on a Dask cluster. One controller step is one small graph of futures.

Inputs that are still being made are futures of earlier graphs, so the scheduler starts a node the moment its last
upstream ends, without asking us. A task never raises; what happens is told over an event topic (see `worker.dask`), and
futures are only looked at to notice what nobody can tell any more: a worker that died, a scheduler that forgot. While
there is no scheduler, attempts wait here.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from typing import Any

from ...core.base.codec import loads
from ...core.base.errors import HexdagError, NotFinished, PoolUnavailable, Refused
from ...core.machine.effects import Answer
from ...core.machine.messages import (
    Failed,
    Lost,
    PoolChanged,
    Skipped,
    Started,
    Succeeded,
    Suspended,
    Unbegun,
    WorkerSeen,
)
from ...core.runs.attempt import Task
from ...core.runs.worker import Worker, WorkerState
from ...ports import Put
from ...worker import process
from ...worker.bundle import Rerun
from ...worker.dask import held_keys, picked, version_keys
from ...worker.needs import needed
from ..thread import cancelled
from .handed import Handed, Kinds, attempt_of
from .link import Link
from .orders import Orders
from .packing import Packing
from .roster import Attempt, Roster
from .turns import Turns

LOOKAHEAD = 128  #: attempts known to Dask beforehand, per slot
SILENCE = 5.0  #: seconds after which an attempt that ended without a report is held to be lost
LOOK_EVERY, LOOK_SOON = 0.25, 0.05  #: seconds between looks at futures and workers; while an own cluster comes up

Offer = tuple[int, int, tuple[frozenset[str], ...]]
_log = logging.getLogger(__name__)


class DaskPool:
    """A Dask cluster as a pool: an `OwnCluster`, a scheduler's address, or a `distributed.Client`."""

    def __init__(self, cluster: Any, blobs: str | None = None, grouping: bool = True) -> None:
        self._link = Link(cluster, blobs)
        self._kinds = Kinds(grouping)
        self._roster = Roster(self._link.shared)
        self._topic = f"hexdag-{secrets.token_hex(6)}"  # of this lab only: others may use the same scheduler
        self._packing = Packing(self._topic, self._link)
        self._turns = Turns()  # no Dask priority, which goes before all that others do
        self._orders = Orders(self._link, self._roster, self._topic)
        self._up = False
        self._early: dict[Attempt, tuple[Task, Callable[[str], bytes]]] = {}  # wait for a scheduler
        self._handed = Handed()
        self._quiet: dict[Attempt, float] = {}  # since when some have been done without having said so
        self._offered: Offer | None = None
        self._published: dict[tuple[str, int], bytes] = {}
        self._placed: dict[Attempt, tuple[str, ...]] = {}  # on which workers, where that was said
        self._watching: asyncio.Task[None] | None = None
        self.answered = time.monotonic()  #: when the scheduler has answered last
        self._news = asyncio.Event()  # a worker has come or gone: do not wait for the next look
        self._looks = asyncio.Lock()  # an answer is not to come after that of a later look

    @property
    def address(self) -> str:
        """The scheduler's address."""
        return self._link.address

    # -- life

    async def open(self, put: Put) -> None:
        self._put = put
        await self._link.open({self._topic: self._heard, "all": self._heard_of_workers})
        await self._rise()
        self._watching = asyncio.create_task(self._watch())

    async def close(self) -> None:
        if self._watching is not None:
            await cancelled([self._watching, *self._orders.under_way])
        self._up = False
        if self._link.alive and self._link.shared:
            self._handed.release(list(self._handed.held))
            self._packing.release()
            with suppress(OSError):  # a scheduler that is gone has nothing to be cleaned
                await self._link.publish([self._topic], {})
                await self._link.publish(held_keys(self._topic), ())
        self._handed.clear()
        await self._link.close()

    async def _rise(self) -> None:
        """The scheduler is there: tell it all that is known here."""
        for (run, version), data in list(self._published.items()):
            await self._link.publish(version_keys(self._topic, run, version), data)
        self._up = True
        await self._look_at_workers()
        while self._early:
            run, node, fence = attempt = next(iter(self._early))
            task, code = self._early.pop(attempt)
            try:
                await self.submit([task], code)
            except Exception as error:  # whatever Dask or a blob store says: this one has to be tried again
                self._put(run, Lost(time.time(), node, fence, f"the pool did not take it: {error}"))

    def _fall(self) -> None:
        """The scheduler is gone, and with it all that it had: say so."""
        self._up, self._offered = False, (0, 0, ())
        self._link.kill_workers()
        for address in self._roster.workers:
            self._count_unheard(address)
        lost = self._handed.clear()
        self._kinds.ended(lost)
        self._packing.clear()
        self._roster.clear()
        self._quiet.clear()
        self._placed.clear()
        self._orders.held.clear()
        self._put("", PoolChanged(time.time(), *self._offered))
        for run, node, fence in lost:
            self._put(run, Lost(time.time(), node, fence, "the scheduler died"))

    # -- what the controller asks for

    async def publish(self, run: str, version: int, data: bytes) -> None:
        self._published[run, version] = data
        if self._up:
            with suppress(OSError):  # the next scheduler gets it from `_published`
                await self._link.publish(version_keys(self._topic, run, version), data)

    async def submit(self, tasks: Sequence[Task], code: Callable[[str], bytes]) -> None:
        self._read_code = code
        if not self._up:
            self._early |= {(task.run, task.node, task.fence): (task, code) for task in tasks}
            return
        # Needs are said per graph, so each stretch of tasks with the same needs is a graph of its own.
        stretch: list[Task] = []
        for task in tasks:
            if stretch and _wants(task) != _wants(stretch[-1]):
                self._submit(stretch, code)
                stretch = []
            stretch.append(task)
        if stretch:
            self._submit(stretch, code)

    def _submit(self, tasks: Sequence[Task], code: Callable[[str], bytes]) -> None:
        places = self._roster.places(tasks[0])
        keys: dict[Attempt, str] = {}
        sent: dict[str, tuple[Task, ...]] = {}
        graph: dict[str, Any] = {}
        for group in self._kinds.group(tasks, self._roster.slots):
            upstream = self._upstream(group[0], keys)  # none, for a bundle
            if upstream is None:
                continue
            key, pack = self._packing.key(group), self._packing
            alone = len(group) == 1
            graph[key] = pack.alone(group[0], upstream, code) if alone else pack.together(key, group, code)
            sent[key] = group
            keys |= dict.fromkeys(map(attempt_of, group), key)
        if not graph:
            return
        order = {key: self._turns.place(group[0]) for key, group in sent.items()}
        futures = self._link.get(graph, needed(tasks[0].requires), tuple(places), order)
        for key, group in sent.items():
            self._handed.add(key, group, futures[key])
        self._placed |= dict.fromkeys(keys, tuple(places.values())) if places else {}

    def _upstream(self, task: Task, keys: Mapping[Attempt, str]) -> list[Any] | None:
        """The inputs that are in the pool, or are being made there. None if one is not: that is said."""
        found = []
        for wanted in task.inputs:
            if not wanted.from_pool:
                continue
            attempt = (task.run, wanted.up, wanted.fence)
            made = keys.get(attempt) or self._handed.held.get(attempt)
            if made is None:
                now, why = time.time(), "it is not in the pool any more"
                self._put(task.run, Lost(now, wanted.up, wanted.fence, why))
                self._put(task.run, Lost(now, task.node, task.fence, f"its input {wanted.up} is lost"))
                return None
            found.append(made)
        return found

    async def answer(self, run: str, answer: Answer) -> None:
        self._orders.answer(run, answer)

    async def withdraw(self, run: str, attempts: Sequence[tuple[str, int]]) -> None:
        self._withdraw([(run, node, fence) for node, fence in attempts])

    def _withdraw(self, attempts: Collection[Attempt]) -> None:
        if bundled := self._handed.in_bundles(attempts):  # Dask cannot take back a part of a task: its worker does
            self._orders.begin(self._orders.take_back(bundled))
        self._release(attempts)

    async def hold(self, run: str, attempts: Sequence[tuple[str, int]]) -> None:
        held = {(run, node, fence) for node, fence in attempts}
        for _, node, fence in held & self._early.keys():
            self._early.pop((run, node, fence))
            self._put(run, Unbegun(time.time(), node, fence))
        self._orders.hold(held & self._handed.held.keys())

    async def forget(self, run: str, attempts: Sequence[tuple[str, int]]) -> None:
        self._release([(run, node, fence) for node, fence in attempts])

    async def end(self, run: str, keep: Sequence[tuple[str, int]]) -> None:
        kept = {(run, node, fence) for node, fence in keep}
        self._withdraw([a for a in (*self._handed.held, *self._early) if a[0] == run and a not in kept])
        self._turns.end(run)
        for version in [v for v in self._published if v[0] == run]:
            del self._published[version]
        self._forget()
        if self._up:
            with suppress(OSError):
                await self._link.publish(version_keys(self._topic, run), {})

    def _forget(self) -> None:
        live = {run for run, _ in self._published}
        self._handed.forget(live)
        self._roster.forget(live, self._handed.held)

    def _release(self, attempts: Collection[Attempt]) -> None:
        for attempt in attempts:
            self._early.pop(attempt, None)
            self._quiet.pop(attempt, None)
            self._placed.pop(attempt, None)
            self._orders.held.discard(attempt)
        self._handed.release(attempts)
        self._kinds.ended(attempts)

    async def value(self, run: str, node: str, fence: int) -> Any:
        future = self._handed.held.get((run, node, fence))
        if future is None:
            raise NotFinished(f"the result of {node} is not in the pool any more")
        try:
            return picked(await future, node, fence).read()
        except HexdagError:
            raise
        except (Exception, asyncio.CancelledError) as error:  # Dask raises what it likes for a result that is lost
            if (task := asyncio.current_task()) is not None and task.cancelling():
                raise
            raise NotFinished(f"the result of {node} is not in the pool any more: {error}") from error

    def workers(self) -> list[Worker]:
        return list(self._roster.workers.values())

    async def drain(self, worker: str) -> None:
        if self._link.alive and not self._roster.address(worker):  # it may have come, and begun, since the last look
            await self._look_at_workers()
        if not (address := self._roster.address(worker)):
            names = ", ".join(sorted(row.id for row in self.workers())) or "none"
            raise Refused(f"there is no worker {worker!r}", rule="unknown-worker", fix=f"the workers are: {names}")
        try:
            await self._link.on_workers(process.pause, [address])
        except TimeoutError as error:
            text = f"worker {worker} does not answer, so it cannot be asked to leave"
            raise Refused(text, rule="silent-worker", fix="end its process: what it runs will run elsewhere") from error
        self._roster.leaving(worker, "it is being drained")
        while True:
            left = await self._link.on_workers(process.executing, [address])
            if not left.get(address):
                break
            await asyncio.sleep(LOOK_SOON)
        if not await self._link.retire(address) and self._roster.address(worker):
            text = f"worker {worker} has results that no other worker can take, and stays, paused"
            raise Refused(text, rule="last-worker", fix="start another worker, and drain it then")
        await self._link.dismiss(worker)

    # -- listening and looking

    def _heard(self, event: tuple[float, Any]) -> None:
        for run, data in event[1]:
            try:
                message = loads(data)
            except HexdagError:
                _log.exception("a report of run %s cannot be read", run)
                continue
            if isinstance(message, Rerun):
                self._rerun(message.key)
            else:
                self._put(run, self._noted(run, message))

    def _rerun(self, key: str) -> None:
        """A bundle has died with its worker, and Dask has begun it again, in vain: the lab tries again what has not
        ended, and what still waited for a result of it there."""
        attempts, below, now = self._handed.attempts([key]), self._handed.chained_to(key), time.time()
        for attempt in attempts:
            run, node, fence = attempt
            why = f"worker {self._roster.had(attempt) or '(nobody heard which)'} died with it"
            self._put(run, Lost(now, node, fence, why))
        waiting = [attempt for attempt in below if not self._roster.has_begun(attempt)]
        for run, node, fence in waiting:
            self._put(run, Lost(now, node, fence, "what it waited for died with its worker"))
        for attempt in attempts:
            self._roster.ended(attempt)
        self._release([*attempts, *waiting])

    def _noted(self, run: str, message: Any) -> Any:
        """What a worker says, as it is passed on."""
        if not isinstance(message, Started | Succeeded | Failed | Skipped | Suspended | Lost | Unbegun):
            return message
        attempt = (run, message.node, message.fence)
        self._handed.hear(attempt, time.monotonic())
        if isinstance(message, Started):
            return self._roster.began(attempt, message)
        self._orders.held.discard(attempt)
        if isinstance(message, Succeeded):
            self._roster.ended(attempt, made=message.worker)
            self._kinds.succeeded(attempt, message.seconds, message.result.size)
            return message
        had = self._roster.has_made(attempt)
        self._roster.ended(attempt)
        self._release([attempt])  # there is nothing to be had from it
        if had and isinstance(message, Failed):  # Dask ran it again, and now its result is gone for whatever waits
            return Lost(message.at, message.node, message.fence, f"Dask ran it again, and it failed: {message.failure}")
        return message

    def _heard_of_workers(self, event: tuple[float, Any]) -> None:
        said = event[1]
        if not isinstance(said, dict) or said.get("action") not in ("add-worker", "remove-worker"):
            return
        if said["action"] == "remove-worker":
            address = said["worker"]
            if said.get("expected"):
                self._roster.retired(address)
            keys = {*said.get("processing-tasks", ()), *said.get("lost-computed-tasks", ())}
            self._count_unheard(address)
            self._roster.died(address, self._handed.attempts(keys))
        self._news.set()

    def _count_unheard(self, address: str) -> None:
        """What had begun on a worker that is dead, and of which nobody has heard, begins now for the journal."""
        for attempt, worker in self._link.begun(self._topic, address).items():
            if attempt in self._handed.held and self._roster.unheard(attempt, worker):
                run, node, fence = attempt
                self._put(run, self._roster.began(attempt, Started(time.time(), node, fence, worker)))

    async def _watch(self) -> None:
        """Notice what no worker can tell: dead workers, lost attempts, a dead scheduler."""
        while True:
            boots = not self._link.shared and not (self._offered and self._offered[0])
            with suppress(TimeoutError):
                async with asyncio.timeout(LOOK_SOON if boots else LOOK_EVERY):
                    await self._news.wait()
            self._news.clear()
            try:
                if self._up and not self._link.alive:
                    self._fall()
                if not self._up:
                    await self._link.reopen()
                    await self._rise()
                await self._link.revive()
                await self._look_at_workers()
                self._look_at_futures()
                for attempts in self._handed.stuck(time.monotonic()):
                    self._orders.begin(self._relieve(attempts))
            except (OSError, TimeoutError, PoolUnavailable) as error:
                _log.info("the cluster does not answer, and is looked for again: %s", error)
            except Exception:  # the watcher outlives whatever one look meets; it is logged
                _log.exception("a look at the cluster failed")

    def _look_at_futures(self) -> None:
        now = time.monotonic()
        for attempt, future in list(self._handed.held.items()):
            run, node, fence = attempt
            if future.status in ("error", "cancelled"):  # "lost" is no end: Dask makes it again
                why = _why(future)
            elif future.status == "finished" and self._silent(attempt, now):
                why = "its report was lost"
            elif future.status == "pending" and self._misplaced(attempt):
                why = f"worker {' or '.join(self._placed[attempt])} is gone, on which it was to run"
            else:
                continue
            self._release([attempt])
            self._put(run, Lost(time.time(), node, fence, why))

    async def _relieve(self, attempts: list[Attempt]) -> None:
        """One attempt of a bundle takes long: those that wait behind it go alone, as far as they have not begun."""
        where = self._roster.address(self._roster.where(attempts))
        if not where:
            return
        waiting = await self._orders.take_back([a for a in attempts if not self._roster.has_made(a)], [where])
        tasks = [task._replace(shares=False) for task in self._handed.taken_out(waiting)]
        if tasks:
            _log.info("%s attempts leave a task in which one takes long", len(tasks))
            await self.submit(tasks, self._read_code)

    def _misplaced(self, attempt: Attempt) -> bool:
        """Whether an attempt waits for workers of which none is there."""
        return attempt in self._placed and not any(map(self._roster.address, self._placed[attempt]))

    def _silent(self, attempt: Attempt, now: float) -> bool:
        """Whether an attempt ended some seconds ago and has not said how."""
        return not self._roster.has_made(attempt) and now - self._quiet.setdefault(attempt, now) > SILENCE

    async def _look_at_workers(self) -> None:
        async with self._looks:
            rows = await self._link.look()
            self.answered = time.monotonic()
            changes = self._roster.look(rows, self.answered)
        if changes:
            self._forget()
        for change in changes:
            self._put("", WorkerSeen(time.time(), *change))
            if change.state is WorkerState.FAILED:
                await self._link.end_if_frozen(change.worker)
        if waiting := self._roster.to_take_over():
            await self._link.on_workers(process.take_over, waiting)
            self._news.set()
        slots = self._roster.slots
        offered: Offer = (slots, LOOKAHEAD * slots, self._roster.capabilities)
        if offered != self._offered:
            self._offered = offered
            self._put("", PoolChanged(time.time(), *offered))


def _wants(task: Task) -> tuple[frozenset[str], str, str]:
    """What a task asks for that is said of a graph, not of a task in it."""
    return task.requires, task.worker, task.leaves


def _why(future: Any) -> str:
    """Why a future has no result."""
    if future.status != "error":
        return "the scheduler lost it"
    error = getattr(getattr(future, "_state", None), "exception", None)
    if error is None or type(error).__name__ == "KilledWorker":
        return "its worker died"
    return f"Dask could not run it: {type(error).__name__}: {error}"
