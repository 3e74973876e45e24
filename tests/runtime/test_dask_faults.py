"""Workers and schedulers are killed with SIGKILL, and no work is lost: a run on Dask ends as if nothing had been."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import hexdag_lab as hx
from hexdag_lab.core.base.errors import RunFailed
from hexdag_lab.runtime.pools import dask as dask_pool
from hexdag_lab.runtime.pools.cluster import OwnCluster
from tests.runtime.kit import alive, executions, open_gate, pass_gate, pids, ran, until

pytestmark = pytest.mark.dask


@pytest.fixture(scope="module")
def lab() -> Iterator[hx.Lab]:
    with hx.Lab(pool="dask", store="memory://", workers=2) as lab:
        yield lab


@pytest.fixture(autouse=True)
def _whole(lab: hx.Lab) -> None:
    """Each test begins with two workers."""
    until(lambda: len(lab.workers()) == 2, "two workers are there")


def cluster(lab: hx.Lab) -> OwnCluster:
    own: OwnCluster = lab.doors._pool._link._own
    return own


def kill(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)


def small(witness: str, gate: str, name: str = "small") -> int:
    ran(witness, name)
    return 1


def held(witness: str, gate: str, name: str = "held", **ups: Any) -> int:
    ran(witness, name)
    pass_gate(gate)
    return 2 + len(ups)


def after(witness: str, gate: str, name: str = "after", **ups: Any) -> int:
    ran(witness, name)
    return int(sum(np.sum(value) for value in ups.values()))


def array(witness: str, gate: str, name: str = "array") -> Any:
    ran(witness, name)
    return np.ones(1_000_000, dtype=np.uint8)


def node(fn: Any, witness: Path, gate: Path, **options: Any) -> hx.NodeSpec:
    name = options.pop("name", fn.__name__)
    return hx.NodeSpec(name, fn, params={"witness": str(witness), "gate": str(gate), "name": name}, **options)


def first_worker(run: hx.Run, node: str) -> str:
    return next(e.worker for e in run.events() if e.kind == "NodeStarted" and e.node == node)


def test_a_worker_that_dies_in_the_middle_of_a_node(lab: hx.Lab, witness: Path, gate: Path) -> None:
    run = lab.start(hx.Dag.of(node(held, witness, gate), node(after, witness, gate).after("held")))
    until(lambda: run.nodes["held"].state == "RUNNING")
    kill(pids(witness, "held")[0])
    until(lambda: executions(witness)["held"] == 2)
    open_gate(gate)
    assert run.wait(30) == {"held": 2, "after": 2}
    assert executions(witness) == {"held": 2, "after": 1}
    assert len([e for e in run.events() if e.kind == "NodeSucceeded" and e.node == "held"]) == 1
    assert run.nodes["held"].attempt == 2
    assert any("its worker w" in line and "is gone; the pool ran it again" in line for line in run.story("held"))


def test_a_worker_that_dies_with_a_result_that_others_need(lab: hx.Lab, witness: Path, gate: Path) -> None:
    dag = hx.Dag.of(
        node(array, witness, gate, durable=False), node(held, witness, gate).after("array"),
        node(after, witness, gate).after("array", "held"),
    )  # fmt: skip
    run = lab.start(dag)
    until(lambda: executions(witness)["held"])
    assert run.nodes["array"].state == "SUCCEEDED"
    for pid in {pids(witness, "array")[0], pids(witness, "held")[0]}:
        kill(pid)
    until(lambda: executions(witness)["held"] == 2)
    open_gate(gate)
    assert run.wait(30)["after"] == 1_000_000 + 3
    assert executions(witness)["array"] == 2
    (again,) = [e for e in run.events() if e.kind == "NodeRepeated"]
    assert (again.node, again.repeat) == ("array", 1)
    assert again.why == f"Dask lost its result with worker {first_worker(run, 'array')}, and something waits for it"
    assert run.nodes["array"].attempt == 2, "it is counted"


def test_a_worker_that_dies_with_results_that_were_journaled_costs_nothing(
    lab: hx.Lab, witness: Path, gate: Path
) -> None:
    dag = hx.Dag.of(node(small, witness, gate), node(held, witness, gate, name="other"))
    run = lab.start(dag)
    until(lambda: run.nodes["small"].state == "SUCCEEDED" and executions(witness)["other"])
    for pid in [pid for name, pid in cluster(lab).pids().items() if name != "scheduler"]:
        kill(pid)
    until(lambda: executions(witness)["other"] == 2)
    run.propose(hx.Changeset.on(run.dag).add_node(node(after, witness, gate).after("small"))).wait(30)
    open_gate(gate)
    assert run.wait(30)["after"] == 1
    assert executions(witness)["small"] == 1


def test_slots_go_down_and_up_again_when_a_worker_dies(lab: hx.Lab, gate: Path) -> None:
    run = lab.start(hx.Dag.of(hx.NodeSpec("holds", pass_gate, params={"gate": str(gate)})))
    until(lambda: run.nodes["holds"].state == "RUNNING")
    name, pid = next((name, pid) for name, pid in cluster(lab).pids().items() if name != "scheduler")
    kill(pid)
    until(lambda: [e.slots for e in run.events() if e.kind == "PoolOffered"][-2:] == [1, 2])
    assert name not in {row["id"] for row in lab.workers()}
    open_gate(gate)
    run.wait(30)


def test_a_node_that_kills_its_workers_fails_in_the_end_and_others_go_on(lab: hx.Lab, gate: Path) -> None:
    def deadly() -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    def harmless() -> int:
        return 1

    run = lab.start(hx.Dag.of(hx.NodeSpec("deadly", deadly), hx.NodeSpec("below", lambda deadly: 0).after("deadly")))
    with pytest.raises(RunFailed, match="deadly: AttemptLost: its worker died; given up after 4 lost attempts"):
        run.wait(60)
    assert run.nodes["below"].state == "BLOCKED"
    assert lab.start(hx.Dag.of(harmless)).wait(30) == {"harmless": 1}


def test_a_scheduler_that_dies_takes_no_finished_node_along(lab: hx.Lab, witness: Path, gate: Path) -> None:
    dag = hx.Dag.of(
        node(small, witness, gate), node(array, witness, gate, durable=True), node(held, witness, gate).after("small"),
        node(after, witness, gate).after("array", "held"),
    )  # fmt: skip
    run = lab.start(dag)
    until(lambda: executions(witness)["held"] and run.nodes["array"].state == "SUCCEEDED")
    old = cluster(lab).pids()
    kill(old["scheduler"])
    until(lambda: executions(witness)["held"] == 2)
    open_gate(gate)
    assert run.wait(30)["after"] == 1_000_003
    assert executions(witness) == {"small": 1, "array": 1, "held": 2, "after": 1}
    assert any("the scheduler died" in line for line in run.story("held"))
    until(lambda: not any(map(alive, old.values())), "the old cluster is gone")


def test_a_scheduler_that_dies_takes_results_along_that_were_nowhere_else(
    lab: hx.Lab, witness: Path, gate: Path
) -> None:
    dag = hx.Dag.of(
        node(array, witness, gate, durable=False),
        node(held, witness, gate),
        node(after, witness, gate).after("array", "held"),
    )
    run = lab.start(dag)
    until(lambda: executions(witness)["held"] and run.nodes["array"].state == "SUCCEEDED")
    kill(cluster(lab).pids()["scheduler"])
    until(lambda: executions(witness)["held"] == 2)
    open_gate(gate)
    assert run.wait(30)["after"] == 1_000_002
    assert executions(witness)["array"] == 2
    assert any("its result was lost: the scheduler died" in line for line in run.story("array"))


def test_what_is_asked_while_the_cluster_comes_up_again_is_done_then(lab: hx.Lab, witness: Path, gate: Path) -> None:
    kill(cluster(lab).pids()["scheduler"])
    run = lab.start(hx.Dag.of(node(small, witness, gate)))
    assert run.wait(30) == {"small": 1}
    assert executions(witness) == {"small": 1}


def test_when_the_process_that_begins_the_others_is_killed_they_end_and_all_come_up_again(
    lab: hx.Lab, witness: Path, gate: Path
) -> None:
    processes, old = cluster(lab)._processes, cluster(lab).pids()
    assert processes is not None
    assert processes._server is not None
    kill(processes._server.pid)
    until(lambda: not any(alive(pid) for pid in old.values()), "none goes on without it")
    run = lab.start(hx.Dag.of(node(small, witness, gate)))
    assert run.wait(30) == {"small": 1}
    assert executions(witness) == {"small": 1}


def test_an_attempt_whose_report_was_lost_is_tried_again(
    lab: hx.Lab, witness: Path, gate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pool = lab.doors._pool
    monkeypatch.setattr(dask_pool, "SILENCE", 0.2)
    deaf: list[Any] = []
    monkeypatch.setitem(pool._link._client._event_handlers, pool._topic, deaf.append)
    run = lab.start(hx.Dag.of(node(small, witness, gate)))
    until(lambda: any(b"Succeeded" in data for _, rows in deaf for _, data in rows))
    monkeypatch.setitem(pool._link._client._event_handlers, pool._topic, pool._heard)
    assert run.wait(30) == {"small": 1}
    assert any("its report was lost" in line for line in run.story("small"))


def test_nothing_is_held_for_runs_that_are_over(lab: hx.Lab, witness: Path, gate: Path) -> None:
    """After all that has happened above."""
    open_gate(gate)
    specs = [
        node(array, witness, gate),
        node(held, witness, gate).after("array"),
        node(after, witness, gate).after("held"),
    ]
    lab.start(hx.Dag.of(*specs)).wait(30)
    pool = lab.doors._pool
    until(lambda: not {run for run, node, _ in pool._handed.held if node != "array"})
    until(lambda: len(pool._handed.held) <= 2, "only results that were not to be kept")
    assert not pool._published
    assert not pool._early
    pool._forget()
    assert not pool._handed._keys
    assert {*pool._roster._made, *pool._roster._runs, *pool._quiet} <= set(pool._handed.held)
