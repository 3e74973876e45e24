"""The one door out: the latest state of a run, its events, and who waits for what.

Readers take a reference to an immutable state and need no lock. Observers are called on a thread of their own, in
order; a slow or failing one stalls nobody.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextlib import suppress
from typing import Any

from ..core.machine.state import RunState
from ..worker.context import Note, Notes
from .log import Log
from .observers import Observe, Observer
from .past import Past


class Feed:
    """Published states of one run."""

    def __init__(self, state: RunState | None = None) -> None:
        self.state = state or RunState()
        self.events = Past()
        self.notes: dict[str, Any] = {}
        self.log = Log()
        self.broken: Exception | None = None
        self._waiting: list[tuple[Callable[[RunState], bool], Future[RunState]]] = []
        self._observers: list[Observer] = []
        self._readers: list[Callable[[], None]] = []
        self._lock = threading.Lock()

    def begin(self, state: RunState, past: Past) -> None:
        """This is where the run is, and how it came there."""
        self.events = past
        self.publish(state, ())

    def publish(self, state: RunState, events: Sequence[Any]) -> None:
        """A step was committed: this is the state now, these are its events."""
        with self._lock:
            self.state = state
            self.events.extend(events)
            for observer in self._observers:
                observer.tell(events)
            met, self._waiting = _split(self._waiting, state)
        for future in met:
            if future.set_running_or_notify_cancel():
                future.set_result(state)

    def note(self, said: Note | Notes) -> None:
        """Progress of a running node, or lines that it said or printed."""
        rec = self.state.nodes.get(said.node)
        if rec is None or rec.fence != said.fence:
            return  # it is from an attempt that is not wanted any more
        notes = [said] if isinstance(said, Note) else list(said.each())
        self.notes[said.node] = notes[-1]
        self.log.add_all(notes)
        with self._lock:
            for observer in self._observers:
                if observer.notes:
                    observer.note(notes)
        self._tell_readers()

    def show_log(self, log: Log) -> None:
        """This is what the run's nodes have said, as it was read from the store."""
        self.log = log
        self._tell_readers()

    def _tell_readers(self) -> None:
        for reader in list(self._readers):
            reader()

    def on_log(self, reader: Callable[[], None]) -> Callable[[], None]:
        """Call `reader()`, which returns at once, when there is more in the log or the feed ends; the returned function
        ends that."""
        self._readers.append(reader)

        def stop() -> None:
            with suppress(ValueError):
                self._readers.remove(reader)

        return stop

    def until(self, met: Callable[[RunState], bool]) -> Future[RunState]:
        """A future that gets the first state for which `met` holds."""
        future: Future[RunState] = Future()
        with self._lock:
            if met(self.state):
                future.set_result(self.state)
            elif self.broken is not None:
                future.set_exception(self.broken)
            else:
                self._waiting.append((met, future))
        return future

    def end(self, why: Exception) -> None:
        """Nothing more will be published: whoever waits is told why."""
        with self._lock:
            self.broken = self.broken or why
            waiting, self._waiting = self._waiting, []
            observers, self._observers = self._observers, []
        for observer in observers:
            observer.end()
        self._tell_readers()
        for _, future in waiting:
            if future.set_running_or_notify_cancel():
                future.set_exception(why)

    def observe(self, fn: Observe, notes: bool = False) -> Callable[[], None]:
        """Call `fn(event)` for each event from now on, and for each note if asked to; the returned function ends
        that."""
        with self._lock:
            if self.broken is not None:
                return lambda: None
            observer = Observer(fn, notes)
            self._observers.append(observer)

        def stop() -> None:
            with self._lock:
                if observer in self._observers:
                    self._observers.remove(observer)
            observer.end(now=True)

        return stop


def _split(waiting: list[Any], state: RunState) -> tuple[list[Future[RunState]], list[Any]]:
    met, rest = [], []
    for condition, future in waiting:
        if condition(state):
            met.append(future)
        else:
            rest.append((condition, future))
    return met, rest
