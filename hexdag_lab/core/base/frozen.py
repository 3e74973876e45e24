"""A dict that cannot change: hashable by content, picklable, with keys in sorted order."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NoReturn, Self, TypeVar

from .canon import hash_of

V = TypeVar("V")


class FrozenDict(dict[str, V]):
    """An immutable `dict[str, V]`; equal to a dict of the same content."""

    __slots__ = ()

    def __init__(self, items: Mapping[str, V] | Iterable[tuple[str, V]] = ()) -> None:
        found = items if type(items) is dict else dict(items)
        dict.__init__(self, sorted(found.items()) if len(found) > 1 else found)

    def updated(self, changes: Mapping[str, V]) -> Self:
        """The same with other values for some keys; nothing is sorted anew unless there is a new key."""
        both = {**self, **changes}
        if len(both) > len(self):
            return type(self)(both)
        new = type(self).__new__(type(self))
        dict.update(new, both)
        return new

    def __hash__(self) -> int:  # type: ignore[override]
        return hash(hash_of(self))

    def __reduce__(self) -> tuple[Any, ...]:
        return FrozenDict, (dict(self),)

    def _frozen(self, *_: Any, **__: Any) -> NoReturn:
        raise TypeError("this mapping cannot be changed; make a new one: {**old, key: value}")

    __setitem__ = __delitem__ = __ior__ = _frozen
    clear = pop = popitem = setdefault = update = _frozen
