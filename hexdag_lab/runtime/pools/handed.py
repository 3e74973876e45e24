"""`Handed`: what Dask has been handed, under which key, and who still wants it. `Kinds`: what goes in bundles.

A key stands for one attempt or for a bundle of them; its future is let go when nobody wants any of its attempts. What
Dask may still be at work on is known after that, while the run goes on, since a dead worker is told of by keys.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Container, Iterable, Iterator, Sequence
from contextlib import suppress
from typing import Any

from ...core.runs.attempt import Task
from ...core.runs.bundle import Measured, bundled
from .roster import Attempt

MOST_KINDS = 4096  #: kinds of nodes whose seconds are remembered
SMALL_INPUT = 16 * 1024  #: bytes; a node that brings more along goes alone
STUCK = 1.0  #: seconds without news of a bundle, after which what waits in it goes elsewhere


def attempt_of(task: Task) -> Attempt:
    """By what an attempt is known."""
    return task.run, task.node, task.fence


class Handed:
    """Attempts and their futures; `held` are those that are wanted."""

    def __init__(self) -> None:
        self.held: dict[Attempt, Any] = {}
        self._keys: dict[str, tuple[Attempt, ...]] = {}
        self._bundle: dict[Attempt, str] = {}  # under which key, of those that are wanted
        self._left: dict[str, tuple[int, dict[Attempt, Task]]] = {}  # of a bundle: how many are wanted, its tasks
        self._below: dict[str, list[Attempt]] = {}  # by the key of a bundle, what is chained to it
        self._heard: dict[str, float] = {}  # when a bundle that has begun was last heard of, by a clock that only rises

    def add(self, key: str, tasks: Sequence[Task], future: Any) -> None:
        """Dask has a key, which stands for these attempts."""
        attempts = self._keys[key] = tuple(map(attempt_of, tasks))
        self.held |= dict.fromkeys(attempts, future)
        if len(attempts) > 1:
            self._bundle |= dict.fromkeys(attempts, key)
            self._left[key] = len(attempts), dict(zip(attempts, tasks, strict=True))
        for task in tasks:
            for above in {self._bundle.get((task.run, wanted.up, wanted.fence)) for wanted in task.inputs}:
                if above is not None:
                    self._below.setdefault(above, []).append(attempt_of(task))

    def release(self, attempts: Iterable[Attempt]) -> None:
        """Nobody wants these any more."""
        for attempt in attempts:
            future, key = self.held.pop(attempt, None), self._bundle.get(attempt)
            if key is not None and self._leaves(attempt, key):
                continue
            if future is not None:
                with suppress(RuntimeError):  # the client was closed meanwhile
                    future.release()

    def _leaves(self, attempt: Attempt, key: str) -> bool:
        """Take an attempt out of its bundle; whether there are others in it that are wanted."""
        del self._bundle[attempt]
        count, tasks = self._left.pop(key)
        if count > 1:
            self._left[key] = count - 1, tasks
            return True
        self._heard.pop(key, None)
        return False

    def taken_out(self, attempts: Iterable[Attempt]) -> list[Task]:
        """These have not begun, and will not begin in their bundles: their tasks, as far as they are wanted."""
        tasks = []
        for attempt in attempts:
            if (key := self._bundle.get(attempt)) is not None:
                tasks.append(self._left[key][1][attempt])
                self._keys[key] = tuple(other for other in self._keys[key] if other != attempt)
                self.release([attempt])
        return tasks

    def attempts(self, keys: Iterable[str]) -> list[Attempt]:
        """What some keys stand for, wanted or not, sorted by key."""
        return [attempt for key in sorted(keys) for attempt in self._keys.get(key, ())]

    def chained_to(self, key: str) -> list[Attempt]:
        """What waits, or waited, for something of a bundle, and is wanted."""
        return [attempt for attempt in self._below.get(key, ()) if attempt in self.held]

    def in_bundles(self, attempts: Iterable[Attempt]) -> list[Attempt]:
        """Those of some attempts that travel in bundles, and are wanted."""
        return [attempt for attempt in attempts if attempt in self._bundle]

    def hear(self, attempt: Attempt, now: float) -> None:
        """There is news of an attempt."""
        if (key := self._bundle.get(attempt)) is not None:
            self._heard[key] = now

    def stuck(self, now: float) -> Iterator[list[Attempt]]:
        """For each bundle that has begun and of which nothing was heard for a while, the attempts in it; each time it
        gets stuck only once."""
        for key in [key for key, heard in self._heard.items() if now - heard > STUCK]:
            del self._heard[key]
            yield self.in_bundles(self._keys[key])

    def forget(self, live: Container[str]) -> None:
        """Keep only what is known of runs that go on."""
        self._keys = {key: attempts for key, attempts in self._keys.items() if attempts and attempts[0][0] in live}
        self._below = {key: attempts for key, attempts in self._below.items() if attempts[0][0] in live}

    def clear(self) -> list[Attempt]:
        """The scheduler is gone, and all that it had: which of it was wanted."""
        lost = list(self.held)
        self.held, self._keys, self._bundle, self._left, self._heard, self._below = {}, {}, {}, {}, {}, {}
        return lost


class Kinds:
    """How long nodes of a kind take, from what has succeeded: by the code that was shipped. `grouping`: whether any go
    together at all."""

    def __init__(self, grouping: bool = True) -> None:
        self._grouping = grouping
        self._known: OrderedDict[str, Measured] = OrderedDict()
        self._kind: dict[Attempt, str] = {}  # of attempts that have not ended

    def group(self, tasks: Sequence[Task], slots: int) -> list[tuple[Task, ...]]:
        """Tasks as they go to Dask: those in a bundle wait for nothing in the pool, and come first."""
        if not self._grouping:
            return [(task,) for task in tasks]
        self._kind |= {attempt_of(task): task.code for task in tasks if task.shares}
        fit = [task for task in tasks if task.shares and _is_light(task)]
        bundles = [g for g in bundled(fit, lambda task: self._known.get(task.code), slots) if len(g) > 1]
        inside = {attempt_of(task) for group in bundles for task in group}
        return [*bundles, *((task,) for task in tasks if attempt_of(task) not in inside)]

    def succeeded(self, attempt: Attempt, seconds: float, size: int) -> None:
        """An attempt took so many seconds, and made so many bytes."""
        if (kind := self._kind.pop(attempt, None)) is not None:
            self._known[kind] = self._known.get(kind, Measured()).and_also(seconds, size)
            self._known.move_to_end(kind)
            while len(self._known) > MOST_KINDS:
                self._known.popitem(last=False)

    def ended(self, attempts: Iterable[Attempt]) -> None:
        """There is nothing to be measured of these any more."""
        for attempt in attempts:
            self._kind.pop(attempt, None)


def _is_light(task: Task) -> bool:
    """Whether a task can go at once, and is small to send."""
    if any(wanted.from_pool for wanted in task.inputs):
        return False
    return sum(len(w.kept.inline or b"") for w in task.inputs if w.kept is not None) <= SMALL_INPUT
