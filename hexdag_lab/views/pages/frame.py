"""The frame of the dashboard: which run, at which moment, on which page. It reads a lab (also one that another process
leads) and acts for whoever this session is, or for nobody. Only the page that is looked at is made, and everything that
changes it happens in the session's own document.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime
from typing import Any

import panel as pn

from ...core.base.errors import HexdagError, StoreUnavailable
from ...core.machine.state import RunState
from .. import html
from ..film import Film, Moment
from ..follow import Follower
from ..pane import READABLE, Html, Keys, TimeSlider, button
from ..visit import Identity, Lab, Visit
from .base import SURE_FOR, Place
from .drafts import DraftsPage
from .inbox import InboxPage
from .proposals import ProposalsPage
from .run import RunPage
from .tables import AgentsPage, EventsPage, RunsPage, WorkersPage
from .versions import VersionsPage

PAGES = ("Run", "Proposals", "Inbox", "Drafts", "Versions", "Events", "Agents", "Workers", "Runs")
OF_THE_LAB = ("Inbox", "Drafts", "Runs")  #: pages that are about no run
RUNS_EVERY = 2000  #: milliseconds between looks at the list of runs
SHARE = 0.25  #: of a session's time, at most, goes into what is to be read
START = Place()


class Pending:
    """Shows states in the session's own document, one at a time: what comes while one waits takes its place, so that
    a slow browser or a large graph makes pictures rarer and never late. A `share` below 1 of the time makes it rest."""

    def __init__(self, schedule: Callable[[Any], None], show: Callable[[RunState], None], share: float = 1.0) -> None:
        self._schedule, self._show, self._share = schedule, show, share
        self._latest: RunState | None = None
        self._told: Any = None  # what never waits: the questions, the version, the status
        self._not_before = 0.0

    def __call__(self, state: RunState) -> None:
        waits, self._latest = self._latest is not None, state
        if not waits or state.over:
            self._schedule(self._take)

    def _take(self) -> None:
        state, self._latest = self._latest, None
        began = time.monotonic()
        if state is None:
            return
        now = (state.open, state.version, state.status)
        if began < self._not_before and now == self._told:
            return  # what is left out is shown with the next look at the runs; a question never is left out
        self._told = now
        self._show(state)
        self._not_before = time.monotonic() + (time.monotonic() - began) * (1 / self._share - 1)


class Dashboard:
    """The pages of one session. `schedule(fn)` runs a function with the session's document locked; `moved(place)` is
    told where the session looks now; `address(run)` is where a run is shown."""

    def __init__(
        self,
        lab: Lab,
        identity: Identity | None,
        schedule: Callable[[Any], None],
        place: Place = START,
        moved: Callable[[Place], None] = lambda _: None,
        address: Callable[[str], str] | None = None,
    ) -> None:
        self._lab, self._schedule, self._moved = lab, schedule, moved
        self.visit = Visit(lab, identity)
        self._run: Any = None
        self._film: Film | None = None
        self._follower: Follower | None = None
        self._past: int | None = None  # the event after which the run is shown; None: as it is now
        self._shown: Moment | None = None
        self._sure_until = 0.0
        self._pages: dict[str, Any] = {
            "Run": RunPage(self.visit, self._refresh),
            "Proposals": ProposalsPage(self.visit, self._refresh),
            "Inbox": InboxPage(self.visit, self._open_proposals),
            "Drafts": DraftsPage(self.visit),
            "Versions": VersionsPage(self.visit),
            "Events": EventsPage(self.visit),
            "Agents": AgentsPage(self.visit),
            "Workers": WorkersPage(self.visit),
            "Runs": RunsPage(address),
        }
        self._build(place.page)
        self.look_at_runs()
        wanted = place.run or (self._select.options[0] if self._select.options else None)
        if wanted:
            self._show_run(wanted)

    def _build(self, page: str) -> None:
        self._select = pn.widgets.Select(name="Run", options=[], width=200, margin=(4, 10), stylesheets=[READABLE])
        self._select.param.watch(lambda event: self._show_run(event.new), "value")
        self._pause = button("Pause", self._pause_or_go_on, visible=False)
        self._cancel = button("Cancel", self._cancel_run, "danger", visible=False)
        who = Html(html.said(f"{self.visit.who}."), margin=(8, 10), sizing_mode=None)
        top = pn.FlexBox(self._select, self._pause, self._cancel, who, *self._keyboard(), align_items="flex-end")
        self._header, self._said = Html(), Html()
        self._time = self._over_time()
        self._tabs = pn.Tabs(
            *((name, self._pages[name].view) for name in PAGES), sizing_mode="stretch_width", stylesheets=[READABLE]
        )
        self._tabs.active = PAGES.index(page) if page in PAGES else 0
        # A tab may be pressed before the browser has told that it has all of the page: then it waits for that.
        self._tabs.param.watch(lambda _: self._schedule(self._turned), "active")
        foot = Html(html.said(f"What the store has acknowledged survives {self.visit.lab.durability.words}."))
        self.view = pn.Column(top, self._header, self._said, self._time, self._tabs, foot, sizing_mode="stretch_width")

    def _over_time(self) -> Any:
        """The slider, and beside or below it the time that it stands at, with room for it before there is one: the
        slider would else change its length under the hand that drags it."""
        self._slider = TimeSlider(margin=(0, 10), styles={"flex": "1 1 320px"})
        self._slider.param.watch(self._slid, "value")
        self._when = Html(margin=(0, 10), sizing_mode=None, width=150, align="center")
        self._now = button("Now", self._to_now, disabled=True, align="center")
        beside = pn.Row(self._when, self._now, margin=0)
        return pn.FlexBox(self._slider, beside, align_items="center", visible=False, sizing_mode="stretch_width")

    def _keyboard(self) -> list[Any]:
        """Keys decide where somebody may, and not in a notebook, which has keys of its own."""
        if self.visit.identity is None or self.visit.identity.via == "notebook":
            return []
        return [Keys(margin=(8, 10))]

    @property
    def _page(self) -> str:
        return PAGES[self._tabs.active]

    def _turned(self) -> None:
        """Another page is looked at."""
        self._has_moved()
        self.look_at_runs()
        self._refresh()

    def _has_moved(self) -> None:
        self._moved(Place(self._run.id if self._run is not None else None, self._page))

    def _open_proposals(self, run: str) -> None:
        self._show_run(run)
        self._tabs.active = PAGES.index("Proposals")

    # -- the lab

    def look_at_runs(self) -> bool:
        """The lab as it is in the store; go on with the run that is shown if the store did not answer once.

        False if the lab is closed, so that there is no use in looking again."""
        try:
            rows = self._lab.runs()
            if self._follower is not None and self._follower.feed.broken is not None:
                self._follow(self._lab.attached(self._run.id))
            if self._page in OF_THE_LAB:
                self._pages[self._page].look(rows)
        except StoreUnavailable as error:
            self._say(f"The store does not answer: {error}. This page goes on when it does.")
            return True
        except HexdagError as error:
            self._say(str(error))
            return False
        self._say("")
        self._catch_up()
        ids = [row.id for row in reversed(rows)]
        if ids != self._select.options:
            self._select.options = ids
        if self._run is None and ids:  # the page was opened before there was any
            self._show_run(ids[0])
        return True

    def _say(self, text: str) -> None:
        self._said.put(html.note(text) if text else "")

    # -- one run

    def _show_run(self, run_id: str) -> None:
        if self._run is not None and self._run.id == run_id:
            return None
        try:
            run = self._lab.attached(run_id)
        except HexdagError as error:
            return self._say(str(error))
        self._past = None
        self._follow(run)
        if self._select.value != run_id and run_id in self._select.options:
            self._select.value = run_id
        self._has_moved()
        return None

    def _follow(self, run: Any) -> None:
        self.stop()
        self._run, self._film = run, Film(run.feed)
        self._draw(run.feed.state)
        self._tell(run.feed.state)
        draw, tell = Pending(self._schedule, self._draw), Pending(self._schedule, self._tell, SHARE)
        self._follower = Follower(run.feed, draw, tell)

    def _draw(self, state: RunState) -> None:
        """The picture, up to sixty times a second, if it is looked at."""
        if self._past is None and self._run is not None and state.run == self._run.id and self._page == "Run":
            self._pages["Run"].graph.draw(state)

    def _tell(self, state: RunState) -> None:
        """All the rest, up to five times a second."""
        if self._run is None or state.run != self._run.id or self._film is None:
            return
        moment = self._film.now()
        self._follow_in_time(moment.state)
        if self._past is None:
            self._show(moment)

    def _refresh(self) -> None:
        """What is looked at, once more: another page, or something was done on it."""
        if self._run is not None and self._film is not None:
            moment = self._film.now() if self._past is None else self._film.at(self._past)
            if self._page == "Run":
                self._pages["Run"].graph.draw(moment.state)
            self._show(moment)

    def _catch_up(self) -> None:
        """Show what has been left out, or changes by itself. That is little: what a page that stays as it is does takes
        time from whatever is to be shown in all others."""
        if self._film is None or self._past is not None:
            return
        moment, shown = self._film.now(), self._shown
        new = shown is None or moment.state is not shown.state or moment.lines != shown.lines
        if new or (self._page not in OF_THE_LAB and self._pages[self._page].moves):
            self._tell(moment.state)

    def _show(self, moment: Moment) -> None:
        self._shown = moment
        self._header.put(html.header(moment.state))
        self._steering(moment)
        if self._page not in OF_THE_LAB:
            self._pages[self._page].show(self._run, moment)

    def stop(self) -> None:
        """End of the session, or another run: leave nothing behind."""
        if self._follower is not None:
            self._follower.stop()
            self._follower = None

    # -- time

    def _follow_in_time(self, state: RunState) -> None:
        """The slider reaches to the last event, and stays there unless somebody looks back."""
        end = max(2, state.seq)
        if end != self._slider.end:
            self._slider.end = end
        if self._past is None and self._slider.value != end:
            self._slider.value = end
        if self._time.visible != (state.seq > 1):
            self._time.visible = state.seq > 1

    def _slid(self, event: Any) -> None:
        if self._film is None or self._run is None:
            return
        past = None if event.new >= self._run.feed.state.seq or event.new >= self._slider.end else event.new
        if past == self._past:
            return
        self._past = past
        self._now.disabled = past is None
        if past is None:
            self._when.put("")
        else:
            at = datetime.fromtimestamp(self._film.at(past).state.at).astimezone()
            self._when.put(html.said(f"as it was at {at:%H:%M:%S}"))
        self._schedule(self._refresh)  # all at once, not one part after the other

    def _to_now(self) -> None:
        self._slider.value = self._slider.end

    # -- steering

    def _steering(self, moment: Moment) -> None:
        state = moment.state
        may = moment.live and state.started and not state.over and self.visit.identity is not None
        paused = state.status == "PAUSED"
        for control, visible in ((self._pause, may), (self._cancel, may)):
            if control.visible != visible:
                control.visible = visible
        label = "Go on" if paused else "Pause"
        if self._pause.name != label:
            self._pause.name = label

    def _pause_or_go_on(self) -> None:
        self._say(self.visit.steer(self._run, "resume" if self._pause.name == "Go on" else "pause"))

    def _cancel_run(self) -> None:
        """It cannot be undone, so it takes two presses."""
        if time.monotonic() > self._sure_until:
            self._sure_until = time.monotonic() + SURE_FOR
            self._say("Cancel ends the run for good; finished results stay. Press it again if that is what you want.")
            return
        self._sure_until = 0.0
        self._say(self.visit.steer(self._run, "cancel"))
