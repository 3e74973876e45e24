"""`Dag`: an immutable, acyclic graph of nodes, as a value.

A `Dag` is valid or it does not exist: names are unique, edges lead to nodes, and there is no cycle. Each edit gives a
new one, with version + 1, and shares nearly all of its structure with the old one. Two maps hold it: `entries` (name ->
spec and wires) is content and is what the digest covers; `links` (name -> level and downstreams) is derived from it.
It knows nothing of runs, votes or results.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple, Protocol

from ..base.canon import digest, hash_of
from ..base.codec import register
from ..base.errors import CycleError, DagError, DuplicateNode, UnknownNode
from ..base.merkle import MerkleMap
from . import text
from .conflict import Conflict
from .levels import all_levels, lower_levels, raise_levels
from .node import NodeSpec, name_of, spec_of
from .wiring import MANY, Wire, check_wires, rewire, wire

Edge = tuple[str, str]


class Change(Protocol):
    """What `Dag.apply` takes: a net effect per node and edge, which knows how to move to another graph."""

    @property
    def base(self) -> bytes: ...
    @property
    def nodes(self) -> Mapping[str, Any]: ...
    @property
    def edges(self) -> Mapping[Edge, Any]: ...
    def rebase(self, onto: Dag, /) -> Any: ...


@dataclass(frozen=True, slots=True)
class Entry:
    """A node as it stands in a graph: its spec and its wires, sorted by upstream."""

    spec: NodeSpec
    wires: tuple[Wire, ...] = ()
    _digest: bytes | None = field(default=None, compare=False, repr=False)

    @property
    def digest(self) -> bytes:
        if self._digest is None:
            object.__setattr__(self, "_digest", digest(self.spec.digest, hash_of(self.wires)))
        assert self._digest is not None
        return self._digest


class Link(NamedTuple):
    """What is derived for a node: its longest-path level, and the nodes that depend on it."""

    level: int
    downs: frozenset[str]


class Dag:
    """An immutable DAG. Make one with `Dag.of(...)`; every edit returns a new one.

    version   1 for a new graph, one more with each edit; not part of the identity
    digest    content hash: 32 bytes
    """

    __slots__ = ("_ancestry", "_links", "_waves", "entries", "version")

    entries: MerkleMap[Entry]
    version: int

    @classmethod
    def of(cls, *nodes: Any) -> Dag:
        """The graph of some nodes (`@node`s, specs or functions), wired together; version 1.

        Raises `CycleError`, `UnknownNode`, `DuplicateNode`, `InvalidName`, `UnboundParameter`.
        """
        specs = [spec_of(node) for node in nodes]
        names = Counter(spec.name for spec in specs)
        for name, count in names.items():
            if count > 1:
                raise DuplicateNode(f"two nodes are named {name!r}; rename one: node.as_node('other_name')")
        for spec in specs:
            for dep in spec.deps:
                if dep not in names:
                    raise _unknown(dep, names, f"{spec.name} is to run after it")
        return cls.from_entries((spec, wire(spec, spec.deps, names.__contains__)) for spec in specs)

    @classmethod
    def from_entries(cls, pairs: Iterable[tuple[NodeSpec, tuple[Wire, ...]]], version: int = 1) -> Dag:
        """The graph of specs that are wired already: O(n + edges)."""
        entries = {spec.name: Entry(_placed(spec), wires) for spec, wires in pairs}
        ups = {name: [w.up for w in entry.wires] for name, entry in entries.items()}
        for name, entry in entries.items():
            check_wires(entry.spec, entry.wires)
            for up in ups[name]:
                if up not in entries:
                    raise _unknown(up, entries, f"{name} is to run after it")
        levels = all_levels(ups)
        if isinstance(levels, tuple):
            raise CycleError(levels)
        downs: dict[str, set[str]] = {name: set() for name in entries}
        for name, above in ups.items():
            for up in above:
                downs[up].add(name)
        links = MerkleMap({name: Link(levels[name], frozenset(downs[name])) for name in entries})
        return cls._make(MerkleMap(entries), links, version, None)

    @classmethod
    def _make(
        cls, entries: MerkleMap[Entry], links: MerkleMap[Link], version: int, ancestry: tuple[bytes, Any] | None
    ) -> Dag:
        new = cls.__new__(cls)
        new.entries, new._links, new.version, new._ancestry = entries, links, version, ancestry
        new._waves = None
        return new

    def numbered(self, version: int) -> Dag:
        """The same graph under another version number."""
        return self._make(self.entries, self._links, version, self._ancestry)

    # -- what is in it

    @property
    def digest(self) -> bytes:
        return self.entries.digest

    @property
    def nodes(self) -> Mapping[str, NodeSpec]:
        """Name -> spec, a read-only view."""
        return _Specs(self.entries)

    @property
    def edges(self) -> frozenset[Edge]:
        """All edges as (upstream, downstream)."""
        return frozenset((w.up, name) for name, entry in self.entries.items() for w in entry.wires)

    def dependencies(self, node: Any) -> frozenset[str]:
        """The direct upstreams of a node."""
        return frozenset(w.up for w in self.wires(node))

    def dependents(self, node: Any) -> frozenset[str]:
        """The direct downstreams of a node."""
        self.wires(node)
        return self._links[name_of(node)].downs

    def wires(self, node: Any) -> tuple[Wire, ...]:
        """How the upstreams of a node fill its parameters, sorted by upstream."""
        name = name_of(node)
        entry = self.entries.get(name)
        if entry is None:
            raise _unknown(name, self.entries)
        return entry.wires

    def level(self, node: str) -> int:
        """The length of the longest path that leads to a node: its wave, counted from 0."""
        return self._links[node].level

    def below(self, *nodes: str) -> frozenset[str]:
        """Everything downstream of some nodes, however far; without the nodes themselves."""
        found: set[str] = set()
        stack = list(nodes)
        while stack:
            for down in self._links[stack.pop()].downs:
                if down not in found:
                    found.add(down)
                    stack.append(down)
        return frozenset(found)

    @property
    def waves(self) -> tuple[tuple[str, ...], ...]:
        """The nodes by level, each wave sorted: topological generations."""
        if self._waves is None:
            grouped: dict[int, list[str]] = {}
            for name, link in self._links.items():
                grouped.setdefault(link.level, []).append(name)
            self._waves = tuple(tuple(sorted(grouped[level])) for level in sorted(grouped))
        return self._waves

    def waves_after(self, finished: Iterable[str]) -> tuple[tuple[str, ...], ...]:
        """The waves of what is left when some nodes have finished."""
        done = set(finished)
        for name in done:
            self.wires(name)
        left = {
            name: [w.up for w in entry.wires if w.up not in done]
            for name, entry in self.entries.items()
            if name not in done
        }
        levels = all_levels(left)
        assert isinstance(levels, dict)
        grouped: dict[int, list[str]] = {}
        for name, level in levels.items():
            grouped.setdefault(level, []).append(name)
        return tuple(tuple(sorted(grouped[level])) for level in sorted(grouped))

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
        """With one more node, wired to what is there."""
        with _Edit(self) as edit:
            spec = spec_of(node)
            edit.add(spec, wire(spec, spec.deps, self.entries.__contains__))
        return edit.result

    def replace_node(self, name: Any, node: Any) -> Dag:
        """With other code or another spec under a name. A function keeps the node's options and parameter values."""
        old = self.nodes[name_of(name)]
        spec = node.but(name=old.name) if isinstance(node, NodeSpec) else old.but(fn=_plain_function(node))
        with _Edit(self) as edit:
            edit.respec(spec, rewire(spec, self.wires(old.name), self.entries.__contains__))
        return edit.result

    def remove_node(self, name: Any) -> Dag:
        """Without a node and its edges. A required parameter that it filled becomes an input of the graph."""
        with _Edit(self) as edit:
            for down in sorted(self.dependents(name)):
                edit.unlink(name_of(name), down)
            for up in sorted(self.dependencies(name)):
                edit.unlink(up, name_of(name))
            edit.drop(name_of(name))
        return edit.result

    def add_edge(self, up: Any, down: Any) -> Dag:
        """With one more edge; it fills a parameter by the rules of wiring, or is order only."""
        with _Edit(self) as edit:
            edit.connect(name_of(up), name_of(down))
        return edit.result

    def remove_edge(self, up: Any, down: Any) -> Dag:
        """Without an edge."""
        with _Edit(self) as edit:
            edit.unlink(name_of(up), name_of(down))
        return edit.result

    def merge_subgraph(self, parent: Any, sub: Dag) -> Dag:
        """With all nodes of another graph, its roots downstream of `parent`."""
        self.wires(parent)
        with _Edit(self) as edit:
            for wave in sub.waves:
                for name in wave:
                    entry = sub.entries[name]
                    edit.add(entry.spec, entry.wires)
            for root in sub.waves[0] if sub.waves else ():
                edit.connect(name_of(parent), root)
        return edit.result

    def apply(self, change: Change) -> Dag:
        """With a changeset; it is rebased if it was made on another graph. Raises `DagError` on a conflict."""
        if change.base != self.digest:
            rebased = change.rebase(self)
            if isinstance(rebased, Conflict):
                raise DagError(str(rebased))
            change = rebased
        # Old edges first, new edges last: then no step in between stands in the way of another.
        with self.edit() as edit:
            for (up, down), edge in change.edges.items():
                if edge.old is not None:
                    edit.unlink(up, down)
            for name, node in change.nodes.items():
                if node.new is None:
                    edit.drop(name)
                elif node.old is None:
                    edit.add(node.new, ())
                else:
                    edit.respec(node.new)
            for (_, down), edge in change.edges.items():
                if edge.new is not None:
                    edit.link(down, edge.new)
        return edit.result

    def edit(self) -> _Edit:
        """Several edits as one: `with dag.edit() as e: ...; e.result`."""
        return _Edit(self)

    # -- forms

    def descends_from(self, ancestor: bytes) -> bool:
        """Whether this graph was made by edits of the graph with that digest."""
        if self.digest == ancestor:
            return True
        step = self._ancestry
        while step is not None:
            if step[0] == ancestor:
                return True
            step = step[1]
        return False

    def to_json(self) -> str:
        """The graph as readable JSON, with a schema version."""
        return text.to_json(self)

    @classmethod
    def from_json(cls, source: str | bytes, catalog: Mapping[str, Any] | None = None) -> Dag:
        """The graph of a JSON text; `catalog` gives the functions by name. Raises `SchemaError`."""
        return cls.from_entries(*text.from_json(source, catalog))

    def to_yaml(self) -> str:
        """The graph as YAML, for people who keep graphs in git."""
        return text.to_yaml(self)

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
        ancestors = []
        step = self._ancestry
        while step is not None:
            ancestors.append(step[0])
            step = step[1]
        pairs = [(entry.spec, entry.wires) for entry in self.entries.values()]
        return _rebuild, (pairs, self.version, ancestors)

    def __repr__(self) -> str:
        return f"<Dag v{self.version} {self.digest.hex()[:8]}: {len(self)} nodes in {len(self.waves)} waves>"


