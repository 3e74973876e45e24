"""The pool of the simulated world: workers that start, fail, die, run things twice and report late.

It does what the contract of `ports.Pool` allows and no more: an attempt runs when its inputs are there, a chained one
waits for its upstream's attempt in the pool, an attempt that was recalled while it runs may run to its end, and a
worker that dies takes its attempts along (reported `Lost`), or the pool runs them again by itself. Some nodes go from
safe point to safe point, and ask at each whether to go on until they are told. Values are not
computed: a result is a note of what it was made from, which the audit reads at the end; but those of nodes with
`cache=True` are the same each time, for then a re-run may stop below them.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from hashlib import sha256
from random import Random
from typing import Any, NamedTuple, Protocol

from ..core.dag.changeset import Changeset
from ..core.dag.dag import Dag
from ..core.dag.node import NodeSpec
from ..core.machine import effects as ef
from ..core.machine import messages as ms
from ..core.runs.attempt import Input, Task
from ..core.runs.run import Failure
from ..core.runs.value import Kept

STEPS = 3  #: of a node that has safe points


class Broken(AssertionError):
    """Something that must not happen has happened."""


class Home(Protocol):
    """What a pool needs of the world around it."""

    rng: Random
    now: float
    moves: int
    notes: dict[Any, dict[str, Any]]
    sent: dict[tuple[str, int], int]

    def post(self, message: Any) -> None: ...
    def tell(self, message: Any) -> None: ...
    def later(self, seconds: float, action: Callable[[], None]) -> None: ...
    def node_proposes(self, task: Task, version: Dag) -> str: ...


class Attempt:
    """One submitted task. `state`: waiting, running, done (its value is in the pool) or ended (without one)."""

    def __init__(self, task: Task, serial: int) -> None:
        self.task, self.serial = task, serial
        self.state, self.worker, self.run = "waiting", "", 0
        self.inputs: list[list[Any]] | None = None
        self.sha, self.forgotten, self.recalled = "", False, False
        self.steps, self.passed = 0, -1  # of one with safe points: what it has done, and the last that it was let past

    @property
    def key(self) -> tuple[str, int]:
        return self.task.node, self.task.fence


def _in_pool(given: Input) -> bool:
    return given.kept is None or given.kept.where == "pool"


class Worker(NamedTuple):
    name: str
    has: frozenset[str]


class SimPool:
    """Workers and attempts of one controller's life. `slots` and what workers can do are chosen by the world."""

    def __init__(self, home: Home, name: str, workers: int, lookahead: int) -> None:
        self.home, self.name, self.lookahead = home, name, lookahead
        self.hired = 0
        self.workers: list[Worker] = []
        self.attempts: dict[tuple[str, int], Attempt] = {}
        self.versions: dict[int, Dag] = {}
        self.closed = False
        for number in range(workers):
            self._hire(frozenset({"gpu"} if number % 2 == 0 else ()))

    # -- what the controller asks for

    def offer(self) -> ms.PoolChanged:
        able = tuple(worker.has for worker in self.workers)
        return ms.PoolChanged(self.home.now, len(self.workers), self.lookahead, able)

    def publish(self, version: int, change: Dag | Changeset) -> None:
        if isinstance(change, Dag):
            self.versions[version] = change
        elif version - 1 in self.versions:
            self.versions[version] = self.versions[version - 1].apply(change)
        else:
            raise Broken(f"workers are told how v{version} differs from v{version - 1}, which they never saw")

    def submit(self, tasks: tuple[Task, ...]) -> None:
        for task in tasks:
            key = (task.node, task.fence)
            if key in self.home.sent:
                raise Broken(f"attempt {task.fence} of {task.node} is submitted twice: its intent was lost")
            if task.version not in self.versions:
                raise Broken(f"{task.node} is submitted for v{task.version}, which workers never saw")
            for given in task.inputs:
                if given.up and _in_pool(given) and (given.up, given.fence) not in self.attempts:
                    raise Broken(f"{task.node} waits for {given.up}#{given.fence}, which the pool does not have")
            self.home.sent[key] = len(self.home.sent) + 1
            self.attempts[key] = Attempt(task, self.home.sent[key])
        for task in tasks:
            if any(self._gone(given.up, given.fence) for given in task.inputs if given.up and _in_pool(given)):
                self._lose(self.attempts[task.node, task.fence], "an input is not in the pool any more")
        self.look()

    def _gone(self, up: str, fence: int) -> bool:
        made = self.attempts[up, fence]
        return made.state == "ended" and bool(made.sha)

    def _lose(self, attempt: Attempt, why: str) -> None:
        attempt.state = "ended"
        self.home.post(ms.Lost(self.home.now, attempt.task.node, attempt.task.fence, why))

    def recall(self, keys: tuple[tuple[str, int], ...]) -> None:
        for key in keys:
            attempt = self.attempts.get(key)
            if attempt is None:
                continue
            attempt.recalled = True
            if attempt.state == "waiting" or (attempt.state == "running" and self.home.rng.random() < 0.7):
                attempt.state = "ended"
        self.look()

    def hold(self, keys: tuple[tuple[str, int], ...]) -> None:
        """What waits does not begin, if it hears of that in time."""
        for key in keys:
            attempt = self.attempts[key]
            if attempt.state == "waiting" and self.home.rng.random() < 0.8:
                attempt.state = "ended"
                self.home.post(ms.Unbegun(self.home.now, *key))

    def forget(self, keys: tuple[tuple[str, int], ...]) -> None:
        for key in keys:
            if key in self.attempts:
                self.attempts[key].forgotten = True

    def answer(self, said: ef.Answer) -> None:
        """An attempt at a safe point is told whether to go on; what it has been told already is not news."""
        attempt = self.attempts.get((said.node, said.fence))
        if attempt is None or attempt.state != "running":
            return
        if (said.worker, said.number) != (attempt.worker, attempt.passed + 1):
            return
        if said.go_on:
            attempt.passed, run = said.number, attempt.run
            self.home.later(self.home.rng.uniform(0.1, 2), lambda: self._walk(attempt, run))
        else:
            attempt.state = "ended"
            self.look()

    def close(self) -> None:
        """Its controller is gone. What runs dies, but for some workers that do not notice at once."""
        self.closed = True
        for attempt in self.attempts.values():
            if attempt.state == "waiting" or (attempt.state == "running" and self.home.rng.random() < 0.6):
                attempt.state = "ended"

    def leftovers(self) -> list[str]:
        """Attempts that nobody recalled and that would wait for ever."""
        left = [a for a in self.attempts.values() if a.state == "waiting" and not a.sha]
        return [f"{a.task.node}#{a.task.fence}" for a in left]

    # -- what happens in it

    def look(self) -> None:
        """Start what can start."""
        if self.closed:
            return
        busy = {a.worker for a in self.attempts.values() if a.state == "running"}
        waiting = [a for a in self.attempts.values() if a.state == "waiting" and self._inputs(a.task) is not None]
        for attempt in sorted(waiting, key=lambda a: (-a.task.priority, a.task.node)):
            there = [w for w in self.workers if w.name == attempt.task.worker] or self.workers
            free = [w for w in there if w.name not in busy and attempt.task.requires <= w.has]
            if free:
                worker = self.home.rng.choice(free).name
                busy.add(worker)
                self._start(attempt, worker)

    def _inputs(self, task: Task) -> list[list[Any]] | None:
        """[upstream, fence, hash] of all that a task gets from upstream, or None while something is missing."""
        found = []
        for given in task.inputs:
            if not given.up:
                continue
            if given.kept is not None and not _in_pool(given):
                found.append([given.up, given.fence, given.kept.sha256])
                continue
            made = self.attempts.get((given.up, given.fence))
            if made is None or made.state != "done":
                return None
            found.append([given.up, given.fence, made.sha])
        return found

    def _start(self, attempt: Attempt, worker: str) -> None:
        attempt.state, attempt.worker = "running", worker
        attempt.run += 1
        attempt.inputs = self._inputs(attempt.task)
        task, run = attempt.task, attempt.run
        if self.home.rng.random() < 0.9:
            repeat, why = run - 1, "the pool ran it again" if run > 1 else ""
            self.home.post(ms.Started(self.home.now, task.node, task.fence, worker, repeat, why))
        if self._walks(task):
            saved = self.home.notes[task.saved.sha256] if task.saved is not None else {}
            attempt.steps, attempt.passed = saved.get("steps", 0), -1
            self._ask(attempt, run, 0, None)
            return
        seconds = round(self.home.rng.uniform(0.1, 6.0), 3)
        self.home.later(seconds, lambda: self._finish(attempt, run, seconds))

    def _walks(self, task: Task) -> bool:
        """Whether a node has safe points: half of the codes do, where nodes have some at all."""
        code = self.versions[task.version].nodes[task.node].code
        return self.home.moves > 0 and task.label != "ask" and code.digest[1] % 2 == 0

    def _walk(self, attempt: Attempt, run: int) -> None:
        """One step of a node that has safe points, or its end."""
        if attempt.state != "running" or attempt.run != run:
            return
        if attempt.steps == STEPS:
            self._finish(attempt, run, 1.0)
            return
        attempt.steps += 1
        saved = self._keep({**self._note(attempt), "steps": attempt.steps}, "inline")
        self._ask(attempt, run, attempt.passed + 1, saved)

    def _ask(self, attempt: Attempt, run: int, number: int, saved: Kept | None) -> None:
        """It is at a safe point, and asks until it is answered, or its controller is gone."""
        if attempt.state == "running" and attempt.run == run and attempt.passed < number:
            task, now = attempt.task, self.home.now
            self.home.post(ms.Checkpointed(now, task.node, task.fence, number, saved, attempt.worker))
            if not self.closed:
                self.home.later(2.0, lambda: self._ask(attempt, run, number, saved))

    def _finish(self, attempt: Attempt, run: int, seconds: float) -> None:
        if attempt.state != "running" or attempt.run != run:
            return
        task, now, rng = attempt.task, self.home.now, self.home.rng
        note = self._note(attempt)
        asks = task.label == "ask" and len(task.decisions or ()) < 2 and not attempt.sha
        if asks and rng.random() < 0.8:
            attempt.state = "ended"
            proposal = self.home.node_proposes(task, self.versions[task.sees])
            saved = self._keep({**note, "saved": True}, "inline")
            self.home.post(ms.Suspended(now, task.node, task.fence, seconds, proposal, saved))
        elif self._spec(task).when is not None and task.failure is None and rng.random() < 0.4 and not attempt.sha:
            attempt.state = "ended"
            self.home.post(ms.Skipped(now, task.node, task.fence, seconds, "its condition says no"))
        elif rng.random() < 0.12 and not attempt.sha:
            attempt.state = "ended"
            failure = Failure("ValueError", f"{task.node} did not work")
            self.home.post(ms.Failed(now, task.node, task.fence, seconds, failure, attempt.worker))
        else:
            attempt.state = "done"
            where = "pool" if rng.random() < 0.3 else "inline"
            self.home.notes[attempt.key] = note
            kept = self._keep(self._steady(task) or note, where)
            attempt.sha = kept.sha256
            self.home.post(ms.Succeeded(now, task.node, task.fence, seconds, kept, attempt.worker))
            if where == "pool" and rng.random() < 0.7:
                self.home.later(rng.uniform(0.5, 10), lambda: self._keep_later(attempt, kept))
        self.look()

    def _note(self, attempt: Attempt) -> dict[str, Any]:
        task = attempt.task
        spec = self._spec(task)
        return {
            "node": task.node, "fence": task.fence, "serial": attempt.serial, "version": task.version,
            "definition": spec.digest.hex(), "code": spec.code.digest.hex(),
            "inputs": attempt.inputs, "resumed": task.saved and task.saved.sha256,
        }  # fmt: skip

    def _spec(self, task: Task) -> NodeSpec:
        return self.versions[task.version].nodes[task.node]

    def _steady(self, task: Task) -> dict[str, Any]:
        """The result of a node whose results may be used again: one of two, whatever goes in."""
        spec = self._spec(task)
        return {"steady": spec.code.digest[0] % 2} if spec.cache else {}

    def _keep(self, note: dict[str, Any], where: str) -> Kept:
        data = json.dumps(note, sort_keys=True).encode()
        sha = sha256(data).hexdigest()
        self.home.notes[sha] = note
        return Kept("json", len(data), sha, data if where == "inline" else None, "", where)

    def _keep_later(self, attempt: Attempt, kept: Kept) -> None:
        if not self.closed and attempt.state == "done":
            blob = kept._replace(where="blob")
            self.home.post(ms.ResultKept(self.home.now, attempt.task.node, attempt.task.fence, blob))

    # -- workers

    def _hire(self, has: frozenset[str]) -> None:
        self.hired += 1
        self.workers.append(Worker(f"{self.name}{self.hired}", has))

    def kill_worker(self) -> None:
        """One worker dies. What ran there is lost, or run again by the pool; so are values that only it had."""
        if self.closed or not self.workers:
            return
        rng = self.home.rng
        dead = rng.choice(self.workers)
        self.workers.remove(dead)
        for attempt in list(self.attempts.values()):
            if attempt.worker != dead.name:
                continue
            if attempt.recalled:
                attempt.state = "ended"
            elif (attempt.state == "running" and rng.random() < 0.6) or (
                attempt.state == "done" and not attempt.forgotten and rng.random() < 0.4
            ):
                self._lose(attempt, f"worker {dead.name} died")
            elif attempt.state == "running" or (attempt.state == "done" and not attempt.forgotten):
                attempt.state = "waiting"
        for attempt in list(self.attempts.values()):
            wanted = [given for given in attempt.task.inputs if given.up and _in_pool(given)]
            if attempt.state == "waiting" and any(self._gone(given.up, given.fence) for given in wanted):
                self._lose(attempt, "an input was lost")
        self.home.tell(self.offer())
        self.home.later(rng.uniform(0.5, 8), lambda: self._replace_worker(dead.has))
        self.look()

    def _replace_worker(self, has: frozenset[str]) -> None:
        if not self.closed:
            self._hire(has)
            self.home.tell(self.offer())
            self.look()
