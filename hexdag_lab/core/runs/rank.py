"""How long the longest chain below each node is: what is on the critical path goes first.

A node's rank is 0 if nothing depends on it, else one more than the highest rank directly below. List schedules that
take the highest rank first come close to the shortest possible run, where an order by waves does not (the upward rank
of HEFT: Topcuoglu, Hariri, Wu, IEEE TPDS 13, 2002, with every node counted as equally long; what it costs not to know
how long nodes take is in `docs/decisions/0021`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from heapq import heapify, heappop, heappush

from ..base.overlay import Overlay
from ..dag.dag import Dag

Ranks = Overlay[int]


def ranked(dag: Dag) -> Ranks:
    """The ranks of all nodes of a graph."""
    found: dict[str, int] = {}
    for wave in reversed(dag.waves):
        for name in wave:
            found[name] = _rank(dag, name, found.__getitem__)
    return Overlay(found)


def rank_changes(ranks: Ranks, dag: Dag, touched: Iterable[str]) -> dict[str, int | None]:
    """The ranks that a change moves: of the nodes that were touched or whose downstreams changed, and from there up
    as far as they differ. A name that is not in the graph any more has none."""
    new: dict[str, int | None] = {}
    todo = []
    for name in sorted(touched):
        if name in dag:
            todo.append((-dag.level(name), name))
        else:
            new[name] = None

    def rank(name: str) -> int:
        known = new[name] if name in new else ranks.get(name)
        return 0 if known is None else known

    heapify(todo)
    while todo:  # the deepest first: all that is below a node has been settled when it comes out
        _, name = heappop(todo)
        if name in new:
            continue
        found = _rank(dag, name, rank)
        if found != ranks.get(name):
            new[name] = found
            for wire in dag.wires(name):
                heappush(todo, (-dag.level(wire.up), wire.up))
    return new


def _rank(dag: Dag, name: str, rank: Callable[[str], int]) -> int:
    return max((rank(down) + 1 for down in dag.dependents(name)), default=0)
