"""What each node waits for, as counts that are kept up to date: how a node gets ready, blocked, or free again.

A node may be submitted when all its upstreams have succeeded or are submitted before it (then they are chained in the
pool); `unmet` and `unsent` count what is missing, and a node whose `unsent` reaches 0 enters the frontier.
"""

from __future__ import annotations

from collections.abc import Iterable
from heapq import heapify, heappop, heappush
from typing import Any

from ..base.heap import push
from ..dag.dag import Dag
from ..runs.run import PASSED, SETTLED, NodeRecord, NodeState
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
    return pushed(state._replace(nodes=nodes, left=left), ready)


def _counted(dag: Dag, nodes: Any, name: str, rec: NodeRecord) -> NodeRecord:
    ups = [nodes[w.up] for w in dag.entries[name].wires]
    unmet = sum(up.state not in PASSED for up in ups)
    unsent = sum(up.state not in PASSED and not up.submitted for up in ups)
    rec = rec._replace(unmet=unmet, unsent=unsent)
    if rec.state not in (NodeState.WAITING, NodeState.READY, NodeState.BLOCKED):
        return rec
    for wire, up in zip(dag.entries[name].wires, ups, strict=True):
        if up.state is NodeState.FAILED:
            return rec._replace(state=NodeState.BLOCKED, why=f"upstream {wire.up} failed")
        if up.state is NodeState.BLOCKED:
            return rec._replace(state=NodeState.BLOCKED, why=up.why)
    why = "" if rec.state is NodeState.BLOCKED else rec.why
    return rec._replace(state=NodeState.WAITING if unmet else NodeState.READY, why=why)


def pushed(state: RunState, names: Iterable[str]) -> RunState:
    """With these nodes in the frontier; one that cannot be submitted after all is skipped when it comes out."""
    frontier = state.frontier
    for name in sorted(names):  # the shape of the heap is part of the state, and names may come from a set
        frontier = push(frontier, (state.dag.level(name),), name)
    return state if frontier is state.frontier else state._replace(frontier=frontier)
