"""A run at any of its moments: as it is now, or as it was after one of its events.

The journal is folded again, and nothing is executed. Every few hundred events a state is kept, which costs little,
since states share what they have in common; so a moment is found as fast at the end of a long run as at its beginning.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

from ..core.machine.evolve import evolve
from ..core.machine.state import RunState
from .models import Line

KEEP_EVERY = 250  #: events between two states that are kept


class Recorded(Protocol):
    """What a film is made of."""

    state: RunState
    events: list[Any]

    @property
    def log(self) -> Any: ...


class Moment(NamedTuple):
    """A run at one moment: its state, the events up to it, what nodes had said by then, newest last.

    live   it is how the run is now, and not how it was;  now   that moment, in unix seconds
    """

    state: RunState
    events: Sequence[Any]
    lines: Sequence[Line]
    live: bool
    now: float

    def lines_of(self, node: str | None) -> list[Line]:
        """What one node had said."""
        return [line for line in self.lines if line.node == node]


class Film:
    """The moments of one run."""

    def __init__(self, run: Recorded) -> None:
        self._run = run
        self._kept = [RunState()]  # after 0, KEEP_EVERY, 2 * KEEP_EVERY, ... events
        self._lock = threading.Lock()

    def now(self) -> Moment:
        """The run as it is."""
        run = self._run
        state = run.state
        return Moment(state, run.events[: state.seq], run.log.lines(), True, time.time())

    def at(self, seq: int) -> Moment:
        """The run as it was after event `seq`, 1 or more; after the last one if there are not so many."""
        events = self._run.events[: max(1, seq)]
        state = self._state(events)
        lines = [line for line in self._run.log.lines() if line.at <= state.at]
        return Moment(state, events, lines, False, state.at)

    def _state(self, events: Sequence[Any]) -> RunState:
        with self._lock:
            while len(self._kept) * KEEP_EVERY <= len(events):
                first = (len(self._kept) - 1) * KEEP_EVERY
                self._kept.append(_folded(self._kept[-1], events[first : first + KEEP_EVERY]))
            number = len(events) // KEEP_EVERY
            kept = self._kept[number]
        return _folded(kept, events[number * KEEP_EVERY :])


def _folded(state: RunState, events: Sequence[Any]) -> RunState:
    for event in events:
        state = evolve(state, event)
    return state
