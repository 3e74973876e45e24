"""`Dag`: an immutable, acyclic graph of nodes, as a value.

A `Dag` is valid or it does not exist: names are unique, edges lead to nodes, and there is no cycle. Each edit gives a
new one, with version + 1, and shares nearly all of its structure with the old one. Two maps hold it: `entries` (name
-> spec and wires) is content and is what the digest covers; places (level and downstreams) are derived from it.
It knows nothing of runs, votes or results.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Protocol

from ..base.bulk import in_bulk
from ..base.codec import register
from ..base.errors import DuplicateNode
from ..base.merkle import MerkleMap
from ..base.overlay import Overlay
from ..base.pictures import bundle
from . import text
from .conflict import Conflict
from .edit import Edit
from .entry import Edge, Entry, Place, downs_of, unbound_params, unknown_node
from .levels import levels_and_downs
from .node import Node, NodeSpec, name_of, spec_of
from .waves import Moved, Waves, moved, waves_of
from .wiring import Wire, check_models, check_wires, rewire, shared, wire

__all__ = ["Change", "Dag", "Edge", "Entry", "unbound_params"]

Ancestry = tuple[bytes, Any]
"""The digest of the graph that an edit was made on, and that graph's own ancestry."""
Maps = tuple[MerkleMap[Entry], Overlay[Place]]
"""Entries and places of a graph."""


class Change(Protocol):
    """What `Dag.apply` takes: a net effect per node and edge, which knows how to move to another graph."""

    @property
    def base(self) -> bytes: ...
    @property
    def nodes(self) -> Mapping[str, Any]: ...
    @property
    def edges(self) -> Mapping[Edge, Any]: ...
    def rebase(self, onto: Dag, /) -> Any: ...


