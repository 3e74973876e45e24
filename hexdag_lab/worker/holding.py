"""`Holding`: the attempts of paused runs that are not to begin in this process.

What Dask was given ahead of time may begin at any moment, also while it is asked to give it back. So an attempt asks
here before it begins, and either begins, which it says, or does not, which it says too: nothing runs unheard of.
"""

from __future__ import annotations

import threading
from collections.abc import Hashable, Iterable

REMEMBERED = 20_000  #: attempts that are to be stopped, and have not come, or never come here


class Remembered:
    """A set that forgets the oldest when there are too many in it. Of one thread."""

    def __init__(self) -> None:
        self._there: dict[Hashable, None] = {}

    def add(self, item: Hashable) -> None:
        self._there[item] = None
        while len(self._there) > REMEMBERED:
            del self._there[next(iter(self._there))]

    def take(self, item: Hashable) -> bool:
        """Whether it is there; it is not any more."""
        there = item in self._there
        self._there.pop(item, None)
        return there


class Holding:
    """Of one process; any thread may use it. Attempts are (topic of the lab, run, node, fence)."""

    def __init__(self) -> None:
        self._held = Remembered()
        self._lock = threading.Lock()

    def hold(self, attempts: Iterable[tuple[str, str, str, int]]) -> None:
        """These are not to begin here; one that has begun already goes on."""
        with self._lock:
            for attempt in attempts:
                self._held.add(attempt)

    def holds(self, attempt: tuple[str, str, str, int]) -> bool:
        """Whether an attempt that is about to begin is not to."""
        with self._lock:
            return self._held.take(attempt)


holding = Holding()


def hold(topic: str, attempts: Iterable[tuple[str, str, int]]) -> None:
    """Run on a worker: see `Holding.hold`."""
    holding.hold((topic, run, node, fence) for run, node, fence in attempts)
