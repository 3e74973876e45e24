"""Longest-path levels, kept incrementally; they give the waves and check for cycles.

A node's level is 0 without upstreams, else one more than its highest upstream. Levels rise along every edge, so an
edge u -> v with level(u) < level(v) cannot close a cycle and needs no search; otherwise v is raised, then what hangs on
it, each node once, in the order of old levels; reaching u proves a cycle, and the trace names it
(Katriel, Michel, Van Hentenryck: Maintaining Longest Paths Incrementally, Constraints 10, 2005).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from heapq import heappop, heappush

from ..base.errors import CycleError

Neighbours = Callable[[str], Iterable[str]]


def raise_levels(
    up: str, down: str, level: Callable[[str], int], downs: Neighbours
) -> dict[str, int] | tuple[str, ...]:
    """New levels after an edge up -> down, or the cycle it would close: (up, down, ..., up)."""
    raised: dict[str, int] = {}
    came_from = {down: up}
    if up == down:
        return (up, up)
    if level(up) < level(down):
        return raised
    queue = [(level(down), down)]
    wanted = {down: level(up) + 1}
    while queue:
        _, name = heappop(queue)
        raised[name] = wanted[name]
        here = wanted[name]
        for below in downs(name):  # in any order: the queue has one
            if below == up:
                return _trace(name, came_from, up)
            old = level(below)
            if old <= here:
                if below not in wanted:
                    heappush(queue, (old, below))
                if wanted.get(below, -1) <= here:
                    wanted[below], came_from[below] = here + 1, name
    return raised


def _trace(last: str, came_from: Mapping[str, str], up: str) -> tuple[str, ...]:
    chain = [last]
    while came_from[chain[-1]] != up:
        chain.append(came_from[chain[-1]])
    return (up, *reversed(chain), up)


def relevel(heads: Iterable[str], level: Callable[[str], int], ups: Neighbours, downs: Neighbours) -> dict[str, int]:
    """New levels after many edges to these heads at once: everything below them, in one pass. Raises `CycleError`."""
    region = {head: tuple(downs(head)) for head in heads}
    stack = list(region)
    while stack:
        for below in region[stack.pop()]:
            if below not in region:
                region[below] = tuple(downs(below))
                stack.append(below)
    least = {name: max((level(up) + 1 for up in ups(name) if up not in region), default=0) for name in region}
    return {name: new for name, new in new_levels(least, region).items() if new != level(name)}


def lower_levels(
    seeds: Iterable[str], level: Callable[[str], int], ups: Neighbours, downs: Neighbours
) -> dict[str, int]:
    """New levels after the seeds lost upstreams."""
    lowered: dict[str, int] = {}
    met = set(seeds)
    queue = sorted((level(name), name) for name in met)
    while queue:
        old, name = heappop(queue)  # all that is above it has been settled
        new = 0
        for up in ups(name):
            above = lowered[up] if up in lowered else level(up)
            if above >= new:
                new = above + 1
        if new == old:
            continue
        lowered[name] = new
        for below in downs(name):
            if below not in met:
                met.add(below)
                heappush(queue, (level(below), below))
    return lowered


def levels_and_downs(ups: Iterable[tuple[str, Iterable[str]]]) -> tuple[dict[str, int], dict[str, Sequence[str]]]:
    """Levels of a whole graph given as (name, upstreams), and name -> downstreams, where there are any.

    One pass if each node comes after its upstreams, as most graphs are written down. Raises `CycleError`; an upstream
    that is no node has no level.
    """
    levels: dict[str, int] = {}
    downs: dict[str, Sequence[str]] = {}
    in_order = True
    for name, above in ups:
        level = 0
        for up in above:
            found = downs.get(up, ())
            if isinstance(found, list):
                found.append(name)
            else:  # mostly few: no list for them, which the collector of garbage would have to look at
                downs[up] = (*found, name) if len(found) < 8 else [*found, name]
            if up not in levels:
                in_order = False
            elif levels[up] >= level:
                level = levels[up] + 1
        levels[name] = level
    if not in_order and downs.keys() <= levels.keys():
        levels = new_levels(dict.fromkeys(levels, 0), downs)
    return levels, downs


def new_levels(least: Mapping[str, int], downs: Mapping[str, Iterable[str]]) -> dict[str, int]:
    """Levels of some nodes, from the least that each can have and the edges among them (Kahn). Raises `CycleError`."""
    levels = dict(least)
    missing = dict.fromkeys(levels, 0)
    for below in downs.values():
        for name in below:
            missing[name] += 1
    ready = [name for name, count in missing.items() if not count]
    done = 0
    while ready:
        name = ready.pop()
        done += 1
        level = levels[name] + 1
        for below_it in downs.get(name, ()):
            if levels[below_it] < level:
                levels[below_it] = level
            missing[below_it] -= 1
            if not missing[below_it]:
                ready.append(below_it)
    if done < len(levels):
        raise CycleError(_find_cycle({name for name, count in missing.items() if count}, downs))
    return levels


def _find_cycle(left: set[str], downs: Mapping[str, Iterable[str]]) -> tuple[str, ...]:
    """A cycle among nodes that each have an upstream among them: walk up until a name comes back."""
    ups: dict[str, str] = {}  # the least upstream of each
    for up in left:
        for name in downs.get(up, ()):
            ups[name] = min(up, ups.get(name, up))
    name = min(left)
    path = [name]
    places = {name: 0}
    while True:
        name = ups[name]
        path.append(name)
        if name in places:
            return tuple(reversed(path[places[name] :]))
        places[name] = len(path) - 1
