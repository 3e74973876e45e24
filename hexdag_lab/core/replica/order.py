"""What happened in several places, in one order that agrees with cause and effect, however it came in.

Each place numbers what happens there and carries what it has heard of: a vector clock. Clocks of machines differ, and
an effect may seem to be earlier than its cause; so each also carries its *instant*, the latest time that is known of it
or of anything before it (a hybrid logical clock; Kulkarni, Demirbas and others 2014). By their instants people find
things where they expect them, and never an effect before its cause. What comes in after something that stands behind it
is late, by so many seconds.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

from .clock import Clock, Dot


class Happened(NamedTuple):
    """Something that happened. `dot`: the place, and its how-manieth there; `seen`: what was known there before.

    at       unix seconds by the place's own clock;  instant  the latest of these, and of those of all before it
    what     anything
    """

    dot: Dot
    seen: Clock
    at: float
    instant: float
    what: Any

    @property
    def order(self) -> tuple[float, int, Dot]:
        """The total order; it agrees with cause and effect."""
        return self.instant, self.seen.time, self.dot

    def before(self, other: Happened) -> bool:
        """Whether it can be a cause of another one."""
        return other.seen.has(self.dot)


class Place(NamedTuple):
    """Where things happen: what is known there, and the latest instant of it."""

    id: str
    seen: Clock = Clock()
    instant: float = 0.0

    def does(self, at: float, what: Any) -> tuple[Place, Happened]:
        """Something happens here, `at` unix seconds by the clock of this place."""
        dot, instant = Dot(self.id, self.seen.get(self.id, 0) + 1), max(at, self.instant)
        return Place(self.id, self.seen.after(dot), instant), Happened(dot, self.seen, at, instant, what)

    def hears(self, told: Happened) -> Place:
        """Something is heard of here."""
        return Place(self.id, self.seen.joined(told.seen.after(told.dot)), max(self.instant, told.instant))


class Placed(NamedTuple):
    """Something in its place in the order. `late`: by how many seconds what stands behind it came in before it."""

    happened: Happened
    late: float = 0.0


def merged(arrivals: Iterable[Happened]) -> tuple[Placed, ...]:
    """All that came in, in one order; what came more than once counts as it came first. O(n log n)."""
    found: dict[Dot, Placed] = {}
    latest: Happened | None = None
    for one in arrivals:
        if one.dot in found:
            continue
        late = 0.0 if latest is None else max(0.0, latest.instant - one.instant)
        found[one.dot] = Placed(one, late)
        latest = one if latest is None or latest.order < one.order else latest
    return tuple(sorted(found.values(), key=lambda placed: placed.happened.order))
