"""The versioned DAG against copying a graph: networkx, rustworkx, and `hexdag`, which makes its graph anew.

    python -m tests.benchmarks.dag [nodes] [--write]

Ratios from rounds that were interleaved, medians. It prints the table of docs/benchmarks.md; `--write` puts it between
the marks there. A rival that is not installed is left out and named (`make bench` installs them all, in an environment
of its own). The rivals copy their graph, add a node or an edge and compute the generations; none of them has a hash.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import platform
import random
import statistics
import sys
import tracemalloc
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from time import perf_counter
from typing import Any

import networkx as nx

import hexdag_lab as hx
from tests.benchmarks.page import publish

WIDTH = 100  #: nodes in a layer; each has two upstreams in the layer before


def step(depth: int = 3, **inputs: object) -> None: ...


STEP = hx.NodeSpec("step", step)


def name(i: int) -> str:
    return f"n{i:07}"


def upstreams(nodes: int, seed: int = 1) -> list[tuple[str, ...]]:
    """The upstreams of each node, in layers."""
    draw = random.Random(seed)
    rows = (i // WIDTH for i in range(nodes))
    return [
        tuple(sorted({name((row - 1) * WIDTH + draw.randrange(WIDTH)) for _ in "ab"})) if row else () for row in rows
    ]


def specs(nodes: int) -> list[hx.NodeSpec]:
    return [STEP.but(name=name(i), params={"depth": i}).after(*ups) for i, ups in enumerate(upstreams(nodes))]


def leaves(nodes: int, count: int) -> Iterator[hx.NodeSpec]:
    """New nodes, each with two upstreams anywhere in the graph; nobody has asked for their digests yet."""
    draw = random.Random(2)
    for i in range(count):
        yield STEP.but(name=f"new{i}", params={"depth": i}).after(*{name(draw.randrange(nodes)) for _ in "ab"})


def seconds(call: Callable[[], Any]) -> float:
    began = perf_counter()
    call()
    return perf_counter() - began


def interleaved(rounds: int, **calls: Callable[[], Any]) -> dict[str, float]:
    """Median seconds of each call."""
    times: dict[str, list[float]] = {label: [] for label in calls}
    gc.collect()
    for _ in range(rounds):
        for label, call in calls.items():
            times[label].append(seconds(call))
    return {label: statistics.median(values) for label, values in times.items()}


# -- the rivals: each makes a graph of specs, and a changed copy of it with its generations


class Networkx:
    def __init__(self, nodes: list[hx.NodeSpec]) -> None:
        self.graph = nx.DiGraph()
        for spec in nodes:
            self.graph.add_node(spec.name, spec=spec)
        for spec in nodes:
            for up in spec.deps:
                self.graph.add_edge(up, spec.name)
        self.waves = list(nx.topological_generations(self.graph))

    def add(self, spec: hx.NodeSpec) -> Any:
        graph = self.graph.copy()
        graph.add_node(spec.name, spec=spec)
        graph.add_edges_from((up, spec.name) for up in spec.deps)
        return graph, list(nx.topological_generations(graph))

    def link(self, up: str, down: str) -> Any:
        graph = self.graph.copy()
        graph.add_edge(up, down)
        return list(nx.topological_generations(graph)) if nx.is_directed_acyclic_graph(graph) else None


class Rustworkx:
    def __init__(self, nodes: list[hx.NodeSpec]) -> None:
        import rustworkx

        self.generations = rustworkx.topological_generations
        self.graph = rustworkx.PyDiGraph()
        self.index = {spec.name: self.graph.add_node(spec) for spec in nodes}
        self.graph.add_edges_from_no_data(
            [(self.index[up], self.index[spec.name]) for spec in nodes for up in spec.deps]
        )

    def add(self, spec: hx.NodeSpec) -> Any:
        graph = self.graph.copy()
        new = graph.add_node(spec)
        graph.add_edges_from_no_data([(self.index[up], new) for up in spec.deps])
        return graph, list(self.generations(graph))


class Hexdag:
    def __init__(self, nodes: list[hx.NodeSpec]) -> None:
        from hexdag.kernel.domain.dag import DirectedGraph, NodeSpec

        self.graph_of = DirectedGraph
        self.spec_of = lambda spec: NodeSpec(spec.name, step, deps=frozenset(spec.deps), params=dict(spec.params))
        self.nodes = [self.spec_of(spec) for spec in nodes]

    def add(self, spec: hx.NodeSpec) -> Any:
        graph = self.graph_of([*self.nodes, self.spec_of(spec)])
        return graph, graph.waves()


RIVALS: dict[str, tuple[type, int]] = {  # and how often an addition is measured
    "networkx": (Networkx, 3),
    "rustworkx": (Rustworkx, 25),
    "hexdag 0.8": (Hexdag, 3),
}


def rivals(nodes: list[hx.NodeSpec]) -> Iterator[tuple[str, Any]]:
    for label, (kind, _) in RIVALS.items():
        try:
            yield label, kind(nodes)
        except ImportError as error:
            print(f"  {label} is left out: {error}", file=sys.stderr)


# -- what is measured


@dataclass
class Added:
    """Median seconds of an `add_node` with its digest, and with `waves` too; those of each rival."""

    digest: float
    waves: float
    rivals: dict[str, float]


def added(nodes: int, others: Iterable[tuple[str, Any]], dag: hx.Dag) -> Added:
    """Additions one on top of the other, all versions kept; a rival's turn comes after every 20."""
    dag.digest, dag.waves  # noqa: B018
    versions = [dag]
    known, shown = [], []
    times: dict[str, list[float]] = {label: [] for label, _ in others}
    new = leaves(nodes, 2000)
    for turn in range(25):
        for _ in range(20):
            spec = next(new)
            known.append(seconds(lambda spec=spec: versions.append(versions[-1].add_node(spec)) or versions[-1].digest))
        versions[-1].waves  # noqa: B018
        for _ in range(20):
            spec = next(new)
            shown.append(seconds(lambda spec=spec: versions.append(versions[-1].add_node(spec)) or look(versions[-1])))
        for label, rival in others:
            if turn < RIVALS[label][1]:
                spec = next(new)
                times[label].append(seconds(lambda rival=rival, spec=spec: rival.add(spec)))
    median = statistics.median
    return Added(median(known), median(shown), {label: median(values) for label, values in times.items()})


