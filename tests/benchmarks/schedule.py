"""How far list schedules by different orders are from the shortest possible run: the table of decision 0022.

    python -m tests.benchmarks.schedule

Nothing is executed: durations are drawn, slots are simulated, so every machine prints the same table.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from heapq import heappop, heappush
from math import exp
from random import Random
from statistics import mean
from typing import Any

from hexdag_lab import Dag, NodeSpec
from hexdag_lab.core.runs.rank import ranked

NODES, SLOTS, GRAPHS, KINDS = 400, 8, 60, 6
Ups = dict[str, list[str]]
Weights = Mapping[str, float]


def _name(number: int) -> str:
    return f"n{number:04d}"


def layered(rng: Random) -> Ups:
    return {
        _name(i): [_name((i // SLOTS - 1) * SLOTS + j) for j in rng.sample(range(SLOTS), rng.randint(1, 3))]
        if i >= SLOTS
        else []
        for i in range(NODES)
    }


def scattered(rng: Random) -> Ups:
    return {
        _name(i): [_name(j) for j in rng.sample(range(max(0, i - 40), i), min(i, rng.choice((0, 1, 1, 2, 3))))]
        for i in range(NODES)
    }


def chain(rng: Random) -> Ups:
    return {_name(i): [_name(i - 1)] if 0 < i < NODES // 4 else [] for i in range(NODES)}


def trees(rng: Random) -> Ups:
    return {
        _name(i): [_name(rng.randrange(max(0, i - rng.choice((3, 200))), i))] if i and rng.random() < 0.9 else []
        for i in range(NODES)
    }


SHAPES: dict[str, Callable[[Random], Ups]] = {
    "layered, 8 wide": layered,
    "random, 1 to 3 upstreams": scattered,
    "one chain and loose nodes": chain,
    "trees": trees,
}


def makespan(ups: Ups, seconds: Weights, urgency: Weights) -> float:
    """When the last node ends, if a free slot takes the most urgent node that is ready."""
    downs: dict[str, list[str]] = {name: [] for name in ups}
    missing = {name: len(above) for name, above in ups.items()}
    for name, above in ups.items():
        for up in above:
            downs[up].append(name)
    ready: list[tuple[float, str]] = []
    for name, count in missing.items():
        if not count:
            heappush(ready, (-urgency[name], name))
    busy: list[tuple[float, str]] = []
    now, free = 0.0, SLOTS
    while ready or busy:
        while ready and free:
            _, name = heappop(ready)
            heappush(busy, (now + seconds[name], name))
            free -= 1
        now, done = heappop(busy)
        free += 1
        for down in downs[done]:
            missing[down] -= 1
            if not missing[down]:
                heappush(ready, (-urgency[down], down))
    return now


def upward(dag: Dag, weights: Weights) -> dict[str, float]:
    """The heaviest chain that begins with each node."""
    found: dict[str, float] = {}
    for wave in reversed(dag.waves):
        for name in wave:
            found[name] = weights[name] + max((found[down] for down in dag.dependents(name)), default=0.0)
    return found


def ratios(shape: Callable[[Random], Ups], seed: int) -> list[float]:
    """Makespan over the lower bound, for each order."""
    rng = Random(seed)
    ups = shape(rng)
    dag = Dag.of(*(NodeSpec(name, len, version="1").after(*above) for name, above in ups.items()))
    usual = [exp(rng.gauss(0, 1)) for _ in range(KINDS)]
    kinds = {name: rng.randrange(KINDS) for name in ups}
    means = {name: usual[kind] for name, kind in kinds.items()}
    seconds = {name: means[name] * exp(rng.gauss(0, 0.5)) for name in ups}
    bound = max(max(upward(dag, seconds).values()), sum(seconds.values()) / SLOTS)
    ranks = ranked(dag)
    orders: list[dict[str, Any]] = [
        {name: -dag.level(name) for name in ups},
        {name: ranks[name] for name in ups},
        upward(dag, means),
        upward(dag, seconds),
    ]
    return [makespan(ups, seconds, urgency) / bound for urgency in orders]


def main() -> None:
    print("| shape | by waves' order | **by rank** | by rank, means known | by rank, seconds known |")
    print("| --- | --- | --- | --- | --- |")
    for title, shape in SHAPES.items():
        columns = zip(*(ratios(shape, seed) for seed in range(GRAPHS)), strict=True)
        cells = [f"{mean(column):.2f} ({max(column):.2f})" for column in columns]
        cells[1] = f"**{cells[1]}**"
        print(f"| {title} | {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
