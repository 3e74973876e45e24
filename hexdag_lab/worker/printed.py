"""What a node prints, told line by line under its name, and cut where it is a flood.

While attempts run in a process, its `sys.stdout` and `sys.stderr` look at a ContextVar: what an attempt writes is told
as notes, and what anybody else writes goes where it went. So two nodes on two threads do not mix. Coroutines and
`asyncio.to_thread` carry the variable along; a bare thread, another process and C code do not, and print where they
did. Except in a notebook, which would show it twice, what a node prints also still goes where it went: a worker's log
is complete.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from itertools import groupby
from typing import Any, NamedTuple

EVERY = 0.2  #: seconds between two notes of what an attempt prints; the first goes at once
MOST_LINES = 40  #: lines in one of them; of more, these are the last
LONGEST = 1000  #: characters of a line
STREAMS = ("stdout", "stderr")


class Said(NamedTuple):
    """Some lines of one stream, after `left_out` lines that nobody will see. `passing`: the line is not finished, or
    another one will be written over it, as by a progress bar."""

    text: str
    stream: str
    left_out: int = 0
    passing: bool = False


class Printed:
    """The lines of one attempt on their way out: `tell(said)` gets them in order."""

    def __init__(self, tell: Callable[[Said], None]) -> None:
        self._tell = tell
        self._lines: deque[tuple[str, str]] = deque()
        self._left_out = 0
        self._open: dict[str, _Open] = {}  # filled by the first write: most attempts print nothing
        self._lock = threading.RLock()  # telling may itself print
        self._next = 0.0
        self._timer: threading.Timer | None = None
        self._process = os.getpid()
        self._closed = False

    @property
    def listens(self) -> bool:
        """Whether the attempt goes on, in this process: a forked child has nobody to tell."""
        return not self._closed and os.getpid() == self._process

    def write(self, stream: str, text: str) -> None:
        """Take what was written; tell it now, or soon."""
        with self._lock:
            if not self._open:
                self._open = {name: _Open() for name in STREAMS}
            if "\n" not in text:  # `print` writes each word by itself
                self._open[stream].add(text)
                if self._timer is None:
                    self._tell_in_time()
                return
            parts = text.rsplit("\n", MOST_LINES)
            if "\n" in parts[0]:  # more than can be told at once
                self._left_out += len(self._lines) + parts.pop(0).count("\n") + 1
                self._lines.clear()
                self._open[stream] = _Open()
            for number, part in enumerate(parts):
                if number:
                    self._end_line(stream)
                self._open[stream].add(part)
            self._tell_in_time()

    def _end_line(self, stream: str) -> None:
        self._lines.append((stream, self._open[stream].text))
        self._open[stream] = _Open()
        if len(self._lines) > MOST_LINES:
            self._lines.popleft()
            self._left_out += 1

    def _tell_in_time(self) -> None:
        wait = self._next - time.monotonic()
        if wait <= 0 and self._lines:
            self.flush()
        elif self._timer is None:
            self._timer = threading.Timer(max(wait, EVERY / 2), self.flush)
            self._timer.daemon = True
            self._timer.start()

    def flush(self) -> None:
        """Tell what there is."""
        with self._lock:
            if not self._open:
                return
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None
            lines, self._lines = self._lines, deque()
            left_out, self._left_out = self._left_out, 0
            self._next = time.monotonic() + EVERY
            for stream, group in groupby(lines, key=lambda line: line[0]):
                self._told(Said("\n".join(text for _, text in group), stream, left_out))
                left_out = 0
            for stream, line in self._open.items():
                if line.fresh:
                    line.fresh = False
                    self._told(Said(line.text, stream, left_out, passing=True))
                    left_out = 0

    def _told(self, said: Said) -> None:
        with suppress(Exception):  # as on a worker that is going down: no print is a reason to fail a node
            self._tell(said)

    def before(self, say: Callable[[Any], None]) -> Callable[[Any], None]:
        """`say`, after what was printed before."""

        def say_in_order(message: Any) -> None:
            with self._lock:
                self.flush()
                say(message)

        return say_in_order

    def close(self) -> None:
        """The attempt has ended: tell the rest, and take nothing more."""
        with self._lock:
            self._closed = True
            for stream, line in self._open.items():
                if line.text:
                    self._end_line(stream)
            self.flush()


class _Open:
    """A line that is being written."""

    __slots__ = ("_cut", "_text", "fresh")

    def __init__(self) -> None:
        self._text, self._cut, self.fresh = "", 0, False

    def add(self, more: str) -> None:
        text = self._text + more
        if "\r" in text:  # what stands before it is written over
            shown = text.rstrip("\r")
            text, self._cut = shown.rpartition("\r")[2] + text[len(shown) :][:1], 0
        if len(text) > LONGEST:
            self._cut += len(text) - LONGEST
            text = text[:LONGEST]
        self._text = text
        if more:
            self.fresh = True

    @property
    def text(self) -> str:
        shown = self._text.rstrip("\r")
        return f"{shown}… ({self._cut:,} more characters)" if self._cut else shown


# -- which writes are whose


_printed: ContextVar[Printed | None] = ContextVar("hexdag_lab_printed", default=None)


class _Stream:
    """A standard stream while attempts run here; in all but `write` it is the one that it stands for."""

    def __init__(self, name: str, stream: Any) -> None:
        self._name, self.stands_for = name, stream
        self._shown = stream is not None and not type(stream).__module__.startswith("ipykernel.")

    def write(self, text: str) -> int:
        printed = _printed.get()
        if printed is None or not printed.listens:
            return self.stands_for.write(text) if self.stands_for is not None else len(text)
        printed.write(self._name, text)
        if self._shown:
            self.stands_for.write(text)
        return len(text)

    def writelines(self, lines: Any) -> None:
        for line in lines:
            self.write(line)

    def flush(self) -> None:
        if self.stands_for is not None:
            self.stands_for.flush()

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stands_for, name)


_running = 0
_running_lock = threading.Lock()
#: Those that stood last. Up to CPython 3.13 `print` holds no reference to the stream that it writes to, and crashes the
#: process if that goes meanwhile: when the last attempt ends, or somebody else puts another stream there.
_stood: deque[_Stream] = deque(maxlen=64)


@contextmanager
def printing(tell: Callable[[Said], None]) -> Iterator[Printed]:
    """What is written from here until the end, in this context, is told."""
    printed = Printed(tell)
    _stand_in()
    before = _printed.set(printed)
    try:
        yield printed
    finally:
        _printed.reset(before)
        printed.close()
        _stand_back()


def _stand_in() -> None:
    """Stand before the standard streams, unless others of our attempts do already."""
    global _running
    with _running_lock:
        _running += 1
        for name in STREAMS:
            stream = getattr(sys, name)
            if not isinstance(stream, _Stream):
                _stood.append(_Stream(name, stream))
                setattr(sys, name, _stood[-1])


def _stand_back() -> None:
    """The last attempt has ended: the streams are what they were, unless somebody has replaced them meanwhile."""
    global _running
    with _running_lock:
        _running -= 1
        for name in STREAMS:
            stream = getattr(sys, name)
            if not _running and isinstance(stream, _Stream):
                setattr(sys, name, stream.stands_for)
