"""Editing a proposal before it is approved: parts are left out, parameters set otherwise. What comes of it is a
proposal of whoever edits; the one that was edited is asked to change, and says by which it is replaced.
"""

from __future__ import annotations

import ast
from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Any, NamedTuple

from ..core.base.errors import DagError
from ..core.base.frozen import FrozenDict
from ..core.dag.changeset import Changeset
from ..core.dag.dag import Dag
from ..core.votes.proposal import Proposal
from .visit import Visit

HOW = "Untick what is not to be. Values are Python: 3, 0.5, 'text', True."
WHY = "why it is better so"
DONE = "Propose it so"
NOTHING = "There is nothing to edit in a raise of the budget: vote on it, or propose another one."


class Part(NamedTuple):
    """What a change does to one node. `params`: the parameters it is to have, their values as Python texts."""

    node: str
    label: str
    params: Mapping[str, str]


def parts(change: Changeset) -> list[Part]:
    """The parts of a change that can be left out or set otherwise: a node each."""
    signs = {"+": change.added, "~": change.changed, "−": change.removed}
    return [Part(name, f"{sign} {name}", _params(change, name)) for sign, names in signs.items() for name in names]


def _params(change: Changeset, name: str) -> dict[str, str]:
    spec = change.nodes[name].new
    return {key: repr(value) for key, value in spec.params.items()} if spec is not None else {}


def edited(change: Changeset, dag: Dag, kept: Collection[str], values: Mapping[tuple[str, str], str]) -> Changeset:
    """The change made anew on the graph as it is, with the parts that are kept only; `values`: (node, parameter) -> its
    value as a Python text. Raises `DagError`."""
    rebased = change.rebase(dag)
    target = getattr(rebased, "target", None)
    if target is None:
        raise DagError(f"it does not fit v{dag.version} any more: {rebased}")
    for part in parts(change):
        if part.node not in kept:
            target = _undone(target, dag, part.node)
    for (name, key), text in values.items():
        if name in kept and name in target:
            spec, value = target.nodes[name], _value(text, name, key)
            if spec.params[key] != value or type(spec.params[key]) is not type(value):
                target = target.replace_node(name, spec.but(params={**spec.params, key: value}))
    made = Changeset.between(dag, target)
    if made.empty:
        raise DagError("nothing of it is left: reject it instead")
    handling = {name: how for name, how in change.handling.items() if name in made.nodes}
    return replace(made, handling=FrozenDict(handling))


def put_instead(
    visit: Visit,
    run: Any,
    proposal: Proposal,
    kept: Collection[str],
    values: Mapping[tuple[str, str], str],
    reason: str,
) -> str:
    """Propose the edited change, and ask the one that was edited to change; what is to be said about it."""
    words = reason or f"{proposal.id}, edited"
    said = visit.propose(run, lambda: edited(proposal.changeset, run.view.dag, kept, values), words)
    if said or visit.identity is None or run.feed.state.proposals[proposal.id].terminal:
        return said
    # The one that was edited is not approved by that: its voters see that something else is on the table.
    words = f"edited by {visit.identity.agent}: see the newer proposal"
    return visit.vote(proposal.id, "request_changes", words, "")


def _undone(target: Dag, dag: Dag, name: str) -> Dag:
    """The graph without what is done to one node."""
    if name in target and name not in dag:
        return target.remove_node(name)
    if name in target:
        return target.replace_node(name, dag.nodes[name])
    return target.add_node(dag.nodes[name])


def _value(text: str, name: str, key: str) -> Any:
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError) as error:
        raise DagError(f"{name}: {key} is a Python value, such as 3 or 'text', not {text}") from error
