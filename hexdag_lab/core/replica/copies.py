"""Who holds copies of a draft, what each did last, and how far behind it is."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from .clock import NOTHING, Clock
from .conflicts import said
from .draft import AUTHORS, is_edit
from .replica import Replica, Write


class Told(NamedTuple):
    """What a copy has told of itself: whose it is, what it has seen, and when that was (unix milliseconds)."""

    by: str
    seen: Clock
    at: int


class Copy(NamedTuple):
    """A copy of a draft, as another one knows it. Times are unix milliseconds.

    id, by   the replica, and whose it is;  here  it is the one that tells this
    at       when it was heard of last; 0: others only know of it
    edits    how many writes it has made;  last  the last of them, in words
    behind   how many edits it lacks;  since  when the oldest of these was made, None where that is not known
    """

    id: str
    by: str
    here: bool
    at: int
    edits: int
    last: str
    behind: int
    since: int | None


def copies(replica: Replica, told: Mapping[str, Told]) -> tuple[Copy, ...]:
    """All known copies, the latest first: those that told of themselves, and those that others have heard of."""
    latest: dict[str, Write] = {}
    for w in replica.log.values():
        if w.dot.number > (latest[w.dot.replica].dot.number if w.dot.replica in latest else 0):
            latest[w.dot.replica] = w
    names = {replica.id, *told, *_held_by_people(replica.seen), *_held_by_people(replica.heard)}
    found = (_copy(replica, name, told.get(name), latest.get(name)) for name in names)
    return tuple(sorted(found, key=lambda copy: (-copy.at, copy.id)))


def _copy(replica: Replica, name: str, told: Told | None, last: Write | None) -> Copy:
    here = name == replica.id
    seen = replica.seen if here else replica.known(name).joined(told.seen if told else NOTHING)
    missing = [dot for dot in replica.seen.since(seen) if is_edit(dot)]
    times = [w.at for dot in missing if (w := replica.log.get(str(dot))) is not None]
    by = told.by if told else last.by if last else name
    at = max(told.at if told else 0, last.at if last else 0)
    words = said(last) if last else ""
    return Copy(name, by, here, at, replica.seen.get(name, 0), words, len(missing), min(times, default=None))


def _held_by_people(names: Iterable[str]) -> list[str]:
    return [name for name in names if not name.startswith(AUTHORS)]
