"""What a run costs over raw Dask: layered no-op nodes, the same cluster, interleaved rounds, medians.

    make bench            (or: python -m tests.benchmarks.overhead [rounds])

Raw Dask is `client.get` of one graph with every node a future, the cheapest way that performance notes know. Ours has
everything on: versions, checks, every event journaled on SQLite at full durability.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from pathlib import Path

from distributed import Client

import hexdag_lab as hx

WIDTH, WORKERS = 100, 2


def noop(**ups: object) -> int:
    return 1


def layered(n: int) -> hx.Dag:
    """Layers of 100 nodes, each with two upstreams in the layer before, and one sink after all leaves."""
    specs = []
    for i in range(n - 1):
        layer, place = divmod(i, WIDTH)
        ups = {(layer - 1) * WIDTH + (place + k) % WIDTH for k in (0, 1)} if layer else set()
        specs.append(hx.NodeSpec(f"n{i}", noop).after(*(f"n{u}" for u in sorted(ups))))
    leaves = {s.name for s in specs} - {dep for s in specs for dep in s.deps}
    return hx.Dag.of(*specs, hx.NodeSpec("sink", noop).after(*sorted(leaves)))


def raw(client: Client, dag: hx.Dag, round_: int) -> float:
    began = time.perf_counter()
    keys = {name: f"noop-{round_}_{name}" for name in dag}
    graph = {keys[name]: (_call, [keys[up] for up in sorted(dag.dependencies(name))]) for name in dag}
    futures = client.get(graph, list(graph), sync=False)
    by_key = {future.key: future for future in futures}
    by_key[keys["sink"]].result()
    seconds = time.perf_counter() - began
    for future in futures:
        future.release()
    return seconds


def _call(ups: list[int]) -> int:
    return 1


def ours(lab: hx.Lab, dag: hx.Dag) -> float:
    began = time.perf_counter()
    run = lab.start(dag)
    run.wait(120)
    return time.perf_counter() - began


def main(rounds: int = 5, n: int = 1000) -> float:
    dag = layered(n)
    with tempfile.TemporaryDirectory() as home:
        store = f"sqlite:///{Path(home) / 'lab.db'}"
        with hx.Lab(store=store, workers=WORKERS) as lab:
            ours(lab, layered(100))  # warm up: imports, code on the workers
            with Client(lab.doors._pool.address) as client:
                raw(client, layered(100), -1)
                times: dict[str, list[float]] = {"raw": [], "ours": []}
                for round_ in range(rounds):
                    for kind in ("raw", "ours") if round_ % 2 else ("ours", "raw"):
                        times[kind].append(raw(client, dag, round_) if kind == "raw" else ours(lab, dag))
    medians = {kind: statistics.median(values) for kind, values in times.items()}
    print(f"layered {n}, {WORKERS} workers, {rounds} interleaved rounds, median ms a node")
    for kind, label in (("raw", "raw Dask, one graph"), ("ours", "hexdag_lab, SQLite FULL")):
        spread = f"[{min(times[kind]) / n * 1e3:.2f}-{max(times[kind]) / n * 1e3:.2f}]"
        print(f"  {label:28s} {medians[kind] / n * 1e3:6.2f}  {spread}")
    ratio = medians["ours"] / medians["raw"]
    print(f"  ratio {ratio:.2f}x   (target <= 1.6)")
    return ratio


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