def look(dag: hx.Dag) -> Any:
    return dag.digest, dag.waves


def worst_edge(nodes: int, dag: hx.Dag, networkx: Networkx) -> tuple[float, float, float]:
    """An edge that lifts half of the graph, and one that closes a cycle over it, against networkx."""
    half = nodes // 2 // WIDTH * WIDTH
    up, down = name(half + 3 * WIDTH), name(half + 7)  # three layers higher, and what is below goes with it
    end = dag.waves[-1][0]
    top = next(n for n in dag.waves[half // WIDTH] if end in dag.below(n))

    def cycle() -> None:
        try:
            dag.add_edge(end, top)
        except hx.CycleError:
            return
        raise AssertionError("this edge closes a cycle")

    found = interleaved(
        3,
        lift=lambda: look(dag.add_edge(up, down)),
        cycle=cycle,
        theirs=lambda: networkx.link(up, down),
    )
    lifted = dag.add_edge(up, down)
    moved = sum(lifted.level(n) != dag.level(n) for n in dag)
    print(f"  the edge lifts {moved} of {nodes} nodes", file=sys.stderr)
    return found["lift"], found["cycle"], found["theirs"]


def memory(nodes: int, dag: hx.Dag, versions: int = 300) -> float:
    """Bytes for each further version, with its digest."""
    dag.digest, dag.waves  # noqa: B018
    new = list(leaves(nodes, versions))
    kept = [dag]
    tracemalloc.start()
    for spec in new:
        kept.append(kept[-1].add_node(spec))
        kept[-1].digest  # noqa: B018
    used = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    return used / versions


def difference(nodes: int, dag: hx.Dag) -> tuple[float, float]:
    """Two versions 10 changes apart: `diff`, and comparing two dicts of specs."""
    later = dag
    for i, spec in enumerate(leaves(nodes, 5)):
        later = later.add_node(spec).replace_node(name(i * nodes // 7), STEP.but(params={"depth": -1}))
    old, new = dict(dag.nodes), dict(later.nodes)
    assert len(hx.diff(dag, later).added) == len(hx.diff(dag, later).changed) == 5
    found = interleaved(
        9,
        ours=lambda: hx.diff(dag, later),
        dicts=lambda: sorted(n for n in old.keys() | new.keys() if old.get(n) != new.get(n)),
    )
    return found["ours"], found["dicts"]


def text(nodes: int) -> tuple[float, float]:
    """A graph to JSON and back, and the same text by `json` alone."""
    dag = hx.Dag.of(*specs(nodes))
    written = dag.to_json()
    data = json.loads(written)
    assert json.dumps(data, indent=1, ensure_ascii=False) == written
    found = interleaved(
        5,
        ours=lambda: hx.Dag.from_json(dag.to_json()),
        alone=lambda: json.loads(json.dumps(data, indent=1, ensure_ascii=False)),
    )
    return found["ours"], found["alone"]


# -- the table


def said(what: str) -> None:
    print(f"  {what} ...", file=sys.stderr, flush=True)


def row(what: str, figure: str, target: str) -> str:
    return f"| {what} | {figure} | {target} |"


def table(nodes: int) -> list[str]:
    said("text")
    read, alone = text(10_000)  # first: the collector of garbage would walk over whatever else is alive
    said("specs")
    given = specs(nodes)
    said("build")
    build = interleaved(3, ours=lambda: hx.Dag.of(*given), theirs=lambda: Networkx(given))
    dag = hx.Dag.of(*given)
    first = seconds(lambda: dag.digest)
    said("add")
    others = list(rivals(given))
    big = added(nodes, others, dag)
    small = added(1000, [], hx.Dag.of(*specs(1000)))
    said("worst edge")
    networkx = next(rival for label, rival in others if label == "networkx")
    lift, cycle, theirs = worst_edge(nodes, dag, networkx)
    said("memory")
    used = memory(nodes, dag)
    said("difference")
    ours, dicts = difference(nodes, dag)
    n = f"{nodes:,}"
    targets = {"networkx": ">= 10,000x", "rustworkx": ">= 250x", "hexdag 0.8": ""}
    return [
        row("what", "figure", "target"),
        "| --- | --- | --- |",
        row(f"`add_node` and `digest`, {n} nodes, all versions kept", f"{big.digest * 1e6:.0f} µs", ""),
        row("the same and `waves`", f"{big.waves * 1e6:.0f} µs", ""),
        *(
            row(
                f"{label}: {'anew' if label.startswith('hexdag') else 'copy'}, add, generations",
                f"{seconds_ * 1e3:,.1f} ms: {seconds_ / big.digest:,.0f}x; with `waves` {seconds_ / big.waves:,.0f}x",
                targets[label],
            )
            for label, seconds_ in big.rivals.items()
        ),
        row(f"growth of `add_node` and `digest` from 1,000 to {n}", f"{big.digest / small.digest:.2f}x", "< 2x"),
        row("an edge that lifts half of the graph, against networkx with its check", f"{lift / theirs:.2f}x", "< 1x"),
        row("an edge that closes a cycle over it", f"{cycle / theirs:.2f}x", "< 1x"),
        row("memory of a further version, with its digest", f"{used / 1024:.1f} KiB", "<= 8 KiB"),
        row("`diff`, 10 changes apart, against comparing dicts of specs", f"{dicts / ours:,.0f}x", ">= 100x"),
        row(
            f"a graph of {n} specs, against networkx and its generations",
            f"{build['ours'] / build['theirs']:.2f}x",
            "<= 1.5x",
        ),
        row("its first digest, against the same", f"{first / build['theirs']:.2f}x", ""),
        row("10,000 nodes to JSON and back, against `json` alone", f"{read / alone:.2f}x", "<= 4x"),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("nodes", type=int, nargs="?", default=100_000)
    parser.add_argument("--write", action="store_true", help="put the table into docs/benchmarks.md")
    options = parser.parse_args()
    before = os.getloadavg()[0]
    lines = table(options.nodes)
    where = (
        f"CPython {platform.python_version()}, {os.cpu_count()} cores, load {before:.1f} to {os.getloadavg()[0]:.1f}"
    )
    found = "\n".join([f"{where}.", "", *lines])
    print(found)
    if options.write:
        publish("dag", found)


if __name__ == "__main__":
    main()
