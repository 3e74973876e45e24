"""Edits of a draft, as writes.

An edit is a `Changeset` on the graph that a replica shows: the same value that a proposal is made of. Whoever settles a
conflict makes an ordinary edit: it supersedes all that he saw under the key.

What a run has started is *pinned*: the nodes, and the edges into them. Pins come from an author of their own, who has
seen nothing but the graph that the draft began with. So they supersede nobody's edit: one that was made before its
author could know is the pin's rival, a conflict, and one that is made afterwards is refused.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ..base.errors import DagError, FrozenNode
from ..dag.changeset import Changeset
from ..dag.dag import Dag
from .clock import Dot
from .replica import Replica, Write
from .view import edge_key, edge_of, named, pinned

BASE = "base-"  #: begins the name of the replica that "wrote" the graph a draft began with: everybody makes it alike
PINS = "pins-"  #: begins the name of the author of a replica's pins
AUTHORS = (BASE, PINS)  #: begin the names of those that are nobody's copies


def is_edit(dot: Dot) -> bool:
    """Whether somebody wanted a write: not so the beginning of a draft, and pins."""
    return not dot.replica.startswith(AUTHORS)


def values(change: Changeset) -> dict[str, Any]:
    """What a change of the graph wants each key to be."""
    nodes: dict[str, Any] = {name: node.new for name, node in change.nodes.items()}
    return nodes | {edge_key(*edge): wire.new for edge, wire in change.edges.items()}


def write(replica: Replica, wanted: Mapping[str, Any], by: str = "", at: int = 0) -> Replica:
    """With other values for keys, `at` in unix milliseconds; what is pinned stays so."""
    return replica.write(wanted, by, at, pinned(replica, wanted))


def edit(replica: Replica, change: Changeset, by: str = "", at: int = 0) -> Replica:
    """With a change of the graph that is shown."""
    return write(replica, values(change), by, at)


def settled(replica: Replica, key: str, dot: Dot | None) -> dict[str, Any]:
    """What settles a key: the value of a write to it; None: it goes. Raises `DagError` if there is no such write."""
    slot = replica.slots.get(key)
    found = [w for w in slot.writes if w.dot == dot] if slot else []
    if slot is None or (dot is not None and not found):
        raise DagError(f"nothing under {key!r} is called {dot}: it was settled meanwhile")
    return {key: found[0].value if found else None}


def settle(replica: Replica, key: str, dot: Dot | None, by: str = "", at: int = 0) -> Replica:
    """With a conflict settled, by an ordinary edit."""
    return write(replica, settled(replica, key, dot), by, at)


def frozen(replica: Replica, wanted: Mapping[str, Any]) -> FrozenNode | None:
    """Why keys may not have other values: a node has started, so it stays, and so do its inputs."""
    for key, value in wanted.items():
        edge, slot = edge_of(key), replica.slots.get(key)
        node = edge[1] if edge else key
        if not pinned(replica, [node]) or (slot is not None and slot.shown.value == value):
            continue
        if edge is None and value is None:
            text, fix = f"{node} has started, so it cannot be removed", "propose that to the run itself"
            return FrozenNode(text, rule="started", fix=fix)
        if edge is not None and (value is not None or (slot is not None and slot.shown.pinned)):
            text = f"{node} has started, so its inputs cannot change (edge {named(key)})"
            return FrozenNode(text, rule="frozen-input", fix=f"add a new node after {edge[0]} instead")
    return None


def began(replica: Replica) -> Replica | None:
    """The graph that a draft began with, as a replica of its own."""
    names = [name for name in replica.seen if name.startswith(BASE)]
    if not names:
        return None
    return Replica(names[0]).deliver(w for w in replica.log.values() if w.dot.replica == names[0])


def pins(replica: Replica, ran: Dag, nodes: Iterable[str], by: str = "", at: int = 0) -> tuple[Write, ...]:
    """The writes that pin nodes, and the edges into them, as a run has them: those that the draft began with and that
    are not pinned yet. They are to be delivered, and sent like any edit."""
    base = began(replica)
    known = [name for name in sorted(nodes) if base is not None and name in base.slots]
    fresh = sorted({*known} - pinned(replica, known))
    if base is None or not fresh:
        return ()
    wanted: dict[str, Any] = {name: ran.nodes[name] for name in fresh}
    wanted |= {edge_key(w.up, name): w for name in fresh for w in ran.wires(name) if w.up in base.slots}
    author = f"{PINS}{replica.id}"
    seen = base.seen.updated({author: replica.seen[author]}) if author in replica.seen else base.seen
    return tuple(Replica(author, seen).write(wanted, by, at, wanted).log.values())
