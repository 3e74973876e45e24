"""`Edit`: edits in progress on the two maps of a graph. What they would be stays valid, and acyclic, after each step.

It notes what changes in plain dicts and puts that into the maps at the end, all at once. It knows how entries, links
and levels change together, and nothing of versions: `Dag` makes a graph of the outcome.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from ..base.errors import CycleError, DagError, DuplicateNode
from ..base.merkle import MerkleMap
from ..base.overlay import Overlay
from .entry import Downs, Entry, Link, unknown_node, with_down, without_downs
from .levels import lower_levels, raise_levels
from .node import NodeSpec
from .waves import Move
from .wiring import Wire, check_models, check_wires, wire


class Edit:
    """Edits on a graph's `entries` and `links`; `check` comes last, then the new maps can be asked for."""

    def __init__(self, entries: MerkleMap[Entry], links: Overlay[Link]) -> None:
        self._old_entries, self._old_links = entries, links
        self._entries: dict[str, Entry | None] = {}  # what changes; None is what goes
        self._links: dict[str, Link | None] = {}
        self._levels: dict[str, int | None] = {}  # those before, of the nodes that move

    def entries(self) -> MerkleMap[Entry]:
        return self._old_entries.update(self._entries)

    def links(self) -> Overlay[Link]:
        return self._old_links.update(self._links)

    def moves(self) -> tuple[Move, ...]:
        """The nodes that are on another level than before."""
        links = self._links
        return tuple(
            [(name, old, None if (link := links[name]) is None else link.level) for name, old in self._levels.items()]
        )

    def find(self, name: str) -> Entry | None:
        if name in self._entries:
            return self._entries[name]
        return self._old_entries.get(name)

    def has(self, name: str) -> bool:
        return self._find_link(name) is not None

    def add(self, spec: NodeSpec, wires: tuple[Wire, ...]) -> None:
        """A new node, wired already."""
        name = spec.name
        if self.has(name):
            raise DuplicateNode(f"{name!r} is already a node; choose another name, or replace_node() it")
        level = 0
        for up, _ in wires:
            link = self._find_link(up)
            if link is None:
                raise self._unknown(up, name)
            level = max(level, link.level + 1)
            self._links[up] = Link(link.level, with_down(link.downs, name))
        # Nothing depends on it yet, so it can close no cycle.
        self._entries[name] = Entry(spec.placed(), wires)
        self._levels.setdefault(name, None)
        self._links[name] = Link(level)

    def drop(self, name: str) -> None:
        """Without a node that has no edges any more."""
        entry, link = self.entry(name), self._link(name)
        if entry.wires or link.downs:
            held = ", ".join(sorted({w.up for w in entry.wires}.union(link.downs)))
            raise DagError(f"{name} still has edges to {held}; remove them first")
        self._entries[name] = self._links[name] = None
        self._levels.setdefault(name, link.level)

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
        wires = wire(entry.spec, [up], self.has, entry.wires, by_name=False)
        self.link(down, next(w for w in wires if w.up == up))

    def link(self, down: str, new: Wire) -> None:
        """An edge that is wired already."""
        entry = self.entry(down)
        if not self.has(new.up):
            raise self._unknown(new.up, down)
        _check_free(entry, new.up)
        raised = raise_levels(new.up, down, self.level, self._downs)
        if isinstance(raised, tuple):
            raise CycleError(raised)
        self._relevel(raised)
        self._put(entry.spec, tuple(sorted((*entry.wires, new), key=lambda w: w.up)))
        self._relink(new.up, with_down(self._downs(new.up), down))

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
            self._relink(up, without_downs(self._downs(up), downs))
        self._relevel(lower_levels(seeds, self.level, self._ups, self._downs))

    def check(self) -> None:
        """Raise `UnboundParameter` or `TypeMismatch` if what was touched does not fit together."""
        for entry in self._entries.values():
            if entry is not None:
                check_wires(entry.spec, entry.wires)
                self._check_models(entry)
                if entry.spec.out_model is not None:
                    for down in sorted(self._downs(entry.spec.name)):
                        self._check_models(self.entry(down))

    def _check_models(self, entry: Entry) -> None:
        check_models(entry.spec, entry.wires, lambda up: self.entry(up).spec)

    def entry(self, name: str) -> Entry:
        entry = self.find(name)
        if entry is None:
            raise self._unknown(name)
        return entry

    def _unknown(self, name: str, down: str = "") -> DagError:
        return unknown_node(name, self.entries(), f"{down} is to run after it" if down else "")

    def level(self, name: str) -> int:
        return self._link(name).level

    def _find_link(self, name: str) -> Link | None:
        return self._links[name] if name in self._links else self._old_links.get(name)

    def _link(self, name: str) -> Link:
        link = self._find_link(name)
        assert link is not None
        return link

    def _ups(self, name: str) -> list[str]:
        return [w.up for w in self.entry(name).wires]

    def _downs(self, name: str) -> Downs:
        return self._link(name).downs

    def _put(self, spec: NodeSpec, wires: tuple[Wire, ...]) -> None:
        self._entries[spec.name] = Entry(spec.placed(), wires)

    def _relink(self, name: str, downs: Downs) -> None:
        self._links[name] = Link(self.level(name), downs)

    def _relevel(self, levels: Mapping[str, int]) -> None:
        for name, level in levels.items():
            link = self._link(name)
            self._levels.setdefault(name, link.level)
            self._links[name] = Link(level, link.downs)


def _check_free(entry: Entry, up: str) -> None:
    if any(w.up == up for w in entry.wires):
        raise DagError(f"there is an edge {up} -> {entry.spec.name} already")
