"""Observers: plain functions that are called with what happens, each on a thread of its own and at its own pace.

Whoever is slow or fails stalls nobody. Events are all kept for it. Notes of nodes are many and only shown, so of those
that it does not keep up with the last are left out, and the next one says how many.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Any

Observe = Callable[[Any], None]
MOST_NOTES = 50_000  #: that wait for one observer
_log = logging.getLogger(__name__)


class Observer:
    """One function and what waits for it. `notes`: whether it is told those, too."""

    def __init__(self, fn: Observe, notes: bool = False) -> None:
        self._fn, self.notes = fn, notes
        self._pending: deque[Any] = deque()
        self._waiting = self._left_out = 0  # of notes
        self._last: Any = None
        self._there = threading.Condition()
        self._ended = False
        threading.Thread(target=self._main, name="hexdag-observer", daemon=True).start()

    def tell(self, events: Sequence[Any]) -> None:
        """These have happened."""
        with self._there:
            self._pending += events
            self._there.notify()

    def note(self, notes: Iterable[Any]) -> None:
        """A node has said this; what there is no room for is counted."""
        with self._there:
            for note in notes:
                if self._waiting >= MOST_NOTES:
                    self._left_out, self._last = self._left_out + 1 + note.left_out, note
                    continue
                if self._left_out:
                    note, self._left_out = replace(note, left_out=note.left_out + self._left_out), 0
                self._pending.append(note)
                self._waiting += 1
            self._there.notify()

    def end(self, now: bool = False) -> None:
        """Nothing more will come; `now`: nor is it told what waits."""
        with self._there:
            self._ended = True
            if now:
                self._pending.clear()
                self._left_out = 0
            self._there.notify()

    def _main(self) -> None:
        while taken := self._taken():
            for item in taken:
                try:
                    self._fn(item)
                except Exception:  # an observer is a guest: its errors are its own
                    _log.exception("an observer failed on %s", item)

    def _taken(self) -> list[Any]:
        """What waits, in order; empty at the end."""
        with self._there:
            while not self._pending and not self._ended:
                if self._left_out:  # the flood is over, and nobody has said yet what went with it
                    last, self._left_out, missing = self._last, 0, self._left_out
                    return [replace(last, text="", left_out=missing)]
                self._there.wait()
            taken = list(self._pending)
            self._pending.clear()
            self._waiting = 0
            return taken
