"""New code for nodes of a graph, and nothing else: the graph's wires stay as they are, or it is no reload.

What else a change of code may break is found where any change is checked: models and annotations along each edge,
parameters that nothing fills.
"""

from __future__ import annotations

from typing import Any

from ..base.errors import UnboundParameter, UnknownNode
from .changeset import Changeset
from .dag import Dag
from .node import NOT_READ, Node, NodeSpec, spec_of


def reloaded(dag: Dag, fn: Any) -> Changeset:
    """The change that gives new code to the node of a function's name, and to those made of it with `as_node`.

    What runs finishes on the old code, and finished results stay. A plain function brings its code only; a `@node` its
    options as well; a `NodeSpec` is the node of its name, and no other. Raises `UnknownNode`, `UnboundParameter`."""
    new = spec_of(fn)
    change = Changeset.on(dag)
    for name in nodes_of(dag, fn):
        change = change.replace_node(name, _renewed(dag.nodes[name], new, fn), running="finish_old", finished="keep")
        _check_contract(dag, change, name)
    if change.target is dag:
        known = ", ".join(sorted(dag)[:5])
        raise UnknownNode(f"there is no node {new.name!r}, so there is nothing to reload; there is {known}")
    return change


def nodes_of(dag: Dag, fn: Any) -> list[str]:
    """The nodes that new code of a function is for, sorted."""
    new = spec_of(fn)
    named = [new.name] if new.name in dag else []
    if isinstance(fn, NodeSpec):
        return named
    mine = (new.code.name, new.code.module)
    same = (name for name, spec in dag.nodes.items() if (spec.code.name, spec.code.module) == mine)
    return sorted({*named, *same})


def _renewed(old: NodeSpec, new: NodeSpec, given: Any) -> NodeSpec:
    if isinstance(given, NodeSpec):
        return new
    params = {**old.params, **new.params}
    if isinstance(given, Node):
        return new.but(name=old.name, params=params)
    code = new.code if old.version is None else NOT_READ  # a version takes the place of the code, so it is read anew
    return old.but(fn=new.fn, code=code, blob=None)


def _check_contract(dag: Dag, change: Changeset, name: str) -> None:
    """Raise `UnboundParameter` if new code does not take what the graph gives to it."""
    assert change.target is not None
    now = {wire.up: wire.param for wire in change.target.entries[name].wires}
    for wire in dag.entries[name].wires:
        if now.get(wire.up) != wire.param:
            raise UnboundParameter(
                f"{name}: {wire.up} fills its parameter {wire.param!r}, which the new code does not take; put it back, "
                f"or propose it as a change of the graph: Changeset.on(run.dag).replace_node({name!r}, …)"
            )
