"""The page of a run: its graph, who did what when, what nodes say; beside it what has to be decided, and the node that
is selected.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import panel as pn

from .. import html
from ..film import Moment
from ..pane import GraphPane, Html
from ..timeline import Spans, timeline
from ..visit import Visit
from .proposals import Cards

FIRST_ON_A_PHONE = "@media (max-width: 700px) { :host { order: -1; } }"


class RunPage:
    """`decided()` is called when a button of a card has done something."""

    def __init__(self, visit: Visit, decided: Callable[[], None]) -> None:
        self.graph = GraphPane(self._select, sizing_mode="stretch_width", margin=(0, 6))
        self._timeline, self._output, self._details = Html(), Html(), Html(html.said("Select a node."))
        self.cards = Cards(visit, decided)
        self._spans, self._run = Spans(), ""
        self._node: str | None = None
        self._moment: Moment | None = None
        # Beside the graph where the window is wide; on a phone what has to be decided comes first.
        main = pn.Column(self.graph, self._timeline, self._output, styles={"flex": "2 1 560px", "min-width": "0"})
        side = pn.Column(
            self.cards.view, self._details, styles={"flex": "1 1 320px", "min-width": "0"},
            stylesheets=[FIRST_ON_A_PHONE],
        )  # fmt: skip
        self.view = pn.FlexBox(main, side, sizing_mode="stretch_width", align_items="flex-start")

    @property
    def moves(self) -> bool:
        return self.cards.moves

    def show(self, run: Any, moment: Moment) -> None:
        state = moment.state
        if state.run != self._run:
            self._node, self._run = None, state.run
        self._moment = moment
        if len(moment.events) < self._spans.taken or state.run != self._run:
            self._spans = Spans()
        self._spans.take(moment.events)
        self._details.put(html.node(state, self._node, moment.lines_of(self._node)))
        self._output.put(html.output(state, moment.lines))
        self.cards.show(run, moment)
        self._draw_timeline()

    def _draw_timeline(self) -> None:
        if self._moment is not None:
            now = self._moment.state.at if self._moment.state.over else self._moment.now
            self._timeline.put(html.wrap(timeline(self._spans.all, now, self._node)))

    def _select(self, node: str | None) -> None:
        self._node = node
        if self._moment is not None:
            self._details.put(html.node(self._moment.state, node, self._moment.lines_of(node)))
            self._draw_timeline()
