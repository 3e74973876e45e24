"""A persistent map that is its own Merkle tree: a canonical 16-way hash-array-mapped trie.

Why one structure: an edit shares all but O(log16 n) nodes with the map before it; the root digest depends on the
content only, never on the order of edits; two maps, related or not, differ in O(changes x log n); and iteration has
one order under any PYTHONHASHSEED. Digests are computed when first asked for and kept in the nodes.

Canonical: a branch has at least two entries below it, so a map has exactly one shape (Bagwell 2001 for the trie,
Merkle 1987 for the tree). Keys are text. It is not a sorted map: sort keys before showing them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from hashlib import sha256
from typing import Any, Generic, TypeVar

from .canon import hash_of

V = TypeVar("V")

_BITS, _WIDTH = 4, 16
_EMPTY_DIGEST = sha256(b"hexdag/map/0").digest()


class _Leaf(Generic[V]):
    __slots__ = ("_digest", "key", "path", "value")
    size = 1

    def __init__(self, path: int, key: str, value: V) -> None:
        self.path, self.key, self.value = path, key, value
        self._digest: bytes | None = None

    @property
    def digest(self) -> bytes:
        if self._digest is None:
            key = self.key.encode("utf-8", "surrogatepass")
            self._digest = sha256(b"leaf" + len(key).to_bytes(4, "big") + key + _value_digest(self.value)).digest()
        return self._digest


class _Branch(Generic[V]):
    __slots__ = ("_digest", "bitmap", "children", "size")

    def __init__(self, bitmap: int, children: tuple[_Node[V], ...], size: int) -> None:
        self.bitmap, self.children, self.size = bitmap, children, size
        self._digest: bytes | None = None

    @property
    def digest(self) -> bytes:
        if self._digest is None:
            below = b"".join([child.digest for child in self.children])
            self._digest = sha256(b"node" + self.bitmap.to_bytes(2, "big") + below).digest()
        return self._digest


_Node = _Leaf[V] | _Branch[V]


def _value_digest(value: Any) -> bytes:
    own = getattr(value, "digest", None)
    return own if type(own) is bytes else hash_of(value)


@lru_cache(maxsize=2**16)
def _path(key: str) -> int:
    return int.from_bytes(sha256(key.encode("utf-8", "surrogatepass")).digest()[:16], "little")


class MerkleMap(Mapping[str, V]):
    """An immutable mapping from text to values; `set` and `delete` return a new map.

    Values with a `bytes` attribute `digest` are hashed by it, plain data by `hash_of`.
    """

    __slots__ = ("_root",)

    def __init__(self, items: Mapping[str, V] | Iterable[tuple[str, V]] = ()) -> None:
        pairs = dict(items.items() if isinstance(items, Mapping) else items)
        leaves = [_Leaf(_path(key), key, value) for key, value in pairs.items()]
        self._root: _Node[V] | None = _build(leaves, 0) if leaves else None

    @classmethod
    def _of(cls, root: _Node[V] | None) -> MerkleMap[V]:
        new = cls.__new__(cls)
        new._root = root
        return new

    @property
    def digest(self) -> bytes:
        """Digest of the whole content: 32 bytes."""
        return _EMPTY_DIGEST if self._root is None else self._root.digest

    def set(self, key: str, value: V) -> MerkleMap[V]:
        """A map in which `key` has `value`."""
        leaf = _Leaf(_path(key), key, value)
        return self._of(leaf if self._root is None else _set(self._root, leaf, 0))

    def delete(self, key: str) -> MerkleMap[V]:
        """A map without `key`; raises KeyError if it is not there."""
        if key not in self:
            raise KeyError(key)
        assert self._root is not None
        return self._of(_delete(self._root, _path(key), 0))

    def diff(self, other: MerkleMap[V]) -> Iterator[tuple[str, V | None, V | None]]:
        """(key, value here, value there) wherever the two maps differ; None where a key is missing."""
        yield from _diff(self._root, other._root, 0)

    def __getitem__(self, key: str) -> V:
        if not isinstance(key, str):
            raise KeyError(key)
        node = self._root
        path = rest = _path(key)
        while type(node) is _Branch:
            bit = 1 << (rest & 15)
            if not node.bitmap & bit:
                raise KeyError(key)
            node = node.children[(node.bitmap & (bit - 1)).bit_count()]
            rest >>= _BITS
        if isinstance(node, _Leaf) and node.path == path and node.key == key:
            return node.value
        raise KeyError(key)

    def __iter__(self) -> Iterator[str]:
        return (leaf.key for leaf in _leaves(self._root))

    def items(self) -> Iterator[tuple[str, V]]:  # type: ignore[override]
        return ((leaf.key, leaf.value) for leaf in _leaves(self._root))

    def values(self) -> Iterator[V]:  # type: ignore[override]
        return (leaf.value for leaf in _leaves(self._root))

    def __len__(self) -> int:
        return 0 if self._root is None else self._root.size

    def __eq__(self, other: object) -> bool:
        if isinstance(other, MerkleMap):
            return self._root is other._root or self.digest == other.digest
        return NotImplemented

    def __hash__(self) -> int:
        return hash(self.digest)

    def __reduce__(self) -> tuple[Any, ...]:
        return MerkleMap, (dict(self.items()),)

    def __repr__(self) -> str:
        return f"MerkleMap({dict(sorted(self.items(), key=lambda item: item[0]))!r})"


# The recursions below go down the trie: at most 32 levels, five or so in practice.


def _build(leaves: list[_Leaf[V]], depth: int) -> _Node[V]:
    if len(leaves) == 1:
        return leaves[0]
    buckets: list[list[_Leaf[V]]] = [[] for _ in range(_WIDTH)]
    shift = depth * _BITS
    for leaf in leaves:
        buckets[(leaf.path >> shift) & 15].append(leaf)
    bitmap = sum(1 << index for index, bucket in enumerate(buckets) if bucket)
    return _Branch(bitmap, tuple([_build(bucket, depth + 1) for bucket in buckets if bucket]), len(leaves))


def _set(node: _Node[V], leaf: _Leaf[V], depth: int) -> _Node[V]:
    if type(node) is _Leaf:
        return leaf if node.path == leaf.path else _build([node, leaf], depth)
    assert type(node) is _Branch
    bit = 1 << ((leaf.path >> (depth * _BITS)) & 15)
    index = (node.bitmap & (bit - 1)).bit_count()
    children = node.children
    if node.bitmap & bit:
        old = children[index]
        new = _set(old, leaf, depth + 1)
        size = node.size + new.size - old.size
        return _Branch(node.bitmap, (*children[:index], new, *children[index + 1 :]), size)
    return _Branch(node.bitmap | bit, (*children[:index], leaf, *children[index:]), node.size + 1)


def _delete(node: _Node[V], path: int, depth: int) -> _Node[V] | None:
    if type(node) is _Leaf:
        return None
    assert type(node) is _Branch
    bit = 1 << ((path >> (depth * _BITS)) & 15)
    index = (node.bitmap & (bit - 1)).bit_count()
    child = _delete(node.children[index], path, depth + 1)
    if child is None:
        children = (*node.children[:index], *node.children[index + 1 :])
        bitmap = node.bitmap & ~bit
    else:
        children = (*node.children[:index], child, *node.children[index + 1 :])
        bitmap = node.bitmap
    if len(children) == 1 and type(children[0]) is _Leaf:  # keep the shape canonical
        return children[0]
    return _Branch(bitmap, children, node.size - 1)


def _leaves(root: _Node[V] | None) -> Iterator[_Leaf[V]]:
    stack: list[Any] = [] if root is None else [root]
    while stack:
        node = stack.pop()
        if type(node) is _Leaf:
            yield node
        else:
            stack.extend(reversed(node.children))


def _diff(a: _Node[V] | None, b: _Node[V] | None, depth: int) -> Iterator[tuple[str, V | None, V | None]]:
    if a is b or (a is not None and b is not None and a.digest == b.digest):
        return
    if type(a) is _Branch and type(b) is _Branch:
        for slot in range(_WIDTH):
            yield from _diff(_child(a, slot), _child(b, slot), depth + 1)
        return
    here = {leaf.key: leaf for leaf in _leaves(a)}
    there = {leaf.key: leaf for leaf in _leaves(b)}
    for key, leaf in here.items():
        if key not in there:
            yield key, leaf.value, None
        elif leaf.digest != there[key].digest:
            yield key, leaf.value, there[key].value
    for key, leaf in there.items():
        if key not in here:
            yield key, None, leaf.value


def _child(branch: _Branch[V], slot: int) -> _Node[V] | None:
    bit = 1 << slot
    return branch.children[(branch.bitmap & (bit - 1)).bit_count()] if branch.bitmap & bit else None
