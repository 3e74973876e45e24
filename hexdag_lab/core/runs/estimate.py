"""What is left of a run will take so long, and a change makes it so much longer: as P50 and P90, never as a mean alone.

From what nodes of the same kind (the label of their function) took in this run comes a belief about their seconds: log-
normal, the means of the kinds drawn together by empirical Bayes, so that few measurements count little and none count
as usual. Monte Carlo over the nodes that are left then runs a list schedule on the run's slots, with and without a
change, on the same draws: what is reported is the difference (Graham 1966 for list schedules; a plan made of means
promises too little wherever work runs side by side, since the mean of a maximum is above the maximum of the means).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from fractions import Fraction
from heapq import heappop, heappush, heapreplace
from math import exp, log, sqrt
from statistics import NormalDist
from typing import NamedTuple

from ..base.rng import WIDTH, chance
from ..dag.dag import Dag
from ..dag.node import NodeSpec
from .run import SETTLED, NodeRecord, NodeState

UNKNOWN_SECONDS = 1.0  #: assumed for code that has never run here
DRAWS = WIDTH  #: simulated futures: one byte of chance for each
FEWEST, MOST_STEPS = 8, 20_000  #: draws of a large graph, so that an estimate stays a fraction of a second
KNOWN = 3  #: measurements from which on a kind is known
SHRINK = 5  #: measurements that what is usual counts as, where a kind's spread is learned

Look = Callable[[str], NodeRecord | None]
Row = tuple[float, ...]

_Z = tuple(NormalDist().inv_cdf((k + 0.5) / 256) for k in range(256))  #: a byte of chance as a normal quantile


class Usual(NamedTuple):
    """Log seconds over all kinds: their mean, the variance between kinds, and that within one."""

    mean: float = log(UNKNOWN_SECONDS)
    between: float = 1.0
    within: float = 0.5


class Kind(NamedTuple):
    """Log seconds of one kind of node: mean, variance of that mean, variance of one attempt; how often one fails."""

    mean: float
    error: float
    spread: float
    fails: float = 0.0


class Spread(NamedTuple):
    """A quantity that is not known: half of the draws are at most `p50`, nine in ten at most `p90`."""

    p50: float = 0.0
    p90: float = 0.0


def kind_of(spec: NodeSpec) -> str:
    """Nodes of one kind take about as long: those of the same function, whatever its revision."""
    return f"{spec.code.module}:{spec.code.name}"


class Pace:
    """How long nodes take, from what has finished in a run. `usual`: what was held for usual before, if it is to be
    held on to, so that other kinds' progress changes nothing."""

    def __init__(self, dag: Dag, records: Iterable[tuple[str, NodeRecord]], usual: Usual | None = None) -> None:
        logs: dict[str, list[float]] = {}
        tries: dict[str, list[int]] = {}
        for name, rec in records:
            entry = dag.entries.get(name)
            if entry is None or not rec.started:
                continue
            kind = kind_of(entry.spec)
            if rec.state is NodeState.SUCCEEDED and rec.seconds > 0:
                logs.setdefault(kind, []).append(log(rec.seconds))
            if rec.failures:
                tries.setdefault(kind, []).append(rec.failures)
        self.usual = _usual(logs) if usual is None else usual
        self._counts = {kind: len(found) for kind, found in logs.items()}
        self._kinds = {kind: _kind(found, self.usual) for kind, found in logs.items()}
        for kind, failures in tries.items():
            done = len(logs.get(kind, ()))
            made = self._kinds.get(kind) or _kind([], self.usual)
            self._kinds[kind] = made._replace(fails=sum(failures) / (sum(failures) + done + SHRINK))

    def kind(self, spec: NodeSpec) -> Kind:
        """What is known of a node's kind."""
        return self._kinds.get(kind_of(spec)) or _kind([], self.usual)

    def known(self, spec: NodeSpec) -> bool:
        """Whether enough nodes of this kind have finished here to hold anybody to an estimate."""
        return self._counts.get(kind_of(spec), 0) >= KNOWN


