"""What a run costs over raw Dask, Ray and LangGraph: no-op nodes, interleaved rounds, medians.

    python -m tests.benchmarks.overhead [rounds] [--write] [--only TEXT]

Ours has everything on: versions, checks, every event journaled on SQLite at full durability. Each row is a shape of
graph and who runs it; all of a row take turns, in an order that is drawn anew each round, so that other work on the
machine meets them alike. The time is from the graph as a value to its last result. *Raw Dask* is on the same cluster
as ours: `client.get` of one graph, every node a future, which is the cheapest way to run it there; or one
`client.submit` a node, as people write it. For a chain it is a cluster of its own, as Dask comes: ours has shorter
windows. Rivals that are not installed are left out. `--write` puts the table into docs/benchmarks.md.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import re
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from platform import python_version
from typing import Annotated, Any, NamedTuple, TypedDict

from distributed import Client, Future, LocalCluster, wait

import hexdag_lab as hx
from tests.benchmarks.page import publish

WIDTH, WORKERS = 100, 2
OURS = "hexdag_lab"
ONE_GRAPH, SUBMITS, RAY, LANGGRAPH = "Dask, one graph", "Dask, submit a node", "Ray", "LangGraph, memory saver"

Runs = Callable[[int], float]
"""Runs a graph in some round; the seconds that it took."""


class Contest(NamedTuple):
    """Who takes part, ours first; `targets` are ratios that ours is to stay below."""

    who: dict[str, Runs]
    targets: dict[str, float]


class Row(NamedTuple):
    """A graph, and who runs it."""

    what: str
    shape: Callable[[int], hx.Dag]
    nodes: int
    make: Callable[[Bed, hx.Dag], Contest]


def noop(**ups: object) -> int:
    return 1


def wide(n: int) -> hx.Dag:
    """Nodes beside each other."""
    return hx.Dag.of(*(hx.NodeSpec(f"n{i}", noop) for i in range(n)))


def chain(n: int) -> hx.Dag:
    """Each node after the one before."""
    return hx.Dag.of(*(hx.NodeSpec(f"n{i}", noop).after(*([f"n{i - 1}"] if i else [])) for i in range(n)))


def layered(n: int) -> hx.Dag:
    """Layers of 100 nodes, each with two upstreams in the layer before, and one sink after all leaves."""
    specs = []
    for i in range(n - 1):
        layer, place = divmod(i, WIDTH)
        ups = {(layer - 1) * WIDTH + (place + k) % WIDTH for k in (0, 1)} if layer else set()
        specs.append(hx.NodeSpec(f"n{i}", noop).after(*(f"n{u}" for u in sorted(ups))))
    leaves = {s.name for s in specs} - {dep for s in specs for dep in s.deps}
    return hx.Dag.of(*specs, hx.NodeSpec("sink", noop).after(*sorted(leaves)))


# -- who runs them


def ours(lab: hx.Lab, dag: hx.Dag) -> Runs:
    def run(_: int) -> float:
        began = time.perf_counter()
        lab.start(dag).wait(600)
        return time.perf_counter() - began

    return run


def one_graph(client: Client, dag: hx.Dag) -> Runs:
    def run(round_: int) -> float:
        began = time.perf_counter()
        keys = {name: f"noop-{round_}_{len(dag)}_{name}" for name in dag}
        graph = {keys[name]: (_call, [keys[up] for up in sorted(dag.dependencies(name))]) for name in dag}
        return _timed(began, client.get(graph, list(graph), sync=False))

    return run


def submits(client: Client, dag: hx.Dag) -> Runs:
    def run(round_: int) -> float:
        began = time.perf_counter()
        futures: dict[str, Future] = {}
        for name in (name for wave in dag.waves for name in wave):
            ups = [futures[up] for up in sorted(dag.dependencies(name))]
            futures[name] = client.submit(_call, ups, key=f"_call-{round_}_{len(dag)}_{name}", pure=False)
        return _timed(began, list(futures.values()))

    return run


def _call(ups: list[int]) -> int:
    return 1


def _timed(began: float, futures: list[Future]) -> float:
    wait(futures)
    seconds = time.perf_counter() - began
    for future in futures:
        future.release()
    return seconds


def on_ray(dag: hx.Dag) -> Runs:
    import ray

    call = ray.remote(_ray_call)

    def run(_: int) -> float:
        began = time.perf_counter()
        refs: dict[str, Any] = {}
        for name in (name for wave in dag.waves for name in wave):
            refs[name] = call.remote(*(refs[up] for up in sorted(dag.dependencies(name))))
        ray.get(list(refs.values()))
        return time.perf_counter() - began

    return run


def _ray_call(*ups: int) -> int:
    return 1


def on_langgraph(dag: hx.Dag) -> Runs:
    from langgraph.checkpoint.memory import InMemorySaver
    from langgraph.graph import END, START, StateGraph

    async def one(state: dict[str, int]) -> dict[str, int]:
        return {"n": 1}

    def run(round_: int) -> float:
        began = time.perf_counter()
        made = StateGraph(_Counts)
        for name in dag:
            made.add_node(name, one)
        for name in dag:
            ups = sorted(dag.dependencies(name))
            made.add_edge(ups if len(ups) > 1 else ups[0] if ups else START, name)
            if not dag.dependents(name):
                made.add_edge(name, END)
        options = {"recursion_limit": len(dag) + 50, "configurable": {"thread_id": str(round_)}}
        graph = made.compile(checkpointer=InMemorySaver())
        found = asyncio.run(graph.ainvoke({"n": 0}, options))
        assert found["n"] == len(dag)
        return time.perf_counter() - began

    return run


def _add(a: int, b: int) -> int:
    return a + b


class _Counts(TypedDict):
    n: Annotated[int, _add]


# -- the table


class Bed:
    """Clusters and labs, each started when a row first needs it, and ended with the stack."""

    def __init__(self, stack: ExitStack) -> None:
        self._stack = stack
        self._home = Path(stack.enter_context(tempfile.TemporaryDirectory()))

    def _lab(self, name: str, **options: Any) -> hx.Lab:
        made = self._stack.enter_context(hx.Lab(store=f"sqlite:///{self._home / name}.db", **options))
        made.start(wide(200)).wait(120)  # warm up: imports, code on the workers, the pace of a no-op node
        return made

    @cached_property
    def plain(self) -> hx.Lab:
        return self._lab("plain", workers=WORKERS, grouping=False)

    @cached_property
    def grouped(self) -> hx.Lab:
        return self._lab("grouped", pool=self.plain.doors._pool.address)

    @cached_property
    def inline(self) -> hx.Lab:
        return self._lab("inline", pool="inline", workers=WORKERS)

    @cached_property
    def client(self) -> Client:
        """Raw Dask on the lab's cluster."""
        client = self._stack.enter_context(Client(self.plain.doors._pool.address))
        one_graph(client, wide(200))(-1)
        return client

    @cached_property
    def theirs(self) -> Client:
        """Raw Dask on a cluster as it comes."""
        bare = LocalCluster(n_workers=WORKERS, threads_per_worker=1, dashboard_address=":0")
        return self._stack.enter_context(Client(self._stack.enter_context(bare)))

    def ray(self) -> None:
        """Ray, with as many processes."""
        import ray

        os.environ.setdefault("RAY_raylet_start_wait_time_s", "120")  # on a busy machine
        ray.init(num_cpus=WORKERS, include_dashboard=False, logging_level="ERROR", log_to_driver=False)
        self._stack.callback(ray.shutdown)
        on_ray(wide(200))(0)


