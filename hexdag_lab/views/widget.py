"""A run in a notebook cell: the live graph, and a card with buttons for each proposal that waits for somebody.

ipywidgets and anywidget; updates come from a thread of their own, so the cell is live while other cells run.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import anywidget
import ipywidgets

from ..core.base.errors import Refused
from ..core.machine.state import RunState
from . import html
from .follow import Feed, Follower
from .graph import Stream
from .module import graph_module

Vote = Callable[[str, str, str, str], None]
"""`vote(proposal, choice, reason)`: cast a ballot in the name of whoever sits here; raises `Refused`."""


class GraphWidget(anywidget.AnyWidget):
    """The live graph of a run."""

    _esm = graph_module()

    def __init__(self, feed: Feed) -> None:
        super().__init__()
        self._feed, self._stream = feed, Stream()
        self.selected: str | None = None
        self.on_msg(self._heard)

    def _heard(self, _: Any, message: dict[str, Any], __: Any) -> None:
        if message.get("t") == "hello":
            for answer in self._stream.hello(self._feed.state):
                self.send(answer)
        elif message.get("t") == "select":
            self.selected = message.get("node")

    def draw(self, state: RunState) -> None:
        """Send what has changed."""
        for message in self._stream.update(state):
            self.send(message)


class RunWidget(ipywidgets.VBox):  # type: ignore[misc]
    """A run: a line that sums it up, the graph, the proposals that are open, and what nodes print."""

    def __init__(self, feed: Feed, vote: Vote, viewer: str = "") -> None:
        self._feed, self._vote, self._viewer = feed, vote, viewer
        self._header = ipywidgets.HTML(html.header(feed.state))
        self.graph = GraphWidget(feed)
        self._cards = ipywidgets.VBox([])
        self.output = ipywidgets.HTML()
        self.cards: dict[str, CardWidget] = {}
        style = ipywidgets.HTML(html.style(), layout=ipywidgets.Layout(display="none"))
        super().__init__([self._header, self.graph, self._cards, self.output, style])
        self._follower = Follower(feed, self.graph.draw, self._tell)

    def _tell(self, state: RunState) -> None:
        end = html.note(str(self._feed.broken)) if self._feed.broken is not None and not state.over else ""
        self._header.value = html.header(state) + end
        self.output.value = html.output(state, self._feed.log.lines())
        shown = {p.id: self.cards.get(p.id) or CardWidget(p.id, self._vote) for p in state.open_proposals()}
        for id_, card in (self.cards | shown).items():
            card.show(state, self._viewer)
            if id_ not in shown:
                card.freeze()
        if shown.keys() != self.cards.keys():
            self._cards.children = tuple(shown.values())
        self.cards = shown

    def close(self) -> None:
        """Stop following, and remove the widget."""
        self._follower.stop()
        super().close()


class CardWidget(ipywidgets.VBox):  # type: ignore[misc]
    """A proposal with its buttons."""

    def __init__(self, proposal: str, vote: Vote) -> None:
        self._proposal, self._vote, self._seen = proposal, vote, ""
        self._ballots: Any = None  # those that are shown
        self._text, self._whole, self._said = ipywidgets.HTML(), ipywidgets.HTML(), ipywidgets.HTML()
        self.reason = ipywidgets.Text(placeholder="reason (optional to approve)", description="")
        self.buttons = {
            "approve": ipywidgets.Button(description="Approve", button_style="success"),
            "reject": ipywidgets.Button(description="Reject", button_style="danger"),
            "request_changes": ipywidgets.Button(description="Request changes"),
        }
        for choice, button in self.buttons.items():
            button.on_click(lambda _, choice=choice: self._cast(choice))
        row = ipywidgets.HBox([*self.buttons.values(), self.reason])
        super().__init__(
            [self._text, self._whole, row, self._said],
            layout=ipywidgets.Layout(border="1px solid #8886", padding="6px"),
        )

    def _cast(self, choice: str) -> None:
        try:
            self._vote(self._proposal, choice, self.reason.value, self._seen)
            self._said.value = ""
        except Refused as refused:
            self._said.value = html.note(str(refused))

    def show(self, state: RunState, viewer: str = "") -> None:
        """The proposal as it is now."""
        proposal = state.proposals[self._proposal]
        self._seen = proposal.seen
        self._text.value = html.card(state, proposal, viewer=viewer)  # what is the same is not sent again
        if self._ballots is not proposal.ballots:
            self._ballots = proposal.ballots
            self._whole.value = html.whole(state, proposal, viewer)

    def freeze(self) -> None:
        """It is decided: the buttons do nothing more."""
        for button in self.buttons.values():
            button.disabled = True
