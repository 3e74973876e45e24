"""Lanes: queues beside the frontier, for nodes of which only so many may be at work at once.

A node with `concurrency` waits in the lane of its function. The head of a lane goes when fewer nodes of the lane are in
the pool than the head itself allows; it goes with all its upstreams done, so that none holds a place while it waits.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from ..base.frozen import FrozenDict
from ..base.heap import Entry, Heap, pop, push
from ..dag.node import NodeSpec
from ..runs.estimate import kind_of
from .state import Lane, RunState

MAIN = ""  #: the frontier, as a lane without a limit


def lane_of(spec: NodeSpec) -> str:
    """The lane in which a node waits; `MAIN` if nothing limits it."""
    return MAIN if spec.concurrency is None else kind_of(spec)


def limit_of(spec: NodeSpec) -> int:
    """How many nodes of its lane may be at work when a node is."""
    return spec.concurrency or 1


def at_work(state: RunState, lane: str) -> tuple[str, ...]:
    """The nodes of a lane that are in the pool, sorted."""
    found = state.lanes.get(lane)
    names = () if found is None else found.at_work
    return tuple(name for name in names if (rec := state.nodes.get(name)) is not None and rec.submitted)


def turn(state: RunState, name: str) -> tuple[int, ...]:
    """A node's place in the queue: what is on the critical path goes first; with waves, what is in the first one."""
    level = state.dag.level(name)
    return (level,) if state.schedule == "waves" else (-state.ranks[name], level)


def queued(state: RunState, names: Iterable[str]) -> RunState:
    """With these nodes in the frontier or in their lanes."""
    places: dict[str, list[Entry]] = {}
    for name in names:
        places.setdefault(lane_of(state.dag.entries[name].spec), []).append((turn(state, name), name))
    if free := places.pop(MAIN, None):
        state = state._replace(frontier=push(state.frontier, free))
    if places:
        lanes = dict(state.lanes)
        for name, entries in sorted(places.items()):
            old = lanes.get(name) or Lane()
            lanes[name] = old._replace(waiting=push(old.waiting, entries))
        state = state._replace(lanes=FrozenDict(lanes))
    return state


def taken_out(state: RunState, taken: int, from_lanes: Mapping[str, int], submitted: Iterable[str]) -> RunState:
    """Without the first ones of the frontier and of some lanes; those that were submitted are at work in theirs."""
    frontier = state.frontier
    for _ in range(taken):
        if frontier is not None:
            _, frontier = pop(frontier)
    if not from_lanes:
        return state._replace(frontier=frontier)
    lanes = dict(state.lanes)
    for lane, count in from_lanes.items():
        waiting = lanes[lane].waiting
        for _ in range(count):
            if waiting is not None:
                _, waiting = pop(waiting)
        lanes[lane] = Lane(waiting, at_work(state, lane))
    return counted_in(state._replace(frontier=frontier, lanes=FrozenDict(lanes)), submitted)


def counted_in(state: RunState, submitted: Iterable[str]) -> RunState:
    """With these nodes, which are in the pool, at work in their lanes."""
    lanes = dict(state.lanes)
    for name in submitted:
        lane = lane_of(state.dag.entries[name].spec)
        if lane != MAIN:
            old = lanes.get(lane) or Lane()
            lanes[lane] = old._replace(at_work=tuple(sorted({*old.at_work, name})))
    return state._replace(lanes=FrozenDict(lanes)) if lanes != state.lanes else state


class Taken(NamedTuple):
    """How many came out of the frontier, and out of each lane: as `AttemptsSubmitted` has it."""

    taken: int = 0
    from_lanes: FrozenDict[int] = FrozenDict()


class Queue:
    """What may be submitted next, while attempts are being chosen: the frontier and all lanes that have room; with
    `last_wave`, as far as that wave."""

    def __init__(self, state: RunState, last_wave: int | None) -> None:
        self._state, self._last_wave = state, last_wave
        self._heaps: dict[str, Heap] = {MAIN: state.frontier}
        self._heaps |= {name: lane.waiting for name, lane in state.lanes.items()}
        self._busy = {name: len(at_work(state, name)) for name, lane in state.lanes.items() if lane.waiting is not None}
        self._taken = dict.fromkeys(self._heaps, 0)

    def head(self) -> tuple[str, str] | None:
        """The next node and its lane; None if there is none that may go."""
        found: tuple[Entry, str] | None = None
        for lane, heap in self._heaps.items():
            if heap is None:
                continue
            (turn, name) = first = heap.first
            if lane != MAIN and not self._room(lane, name):
                continue
            if self._last_wave is not None and turn[0] > self._last_wave:
                continue
            if found is None or first < found[0]:
                found = first, lane
        return None if found is None else (found[0][1], found[1])

    def _room(self, lane: str, name: str) -> bool:
        """Whether the head of a lane may come out; one that is not its turn any more does, and is dropped."""
        entry, rec = self._state.dag.entries.get(name), self._state.nodes.get(name)
        if entry is None or rec is None or rec.submitted or lane_of(entry.spec) != lane:
            return True
        return self._busy[lane] < limit_of(entry.spec)

    def take(self, lane: str, submitted: bool) -> None:
        """Take the head of a lane out."""
        heap = self._heaps[lane]
        assert heap is not None
        _, self._heaps[lane] = pop(heap)
        self._taken[lane] += 1
        if submitted and lane != MAIN:
            self._busy[lane] += 1

    @property
    def taken(self) -> Taken:
        lanes = {name: count for name, count in self._taken.items() if count and name != MAIN}
        return Taken(self._taken[MAIN], FrozenDict(lanes))
