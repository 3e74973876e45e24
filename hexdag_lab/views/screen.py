"""Pages and the browser that shows them. What other threads bring has to wait for the right moment: Panel takes every
change before the browser shows a page to be in what it gets, also those between sending the page and hearing that it
is there; they would be lost, and what they brought in would stay unknown to the browser."""

from __future__ import annotations

import gc
import threading
from collections.abc import Callable
from functools import partial
from typing import Any

import panel as pn
from tornado.ioloop import IOLoop

MOMENT = 0.5  #: seconds in which pages that are closed together are gone
Work = Callable[[], None]


class Screen:
    """Does work on pages, from any thread, as soon as a browser shows them. `act(work)` does it then; on one thread at
    a time, the one that holds `alone`."""

    def __init__(self, act: Callable[[Work], None] = lambda work: work()) -> None:
        self.alone = threading.RLock()
        self._act = act
        self._early: list[Work] | None = []  # None while it is shown
        self._closed = False

    def do(self, work: Work) -> None:
        """Do it now, or when the pages are shown: then once, however often it was asked for."""
        with self.alone:
            if self._early is None:
                if not self._closed:
                    self._act(work)
            elif work not in self._early:
                self._early.append(work)

    def open(self) -> None:
        """It is shown: do what has waited. Where the pages may be changed."""
        with self.alone:
            early, self._early = self._early, None
            for work in early or ():
                work()

    def hold(self) -> None:
        """It is going to be shown, once more maybe: wait for that."""
        with self.alone:
            self._early = self._early or []

    def close(self) -> None:
        """There is no browser any more: nothing is done."""
        with self.alone:
            self._early, self._closed = None, True


def of_session(document: Any) -> Screen:
    """The screen of a Bokeh session: work is done with its document locked."""

    def act(work: Work) -> None:
        try:
            document.add_next_tick_callback(partial(at_once, work))
        except AttributeError:  # Bokeh takes a document apart before it tells that its session has ended
            screen.close()

    screen = Screen(act)
    if document is None:
        screen.close()
    return screen


def at_once(work: Callable[[], object]) -> None:
    """Do what changes a session's document, and send all that it has changed in one message: to send one for each takes
    longer than to make them."""
    with pn.io.unlocked():
        work()


class Garbage:
    """What closed pages leave behind. It refers to itself in circles, and Python looks for such only when there is much
    of it: until then a server's memory grows by each page that was closed. From the server's loop."""

    def __init__(self) -> None:
        self._due = False

    def collect_soon(self) -> None:
        """Look for it in a moment, once for all that are closed until then."""
        if not self._due:
            self._due = True
            IOLoop.current().call_later(MOMENT, self._collect)

    def _collect(self) -> None:
        self._due = False
        gc.collect()


class Cell(pn.Column):
    """Pages in a notebook's cell. Panel sends one change in several messages, and a browser takes those of two threads
    for one: so one thread at a time, whether it is the run's or the one that hears the browser. No event says that
    the browser shows the pages, but the graph there says hello: what it says first opens the screen."""

    def __init__(self, *objects: Any, **params: Any) -> None:
        super().__init__(*objects, **params)
        self.screen = Screen()

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> Any:
        with self.screen.alone:
            self.screen.hold()
            return super()._repr_mimebundle_(include, exclude)  # type: ignore[no-untyped-call]

    def _on_msg(self, ref: str, manager: Any, msg: Any) -> None:
        with self.screen.alone:
            super()._on_msg(ref, manager, msg)
            self.screen.open()