def against_dask(bed: Bed, dag: hx.Dag) -> Contest:
    who = {OURS: ours(bed.plain, dag), ONE_GRAPH: one_graph(bed.client, dag), SUBMITS: submits(bed.client, dag)}
    return Contest(who, {ONE_GRAPH: 1.3, SUBMITS: 0.9})


def in_a_chain(bed: Bed, dag: hx.Dag) -> Contest:
    return Contest({OURS: ours(bed.plain, dag), ONE_GRAPH: one_graph(bed.theirs, dag)}, {ONE_GRAPH: 0.45})


def in_bundles(bed: Bed, dag: hx.Dag) -> Contest:
    who = {OURS: ours(bed.grouped, dag), ONE_GRAPH: one_graph(bed.client, dag)}
    if find_spec("ray"):
        try:
            bed.ray()
        except Exception as error:  # its server gives up on a busy machine; the other figures are still worth having
            print(f"Ray does not come up: {error}")
        else:
            who[RAY] = on_ray(dag)
    return Contest(who, {ONE_GRAPH: 0.4, RAY: 1.0})


def without_a_cluster(bed: Bed, dag: hx.Dag) -> Contest:
    who = {OURS: ours(bed.inline, dag)}
    if find_spec("langgraph"):
        who[LANGGRAPH] = on_langgraph(dag)
    return Contest(who, {LANGGRAPH: 0.5})


