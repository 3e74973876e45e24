"""A run that is paused begins nothing more, also of what its pool was given ahead of time. Real processes.

The witness is a file that nodes write.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

import hexdag_lab as hx
from hexdag_lab.runtime.pools.dask import DaskPool
from tests.runtime.kit import PATIENCE, executions, open_gate, pass_gate, pids, ran, until

DASK = pytest.param({"pool": "dask", "workers": 2}, id="dask", marks=pytest.mark.dask)
REGIONS = pytest.param({"regions": {"eu": "inline", "us": "inline"}, "workers": 1}, id="regions")
INLINE = pytest.param({"pool": "inline", "workers": 2}, id="inline")


def step(name: str, witness: str, gate: str, **ups: str) -> str:
    ran(witness, name)
    pass_gate(gate)
    return name


@pytest.fixture(scope="module", params=[INLINE, REGIONS, DASK])
def opened(request: pytest.FixtureRequest) -> Iterator[hx.Lab]:
    with hx.Lab(store="memory://", **request.param) as lab:
        yield lab


@pytest.fixture
def lab(opened: hx.Lab, gate: Path) -> Iterator[hx.Lab]:
    """Each test begins with workers that are idle."""
    until(lambda: {row.state for row in opened.workers()} == {"idle"} and sum(w.slots for w in opened.workers()) == 2)
    yield opened
    open_gate(gate)  # else a test that fails leaves its workers to the next one


def spec(number: int, witness: Path, gate: Path, **options: bool) -> hx.NodeSpec:
    params = {"name": f"n{number}", "witness": str(witness), "gate": str(gate)}
    return hx.NodeSpec(f"n{number}", step, params=params, **options)


def pause(run: hx.Run, lab: hx.Lab) -> None:
    """Pause a run, and wait until its workers have heard of it."""
    pool = lab.doors._pool
    run.pause()
    if isinstance(pool, DaskPool):
        until(lambda: pool._orders.held and not pool._orders.under_way, "the workers know what is not to begin")
    else:
        until(
            lambda: run.view.state.outstanding == sum(len(row.nodes) for row in lab.workers()),
            "what has not begun is taken back",
        )


def settled(run: hx.Run) -> bool:
    """Whether the pool has nothing of a run any more."""
    return run.view.state.outstanding == 0


def test_what_follows_a_running_node_waits_until_the_run_goes_on(lab: hx.Lab, witness: Path, gate: Path) -> None:
    chain = [spec(0, witness, gate), *(spec(i, witness, gate).after(f"n{i - 1}") for i in range(1, 5))]
    run = lab.start(hx.Dag.of(*chain))
    until(lambda: run.nodes["n0"].state == "RUNNING" and run.view.state.outstanding == 5)
    pause(run, lab)
    open_gate(gate)
    until(lambda: settled(run))
    assert [run.nodes[f"n{i}"].state for i in range(5)] == ["SUCCEEDED", "READY", "WAITING", "WAITING", "WAITING"]
    assert run.why("n4") == "the run is paused"
    assert executions(witness) == {"n0": 1}
    run.resume()
    assert len(run.wait(PATIENCE)) == 5
    assert executions(witness) == dict.fromkeys(run.dag, 1)
    assert {node.attempt for node in run.nodes.values()} == {1}


@pytest.mark.parametrize("effects", [False, True])
def test_what_waits_for_a_worker_waits_until_the_run_goes_on(
    lab: hx.Lab, witness: Path, gate: Path, effects: bool
) -> None:
    run = lab.start(hx.Dag.of(*(spec(i, witness, gate, effects=effects) for i in range(8))))
    until(lambda: len(executions(witness)) == 2)
    pause(run, lab)
    open_gate(gate)
    until(lambda: settled(run))
    assert executions(witness).total() == 2
    assert sorted(node.state for node in run.nodes.values()) == [*["READY"] * 6, *["SUCCEEDED"] * 2]
    run.resume()
    run.wait(PATIENCE)
    assert executions(witness) == dict.fromkeys(run.dag, 1)
    assert {node.attempt for node in run.nodes.values()} == {1}


def test_other_runs_go_on(lab: hx.Lab, witness: Path, gate: Path) -> None:
    run = lab.start(hx.Dag.of(spec(0, witness, gate), spec(1, witness, gate).after("n0")))
    until(lambda: executions(witness)["n0"])
    pause(run, lab)
    assert lab.start(hx.Dag.of(hx.NodeSpec("other", lambda: 1))).wait(PATIENCE) == {"other": 1}
    open_gate(gate)
    until(lambda: settled(run))
    run.resume()
    run.wait(PATIENCE)


@pytest.mark.parametrize("opened", [DASK], indirect=True)
def test_a_worker_that_comes_meanwhile_begins_nothing_either(lab: hx.Lab, witness: Path, gate: Path) -> None:
    run = lab.start(hx.Dag.of(*(spec(i, witness, gate) for i in range(8))))
    begun = until(lambda: len(executions(witness)) == 2 and set(executions(witness)))
    pause(run, lab)
    dead = min(begun)
    os.kill(pids(witness, dead)[-1], signal.SIGKILL)
    until(lambda: run.nodes[dead].state != "RUNNING", "Dask does not run it again, and its loss is known")
    until(lambda: sorted(row.state for row in lab.workers()) == ["busy", "idle"], "another one is there")
    open_gate(gate)
    until(lambda: settled(run))
    assert executions(witness) == dict.fromkeys(begun, 1)
    run.resume()
    run.wait(PATIENCE)
    assert executions(witness) == dict.fromkeys(run.dag, 1) | {dead: 2}
