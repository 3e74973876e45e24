"""`Changeset`: a change to a graph as its net effect, and what becomes of it when the graph has moved on.

Per key (a node, an edge) a changeset holds the old and the new value, so it can be applied, inverted, composed and
compared without the graph it was made on. `rebase` is compare-and-set per key, then the composed result is validated:
two changes that are innocent alone can close a cycle together. A conflict is a value that carries both intents.
The commutation of all pairs of edits, which this follows, is a table in docs/explanation.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from ..base.canon import digest, hash_of
from ..base.codec import decode, encode, record, register
from ..base.errors import CycleError, DagError, SchemaError, TypeMismatch, UnboundParameter
from ..base.frozen import FrozenDict
from .conflict import Conflict
from .dag import Dag
from .entry import Edge, Entry
from .node import NodeSpec, name_of
from .spec_data import spec_from_data, spec_to_data
from .wiring import Wire

Running = Literal["refuse", "finish_old", "restart"]
Finished = Literal["refuse", "keep", "rerun"]


@record
class Handling:
    """What a change does to a node that runs, or has finished: the default refuses."""

    running: str = "refuse"
    finished: str = "refuse"


@dataclass(frozen=True, slots=True)
class NodeChange:
    """A node's content hash before (None: absent) and its spec after (None: removed)."""

    old: bytes | None
    new: NodeSpec | None

    @property
    def after(self) -> bytes | None:
        """The node's content hash after the change."""
        return None if self.new is None else self.new.digest


@record
class EdgeChange:
    """An edge's wire before and after; None where the edge is absent."""

    old: Wire | None
    new: Wire | None


register(
    NodeChange,
    "NodeChange",
    lambda c: {"old": encode(c.old), "new": None if c.new is None else spec_to_data(c.new)},
    lambda d: NodeChange(decode(d["old"]), None if d["new"] is None else spec_from_data(d["new"])),
)


