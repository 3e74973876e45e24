"""Keeping a screen up to date without flooding it: pictures at most sixty times a second, words at most five; the first
change at once."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any, Protocol

from ..core.machine.state import RunState
from ..core.runs.run import NodeState

FRAME = 1 / 60  #: seconds between two pictures
WORDS = 0.2  #: seconds between two looks at words
CLOCK = 1.0  #: seconds between looks while a deadline or an attempt runs
SETTLED = 0.4  #: seconds from a question, or its end, to the next look, by which a browser has shown it


class Feed(Protocol):
    """Where states of a run come from."""

    state: RunState
    broken: Exception | None

    def observe(self, observer: Callable[[Any], None], /) -> Callable[[], None]: ...

    @property
    def log(self) -> Any: ...

    def on_log(self, reader: Callable[[], None], /) -> Callable[[], None]: ...


class Follower:
    """Calls `draw(state)` on a thread of its own for the latest state whenever it has changed, and `tell(state)` for
    what is to be read; that one also when nodes have said something, and once a second while a proposal is open or a
    node runs. Until `stop()`, or the end of the run or of the feed."""

    def __init__(self, feed: Feed, draw: Callable[[RunState], None], tell: Callable[[RunState], None]) -> None:
        self.feed, self._draw, self._tell = feed, draw, tell
        self._changed, self._over = threading.Event(), threading.Event()
        self._end_observing = feed.observe(lambda _: self._changed.set())
        self._end_listening = feed.on_log(self._changed.set)
        self._changed.set()
        self._thread = threading.Thread(target=self._run, name="hexdag-view", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        told, due = 0.0, 0.0  # when words were last looked at, and when they are to be
        opened: tuple[str, ...] = ()
        while not self._over.is_set():
            changed = self._changed.wait(max(0.0, due - time.monotonic()) if due < _NEVER else None)
            if self._over.is_set():
                return None
            self._changed.clear()
            state, now = self.feed.state, time.monotonic()
            ended = state.over or self.feed.broken is not None
            asked = changed and state.open != opened
            if asked:  # it is shown at once, and before the picture, which takes long where the graph is large
                opened, due = state.open, now
            elif changed:
                self._draw(state)
                due = min(due, told + WORDS)
            if ended or now >= due:
                self._tell(state)
                told, due = now, now + (SETTLED if asked else CLOCK if _moves(state) else _NEVER)
            if asked:
                self._draw(state)
            if ended:
                return self.stop()
            time.sleep(FRAME)
        return None

    def stop(self) -> None:
        """End the following; nothing is left behind."""
        self._end_observing()
        self._end_listening()
        self._over.set()
        self._changed.set()


_NEVER = float("inf")


def _moves(state: RunState) -> bool:
    """Whether what is to be read changes by itself as time goes on."""
    return bool(state.open) or any(rec.state is NodeState.RUNNING for rec in state.nodes.values())