def _usual(logs: Mapping[str, list[float]]) -> Usual:
    if not logs:
        return Usual()
    means = [sum(logs[kind]) / len(logs[kind]) for kind in sorted(logs)]
    mean, none = sum(means) / len(means), Usual()
    between = (none.between + sum((m - mean) ** 2 for m in means)) / len(means)
    within = (none.within + sum(_squares(logs[kind]) for kind in sorted(logs))) / (
        1 + sum(len(found) - 1 for found in logs.values())
    )
    return Usual(mean, between, within)


def _squares(values: list[float]) -> float:
    mean = sum(values) / len(values)
    return sum((x - mean) ** 2 for x in values)


def _kind(logs: list[float], usual: Usual) -> Kind:
    n = len(logs)
    if not n:
        return Kind(usual.mean, usual.between, usual.within)
    spread = (SHRINK * usual.within + _squares(logs)) / (SHRINK + n - 1)
    error = 1 / (n / spread + 1 / usual.between)
    return Kind(error * (sum(logs) / spread + usual.mean / usual.between), error, spread)


class Draws:
    """Simulated futures of nodes: seconds and attempts, a row of `count` draws for each. The same seed and name give
    the same chance, so that two graphs are compared on equal luck."""

    def __init__(self, pace: Pace, seed: str, count: int = DRAWS) -> None:
        self._pace, self._seed, self.count = pace, seed, count
        self._tables: dict[str, tuple[Row, Row]] = {}
        self._rows: dict[tuple[NodeSpec, float | None], Row] = {}

    def seconds(self, spec: NodeSpec, elapsed: float | None = None) -> Row:
        """Seconds that a node takes, failed attempts included; with `elapsed`, what is left of a running attempt."""
        row = self._rows.get((spec, elapsed))
        if row is None:
            row = self._rows[spec, elapsed] = self._drawn(spec, elapsed)
        return row

    def _drawn(self, spec: NodeSpec, elapsed: float | None) -> Row:
        factors, table = self._table(spec)
        luck = chance(self._seed, spec.name)
        if elapsed is None:
            row = tuple([f * table[b] for f, b in zip(factors, luck, strict=False)])
            return self._with_retries(spec, row)
        return tuple([_rest(f, table, b, elapsed) for f, b in zip(factors, luck, strict=False)])

    def attempts(self, spec: NodeSpec) -> Row:
        """Attempts that a node takes, 1 or more."""
        fails = self._pace.kind(spec).fails
        if not fails or not spec.retries:
            return (1.0,) * self.count
        luck, most = chance(self._seed, f"{spec.name}/attempts"), spec.retries + 1
        tries = [min(most, 1 + int(log(1 - (b + 0.5) / 256) / log(fails))) for b in luck[: self.count]]
        return tuple(map(float, tries))

    def _with_retries(self, spec: NodeSpec, row: Row) -> Row:
        if not spec.retries or not self._pace.kind(spec).fails:
            return row
        return tuple([x * n for x, n in zip(row, self.attempts(spec), strict=True)])

    def _table(self, spec: NodeSpec) -> tuple[Row, Row]:
        """Of a node's kind: a factor for each draw, in which all its nodes share, and seconds for each byte."""
        label = kind_of(spec)
        found = self._tables.get(label)
        if found is None:
            kind = self._pace.kind(spec)
            error, spread = sqrt(kind.error), sqrt(kind.spread)
            luck = chance(self._seed, f"{label}/kind")[: self.count]
            found = tuple([exp(error * _Z[b]) for b in luck]), tuple([exp(kind.mean + spread * z) for z in _Z])
            self._tables[label] = found
        return found


