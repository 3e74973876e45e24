"""`hexdag-lab worker` joins a scheduler that somebody else has started, with what it can; or says why it does not."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from distributed import Client

import hexdag_lab as hx
from hexdag_lab.core.base.errors import PoolUnavailable
from hexdag_lab.worker import joining
from hexdag_lab.worker.joining import Joining
from tests.runtime.kit import alive, executions, open_gate, pass_gate, pids, ran, until
from tests.runtime.pools.cluster_of_others import Cluster, cluster

pytestmark = pytest.mark.dask


@pytest.fixture(scope="module")
def theirs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A scheduler with one worker in "eu" that has a GPU and two slots."""
    with cluster(tmp_path_factory.mktemp("cluster")) as found:
        found.worker("tower", "--can", "gpu=1", "--region", "eu", "--threads", "2").says("joined")
        yield found


@pytest.fixture(scope="module")
def lab(theirs: Cluster) -> Iterator[hx.Lab]:
    with hx.Lab(pool=theirs.address, store="memory://") as lab:
        yield lab


def held(name: str, witness: str, gate: str) -> str:
    ran(witness, name)
    pass_gate(gate)
    return name


def holding(name: str, witness: Path, gate: Path, **options: object) -> hx.NodeSpec:
    return hx.NodeSpec(name, held, params={"name": name, "witness": str(witness), "gate": str(gate)}, **options)


def test_it_says_that_it_is_there_and_what_it_can(theirs: Cluster, lab: hx.Lab) -> None:
    said = theirs.terminals[1].said()
    assert f"worker tower joined {theirs.address}: takes 2 nodes at once, can gpu=1, region:eu\n" in said
    (row,) = lab.workers()
    assert (row.id, row.slots, row.capabilities, row.state) == ("tower", 2, ("gpu", "region:eu"), "idle")
    assert row.limit is not None
    assert row.limit > row.memory > 0


def test_nodes_run_where_their_needs_are_met(lab: hx.Lab) -> None:
    run = lab.start(hx.Dag.of(hx.NodeSpec("train", lambda: 1, requires={"gpu", "region:eu"})))
    assert run.wait(30) == {"train": 1}
    assert run.nodes["train"].worker == "tower"


def test_a_region_is_not_used_up_and_a_device_is(lab: hx.Lab, witness: Path, gate: Path) -> None:
    run = lab.start(hx.Dag.of(*(holding(name, witness, gate, requires={"region:eu"}) for name in ("a", "b"))))
    until(lambda: executions(witness) == {"a": 1, "b": 1}, "both run at once")
    open_gate(gate)
    run.wait(30)
    gate.unlink()
    run = lab.start(hx.Dag.of(*(holding(name, witness, gate, requires={"gpu"}) for name in ("c", "d", "e"))))
    until(lambda: [node.state for node in run.nodes.values()].count("RUNNING"))
    last = lab.start(hx.Dag.of(hx.NodeSpec("passes", lambda: 1)))
    assert last.wait(30) == {"passes": 1}, "the other slot is free"
    assert len({"c", "d", "e"} & set(executions(witness))) == 1
    open_gate(gate)
    run.wait(30)


@pytest.mark.slow
def test_what_no_worker_can_is_said_and_runs_when_one_comes(theirs: Cluster, lab: hx.Lab) -> None:
    run = lab.start(hx.Dag.of(hx.NodeSpec("far", lambda: 1, requires={"region:us"})))
    until(lambda: "region:us" in (run.why("far") or ""))
    theirs.worker("liberty", "--region", "us").says("joined")
    assert run.wait(30) == {"far": 1}
    assert run.nodes["far"].worker == "liberty"
    theirs.terminals[-1].end()
    until(lambda: [row.id for row in lab.workers()] == ["tower"])


@pytest.mark.slow
def test_a_worker_that_is_told_to_end_hands_over_what_only_it_has(theirs: Cluster, lab: hx.Lab, witness: Path) -> None:
    def array(witness: str) -> object:
        ran(witness, "array")
        return np.ones(1_000_000, dtype=np.uint8)

    terminal = theirs.worker("leaves", "--can", "leaving").says("joined")
    spec = hx.NodeSpec("array", array, params={"witness": str(witness)}, requires={"leaving"}, durable=False)
    run = lab.start(hx.Dag.of(spec))
    run.wait(30)
    terminal.process.send_signal(signal.SIGTERM)
    until(lambda: terminal.ended() is not None)
    assert terminal.ended() == 0
    assert terminal.said().endswith("worker leaves has left\n")
    assert len(run.result("array")) == 1_000_000
    assert executions(witness) == {"array": 1}


