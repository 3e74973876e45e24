"""What a proposal costs the controller of a large run, in durable SQLite commits of the same rounds.

    .venv/bin/python -m tests.benchmarks.proposals [rounds [nodes]]

A run of 500 nodes in layers of 50, a quarter of them finished and four running. *Opening* is everything that the
message `Propose` leads to: rebase, checks, effect, Monte Carlo estimate, events as JSON. *Applying* is the deciding
ballot: the vote, the check at the instant of applying, the new version, what is submitted next, events as JSON. Both
are measured in the core, without the commit; the yardstick is one commit of a row of 1 kB at full durability.
Interleaved, medians.

Then how often a vote is voided though nothing has changed but that more is known: 200 simulated runs, seconds log-
normal, three measurements of the code at the vote and twenty when it lands, a proposal that starts one or ten nodes.
"""

from __future__ import annotations

import asyncio
import statistics
import sys
import tempfile
import time
from math import exp
from pathlib import Path
from random import Random

from hexdag_lab.core.base.codec import dumps
from hexdag_lab.core.base.frozen import FrozenDict
from hexdag_lab.core.dag.changeset import Changeset
from hexdag_lab.core.dag.code import Code, Param
from hexdag_lab.core.dag.dag import Dag
from hexdag_lab.core.dag.node import NodeSpec
from hexdag_lab.core.machine import messages as ms
from hexdag_lab.core.machine.decide import apply
from hexdag_lab.core.machine.state import RunState
from hexdag_lab.core.runs.estimate import Draws, Pace, Usual, load, spread
from hexdag_lab.core.runs.run import NodeRecord, NodeState
from hexdag_lab.core.runs.value import Kept
from hexdag_lab.core.votes.agent import Seat
from hexdag_lab.core.votes.ballot import Choice
from hexdag_lab.core.votes.proposal import ENVELOPE, Estimate
from hexdag_lab.core.votes.weighing import Majority
from hexdag_lab.runtime.stores import store_of

WIDTH, SLOTS, KINDS = 50, 4, 7
MOST_OPEN, MOST_APPLY = 40, 10  #: commits


def spec(name: str, kind: str) -> NodeSpec:
    return NodeSpec(name, code=Code(kind, "bench", kind.encode().ljust(32, b"-"), (Param("kw", False, "many"),)))


def layered(n: int) -> Dag:
    specs = []
    for i in range(n):
        layer, place = divmod(i, WIDTH)
        ups = {(layer - 1) * WIDTH + (place + k) % WIDTH for k in (0, 1)} if layer else set()
        specs.append(spec(f"n{i}", f"kind{i % KINDS}").after(*(f"n{u}" for u in sorted(ups))))
    return Dag.of(*specs)


def told(state: RunState, message: object) -> RunState:
    return apply(state, message)[0]


def busy_run(dag: Dag) -> RunState:
    """A run with a quarter of its nodes finished, as many running as there are slots."""
    seats = tuple(Seat(name) for name in ("ada", "bob", "cy"))
    state = told(RunState(), ms.StartRun(0.0, "r", dag, FrozenDict(), Majority(), seats, "ada", "ada"))
    state = told(told(state, ms.PoolChanged(0.0, SLOTS, 2 * SLOTS)), ms.Dispatch(0.0))
    at, done = 0.0, 0
    while done < len(dag) // 4:
        name = min(n for n, rec in state.nodes.items() if rec.submitted and not rec.unmet)
        at, fence = at + 1, state.nodes[name].fence
        seconds = 1.0 + 0.1 * (done % 11)
        state = told(state, ms.Started(at, name, fence, "w"))
        state = told(state, ms.Succeeded(at, name, fence, seconds, Kept("inline", b"1", f"{done:064}")))
        state, done = told(state, ms.Dispatch(at)), done + 1
    for name in sorted(n for n, rec in state.nodes.items() if rec.submitted and not rec.unmet)[:SLOTS]:
        state = told(state, ms.Started(at, name, state.nodes[name].fence, "w"))
    assert sum(rec.state is NodeState.RUNNING for rec in state.nodes.values()) == SLOTS
    return state


