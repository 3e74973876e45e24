"""The dashboard of one session: Runs, Run, Proposals, Versions, Workers, Events; in Panel.

It reads a lab (also one that another process leads) and votes for whoever this session is, or for nobody. Everything
that changes the page happens in the session's own document, at most thirty times a second.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple, Protocol

import panel as pn

from ..core.base.errors import HexdagError, Refused, StoreUnavailable
from ..core.machine.state import RunState
from ..core.machine.story import seen_by
from . import html
from .follow import Follower
from .pane import GraphPane, Html, Stack

PAGES = ("Run", "Proposals", "Versions", "Events", "Workers", "Runs")
FIRST_ON_A_PHONE = "@media (max-width: 700px) { :host { order: -1; } }"
READABLE_IN_THE_DARK = ".bk-tab.bk-active { color: inherit !important; }"
LINGER = 8.0  #: seconds that the card of a decided proposal stays
MOST_DECIDED = 30  #: decided proposals on the page, the latest first
RUNS_EVERY = 2000  #: milliseconds between looks at the list of runs


class Identity(NamedTuple):
    """Who votes from a session, and how that is known: "token", "login" or "notebook"."""

    agent: str
    via: str


class Lab(Protocol):
    """What the dashboard needs of a lab."""

    def runs(self) -> list[Any]: ...
    def attached(self, run_id: str, /) -> Any: ...
    def workers(self) -> list[Any]: ...
    def vote(self, proposal: str, by: str, choice: Any, reason: str = "", via: str = "", *, seen: str = "") -> None: ...


class Place(NamedTuple):
    """Where a session looks: a run and a page of it. What a reload of a browser's page shows again."""

    run: str | None = None
    page: str = "Run"


START = Place()


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
        self._lab, self._identity, self._schedule = lab, identity, schedule
        self._moved, self._address = moved, address
        self._run: Any = None
        self._follower: Follower | None = None
        self._cards: dict[str, Card] = {}
        self._decided: tuple[str, ...] = ()
        self._node: str | None = None
        self._build(place.page)
        self.look_at_runs()
        wanted = place.run or (self._select.options[0] if self._select.options else None)
        if wanted:
            self._show_run(wanted)

    def _build(self, page: str) -> None:
        pane = Html
        who = f"{self._identity.agent} ({self._identity.via})" if self._identity else "nobody: you can look, not vote"
        self._select = pn.widgets.Select(name="Run", options=[], width=220)
        self._select.param.watch(lambda event: self._show_run(event.new), "value")
        self._header, self._said = pane("", sizing_mode="stretch_width"), pane("", sizing_mode="stretch_width")
        self._graph = GraphPane(self._selected, sizing_mode="stretch_width", margin=(0, 10))
        self._details = pane(html.said("Select a node."), sizing_mode="stretch_width")
        self._output = pane("", sizing_mode="stretch_width")
        self._runs, self._versions, self._workers, self._events = (
            pane("", sizing_mode="stretch_width") for _ in range(4)
        )
        self._open, self._needed = (Stack(sizing_mode="stretch_width") for _ in range(2))
        # Beside the graph where the window is wide; on a phone what has to be decided comes first.
        main = pn.Column(self._graph, self._output, styles={"flex": "2 1 560px", "min-width": "0"})
        side = pn.Column(self._needed, self._details, styles={"flex": "1 1 320px"}, stylesheets=[FIRST_ON_A_PHONE])
        self._closed = pane("", sizing_mode="stretch_width")
        self._old, self._new = (pn.widgets.Select(name=name, options=[], width=110) for name in ("from", "to"))
        self._diff = pane("", sizing_mode="stretch_width")
        for select in (self._old, self._new):
            select.param.watch(lambda _: self._show_diff(), "value")
        self._tabs = pn.Tabs(
            ("Run", pn.FlexBox(main, side, sizing_mode="stretch_width", align_items="flex-start")),
            ("Proposals", pn.Column(self._open, self._closed, sizing_mode="stretch_width")),
            (
                "Versions",
                pn.Column(self._versions, pn.Row(self._old, self._new), self._diff, sizing_mode="stretch_width"),
            ),
            ("Events", self._events),
            ("Workers", self._workers),
            ("Runs", self._runs),
            sizing_mode="stretch_width",
            stylesheets=[READABLE_IN_THE_DARK],
        )
        self._tabs.active = PAGES.index(page) if page in PAGES else 0
        self._tabs.param.watch(lambda _: self._has_moved(), "active")
        top = pn.Row(self._select, pane(html.said(f"You are {who}."), margin=(24, 10)), sizing_mode="stretch_width")
        self.view = pn.Column(top, self._header, self._said, self._tabs, sizing_mode="stretch_width")

    def _has_moved(self) -> None:
        self._moved(Place(self._run.id if self._run is not None else None, PAGES[self._tabs.active]))

    # -- runs

    def look_at_runs(self) -> bool:
        """The list of runs as it is in the store; go on with the one that is shown if the store did not answer once.

        False if the lab is closed, so that there is no use in looking again."""
        try:
            rows = self._lab.runs()
            if self._follower is not None and self._follower.feed.broken is not None:
                self._follow(self._lab.attached(self._run.id))
        except StoreUnavailable as error:
            self._say(f"The store does not answer: {error}. This page goes on when it does.")
            return True
        except HexdagError as error:
            self._say(str(error))
            return False
        self._say("")
        if self._run is not None:
            self._show_proposals(self._run.feed.state)
        self._runs.object = html.runs(rows, self._address)
        self._workers.object = html.workers(self._lab.workers(), self._run.feed.state if self._run else None)
        ids = [row.id for row in reversed(rows)]
        if ids != self._select.options:
            self._select.options = ids
        return True

    def _say(self, text: str) -> None:
        wanted = html.note(text) if text else ""
        if self._said.object != wanted:
            self._said.object = wanted

    def _show_run(self, run_id: str) -> None:
        if self._run is not None and self._run.id == run_id:
            return None
        try:
            run = self._lab.attached(run_id)
        except HexdagError as error:
            return self._say(str(error))
        self._node, self._decided = None, ()
        self._cards.clear()
        self._open.clear()
        self._follow(run)
        if self._select.value != run_id and run_id in self._select.options:
            self._select.value = run_id
        self._has_moved()
        return None

    def _follow(self, run: Any) -> None:
        self.stop()
        self._run = run
        self._show(run.feed.state)
        self._follower = Follower(run.feed, lambda state: self._schedule(lambda: self._show(state)))

    def _show(self, state: RunState) -> None:
        if self._run is None or state.run != self._run.id:
            return
        self._header.object = html.header(state)
        self._graph.draw(state)
        log = self._run.feed.log
        self._details.object = html.node(state, self._node, log.lines(self._node or ""))
        self._output.object = html.output(state, log.lines())
        self._events.object = html.events([seen_by(event, self._viewer, state) for event in self._run.events()])
        self._show_proposals(state)
        numbers = [version.number for version in state.versions]
        if numbers != self._old.options:
            self._versions.object = html.versions(state)
            self._old.options = self._new.options = numbers
            self._old.value, self._new.value = max(1, numbers[-1] - 1), numbers[-1]

    def _selected(self, node: str | None) -> None:
        self._node = node
        if self._run is not None:
            feed = self._run.feed
            self._details.object = html.node(feed.state, node, feed.log.lines(node or ""))

    def _show_diff(self) -> None:
        if self._run is not None and self._old.value and self._new.value:
            self._diff.object = html.diff(str(self._run.view.diff(self._old.value, self._new.value)))

    # -- proposals

    def _show_proposals(self, state: RunState) -> None:
        shown = {p.id: self._cards.get(p.id) or Card(p.id, self._cast) for p in state.open_proposals()}
        shown = {id_: card for id_, card in self._cards.items() if id_ not in shown and card.lingers} | shown
        for card in shown.values():
            card.show(state, self._viewer)
        if list(shown) != list(self._cards) or not self._open.objects:
            self._cards = shown
            views: list[Any] = [card.view for card in shown.values()]
            self._open[:] = self._needed[:] = views or [Html(html.said("Nothing waits for a decision."))]
        decided = tuple(sorted(p.id for p in state.proposals.values() if p.terminal))
        if decided != self._decided:
            self._decided = decided
            latest = sorted((state.proposals[id_] for id_ in decided), key=lambda p: -(p.decided_at or 0))
            now = time.time()
            self._closed.object = "<hr>".join(
                html.card(state, p, now) + html.whole(state, p) for p in latest[:MOST_DECIDED]
            )

    @property
    def _viewer(self) -> str:
        return self._identity.agent if self._identity is not None else ""

    def _cast(self, proposal: str, choice: str, reason: str, seen: str) -> str:
        """Vote for whoever this session is; what is to be said about it."""
        if self._identity is None:
            return "Nobody is known here, so this page cannot vote: open the address that `serve` printed."
        try:
            self._lab.vote(proposal, self._identity.agent, choice, reason, self._identity.via, seen=seen)
        except (Refused, HexdagError) as error:
            return str(error)
        return ""

    def stop(self) -> None:
        """End of the session, or another run: leave nothing behind."""
        if self._follower is not None:
            self._follower.stop()
            self._follower = None