@dataclass(frozen=True, slots=True, eq=False)
class Changeset:
    """An atomic change to a graph: `Changeset.on(dag).add_node(spec).add_edge("a", "b")`.

    base      digest of the graph it was made on
    nodes     name -> NodeChange;  edges  (up, down) -> EdgeChange: the net effect
    handling  name -> Handling, where a replaced or removed node may be running or finished
    """

    base: bytes
    nodes: Mapping[str, NodeChange] = field(default_factory=FrozenDict)
    edges: Mapping[Edge, EdgeChange] = field(default_factory=dict)
    handling: Mapping[str, Handling] = field(default_factory=FrozenDict)
    reason: str = field(default="", compare=False)  # why, for a proposal made of it
    in_reply_to: str = field(default="", compare=False)  # the proposal that such a one takes the place of
    target: Dag | None = field(default=None, repr=False)  # the graph after it, while it is being made

    @classmethod
    def on(cls, dag: Dag) -> Changeset:
        """An empty changeset on a graph, to be filled edit by edit; each edit is checked where it is made."""
        return cls(dag.digest, target=dag)

    @classmethod
    def between(cls, old: Dag, new: Dag) -> Changeset:
        """The change that makes `new` of `old`."""
        nodes: dict[str, NodeChange] = {}
        edges: dict[Edge, EdgeChange] = {}
        for name, before, after in old.entries.diff(new.entries):
            if before is None or after is None or before.spec.digest != after.spec.digest:
                nodes[name] = NodeChange(before.spec.digest if before else None, after.spec if after else None)
            was = {w.up: w for w in before.wires} if before else {}
            now = {w.up: w for w in after.wires} if after else {}
            for up in was.keys() | now.keys():
                if was.get(up) != now.get(up):
                    edges[up, name] = EdgeChange(was.get(up), now.get(up))
        return cls(old.digest, FrozenDict(nodes), dict(sorted(edges.items())), target=new)

    # -- edits, each a new changeset

    def add_node(self, node: Any) -> Changeset:
        """With one more node: what `Dag.add_node` takes, and raises."""
        return self._then(self._target.add_node(node))

    def add_subgraph(self, parent: Any, sub: Dag) -> Changeset:
        """With all nodes of another graph, its roots downstream of `parent`: `Dag.merge_subgraph`."""
        return self._then(self._target.merge_subgraph(parent, sub))

    def replace_node(
        self, name: Any, node: Any, *, running: Running = "refuse", finished: Finished = "refuse"
    ) -> Changeset:
        """With other code or another spec under a name, as `Dag.replace_node`.

        running   where the node is at work: "refuse"; "finish_old" lets it finish with the old code; "restart"
        finished  where it has a result: "refuse"; "keep" the result; "rerun", and all that depends on it

        Raises `UnknownNode`, and `DagError` for other words.
        """
        return self._then(self._target.replace_node(name, node), name_of(name), running, finished)

    def remove_node(self, name: Any, *, running: Running = "refuse", finished: Finished = "refuse") -> Changeset:
        """Without a node and its edges; `running` and `finished` as for `replace_node`. Raises `UnknownNode`."""
        return self._then(self._target.remove_node(name), name_of(name), running, finished)

    def add_edge(self, up: Any, down: Any) -> Changeset:
        """With one more edge, as `Dag.add_edge`. Raises `CycleError` and what that does."""
        return self._then(self._target.add_edge(up, down))

    def remove_edge(self, up: Any, down: Any) -> Changeset:
        """Without an edge, as `Dag.remove_edge`. Raises `DagError` if there is none."""
        return self._then(self._target.remove_edge(up, down))

    @property
    def _target(self) -> Dag:
        if self.target is None:
            raise DagError("this changeset was read from a message; make it anew on a graph: Changeset.on(dag)")
        return self.target

    def _then(self, target: Dag, name: str = "", running: str = "refuse", finished: str = "refuse") -> Changeset:
        if (running, finished) not in _HANDLINGS:
            raise DagError(
                f"running= is one of {_RUNNING}, finished= one of {_FINISHED}; not {running!r}, {finished!r}"
            )
        nodes, edges = self._joined(Changeset.between(self._target, target))
        handling = {} if (running, finished) == ("refuse", "refuse") else {name: Handling(running, finished)}
        handling = {**self.handling, **handling}
        return replace(self, nodes=nodes, edges=edges, handling=FrozenDict(handling), target=target)

    def _joined(self, then: Changeset) -> tuple[FrozenDict[NodeChange], dict[Edge, EdgeChange]]:
        """The net effect of this change and, right after it, another one."""
        nodes, edges = dict(self.nodes), dict(self.edges)
        for name, node in then.nodes.items():
            made = NodeChange(nodes.pop(name, node).old, node.new)
            if made.old != made.after:
                nodes[name] = made
        for key, edge in then.edges.items():
            joined = EdgeChange(edges.pop(key, edge).old, edge.new)
            if joined.old != joined.new:
                edges[key] = joined
        return FrozenDict(nodes), dict(sorted(edges.items()))

    def because(self, reason: str, in_reply_to: str = "") -> Changeset:
        """The same change with a reason: what an agent's `on_event` returns becomes a proposal with it.

        `in_reply_to`: the id of a proposal of the same agent that it takes the place of."""
        return replace(self, reason=reason, in_reply_to=in_reply_to)

    # -- what it is

    @property
    def empty(self) -> bool:
        """Whether it changes nothing."""
        return not self.nodes and not self.edges

    @property
    def added(self) -> tuple[str, ...]:
        """The nodes that it adds, sorted."""
        return tuple(sorted(n for n, c in self.nodes.items() if c.old is None))

    @property
    def removed(self) -> tuple[str, ...]:
        """The nodes that it removes, sorted."""
        return tuple(sorted(n for n, c in self.nodes.items() if c.new is None))

    @property
    def changed(self) -> tuple[str, ...]:
        """The nodes that it gives another spec, sorted."""
        return tuple(sorted(n for n, c in self.nodes.items() if c.old is not None and c.new is not None))

    @property
    def touches(self) -> tuple[str, ...]:
        """The nodes that it adds, removes, changes or wires otherwise, sorted."""
        return tuple(sorted({*self.nodes, *(down for _, down in self.edges)}))

    @property
    def edges_added(self) -> tuple[Edge, ...]:
        """The edges that it adds as (upstream, downstream), sorted."""
        return tuple(sorted(e for e, c in self.edges.items() if c.old is None))

    @property
    def edges_removed(self) -> tuple[Edge, ...]:
        """The edges that it removes as (upstream, downstream), sorted."""
        return tuple(sorted(e for e, c in self.edges.items() if c.new is None))

    @property
    def digest(self) -> bytes:
        """Hash of the net effect, whatever graph it was made on: 32 bytes."""
        nodes = [(n, c.old, c.new and digest(c.new.digest, (c.new.blob or "").encode())) for n, c in self.nodes.items()]
        edges = [(e, c.old, c.new) for e, c in self.edges.items()]
        handling = [(n, h.running, h.finished) for n, h in self.handling.items()]
        return hash_of((sorted(nodes), sorted(edges), sorted(handling)))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Changeset):
            return NotImplemented
        return (self.base, self.digest) == (other.base, other.digest)

    def __hash__(self) -> int:
        return hash(self.digest)

    def __reduce__(self) -> tuple[Any, ...]:
        return Changeset, (
            self.base,
            self.nodes,
            self.edges,
            self.handling,
            self.reason,
            self.in_reply_to,
        )  # the graphs stay here

    def __repr__(self) -> str:
        return f"<Changeset on {self.base.hex()[:8]}: {self.summary}>"

    def __str__(self) -> str:
        lines = [f"+ {n}" for n in self.added] + [f"- {n}" for n in self.removed] + [f"~ {n}" for n in self.changed]
        lines += [f"+ {u} -> {d}" for u, d in self.edges_added] + [f"- {u} -> {d}" for u, d in self.edges_removed]
        return "\n".join(lines) or "(no change)"

    @property
    def summary(self) -> str:
        """One line: "+3 nodes, -1 node, ~2 nodes, +1 edge"."""
        inner = {*self.added, *self.removed}
        edges_added = [e for e in self.edges_added if not inner & set(e)]
        edges_removed = [e for e in self.edges_removed if not inner & set(e)]
        counts = (
            ("+", "node", self.added), ("-", "node", self.removed), ("~", "node", self.changed),
            ("+", "edge", edges_added), ("-", "edge", edges_removed),
        )  # fmt: skip
        parts = [f"{sign}{len(found)} {noun}{'s' * (len(found) != 1)}" for sign, noun, found in counts if found]
        return ", ".join(parts) or "no change"

    # -- algebra

    def rebase(self, onto: Dag) -> Changeset | Conflict:
        """The same intent on another graph, or why that cannot be.

        What is already so is dropped from it; what somebody else changed meanwhile is a `Conflict`.
        """
        nodes: dict[str, NodeChange] = {}
        edges: dict[Edge, EdgeChange] = {}
        for name, node in self.nodes.items():
            entry = onto.entries.get(name)
            now = None if entry is None else entry.spec.digest
            if now == node.after:
                continue
            if now != node.old:
                return _node_conflict(name, node, entry)
            nodes[name] = node
        for edge, change in self.edges.items():
            wire = _wire_at(onto, edge)
            if wire == change.new:
                continue
            if wire != change.old:
                return _edge_conflict(edge, change, wire)
            edges[edge] = change
        made = replace(self, base=onto.digest, nodes=FrozenDict(nodes), edges=edges, target=None)
        try:
            target = onto.apply(made)
        except CycleError as error:
            return Conflict("cycle", error.path, f"adds {_ends(self)}", "other edges close a cycle with it")
        except DagError as error:
            kind = _KINDS.get(type(error), "dangling")
            return Conflict(kind, tuple(self.nodes) or _names(self), f"wants {self.summary}", str(error))
        return replace(made, target=target)

    def invert(self, base: Dag) -> Changeset:
        """The change that undoes this one; `base` is the graph that it was made on."""
        return Changeset.between(base.apply(self), base)

    def compose(self, then: Changeset, base: Dag) -> Changeset:
        """This change and another one after it, as one; `base` is the graph that this one was made on."""
        made = Changeset.between(base, base.apply(self).apply(then))
        return replace(made, handling=FrozenDict({**self.handling, **then.handling}))


