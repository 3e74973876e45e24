"""Clusters that Dask's own deployers start, by SSH and by a batch system: their `Client` is all that a lab needs."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import asyncssh
import pytest
from distributed import Client, SSHCluster

import hexdag_lab as hx
from tests.runtime.kit import alive, executions, open_gate, pass_gate, pids, ran, until
from tests.runtime.pools.cluster_of_others import Terminal

pytestmark = [pytest.mark.dask, pytest.mark.slow, pytest.mark.timeout(180)]

HERE = {"host": "127.0.0.1", "dashboard_address": "127.0.0.1:0"}
SBATCH = """#!/bin/sh
cp "$1" "$0.$$"
setsid sh "$0.$$" > "$0.$$.log" 2>&1 &
echo "Submitted batch job $!"
"""
SCANCEL = """#!/bin/sh
for job in "$@"; do kill -- "-$job"; done
"""


def part(name: str, witness: str) -> str:
    ran(witness, name)
    return name


def held(name: str, witness: str, gate: str) -> str:
    ran(witness, name)
    pass_gate(gate)
    return name


def both(part: str, held: str, name: str, witness: str) -> list[str]:
    ran(witness, name)
    return [part, held]


def check(client: Client, folder: Path) -> None:
    """A run on the cluster: needs are met by its workers, one that dies is made good, and a change lands meanwhile."""
    witness, gate = str(folder / "witness"), folder / "gate"
    named = lambda name, fn, **more: hx.NodeSpec(name, fn, params={"name": name, "witness": witness, **more})  # noqa: E731
    with hx.Lab(pool=client, store=f"sqlite:///{folder}/lab.db", policy=hx.Supermajority(1)) as lab:
        lab.add_agent(hx.Agent("critic", role="executor"))
        lab.add_agent(hx.HumanAgent("lea"))
        until(lambda: len(lab.workers()) == 2)
        assert [row.capabilities for row in lab.workers()] == [("region:eu",)] * 2
        waits = hx.NodeSpec(
            "held", held, params={"name": "held", "witness": witness, "gate": str(gate)}, requires={"region:eu"}
        )
        run = lab.start(hx.Dag.of(named("part", part), waits))
        (first,) = until(lambda: pids(folder / "witness", "held"))
        change = hx.Changeset.on(run.dag).add_node(named("both", both).after("part", "held"))
        run.propose(change, by="critic").vote("lea", "approve")
        os.kill(first, 9)
        until(lambda: len(pids(folder / "witness", "held")) == 2)
        open_gate(gate)
        assert run.wait(60)["both"] == ["part", "held"]
        assert executions(folder / "witness") == {"part": 1, "held": 2, "both": 1}
        assert any("is gone; the pool ran it again" in line for line in run.story("held"))
    assert client.submit(abs, -1).result(timeout=30) == 1, "the cluster is as it was"


# -- by SSH


@pytest.fixture
def hosts(tmp_path: Path) -> Iterator[dict[str, object]]:
    """How to reach a host on loopback."""
    for name in ("host", "client"):
        key = asyncssh.generate_private_key("ssh-ed25519")
        key.write_private_key(tmp_path / name)
        key.write_public_key(tmp_path / f"{name}.pub")
    script = str(Path(__file__).with_name("ssh_host.py"))
    host = Terminal(tmp_path / "host.log", sys.executable, script, str(tmp_path)).says("port ")
    known = asyncssh.import_known_hosts(f"[127.0.0.1]:* {(tmp_path / 'host.pub').read_text()}")
    port = int(host.said().split()[1])
    yield {"port": port, "known_hosts": known, "client_keys": [str(tmp_path / "client")], "username": "dana"}
    host.end()


def test_a_cluster_started_by_ssh(hosts: dict[str, object], tmp_path: Path) -> None:
    options = {"nthreads": 1, "host": "127.0.0.1", "resources": {"region:eu": 1}}
    with (
        SSHCluster(
            ["127.0.0.1"] * 3, connect_options=hosts, scheduler_options={**HERE, "port": 0}, worker_options=options
        ) as cluster,
        Client(cluster, set_as_default=False) as client,
    ):
        check(client, tmp_path)
        workers = client.run(os.getpid).values()
    until(lambda: not any(map(alive, workers)), "its workers end with it")


# -- by a batch system


@pytest.fixture
def slurm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A cluster of SLURM's jobs, each of which runs here at once."""
    for name, text in (("sbatch", SBATCH), ("scancel", SCANCEL)):
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    ours = signal.getsignal(signal.SIGINT)
    from dask_jobqueue import SLURMCluster

    signal.signal(signal.SIGINT, ours)  # its import takes Ctrl-C, for the whole process
    return SLURMCluster


def test_a_cluster_started_by_jobs_of_a_batch_system(slurm: Any, tmp_path: Path) -> None:
    with (
        slurm(
            cores=1, memory="1GiB", processes=1, interface="lo", scheduler_options={"dashboard_address": "127.0.0.1:0"},
            worker_extra_args=["--resources", "region:eu=1"], local_directory=str(tmp_path),
        ) as cluster,
        Client(cluster, set_as_default=False) as client,
    ):  # fmt: skip
        cluster.scale(jobs=2)
        client.wait_for_workers(2, timeout=60)
        check(client, tmp_path)
        workers = client.run(os.getpid).values()
    until(lambda: not any(map(alive, workers)), "its jobs end with it")
