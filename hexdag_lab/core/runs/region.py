"""A region as people see it: a name for a group of workers that have a scheduler of their own. Plain data.

What is far away can be cut off, which is no failure: what runs there goes on, and nobody here hears of it.
"""

from __future__ import annotations

from collections.abc import Iterable

from ..base.codec import record

LABEL = "region:"  #: a need that begins so names the region where a node is to run
DAY, HOUR, MINUTE = 86_400, 3_600, 60  #: seconds


@record
class Reach:
    """Whether a region answers: `since` when it is cut off, in unix seconds; None: it answers."""

    name: str
    since: float | None = None

    def __str__(self) -> str:
        return f"region {self.name} " + ("answers" if self.since is None else f"is cut off since {clock(self.since)}")


@record
class Region:
    """One region of a lab, as it is seen from here.

    home      whether the process that leads the lab is there
    workers, slots   how many take nodes there, and how many nodes they can run at once
    since     when it was cut off, in unix seconds; None: it answers
    events    how many events of the runs that go on the labs there have not seen; None: nobody says
    seconds   how long ago those labs were heard of last; None: nobody says
    """

    name: str
    home: bool = False
    workers: int = 0
    slots: int = 0
    since: float | None = None
    events: int | None = None
    seconds: float | None = None

    @property
    def reachable(self) -> bool:
        return self.since is None

    def __str__(self) -> str:
        return str(Reach(self.name, self.since))


def regions_of(requires: Iterable[str]) -> tuple[str, ...]:
    """The regions that a node asks for, sorted; more than one is more than any worker is in."""
    return tuple(sorted(need.removeprefix(LABEL) for need in requires if need.startswith(LABEL)))


def clock(at: float) -> str:
    """A moment of today, in unix seconds, as "14:03:22 UTC"."""
    seconds = int(at) % DAY
    return f"{seconds // HOUR:02}:{seconds % HOUR // MINUTE:02}:{seconds % MINUTE:02} UTC"
