"""A persistent priority queue: a leftist heap, after Crane (1972) and Okasaki (1998, §3.1).

Pushing and popping give a new heap and leave the old one as it was, so a heap can be part of an immutable state.
Equal keys come out in the order of their items, so the order is total and the same everywhere.
"""

from __future__ import annotations

from typing import NamedTuple, TypeAlias

Key: TypeAlias = tuple[int, ...]


class HeapNode(NamedTuple):
    rank: int
    key: Key
    item: str
    left: HeapNode | None
    right: HeapNode | None


Heap: TypeAlias = HeapNode | None


def push(heap: Heap, key: Key, item: str) -> Heap:
    """`heap` with one more item: O(log n)."""
    return _merge(heap, HeapNode(1, key, item, None, None))


def pop(heap: HeapNode) -> tuple[str, Heap]:
    """The item with the least key, and the rest: O(log n)."""
    return heap.item, _merge(heap.left, heap.right)


def _merge(a: Heap, b: Heap) -> Heap:
    # Walks down the two right spines, at most log2(n + 1) long each, then rebuilds upwards: no recursion.
    spine: list[HeapNode] = []
    while a is not None and b is not None:
        if b.key < a.key or (b.key == a.key and b.item < a.item):
            a, b = b, a
        spine.append(a)
        a = a.right
    merged = b if a is None else a
    for _, key, item, left, _ in reversed(spine):
        right, low = merged, 0 if left is None else left.rank
        rank = 0 if right is None else right.rank
        if low < rank:
            left, right, rank = right, left, low
        merged = HeapNode(rank + 1, key, item, left, right)
    return merged
