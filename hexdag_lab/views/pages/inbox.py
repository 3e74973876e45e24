"""What waits for a decision in all runs, the most urgent first; what is alike can be decided together."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import panel as pn

from ...core.votes.proposal import Proposal
from .. import html, lists, tally
from ..pane import Html, Stack, button
from ..visit import Visit

_ROW = {"border-bottom": "1px solid #8886"}


class InboxPage:
    """`opened(run)` shows a run's proposals."""

    def __init__(self, visit: Visit, opened: Callable[[str], None]) -> None:
        self._visit, self._opened = visit, opened
        self._said, self._none = Html(), Html(html.said("Nothing waits for a decision in any run."))
        self._rows: dict[str, Row] = {}
        self._groups: list[tuple[str, str]] = []
        self._list, self._batches = Stack(self._none, sizing_mode="stretch_width"), Stack(sizing_mode="stretch_width")
        self.view = pn.Column(self._batches, self._said, self._list, sizing_mode="stretch_width")

    def look(self, rows: Sequence[Any]) -> None:
        found = self._visit.lab.inbox()
        shown = {p.id: self._rows.get(p.id) or Row(p.id, self._vote, self._opened) for p in found}
        for handle in found:
            state = handle.run_state
            if handle.id in state.proposals:
                shown[handle.id].show(state, self._visit.viewer)
        if list(shown) != list(self._rows):
            views: list[Any] = [row.view for row in shown.values()]
            self._list[:] = views or [self._none]
        self._rows = shown
        self._batch()

    def _batch(self) -> None:
        """A button for each kind of which there are several, but for what is risky: that is looked at one by one."""
        groups: dict[tuple[str, str], list[Row]] = {}
        for row in self._rows.values():
            if row.proposal is not None and row.risk.tier != tally.HIGH:
                groups.setdefault((row.proposal.kind, row.risk.tier), []).append(row)
        several = {key: rows for key, rows in groups.items() if len(rows) > 1}
        wanted = [(f"{kind}, {tier} risk", f"Approve all {len(rows)}") for (kind, tier), rows in several.items()]
        if wanted != self._groups:
            self._groups = wanted
            self._batches[:] = [
                pn.Row(button(f"{label}: {what}", partial(self._vote_all, key)), margin=0)
                for (what, label), key in zip(wanted, several, strict=True)
            ]

    def _vote_all(self, key: tuple[str, str]) -> None:
        """Approve what was shown of one kind; each ballot is for what its own row has shown."""
        alike = [r for r in self._rows.values() if r.proposal is not None and (r.proposal.kind, r.risk.tier) == key]
        said = [text for row in alike if (text := self._visit.vote(row.id, "approve", "", row.seen))]
        self._say("; ".join(said))

    def _vote(self, proposal: str, choice: str, seen: str) -> None:
        self._say(self._visit.vote(proposal, choice, "", seen))

    def _say(self, text: str) -> None:
        self._said.put(html.note(text) if text else "")
        self.look(())


class Row:
    """One proposal of the list."""

    def __init__(self, id_: str, vote: Callable[[str, str, str], None], opened: Callable[[str], None]) -> None:
        self.id, self.seen = id_, ""
        self.proposal: Proposal | None = None
        self.risk = tally.Risk(tally.HIGH, "")
        self._text = Html(margin=(4, 0))
        buttons = [
            button(label, partial(self._cast, vote, choice), kind)
            for choice, label, kind in (("approve", "Approve", "success"), ("reject", "Reject", "danger"))
        ]
        look = button("Look at it", partial(opened, id_.rpartition("/")[0]))
        self.view = pn.Column(
            self._text, pn.FlexBox(*buttons, look), sizing_mode="stretch_width", styles=_ROW, margin=(4, 10)
        )

    def _cast(self, vote: Callable[[str, str, str], None], choice: str) -> None:
        vote(self.id, choice, self.seen)

    def show(self, state: Any, viewer: str) -> None:
        """The proposal as it is."""
        self.proposal = proposal = state.proposals[self.id]
        self.seen, self.risk = proposal.seen, tally.risk(proposal)
        self._text.put(lists.waiting(state, proposal, time.time(), viewer))
