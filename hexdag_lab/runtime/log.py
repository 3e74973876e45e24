"""`Log`: the last lines that the nodes of a run have said or printed. It is shown, and is no part of the journal.

It is bounded: of a node, and then of the nodes that have been silent for the longest, the oldest lines go, and are
counted. So that other processes and later ones can read it, the leader keeps it under one key of the store.
"""

from __future__ import annotations

import asyncio
import json
import logging
import threading
import zlib
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from ..core.base.errors import HexdagError
from ..ports import CommitRefused, Lease, Store
from . import wire

PER_NODE, PER_RUN = 200, 4000  #: lines
LONGEST = 1100  #: characters of a line
PACKED = 60_000  #: bytes in the store, at most
KEEP_EVERY = 0.5  #: seconds between two commits of what nodes have said
MOST_KEYS = 8  #: in one of them
_log = logging.getLogger(__name__)


class Line(NamedTuple):
    """A line of a node. `seq` counts the lines of a run as they came; `left_out` is how many lines of this node before
    this one are not here any more, or never were. `stream` is "stdout", "stderr", or empty for `ctx.log`."""

    seq: int
    at: float
    node: str
    attempt: int
    text: str
    stream: str = ""
    left_out: int = 0
    passing: bool = False

    def __str__(self) -> str:
        return f"{self.node} | {self.text}"


class Log:
    """The last lines of a run. `seq` is that of the latest; `kept` is that of the latest in the store."""

    def __init__(self, lines: Iterable[Line] = ()) -> None:
        self.kept = 0
        self._nodes: dict[str, deque[Line]] = {}  # who spoke last is last
        self._lock = threading.Lock()
        self._count = self.seq = 0
        for line in lines:
            self._take(line)

    def add_all(self, notes: Sequence[Any]) -> None:
        """Take what one running node said, in order. Of more than there is room for, only the last are looked at."""
        many = len(notes) - PER_NODE
        if many > 0:
            missing = sum(1 + note.left_out for note in notes[:many])
            notes = [replace(notes[many], left_out=notes[many].left_out + missing), *notes[many + 1 :]]
        for note in notes:
            self.add(note)

    def add(self, note: Any) -> None:
        """Take what a running node said."""
        text, left_out, passing = note.text, note.left_out, note.passing
        if note.fraction is not None:
            text, passing = f"{note.fraction:.0%} {text}".strip(), True
        parts = text.rsplit("\n", PER_NODE)
        if "\n" in parts[0]:
            left_out += parts.pop(0).count("\n") + 1
        with self._lock:
            for part in parts:
                shown = part if len(part) <= LONGEST else part[: LONGEST - 1] + "…"
                said = (self.seq + 1, note.at, note.node, note.attempt, shown, note.stream, left_out, passing)
                self._take(Line(*said))
                left_out = 0

    def _take(self, line: Line) -> None:
        self.seq = max(self.seq, line.seq)
        lines = self._nodes.pop(line.node, None) or deque()
        self._nodes[line.node] = lines
        for old in reversed(lines):
            if (old.stream, old.attempt) == (line.stream, line.attempt):
                if old.passing:  # it is written over
                    lines.remove(old)
                    self._count -= 1
                    line = line._replace(left_out=line.left_out + old.left_out)
                break
        lines.append(line)
        self._count += 1
        if len(lines) > PER_NODE:
            self._forget(line.node)
        if self._count > PER_RUN:
            self._forget(next(iter(self._nodes)))

    def _forget(self, node: str) -> None:
        """Let go of a node's oldest line; the next one knows how many went."""
        lines = self._nodes[node]
        gone = lines.popleft()
        self._count -= 1
        if lines:
            lines[0] = lines[0]._replace(left_out=lines[0].left_out + gone.left_out + 1)
        else:
            del self._nodes[node]

    def lines(self, node: str | None = None) -> tuple[Line, ...]:
        """The lines of a node, or of all, in the order they came."""
        with self._lock:
            if node is not None:
                return tuple(self._nodes.get(node, ()))
            return tuple(sorted(line for lines in self._nodes.values() for line in lines))

    def write(self, key: str, puts: dict[str, bytes | None]) -> None:
        """Put the log with what is to be committed, if there is more than the store has."""
        if self.kept < self.seq:
            self.kept = self.seq
            puts[key] = self.pack()

    def pack(self) -> bytes:
        """The latest lines, as many as a store takes under one key."""
        lines = self.lines()
        while len(data := zlib.compress(json.dumps(lines).encode(), 1)) > PACKED:
            lines = lines[len(lines) // 2 + 1 :]
        return data

    @classmethod
    def unpack(cls, data: bytes) -> Log:
        """What `pack` has made."""
        log = cls(Line(*fields) for fields in json.loads(zlib.decompress(data)))
        log.kept = log.seq
        return log


async def keep_logs(store: Store, logs: Callable[[], Mapping[str, Log]], lease: Callable[[], Lease | None]) -> None:
    """Let other processes read the logs of the runs that are led here, for ever."""
    while True:
        await asyncio.sleep(KEEP_EVERY)
        puts: dict[str, bytes | None] = {}
        found = logs()
        for run, log in found.items():
            if len(puts) < MOST_KEYS:
                log.write(wire.log(run), puts)
        try:
            done = not puts or not isinstance(await store.commit(puts=puts, fence=lease()), CommitRefused)
        except HexdagError as error:
            _log.warning("what nodes say cannot be shown to other processes just now: %s", error)
            done = False
        if not done:
            for log in found.values():
                log.kept = 0


async def kept_log(store: Store, run: str) -> Log:
    """The log of a run as it is in the store."""
    value = await store.get(wire.log(run))
    try:
        return Log() if value is None else Log.unpack(value.data)
    except (ValueError, TypeError, zlib.error):  # nothing depends on it
        return Log()
