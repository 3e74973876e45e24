"""Longest-path levels, kept incrementally; they give the waves and check for cycles.

A node's level is 0 without upstreams, else one more than its highest upstream. Levels rise along every edge, so an
edge u -> v with level(u) < level(v) cannot close a cycle and needs no search; otherwise v is raised, then what hangs on
it, each node once, in the order of old levels; reaching u proves a cycle, and the trace names it
(Katriel, Michel, Van Hentenryck: Maintaining Longest Paths Incrementally, Constraints 10, 2005).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from heapq import heappop, heappush

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


def downs_in(ups: Mapping[str, Iterable[str]]) -> dict[str, list[str]]:
    """Name -> downstreams, where there are any, of a graph given as name -> upstreams."""
    downs: dict[str, list[str]] = {}
    for name, above in ups.items():
        for up in above:
            if up in downs:
                downs[up].append(name)
            else:
                downs[up] = [name]
    return downs


def all_levels(ups: Mapping[str, Sequence[str]]) -> dict[str, int] | tuple[str, ...]:
    """Levels of a whole graph given as name -> upstreams, or the path of a cycle."""
    levels: dict[str, int] = {}
    for name, above in ups.items():  # most graphs are written down in the order in which they run
        level = 0
        for up in above:
            if up not in levels:
                return new_levels(ups, downs_in(ups), dict.fromkeys(ups, 0))
            if levels[up] >= level:
                level = levels[up] + 1
        levels[name] = level
    return levels


def new_levels(
    ups: Mapping[str, Sequence[str]], downs: Mapping[str, Iterable[str]], least: dict[str, int]
) -> dict[str, int] | tuple[str, ...]:
    """Levels of some nodes given the least that each can have, or the path of a cycle among them (Kahn).

    ups, downs   the edges among these nodes;  least   what upstreams that are not among them ask for
    """
    missing = {name: len(above) for name, above in ups.items()}
    ready = [name for name, count in missing.items() if not count]
    levels = dict(least)
    done = 0
    while ready:
        name = ready.pop()
        done += 1
        level = levels[name] + 1
        for below in downs.get(name, ()):
            if levels[below] < level:
                levels[below] = level
            missing[below] -= 1
            if not missing[below]:
                ready.append(below)
    if done == len(ups):
        return levels
    return _find_cycle({name: above for name, above in ups.items() if missing[name]})


def _find_cycle(ups: Mapping[str, Iterable[str]]) -> tuple[str, ...]:
    """A cycle in a graph in which each node has an upstream in it: walk up until a name comes back."""
    name = min(ups)
    path = [name]
    places = {name: 0}
    while True:
        name = min(up for up in ups[name] if up in ups)
        path.append(name)
        if name in places:
            return tuple(reversed(path[places[name] :]))
        places[name] = len(path) - 1
