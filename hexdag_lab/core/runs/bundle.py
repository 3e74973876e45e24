"""Which attempts travel together: a bundle is one task of the pool's that runs several short nodes, one by one.

A task costs a pool about as much as some milliseconds of work, so nodes that are shorter than that had better share
one. How long a node takes is not guessed: the first ones of a kind go alone and are measured, and bundles grow with
what has been measured. A bundle is a matter of transport: each node in it has its own attempt, events and result.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple, TypeVar

SHORT = 0.005  #: seconds; nodes whose mean is below it share a task
FIRST = 4  #: nodes of a kind that go alone, before any of it share a task
LENGTH = 0.075  #: seconds of work in one bundle: what waits for one of its nodes may wait for all
EACH = 0.0003  #: seconds that a node costs beside its own, about: 0 would put no-op nodes into one endless bundle
MOST = 256  #: nodes in one bundle
MEMORY = 64  #: measurements that a mean remembers, so that a kind may become slow
SMALL = 4096  #: bytes; a kind with a larger result goes alone, since a bundle holds all of its results until the last

T = TypeVar("T")


class Measured(NamedTuple):
    """What is known of a kind of node: how many have succeeded, their mean seconds, the bytes of the largest result."""

    known: int = 0
    mean: float = 0.0
    largest: int = 0

    def and_also(self, seconds: float, size: int) -> Measured:
        """With one more, which took so many seconds and made so many bytes."""
        known = self.known + 1
        mean = self.mean + (seconds - self.mean) / min(known, MEMORY)
        return Measured(known, mean, max(self.largest, size))

    @property
    def short(self) -> bool:
        """Whether nodes of this kind may share a task."""
        return self.known >= FIRST and self.mean < SHORT and self.largest <= SMALL


def bundled(items: Sequence[T], known: Callable[[T], Measured | None], slots: int) -> list[tuple[T, ...]]:
    """Some ready nodes as the tasks they become, in order; `known` of one that must go alone is None.

    Those that may share are spread evenly: a front that is no longer than `LENGTH` for each slot becomes one bundle for
    each. No bundle has more of a kind than have been measured, so a kind that changes its pace is noticed early.
    """
    kinds = [kind if (kind := known(item)) is not None and kind.short else None for item in items]
    share = min(LENGTH, sum(kind.mean + EACH for kind in kinds if kind) / max(1, slots)) * (1 + 1e-9)
    made: list[tuple[T, ...]] = []
    open_, seconds, most = list[T](), 0.0, MOST
    for item, kind in zip(items, kinds, strict=True):
        if kind is None:
            made.append((item,))
            continue
        cost = kind.mean + EACH
        if open_ and (seconds + cost > share or len(open_) >= min(most, kind.known)):
            made.append(tuple(open_))
            open_, seconds, most = [], 0.0, MOST
        open_.append(item)
        seconds, most = seconds + cost, min(most, kind.known)
    return [*made, tuple(open_)] if open_ else made