def _rebuild(pairs: list[tuple[NodeSpec, tuple[Wire, ...]]], version: int, ancestors: list[bytes]) -> Dag:
    dag = Dag.from_entries(pairs, version)
    ancestry = None
    for ancestor in reversed(ancestors):
        ancestry = (ancestor, ancestry)
    return Dag._make(dag.entries, dag._links, version, ancestry)


def unbound_params(entry: Entry) -> list[str]:
    """The required parameters of a node that no wire and no value fills."""
    filled = {w.param for w in entry.wires}
    missing = [p.name for p in entry.spec.required() if p.name not in filled]
    collector = entry.spec.code.collector
    needs_many = any(p.name == collector and p.required for p in entry.spec.code.params)
    if needs_many and collector not in filled and MANY not in filled and collector not in entry.spec.params:
        missing.append(str(collector))
    return missing


class _Specs(Mapping[str, NodeSpec]):
    """Read-only view of a graph's specs by name."""

    def __init__(self, entries: MerkleMap[Entry]) -> None:
        self._entries = entries

    def __getitem__(self, name: str) -> NodeSpec:
        entry = self._entries.get(name_of(name))
        if entry is None:
            raise _unknown(name_of(name), self._entries)
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


class _Edit:
    """Edits in progress on the two maps of a graph; `result` is the new graph, one version later."""

    def __init__(self, base: Dag) -> None:
        self.base, self.entries, self.links = base, base.entries, base._links
        self.touched: set[str] = set()

    def __enter__(self) -> _Edit:
        return self

    def __exit__(self, kind: Any, error: Any, trace: Any) -> None:
        if kind is None:
            for name in self.touched:
                if entry := self.entries.get(name):
                    check_wires(entry.spec, entry.wires)

    @property
    def result(self) -> Dag:
        base = self.base
        return Dag._make(self.entries, self.links, base.version + 1, (base.digest, base._ancestry))

    def add(self, spec: NodeSpec, wires: tuple[Wire, ...]) -> None:
        if spec.name in self.entries:
            raise DuplicateNode(f"{spec.name!r} is already a node; choose another name, or replace_node() it")
        for dep in spec.deps:
            if dep not in self.entries and not any(w.up == dep for w in wires):
                raise _unknown(dep, self.entries, f"{spec.name} is to run after it")
        self._put(spec, ())
        self.links = self.links.set(spec.name, Link(0, frozenset()))
        for w in wires:
            self.link(spec.name, w)

    def drop(self, name: str) -> None:
        entry, link = self._entry(name), self.links[name]
        if entry.wires or link.downs:
            held = ", ".join(sorted({w.up for w in entry.wires} | link.downs))
            raise DagError(f"{name} still has edges to {held}; remove them first")
        self.entries = self.entries.delete(name)
        self.links = self.links.delete(name)

    def respec(self, spec: NodeSpec, wires: tuple[Wire, ...] | None = None) -> None:
        old = self._entry(spec.name)
        self._put(spec, old.wires)
        if wires is None:
            return
        after = {w.up: w for w in wires}
        for w in old.wires:
            if after.get(w.up) != w:
                self.unlink(w.up, spec.name)
        for w in wires:
            if w not in old.wires:
                self.link(spec.name, w)

    def connect(self, up: str, down: str) -> None:
        """An edge that is wired by the rules."""
        entry = self._entry(down)
        self._entry(up)
        if any(w.up == up for w in entry.wires):
            raise DagError(f"there is an edge {up} -> {down} already")
        wires = wire(entry.spec, [up], self.entries.__contains__, entry.wires, by_name=False)
        self.link(down, next(w for w in wires if w.up == up))

    def link(self, down: str, new: Wire) -> None:
        entry = self._entry(down)
        if new.up not in self.entries:
            raise _unknown(new.up, self.entries, f"{down} is to run after it")
        if any(w.up == new.up for w in entry.wires):
            raise DagError(f"there is an edge {new.up} -> {down} already")
        raised = raise_levels(new.up, down, self._level, lambda name: self.links[name].downs)
        if isinstance(raised, tuple):
            raise CycleError(raised)
        self._relevel(raised)
        self._put(entry.spec, tuple(sorted((*entry.wires, new), key=lambda w: w.up)))
        link = self.links[new.up]
        self.links = self.links.set(new.up, Link(link.level, link.downs | {down}))

    def unlink(self, up: str, down: str) -> None:
        entry = self._entry(down)
        if not any(w.up == up for w in entry.wires):
            raise DagError(f"there is no edge {up} -> {down}")
        self._put(entry.spec, tuple(w for w in entry.wires if w.up != up))
        link = self.links[up]
        self.links = self.links.set(up, Link(link.level, link.downs - {down}))
        if link.level + 1 == self._level(down):
            self._relevel(lower_levels([down], self._level, self._ups, lambda name: self.links[name].downs))

    def _put(self, spec: NodeSpec, wires: tuple[Wire, ...]) -> None:
        self.entries = self.entries.set(spec.name, Entry(_placed(spec), wires))
        self.touched.add(spec.name)

    def _entry(self, name: str) -> Entry:
        entry = self.entries.get(name)
        if entry is None:
            raise _unknown(name, self.entries)
        return entry

    def _level(self, name: str) -> int:
        return self.links[name].level

    def _ups(self, name: str) -> list[str]:
        return [w.up for w in self.entries[name].wires]

    def _relevel(self, levels: Mapping[str, int]) -> None:
        for name, level in levels.items():
            self.links = self.links.set(name, Link(level, self.links[name].downs))


register(Dag, "Dag", text.dag_to_data, lambda data: Dag.from_entries(*text.dag_from_data(data)))


def _placed(spec: NodeSpec) -> NodeSpec:
    """A spec as it stands in a graph: what `.after()` said is in the edges now."""
    return replace(spec, deps=()) if spec.deps else spec


def _plain_function(value: Any) -> Any:
    return getattr(value, "__hexdag_fn__", value)


def _unknown(name: str, names: Iterable[str], why: str = "") -> UnknownNode:
    known = sorted(names)
    shown = ", ".join(known[:8]) + (", …" if len(known) > 8 else "")
    reason = f", but {why}" if why else ""
    return UnknownNode(f"there is no node {name!r}{reason}; the nodes are {shown or 'none'}")
