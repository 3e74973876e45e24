"""`Edit`: edits in progress on the maps of a graph. What they would be stays valid, and acyclic, after each step.

It notes what changes in plain dicts and puts that into the maps at the end, all at once. It knows how entries, levels
and downstreams change together, and nothing of versions: `Dag` makes a graph of the outcome.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from ..base.errors import CycleError, DagError, DuplicateNode
from ..base.merkle import MerkleMap
from ..base.overlay import Overlay
from .entry import Downs, Entry, Place, unknown_node, with_down, without_downs
from .levels import lower_levels, raise_levels, relevel
from .node import NodeSpec
from .waves import Move
from .wiring import Wire, check_models, check_wires, gives, wire


class Edit:
    """Edits on the two maps of a graph; `check` comes last, then the new maps can be asked for.

    entries   name -> spec and wires;  places   name -> level and downstreams
    """

    def __init__(self, entries: MerkleMap[Entry], places: Overlay[Place]) -> None:
        self._before = entries, places
        self._entries: dict[str, Entry | None] = {}  # what changes; None is what goes
        self._places: dict[str, Place | None] = {}
        self._moved: dict[str, int | None] = {}  # the level before, of nodes that are on another one now
        self._respecced: set[str] = set()
        self._rewired: set[str] = set()

    def maps(self) -> tuple[MerkleMap[Entry], Overlay[Place]]:
        """The maps after all edits."""
        entries, places = self._before
        return entries.update(self._entries), places.update(self._places)

    def moves(self) -> tuple[Move, ...]:
        """The nodes that are on another level than before."""
        return tuple([(name, old, self._level(name)) for name, old in self._moved.items()])

    def find(self, name: str) -> Entry | None:
        return self._entries[name] if name in self._entries else self._before[0].get(name)

    def _place(self, name: str) -> Place | None:
        return self._places[name] if name in self._places else self._before[1].get(name)

    def _level(self, name: str) -> int | None:
        place = self._place(name)
        return None if place is None else place[0]

    def downs(self, name: str) -> Downs:
        place = self._place(name)
        return () if place is None else place[1]

    def has(self, name: str) -> bool:
        return self._place(name) is not None

    def add(self, spec: NodeSpec, wires: tuple[Wire, ...]) -> None:
        """A new node, with wires that fit it."""
        name = spec.name
        if self.has(name):
            raise DuplicateNode(f"{name!r} is already a node; choose another name, or replace_node() it")
        level = 0
        for up, _ in wires:
            above = self._join(up, name)
            if above >= level:
                level = above + 1
        # Nothing depends on it yet, so it can close no cycle.
        self._entries[name] = Entry(spec.placed(), wires)
        self._places[name] = level, ()
        self._moved.setdefault(name, None)

    def _join(self, up: str, down: str) -> int:
        """Note a downstream of a node; the node's level."""
        place = self._place(up)
        if place is None:
            raise self._unknown(up, down)
        level, downs = place
        self._places[up] = level, with_down(downs, down)
        return level

    def _move(self, levels: Mapping[str, int]) -> None:
        """Put some nodes on other levels."""
        for name, level in levels.items():
            self._moved.setdefault(name, self._level(name))
            self._places[name] = level, self.downs(name)

    def drop(self, name: str) -> None:
        """Without a node that has no edges any more."""
        entry, downs = self.entry(name), self.downs(name)
        if entry.wires or any(downs):
            held = ", ".join(sorted({w.up for w in entry.wires}.union(downs)))
            raise DagError(f"{name} still has edges to {held}; remove them first")
        self._moved.setdefault(name, self._level(name))
        self._entries[name] = self._places[name] = None

    def respec(self, spec: NodeSpec, wires: tuple[Wire, ...] | None = None) -> None:
        """Another spec under the name of an old one; with `wires`, wired anew."""
        old = self.entry(spec.name)
        self._put(spec, old.wires)
        self._respecced.add(spec.name)
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
        self._move(raised)
        self._put(entry.spec, tuple(sorted((*entry.wires, new), key=lambda w: w.up)))
        self._join(new.up, down)

    def link_all(self, edges: Sequence[tuple[str, Wire]]) -> None:
        """Edges that are wired already, as (downstream, wire): levels are raised once for all of them."""
        if len(edges) < 8:
            for down, new in edges:
                self.link(down, new)
            return
        found: dict[str, list[Wire]] = {}  # by downstream
        for down, new in edges:
            self._join(new.up, down)
            found.setdefault(down, []).append(new)
        for down, wires in found.items():
            entry = self.entry(down)
            for new in wires:
                _check_free(entry, new.up)
            self._put(entry.spec, tuple(sorted((*entry.wires, *wires))))
        heads = {down for down, new in edges if self.level(new.up) >= self.level(down)}
        self._move(relevel(heads, self.level, self._ups, self.downs))

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
            self._places[up] = self.level(up), without_downs(self.downs(up), downs)
        seeds = [down for down, ups in cut.items() if any(self.level(up) + 1 == self.level(down) for up in ups)]
        self._move(lower_levels(seeds, self.level, self._ups, self.downs))

    def check(self) -> None:
        """Raise `UnboundParameter` or `TypeMismatch` if what was touched does not fit together."""
        for name, entry in self._entries.items():
            if entry is not None:
                if name in self._rewired:
                    check_wires(entry.spec, entry.wires)
                self._check_models(entry)
        for name in sorted(self._respecced):
            if self._gives_other(name):
                for down in sorted(self.downs(name)):
                    self._check_models(self.entry(down))

    def _check_models(self, entry: Entry) -> None:
        check_models(entry.spec, entry.wires, self._spec)

    def _spec(self, name: str) -> NodeSpec:
        return self.entry(name).spec

    def entry(self, name: str) -> Entry:
        entry = self.find(name)
        if entry is None:
            raise self._unknown(name)
        return entry

    def _gives_other(self, name: str) -> bool:
        """Whether the results of a node are of another type than before."""
        old, new = self._before[0].get(name), self.find(name)
        if old is None or new is None:
            return False
        return (old.spec.out_model, gives(old.spec)) != (new.spec.out_model, gives(new.spec))

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
        self._rewired.add(spec.name)


def _check_free(entry: Entry, up: str) -> None:
    if any(w.up == up for w in entry.wires):
        raise DagError(f"there is an edge {up} -> {entry.spec.name} already")
