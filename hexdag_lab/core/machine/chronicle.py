"""A run's events in the order in which they happened, in all its regions; its journal has them as they were heard of.

Places are the regions, and the controller. An attempt is caused by its submission, and what it reports by what its
region has done before; the controller hears of a report, and of all it depends on, when it journals it. So the vector
clock of each event follows from the journal, and so does its place in the one order.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

from ..replica.clock import Clock
from ..replica.order import Happened, Place, merged
from ..runs.region import clock
from . import events as ev
from .story import sentence

CONTROLLER = "controller"  #: the place of what happened in no region


class Entry(NamedTuple):
    """An event where it stands in the order.

    region   where it happened; `CONTROLLER` if in none
    at       unix seconds by the clock there;  seen  which events of each place were known there
    late     seconds by which what happened after it was heard of before it; 0.0: it came in order
    """

    event: Any
    region: str
    at: float
    seen: Clock
    late: float

    def __str__(self) -> str:
        late = f"  (late by {self.late:.1f} s)" if self.late else ""
        return f"{clock(self.at)}  {self.region}: {sentence(self.event) or self.event.kind}{late}"


def chronicle(events: Iterable[Any]) -> tuple[Entry, ...]:
    """A journal, from its first event, in the order in which things happened."""
    return tuple(Entry(one.what, one.dot.replica, one.at, one.seen, late) for one, late in merged(_happened(events)))


def _happened(events: Iterable[Any]) -> Iterable[Happened]:
    """Each event with its clock, in the order of the journal."""
    home, places = Place(CONTROLLER), dict[str, Place]()
    submitted: dict[str, Happened] = {}
    where: dict[str, str] = {}
    for event in events:
        region = where.get(event.node) if isinstance(event, REPORTS) else None
        if isinstance(event, ev.PoolOffered):
            places |= {reach.name: Place(reach.name) for reach in event.regions if reach.name not in places}
        if worker := getattr(event, "worker", ""):
            region = worker.partition("/")[0]
        if region not in places or not isinstance(event, REPORTS):
            home, one = home.does(event.at, event)
            yield one
            if isinstance(event, ev.AttemptsSubmitted):
                submitted |= dict.fromkeys((name for name, _ in event.nodes), one)
            continue
        place = places[region]
        if (cause := submitted.get(event.node)) is not None:
            place = place.hears(cause)
        places[region], one = place.does(event.at if event.happened is None else event.happened, event)
        where[event.node], home = region, home.hears(one)
        yield one


REPORTS = (
    ev.NodeStarted, ev.NodeRepeated, ev.ResultHeld, ev.NodeSucceeded, ev.NodeKept, ev.NodeRetrying, ev.NodeFailed,
    ev.NodeSkipped, ev.NodeCheckpointed, ev.NodeSuspended,
)  #: what a region says; all else the controller does  # fmt: skip