def _rest(factor: float, table: Row, luck: int, elapsed: float) -> float:
    """Seconds left of an attempt that has run for a while: drawn from what is longer; beyond all, as long again."""
    first = next((i for i, x in enumerate(table) if factor * x > elapsed), 256)
    return elapsed if first == 256 else factor * table[first + luck * (256 - first) // 256] - elapsed


def spread(values: Iterable[float]) -> Spread:
    """P50 and P90 of some draws."""
    ordered = sorted(values)
    return Spread(ordered[len(ordered) // 2], ordered[len(ordered) * 9 // 10]) if ordered else Spread()


def load(specs: Collection[NodeSpec], draws: Draws) -> tuple[list[float], list[float]]:
    """Seconds of work and cost of some nodes, draw by draw."""
    seconds, cost = [0.0] * draws.count, [0.0] * draws.count
    for spec in specs:
        seconds = [a + b for a, b in zip(seconds, draws.seconds(spec), strict=True)]
        price = float(spec.cost)
        if price:
            cost = [a + price * n for a, n in zip(cost, draws.attempts(spec), strict=True)]
    return seconds, cost


def draws_for(nodes: int) -> int:
    """How many draws a graph of some nodes gets: fewer where it is large."""
    return max(FEWEST, min(DRAWS, MOST_STEPS // max(1, nodes)))


def makespans(dag: Dag, look: Look, again: Collection[str], slots: int, at: float, draws: Draws) -> list[float]:
    """Seconds until all that is left of a graph is done, draw by draw. `again`: settled nodes that will run as well."""
    left = {}
    for name, entry in dag.entries.items():
        rec = look(name)
        if name in again or rec is None or rec.state not in SETTLED:
            left[name] = (entry, None if name in again else rec)
    running = {n for n, (_, rec) in left.items() if rec is not None and rec.state is NodeState.RUNNING}
    order = sorted(left, key=lambda name: (name not in running, dag.level(name), name))
    place = {name: i for i, name in enumerate(order)}
    downs: list[list[int]] = [[] for _ in order]
    waits, rows = [0] * len(order), []
    for name in order:
        entry, rec = left[name]
        for wire in entry.wires:
            if wire.up in place:
                downs[place[wire.up]].append(place[name])
                waits[place[name]] += 1
        elapsed = at - rec.began if rec is not None and name in running else None
        rows.append(draws.seconds(entry.spec, elapsed))
    return [_list_schedule(slots, waits, downs, seconds) for seconds in zip(*rows, strict=True)] or [0.0] * draws.count


def _list_schedule(slots: int, waits: list[int], downs: list[list[int]], seconds: Row) -> float:
    """When the last node ends, if whatever is ready takes the next free slot, in the order of the list."""
    waits = waits.copy()
    ready = [i for i, n in enumerate(waits) if not n]
    busy: list[tuple[float, int]] = []
    free, now = slots, 0.0
    while True:
        while ready and free:
            i = heappop(ready)
            heappush(busy, (now + seconds[i], i))
            free -= 1
        if not busy:
            return now
        now, i = busy[0]
        for down in downs[i]:
            waits[down] -= 1
            if not waits[down]:
                heappush(ready, down)
        if ready:  # the slot that this one leaves goes to the next at once
            i = heappop(ready)
            heapreplace(busy, (now + seconds[i], i))
        else:
            heappop(busy)
            free += 1


def mean_seconds(dag: Dag, records: Iterable[tuple[str, NodeRecord]]) -> dict[bytes, float]:
    """Mean seconds of finished attempts by code hash."""
    sums: dict[bytes, tuple[int, float]] = {}
    for name, rec in records:
        entry = dag.entries.get(name)
        if entry is not None and rec.state is NodeState.SUCCEEDED:
            n, total = sums.get(entry.spec.code.digest, (0, 0.0))
            sums[entry.spec.code.digest] = (n + 1, total + rec.seconds)
    return {code: total / n for code, (n, total) in sums.items()}


def work(specs: Iterable[NodeSpec], means: dict[bytes, float]) -> tuple[float, Fraction]:
    """Seconds of work and cost of some nodes; code that never ran counts as the mean of all, or one second."""
    usual = sum(means.values()) / len(means) if means else UNKNOWN_SECONDS
    seconds, cost = 0.0, Fraction(0)
    for spec in specs:
        seconds += means.get(spec.code.digest, usual)
        cost += spec.cost
    return seconds, cost