_KINDS: Mapping[type[DagError], str] = {UnboundParameter: "unbound", TypeMismatch: "type"}
_RUNNING, _FINISHED = ("refuse", "finish_old", "restart"), ("refuse", "keep", "rerun")
_HANDLINGS = {(r, f) for r in _RUNNING for f in _FINISHED}


def _wire_at(dag: Dag, edge: Edge) -> Wire | None:
    entry = dag.entries.get(edge[1])
    return next((w for w in entry.wires if w.up == edge[0]), None) if entry else None


def _node_conflict(name: str, change: NodeChange, entry: Entry | None) -> Conflict:
    ours = "removes it" if change.new is None else "adds it" if change.old is None else "changes it"
    theirs = "it was removed" if entry is None else "it was added" if change.old is None else "it was changed"
    if change.old is None:
        kind = "both-added"
    elif change.new is None or entry is None:
        kind = "remove-vs-change"
    else:
        kind = "both-changed"
    return Conflict(kind, (name,), ours, theirs)


def _edge_conflict(edge: Edge, change: EdgeChange, wire: Wire | None) -> Conflict:
    ours = "removes the edge" if change.new is None else "adds the edge" if change.old is None else "rewires the edge"
    theirs = "the edge was removed" if wire is None else f"the edge fills {wire.param or 'nothing (order only)'}"
    kind = "both-added" if change.old is None else "both-changed"
    return Conflict(kind, (f"{edge[0]} -> {edge[1]}",), ours, theirs)


