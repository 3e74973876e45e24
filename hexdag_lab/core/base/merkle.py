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
from typing import Any, Generic, TypeVar, overload

from .canon import hash_of

V = TypeVar("V")
T = TypeVar("T")

_BITS = 4
_EMPTY_DIGEST = sha256(b"hexdag/map/0").digest()


class _Leaf(Generic[V]):
    __slots__ = ("_digest", "key", "path", "value")

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
    """Bit i of `bitmap` says that there is a child for the digit i; `children` are in the order of their digits.

    The list is filled by whoever makes the branch and is never changed after that: a list is copied much faster than
    a tuple is put together.
    """

    __slots__ = ("_digest", "bitmap", "children")

    def __init__(self, bitmap: int, children: list[_Node[V]]) -> None:
        self.bitmap, self.children = bitmap, children
        self._digest: bytes | None = None

    @property
    def digest(self) -> bytes:
        if self._digest is None:
            below = b"".join([child._digest or child.digest for child in self.children])
            self._digest = sha256(b"node" + self.bitmap.to_bytes(2, "big") + below).digest()
        return self._digest


_Node = _Leaf[V] | _Branch[V]


def _value_digest(value: Any) -> bytes:
    own = getattr(value, "digest", None)
    return own if type(own) is bytes else hash_of(value)


def _path_of(key: str) -> int:
    return int.from_bytes(sha256(key.encode("utf-8", "surrogatepass")).digest()[:16], "little")


_path = lru_cache(maxsize=2**16)(_path_of)  # for edits and look-ups; a bulk load would only wash it out


class MerkleMap(Mapping[str, V]):
    """An immutable mapping from text to values; `set` and `delete` return a new map.

    Values with a `bytes` attribute `digest` are hashed by it, plain data by `hash_of`.
    """

    __slots__ = ("_items", "_size", "_trie")

    # A map that was made in bulk is a dict until it is edited, hashed or walked over; many are only read by key.
    _items: dict[str, V] | None
    _trie: _Node[V] | None

    def __init__(self, items: Mapping[str, V] | Iterable[tuple[str, V]] = ()) -> None:
        self._items = dict(items.items() if isinstance(items, Mapping) else items)
        self._size = len(self._items)
        self._trie = None

    @classmethod
    def _of(cls, root: _Node[V] | None, size: int) -> MerkleMap[V]:
        new = cls.__new__(cls)
        new._trie, new._size, new._items = root, size, None
        return new

    @property
    def _root(self) -> _Node[V] | None:
        items = self._items
        if items is not None:
            self._trie = (
                _build([_Leaf(_path_of(key), key, value) for key, value in items.items()], 0) if items else None
            )
            self._items = None  # last: another thread then finds the trie
        return self._trie

    @property
    def digest(self) -> bytes:
        """Digest of the whole content: 32 bytes."""
        root = self._root
        return _EMPTY_DIGEST if root is None else root.digest

    def set(self, key: str, value: V) -> MerkleMap[V]:
        """A map in which `key` has `value`."""
        path = rest = _path(key)
        leaf = _Leaf(path, key, value)
        node = self._root
        if node is None:
            return self._of(leaf, 1)
        top: list[_Node[V]] = [node]
        above, place, depth = top, 0, 0  # where the copy of `node` hangs
        while type(node) is _Branch:
            bit = 1 << (rest & 15)
            index = (node.bitmap & (bit - 1)).bit_count()
            children = node.children.copy()
            if not node.bitmap & bit:
                children.insert(index, leaf)
                above[place] = _Branch(node.bitmap | bit, children)
                return self._of(top[0], self._size + 1)
            above[place] = _Branch(node.bitmap, children)
            above, place, node = children, index, children[index]
            rest >>= _BITS
            depth += 1
        assert type(node) is _Leaf
        same = node.path == path
        above[place] = leaf if same else _build([node, leaf], depth)
        return self._of(top[0], self._size + (not same))

    def delete(self, key: str) -> MerkleMap[V]:
        """A map without `key`; raises KeyError if it is not there."""
        if self._leaf(key) is None:
            raise KeyError(key)
        root = self._root
        assert root is not None
        return self._of(_delete(root, _path(key), 0), self._size - 1)

    def update(self, changes: Mapping[str, V | None]) -> MerkleMap[V]:
        """A map with many changes at once; None deletes a key."""
        if len(changes) * 4 > self._size:  # a new trie is then cheaper than so many edits of the old one
            leaves = {leaf.key: leaf for leaf in _leaves(self._root)}
            for key, value in changes.items():
                if value is not None:
                    leaves[key] = _Leaf(_path(key), key, value)
                else:
                    leaves.pop(key, None)
            return self._of(_build(list(leaves.values()), 0) if leaves else None, len(leaves))
        new = self
        for key, value in changes.items():
            if value is not None:
                new = new.set(key, value)
            elif key in new:
                new = new.delete(key)
        return new

    def diff(self, other: MerkleMap[V]) -> Iterator[tuple[str, V | None, V | None]]:
        """(key, value here, value there) wherever the two maps differ; None where a key is missing."""
        return _diff(self._root, other._root)

    def _leaf(self, key: object) -> _Leaf[V] | None:
        if not isinstance(key, str):
            return None
        node = self._root
        path = rest = _path(key)
        while type(node) is _Branch:
            bit = 1 << (rest & 15)
            if not node.bitmap & bit:
                return None
            node = node.children[(node.bitmap & (bit - 1)).bit_count()]
            rest >>= _BITS
        return node if isinstance(node, _Leaf) and node.path == path and node.key == key else None

    def __getitem__(self, key: str) -> V:
        items = self._items
        if items is not None:
            return items[key]
        leaf = self._leaf(key)
        if leaf is None:
            raise KeyError(key)
        return leaf.value

    @overload
    def get(self, key: str, /) -> V | None: ...
    @overload
    def get(self, key: str, /, default: V | T) -> V | T: ...
    def get(self, key: str, /, default: Any = None) -> Any:
        items = self._items
        if items is not None:
            return items.get(key, default)
        leaf = self._leaf(key)
        return default if leaf is None else leaf.value

    def __contains__(self, key: object) -> bool:
        items = self._items
        if items is not None:
            return key in items
        return self._leaf(key) is not None

    def __iter__(self) -> Iterator[str]:
        return (leaf.key for leaf in _leaves(self._root))

    def items(self) -> Iterator[tuple[str, V]]:  # type: ignore[override]
        return ((leaf.key, leaf.value) for leaf in _leaves(self._root))

    def values(self) -> Iterator[V]:  # type: ignore[override]
        return (leaf.value for leaf in _leaves(self._root))

    def __len__(self) -> int:
        return self._size

    def __eq__(self, other: object) -> bool:
        if isinstance(other, MerkleMap):
            return self is other or self.digest == other.digest
        return NotImplemented

    def __hash__(self) -> int:
        return hash(self.digest)

    def __reduce__(self) -> tuple[Any, ...]:
        return MerkleMap, (dict(self.items()),)

    def __repr__(self) -> str:
        return f"MerkleMap({dict(sorted(self.items(), key=lambda item: item[0]))!r})"


