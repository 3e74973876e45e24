"""The makespan of an uneven graph.

    python -m tests.benchmarks.makespan [rounds] [--write]

*Uneven*: 10 layers of 8 nodes, each with two upstreams in the layer before, that sleep for a time drawn from a
lognormal distribution with a mean of 50 ms (sigma 1), on 8 slots. The makespan is from the first node's start to the
last one's end, by the workers' own reports. The yardstick is the graph's lower bound, the longer of its critical path
and its work divided by 8; and the same graph in waves, in the same rounds. A round has a graph of its own.

Medians; `--write` puts the table into docs/benchmarks.md.
"""

from __future__ import annotations

import os
import random
import statistics
import tempfile
import time
from typing import NamedTuple

import hexdag_lab as hx
from tests.benchmarks.page import command

LAYERS, WIDTH, MEAN, SIGMA = 10, 8, 0.050, 1.0


def sleeps(seconds: float, **ups: object) -> None:
    time.sleep(seconds)


class Uneven(NamedTuple):
    """A graph; its lower bound on 8 slots, and what waves would take that cost nothing themselves, both in seconds."""

    dag: hx.Dag
    bound: float
    waves: float


def uneven(seed: int) -> Uneven:
    """The graph of a seed."""
    draw = random.Random(seed)
    mu = -(SIGMA**2) / 2
    specs, ends, total, waves, above = [], dict[str, float](), 0.0, 0.0, list[str]()
    for layer in range(LAYERS):
        names, longest = [f"n{layer}_{place}" for place in range(WIDTH)], 0.0
        for name in names:
            seconds, ups = MEAN * draw.lognormvariate(mu, SIGMA), sorted(draw.sample(above, 2)) if above else []
            specs.append(hx.NodeSpec(name, sleeps, params={"seconds": seconds}).after(*ups))
            ends[name] = seconds + max((ends[up] for up in ups), default=0.0)
            total, longest = total + seconds, max(longest, seconds)
        above, waves = names, waves + longest
    return Uneven(hx.Dag.of(*specs), max(max(ends.values()), total / WIDTH), waves)


def makespan(lab: hx.Lab, dag: hx.Dag, schedule: str) -> tuple[float, float]:
    """Seconds from the first node's start to the last one's end, and from `lab.start` to the answer of `wait`."""
    began = time.perf_counter()
    run = lab.start(dag, schedule=schedule)
    run.wait(120)
    whole = time.perf_counter() - began
    times = [event.at for event in run.events() if event.kind in ("NodeStarted", "NodeSucceeded")]
    return max(times) - min(times), whole


class Ratios(NamedTuple):
    """For each round: makespan over lower bound and over that in waves, the whole time over the lower bound, and what
    the second of these would be if neither way cost anything."""

    bound: list[float]
    waves: list[float]
    whole: list[float]
    least: list[float]


def uneven_rounds(rounds: int, workers: int) -> Ratios:
    ratios = Ratios([], [], [], [])
    with (
        tempfile.TemporaryDirectory() as home,
        hx.Lab(store=f"sqlite:///{home}/lab.db", workers=workers, threads=WIDTH // workers) as lab,
    ):
        for schedule in ("ready", "waves"):  # warm up: imports and code on the workers
            makespan(lab, uneven(-1).dag, schedule)
        for seed in range(rounds):
            dag, bound, waves = uneven(seed)
            ratios.least.append(bound / waves)
            order = ("ready", "waves") if seed % 2 else ("waves", "ready")
            found = {schedule: makespan(lab, dag, schedule) for schedule in order}
            ratios.bound.append(found["ready"][0] / bound)
            ratios.waves.append(found["ready"][0] / found["waves"][0])
            ratios.whole.append(found["ready"][1] / bound)
    return ratios


def row(what: str, ratios: list[float], target: str) -> str:
    return f"| {what} | {statistics.median(ratios):.2f}x [{min(ratios):.2f}-{max(ratios):.2f}] | {target} |"


def table(rounds: int) -> list[str]:
    lines = ["| what | median [min-max] | target |", "| --- | --- | --- |"]
    for workers, how in ((1, "one worker of 8 slots"), (4, "four workers of 2 slots")):
        found = uneven_rounds(rounds, workers)
        lines += [
            row(f"uneven, {how}: makespan over its lower bound", found.bound, "<= 1.10x"),
            row("over the same graph in waves", found.waves, "<= 0.70x"),
            row("the least that this could be: lower bound over waves that cost nothing", found.least, ""),
            row("from `lab.start` to the answer of `wait`, over the lower bound", found.whole, ""),
        ]
    return lines


def published(rounds: int) -> str:
    """The table, and how busy the machine was."""
    before, lines = os.getloadavg()[0], table(rounds)
    load = f"{os.cpu_count()} cores, load {before:.1f} to {os.getloadavg()[0]:.1f}, {rounds} rounds."
    return "\n".join([load, "", *lines])


if __name__ == "__main__":
    command("makespan", __doc__ or "", published, 7)
