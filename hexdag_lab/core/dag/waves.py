"""Waves: the nodes of a graph by level, each wave sorted; and how those of a new version follow from known ones.

A graph knows the level of each node. Its waves are put together when somebody asks. If those of an older version are
known, only the waves that a node has left or joined since are made anew: `Moved` remembers which nodes those are.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

Waves = tuple[tuple[str, ...], ...]
Move = tuple[str, int | None, int | None]
"""A node, its level before and its level now; None where it is absent."""


def waves_of(levels: Iterable[tuple[str, int]]) -> Waves:
    """The waves of nodes with their levels."""
    grouped: dict[int, list[str]] = {}
    for name, level in levels:
        if level in grouped:
            grouped[level].append(name)
        else:
            grouped[level] = [name]
    return tuple([tuple(sorted(grouped[level])) for level in sorted(grouped)])


class Moved(NamedTuple):
    """The waves of an older version, and the moves since then, the last ones first: (moves, (moves, ... None))."""

    known: Waves
    number: int = 0  # of moves
    steps: Any = None

    def waves(self) -> Waves:
        """The waves after all moves: O(moves + waves that they touch)."""
        before: dict[str, int | None] = {}
        after: dict[str, int | None] = {}
        step = self.steps
        while step is not None:  # backwards: what is met last was first
            for name, old, new in reversed(step[0]):
                before[name] = old
                after.setdefault(name, new)
            step = step[1]
        left, joined = _by_level(before, after), _by_level(after, before)
        waves = list(self.known)
        waves += [()] * (max(joined, default=-1) + 1 - len(waves))
        for level in left.keys() | joined.keys():
            waves[level] = _changed(waves[level], left.get(level, ()), joined.get(level, ()))
        while waves and not waves[-1]:  # below the last level none is ever empty
            waves.pop()
        return tuple(waves)


def moved(waves: Waves | Moved | None, moves: tuple[Move, ...], limit: int) -> Moved | None:
    """What is known of the waves after some moves; nothing after more than `limit`, which to follow costs no less."""
    if waves is None:
        return None
    last = waves if isinstance(waves, Moved) else Moved(waves)
    if not moves:
        return last
    number = last.number + len(moves)
    return Moved(last.known, number, (moves, last.steps)) if number <= limit else None


def _by_level(levels: Mapping[str, int | None], others: Mapping[str, int | None]) -> dict[int, list[str]]:
    """The names by level, of those that have another level elsewhere."""
    found: dict[int, list[str]] = {}
    for name, level in levels.items():
        if level is not None and others[name] != level:
            found.setdefault(level, []).append(name)
    return found


def _changed(wave: tuple[str, ...], left: Sequence[str], joined: Sequence[str]) -> tuple[str, ...]:
    if not left and len(joined) == 1:  # most edits add one node
        place = bisect_left(wave, joined[0])
        return (*wave[:place], joined[0], *wave[place:])
    return tuple(sorted({*wave}.difference(left).union(joined)))
