"""A proposal's card in Panel: what it says, and the real buttons below it."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import panel as pn

from ...core.machine.state import RunState
from ...core.votes.proposal import Proposal
from .. import cards, editing, html
from ..film import Moment
from ..pane import READABLE, Html, button
from ..visit import Visit
from .edit import Editor

LINGER = 8.0  #: seconds that the card of a decided proposal stays
CHOICES = {"approve": "Approve", "reject": "Reject", "request_changes": "Request changes"}
_BOX = {"border": "1px solid #8886", "border-radius": "6px", "padding": "4px 10px 8px"}


class Card:
    """One proposal, or none yet: then it is hidden. `decided()` is called when a button has done something."""

    def __init__(self, visit: Visit, proposal: str, decided: Callable[[], None] = lambda: None) -> None:
        self._visit, self.proposal, self._seen = visit, proposal, ""
        self._decided = decided
        self._shown: Proposal | None = None
        self._version = 0
        self._gone = float("inf")
        self._head, self._body, self._votes, self._whole, self._said = (Html(margin=(2, 0)) for _ in range(5))
        self.reason = pn.widgets.TextInput(
            placeholder="reason", sizing_mode="stretch_width", margin=(3, 0), stylesheets=[READABLE],
            css_classes=["hx-reason"],
        )  # fmt: skip
        kinds = {"approve": "success", "reject": "danger"}
        self._buttons = pn.Row(
            *(
                button(label, self._press(choice), kinds.get(choice, ""), css_classes=[f"hx-{choice}"])
                for choice, label in CHOICES.items()
            ),
            button("Edit first", self._edit, css_classes=["hx-edit"]),
            margin=(4, 0, 0, 0),
            styles={"flex-wrap": "wrap"},
        )
        self._editor = pn.Column(sizing_mode="stretch_width", visible=False, margin=0)
        self.view = pn.Column(
            self._head, self._body, self._votes, self._whole, self._buttons, self.reason, self._editor, self._said,
            sizing_mode="stretch_width", margin=(8, 4), styles=_BOX, css_classes=["hx-card"],
            visible=bool(proposal),
        )  # fmt: skip
        self._run: Any = None

    def _press(self, choice: str) -> Callable[[], None]:
        return lambda: self.cast(choice)

    def cast(self, choice: str) -> None:
        """What a button does."""
        reason = self.reason.value_input or self.reason.value or ""
        self.say(self._visit.vote(self.proposal, choice, reason, self._seen))
        self._decided()

    def say(self, text: str) -> None:
        """A sentence below the buttons."""
        self._said.put(html.note(text) if text else "")

    def _edit(self) -> None:
        """Open or close what edits it; the edited change is a proposal of whoever edits."""
        if self._editor.visible or self._shown is None or self._run is None:
            self._editor.visible = False
            return None
        if self._shown.raises is not None:
            return self.say(editing.NOTHING)
        editor = Editor(self._visit, self._run, self._shown, self._edited)
        self._editor[:] = [editor.view]
        self._editor.visible = True
        return None

    def _edited(self, text: str) -> None:
        self.say(text)
        if not text:
            self._editor.visible = False
            self._decided()

    @property
    def decided(self) -> bool:
        """Whether it has been shown as decided, so that it will go."""
        return self._gone < float("inf")

    @property
    def lingers(self) -> bool:
        """Whether it is still to be seen: a card does not vanish from under the hand of somebody who was too late."""
        return time.monotonic() < self._gone

    def show(self, run: Any, moment: Moment) -> None:
        """The proposal as it was at a moment; where it is decided, or past, there is nothing to click."""
        state, proposal = moment.state, moment.state.proposals[self.proposal]
        self._run = run
        viewer, now = self._visit.viewer, moment.now
        if proposal.terminal and not self.decided:
            self._gone = time.monotonic() + LINGER
        open_ = moment.live and not proposal.terminal
        if self._buttons.visible != open_:
            self._buttons.visible = self.reason.visible = open_
            self._editor.visible = False
        self._head.put(html.wrap(cards.head(state, proposal, now, viewer)))
        self._votes.put(html.wrap(cards.votes(state, proposal, now, viewer) + cards.rules(proposal)))
        if proposal is not self._shown or state.version != self._version:
            self._body.put(html.wrap(cards.body(state, proposal, now, viewer)))
            self._whole.put(html.whole(state, proposal, viewer))
            self._seen = proposal.seen
        self._shown, self._version = proposal, state.version
        if not self.view.visible:
            self.view.visible = True


def decided(state: RunState, now: float, most: int) -> str:
    """The cards of the proposals that were decided last."""
    latest = sorted((p for p in state.proposals.values() if p.terminal), key=lambda p: -(p.decided_at or 0))
    return "<hr>".join(html.card(state, p, now) + html.whole(state, p) for p in latest[:most])
