"""A persistent map for what is derived and not hashed: a dict that never changes, under a small map of what is newer.

Most of it is read at the speed of a dict, and made in bulk as fast as one. An edit touches the small map only, which
shares its structure with the one before; when it has grown to half of the dict, both become one new dict. It is no
`Mapping` and has no order: what it holds can be made anew from elsewhere.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Generic, TypeVar

from .merkle import MerkleMap

V = TypeVar("V")


class Overlay(Generic[V]):
    """An immutable map from text to values; `update` returns a new one."""

    __slots__ = ("_parts",)

    def __init__(self, items: dict[str, V]) -> None:
        """Takes over the dict: nobody else may change it after that."""
        # One attribute for both: another thread sees them as they were together.
        self._parts: tuple[dict[str, V], MerkleMap[Any]] = (items, MerkleMap())

    def get(self, key: str) -> V | None:
        below, above = self._parts
        if above:
            found = above.get(key, above)
            if found is not above:
                return found  # type: ignore[no-any-return]
        return below.get(key)

    def __getitem__(self, key: str) -> V:
        found = self.get(key)
        if found is None:
            raise KeyError(key)
        return found

    def update(self, changes: Mapping[str, V | None]) -> Overlay[V]:
        """A map with these changes; None deletes a key."""
        below, above = self._parts
        if len(above) * 2 > len(below) + 64:  # done here, so that of many edits of this map only one pays for it
            self._parts = below, above = _merged(below, above), MerkleMap()
        if len(changes) * 8 > len(below):
            return Overlay(_merged(dict(self.items()), changes))
        for key, value in changes.items():
            above = above.set(key, value)
        new = Overlay(below)
        new._parts = below, above
        return new

    def items(self) -> Iterator[tuple[str, V]]:
        """All keys and values, in no order that means anything."""
        below, above = self._parts
        return iter((_merged(below, above) if above else below).items())


def _merged(below: dict[str, V], changes: Mapping[str, V | None]) -> dict[str, V]:
    merged: dict[str, Any] = {**below, **changes}
    for key, value in changes.items():
        if value is None:
            merged.pop(key)
    return merged