def test_a_name_that_is_taken_is_said(theirs: Cluster) -> None:
    with pytest.raises(PoolUnavailable, match="a worker named 'tower' is there already; choose another --name"):
        asyncio.run(joining.check(Joining(theirs.address, "tower")))


@pytest.mark.parametrize(
    ("package", "text"),
    [
        (
            "distributed",
            r"has distributed \S+, and \S+ has 1\.0: .* use `pip install distributed==\S+` here, or 1\.0 there",
        ),
        ("python", r"has python 3\.\d+, and \S+ has 2\.7: .* use a Python 3\.\d+ here, or 2\.7 there"),
    ],
)
def test_versions_that_differ_are_said(
    theirs: Cluster, package: str, text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if package == "python":
        monkeypatch.setattr("platform.python_version_tuple", lambda: ("2", "7", "18"))
    else:
        real = joining.version
        monkeypatch.setattr(joining, "version", lambda name: "1.0" if name == package else real(name))
    with pytest.raises(PoolUnavailable, match=text):
        asyncio.run(joining.check(Joining(theirs.address, "another")))


def test_a_scheduler_that_is_not_there_is_said(tmp_path: Path) -> None:
    nowhere = Cluster(tmp_path)
    terminal = nowhere.worker("w", "--wait", "1")
    until(lambda: terminal.ended() is not None)
    assert terminal.ended() == 2
    said = terminal.said()
    assert said.startswith(f"hexdag-lab: no Dask scheduler answers at {nowhere.address} (")
    assert "start one with `dask scheduler`" in said


@pytest.mark.slow
def test_a_worker_that_dies_comes_back_under_its_name_and_the_repeat_has_its_reason(
    tmp_path: Path, witness: Path, gate: Path
) -> None:
    with cluster(tmp_path) as theirs:
        theirs.worker("tower").says("joined")
        with hx.Lab(pool=theirs.address, store="memory://") as lab:
            run = lab.start(hx.Dag.of(holding("held", witness, gate)))
            until(lambda: run.nodes["held"].state == "RUNNING")
            os.kill(pids(witness, "held")[0], signal.SIGKILL)
            until(lambda: executions(witness)["held"] == 2)
            open_gate(gate)
            assert run.wait(30) == {"held": "held"}
            began = [(e.worker, e.why) for e in run.events() if e.kind == "NodeStarted"]
            assert began == [("tower", ""), ("tower", "its worker tower is gone; the pool ran it again")]


@pytest.mark.slow
def test_a_standby_on_another_ones_cluster_takes_over(tmp_path: Path, witness: Path, gate: Path) -> None:
    with cluster(tmp_path) as theirs:
        theirs.worker("spare", "--standby").says("worker spare joined")
        dies = theirs.worker("tower").says("joined")
        with hx.Lab(pool=theirs.address, store="memory://") as lab:
            assert {row.id: row.state for row in lab.workers()} == {"spare": "standby", "tower": "idle"}
            run = lab.start(hx.Dag.of(holding("held", witness, gate)))
            until(lambda: run.nodes["held"].worker == "tower")
            dies.process.kill()  # the nanny; its worker follows it
            os.kill(pids(witness, "held")[0], signal.SIGKILL)
            until(lambda: run.nodes["held"].worker == "spare")
            open_gate(gate)
            run.wait(30)


@pytest.mark.slow
def test_it_ends_with_its_scheduler_and_says_so(tmp_path: Path) -> None:
    with cluster(tmp_path) as theirs:
        worker = theirs.worker("tower").says("joined")
        with Client(theirs.address, set_as_default=False) as client:
            (pid,) = client.run(os.getpid).values()
        theirs.terminals[0].process.kill()
        until(lambda: worker.ended() is not None)
        assert worker.ended() == 2
        assert f"no Dask scheduler answers at {theirs.address}" in worker.said()
        until(lambda: not alive(pid))
