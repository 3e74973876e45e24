"""A chain of large frames that stay in workers' memory, beside the same chain in raw Dask: time and peak memory.

    python -m tests.benchmarks.frames [MiB a frame] [frames] [rounds] [--write]

Each node makes a new frame of the one before. Ours is `durable=False`; raw Dask is one graph with every node a future,
since a run can be asked for each of its results. One worker, so that nothing is copied between processes; rounds in
turns, medians. Memory is the most that the worker's process had over what it has when idle. `--write` puts the table
into docs/benchmarks.md.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from distributed import Client

import hexdag_lab as hx
from tests.benchmarks.page import publish


def first(size: int) -> Any:
    return np.zeros(size // 8)


def more(frame: Any) -> Any:
    return frame + 1.0


def chain(size: int, count: int) -> hx.Dag:
    specs = [hx.NodeSpec("f0", first, params={"size": size}, durable=False)]
    for number in range(1, count):
        specs.append(hx.NodeSpec(f"f{number}", more, durable=False).after(f"f{number - 1}"))
    return hx.Dag.of(*specs)


def ours(lab: hx.Lab, client: Client, size: int, count: int) -> float:
    began = time.perf_counter()
    run = lab.start(chain(size, count))
    run.feed.until(lambda state: state.over).result(300)
    return time.perf_counter() - began


def raw(lab: hx.Lab, client: Client, size: int, count: int) -> float:
    key = f"frames_{size}"
    graph: dict[str, Any] = {f"first-{key}-0": (first, size)}
    for number in range(1, count):
        graph[f"more-{key}-{number}"] = (more, [*graph][-1])
    began = time.perf_counter()
    futures = client.get(graph, list(graph), sync=False)
    for future in futures:
        future.exception()  # wait for it, and leave it there
    seconds = time.perf_counter() - began
    for future in futures:
        future.release()
    return seconds


def peak(process: psutil.Process, work: Callable[[], float]) -> tuple[float, int]:
    """What `work` gives, and the most bytes that a process had meanwhile, over what it had before."""
    before, most, done = process.memory_info().rss, [0], threading.Event()

    def look() -> None:
        while not done.wait(0.005):
            most[0] = max(most[0], process.memory_info().rss)

    looking = threading.Thread(target=look)
    looking.start()
    try:
        value = work()
    finally:
        done.set()
        looking.join()
    return value, most[0] - before


def measured(kind: Callable[..., float], size: int, count: int) -> tuple[float, int]:
    """One chain on a cluster of its own, that has just come up and done a small one both ways."""
    with tempfile.TemporaryDirectory() as home, hx.Lab(store=f"sqlite:///{Path(home) / 'lab.db'}", workers=1) as lab:
        lab.start(chain(2**20, 2)).feed.until(lambda state: state.over).result(60)
        with Client(lab.doors._pool.address, set_as_default=False) as client:
            worker = psutil.Process(next(iter(client.run(os.getpid).values())))
            raw(lab, client, 2**20, 2)
            return peak(worker, lambda: kind(lab, client, size, count))


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("mib", type=int, nargs="?", default=1024, help="MiB a frame")
    parser.add_argument("count", type=int, nargs="?", default=6, help="frames, all in memory at the end")
    parser.add_argument("rounds", type=int, nargs="?", default=3)
    parser.add_argument("--write", action="store_true", help="put the table into docs/benchmarks.md")
    options = parser.parse_args()
    size, before = options.mib * 2**20, os.getloadavg()[0]
    seconds: dict[str, list[float]] = {"raw": [], "ours": []}
    memory: dict[str, list[int]] = {"raw": [], "ours": []}
    for number in range(options.rounds):
        for name, kind in (("raw", raw), ("ours", ours))[:: 1 if number % 2 else -1]:
            took, most = measured(kind, size, options.count)
            seconds[name].append(took)
            memory[name].append(most)
    lines = [
        f"{datetime.now(UTC):%Y-%m-%d}, {os.cpu_count()} cores, load {before:.1f} to {os.getloadavg()[0]:.1f}; "
        f"{options.count} frames of {options.mib:,} MiB, {options.rounds} rounds.",
        "",
        "| | seconds, median [min-max] | peak memory of the worker, median |",
        "| --- | --- | --- |",
    ]
    for name, label in (("raw", "raw Dask, one graph"), ("ours", "hexdag_lab, `durable=False`")):
        took, most = seconds[name], statistics.median(memory[name]) / 2**20
        lines.append(f"| {label} | {statistics.median(took):.2f} [{min(took):.2f}-{max(took):.2f}] | {most:,.0f} MiB |")
    time_ratio, memory_ratio = (
        statistics.median(of["ours"]) / statistics.median(of["raw"]) for of in (seconds, memory)
    )
    lines.append(f"| ratio (target <= 1.1 each) | {time_ratio:.2f} | {memory_ratio:.2f} |")
    text = "\n".join(lines)
    print(text)
    if options.write:
        publish("frames", text)


if __name__ == "__main__":
    main()
