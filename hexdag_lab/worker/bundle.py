"""`Pending`: the attempts of bundles that have reached this process and have not begun.

A bundle is one task to Dask, which cannot take a part of it back; so it is asked here, before each attempt begins,
whether it is still wanted.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable

from ..core.base.codec import record
from .holding import Remembered

Attempt = tuple[str, str, int]


@record
class Rerun:
    """Dask has begun a bundle once more, since a worker died with it. This time nothing of it runs: what had not ended
    is for the lab to try again."""

    key: str


class Pending:
    """Of one process; any thread may use it."""

    def __init__(self) -> None:
        self._pending: set[Attempt] = set()
        self._taken = Remembered()
        self._lock = threading.Lock()

    def arrive(self, attempts: Iterable[Attempt]) -> None:
        """A bundle is about to run its attempts, one after the other."""
        with self._lock:
            self._pending.update(attempts)

    def begins(self, attempt: Attempt) -> bool:
        """Whether an attempt is to run; from now on it cannot be taken back."""
        with self._lock:
            self._pending.discard(attempt)
            return not self._taken.take(attempt)

    def take_back(self, attempts: Iterable[Attempt]) -> list[Attempt]:
        """These are not to begin here, now or later. Which of them would have: they were waiting here."""
        with self._lock:
            waiting = []
            for attempt in attempts:
                if attempt in self._pending:
                    self._pending.discard(attempt)
                    waiting.append(attempt)
                self._taken.add(attempt)
            return waiting


pending = Pending()


def take_back(attempts: list[Attempt]) -> list[Attempt]:
    """Run on a worker: see `Pending.take_back`. Only those that were waiting here are said back."""
    return pending.take_back([tuple(attempt) for attempt in attempts])  # type: ignore[misc]
