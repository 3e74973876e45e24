"""Editing a proposal before it is approved: parts are left out, parameters set otherwise. What comes of it is a
proposal of whoever edits; the one that was edited is asked to change, and says by which it is replaced.
"""

from __future__ import annotations

import ast
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import panel as pn

from ...core.base.errors import DagError
from ...core.base.frozen import FrozenDict
from ...core.dag.changeset import Changeset
from ...core.votes.proposal import Proposal
from .. import html
from ..pane import READABLE, Html, button
from .base import Visit


class Editor:
    """A row for each node that is added or replaced; `done(text)` gets what is to be said."""

    def __init__(self, visit: Visit, run: Any, proposal: Proposal, done: Callable[[str], None]) -> None:
        self._visit, self._run, self._proposal, self._done = visit, run, proposal, done
        self._keep: dict[str, Any] = {}
        self._params: dict[tuple[str, str], Any] = {}
        rows: list[Any] = [Html(html.said("Untick what is not to be. Values are Python: 3, 0.5, 'text', True."))]
        change = proposal.changeset
        for name in (*change.added, *change.changed, *change.removed):
            rows.append(self._row(name, change))
        self._reason = pn.widgets.TextInput(
            placeholder="why it is better so", sizing_mode="stretch_width", stylesheets=[READABLE], margin=(3, 0)
        )
        rows += [self._reason, button("Propose it so", self._propose, "success")]
        self.view = pn.Column(*rows, sizing_mode="stretch_width", margin=0, css_classes=["hx-editor"])

    def _row(self, name: str, change: Changeset) -> Any:
        sign = "+" if name in change.added else "−" if name in change.removed else "~"
        label = f"{sign} {name}"
        # A group of one: it has a label that readers of screens are told.
        keep = self._keep[name] = pn.widgets.CheckBoxGroup(options=[label], value=[label], width=180)
        spec = change.nodes[name].new
        fields = []
        for key, value in spec.params.items() if spec is not None else ():
            field = pn.widgets.TextInput(name=key, value=repr(value), width=110, stylesheets=[READABLE])
            self._params[name, key] = field
            fields.append(field)
        return pn.FlexBox(keep, *fields, align_items="center")

    def _propose(self) -> None:
        reason = self._reason.value_input or self._reason.value or f"{self._proposal.id}, edited"
        text = self._visit.propose(self._run, self._edited, reason)
        if not text and (identity := self._visit.identity) is not None:
            # The one that was edited is not approved by that: its voters see that something else is on the table.
            words = f"edited by {identity.agent}: see the newer proposal"
            state = self._run.feed.state
            if not state.proposals[self._proposal.id].terminal:
                text = self._visit.vote(self._proposal.id, "request_changes", words, "")
        self._done(text)

    def _edited(self) -> Changeset:
        """The change as it is ticked and filled in, made anew on the graph as it is. Raises `DagError`."""
        old, dag = self._proposal.changeset, self._run.view.dag
        rebased = old.rebase(dag)
        target = getattr(rebased, "target", None)
        if target is None:
            raise DagError(f"it does not fit v{dag.version} any more: {rebased}")
        for name, keep in self._keep.items():
            if not keep.value:
                target = self._undone(target, dag, name)
        for (name, key), field in self._params.items():
            if self._keep[name].value and name in target:
                spec = target.nodes[name]
                value = _value(field, name, key)
                if spec.params[key] != value or type(spec.params[key]) is not type(value):
                    target = target.replace_node(name, spec.but(params={**spec.params, key: value}))
        made = Changeset.between(dag, target)
        if made.empty:
            raise DagError("nothing of it is left: reject it instead")
        kept = {name: how for name, how in old.handling.items() if name in made.nodes}
        return replace(made, handling=FrozenDict(kept))

    @staticmethod
    def _undone(target: Any, dag: Any, name: str) -> Any:
        """The graph without what is done to one node."""
        if name in target and name not in dag:
            return target.remove_node(name)
        if name in target:
            return target.replace_node(name, dag.nodes[name])
        return target.add_node(dag.nodes[name])


def _value(field: Any, name: str, key: str) -> Any:
    text = field.value_input or field.value
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError) as error:
        raise DagError(f"{name}: {key} is a Python value, such as 3 or 'text', not {text}") from error
