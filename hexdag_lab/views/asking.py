"""Two buttons below a change: propose it, or let it be."""

from __future__ import annotations

from collections.abc import Callable
from html import escape
from typing import Any

import ipywidgets

from ..core.base.errors import HexdagError
from .kernel import heard_beside_cells


class AskWidget(ipywidgets.HBox):  # type: ignore[misc]
    """Asks once. `propose()` gives the proposal, which then stands in place of the buttons, or raises what is wrong."""

    def __init__(self, question: str, propose: Callable[[], Any]) -> None:
        self._propose = propose
        self.proposal: Any = None
        self.said = ipywidgets.HTML(escape(question))
        self.yes = ipywidgets.Button(description="Propose", button_style="primary")
        self.no = ipywidgets.Button(description="Let it be")
        self.yes.on_click(lambda _: self._answer())
        self.no.on_click(lambda _: self._told("let be; nothing was proposed"))
        super().__init__([self.yes, self.no, self.said])
        heard_beside_cells(self)

    def _answer(self) -> None:
        self.yes.disabled = self.no.disabled = True
        try:
            self.proposal = self._propose()
        except (HexdagError, ValueError, TypeError) as error:
            self.yes.disabled = self.no.disabled = False
            self.said.value = escape(str(error))
        else:
            self._told(repr(self.proposal))

    def _told(self, text: str) -> None:
        self.said.value = escape(text)
        self.children = [self.said]
