"""`Edit`: edits in progress on the maps of a graph. What they would be stays valid, and acyclic, after each step.

It notes what changes in plain dicts and puts that into the maps at the end, all at once. It knows how entries, levels
and downstreams change together, and nothing of versions: `Dag` makes a graph of the outcome.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from ..base.errors import CycleError, DagError, DuplicateNode
from ..base.merkle import MerkleMap
from ..base.overlay import Overlay
from .entry import Downs, Entry, unknown_node, with_down, without_downs
from .levels import lower_levels, raise_levels, relevel
from .node import NodeSpec
from .waves import Move
from .wiring import Wire, check_models, check_wires, gives, wire


class Edit:
    """Edits on the three maps of a graph; `check` comes last, then the new maps can be asked for.

    entries   name -> spec and wires;  levels   name -> level;  downs   name -> downstreams, where there are any
    """

    def __init__(self, entries: MerkleMap[Entry], levels: Overlay[int], downs: Overlay[Downs]) -> None:
        self._before = entries, levels, downs
        self._entries: dict[str, Entry | None] = {}  # what changes; None is what goes
        self._levels: dict[str, int | None] = {}
        self._downs: dict[str, Downs | None] = {}

    def maps(self) -> tuple[MerkleMap[Entry], Overlay[int], Overlay[Downs]]:
        """The maps after all edits."""
        entries, levels, downs = self._before
        return entries.update(self._entries), levels.update(self._levels), downs.update(self._downs)

    def moves(self) -> tuple[Move, ...]:
        """The nodes that are on another level than before."""
        before = self._before[1]
        return tuple([(name, before.get(name), level) for name, level in self._levels.items()])

    def find(self, name: str) -> Entry | None:
        return self._entries[name] if name in self._entries else self._before[0].get(name)

    def _level(self, name: str) -> int | None:
        return self._levels[name] if name in self._levels else self._before[1].get(name)

    def downs(self, name: str) -> Downs:
        return (self._downs[name] if name in self._downs else self._before[2].get(name)) or ()

    def has(self, name: str) -> bool:
        return self._level(name) is not None

    def add(self, spec: NodeSpec, wires: tuple[Wire, ...]) -> None:
        """A new node, wired already."""
        name = spec.name
        if self.has(name):
            raise DuplicateNode(f"{name!r} is already a node; choose another name, or replace_node() it")
        level = 0
        for up, _ in wires:
            above = self._level(up)
            if above is None:
                raise self._unknown(up, name)
            if above >= level:
                level = above + 1
            self._downs[up] = with_down(self.downs(up), name)
        # Nothing depends on it yet, so it can close no cycle.
        self._entries[name] = Entry(spec.placed(), wires)
        self._levels[name] = level

    def drop(self, name: str) -> None:
        """Without a node that has no edges any more."""
        entry, downs = self.entry(name), self.downs(name)
        if entry.wires or any(downs):
            held = ", ".join(sorted({w.up for w in entry.wires}.union(downs)))
            raise DagError(f"{name} still has edges to {held}; remove them first")
        self._entries[name] = self._levels[name] = self._downs[name] = None

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

    def connect_all(self, edges: Iterable[tuple[str, str]]) -> None:
        """Edges to different nodes that are wired by the rules."""
        self.link_all([(down, self._wired(up, down)) for up, down in edges])

    def _wired(self, up: str, down: str) -> Wire:
        entry = self.entry(down)
        self.entry(up)
        _check_free(entry, up)
        wires = wire(entry.spec, [up], self.has, entry.wires, by_name=False)
        return next(w for w in wires if w.up == up)

    def link(self, down: str, new: Wire) -> None:
        """An edge that is wired already."""
        entry = self.entry(down)
        if not self.has(new.up):
            raise self._unknown(new.up, down)
        _check_free(entry, new.up)
        raised = raise_levels(new.up, down, self.level, self.downs)
        if isinstance(raised, tuple):
            raise CycleError(raised)
        self._levels.update(raised)
        self._put(entry.spec, tuple(sorted((*entry.wires, new), key=lambda w: w.up)))
        self._downs[new.up] = with_down(self.downs(new.up), down)

    def link_all(self, edges: Sequence[tuple[str, Wire]]) -> None:
        """Edges that are wired already, as (downstream, wire): levels are raised once for all of them."""
        if len(edges) < 8:
            for down, new in edges:
                self.link(down, new)
            return
        found: dict[str, list[Wire]] = {}  # by downstream
        for down, new in edges:
            if not self.has(new.up):
                raise self._unknown(new.up, down)
            found.setdefault(down, []).append(new)
            self._downs[new.up] = with_down(self.downs(new.up), down)
        for down, wires in found.items():
            entry = self.entry(down)
            for new in wires:
                _check_free(entry, new.up)
            self._put(entry.spec, tuple(sorted((*entry.wires, *wires))))
        heads = {down for down, new in edges if self.level(new.up) >= self.level(down)}
        self._levels.update(relevel(heads, self.level, self._ups, self.downs))

    def unlink(self, up: str, down: str) -> None:
        """Without an edge."""
        self.unlink_all([(up, down)])

    def unlink_all(self, edges: Iterable[tuple[str, str]]) -> None:
        """Without some edges: levels are brought down once for all of them."""
        lost: dict[str, set[str]] = {}  # by upstream
        cut: dict[str, set[str]] = {}  # by downstream
        for up, down in edges:
            lost.setdefault(up, set()).add(down)
            cut.setdefault(down, set()).add(up)
        for down, ups in cut.items():
            entry = self.entry(down)
            left = tuple(w for w in entry.wires if w.up not in ups)
            if len(left) + len(ups) != len(entry.wires):
                up = min(ups.difference(w.up for w in entry.wires))
                self.entry(up)
                raise DagError(f"there is no edge {up} -> {down}")
            self._put(entry.spec, left)
        for up, downs in lost.items():
            self._downs[up] = without_downs(self.downs(up), downs)
        seeds = [down for down, ups in cut.items() if any(self.level(up) + 1 == self.level(down) for up in ups)]
        self._levels.update(lower_levels(seeds, self.level, self._ups, self.downs))

    def check(self) -> None:
        """Raise `UnboundParameter` or `TypeMismatch` if what was touched does not fit together."""
        for entry in self._entries.values():
            if entry is not None:
                check_wires(entry.spec, entry.wires)
                self._check_models(entry)
                if self._gives_other(entry.spec):
                    for down in sorted(self.downs(entry.spec.name)):
                        self._check_models(self.entry(down))

    def _check_models(self, entry: Entry) -> None:
        check_models(entry.spec, entry.wires, lambda up: self.entry(up).spec)

    def entry(self, name: str) -> Entry:
        entry = self.find(name)
        if entry is None:
            raise self._unknown(name)
        return entry

    def _gives_other(self, spec: NodeSpec) -> bool:
        """Whether the results of a node are of another type than before."""
        old = self._before[0].get(spec.name)
        return old is not None and (old.spec.out_model, gives(old.spec)) != (spec.out_model, gives(spec))

    def _unknown(self, name: str, down: str = "") -> DagError:
        return unknown_node(name, self.maps()[0], f"{down} is to run after it" if down else "")

    def level(self, name: str) -> int:
        level = self._level(name)
        assert level is not None
        return level

    def _ups(self, name: str) -> list[str]:
        return [w.up for w in self.entry(name).wires]

    def _put(self, spec: NodeSpec, wires: tuple[Wire, ...]) -> None:
        self._entries[spec.name] = Entry(spec.placed(), wires)


def _check_free(entry: Entry, up: str) -> None:
    if any(w.up == up for w in entry.wires):
        raise DagError(f"there is an edge {up} -> {entry.spec.name} already")
