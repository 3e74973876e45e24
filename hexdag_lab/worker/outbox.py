"""`Outbox`: what a worker has to say, on its way out: in order, and without ever keeping an attempt waiting.

A note goes at once if none has gone for a while, and else waits a few milliseconds for company; notes of one attempt
that follow each other travel as one message. Of a flood the last are left out, and counted.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import groupby
from typing import Any

from ..core.base.codec import dumps
from ..core.machine.messages import Started
from .context import Note, Notes

COMPANY = 0.005  #: seconds that what is not urgent waits for others
RATE = 50_000.0  #: notes a second that a worker's process tells of one lab, in the long run
BURST = 25_000.0  #: notes that it tells at once

Send = Callable[[list[tuple[str, bytes]]], None]
Attempt = tuple[str, str, int]


class Outbox:
    """Of one lab in one process. `send` takes rows of (run, message); `later(seconds, flush)` flushes in a while."""

    def __init__(self, send: Send, later: Callable[[float, Callable[[], None]], None]) -> None:
        self._send, self._later = send, later
        self._out: list[tuple[str, Any]] = []
        self._left_out: dict[Attempt, int] = {}
        self._room, self._seen, self._sent = BURST, time.monotonic(), 0.0
        self._due = False
        self._lock = threading.Lock()

    def say(self, run: str, message: Any, hurry: bool = True) -> None:
        """Tell something, now or soon; without `hurry` nobody waits for it alone. From any thread."""
        now = time.monotonic()
        with self._lock:
            if isinstance(message, Note):
                if not self._has_room(now):
                    self._leave_out((run, message.node, message.fence), 1 + message.left_out)
                    return
                missing = self._left_out.pop((run, message.node, message.fence), 0) if self._left_out else 0
                message = replace(message, left_out=message.left_out + missing) if missing else message
            self._out.append((run, message))
            wait = 0.0
            if isinstance(message, Started) or not hurry:
                wait = COMPANY  # its end, or that of the next one, may be near, and goes along
            elif isinstance(message, Note):
                wait = self._sent + COMPANY - now
            if wait > 0 and self._due:
                return
            self._due = self._due or wait > 0
        if wait > 0:
            self._later(wait, self._flush_due)
        else:
            self.flush()

    def expect(self) -> None:
        """Somebody is about to say something: what it is goes soon, and need not call for that itself."""
        with self._lock:
            if self._due:
                return
            self._due = True
        self._later(COMPANY, self._flush_due)

    def _has_room(self, now: float) -> bool:
        self._room = min(BURST, self._room + (now - self._seen) * RATE)
        self._seen = now
        if self._room < 1:
            return False
        self._room -= 1
        return True

    def _leave_out(self, attempt: Attempt, count: int) -> None:
        self._left_out[attempt] = self._left_out.get(attempt, 0) + count

    def _flush_due(self) -> None:
        self._due = False
        self.flush()

    def flush(self) -> None:
        """Send what there is, in order."""
        with self._lock:
            out, self._out = self._out, []
            if out:
                self._sent = time.monotonic()
                self._send(list(_packed(out)))

    def ended(self, run: str, node: str, fence: int, hurry: bool = True) -> None:
        """An attempt says nothing more: tell what of it was left out."""
        missing = self._left_out.pop((run, node, fence), 0)
        if missing:
            with self._lock:
                self._out.append((run, Note(time.time(), node, fence, left_out=missing)))
        if hurry:
            self.flush()


def _packed(out: list[tuple[str, Any]]) -> Iterator[tuple[str, bytes]]:
    """Rows in order; notes of one attempt that follow each other are one."""
    for key, group in groupby(out, key=_whose):
        found = list(group)
        if key is None or len(found) == 1:
            yield from ((run, dumps(message)) for run, message in found)
        else:
            yield found[0][0], dumps(Notes.of([note for _, note in found]))


def _whose(row: tuple[str, Any]) -> Any:
    """The attempt whose note this is; None for anything else."""
    run, message = row
    return (run, message.node, message.fence, message.attempt) if isinstance(message, Note) else None
