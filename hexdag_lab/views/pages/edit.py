"""The form in which a proposal is edited on a page."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import panel as pn

from ...core.votes.proposal import Proposal
from .. import editing, html
from ..pane import READABLE, Html, button
from ..visit import Visit


class Editor:
    """A row for each node that is added, replaced or removed; `done(text)` gets what is to be said."""

    def __init__(self, visit: Visit, run: Any, proposal: Proposal, done: Callable[[str], None]) -> None:
        self._visit, self._run, self._proposal, self._done = visit, run, proposal, done
        self._keep: dict[str, Any] = {}
        self._params: dict[tuple[str, str], Any] = {}
        rows = [self._row(part) for part in editing.parts(proposal.changeset)]
        self._reason = pn.widgets.TextInput(
            placeholder=editing.WHY, sizing_mode="stretch_width", stylesheets=[READABLE], margin=(3, 0)
        )
        go = button(editing.DONE, self._propose, "success")
        self.view = pn.Column(
            Html(html.said(editing.HOW)), *rows, self._reason, go,
            sizing_mode="stretch_width", margin=0, css_classes=["hx-editor"],
        )  # fmt: skip

    def _row(self, part: editing.Part) -> Any:
        # A group of one: it has a label that readers of screens are told.
        keep = pn.widgets.CheckBoxGroup(options=[part.label], value=[part.label], width=180)
        self._keep[part.node] = keep
        fields = [
            pn.widgets.TextInput(name=key, value=text, width=110, stylesheets=[READABLE])
            for key, text in part.params.items()
        ]
        self._params |= {(part.node, field.name): field for field in fields}
        return pn.FlexBox(keep, *fields, align_items="center")

    def _propose(self) -> None:
        kept = [name for name, keep in self._keep.items() if keep.value]
        values = {where: _text(field) for where, field in self._params.items()}
        self._done(editing.put_instead(self._visit, self._run, self._proposal, kept, values, _text(self._reason)))


def _text(field: Any) -> str:
    """What is in a field, also while it is being typed."""
    return str(field.value_input or field.value or "")
