"""A persistent map for what is derived and not hashed: a large dict under ever smaller ones that hold what is newer.

No dict is changed once it is in a map, so versions share them. An edit puts its changes on top as one more dict, with
those of the last few edits; before that, layers that have grown to half of the one below are merged with it. So there
are at most log2(n) of them, a change is copied O(log n) times in its life, reads cost little more than those of a dict,
and a bulk load is one dict (the logarithmic method: Bentley and Saxe, Decomposable Searching Problems, J. Algorithms 1,
1980). It has no order and no digest: what it holds can be made anew from elsewhere.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, TypeVar, overload

V = TypeVar("V")
T = TypeVar("T")
Layers = tuple[dict[str, V | None], ...]

FEW = 8  #: changes that are sooner copied than looked through as a layer


class Overlay(Mapping[str, V]):
    """An immutable mapping from text to values; `update` returns a new one. Its length takes a walk over all of it."""

    __slots__ = ("_layers",)

    def __init__(self, items: dict[str, V]) -> None:
        """Takes over the dict: nobody may change it after that."""
        self._layers: Layers[V] = (items,)  # type: ignore[assignment]  # the newest first; None where a key is gone

    @overload
    def get(self, key: str, /) -> V | None: ...
    @overload
    def get(self, key: str, /, default: V | T) -> V | T: ...
    def get(self, key: str, /, default: Any = None) -> Any:
        for layer in self._layers:
            if key in layer:
                found = layer[key]
                return default if found is None else found
        return default

    def __getitem__(self, key: str) -> V:
        found = self.get(key)
        if found is None:
            raise KeyError(key)
        return found

    def update(self, changes: dict[str, V | None]) -> Overlay[V]:
        """A map with these changes, whose dict it takes over; None deletes a key."""
        if not changes:
            return self
        layers = self._layers
        if len(layers) > 1 and len(layers[0]) < FEW:
            changes, layers = {**layers[0], **changes}, layers[1:]
        else:  # merged here, not in the new map: of many edits of this map only one pays for it
            self._layers = layers = _settled(layers)
        new: Overlay[V] = Overlay.__new__(Overlay)
        new._layers = (changes, *layers)
        return new

    def diff(self, other: Overlay[V]) -> Iterator[tuple[str, V | None, V | None]]:
        """(key, value here, value there) wherever they are not one object; None where a key is missing. Of two maps of
        which one was made of the other by few edits it costs so many; of strangers, all that is in both."""
        mine, theirs = list(self._layers), list(other._layers)
        while mine and theirs and mine[-1] is theirs[-1]:
            del mine[-1], theirs[-1]
        for key in dict.fromkeys(key for layer in (*mine, *theirs) for key in layer):
            here, there = self.get(key), other.get(key)
            if here is not there:
                yield key, here, there

    def __iter__(self) -> Iterator[str]:
        return (key for key, _ in self.items())

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Overlay) and (self is other or dict(self.items()) == dict(other.items()))

    __hash__ = None  # type: ignore[assignment]  # it is compared, in tests and simulations, and never looked up

    def values(self) -> Iterator[V]:  # type: ignore[override]
        return (value for _, value in self.items())

    def __contains__(self, key: object) -> bool:
        return isinstance(key, str) and self.get(key) is not None

    def __len__(self) -> int:
        return len(_merged(self._layers)[0])

    def __reduce__(self) -> tuple[Any, ...]:
        return Overlay, (dict(self.items()),)

    def items(self) -> Iterator[tuple[str, V]]:  # type: ignore[override]
        """All keys and values, in no order that means anything."""
        return iter(_merged(self._layers)[0].items())  # type: ignore[arg-type]


def _settled(layers: Layers[V]) -> Layers[V]:
    """The same map in layers of which each is at least twice as large as the one above."""
    end, above = 1, len(layers[0])
    while end < len(layers) and above * 2 > len(layers[end]):
        above += len(layers[end])
        end += 1
    if end == 1:
        return layers
    return (*_merged(layers[:end], last=end == len(layers)), *layers[end:])


def _merged(layers: Layers[V], last: bool = True) -> Layers[V]:
    """The same map in one layer; what is gone can be forgotten if it was the last."""
    if len(layers) == 1:
        return layers
    merged: dict[str, V | None] = {}
    for layer in reversed(layers):
        merged |= layer
    if last:
        for key in [key for key, value in merged.items() if value is None]:
            del merged[key]
    return (merged,)
