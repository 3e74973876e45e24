"""The pages that are tables: events of a run; its agents; workers and runs of the lab."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import panel as pn

from ...core.base.errors import HexdagError
from ...core.machine.story import seen_by
from ...core.runs.worker import WorkerState
from .. import html, lists
from ..film import Moment
from ..pane import Html, Stack, button
from ..visit import Visit
from .base import SURE_FOR

TRUST_EVERY = 10.0  #: seconds between looks at what agents have earned, for which all runs are read


class EventsPage:
    """The journal in words, the newest first."""

    moves = False

    def __init__(self, visit: Visit) -> None:
        self._visit, self.view = visit, Html()

    def show(self, run: Any, moment: Moment) -> None:
        latest = moment.events[-html.MOST_EVENTS :]
        self.view.put(html.events([seen_by(event, self._visit.viewer, moment.state) for event in latest]))


class AgentsPage:
    """Who takes part in a run, with what each has earned, also in other runs."""

    moves = True

    def __init__(self, visit: Visit) -> None:
        self._visit, self.view = visit, Html()
        self._standings: dict[str, Any] = {}
        self._looked = -TRUST_EVERY

    def show(self, run: Any, moment: Moment) -> None:
        names = set(moment.state.seats)
        if time.monotonic() > self._looked + TRUST_EVERY or not names <= self._standings.keys():
            self._looked = time.monotonic()
            for name in names:
                try:
                    self._standings[name] = self._visit.lab.trust(name)
                except HexdagError:  # the store is away: what was known stays, and the frame says so
                    self._standings.setdefault(name, None)
        self.view.put(lists.agents(moment.state, self._standings))


class WorkersPage:
    """What runs where, and for whoever is known a button with which a worker is drained."""

    moves = True

    def __init__(self, visit: Visit) -> None:
        self._visit, self._table, self._said = visit, Html(), Html()
        self._names: list[str] = []
        self._sure = ("", 0.0)  # which worker a second press drains, and until when
        self._buttons = Stack(sizing_mode="stretch_width", margin=0)
        self.view = pn.Column(self._table, self._buttons, self._said, sizing_mode="stretch_width", margin=0)

    def show(self, run: Any, moment: Moment) -> None:
        rows = self._visit.lab.workers() if moment.live else []
        self._table.put(lists.workers(rows, moment.state, moment.now))
        known = self._visit.identity is not None
        names = sorted(row.id for row in rows if row.state is not WorkerState.GONE) if known else []
        if names != self._names:
            self._names = names
            buttons = [button(f"Drain {name}", partial(self._drain, name), "danger") for name in names]
            self._buttons[:] = [pn.FlexBox(*buttons, margin=(4, 10))]

    def _drain(self, worker: str) -> None:
        """A worker that has left does not come back, so it takes two presses."""
        if self._sure[0] != worker or time.monotonic() > self._sure[1]:
            self._sure = (worker, time.monotonic() + SURE_FOR)
            return self._said.put(html.note(f"{worker} would finish what it runs, and leave. Press it again for that."))
        self._sure = ("", 0.0)
        return self._said.put(html.note(self._visit.drain(worker) or f"{worker} has left."))


class RunsPage:
    """The runs of the lab; `address(run)` is where one is shown."""

    def __init__(self, address: Callable[[str], str] | None) -> None:
        self._address, self.view = address, Html()

    def look(self, rows: Sequence[Any]) -> None:
        self.view.put(lists.runs(rows, self._address))
