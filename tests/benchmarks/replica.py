"""Drafts against pycrdt (Yjs) and loro: what a change costs on the wire, and what it costs to take it in.

    python -m tests.benchmarks.replica [--write]

Equal work: a map of N records that two copies have; each changes k other records without knowing of the other; one
sends what the other lacks, which takes it in and reads the k records. Each library has its own message: ours is that of
`Sync`, with clocks and who wanted what, and when; theirs are an update from a state vector. Medians of rounds that were
interleaved, in processor time of the thread, with the collector of garbage off meanwhile, as `timeit` does.

A rival that is not installed is left out (`make bench` installs both, in an environment of its own).
"""

from __future__ import annotations

import argparse
import gc
import platform
import random
import statistics
import sys
from collections.abc import Callable, Iterator
from time import thread_time
from typing import Any, NamedTuple, Protocol

from hexdag_lab.core.dag.changeset import Changeset
from hexdag_lab.core.dag.dag import Dag
from hexdag_lab.core.dag.node import NodeSpec
from hexdag_lab.core.replica.draft import edit
from hexdag_lab.core.replica.replica import Replica, Write
from hexdag_lab.core.replica.sync import Sync
from hexdag_lab.core.replica.view import View, moved, view
from tests.benchmarks.dag import row, said
from tests.benchmarks.page import publish

SIZES, EDITS, ROUNDS = (1_000, 10_000, 100_000), (1, 10, 100), 25


def key(i: int) -> str:
    return f"n{i:06}"


def record(i: int, depth: int) -> dict[str, Any]:
    return {"name": key(i), "params": {"depth": depth}, "by": "dana"}


class Pair(Protocol):
    """Two copies of a map of records."""

    def exchange(self, left: list[int], right: list[int], depth: int) -> tuple[int, float]:
        """Both change records and hear of each other: bytes of the message to the right, seconds to take it in."""


def timed(call: Callable[[], Any], read: Callable[[], Any]) -> float:
    gc.disable()
    began = thread_time()
    call()
    found = read()
    seconds = thread_time() - began
    gc.enable()
    assert found
    return seconds


def anything(_: Write) -> None:
    """Records are no nodes: nothing is asked of their values."""


class Ours:
    def __init__(self, records: int) -> None:
        self.left = Replica("left").write({key(i): record(i, 0) for i in range(records)})
        self.right = Replica("right").deliver(self.left.log.values())
        self._settle()

    def _settle(self) -> None:
        """Both know what the other has, so old writes can go."""
        self.left = self.left.deliver(told={"right": self.right.seen}).trim()
        self.right = self.right.deliver(told={"left": self.left.seen}).trim()

    def exchange(self, left: list[int], right: list[int], depth: int) -> tuple[int, float]:
        known_left, known_right = self.left.seen, self.right.seen
        self.left = self.left.write({key(i): record(i, depth) for i in left}, "dana", 1_700_000_000_000 + depth)
        self.right = self.right.write({key(i): record(i, depth) for i in right}, "arun", 1_700_000_000_000 + depth)
        _, there = Sync(known_right).generate_message(self.left)
        _, back = Sync(known_left).generate_message(self.right)
        assert there is not None
        assert back is not None
        new = [self.right]

        def take() -> None:
            new.append(Sync(known_left).receive_message(self.right, there, anything)[1])

        seconds = timed(take, lambda: [new[-1].slots[key(i)].shown.value for i in left])
        _, self.left = Sync(known_right).receive_message(self.left, back, anything)
        self.right = new[-1]
        assert self.left.seen == self.right.seen
        self._settle()
        return len(there), seconds


class Yjs:
    def __init__(self, records: int) -> None:
        import pycrdt

        self.docs = [pycrdt.Doc(), pycrdt.Doc()]
        self.maps = [doc.get("records", type=pycrdt.Map) for doc in self.docs]
        self._put(0, list(range(records)), 0)
        self.docs[1].apply_update(self.docs[0].get_update())

    def _put(self, at: int, records: list[int], depth: int) -> None:
        with self.docs[at].transaction():
            for i in records:
                self.maps[at][key(i)] = record(i, depth)

    def exchange(self, left: list[int], right: list[int], depth: int) -> tuple[int, float]:
        states = [doc.get_state() for doc in self.docs]
        self._put(0, left, depth)
        self._put(1, right, depth)
        there, back = self.docs[0].get_update(states[1]), self.docs[1].get_update(states[0])
        seconds = timed(lambda: self.docs[1].apply_update(there), lambda: [self.maps[1][key(i)] for i in left])
        self.docs[0].apply_update(back)
        return len(there), seconds


