"""The versions of a run's graph: any two side by side, with who, why and on whose votes; and back to an earlier one,
which is a proposal like any other.
"""

from __future__ import annotations

from dataclasses import replace
from html import escape
from typing import Any

import panel as pn

from ...core.base.frozen import FrozenDict
from ...core.dag.changeset import Changeset, Handling
from ...core.dag.diff import diff
from ...core.machine.state import RunState
from .. import cards, html, lists, outcomes, pictures
from ..film import Moment
from ..pane import READABLE, Html, button
from ..visit import Visit


class VersionsPage:
    """A table, two choices, two pictures."""

    moves = False

    def __init__(self, visit: Visit) -> None:
        self._visit = visit
        self._table, self._both, self._said = Html(), Html(), Html()
        self._old, self._new = (
            pn.widgets.Select(name=name, options=[], width=110, stylesheets=[READABLE]) for name in ("from", "to")
        )
        for select in (self._old, self._new):
            select.param.watch(lambda _: self._compare(), "value")
        self._back = button("Go back to it", self._revert, visible=False)
        choice = pn.FlexBox(self._old, self._new, self._back, align_items="flex-end")
        self.view = pn.Column(self._table, choice, self._said, self._both, sizing_mode="stretch_width")
        self._state: RunState | None = None
        self._run: Any = None
        self._live = True

    def show(self, run: Any, moment: Moment) -> None:
        state, self._run, self._live = moment.state, run, moment.live
        before, self._state = self._state, state
        if before is None or (before.run, before.versions) != (state.run, state.versions):
            self._table.put(versions(state))
            self._offer(before if before is not None and before.run == state.run else None)

    def _offer(self, before: RunState | None) -> None:
        """The versions to choose from. Those that were chosen stay; the last two give way to the last two."""
        last, chosen = len(self._state.versions) if self._state else 0, (self._old.value, self._new.value)
        shown = len(before.versions) if before is not None else 0
        if before is None:
            self._said.put("")
        stays = bool(shown) and chosen != _last_two(shown) and max(chosen) <= last
        self._old.options = self._new.options = list(range(1, last + 1))
        if last and not stays:
            self._old.value, self._new.value = _last_two(last)
        self._compare()

    def _compare(self) -> None:
        state = self._state
        if state is None or not self._old.value or not self._new.value or self._new.value > len(state.versions):
            return
        self._both.put(side_by_side(state, self._old.value, self._new.value))
        earlier = self._old.value < state.version
        self._back.name = f"Go back to v{self._old.value}"
        self._back.visible = earlier and self._live and not state.over

    def _revert(self) -> None:
        number = self._old.value
        text = self._visit.propose(self._run, lambda: going_back(self._run.feed.state, number), f"back to v{number}")
        self._said.put(html.note(text) if text else html.said(f"Proposed: back to v{number}. See Proposals."))


def _last_two(versions: int) -> tuple[int, int]:
    return max(1, versions - 1), versions


def going_back(state: RunState, number: int) -> Changeset:
    """The change from the head to an earlier version: of what goes, results are kept and attempts ended."""
    change = Changeset.between(state.dag, state.versions[number - 1].dag)
    touched = {*change.removed, *change.changed, *(down for _, down in change.edges)}
    gone = set(change.removed)
    handling = {n: Handling("restart", "keep" if n in gone else "rerun") for n in touched if n in state.nodes}
    return replace(change, handling=FrozenDict(handling))


def versions(state: RunState) -> str:
    """All versions, and the proposals that have not become one."""
    rows = [(f"v{row.number}", *map(escape, row[1:])) for row in outcomes.versions(state)]
    for aside in outcomes.set_aside(state):
        rows.append(("–", *map(escape, (aside.by, aside.change, aside.told, aside.votes))))
    return html.wrap(lists.table(("version", "by", "change", "reason", "votes"), rows))


def side_by_side(state: RunState, old: int, new: int) -> str:
    """Two versions as pictures in which what stays has one place, and the difference line by line."""
    by_number = {row.number: row for row in outcomes.versions(state)}
    found = diff(state.versions[old - 1].dag, state.versions[new - 1].dag)
    sides = []
    for number, picture in zip((old, new), pictures.side_by_side(found), strict=True):
        row = by_number[number]
        votes = f" · {escape(row.votes)}" if row.votes else ""
        about = f'<span class="dim">{escape(row.by)} · {escape(row.change)} · {escape(row.reason)}{votes}</span>'
        drawn = picture or '<p class="dim">Too large to be drawn: see the lines below.</p>'
        sides.append(f'<div><h3>v{number}</h3>{about}<div class="pic" tabindex="0">{drawn}</div></div>')
    lines = "".join(map(cards.changed, str(found).splitlines()))
    return html.wrap(f'<div class="sides">{"".join(sides)}</div><pre class="log" tabindex="0">{lines}</pre>')