def _ends(changeset: Changeset) -> str:
    return ", ".join(f"{up} -> {down}" for up, down in changeset.edges_added)


def _names(changeset: Changeset) -> tuple[str, ...]:
    return tuple(sorted({name for edge in changeset.edges for name in edge}))


def _to_data(changeset: Changeset) -> dict[str, Any]:
    return {
        "base": changeset.base.hex(),
        "nodes": {name: encode(change) for name, change in changeset.nodes.items()},
        "edges": [[*edge, encode(change.old), encode(change.new)] for edge, change in changeset.edges.items()],
        "handling": encode(FrozenDict(changeset.handling)),
    }


def _from_data(data: Mapping[str, Any]) -> Changeset:
    edges = {(str(up), str(down)): EdgeChange(decode(old), decode(new)) for up, down, old, new in data["edges"]}
    nodes = FrozenDict({name: decode(change) for name, change in data["nodes"].items()})
    handling = decode(data["handling"])
    _check_read(nodes, edges, handling)
    return Changeset(bytes.fromhex(data["base"]), nodes, edges, handling)


def _check_read(nodes: Mapping[str, Any], edges: Mapping[Edge, EdgeChange], handling: Mapping[str, Any]) -> None:
    """A changeset may come from an agent: each part must be about the node or edge it stands for."""
    for name, node in nodes.items():
        if type(node) is not NodeChange or (node.new is not None and node.new.name != name):
            raise SchemaError(f"the change of node {name!r} is about something else")
        if node.new is not None and node.new.deps:
            raise SchemaError(f"the change of node {name!r} says 'after', but its edges stand among the edges")
    for (up, down), edge in edges.items():
        for wire in (edge.old, edge.new):
            if wire is not None and (type(wire) is not Wire or wire.up != up):
                raise SchemaError(f"the change of edge {up} -> {down} is about something else")
    if not all(
        isinstance(item, Handling) and (item.running, item.finished) in _HANDLINGS for item in handling.values()
    ):
        raise SchemaError(f"handling is one of {_RUNNING} and one of {_FINISHED}")


register(Changeset, "Changeset", _to_data, _from_data)
