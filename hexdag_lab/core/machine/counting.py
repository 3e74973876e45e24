"""What each node waits for, as counts that are kept up to date: how it gets ready, blocked, skipped, or free again.

A node may be submitted when all its upstreams have succeeded or are submitted before it (then they are chained in the
pool); `unmet` and `unsent` count what is missing, and a node whose `unsent` reaches 0 enters the frontier.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping
from heapq import heapify, heappop, heappush

from ..dag.dag import Dag, Entry
from ..runs.run import SETTLED, NodeRecord, NodeState
from .lanes import queued
from .state import RunState


def with_downs(dag: Dag, names: Iterable[str]) -> set[str]:
    """Some nodes, as far as they are in the graph, and those directly downstream."""
    found = {name for name in names if name in dag}
    for name in tuple(found):
        found |= dag.dependents(name)
    return found


def recounted(state: RunState, names: Iterable[str]) -> RunState:
    """Count anew what some nodes wait for, wave by wave; a node that gets blocked or freed takes its downs along."""
    dag, nodes, left = state.dag, state.nodes, state.left
    todo = [(dag.level(name), name) for name in names]
    heapify(todo)
    ready: dict[str, None] = {}
    while todo:
        _, name = heappop(todo)
        old = nodes[name]
        new = _counted(dag, nodes, name, old)
        if not new.submitted and not new.unsent:
            ready[name] = None
        if new == old:
            continue
        nodes = nodes.set(name, new)
        left += (old.state in SETTLED) - (new.state in SETTLED)
        if (new.state in SETTLED) != (old.state in SETTLED):
            for down in dag.dependents(name):
                heappush(todo, (dag.level(down), down))
    return queued(state._replace(nodes=nodes, left=left), ready)


def _counted(dag: Dag, nodes: Mapping[str, NodeRecord], name: str, rec: NodeRecord) -> NodeRecord:
    entry = dag.entries[name]
    ups = [nodes[w.up] for w in entry.wires]
    unmet = sum(not up.passed for up in ups)
    unsent = sum(not up.passed and not up.submitted for up in ups)
    rec = rec._replace(unmet=unmet, unsent=unsent)
    if rec.state not in _DERIVED or (rec.declined and not unmet):
        return rec
    blocked = _blocked(entry, nodes)
    lacking = lacks(entry, nodes) if any(up.void for up in ups) else ""
    if blocked and not (lacking and rec.state is NodeState.SKIPPED):  # what was skipped stays so while it has to
        return rec._replace(state=NodeState.BLOCKED, why=blocked, declined=False)
    if lacking:
        return rec._replace(state=NodeState.SKIPPED, why=lacking, declined=False)
    why = rec.why if rec.state in (NodeState.WAITING, NodeState.READY) else ""
    return rec._replace(state=NodeState.WAITING if unmet else NodeState.READY, why=why, declined=False)


def _blocked(entry: Entry, nodes: Mapping[str, NodeRecord]) -> str:
    """Why a node cannot run because of a failure above it; "" if it can."""
    for up, _ in entry.wires:
        rec = nodes[up]
        if rec.state is NodeState.FAILED and not rec.excused:
            return f"upstream {up} failed"
        if rec.state is NodeState.BLOCKED:
            return rec.why
    return ""


#: these follow from what is upstream
_DERIVED = frozenset({NodeState.WAITING, NodeState.READY, NodeState.BLOCKED, NodeState.SKIPPED})


def lacks(entry: Entry, nodes: Mapping[str, NodeRecord], more: Container[str] = ()) -> str:
    """Why a node cannot go on without a result that there will not be; "" if it can: no value was to come, it would go
    into a collector, or the parameter has a default. `more`: nodes that will be void as well."""
    for up, param in entry.wires:
        if (up in more or nodes[up].void) and any(p.name == param for p in entry.spec.required()):
            return f"needs {up}, which {'failed' if nodes[up].excused else 'was skipped'}"
    return ""


def current_wave(state: RunState) -> int:
    """The first wave in which something is left to do, counted from 0; if nothing is, how many there are."""
    waves, nodes = state.dag.waves, state.nodes
    for number in range(state.wave, len(waves)):
        if any(nodes[name].state not in SETTLED for name in waves[number]):
            return number
    return len(waves)
