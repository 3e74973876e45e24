"""What a run of 10,000 nodes costs the controller: memory over an idle lab's, and processor time a node.

    python -m tests.benchmarks.large [rounds] [--write]

Layers of 100 no-op nodes, each with two upstreams in the layer before, on two workers, SQLite at full durability.
Memory is the most that the controller's process has, over what it had with the lab open and warm, before the graph was
built. Processor time is that of the same process, from `lab.start` to the answer of `wait`, divided by the nodes; the
yardstick is a run of 1,000. Each run is in a fresh process, in turns; medians. `--write` puts the table into
docs/benchmarks.md.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from datetime import UTC, datetime
from typing import NamedTuple

import psutil

import hexdag_lab as hx
from tests.benchmarks.overhead import layered, ours
from tests.benchmarks.page import command

SMALL, LARGE = 1_000, 10_000
CHILD = "--child"


class Cost(NamedTuple):
    """Bytes over idle, seconds of processor time a node, and seconds in all."""

    memory: float
    cpu: float
    wall: float


def cost(nodes: int) -> Cost:
    """That of one run in this process."""
    process, most, done = psutil.Process(), [0], threading.Event()

    def look() -> None:
        while not done.wait(0.05):
            most[0] = max(most[0], process.memory_info().rss)

    with tempfile.TemporaryDirectory() as home, hx.Lab(store=f"sqlite:///{home}/lab.db", workers=2) as lab:
        ours(lab, layered(200))
        idle = process.memory_info().rss
        looking = threading.Thread(target=look)
        looking.start()
        dag = layered(nodes)
        began, spent = time.perf_counter(), time.process_time()
        lab.start(dag).wait(600)
        found = time.process_time() - spent, time.perf_counter() - began
        done.set()
        looking.join()
    return Cost(most[0] - idle, found[0] / nodes, found[1])


def apart(nodes: int) -> Cost:
    """The same in a process of its own."""
    command = [sys.executable, "-m", "tests.benchmarks.large", CHILD, str(nodes)]
    done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=1200)
    return Cost(*map(float, done.stdout.split()[-3:]))


def table(rounds: int) -> str:
    before = os.getloadavg()[0]
    found: dict[int, list[Cost]] = {SMALL: [], LARGE: []}
    for number in range(rounds):
        for nodes in (SMALL, LARGE)[:: 1 if number % 2 else -1]:
            found[nodes].append(apart(nodes))
    cpu = {nodes: statistics.median(one.cpu for one in costs) for nodes, costs in found.items()}
    memory = statistics.median(one.memory for one in found[LARGE]) / 2**20
    wall = statistics.median(one.wall for one in found[LARGE])
    return "\n".join([
        f"{datetime.now(UTC):%Y-%m-%d}, {os.cpu_count()} cores, load {before:.1f} to {os.getloadavg()[0]:.1f}, "
        f"{rounds} rounds.", "",
        "| what | figure | target |", "| --- | --- | --- |",
        f"| {LARGE:,} nodes: the controller's memory over idle | {memory:,.0f} MiB | <= 300 MB |",
        f"| processor time of the controller a node: of {SMALL:,} / of {LARGE:,} nodes "
        f"| {cpu[SMALL] * 1e3:.2f} / {cpu[LARGE] * 1e3:.2f} ms: {cpu[LARGE] / cpu[SMALL]:.2f}x | <= 1.3x |",
        f"| {LARGE:,} nodes, from `lab.start` to the answer of `wait` | {wall:,.1f} s | |",
    ])  # fmt: skip


def main() -> None:
    if CHILD in sys.argv:
        print(*cost(int(sys.argv[-1])))
    else:
        command("large", __doc__ or "", table, 3)


if __name__ == "__main__":
    main()
