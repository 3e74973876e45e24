"""Where nodes stand: column = wave, row = a place in it that a new version does not move.

A layered layout (Sugiyama, Tagawa, Toda 1981) whose layers are given: the waves. Rows of a first graph are ordered by
barycentre sweeps. In a later version a node whose wave has not changed keeps its row; a new one takes the free row
nearest to its upstreams. So the eye finds again what it knew.
"""

from __future__ import annotations

from collections.abc import Mapping

from ..core.dag.dag import Dag

Places = Mapping[str, tuple[int, int]]
"""Name -> (column, row), both counted from 0."""

SWEEPS = 4


def layout(dag: Dag, before: Places | None = None) -> dict[str, tuple[int, int]]:
    """Places of all nodes; `before` are those of an earlier version."""
    waves = dag.waves
    if not before:
        return _fresh(dag, waves)
    places: dict[str, tuple[int, int]] = {}
    for column, wave in enumerate(waves):
        kept = {name: before[name][1] for name in wave if name in before and before[name][0] == column}
        taken = set(kept.values())
        places |= {name: (column, row) for name, row in kept.items()}
        for name in sorted(set(wave) - set(kept), key=lambda n: (_wanted(dag, n, places), n)):
            row = _nearest_free(_wanted(dag, name, places), taken)
            taken.add(row)
            places[name] = (column, row)
    return places


def _fresh(dag: Dag, waves: tuple[tuple[str, ...], ...]) -> dict[str, tuple[int, int]]:
    rows = {name: float(row) for wave in waves for row, name in enumerate(wave)}
    order = [list(wave) for wave in waves]
    for sweep in range(SWEEPS):
        down = sweep % 2 == 0
        for wave in order if down else reversed(order):
            near = dag.dependencies if down else dag.dependents
            wanted = {name: _mean([rows[n] for n in near(name)], rows[name]) for name in wave}
            wave.sort(key=lambda name: (wanted[name], name))
            rows.update({name: float(row) for row, name in enumerate(wave)})
    return {name: (column, row) for column, wave in enumerate(order) for row, name in enumerate(wave)}


def _mean(values: list[float], otherwise: float) -> float:
    return sum(values) / len(values) if values else otherwise


def _wanted(dag: Dag, name: str, places: Places) -> float:
    return _mean([float(places[up][1]) for up in dag.dependencies(name) if up in places], 0.0)


def _nearest_free(wanted: float, taken: set[int]) -> int:
    row = max(0, round(wanted))
    for distance in range(len(taken) + 1):
        for candidate in (row + distance, row - distance):
            if candidate >= 0 and candidate not in taken:
                return candidate
    return row + len(taken) + 1
