"""Keeping a screen up to date without flooding it: the first change at once, then at most thirty a second."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any, Protocol

from ..core.machine.state import RunState

FRAME = 1 / 30  #: seconds between two looks
CLOCK = 1.0  #: seconds between looks while a deadline runs


class Feed(Protocol):
    """Where states of a run come from."""

    state: RunState
    broken: Exception | None

    def observe(self, observer: Callable[[Any], None], /) -> Callable[[], None]: ...

    @property
    def log(self) -> Any: ...

    def on_log(self, reader: Callable[[], None], /) -> Callable[[], None]: ...


class Follower:
    """Calls `show(state)` on a thread of its own for the latest state whenever it has changed or nodes have said
    something, and once a second while a proposal is open, until `stop()`, or the end of the run or of the feed."""

    def __init__(self, feed: Feed, show: Callable[[RunState], None]) -> None:
        self.feed, self._show = feed, show
        self._changed, self._over = threading.Event(), threading.Event()
        self._end_observing = feed.observe(lambda _: self._changed.set())
        self._end_listening = feed.on_log(self._changed.set)
        self._changed.set()
        self._thread = threading.Thread(target=self._run, name="hexdag-view", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while not self._over.is_set():
            changed = self._changed.wait(CLOCK if self.feed.state.open else None)
            if self._over.is_set():
                return None
            self._changed.clear()
            state = self.feed.state
            if changed or state.open:
                self._show(state)
            if state.over or self.feed.broken is not None:
                return self.stop()
            time.sleep(FRAME)
        return None

    def stop(self) -> None:
        """End the following; nothing is left behind."""
        self._end_observing()
        self._end_listening()
        self._over.set()
        self._changed.set()
