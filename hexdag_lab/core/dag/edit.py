"""`Edit`: edits in progress on the two maps of a graph. Both stay valid, and acyclic, after each step.

It knows how to change entries, links and levels together, and nothing of versions: `Dag` makes a graph of the outcome.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from ..base.errors import CycleError, DagError, DuplicateNode
from ..base.merkle import MerkleMap
from .entry import Entry, Link, unknown_node
from .levels import lower_levels, raise_levels
from .node import NodeSpec
from .wiring import Wire, check_models, check_wires, gives, wire


class Edit:
    """Edits on copies of a graph's `entries` and `links`; `check` comes last."""

    def __init__(self, entries: MerkleMap[Entry], links: MerkleMap[Link]) -> None:
        self.entries, self.links = entries, links
        self._touched: set[str] = set()
        self._gives_other: set[str] = set()  # whose results are of another type than before

    def add(self, spec: NodeSpec, wires: tuple[Wire, ...]) -> None:
        """A new node, wired already."""
        if spec.name in self.entries:
            raise DuplicateNode(f"{spec.name!r} is already a node; choose another name, or replace_node() it")
        for up in (*spec.deps, *(w.up for w in wires)):
            if up not in self.entries:
                raise unknown_node(up, self.entries, f"{spec.name} is to run after it")
        # Nothing depends on it yet, so it can close no cycle.
        level = max((self.level(w.up) + 1 for w in wires), default=0)
        self._put(spec, wires)
        self.links = self.links.set(spec.name, Link(level, frozenset()))
        for w in wires:
            self._relink(w.up, self.links[w.up].downs | {spec.name})

    def drop(self, name: str) -> None:
        """Without a node that has no edges any more."""
        entry, link = self.entry(name), self.links[name]
        if entry.wires or link.downs:
            held = ", ".join(sorted({w.up for w in entry.wires} | link.downs))
            raise DagError(f"{name} still has edges to {held}; remove them first")
        self.entries = self.entries.delete(name)
        self.links = self.links.delete(name)

    def respec(self, spec: NodeSpec, wires: tuple[Wire, ...] | None = None) -> None:
        """Another spec under the name of an old one; with `wires`, wired anew."""
        old = self.entry(spec.name)
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
        entry = self.entry(down)
        self.entry(up)
        _check_free(entry, up)
        wires = wire(entry.spec, [up], self.entries.__contains__, entry.wires, by_name=False)
        self.link(down, next(w for w in wires if w.up == up))

    def link(self, down: str, new: Wire) -> None:
        """An edge that is wired already."""
        entry = self.entry(down)
        if new.up not in self.entries:
            raise unknown_node(new.up, self.entries, f"{down} is to run after it")
        _check_free(entry, new.up)
        raised = raise_levels(new.up, down, self.level, self._downs)
        if isinstance(raised, tuple):
            raise CycleError(raised)
        self._relevel(raised)
        self._put(entry.spec, tuple(sorted((*entry.wires, new), key=lambda w: w.up)))
        self._relink(new.up, self.links[new.up].downs | {down})

    def unlink(self, up: str, down: str) -> None:
        """Without an edge."""
        self.unlink_all([(up, down)])

    def unlink_all(self, edges: Iterable[tuple[str, str]]) -> None:
        """Without some edges: levels are brought down once for all of them."""
        lost: dict[str, set[str]] = {}
        seeds = set()
        for up, down in edges:
            entry = self.entry(down)
            if not any(w.up == up for w in entry.wires):
                self.entry(up)
                raise DagError(f"there is no edge {up} -> {down}")
            self._put(entry.spec, tuple(w for w in entry.wires if w.up != up))
            lost.setdefault(up, set()).add(down)
            if self.level(up) + 1 == self.level(down):
                seeds.add(down)
        for up, downs in lost.items():
            self._relink(up, self.links[up].downs - downs)
        self._relevel(lower_levels(seeds, self.level, self._ups, self._downs))

    def check(self) -> None:
        """Raise `UnboundParameter` or `TypeMismatch` if what was touched does not fit together."""
        for name in self._touched:
            if (entry := self.entries.get(name)) is not None:
                check_wires(entry.spec, entry.wires)
                self._check_models(entry)
                if name in self._gives_other:
                    for down in self._downs(name):
                        self._check_models(self.entries[down])

    def _check_models(self, entry: Entry) -> None:
        check_models(entry.spec, entry.wires, lambda up: self.entries[up].spec)

    def entry(self, name: str) -> Entry:
        entry = self.entries.get(name)
        if entry is None:
            raise unknown_node(name, self.entries)
        return entry

    def level(self, name: str) -> int:
        return self.links[name].level

    def _ups(self, name: str) -> list[str]:
        return [w.up for w in self.entries[name].wires]

    def _downs(self, name: str) -> frozenset[str]:
        return self.links[name].downs

    def _put(self, spec: NodeSpec, wires: tuple[Wire, ...]) -> None:
        old = self.entries.get(spec.name)
        if old is not None and (old.spec.out_model, gives(old.spec)) != (spec.out_model, gives(spec)):
            self._gives_other.add(spec.name)
        self.entries = self.entries.set(spec.name, Entry(spec.placed(), wires))
        self._touched.add(spec.name)

    def _relink(self, name: str, downs: frozenset[str]) -> None:
        self.links = self.links.set(name, Link(self.level(name), downs))

    def _relevel(self, levels: Mapping[str, int]) -> None:
        if len(levels) * 4 > len(self.links):  # a new map is then cheaper than so many edits of the old one
            self.links = MerkleMap(
                {name: Link(levels.get(name, link.level), link.downs) for name, link in self.links.items()}
            )
            return
        for name, level in levels.items():
            self.links = self.links.set(name, Link(level, self._downs(name)))


def _check_free(entry: Entry, up: str) -> None:
    if any(w.up == up for w in entry.wires):
        raise DagError(f"there is an edge {up} -> {entry.spec.name} already")
