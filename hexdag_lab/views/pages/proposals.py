"""The page of a run's proposals: the cards of those that are open, and what became of the others."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import panel as pn

from .. import html
from ..film import Moment
from ..pane import Html, Stack
from ..visit import Visit
from .card import Card, decided

REST = 0.3  #: seconds that a browser has for a new card before it gets the next one to be kept ready
MOST_DECIDED = 30  #: decided proposals on the page, the latest first


class Cards:
    """The cards of what is open in a run, and, for some seconds, of what was decided under the reader's hand.

    Making a card takes Panel and a browser longer than all the rest from a proposal to its card, so one that is empty
    and hidden stands ready at the end, once the page itself stands, and the last one has been shown."""

    def __init__(self, visit: Visit, acted: Callable[[], None]) -> None:
        self._visit, self._acted = visit, acted
        self._run = ""
        self.all: dict[str, Card] = {}
        self._spare: Card | None = None
        self._rests_until = 0.0
        self._none = Html(html.said("Nothing waits for a decision."))
        self.view = Stack(self._none, sizing_mode="stretch_width")

    def show(self, run: Any, moment: Moment) -> None:
        """The cards at a moment."""
        state = moment.state
        if state.run != self._run:
            self._run, self.all = state.run, {}
        shown = {p.id: self.all.get(p.id) or self._card(p.id) for p in state.open_proposals()}
        lingering = {id_: card for id_, card in self.all.items() if id_ in state.proposals and card.lingers}
        shown = {id_: card for id_, card in lingering.items() if id_ not in shown and moment.live} | shown
        for card in shown.values():
            card.show(run, moment)
        new, self.all = shown.keys() - self.all.keys(), shown
        if new:
            self._rests_until = time.monotonic() + REST
        elif self._spare is None and self._stands():
            self._spare = Card(self._visit, "", self._acted)
        self._lay_out()

    @property
    def moves(self) -> bool:
        """Whether something is to be done here though nothing happens: a card to be taken away, or made ready."""
        return self._spare is None or any(card.decided for card in self.all.values())

    def _stands(self) -> bool:
        """Whether a browser has all of the page, and time to spare: what is added to it before can be lost on the way,
        and keeps a new card from being seen."""
        loaded = pn.state.curdoc is None or pn.state.loaded
        return bool(loaded) and time.monotonic() > self._rests_until

    def _card(self, proposal: str) -> Card:
        card, self._spare = self._spare, None
        if card is None:
            return Card(self._visit, proposal, self._acted)
        card.proposal = proposal
        return card

    def _lay_out(self) -> None:
        spare = [self._spare] if self._spare is not None else []
        wanted: list[Any] = [self._none, *(card.view for card in (*self.all.values(), *spare))]
        if self._none.visible == bool(self.all):
            self._none.visible = not self.all
        stays = [view for view in self.view if view in wanted]
        if stays != wanted:
            self.view[:] = wanted
        # What has gone is hidden, and taken away with the next one that is made: a page that is laid out anew is late.
        for view in self.view:
            if view not in wanted and view.visible:
                view.visible = False


class ProposalsPage:
    """What is open, then what was decided."""

    def __init__(self, visit: Visit, acted: Callable[[], None]) -> None:
        self._cards, self._decided = Cards(visit, acted), Html()
        self._shown: Any = None
        self.view = pn.Column(self._cards.view, self._decided, sizing_mode="stretch_width")

    @property
    def moves(self) -> bool:
        return self._cards.moves

    def show(self, run: Any, moment: Moment) -> None:
        self._cards.show(run, moment)
        if moment.state.proposals is not self._shown:
            self._shown = moment.state.proposals
            self._decided.put(decided(moment.state, moment.now, MOST_DECIDED))
