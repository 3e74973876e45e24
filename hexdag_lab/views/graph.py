"""What the graph view draws, as flat arrays; and the stream of messages that keeps a view up to date.

`Stream` is a protocol without I/O: a view says hello and gets a snapshot, then each new state of the run becomes a
small message of what changed, numbered without a gap. A view that misses one asks again. Nothing here knows of sockets,
widgets or threads.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from typing import Any

from ..core.dag.conflict import Conflict
from ..core.dag.dag import Dag
from ..core.machine.state import RunState
from ..core.runs.run import STARTED, NodeRecord, NodeState
from ..core.votes.proposal import Proposal
from .layout import Places, layout

#: the order of states in messages; the component has shapes and colours in the same order
STATES = tuple(NodeState)
_CODE = {state: number for number, state in enumerate(STATES)}
ADDED, CHANGED, PROPOSED, REMOVED = 1, 2, 3, 4  #: marks of nodes; 0 is none


class Stream:
    """Messages for one view of one run."""

    def __init__(self) -> None:
        self._seq = 0
        self._version = 0
        self._shown: tuple[str, ...] = ()
        self._number: dict[str, int] = {}
        self._codes: list[int] = []
        self._nodes: Any = None  # the records that are shown
        self._records: dict[str, Any] = {}
        self._header: dict[str, Any] = {}
        self._places: dict[str, tuple[int, int]] = {}
        self._run = ""

    def hello(self, state: RunState) -> list[dict[str, Any]]:
        """A view is there, or has lost track: everything."""
        return [self._snapshot(state)]

    def update(self, state: RunState) -> list[dict[str, Any]]:
        """What a view that is up to date needs to show `state`; nothing if it shows it already."""
        if state.run != self._run or state.version != self._version or _open(state) != self._shown:
            return [self._snapshot(state)]
        changed = self._changed(state) if state.nodes is not self._nodes else []
        head = self._head(state)
        if not changed and head == self._header:
            return []
        self._header = head
        self._seq += 1
        return [{"t": "delta", "seq": self._seq, "nodes": changed, "head": head}]

    def _changed(self, state: RunState) -> list[list[Any]]:
        """The nodes that look otherwise now: [number, code, began, seconds]. A record that is the same object is passed
        over, so that thousands of nodes can be looked at sixty times a second."""
        self._nodes, known, found = state.nodes, self._records, []
        for name, rec in state.nodes.items():
            if known.get(name) is rec:
                continue
            known[name] = rec
            number = self._number[name]
            code = self._codes[number] = _CODE[rec.state]
            found.append([number, code, *_times(rec)])
        return found

    def _snapshot(self, state: RunState) -> dict[str, Any]:
        drawn = Drawn(state, self._places if state.run == self._run else None)
        self._places = drawn.places
        self._run, self._version = state.run, state.version
        self._shown = _open(state)
        self._number = {name: number for number, name in enumerate(drawn.names)}
        self._nodes, self._records, self._codes = state.nodes, dict(state.nodes.items()), drawn.codes
        self._header = self._head(state)
        self._seq += 1
        return {"t": "graph", "seq": self._seq, "head": self._header, **drawn.arrays()}

    def _head(self, state: RunState) -> dict[str, Any]:
        return {"run": state.run, "status": state.status.value, "version": state.version, "open": len(state.open)}


def _open(state: RunState) -> tuple[str, ...]:
    return tuple(p.id for p in state.open_proposals())


def _times(rec: NodeRecord) -> tuple[float, float]:
    """When the latest attempt began (unix seconds; 0: none has), and how long it took."""
    return round(rec.began, 3) if rec.state in STARTED else 0.0, round(rec.seconds, 3)


class Drawn:
    """A run as the graph view draws it: nodes of the head version, and those that open proposals would add.

    names, codes, marks   per node: its name, the number of its state, its mark;  places  name -> (column, row)
    times                 per node: when its latest attempt began, how long it took
    edges                 pairs of node numbers;  dashed  how many of the last edges are only proposed
    groups                names of groups;  member  per node: the number of its group, -1 for none
    """

    def __init__(self, state: RunState, before: dict[str, tuple[int, int]] | None = None) -> None:
        head = state.dag
        self.places = layout(head, before)
        older = state.versions[-2].dag if state.version > 1 else None
        self.names = sorted(head.entries)
        self.codes = [_CODE[state.nodes[name].state] for name in self.names]
        self.times = [_times(state.nodes[name]) for name in self.names]
        self.marks = [_mark(name, head, older) for name in self.names]
        edges = [(w.up, name) for name in self.names for w in head.entries[name].wires]
        solid = len(edges)
        for proposal in state.open_proposals():
            edges += self._propose(proposal, head)
        number = {name: index for index, name in enumerate(self.names)}
        self.edges = [(number[up], number[down]) for up, down in edges]
        self.dashed = len(edges) - solid
        self.groups, self.member = groups_of(self.names, self.places)

    def _propose(self, proposal: Proposal, head: Dag) -> list[tuple[str, str]]:
        """Take in what a proposal would add, and mark what it would remove; the edges that it would add."""
        rebased = proposal.changeset.rebase(head)
        if isinstance(rebased, Conflict) or rebased.target is None:
            return []
        would = layout(rebased.target, self.places)
        for name in rebased.added:
            if name not in self.places:
                self.names.append(name)
                self.codes.append(_CODE[NodeState.WAITING])
                self.times.append((0.0, 0.0))
                self.marks.append(PROPOSED)
                self.places[name] = would[name]
        for name in rebased.removed:
            self.marks[self.names.index(name)] = REMOVED
        return [edge for edge in rebased.edges_added if edge[0] in self.places and edge[1] in self.places]

    def arrays(self) -> dict[str, Any]:
        """Flat lists: five thousand nodes are some 250 KB of JSON."""
        return {
            "names": self.names,
            "codes": list(self.codes),
            "marks": self.marks,
            "began": [began for began, _ in self.times],
            "seconds": [seconds for _, seconds in self.times],
            "columns": [self.places[name][0] for name in self.names],
            "rows": [self.places[name][1] for name in self.names],
            "groups": self.groups,
            "member": self.member,
            "edges": [end for edge in self.edges for end in edge],
            "dashed": self.dashed,
        }


def groups_of(names: Sequence[str], places: Places) -> tuple[list[str], list[int]]:
    """Nodes of one wave whose names differ by their numbers ("fit_01", "fit_02", ...) are a group, if there are enough:
    the groups' names, and for each node the number of its group, -1 for none."""
    stems = [_NUMBERED.sub("", name) if name[-1:].isdigit() else "" for name in names]
    found: dict[tuple[str, int], list[int]] = {}
    for number, (name, stem) in enumerate(zip(names, stems, strict=True)):
        if stem:
            found.setdefault((stem, places[name][0]), []).append(number)
    large = {key: numbers for key, numbers in sorted(found.items()) if len(numbers) >= FEWEST}
    member = [-1] * len(names)
    for group, numbers in enumerate(large.values()):
        for number in numbers:
            member[number] = group
    waves = Counter(stem for stem, _ in large)
    return [stem if waves[stem] == 1 else f"{stem} of wave {column + 1}" for stem, column in large], member


_NUMBERED = re.compile(r"[_.-]?\d+$")
FEWEST = 3  #: nodes of a group


def _mark(name: str, head: Any, older: Any) -> int:
    if older is None:
        return 0
    if name not in older:
        return ADDED
    return CHANGED if older.entries[name].digest != head.entries[name].digest else 0
