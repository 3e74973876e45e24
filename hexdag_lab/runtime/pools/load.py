"""`Load`: which attempts keep which region busy. An attempt that was withdrawn while it ran does so until it ends: no
pool can stop a thread."""

from __future__ import annotations

from collections import Counter

from .roster import Attempt


class Load:
    """Counts attempts by region, from when they are sent until they have ended."""

    def __init__(self) -> None:
        self.of = Counter[str]()  #: how many attempts each region has
        self._sent: dict[Attempt, str] = {}  # -> region
        self._runs: dict[Attempt, str] = {}  # -> worker, for those that have begun
        self._strays: dict[Attempt, str] = {}  # -> region, for those that run on and are wanted by nobody

    def has(self, attempt: Attempt) -> bool:
        """Whether an attempt is wanted, and has not ended."""
        return attempt in self._sent

    def sent(self, attempt: Attempt, region: str) -> None:
        self._sent[attempt] = region
        self.of[region] += 1

    def began(self, attempt: Attempt, region: str, worker: str) -> None:
        self._runs[attempt] = worker
        if attempt not in self._sent and attempt not in self._strays:  # nobody wants it, but it runs
            self._strays[attempt] = region
            self.of[region] += 1

    def ended(self, attempt: Attempt) -> None:
        """It has ended, or nothing more will be heard of it."""
        region = self._sent.pop(attempt, None) or self._strays.pop(attempt, None)
        self._runs.pop(attempt, None)
        if region is not None:
            self.of[region] -= 1

    def dropped(self, attempt: Attempt) -> None:
        """Nobody wants it any more; if it runs it runs on."""
        if attempt in self._runs and attempt in self._sent:
            self._strays[attempt] = self._sent.pop(attempt)
        elif attempt not in self._strays:
            self.ended(attempt)

    def gone(self, worker: str) -> None:
        """A worker takes nothing more, or is gone with what it ran."""
        for attempt in [a for a in self._strays if self._runs.get(a) == worker]:
            self.ended(attempt)

    def fell(self, region: str) -> None:
        """All workers of a region are gone."""
        for attempt in [a for a, where in self._strays.items() if where == region]:
            self.ended(attempt)
