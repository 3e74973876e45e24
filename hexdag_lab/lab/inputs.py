"""What people give a run: its inputs, checked when it starts and read when somebody asks what a node gets; a worker."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Mapping
from typing import Any

from ..core.base.errors import NotAllowed, Refused, UnboundParameter
from ..core.dag.dag import Dag
from ..core.dag.node import NodeSpec
from ..core.dag.wiring import MANY
from ..core.runs.value import Kept
from ..runtime.view import RunView


def check_start(dag: Dag, given: Mapping[str, Any], schedule: str, agents: Container[str]) -> None:
    """Raise what is wrong with the arguments of `lab.start`."""
    if not isinstance(dag, Dag):
        raise TypeError(f"start takes a Dag, not {type(dag).__name__}: hx.Dag.of(…)")
    if schedule not in ("ready", "waves"):
        raise ValueError(f'schedule is "ready" or "waves", not {schedule!r}')
    check_inputs(dag, given)
    for name, spec in dag.nodes.items():
        if spec.agent is not None and spec.agent not in agents:
            fix = f"lab.add_agent(hx.Agent({spec.agent!r}, role='executor'))"
            text = f"node {name} is given to {spec.agent!r}, whom this lab does not know"
            raise NotAllowed(text, rule="agent", fix=fix)


def check_inputs(dag: Dag, inputs: Mapping[str, Any]) -> None:
    """Raise `UnboundParameter` for inputs that match nothing, and for required parameters that get no value."""
    free = {name: _free(dag, name) for name in dag}
    by_name = {param for name, params in free.items() for param in params if param not in dag.nodes[name].params}
    for key in inputs:
        node, dot, param = str(key).partition(".")
        if (param not in free.get(node, ())) if dot else key not in by_name:
            known = ", ".join(sorted(by_name)) or "none"
            raise UnboundParameter(f"input {key!r} matches no free parameter; what can be given: {known}")
    for name, param in dag.unbound():
        if param not in inputs and f"{name}.{param}" not in inputs:
            text = f"input {param!r} is missing: {name} needs it"
            raise UnboundParameter(f"{text}; start(dag, inputs={{{param!r}: …}})")


def _free(dag: Dag, node: str) -> set[str]:
    """The parameters of a node that no upstream fills."""
    return set(dag.nodes[node].code.names()) - {wire.param for wire in dag.wires(node)}


def inputs_of(view: RunView, node: str, read: Callable[[Kept], Any]) -> dict[str, Any]:
    """The values that a node gets: its params, the run's inputs, and the results of its upstreams, as far as they are
    not skipped."""
    spec, wires = view.dag.nodes[node], view.dag.wires(node)
    there = [wire for wire in wires if not view.state.nodes[wire.up].void]
    values = dict(spec.params)
    for param in _free(view.dag, node):
        given = view.state.inputs.get(f"{node}.{param}")
        if given is None and param not in values:
            given = view.state.inputs.get(param)
        if given is not None:
            values[param] = read(given)
    if any(wire.param == MANY for wire in wires):
        many = {wire.up: view.result(wire.up) for wire in there if wire.param == MANY}
        values[str(spec.code.collector)] = dict(sorted(many.items()))
    one = {wire.param: view.result(wire.up) for wire in there if wire.param not in (MANY, None)}
    return dict(sorted({**values, **one}.items()))


def checked_place(workers: Iterable[Mapping[str, Any]], to: Any, spec: NodeSpec | None) -> str:
    """The id of the worker that somebody means; empty for None. Raises `Refused` if it cannot run the node."""
    if to is None:
        return ""
    rows = {str(row["id"]): row for row in workers}
    id_ = str(to["id"]) if isinstance(to, Mapping) else str(to)
    if id_ not in rows:
        there = ", ".join(sorted(rows)) or "none"
        raise Refused(f"there is no worker {id_!r}", rule="worker", fix=f"name one that is there: {there}")
    lacks = sorted(set(spec.requires) - set(rows[id_].get("capabilities") or ())) if spec is not None else []
    if lacks:
        text = f"worker {id_} does not have {', '.join(lacks)}, which {spec.name if spec else 'the node'} needs"
        raise Refused(text, rule="capability", fix="name another one, or none")
    return id_
