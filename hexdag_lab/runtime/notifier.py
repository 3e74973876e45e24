"""`Notifier`: looks at runs once a second, on a thread of its own, and tells people by a door that may be slow or shut.

It reads published states only, so no run waits for it or fails by it. What could not be told is told again, later and
later, and in the end given up: that is logged and counted. It keeps nothing: after a crash all that still holds is told
again, under the same ids.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable

from ..core.base.errors import HexdagError
from ..core.machine.state import RunState
from .notices import Notice, notices

PACE = 1.0  #: seconds between looks, and before the second try of a notice; twice as many before each further one
TRIES = 8  #: of one notice, over about two minutes
_log = logging.getLogger(__name__)


class NotDelivered(HexdagError):
    """A notice did not arrive; `again`: it may do so later."""

    def __init__(self, text: str, again: bool) -> None:
        self.again = again
        super().__init__(text)


class Notifier:
    """Tells what `deliver` takes, which raises `NotDelivered`. `name` says in logs which door this is.

    sent    notices that have arrived;  failed  tries that have not;  lost  notices that were given up
    trouble what the last try said; empty after one that arrived
    """

    def __init__(
        self, states: Callable[[], Iterable[RunState]], deliver: Callable[[Notice], None], name: str,
        pace: float = PACE,
    ) -> None:  # fmt: skip
        self._states, self._deliver, self._name, self._pace = states, deliver, name, pace
        self.sent = self.failed = self.lost = 0
        self.trouble = ""
        self._told: set[str] = set()
        self._tried: dict[str, tuple[int, float]] = {}  # id -> tries so far, and when the next one is due (monotonic)
        self._ended = threading.Event()
        threading.Thread(target=self._main, name="hexdag-notifier", daemon=True).start()

    def end(self) -> None:
        """Tell nothing more; returns at once."""
        self._ended.set()

    def _main(self) -> None:
        while not self._ended.is_set():
            try:
                self._look()
            except Exception:  # it is a guest, as observers are: a run goes on without it
                _log.exception("notices of %s could not be made", self._name)
            self._ended.wait(self._pace)

    def _look(self) -> None:
        wanted = {notice.id: notice for state in self._states() for notice in notices(state, time.time())}
        self._told &= wanted.keys()  # the rest is decided, and nobody asks any more
        self._tried = {id_: tried for id_, tried in self._tried.items() if id_ in wanted}
        for id_, notice in wanted.items():
            tries, due = self._tried.get(id_, (0, 0.0))
            if id_ in self._told or due > time.monotonic():
                continue
            if self._ended.is_set() or not self._try(notice, tries + 1):
                return  # what is down is down for the others, too: look again before the next one

    def _try(self, notice: Notice, tries: int) -> bool:
        """Whether a notice is done with: it has arrived, or is given up."""
        try:
            self._deliver(notice)
        except NotDelivered as error:
            return self._missed(notice, tries, error)
        except Exception as error:  # a bug of the door: no other notice is to wait for this one
            return self._missed(notice, tries, NotDelivered(f"{type(error).__name__}: {error}", again=False))
        if self.trouble:
            _log.warning("%s takes notices again", self._name)
        self.trouble = ""
        self.sent += 1
        self._told.add(notice.id)
        return True

    def _missed(self, notice: Notice, tries: int, error: NotDelivered) -> bool:
        if not self.trouble:  # once, and not for every try
            _log.warning("%s does not take notices, and is asked again: %s", self._name, error)
        self.trouble = str(error)
        self.failed += 1
        if error.again and tries < TRIES:
            self._tried[notice.id] = (tries, time.monotonic() + self._pace * 2 ** (tries - 1))
            return False
        _log.error("notice %s is given up after %d tries: %s", notice.id, tries, error)
        self.lost += 1
        self._told.add(notice.id)
        return True

    def __repr__(self) -> str:
        return f"<Notifier {self._name}: {self.sent} sent, {self.failed} failed, {self.lost} lost>"
