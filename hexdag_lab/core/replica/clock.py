"""Vector clocks: which writes somebody has seen (Fidge 1988; Mattern 1989).

A write is named by its `Dot`: the replica that made it and how many that replica had made by then. Writes are applied
in causal order, so what has been seen of a replica is always its first so many writes, and a clock is one number a
replica. The size of a clock is a Lamport time (Lamport 1978): a write that has seen another one has a larger one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

from ..base.codec import namedtuple
from ..base.frozen import FrozenDict


class Dot(NamedTuple):
    """The name of a write: the `number`-th of `replica`, from 1."""

    replica: str
    number: int

    def __str__(self) -> str:
        return f"{self.replica}#{self.number}"


namedtuple(Dot)


class Clock(FrozenDict[int]):
    """Replica -> how many of its writes have been seen; a replica that is not there has been seen nothing of."""

    __slots__ = ()

    def has(self, dot: Dot) -> bool:
        """Whether it has seen the write of that name."""
        return dot.number <= self.get(dot.replica, 0)

    def covers(self, other: Mapping[str, int]) -> bool:
        """Whether everything that `other` has seen has been seen here."""
        for replica, number in other.items():  # noqa: SIM110  # a generator takes twice as long
            if number > self.get(replica, 0):
                return False
        return True

    def joined(self, other: Mapping[str, int]) -> Clock:
        """What either has seen."""
        if isinstance(other, Clock) and other.covers(self):
            return other
        if self.covers(other):
            return self
        return Clock(_pointwise(max, self, other))

    def met(self, other: Mapping[str, int]) -> Clock:
        """What both have seen."""
        return Clock({replica: number for replica, number in _pointwise(min, self, other).items() if number})

    def since(self, other: Mapping[str, int]) -> Iterator[Dot]:
        """The writes seen here and not by `other`, by replica."""
        for replica, number in self.items():
            for missing in range(other.get(replica, 0) + 1, number + 1):
                yield Dot(replica, missing)

    def after(self, dot: Dot) -> Clock:
        """What its author has seen when he has made that write."""
        return self.updated({dot.replica: dot.number})

    @property
    def time(self) -> int:
        """How many writes have been seen in all: a Lamport time."""
        return sum(self.values())

    def __reduce__(self) -> tuple[type[Clock], tuple[dict[str, int]]]:
        return Clock, (dict(self),)


NOTHING = Clock()


def _pointwise(pick: Callable[[int, int], int], a: Mapping[str, int], b: Mapping[str, int]) -> dict[str, int]:
    return {replica: pick(a.get(replica, 0), b.get(replica, 0)) for replica in (*a, *b)}
