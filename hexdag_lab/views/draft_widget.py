"""A draft in a notebook cell: who edits it, and a card with buttons for each conflict. It is looked at anew when one of
them is pressed, and when its cell runs again: nothing goes on behind a notebook's back."""

from __future__ import annotations

import time
from typing import Any

import ipywidgets

from ..core.base.errors import HexdagError
from ..core.replica.conflicts import Choice
from . import drafts, html

_WRAPPED = ipywidgets.Layout(flex_flow="row wrap")
_BOX = {"border": "1px solid #8886", "padding": "6px", "margin": "4px 0"}


class DraftWidget(ipywidgets.VBox):  # type: ignore[misc]
    """A draft, edited by the notebook's owner."""

    def __init__(self, draft: drafts.Draft) -> None:
        self._draft = draft
        self._head, self._said, self._who, self._picture, self._changes = (ipywidgets.HTML() for _ in range(5))
        self.cards = ipywidgets.VBox([])
        self.again = ipywidgets.Button(description="Look again")
        self.again.on_click(lambda _: self.look())
        style = ipywidgets.HTML(html.style(), layout=ipywidgets.Layout(display="none"))
        parts = [self._head, self.cards, self._said, self._who, self._picture, self._changes, self.again, style]
        super().__init__(parts)
        self.look()

    def look(self) -> None:
        """The draft as it is."""
        draft, now, held = self._draft, time.time(), self._draft.conflicts
        self._head.value = drafts.head(draft, held)
        self._who.value = drafts.who(draft.copies(), now)
        self._picture.value = drafts.picture(draft.dag)
        self._changes.value = drafts.changes(draft.changes(), now)
        self.cards.children = [self._card(conflict, now) for conflict in held]

    def _card(self, conflict: Any, now: float) -> ipywidgets.VBox:
        text = ipywidgets.HTML(drafts.conflict(conflict, self._draft.intents(conflict), now))
        buttons = []
        for choice in self._draft.choices(conflict):
            button = ipywidgets.Button(description=choice.label, layout=ipywidgets.Layout(width="auto"))
            button.on_click(lambda _, choice=choice: self._choose(choice))
            buttons.append(button)
        return ipywidgets.VBox([text, ipywidgets.HBox(buttons, layout=_WRAPPED)], layout=ipywidgets.Layout(**_BOX))

    def _choose(self, choice: Choice) -> None:
        said = ""
        try:
            self._draft.choose(choice)
        except HexdagError as error:
            said = html.note(str(error))
        self.look()
        self._said.value = said