class Dag:
    """An immutable DAG. Make one with `Dag.of(...)`; every edit returns a new one.

    version   1 for a new graph, one more with each edit; not part of the identity
    digest    content hash: 32 bytes
    """

    __slots__ = ("_ancestry", "_edges", "_places", "_waves", "entries", "version")

    entries: MerkleMap[Entry]
    version: int
    _places: Overlay[Place]
    _ancestry: Ancestry | None
    _waves: Waves | Moved | None  # known; known of an older version; not known
    _edges: frozenset[Edge] | None

    @classmethod
    @in_bulk
    def of(cls, *nodes: Any) -> Dag:
        """The graph of some nodes (`@node`s, specs or functions), wired together; version 1.

        Raises `CycleError`, `UnknownNode`, `DuplicateNode`, `InvalidName`, `UnboundParameter`.
        """
        specs = [spec_of(node) for node in nodes]
        names = {spec.name for spec in specs}
        if len(names) < len(specs):
            found = [spec.name for spec in specs]
            twice = next(name for name in found if found.count(name) > 1)
            raise DuplicateNode(f"two nodes are named {twice!r}; rename one: node.as_node('other_name')")
        for spec in specs:
            for dep in spec.deps:
                if dep not in names:
                    raise unknown_node(dep, names, f"{spec.name} is to run after it")
        known = names.__contains__
        wired = ((spec, wire(spec, spec.deps, known, new=shared)) for spec in specs)
        return cls._built({spec.name: Entry(spec.placed(), wires) for spec, wires in wired}, 1)

    @classmethod
    @in_bulk
    def from_entries(cls, pairs: Iterable[tuple[NodeSpec, tuple[Wire, ...]]], version: int = 1) -> Dag:
        """The graph of specs that are wired already: O(n + edges)."""
        entries = {spec.name: Entry(spec.placed(), wires) for spec, wires in pairs}
        for entry in entries.values():
            check_wires(*entry)
        return cls._built(entries, version)

    @classmethod
    def _built(cls, entries: dict[str, Entry], version: int) -> Dag:
        """The graph of entries whose wires fit their specs."""
        levels, below = levels_and_downs((name, [w[0] for w in entry.wires]) for name, entry in entries.items())
        for up, names in below.items():
            if up not in entries:
                raise unknown_node(up, entries, f"{names[0]} is to run after it")
        for entry in entries.values():
            check_models(*entry, lambda up: entries[up].spec)
        places = {name: (level, downs_of(below.get(name, ()))) for name, level in levels.items()}
        return cls._make((MerkleMap(entries), Overlay(places)), version, None, None)

    @classmethod
    def _make(cls, maps: Maps, version: int, ancestry: Ancestry | None, waves: Waves | Moved | None) -> Dag:
        new, put = cls.__new__(cls), object.__setattr__
        put(new, "entries", maps[0])
        put(new, "_places", maps[1])
        put(new, "version", version)
        put(new, "_ancestry", ancestry)
        put(new, "_waves", waves)
        put(new, "_edges", None)  # when they are asked for
        return new

    @property
    def _maps(self) -> Maps:
        return self.entries, self._places

    def __setattr__(self, name: str, value: Any) -> None:
        raise AttributeError(f"a Dag cannot be changed ({name}); each edit gives a new one")

    def numbered(self, version: int) -> Dag:
        """The same graph under another version number."""
        return self._make(self._maps, version, self._ancestry, self._waves)

    # -- what is in it

    @property
    def digest(self) -> bytes:
        """The hash of its content, 32 bytes: code, parameters and wires; no version, cost or layout."""
        return self.entries.digest

    @property
    def nodes(self) -> Mapping[str, NodeSpec]:
        """Name -> spec, a read-only view."""
        return _Specs(self.entries)

    @property
    def edges(self) -> frozenset[Edge]:
        """All edges as (upstream, downstream)."""
        if self._edges is None:
            found = frozenset((w.up, name) for name, entry in self.entries.items() for w in entry.wires)
            object.__setattr__(self, "_edges", found)
            return found
        return self._edges

    def dependencies(self, node: Any) -> frozenset[str]:
        """The direct upstreams of a node. Raises `UnknownNode`."""
        return frozenset(w.up for w in self.wires(node))

    def dependents(self, node: Any) -> frozenset[str]:
        """The direct downstreams of a node. Raises `UnknownNode`."""
        name = name_of(node)
        place = self._places.get(name)
        if place is None:
            raise unknown_node(name, self.entries)
        return frozenset(place[1])

    def wires(self, node: Any) -> tuple[Wire, ...]:
        """How the upstreams of a node fill its parameters, sorted by upstream."""
        name = name_of(node)
        entry = self.entries.get(name)
        if entry is None:
            raise unknown_node(name, self.entries)
        return entry.wires

    def level(self, node: str) -> int:
        """The length of the longest path that leads to a node: its wave, counted from 0."""
        return self._places[node][0]

    def below(self, *nodes: str) -> frozenset[str]:
        """Everything downstream of some nodes, however far; without the nodes themselves."""
        found: set[str] = set()
        stack = list(nodes)
        while stack:
            for down in self.dependents(stack.pop()):
                if down not in found:
                    found.add(down)
                    stack.append(down)
        return frozenset(found)

    @property
    def waves(self) -> Waves:
        """The nodes by level, each wave sorted: topological generations."""
        found = self._waves
        if found is None:
            found = waves_of((name, place[0]) for name, place in self._places.items())
        elif isinstance(found, Moved):
            found = found.waves()
        else:
            return found
        object.__setattr__(self, "_waves", found)
        return found

    def waves_after(self, finished: Iterable[Any]) -> Waves:
        """The waves of what is left when some nodes have finished."""
        done = {name_of(node) for node in finished}
        for name in done:
            self.wires(name)
        left = ((name, entry) for name, entry in self.entries.items() if name not in done)
        levels, _ = levels_and_downs((name, [w.up for w in entry.wires if w.up not in done]) for name, entry in left)
        return waves_of(levels.items())

    def unbound(self) -> tuple[Edge, ...]:
        """The required parameters that no upstream and no value fills, as sorted (node, parameter)."""
        found = []
        for name, entry in self.entries.items():
            found += [(name, param) for param in unbound_params(entry)]
        return tuple(sorted(found))

    @property
    def inputs(self) -> tuple[str, ...]:
        """The names of the graph's inputs: required parameters to be given when a run starts, sorted."""
        return tuple(sorted({param for _, param in self.unbound()}))

    # -- edits

    def add_node(self, node: Any) -> Dag:
        """With one more node, wired to what is there.

        Raises `DuplicateNode`, `InvalidName`, `UnknownNode`, `UnboundParameter`, `TypeMismatch`.
        """
        spec, edit = spec_of(node), self._edit()
        edit.add(spec, wire(spec, spec.deps, edit.has))
        return self._edited(edit)

    def replace_node(self, name: Any, node: Any) -> Dag:
        """With other code or another spec under a name; its upstreams stay, wired to what the new code takes.

        A function keeps the node's options and parameter values, a `@node` brings its own options. An edge whose
        parameter is gone is order only. Raises `UnknownNode`, `TypeMismatch`.
        """
        old, edit = self.nodes[name], self._edit()
        if isinstance(node, NodeSpec):
            spec = node.but(name=old.name)
        elif isinstance(node, Node):
            spec = node.as_node(old.name, **{**old.params, **node.spec.params})
        else:
            spec = old.but(fn=node)
        edit.respec(spec, rewire(spec, self.wires(old.name), edit.has))
        return self._edited(edit)

    def remove_node(self, name: Any) -> Dag:
        """Without a node and its edges. A required parameter that it filled becomes an input of the graph.

        Raises `UnknownNode`.
        """
        gone, edit = name_of(name), self._edit()
        edit.unlink_all([(gone, down) for down in self.dependents(gone)])
        edit.unlink_all([(up, gone) for up in self.dependencies(gone)])
        edit.drop(gone)
        return self._edited(edit)

    def add_edge(self, up: Any, down: Any) -> Dag:
        """With one more edge; it fills a parameter by the rules of wiring, or is order only.

        Raises `CycleError`, `UnknownNode`, `TypeMismatch`, and `DagError` where the edge is there already.
        """
        edit = self._edit()
        edit.connect_all([(name_of(up), name_of(down))])
        return self._edited(edit)

    def remove_edge(self, up: Any, down: Any) -> Dag:
        """Without an edge; a required parameter that it filled becomes an input. Raises `DagError` if there is none."""
        edit = self._edit()
        edit.unlink(name_of(up), name_of(down))
        return self._edited(edit)

    def merge_subgraph(self, parent: Any, sub: Dag) -> Dag:
        """With all nodes of another graph, its roots downstream of `parent`. Raises `DuplicateNode`, `UnknownNode`."""
        self.wires(parent)
        edit = self._edit()
        for wave in sub.waves:
            for name in wave:
                entry = sub.entries[name]
                edit.add(entry.spec, entry.wires)
        edit.connect_all([(name_of(parent), root) for wave in sub.waves[:1] for root in wave])
        return self._edited(edit)

    def apply(self, change: Change) -> Dag:
        """With a changeset; it is rebased if it was made on another graph. Raises a `DagError` on a conflict."""
        if change.base != self.digest:
            rebased = change.rebase(self)
            if isinstance(rebased, Conflict):
                raise rebased.error()
            change = rebased
        # Old edges first, new edges last: then no step in between stands in the way of another.
        edit = self._edit()
        edit.unlink_all([edge for edge, wires in change.edges.items() if wires.old is not None])
        for name, node in change.nodes.items():
            if node.new is None:
                edit.drop(name)
            elif node.old is None:
                edit.add(node.new, ())
            else:
                edit.respec(node.new)
        edit.link_all([(down, wires.new) for (_, down), wires in change.edges.items() if wires.new is not None])
        return self._edited(edit)

    def _edit(self) -> Edit:
        return Edit(*self._maps)

    def _edited(self, edit: Edit) -> Dag:
        edit.check()
        waves = moved(self._waves, edit.moves(), len(self) // 8 + 8)
        ancestry = (self.digest, self._ancestry)
        return self._make(edit.maps(), self.version + 1, ancestry, waves)

    # -- forms

    def descends_from(self, ancestor: bytes) -> bool:
        """Whether this graph was made by edits of the graph with that digest."""
        if self.digest == ancestor:
            return True
        return ancestor in self._ancestors()

    def _ancestors(self) -> Iterator[bytes]:
        step = self._ancestry
        while step is not None:
            yield step[0]
            step = step[1]

    @in_bulk
    def to_json(self) -> str:
        """The graph as readable JSON, with a schema version."""
        return text.to_json(self)

    @classmethod
    @in_bulk
    def from_json(cls, source: str | bytes, catalog: Mapping[str, Any] | None = None) -> Dag:
        """The graph of a JSON text; `catalog` gives the functions by name. Raises `SchemaError`."""
        return cls.from_entries(*text.from_json(source, catalog))

    def to_yaml(self) -> str:
        """The graph as YAML, for people who keep graphs in git."""
        return text.to_yaml(self)

    @classmethod
    @in_bulk
    def from_yaml(cls, source: str | bytes, catalog: Mapping[str, Any] | None = None) -> Dag:
        """The graph of a YAML text; `catalog` gives the functions by name. Raises `SchemaError`."""
        return cls.from_entries(*text.from_yaml(source, catalog))

    def to_dot(self) -> str:
        """The graph in Graphviz' DOT language."""
        return text.to_dot(self)

    def __contains__(self, name: object) -> bool:
        return name in self.entries

    def __len__(self) -> int:
        return len(self.entries)

    def __iter__(self) -> Iterator[str]:
        return iter(sorted(self.entries))

    def __eq__(self, other: object) -> bool:
        return self.digest == other.digest if isinstance(other, Dag) else NotImplemented

    def __hash__(self) -> int:
        return hash(self.digest)

    def __reduce__(self) -> tuple[Any, ...]:
        pairs = [(entry.spec, entry.wires) for entry in self.entries.values()]
        return _rebuild, (pairs, self.version, list(self._ancestors()))

    def __repr__(self) -> str:
        return f"<Dag v{self.version} {self.digest.hex()[:8]}: {self._size()}>"

    def _repr_mimebundle_(self, **_: Any) -> dict[str, str]:
        return bundle(self, str(self))

    def __str__(self) -> str:
        """The nodes in the order of their waves, each with its upstreams."""
        names = [name for wave in self.waves for name in wave]
        lines = [f"{name} <- {', '.join(w.up for w in self.wires(name))}".removesuffix(" <- ") for name in names[:40]]
        more = [f"... and {len(names) - 40} more"] if len(names) > 40 else []
        return "\n  ".join([f"Dag v{self.version} {self.digest.hex()[:8]}: {self._size()}", *lines, *more])

    def _size(self) -> str:
        counts = ((len(self), "node"), (len(self.waves), "wave"))
        return " in ".join(f"{count} {noun}{'s' * (count != 1)}" for count, noun in counts)


def _rebuild(pairs: list[tuple[NodeSpec, tuple[Wire, ...]]], version: int, ancestors: list[bytes]) -> Dag:
    dag = Dag.from_entries(pairs, version)
    ancestry: Ancestry | None = None
    for ancestor in reversed(ancestors):
        ancestry = (ancestor, ancestry)
    return Dag._make(dag._maps, version, ancestry, None)


class _Specs(Mapping[str, NodeSpec]):
    """Read-only view of a graph's specs by name."""

    def __init__(self, entries: MerkleMap[Entry]) -> None:
        self._entries = entries

    def __getitem__(self, name: str) -> NodeSpec:
        entry = self._entries.get(name_of(name))
        if entry is None:
            raise unknown_node(name_of(name), self._entries)
        return entry.spec

    def get(self, name: str, default: Any = None) -> Any:
        entry = self._entries.get(name)
        return default if entry is None else entry.spec

    def __contains__(self, name: object) -> bool:
        return name in self._entries

    def __iter__(self) -> Iterator[str]:
        return iter(sorted(self._entries))

    def __len__(self) -> int:
        return len(self._entries)


register(Dag, "Dag", text.dag_to_data, lambda data: Dag.from_entries(*text.dag_from_data(data)))
