"""Edits of a draft, as writes.

An edit is a `Changeset` on the graph that a replica shows: the same value that a proposal is made of. Whoever settles a
conflict makes an ordinary edit: it supersedes all that he saw under the key.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ..base.errors import DagError
from ..dag.changeset import Changeset
from ..dag.entry import Edge
from .clock import Dot
from .replica import Replica
from .view import View, edge_key


def edit(replica: Replica, change: Changeset, by: str = "", at: int = 0) -> Replica:
    """With a change of the graph that is shown; `at` in unix milliseconds."""
    values: dict[str, Any] = {name: node.new for name, node in change.nodes.items()}
    values |= {edge_key(*edge): wire.new for edge, wire in change.edges.items()}
    return replica.write(values, by, at)


def settle(replica: Replica, key: str, dot: Dot | None, by: str = "", at: int = 0) -> Replica:
    """Let a key be what one of its writes wants; None: let it go. Raises `DagError` if there is no such write."""
    slot = replica.slots.get(key)
    found = [w for w in slot.writes if w.dot == dot] if slot else []
    if slot is None or (dot is not None and not found):
        raise DagError(f"nothing under {key!r} is called {dot}: it was settled meanwhile")
    return replica.write({key: found[0].value if found else None}, by, at)


def pin(replica: Replica, shown: View, edges: Iterable[Edge], by: str = "", at: int = 0) -> Replica:
    """Let edges stand before all others: those into nodes that have started. What was run stays so."""
    wires = {edge_key(w.up, down): w for _, down in sorted(edges) for w in shown.dag.wires(down)}
    wanted = {edge_key(*edge) for edge in edges}
    fresh = {key: wire for key, wire in wires.items() if key in wanted and not replica.slots[key].shown.pinned}
    return replica.write(fresh, by, at, pinned=True)
