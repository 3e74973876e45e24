"""`View`: the graph that a draft shows, always a valid one, and what it holds back.

A pure function of what a replica holds. Nodes are shown as their last write wants them. Edges are let in one by one,
pinned ones first, then the oldest first; one whose end is missing, whose parameter is taken, that would close a cycle
or leads into a node that has started is *held back*, with the reason, and comes back by itself when that is gone.
Acyclicity cannot be kept by merging alone (Shapiro et al., INRIA RR-7506), so it is kept by looking.

    what is in the graph + what the conflicts hold = everything that was written and not superseded

Only what lies on a cycle needs a search; without one a view moves on by the keys that changed.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping
from itertools import pairwise
from typing import NamedTuple

from ..base.canon import digest
from ..base.codec import dumps, record
from ..base.errors import DagError, TypeMismatch, UnboundParameter
from ..base.merkle import MerkleMap
from ..dag.changeset import Changeset, EdgeChange, NodeChange
from ..dag.dag import Dag
from ..dag.entry import Edge
from ..dag.levels import raise_levels
from ..dag.node import NodeSpec
from ..dag.wiring import MANY, Wire, check_models, check_wires
from .clock import Dot
from .replica import Replica, Slot, Write


def edge_key(up: str, down: str) -> str:
    """The key of an edge; the key of a node is its name."""
    return f"{up} {down}"


def edge_of(key: str) -> Edge | None:
    """The edge that a key stands for; None for a node."""
    up, space, down = key.partition(" ")
    return (up, down) if space else None


@record
class Held:
    """Writes that the graph does not show, and why.

    kind   both-changed, remove-vs-change: another write to the same key is shown;
           dangling, taken, type, cycle, started: the edge does not fit what is shown
    key    the node or edge;  dots  the writes that are held back;  text  one sentence with the intents
    rivals the keys of what an edge does not fit
    """

    kind: str
    key: str
    dots: tuple[Dot, ...]
    text: str
    rivals: tuple[str, ...] = ()

    @property
    def shown(self) -> bool:
        """Whether another write to the same key is shown."""
        return self.kind in _RIVALS

    @property
    def digest(self) -> bytes:
        """Content hash: 32 bytes."""
        return digest(dumps(self))

    def __str__(self) -> str:
        return self.text


class View(NamedTuple):
    """A draft as it is shown: a graph, and by key what is held back."""

    dag: Dag
    conflicts: MerkleMap[Held]


EMPTY = View(Dag.of(), MerkleMap())


def view(replica: Replica) -> View:
    """What a replica shows: O(n log n) in all it holds."""
    specs: dict[str, NodeSpec] = {}
    edges: list[Write] = []
    held: dict[str, Held] = {}
    for key, slot in replica.slots.items():
        shown = slot.shown
        if shown.value is None:
            continue
        if rivals := _rivals(slot):
            held[key] = rivals
        if edge_of(key) is None:
            specs[key] = shown.value
        else:
            edges.append(shown)
    wires, reasons = _let_in(specs, edges, pinned(replica, specs))
    for key, reason in reasons.items():
        held[key] = _held_edge(replica.slots[key], reason)
    pairs = [(spec, tuple(sorted(wires.get(name, ()), key=lambda w: w.up))) for name, spec in sorted(specs.items())]
    return View(Dag.from_entries(pairs), MerkleMap(held))


def pinned(replica: Replica, keys: Iterable[str]) -> set[str]:
    """Those of some keys that are pinned: nodes that a run has started, and the edges into them."""
    return {key for key in keys if (slot := replica.slots.get(key)) is not None and slot.shown.pinned}


def moved(old: View, before: Replica, after: Replica) -> View:
    """`view(after)`, given the view of an earlier state of the same draft: O(changes), unless edges are held back."""
    if not all(h.shown for h in old.conflicts.values()):
        return view(after)
    nodes: dict[str, NodeChange] = {}
    edges: dict[Edge, EdgeChange] = {}
    conflicts = old.conflicts
    for key, was, slot in before.slots.diff(after.slots):
        if _shuts_out(old, after, key, was, slot):
            return view(after)
        shown = None if slot is None else slot.shown.value
        rivals = None if slot is None or shown is None else _rivals(slot)
        if rivals is not None:
            conflicts = conflicts.set(key, rivals)
        elif key in conflicts:
            conflicts = conflicts.delete(key)
        if (edge := edge_of(key)) is not None:
            edges[edge] = EdgeChange(_wire(old.dag, edge), shown)
        else:
            spec = old.dag.nodes.get(key)
            nodes[key] = NodeChange(None if spec is None else spec.digest, shown)
    changed = Changeset(
        old.dag.digest,
        {name: change for name, change in nodes.items() if change.old != change.after},
        {edge: change for edge, change in edges.items() if change.old != change.new},
    )
    try:
        return View(old.dag.apply(changed).numbered(1), conflicts)
    except DagError:  # an edge has to be held back
        return view(after)


def _wire(dag: Dag, edge: Edge) -> Wire | None:
    up, down = edge
    return next((w for w in dag.wires(down) if w.up == up), None) if down in dag else None


def _shuts_out(old: View, after: Replica, key: str, was: Slot | None, slot: Slot | None) -> bool:
    """Whether a change means that an edge into a node that has started has to be held back, or let in."""
    if (edge := edge_of(key)) is not None:
        return _unpinned(slot) and bool(pinned(after, edge[1:]))
    if (was is not None and was.shown.pinned) == (slot is not None and slot.shown.pinned):
        return False
    return key in old.dag and any(_unpinned(after.slots.get(edge_key(w.up, key))) for w in old.dag.wires(key))


def _unpinned(slot: Slot | None) -> bool:
    return slot is not None and slot.shown.value is not None and not slot.shown.pinned


# -- which edges are let in


class _Reason(NamedTuple):
    """Why an edge is held back: the kind of conflict, the keys of what it does not fit, in words."""

    kind: str
    rivals: tuple[str, ...]
    why: str


def _let_in(
    specs: Mapping[str, NodeSpec], edges: Iterable[Write], begun: Container[str]
) -> tuple[dict[str, list[Wire]], dict[str, _Reason]]:
    """Wires by node, and for each edge that is held back the reason; `begun`: the nodes that have started."""
    held: dict[str, _Reason] = {}
    standing: list[tuple[Edge, Write]] = []
    for w in sorted(edges, key=lambda w: (not w.pinned, w.order)):
        edge = edge_of(w.key)
        assert edge is not None
        if missing := [name for name in edge if name not in specs]:
            held[w.key] = _Reason("dangling", tuple(missing), f"there is no node {' and no '.join(missing)}")
        elif edge[1] in begun and not w.pinned:
            held[w.key] = _Reason("started", edge[1:], f"{edge[1]} has started, so its inputs stay as they are")
        else:
            standing.append((edge, w))
    core = _core([edge for edge, _ in standing])
    levels, downs = dict.fromkeys(core, 0), {name: set[str]() for name in core}
    wires: dict[str, list[Wire]] = {}
    filled: dict[tuple[str, str], Wire] = {}
    for (up, down), w in standing:
        wire: Wire = w.value
        rival = filled.get((down, str(wire.param)))
        if reason := _misfit(specs, (up, down), wires.get(down, []), rival, wire):
            held[w.key] = reason
            continue
        if up in core and down in core:
            raised = raise_levels(up, down, levels.__getitem__, downs.__getitem__)
            if isinstance(raised, tuple):
                others = tuple(edge_key(*pair) for pair in pairwise(raised) if pair != (up, down))
                held[w.key] = _Reason("cycle", others, f"it would close the cycle {' -> '.join(raised)}")
                continue
            levels.update(raised)
            downs[up].add(down)
        wires.setdefault(down, []).append(wire)
        if wire.param not in (None, MANY):
            filled[down, str(wire.param)] = wire
    return wires, held


def _misfit(
    specs: Mapping[str, NodeSpec], edge: Edge, wires: list[Wire], rival: Wire | None, wire: Wire
) -> _Reason | None:
    spec = specs[edge[1]]
    try:
        check_wires(spec, [wire] if rival is None else [rival, wire])
        check_models(spec, [wire] if spec.in_model is None else [*wires, wire], specs.__getitem__)
    except UnboundParameter as error:
        return _Reason("taken", () if rival is None else (edge_key(rival.up, edge[1]),), str(error))
    except TypeMismatch as error:
        return _Reason("type", edge, str(error))
    return None


def _core(edges: list[Edge]) -> set[str]:
    """The nodes that lie on cycles, or between two: what is left when sources and then sinks are taken away."""
    for near, far in ((0, 1), (1, 0)):
        following: dict[str, list[str]] = {}
        missing: dict[str, int] = {}
        for edge in edges:
            following.setdefault(edge[near], []).append(edge[far])
            missing[edge[far]] = missing.get(edge[far], 0) + 1
        free = [name for name in following if name not in missing]
        gone = set(free)
        while free:
            for name in following.get(free.pop(), ()):
                missing[name] -= 1
                if not missing[name]:
                    gone.add(name)
                    free.append(name)
        edges = [edge for edge in edges if edge[near] not in gone]
    return {name for edge in edges for name in edge}


# -- what is said of it

_RIVALS = ("both-changed", "remove-vs-change")


def _rivals(slot: Slot) -> Held | None:
    others = slot.rivals
    if not others:
        return None
    kind = "remove-vs-change" if any(w.value is None for w in others) else "both-changed"
    shown = slot.shown
    wishes = " and ".join(f"{w.by or w.dot.replica} {'removes' if w.value is None else 'changes'} it" for w in others)
    text = f"{named(shown.key)}: {shown.by or shown.dot.replica}'s is shown, while at the same time {wishes}"
    return Held(kind, shown.key, tuple(w.dot for w in others), text)


def _held_edge(slot: Slot, reason: _Reason) -> Held:
    shown = slot.shown
    text = f"{shown.by or shown.dot.replica} wants {named(shown.key)}, but {reason.why}"
    return Held(reason.kind, shown.key, slot.dots, text, reason.rivals)


def named(key: str) -> str:
    """A node, or an edge, as people read it."""
    return key.replace(" ", " -> ")