def one_round(state: RunState, number: int) -> tuple[float, float]:
    """Seconds to open a proposal of five nodes, and to apply it with the deciding ballot."""
    change, at = Changeset.on(state.dag), state.at + 1
    last = len(state.dag) - 1
    for k in range(5):
        change = change.add_node(spec(f"new{number}_{k}", f"kind{k}").after(f"n{last - k}"))
    state.dag.digest, state.nodes.digest  # noqa: B018  a lab has hashed its head when the last version was journaled
    began = time.perf_counter()
    state, events, _ = apply(state, ms.Propose(at, f"r/p{number}", change, "ada", "more"))
    state, more, _ = apply(state, ms.Dispatch(at))
    rows = [dumps(event) for event in (*events, *more)]
    opened = time.perf_counter() - began
    state = told(state, ms.CastBallot(at, f"r/p{number}", "bob", Choice.APPROVE))
    began = time.perf_counter()
    state, events, _ = apply(state, ms.CastBallot(at, f"r/p{number}", "cy", Choice.APPROVE))
    state, more, _ = apply(state, ms.Dispatch(at))
    rows += [dumps(event) for event in (*events, *more)]
    applied = time.perf_counter() - began
    assert state.proposals[f"r/p{number}"].version == state.version == 2
    assert rows
    return opened, applied


def predicted(rng: Random, count: int, sigma: float, nodes: int, seed: str, usual: Usual | None) -> Estimate:
    """The work of some nodes, when so many of their kind have been measured."""
    found = [
        (f"n{i}", NodeRecord(NodeState.SUCCEEDED, started=1, seconds=exp(rng.gauss(1, sigma)))) for i in range(count)
    ]
    pace = Pace(Dag.of(*(spec(name, "fit") for name, _ in found)), found, usual)
    work, _ = load([spec(f"new{i}", "fit") for i in range(nodes)], Draws(pace, seed))
    return Estimate(work=spread(work), usual=pace.usual)


def _voids(runs: int = 200) -> None:
    print("  votes voided by nothing but measurements   P90 against P90   P50 against P90 (ours)")
    for sigma in (0.3, 0.5, 1.0):
        for nodes in (1, 10):
            strict = ours = 0
            for number in range(runs):
                voted = predicted(Random(number), 3, sigma, nodes, str(number), None)
                assert voted.usual is not None
                now = predicted(Random(number), 20, sigma, nodes, str(number), Usual(*voted.usual))
                strict += now.work[1] > ENVELOPE * voted.work[1]
                ours += bool(voted.objection(now))
            label = f"sigma {sigma}, {nodes} node{'s' * (nodes > 1)}"
            print(f"    {label:38s} {strict / runs:12.1%} {ours / runs:17.1%}")


async def main(rounds: int = 15, nodes: int = 500) -> None:
    state = busy_run(layered(nodes))
    times: dict[str, list[float]] = {"commit": [], "open": [], "apply": []}
    with tempfile.TemporaryDirectory() as home:
        store = store_of(f"sqlite:///{Path(home) / 'lab.db'}")
        await store.open()
        for number in range(rounds):
            began = time.perf_counter()
            await store.commit(puts={"k": b"x"}, append={"s": [b"x" * 1000]})
            times["commit"].append(time.perf_counter() - began)
            opened, applied = one_round(state, number)
            times["open"].append(opened)
            times["apply"].append(applied)
        await store.close()
    median = {what: statistics.median(found) for what, found in times.items()}
    print(f"a run of {nodes} nodes, {rounds} interleaved rounds, medians [min-max]")
    for what, label in (("commit", "one durable commit"), ("open", "opening a proposal"), ("apply", "applying it")):
        low, high = min(times[what]) * 1e3, max(times[what]) * 1e3
        print(f"  {label:20s} {median[what] * 1e3:7.2f} ms  [{low:.2f}-{high:.2f}]")
    for what, most in (("open", MOST_OPEN), ("apply", MOST_APPLY)):
        print(f"  {what:5s} {median[what] / median['commit']:5.1f} commits   (target <= {most})")
    _voids()


if __name__ == "__main__":
    asyncio.run(main(*map(int, sys.argv[1:])))
