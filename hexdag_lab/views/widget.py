"""A run in a notebook cell: the live graph, and a card with buttons for each proposal that waits for somebody.

ipywidgets and anywidget; updates come from a thread of their own, so the cell is live while other cells run.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import anywidget
import ipywidgets

from ..core.machine.state import RunState
from ..core.votes.proposal import Proposal
from . import editing, html
from .follow import Feed, Follower
from .graph import Stream
from .kernel import DEAF, deaf_in_cells, heard_beside_cells
from .module import graph_module
from .visit import Visit

#: what the hosts of widgets need to be told: VS Code lays white below all of them, whatever its theme is
_HOSTS = f"<style>{(Path(__file__).parent / 'static' / 'widget.css').read_text('utf-8')}</style>"
_WRAPPED = ipywidgets.Layout(flex_flow="row wrap")


class GraphWidget(anywidget.AnyWidget):
    """The live graph of a run."""

    _esm = graph_module()

    def __init__(self, feed: Feed) -> None:
        super().__init__()
        self._feed, self._stream = feed, Stream()
        self.selected: str | None = None
        self.on_msg(self._heard)
        heard_beside_cells(self)

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

    def __init__(self, run: Any, visit: Visit) -> None:
        feed: Feed = run.feed
        self._run, self._feed, self._visit = run, feed, visit
        self._header = ipywidgets.HTML(html.header(feed.state))
        self.graph = GraphWidget(feed)
        self._cards = ipywidgets.VBox([])
        self.output = ipywidgets.HTML()
        self.cards: dict[str, CardWidget] = {}
        style = ipywidgets.HTML(html.style() + _HOSTS, layout=ipywidgets.Layout(display="none"))
        super().__init__([self._header, self.graph, self._cards, self.output, style])
        self.add_class("hexdag-run")
        self._follower = Follower(feed, self.graph.draw, self._tell)

    def _tell(self, state: RunState) -> None:
        end = html.note(str(self._feed.broken)) if self._feed.broken is not None and not state.over else ""
        self._header.value = html.header(state) + end
        self.output.value = html.output(state, self._feed.log.lines())
        shown = {p.id: self.cards.get(p.id) or CardWidget(self._visit, self._run, p.id) for p in state.open_proposals()}
        for id_, card in (self.cards | shown).items():
            card.show(state)
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
    """A proposal with its buttons. Tab goes from one to the next, Enter presses it: no choice is more than three keys
    from the first, and a notebook's own keys stay what they are."""

    def __init__(self, visit: Visit, run: Any, proposal: str) -> None:
        self._visit, self._run, self._proposal, self._seen = visit, run, proposal, ""
        self._ballots: Any = None  # those that are shown
        self._text, self._whole, self._said = ipywidgets.HTML(), ipywidgets.HTML(), ipywidgets.HTML()
        if deaf_in_cells():
            self._said.value = html.said(DEAF)
        self.reason = ipywidgets.Text(placeholder="reason (optional to approve)", description="")
        self.buttons = {
            "approve": ipywidgets.Button(description="Approve", button_style="success"),
            "reject": ipywidgets.Button(description="Reject", button_style="danger"),
            "request_changes": ipywidgets.Button(description="Request changes"),
        }
        for choice, button in self.buttons.items():
            button.on_click(lambda _, choice=choice: self._cast(choice))
        self.edit = ipywidgets.Button(description="Edit first")
        self.edit.on_click(lambda _: self._edit())
        self.editor = ipywidgets.VBox([])
        row = ipywidgets.HBox([*self.buttons.values(), self.edit, self.reason], layout=_WRAPPED)
        super().__init__(
            [self._text, self._whole, row, self.editor, self._said],
            layout=ipywidgets.Layout(border="1px solid #8886", padding="6px"),
        )
        heard_beside_cells(self)

    def _cast(self, choice: str) -> None:
        self._say(self._visit.vote(self._proposal, choice, self.reason.value, self._seen))

    def _say(self, text: str) -> None:
        self._said.value = html.note(text) if text else ""

    def _edit(self) -> None:
        """Open or close what edits it; the edited change is a proposal of whoever edits."""
        proposal = self._run.feed.state.proposals[self._proposal]
        if self.editor.children:
            self.editor.children = ()
        elif proposal.raises is not None:
            self._say(editing.NOTHING)
        else:
            self.editor.children = (EditorWidget(self._visit, self._run, proposal, self._edited),)

    def _edited(self, text: str) -> None:
        self._say(text)
        if not text:
            self.editor.children = ()

    def show(self, state: RunState) -> None:
        """The proposal as it is now."""
        proposal, viewer = state.proposals[self._proposal], self._visit.viewer
        self._seen = proposal.seen
        self._text.value = html.card(state, proposal, viewer=viewer)  # what is the same is not sent again
        if self._ballots is not proposal.ballots:
            self._ballots = proposal.ballots
            self._whole.value = html.whole(state, proposal, viewer)

    def freeze(self) -> None:
        """It is decided: the buttons do nothing more."""
        for button in (*self.buttons.values(), self.edit):
            button.disabled = True
        self.editor.children = ()


class EditorWidget(ipywidgets.VBox):  # type: ignore[misc]
    """A row for each node that is added, replaced or removed; `done(text)` gets what is to be said."""

    def __init__(self, visit: Visit, run: Any, proposal: Proposal, done: Callable[[str], None]) -> None:
        self._visit, self._run, self._proposal, self._done = visit, run, proposal, done
        self.keep: dict[str, ipywidgets.Checkbox] = {}
        self.params: dict[tuple[str, str], ipywidgets.Text] = {}
        rows = [self._row(part) for part in editing.parts(proposal.changeset)]
        self.reason = ipywidgets.Text(placeholder=editing.WHY)
        self.go = ipywidgets.Button(description=editing.DONE, button_style="success")
        self.go.on_click(lambda _: self._propose())
        super().__init__([ipywidgets.HTML(html.said(editing.HOW)), *rows, self.reason, self.go])
        heard_beside_cells(self)

    def _row(self, part: editing.Part) -> ipywidgets.HBox:
        keep = ipywidgets.Checkbox(value=True, description=part.label, indent=False)
        self.keep[part.node] = keep
        fields = {(part.node, key): ipywidgets.Text(text, description=key) for key, text in part.params.items()}
        self.params |= fields
        return ipywidgets.HBox([keep, *fields.values()], layout=_WRAPPED)

    def _propose(self) -> None:
        kept = [name for name, keep in self.keep.items() if keep.value]
        values = {where: field.value for where, field in self.params.items()}
        self._done(editing.put_instead(self._visit, self._run, self._proposal, kept, values, self.reason.value))
