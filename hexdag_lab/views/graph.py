"""What the graph view draws, as flat arrays; and the stream of messages that keeps a view up to date.

`Stream` is a protocol without I/O: a view says hello and gets a snapshot, then each new state of the run becomes a
small message of what changed, numbered without a gap. A view that misses one asks again. Nothing here knows of sockets,
widgets or threads.
"""

from __future__ import annotations

from typing import Any

from ..core.dag.conflict import Conflict
from ..core.machine.state import RunState
from ..core.runs.run import NodeState
from .layout import layout
from .models import header

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
        self._names: list[str] = []
        self._codes: list[int] = []
        self._header: dict[str, Any] = {}
        self._places: dict[str, tuple[int, int]] = {}
        self._run = ""

    def hello(self, state: RunState) -> list[dict[str, Any]]:
        """A view is there, or has lost track: everything."""
        return [self._snapshot(state)]

    def update(self, state: RunState) -> list[dict[str, Any]]:
        """What a view that is up to date needs to show `state`; nothing if it shows it already."""
        proposed = tuple(p.id for p in state.open_proposals())
        if state.run != self._run or state.version != self._version or proposed != self._shown:
            return [self._snapshot(state)]
        changed = []
        for number, name in enumerate(self._names):
            rec = state.nodes.get(name)
            code = self._codes[number] if rec is None else _CODE[rec.state]
            if code != self._codes[number]:
                self._codes[number] = code
                changed.append([number, code])
        head = header(state)._asdict()
        if not changed and head == self._header:
            return []
        self._header = head
        self._seq += 1
        return [{"t": "delta", "seq": self._seq, "nodes": changed, "head": head}]

    def _snapshot(self, state: RunState) -> dict[str, Any]:
        drawn = Drawn(state, self._places if state.run == self._run else None)
        self._places = drawn.places
        self._run, self._version = state.run, state.version
        self._shown = tuple(p.id for p in state.open_proposals())
        self._names, self._codes, self._header = drawn.names, drawn.codes, header(state)._asdict()
        self._seq += 1
        return {"t": "graph", "seq": self._seq, "head": self._header, **drawn.arrays()}


class Drawn:
    """A run as the graph view draws it: nodes of the head version, and those that open proposals would add.

    names, codes, marks   per node: its name, the number of its state, its mark;  places  name -> (column, row)
    edges                 pairs of node numbers;  dashed  how many of the last edges are only proposed
    """

    def __init__(self, state: RunState, before: dict[str, tuple[int, int]] | None = None) -> None:
        head = state.dag
        self.places = layout(head, before)
        older = state.versions[-2].dag if state.version > 1 else None
        self.names = sorted(head.entries)
        self.codes = [_CODE[state.nodes[name].state] for name in self.names]
        self.marks = [_mark(name, head, older) for name in self.names]
        edges = [(w.up, name) for name in self.names for w in head.entries[name].wires]
        solid = len(edges)
        for proposal in state.open_proposals():
            rebased = proposal.changeset.rebase(head)
            if isinstance(rebased, Conflict) or rebased.target is None:
                continue
            would = layout(rebased.target, self.places)
            for name in rebased.added:
                if name not in self.places:
                    self.names.append(name)
                    self.codes.append(_CODE[NodeState.WAITING])
                    self.marks.append(PROPOSED)
                    self.places[name] = would[name]
            for name in rebased.removed:
                self.marks[self.names.index(name)] = REMOVED
            edges += [edge for edge in rebased.edges_added if edge[0] in self.places and edge[1] in self.places]
        number = {name: index for index, name in enumerate(self.names)}
        self.edges = [(number[up], number[down]) for up, down in edges]
        self.dashed = len(edges) - solid

    def arrays(self) -> dict[str, Any]:
        """Flat lists: five thousand nodes are some 150 KB of JSON."""
        return {
            "names": self.names,
            "codes": list(self.codes),
            "marks": self.marks,
            "columns": [self.places[name][0] for name in self.names],
            "rows": [self.places[name][1] for name in self.names],
            "edges": [end for edge in self.edges for end in edge],
            "dashed": self.dashed,
        }


def _mark(name: str, head: Any, older: Any) -> int:
    if older is None:
        return 0
    if name not in older:
        return ADDED
    return CHANGED if older.entries[name].digest != head.entries[name].digest else 0
