"""Workers of a lab's own cluster as people see and steer them: rows, a standby, leaving. Real processes."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from distributed import Client, LocalCluster

import hexdag_lab as hx
from hexdag_lab.core.runs.worker import Worker
from hexdag_lab.runtime.pools.dask import DaskPool
from tests.runtime.kit import alive, executions, open_gate, pass_gate, ran, until

pytestmark = pytest.mark.dask


@pytest.fixture(scope="module")
def opened() -> Iterator[hx.Lab]:
    with hx.Lab(pool="dask", store="memory://", workers=2, standby=1) as lab:
        yield lab


@pytest.fixture
def lab(opened: hx.Lab, gate: Path) -> Iterator[hx.Lab]:
    """Each test begins with two workers and a standby."""
    until(lambda: sorted(states(opened).values()) == ["idle", "idle", "standby"])
    yield opened
    open_gate(gate)  # else a test that fails leaves its workers to the next one


def states(lab: hx.Lab) -> dict[str, str]:
    return {worker.id: worker.state.value for worker in lab.workers()}


def pids(lab: hx.Lab) -> dict[str, int]:
    own: dict[str, int] = lab.doors._pool._link._own.pids()
    return own


def row(lab: hx.Lab, id_: str) -> Worker:
    return next(worker for worker in lab.workers() if worker.id == id_)


def held(name: str, witness: str, gate: str) -> str:
    ran(witness, name)
    pass_gate(gate)
    return name


def array(witness: str) -> Any:
    ran(witness, "array")
    return np.ones(1_000_000, dtype=np.uint8)


def holds(count: int, witness: Path, gate: Path) -> hx.Dag:
    given = {"witness": str(witness), "gate": str(gate)}
    return hx.Dag.of(*(hx.NodeSpec(f"n{i}", held, params={"name": f"n{i}", **given}) for i in range(count)))


def changes(run: hx.Run) -> list[tuple[str, str]]:
    return [(e.worker, e.state.value) for e in run.events() if e.kind == "WorkerChanged"]


def by_state(lab: hx.Lab, state: str) -> list[str]:
    return sorted(worker.id for worker in lab.workers() if worker.state == state)


def two_run(run: hx.Run) -> list[str]:
    """The two nodes that run, once they do."""

    def running() -> list[str]:
        return [name for name, node in run.nodes.items() if node.state == "RUNNING"]

    until(lambda: len(running()) == 2)
    return running()


def test_a_row_says_who_it_is_and_what_it_does(lab: hx.Lab, witness: Path, gate: Path) -> None:
    run = lab.start(holds(2, witness, gate))
    until(lambda: sorted(states(lab).values()) == ["busy", "busy", "standby"])
    rows = [dict(worker) for worker in lab.workers()]
    assert sorted(node for row in rows for node in row["nodes"]) == ["n0", "n1"]
    assert {row["host"] for row in rows} == {"127.0.0.1"}
    assert all(row["memory"] > 10_000_000 for row in rows)
    assert all(abs(time.time() - row["heartbeat"]) < 10 for row in rows)
    open_gate(gate)
    run.wait(30)
    until(lambda: sorted(states(lab).values()) == ["idle", "idle", "standby"])


def test_a_standby_takes_the_place_of_one_that_dies_before_another_process_is_there(
    lab: hx.Lab, witness: Path, gate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = lab.start(holds(3, witness, gate))
    hit, _ = two_run(run)  # and a third one waits: the standby still stands by
    (waits,), dies = by_state(lab, "standby"), run.nodes[hit].worker
    known = set(states(lab))
    with monkeypatch.context() as patch:
        patch.setattr(lab.doors._pool._link, "revive", no_process)
        os.kill(pids(lab)[dies], signal.SIGKILL)
        until(lambda: states(lab)[waits] in ("idle", "busy"))
        assert set(states(lab)) <= known
    until(lambda: by_state(lab, "standby"), "its own place is taken by the new one")
    assert set(by_state(lab, "standby")).isdisjoint(known)
    open_gate(gate)
    assert run.wait(30) == {"n0": "n0", "n1": "n1", "n2": "n2"}
    assert executions(witness) == {"n0": 1, "n1": 1, "n2": 1, hit: 2}
    assert changes(run) == [(dies, "failed"), (waits, "idle")]


async def no_process() -> None:
    """Nothing takes the place of what has died."""


@pytest.mark.slow
def test_a_frozen_worker_is_seen_ended_and_replaced_and_its_node_runs_elsewhere(
    lab: hx.Lab, witness: Path, gate: Path
) -> None:
    run = lab.start(holds(2, witness, gate))
    two_run(run)
    frozen = run.nodes["n0"].worker
    pid = pids(lab)[frozen]
    os.kill(pid, signal.SIGSTOP)
    until(lambda: not alive(pid), "it is ended")
    until(lambda: executions(witness)["n0"] == 2)
    open_gate(gate)
    assert run.wait(30) == {"n0": "n0", "n1": "n1"}
    assert executions(witness) == {"n0": 2, "n1": 1}
    first, second = [e for e in run.events() if e.kind == "WorkerChanged" and e.worker == frozen]
    assert first.why.startswith("no heartbeat for ")
    assert second.why == "its process is gone; it had n0"
    assert any(f"its worker {frozen} is gone; the pool ran it again" in line for line in run.story("n0"))


def test_one_that_computes_and_does_not_answer_is_left_alone(lab: hx.Lab) -> None:
    """As while a node holds the interpreter lock: only one whose process is stopped is ended."""
    own = lab.doors._pool._link._own
    before = pids(lab)
    for name in states(lab):
        own.end_if_frozen(name)
    assert pids(lab) == before


def test_a_frozen_one_cannot_be_asked_to_leave(lab: hx.Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hexdag_lab.runtime.pools.link.ANSWER", 0.5)
    frozen = by_state(lab, "idle")[0]
    pid = pids(lab)[frozen]
    os.kill(pid, signal.SIGSTOP)
    with pytest.raises(hx.Refused, match=f"worker {frozen} does not answer"):
        lab.drain(frozen, 10)
    assert row(lab, frozen).state in ("idle", "failed")
    os.kill(pid, signal.SIGKILL)
    until(lambda: frozen not in states(lab))


def test_a_worker_that_leaves_ends_its_node_first_and_hands_over_what_only_it_has(
    lab: hx.Lab, witness: Path, gate: Path
) -> None:
    given = {"witness": str(witness)}
    run = lab.start(
        hx.Dag.of(
            hx.NodeSpec("array", array, params=given, durable=False),
            hx.NodeSpec("held", held, params={"name": "held", "gate": str(gate), **given}).after("array"),
            hx.NodeSpec("size", lambda array, **order: len(array)).after("array", "held"),
        )
    )
    until(lambda: run.nodes["held"].state == "RUNNING")
    made, leaves = run.nodes["array"].worker, run.nodes["held"].worker
    with pytest.raises(TimeoutError):
        lab.drain(leaves, timeout=0.2)
    until(lambda: row(lab, leaves).state == "paused")
    assert row(lab, leaves).nodes == ("held",)
    open_gate(gate)
    assert run.wait(30)["size"] == 1_000_000
    until(lambda: leaves not in states(lab))
    assert leaves not in pids(lab), "it is not started again"
    if made != leaves:
        lab.drain(made, 30)
    assert executions(witness) == {"array": 1, "held": 1}
    assert len(run.result("array")) == 1_000_000, "it was handed on"
    assert [e.worker for e in run.events() if e.kind == "WorkerChanged" and e.state == "failed"] == []


def test_one_that_has_come_since_the_last_look_can_leave(monkeypatch: pytest.MonkeyPatch) -> None:
    """It may run a node already, and who reads that in the run drains it by its name."""
    monkeypatch.setattr("hexdag_lab.runtime.pools.dask.LOOK_EVERY", 600)
    monkeypatch.setattr(DaskPool, "_heard_of_workers", lambda *_: None)

    async def main() -> None:
        where = {"host": "127.0.0.1", "dashboard_address": "127.0.0.1:0"}
        async with LocalCluster(n_workers=0, threads_per_worker=1, asynchronous=True, **where) as cluster:
            pool = DaskPool(cluster.scheduler_address)
            await pool.open(lambda run, message: None)
            cluster.scale(1)
            async with Client(cluster, asynchronous=True) as client:
                await client.wait_for_workers(1)
            assert pool.workers() == [], "nobody has looked"
            await pool.drain("0")
            assert not cluster.scheduler.workers
            await pool.close()

    asyncio.run(asyncio.wait_for(main(), 60))


def test_who_is_not_there_cannot_leave(opened: hx.Lab) -> None:
    with pytest.raises(hx.Refused, match="there is no worker 'w99'; the workers are: w"):
        opened.drain("w99")


def test_threads_of_the_notebook_cannot_leave() -> None:
    with (
        hx.Lab(pool="inline", store="memory://") as inline,
        pytest.raises(hx.Refused, match=r'none of them can leave; use hx\.Lab\(pool="dask"\)'),
    ):
        inline.drain("inline")