# `_build` and `_delete` recurse down the trie: at most 32 levels, five or so in practice.


def _build(leaves: list[_Leaf[V]], depth: int) -> _Node[V]:
    if len(leaves) == 1:
        return leaves[0]
    buckets: dict[int, list[_Leaf[V]]] = {}
    shift = depth * _BITS
    for leaf in leaves:
        digit = (leaf.path >> shift) & 15
        if digit in buckets:
            buckets[digit].append(leaf)
        else:
            buckets[digit] = [leaf]
    bitmap, children = 0, []
    for digit in sorted(buckets):
        bitmap |= 1 << digit
        children.append(_build(buckets[digit], depth + 1))
    return _Branch(bitmap, children)


def _delete(node: _Node[V], path: int, depth: int) -> _Node[V] | None:
    if type(node) is _Leaf:
        return None
    assert type(node) is _Branch
    bit = 1 << ((path >> (depth * _BITS)) & 15)
    index = (node.bitmap & (bit - 1)).bit_count()
    child = _delete(node.children[index], path, depth + 1)
    bitmap, children = node.bitmap, node.children.copy()
    if child is None:
        del children[index]
        bitmap &= ~bit
    else:
        children[index] = child
    if len(children) == 1 and type(children[0]) is _Leaf:  # keep the shape canonical
        return children[0]
    return _Branch(bitmap, children)


def _leaves(root: _Node[V] | None) -> Iterator[_Leaf[V]]:
    stack: list[Any] = [] if root is None else [root]
    while stack:
        node = stack.pop()
        if type(node) is _Leaf:
            yield node
        else:
            stack.extend(reversed(node.children))


def _diff(a: _Node[V] | None, b: _Node[V] | None) -> Iterator[tuple[str, V | None, V | None]]:
    stack = [(a, b)]
    while stack:
        a, b = stack.pop()
        if a is b or (a is not None and b is not None and a.digest == b.digest):
            continue
        if type(a) is _Branch and type(b) is _Branch:
            if a.bitmap == b.bitmap:
                stack += [(x, y) for x, y in zip(a.children, b.children, strict=True) if x is not y]
            else:
                stack += zip(_slots(a), _slots(b), strict=True)
            continue
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


def _slots(branch: _Branch[V]) -> list[_Node[V] | None]:
    """The children of a branch by their digits, None where there is none."""
    children = iter(branch.children)
    return [next(children) if branch.bitmap >> digit & 1 else None for digit in range(16)]
