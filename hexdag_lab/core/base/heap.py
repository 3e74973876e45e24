"""A persistent priority queue: a leftist heap, after Crane (1972) and Okasaki (1998, §3.1), of sorted runs.

Pushing and popping give a new heap and leave the old one as it was, so a heap can be part of an immutable state. What
is pushed together lies sorted in one node, of which a pop takes the first: n items of r pushes come out in O(log r)
each. Equal keys come out in the order of their items, so the order is total and the same everywhere.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple, TypeAlias

Key: TypeAlias = tuple[int, ...]
Entry: TypeAlias = tuple[Key, str]
"""An item behind its key."""


class HeapNode(NamedTuple):
    rank: int
    run: tuple[Entry, ...]  #: pushed together, sorted
    at: int  #: how many of them are out
    left: HeapNode | None
    right: HeapNode | None

    @property
    def first(self) -> Entry:
        """The least of all."""
        return self.run[self.at]


Heap: TypeAlias = HeapNode | None


def push(heap: Heap, entries: Iterable[Entry]) -> Heap:
    """`heap` with more items: O(log r), and the sorting of these."""
    run = tuple(sorted(entries))
    return _merge(heap, HeapNode(1, run, 0, None, None)) if run else heap


def pop(heap: HeapNode) -> tuple[str, Heap]:
    """The item with the least key, and the rest: O(log r)."""
    _, run, at, left, right = heap
    rest = _merge(left, right)
    if at + 1 < len(run):
        rest = _merge(rest, HeapNode(1, run, at + 1, None, None))
    return run[at][1], rest


def items(heap: Heap) -> Iterator[str]:
    """All of them, in no order."""
    stack = [heap]
    while stack:
        if (node := stack.pop()) is not None:
            yield from (item for _, item in node.run[node.at :])
            stack += [node.left, node.right]


def _merge(a: Heap, b: Heap) -> Heap:
    # Walks down the two right spines, at most log2(r + 1) long each, then rebuilds upwards: no recursion.
    spine: list[HeapNode] = []
    while a is not None and b is not None:
        if b.run[b.at] < a.run[a.at]:
            a, b = b, a
        spine.append(a)
        a = a.right
    merged = b if a is None else a
    for _, run, at, left, _ in reversed(spine):
        right, low = merged, 0 if left is None else left.rank
        rank = 0 if right is None else right.rank
        if low < rank:
            left, right, rank = right, left, low
        merged = HeapNode(rank + 1, run, at, left, right)
    return merged
