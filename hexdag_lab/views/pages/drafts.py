"""The page of what is edited without a coordinator: the regions, and the lab's drafts, with who edits them, who is
behind, and a card with buttons for each open conflict.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import panel as pn

from ...core.base.errors import SchemaError
from ...core.replica.conflicts import Choice
from ...core.replica.view import Held
from .. import drafts, html
from ..pane import Html, Stack, button
from ..regions import regions
from ..visit import Visit

_BOX = {"border": "1px solid #8886", "border-radius": "6px", "padding": "4px 10px 8px"}


class DraftsPage:
    """The regions, if there are any, and all drafts of the lab, by name."""

    def __init__(self, visit: Visit) -> None:
        self._visit = visit
        self._none = Html(html.said(drafts.NONE))
        self._shown: dict[str, Section] = {}
        self._regions = Html()
        self._sections = Stack(self._none, sizing_mode="stretch_width")
        self.view = pn.Column(self._regions, self._sections, sizing_mode="stretch_width", margin=0)

    def look(self, rows: Sequence[Any]) -> None:
        self._regions.put(regions(self._visit.lab.regions()))
        found = {draft.name: draft for draft in self._visit.lab.drafts()}
        shown = {name: self._shown.get(name) or Section(self._visit, draft) for name, draft in found.items()}
        for section in shown.values():
            section.look()
        if list(shown) != list(self._shown):
            views: list[Any] = [section.view for section in shown.values()]
            self._sections[:] = views or [self._none]
        self._shown = shown


class Section:
    """One draft."""

    def __init__(self, visit: Visit, draft: drafts.Draft) -> None:
        self._visit, self._draft = visit, draft
        self._head, self._who, self._picture, self._changes, self._said = (Html(margin=(2, 0)) for _ in range(5))
        self._cards: dict[bytes, ConflictCard] = {}
        self._stack = Stack(sizing_mode="stretch_width", margin=0)
        self.view = pn.Column(
            self._head, self._stack, self._said, self._who, self._picture, self._changes,
            sizing_mode="stretch_width", margin=(8, 4), css_classes=["hx-draft"],
        )  # fmt: skip

    def look(self) -> None:
        """The draft as it is; of one that cannot be read, why."""
        try:
            self._look()
        except SchemaError as error:
            self._head.put(html.note(str(error)))

    def _look(self) -> None:
        draft, now, held = self._draft, time.time(), self._draft.conflicts
        self._head.put(drafts.head(draft, held))
        self._who.put(drafts.who(draft.copies(), now))
        self._picture.put(drafts.picture(draft.dag))
        self._changes.put(drafts.changes(draft.changes(), now))
        cards = {one.digest: self._cards.get(one.digest) or ConflictCard(draft, one, self._choose) for one in held}
        if list(cards) != list(self._cards):
            self._stack[:] = [card.view for card in cards.values()]
        self._cards = cards

    def _choose(self, choice: Choice) -> None:
        said = self._visit.choose(self._draft, choice)
        self._said.put(html.note(said) if said else "")
        self.look()


class ConflictCard:
    """A conflict, and a button for each way to settle it."""

    def __init__(self, draft: drafts.Draft, held: Held, choose: Callable[[Choice], None]) -> None:
        choices = draft.choices(held)
        buttons = [button(choice.label, partial(choose, choice), css_classes=["hx-choice"]) for choice in choices]
        text = Html(drafts.conflict(held, draft.intents(held), time.time()), margin=(2, 0))
        self.view = pn.Column(
            text, pn.FlexBox(*buttons), sizing_mode="stretch_width", margin=(6, 0), styles=_BOX,
            css_classes=["hx-conflict"],
        )  # fmt: skip
