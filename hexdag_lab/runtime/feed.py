"""The one door out: the latest state of a run, its events, and who waits for what.

Readers take a reference to an immutable state and need no lock. Observers are called on a thread of their own, in
order; a slow or failing one stalls nobody.
"""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextlib import suppress
from typing import Any

from ..core.machine.state import RunState
from .log import Log
from .past import Past

Observer = Callable[[Any], None]
_END = object()
_log = logging.getLogger(__name__)


class Feed:
    """Published states of one run."""

    def __init__(self, state: RunState | None = None) -> None:
        self.state = state or RunState()
        self.events = Past()
        self.notes: dict[str, Any] = {}
        self.log = Log()
        self.broken: Exception | None = None
        self._waiting: list[tuple[Callable[[RunState], bool], Future[RunState]]] = []
        self._observers: list[tuple[Observer, queue.SimpleQueue[Any]]] = []
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
            for _, pending in self._observers:
                for event in events:
                    pending.put(event)
            met, self._waiting = _split(self._waiting, state)
        for future in met:
            if future.set_running_or_notify_cancel():
                future.set_result(state)

    def note(self, note: Any) -> None:
        """Progress of a running node, or lines that it said or printed."""
        rec = self.state.nodes.get(note.node)
        if rec is not None and rec.fence == note.fence:  # else it is from an attempt that is not wanted any more
            self.notes[note.node] = note
            self.log.add(note)
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
        for _, pending in observers:
            pending.put(_END)
        self._tell_readers()
        for _, future in waiting:
            if future.set_running_or_notify_cancel():
                future.set_exception(why)

    def observe(self, observer: Observer) -> Callable[[], None]:
        """Call `observer(event)` for each event from now on; the returned function ends that."""
        pending: queue.SimpleQueue[Any] = queue.SimpleQueue()
        entry = (observer, pending)
        with self._lock:
            if self.broken is not None:
                return lambda: None
            self._observers.append(entry)
        threading.Thread(target=_observe, args=entry, name="hexdag-observer", daemon=True).start()

        def stop() -> None:
            with self._lock:
                if entry in self._observers:
                    self._observers.remove(entry)
            pending.put(_END)

        return stop


def _split(waiting: list[Any], state: RunState) -> tuple[list[Future[RunState]], list[Any]]:
    met, rest = [], []
    for condition, future in waiting:
        if condition(state):
            met.append(future)
        else:
            rest.append((condition, future))
    return met, rest


def _observe(observer: Observer, pending: queue.SimpleQueue[Any]) -> None:
    while (event := pending.get()) is not _END:
        try:
            observer(event)
        except Exception:  # an observer is a guest: its errors are its own
            _log.exception("an observer failed on %s", event)