ROWS = (
    Row("wide 1,000", wide, 1000, against_dask),
    Row("wide 5,000", wide, 5000, against_dask),
    Row("layered 1,000", layered, 1000, against_dask),
    Row("layered 5,000", layered, 5000, against_dask),
    Row("chain 1,000", chain, 1000, in_a_chain),
    Row("wide 5,000, in bundles", wide, 5000, in_bundles),
    Row("layered 1,000, inline pool", layered, 1000, without_a_cluster),
)


def measured(contest: Contest, nodes: int, rounds: int) -> dict[str, list[float]]:
    """Milliseconds a node of all who take part, round by round."""
    took: dict[str, list[float]] = {who: [] for who in contest.who}
    for round_ in range(rounds):
        for who in random.Random(round_).sample(list(took), len(took)):
            took[who].append(contest.who[who](round_) / nodes * 1e3)
    return took


def lines(what: str, took: dict[str, list[float]], targets: dict[str, float]) -> Iterator[str]:
    """The lines of a table, one for each rival: medians, their ratio, and the least and the largest of a round."""
    mine = statistics.median(took[OURS])
    rivals = [who for who in took if who != OURS]
    for who in rivals:
        theirs = statistics.median(took[who])
        each = sorted(a / b for a, b in zip(took[OURS], took[who], strict=True))
        ratio = f"{mine / theirs:.2f}x [{each[0]:.2f}-{each[-1]:.2f}]"
        yield f"| {what} | {mine:.2f} | {who} | {theirs:.2f} | {ratio} | <= {targets[who]:g}x |"
    if not rivals:
        yield f"| {what} | {mine:.2f} | (its rival is not installed) | | | |"


def table(rounds: int, only: str = "") -> str:
    """The table, as it stands on the page."""
    loads, found = [os.getloadavg()[0]], []
    with ExitStack() as stack:
        bed = Bed(stack)
        for row in (row for row in ROWS if re.search(only, row.what)):
            contest = row.make(bed, row.shape(row.nodes))
            made = list(lines(row.what, measured(contest, row.nodes, rounds), contest.targets))
            loads.append(os.getloadavg()[0])
            print(*made, sep="\n", flush=True)
            found += made
    return "\n".join(
        [
            f"CPython {python_version()}, {os.cpu_count()} cores, load {min(loads):.1f} to {max(loads):.1f}, "
            f"{rounds} rounds.",
            "",
            "| graph | ours, ms a node | against | ms a node | ratio [of a round] | target |",
            "| --- | --- | --- | --- | --- | --- |",
            *found,
        ]
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("rounds", type=int, nargs="?", default=5)
    parser.add_argument("--only", default="", help="only rows whose name has this regular expression in it")
    parser.add_argument("--write", action="store_true", help="put the table into docs/benchmarks.md")
    options = parser.parse_args()
    text = table(options.rounds, options.only)
    print(text)
    if options.write:
        publish("overhead", text)


if __name__ == "__main__":
    main()