class Card:
    """A proposal with real buttons."""

    def __init__(self, proposal: str, cast: Callable[[str, str, str, str], str]) -> None:
        self._proposal, self._cast, self._seen = proposal, cast, ""
        self._ballots: Any = None  # those that are shown
        self._text = Html("", sizing_mode="stretch_width")
        self._whole = Html("", sizing_mode="stretch_width")
        self._said = Html("", sizing_mode="stretch_width")
        self._gone = float("inf")
        self._reason = pn.widgets.TextInput(placeholder="reason", sizing_mode="stretch_width")
        buttons = []
        for choice, label, kind in (
            ("approve", "Approve", "success"),
            ("reject", "Reject", "danger"),
            ("request_changes", "Request changes", "default"),
        ):
            button = pn.widgets.Button(name=label, button_type=kind)
            button.on_click(partial(self._clicked, choice))
            buttons.append(button)
        self._buttons = pn.FlexBox(*buttons)
        self.view = pn.Column(
            self._text, self._whole, self._buttons, self._reason, self._said,
            sizing_mode="stretch_width", margin=(10, 10, 5, 10),
            styles={"border": "1px solid #8886", "border-radius": "6px", "padding": "8px"},
        )  # fmt: skip

    def _clicked(self, choice: str, _: Any) -> None:
        reason = self._reason.value_input or self._reason.value or ""
        text = self._cast(self._proposal, choice, reason, self._seen)
        self._said.object = html.note(text) if text else ""

    @property
    def lingers(self) -> bool:
        """Whether it is still to be seen: a card does not vanish from under the hand of somebody who was too late."""
        return time.monotonic() < self._gone

    def show(self, state: RunState, viewer: str = "") -> None:
        """The proposal as it is now; once it is decided there is nothing left to click."""
        proposal = state.proposals[self._proposal]
        if proposal.terminal and self._buttons.visible:
            self._gone = time.monotonic() + LINGER
            self._buttons.visible = self._reason.visible = False
        text, self._seen = html.card(state, proposal, viewer=viewer), proposal.seen
        if text != self._text.object:
            self._text.object = text
        if self._ballots is not proposal.ballots:
            self._ballots = proposal.ballots
            self._whole.object = html.whole(state, proposal, viewer)
