"""A persistent map that is its own Merkle tree: a canonical 16-way hash-array-mapped trie.

Why one structure: an edit shares all but O(log16 n) nodes with the map before it; the root digest depends on the
content only, never on the order of edits; two maps, related or not, differ in O(changes x log n); and iteration has
one order under any PYTHONHASHSEED. Digests are computed when first asked for and kept in the nodes.

Canonical: a branch has at least two entries below it, so a map has exactly one shape (Bagwell 2001 for the trie,
Merkle 1987 for the tree). Keys are text. It is not a sorted map: sort keys before showing them.

An edit of a large map is memory that is in no cache, so nodes are made to touch little of it. A leaf is a tuple of key
and value. A branch is a list, copied in one step, of what the constants below name and then its children in the order
of their digits; it keeps their digests joined, as they are hashed, so that those of its other children need not be
visited when one has changed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from hashlib import sha256
from typing import Any, TypeAlias, TypeVar, overload

from .canon import DIGEST_SIZE, hash_of

V = TypeVar("V")
T = TypeVar("T")

_Leaf: TypeAlias = tuple[str, Any]
_Branch: TypeAlias = list[Any]
_Node: TypeAlias = _Leaf | _Branch

_BITMAP = 0  #: bit i says that there is a child for the digit i
_BELOW = 1  #: what is hashed: a head and the digests of the children; None before it is first asked for
_STALE = 2  #: bit i says that the digest in `_BELOW` of the child for the digit i is not that of the child
_DIGEST = 3  #: the digest of the branch; None if it has to be made from `_BELOW`
_FIRST = 4  #: where the children begin

_DIGITS = 32  #: of a key, each of 4 bits: its path
_HEAD = 6  #: bytes: a tag and the bitmap
_EMPTY_DIGEST = sha256(b"hexdag/map/0").digest()
_UNKNOWN = bytes(DIGEST_SIZE)  #: stands where a digest will be


def _path_of(key: str) -> bytes:
    """The digits of a key: the lower 4 bits of each byte."""
    return sha256(key.encode("utf-8", "surrogatepass")).digest()


def _value_digest(value: Any) -> bytes:
    own = getattr(value, "digest", None)
    return own if type(own) is bytes else hash_of(value)


_path = lru_cache(maxsize=2**16)(_path_of)  # for edits and look-ups; a bulk load would only wash it out


class MerkleMap(Mapping[str, V]):
    """An immutable mapping from text to values; `set` and `delete` return a new map.

    Values with a `bytes` attribute `digest` are hashed by it, plain data by `hash_of`.
    """

    __slots__ = ("_items", "_size", "_trie")

    # A map that was made in bulk is a dict until it is edited, hashed or walked over; many are only read by key.
    _items: dict[str, V] | None
    _trie: _Node | None

    def __init__(self, items: Mapping[str, V] | Iterable[tuple[str, V]] = ()) -> None:
        self._items = dict(items.items() if isinstance(items, Mapping) else items)
        self._size = len(self._items)
        self._trie = None

    @classmethod
    def _of(cls, root: _Node | None, size: int) -> MerkleMap[V]:
        new = cls.__new__(cls)
        new._trie, new._size, new._items = root, size, None
        return new

    @property
    def _root(self) -> _Node | None:
        items = self._items
        if items is not None:
            self._trie = _build([(_path_of(leaf[0]), leaf) for leaf in items.items()], 0) if items else None
            self._items = None  # last: another thread then finds the trie
        return self._trie

    @property
    def digest(self) -> bytes:
        """Digest of the whole content: 32 bytes."""
        root = self._trie if self._items is None else self._root
        return _EMPTY_DIGEST if root is None else _digest(root)

    def set(self, key: str, value: V) -> MerkleMap[V]:
        """A map in which `key` has `value`."""
        path, leaf = _path(key), (key, value)
        node = self._trie if self._items is None else self._root
        if node is None:
            return self._of(leaf, 1)
        top: list[Any] = [node]
        above, place, depth = top, 0, 0  # where the copy of `node` hangs
        parent, bit = top, 0
        while isinstance(node, list):
            bit = 1 << (path[depth] & 15)
            bitmap = node[_BITMAP]
            index = (bitmap & (bit - 1)).bit_count()
            above[place] = new = node.copy()
            new[_STALE] |= bit
            new[_DIGEST] = None
            if not bitmap & bit:
                _insert(new, bit, index, leaf)
                return self._of(top[0], self._size + 1)
            parent, above, place = node, new, index + _FIRST
            node = new[place]
            depth += 1
        same = node[0] == key
        above[place] = leaf if same else _split(node, _known(parent, bit, place) if depth else None, leaf, path, depth)
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
            items = dict(_leaves(self._root))
            for key, value in changes.items():
                if value is not None:
                    items[key] = value
                else:
                    items.pop(key, None)
            return MerkleMap(items)
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

    def _leaf(self, key: object) -> _Leaf | None:
        if not isinstance(key, str):
            return None
        node = self._root
        depth, path = 0, _path(key)
        while isinstance(node, list):
            bit = 1 << (path[depth] & 15)
            if not node[_BITMAP] & bit:
                return None
            node = node[(node[_BITMAP] & (bit - 1)).bit_count() + _FIRST]
            depth += 1
        return node if node is not None and node[0] == key else None

    def __getitem__(self, key: str) -> V:
        items = self._items
        if items is not None:
            return items[key]
        leaf = self._leaf(key)
        if leaf is None:
            raise KeyError(key)
        value: V = leaf[1]
        return value

    @overload
    def get(self, key: str, /) -> V | None: ...
    @overload
    def get(self, key: str, /, default: V | T) -> V | T: ...
    def get(self, key: str, /, default: Any = None) -> Any:
        items = self._items
        if items is not None:
            return items.get(key, default)
        leaf = self._leaf(key)
        return default if leaf is None else leaf[1]

    def __contains__(self, key: object) -> bool:
        items = self._items
        if items is not None:
            return key in items
        return self._leaf(key) is not None

    def __iter__(self) -> Iterator[str]:
        return (key for key, _ in _leaves(self._root))

    def items(self) -> Iterator[tuple[str, V]]:  # type: ignore[override]
        return _leaves(self._root)

    def values(self) -> Iterator[V]:  # type: ignore[override]
        return (value for _, value in _leaves(self._root))

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


# `_build`, `_delete` and `_digest` recurse down the trie: at most 32 levels, five or so in practice.


def _build(leaves: list[tuple[bytes, _Leaf]], depth: int) -> _Node:
    """The trie of some leaves, each given with its path, at a depth."""
    if len(leaves) == 1:
        return leaves[0][1]
    buckets: dict[int, list[tuple[bytes, _Leaf]]] = {}
    for leaf in leaves:
        digit = leaf[0][depth] & 15
        if digit in buckets:
            buckets[digit].append(leaf)
        else:
            buckets[digit] = [leaf]
    branch: _Branch = [0, None, 0, None]
    for digit in sorted(buckets):
        branch[_BITMAP] |= 1 << digit
        branch.append(_build(buckets[digit], depth + 1))
    return branch


def _split(old: _Leaf, known: bytes | None, new: _Leaf, path: bytes, depth: int) -> _Branch:
    """The branch at a depth of two leaves, of which the digest of the first may be known, and the path of the other."""
    digits = _path(old[0])[depth] & 15, path[depth] & 15
    bit = 1 << digits[0]
    if digits[0] == digits[1]:
        return [bit, None, 0, None, _split(old, known, new, path, depth + 1)]
    branch: _Branch = [bit, None, 1 << digits[1], None, old]
    if known is not None:
        branch[_BELOW] = _head(branch) + known
    _insert(branch, 1 << digits[1], int(digits[1] > digits[0]), new)
    return branch


def _known(branch: _Branch, bit: int, place: int) -> bytes | None:
    """The digest of a child, if the branch has it."""
    below: bytes | None = branch[_BELOW]
    if below is None or branch[_STALE] & bit:
        return None
    at = _HEAD + (place - _FIRST) * DIGEST_SIZE
    return below[at : at + DIGEST_SIZE]


def _insert(branch: _Branch, bit: int, index: int, child: _Node) -> None:
    """Put a child into a copy of a branch that nobody else has yet."""
    branch.insert(index + _FIRST, child)
    branch[_BITMAP] |= bit
    below = branch[_BELOW]
    if below is not None:
        at = _HEAD + index * DIGEST_SIZE
        branch[_BELOW] = b"".join((_head(branch), below[_HEAD:at], _UNKNOWN, below[at:]))


def _remove(branch: _Branch, bit: int, index: int) -> None:
    """Take a child out of a copy of a branch that nobody else has yet."""
    del branch[index + _FIRST]
    branch[_BITMAP] &= ~bit
    branch[_STALE] &= ~bit
    below = branch[_BELOW]
    if below is not None:
        at = _HEAD + index * DIGEST_SIZE
        branch[_BELOW] = b"".join((_head(branch), below[_HEAD:at], below[at + DIGEST_SIZE :]))


def _delete(node: _Node, path: bytes, depth: int) -> _Node | None:
    """A node without the leaf at a path, which is below it; None if that is all there was."""
    if isinstance(node, tuple):
        return None
    bit = 1 << (path[depth] & 15)
    index = (node[_BITMAP] & (bit - 1)).bit_count()
    new = node.copy()
    new[_STALE] |= bit
    new[_DIGEST] = None
    child = _delete(node[index + _FIRST], path, depth + 1)
    if child is None:
        _remove(new, bit, index)
    else:
        new[index + _FIRST] = child
    only = new[_FIRST]
    return only if len(new) == _FIRST + 1 and isinstance(only, tuple) else new  # keep the shape canonical


def _digest(node: _Node) -> bytes:
    """Digest of what is at a node. Threads may make it at the same time: what one has done the others can use."""
    if isinstance(node, tuple):
        key = node[0].encode("utf-8", "surrogatepass")
        return sha256(b"".join((b"leaf", len(key).to_bytes(4, "big"), key, _value_digest(node[1])))).digest()
    if node[_DIGEST] is not None:
        return bytes(node[_DIGEST])
    stale: int = node[_STALE]
    below: bytes | None = node[_BELOW]  # read last: where nothing is stale, it is as it should be
    if below is None:
        below, stale = _head(node) + b"".join([_digest(child) for child in node[_FIRST:]]), 0
    while stale:
        bit = stale & -stale
        index = (node[_BITMAP] & (bit - 1)).bit_count()
        at = _HEAD + index * DIGEST_SIZE
        below = b"".join((below[:at], _digest(node[index + _FIRST]), below[at + DIGEST_SIZE :]))
        stale ^= bit
    digest = sha256(below).digest()
    node[_BELOW] = below
    node[_STALE] = 0
    node[_DIGEST] = digest
    return digest


def _head(branch: _Branch) -> bytes:
    bitmap: int = branch[_BITMAP]
    return b"node" + bitmap.to_bytes(2, "big")


def _leaves(root: _Node | None) -> Iterator[_Leaf]:
    stack: list[Any] = [] if root is None else [root]
    while stack:
        node = stack.pop()
        if isinstance(node, tuple):
            yield node
        else:
            stack.extend(node[: _FIRST - 1 : -1])


def _diff(a: _Node | None, b: _Node | None) -> Iterator[tuple[str, V | None, V | None]]:
    """What differs below two nodes that differ."""
    stack = [(a, b)]
    while stack:
        a, b = stack.pop()
        if isinstance(a, list) and isinstance(b, list):
            ours, theirs = _children(a), _children(b)
            stack += [
                (ours.get(digit, _ABSENT)[1], theirs.get(digit, _ABSENT)[1])
                for digit in ours.keys() | theirs.keys()
                if ours.get(digit, _ABSENT)[0] != theirs.get(digit, _ABSENT)[0]
            ]
            continue
        here, there = dict(_leaves(a)), dict(_leaves(b))
        for key, value in here.items():
            if key not in there:
                yield key, value, None
            elif _digest((key, value)) != _digest((key, there[key])):
                yield key, value, there[key]
        for key, value in there.items():
            if key not in here:
                yield key, None, value


_ABSENT = (b"", None)


def _children(branch: _Branch) -> dict[int, tuple[bytes, _Node]]:
    """The children of a branch, with their digests, by digit."""
    _digest(branch)
    below, bitmap = branch[_BELOW], branch[_BITMAP]
    digits = [digit for digit in range(16) if bitmap >> digit & 1]
    places = range(_HEAD, len(below), DIGEST_SIZE)
    return {
        digit: (below[at : at + DIGEST_SIZE], child)
        for digit, at, child in zip(digits, places, branch[_FIRST:], strict=True)
    }