class Loro:
    def __init__(self, records: int) -> None:
        import loro

        self.mode = loro.ExportMode
        self.docs = [loro.LoroDoc(), loro.LoroDoc()]
        self.maps = [doc.get_map("records") for doc in self.docs]
        self._put(0, list(range(records)), 0)
        self.docs[1].import_(self.docs[0].export(self.mode.Snapshot()))

    def _put(self, at: int, records: list[int], depth: int) -> None:
        for i in records:
            self.maps[at].insert(key(i), record(i, depth))
        self.docs[at].commit()

    def exchange(self, left: list[int], right: list[int], depth: int) -> tuple[int, float]:
        seen = [doc.oplog_vv for doc in self.docs]
        self._put(0, left, depth)
        self._put(1, right, depth)
        there = self.docs[0].export(self.mode.Updates(seen[1]))
        back = self.docs[1].export(self.mode.Updates(seen[0]))
        seconds = timed(lambda: self.docs[1].import_(there), lambda: [self.maps[1].get(key(i)).value for i in left])
        self.docs[0].import_(back)
        return len(there), seconds


KINDS: dict[str, Callable[[int], Pair]] = {"ours": Ours, "pycrdt": Yjs, "loro": Loro}


class Cost(NamedTuple):
    """Of one message: bytes, and seconds to take it in."""

    size: float
    seconds: float


def measured(pairs: dict[str, Pair], records: int, edits: int, first: int) -> dict[str, Cost]:
    """Median costs of each library; the records that change are drawn alike for all."""
    draw = random.Random(records + edits)
    found: dict[str, list[tuple[int, float]]] = {label: [] for label in pairs}
    for turn in range(ROUNDS):
        chosen = draw.sample(range(records), 2 * edits)
        for label, pair in pairs.items():
            found[label].append(pair.exchange(chosen[:edits], chosen[edits:], first + turn))
    return {label: Cost(*map(statistics.median, zip(*costs, strict=True))) for label, costs in found.items()}


def pairs(records: int) -> Iterator[tuple[str, Pair]]:
    for label, kind in KINDS.items():
        try:
            yield label, kind(records)
        except ImportError as error:
            print(f"  {label} is left out: {error}", file=sys.stderr)


def figures(found: dict[str, Cost], pick: Callable[[Cost], float], shown: Callable[[float], str]) -> str:
    """Of each library, and ours against the better of the others."""
    rivals = [pick(cost) for label, cost in found.items() if label != "ours"]
    ratio = f"{pick(found['ours']) / min(rivals):.2f}x" if rivals else ""
    return " | ".join([*(shown(pick(found[label])) if label in found else "" for label in KINDS), ratio])


def table() -> list[str]:
    lines = [
        "| records | edits | bytes: ours | pycrdt | loro | target 1.5x | µs: ours | pycrdt | loro | target 2x |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for records in SIZES:
        said(f"drafts of {records:,} records")
        there = dict(pairs(records))
        for turn, edits in enumerate(EDITS):
            found = measured(there, records, edits, 1 + turn * ROUNDS)
            sizes = figures(found, lambda cost: cost.size, lambda size: f"{size:,.0f}")
            times = figures(found, lambda cost: cost.seconds, lambda seconds: f"{seconds * 1e6:,.0f}")
            lines.append(row(f"{records:,} | {edits}", sizes, times))
    return lines


def step(depth: int = 0) -> int:
    return depth


def drawn() -> list[str]:
    """What it costs us to show such a change, where records are nodes and the copy shows them as a graph."""
    lines = ["| nodes | edits | µs to take in | µs to show |", "| --- | --- | --- | --- |"]
    for records in SIZES:
        said(f"graphs of {records:,} nodes")
        nodes = [NodeSpec(key(i), step) for i in range(records)]
        left = edit(Replica("left"), Changeset.between(Dag.of(), Dag.of(*nodes)))
        right = Replica("right").deliver(left.log.values())
        graph, draw = view(right), random.Random(records)
        for edits in EDITS:
            costs = [_shown(left, right, graph, draw.sample(nodes, edits), turn) for turn in range(ROUNDS)]
            took = [f"{statistics.median(part) * 1e6:,.0f}" for part in zip(*costs, strict=True)]
            lines.append(row(f"{records:,} | {edits}", *took))
    return lines


def _shown(left: Replica, right: Replica, graph: View, nodes: list[NodeSpec], turn: int) -> tuple[float, float]:
    """Seconds to take in a change of some nodes, and to show it."""
    after = left.write({node.name: node.but(params={"depth": turn + 1}) for node in nodes}, "dana", turn)
    _, message = Sync(right.seen).generate_message(after)
    assert message is not None
    new: list[Any] = []
    taken = timed(lambda: new.append(Sync(right.seen).receive_message(right, message)[1]), lambda: new)
    shown = timed(lambda: new.append(moved(graph, right, new[0])), lambda: new[1].dag)
    return taken, shown


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--write", action="store_true", help="put the table into docs/benchmarks.md")
    options = parser.parse_args()
    found = "\n".join([f"CPython {platform.python_version()}.", "", *table(), "", *drawn()])
    print(found)
    if options.write:
        publish("replica", found)


if __name__ == "__main__":
    main()
