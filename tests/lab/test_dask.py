"""The same on a real Dask cluster: the lab's own, an address, and a client."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import hexdag_lab as hx
from hexdag_lab.runtime.pools.cluster import OwnCluster
from tests.lab.conftest import until

pytestmark = pytest.mark.dask


def load(path: str = "data.csv") -> str:
    return path


def held(load: str, flag: str) -> str:
    while not Path(flag).exists():
        time.sleep(0.01)
    return load.upper()


@hx.node(agent="researcher")
def asks(load: str) -> str:
    ctx = hx.context()
    if ctx.decision is None:
        ctx.checkpoint([load])
        change = hx.Changeset.on(ctx.dag).add_node(hx.NodeSpec("more", lambda asks: asks * 2).after("asks"))
        ctx.wait_for(ctx.propose(change, "more to see", key="more"))
    return f"{ctx.decision} {ctx.restored} {ctx.attempt}"


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[hx.Lab]:
    home = tmp_path_factory.mktemp("lab")
    with hx.Lab(store=f"sqlite:///{home}/lab.db", owner="dana", workers=2) as lab:
        lab.add_agent(hx.Agent("researcher", role="executor"))
        yield lab


def test_a_run_is_changed_twice_while_a_node_runs_through(cluster: hx.Lab, tmp_path: Path) -> None:
    flag = tmp_path / "go"
    run = cluster.start(hx.Dag.of(load, hx.NodeSpec("held", held)), inputs={"flag": str(flag), "path": "x"})
    until(lambda: run.nodes["held"].state == "RUNNING", 40)
    for name in ("one", "two"):
        p = run.propose(run.dag.add_node(hx.NodeSpec(name, lambda load: load * 2)))
        assert p.state == "APPLIED"
    until(lambda: run.nodes["two"].state == "SUCCEEDED")
    assert run.nodes["held"].state == "RUNNING"
    assert [version.number for version in run.versions] == [1, 2, 3]
    flag.touch()
    assert run.wait(30) == {"load": "x", "held": "X", "one": "xx", "two": "xx"}
    assert {run.nodes[name].attempt for name in run.dag} == {1}
    assert run.nodes["held"].worker in {row["id"] for row in cluster.workers()}


def test_a_node_on_a_worker_proposes_waits_and_is_called_again(cluster: hx.Lab) -> None:
    run = cluster.start(hx.Dag.of(load, asks.after("load")))
    until(lambda: run.nodes["asks"].state == "SUSPENDED", 40)
    (p,) = run.proposals.values()
    assert (p.by, p.state, p.reason) == ("researcher", "OPEN", "more to see")
    p.vote("dana", "approve")
    said = "APPLIED ['data.csv'] 2"
    assert run.wait(30) == {"load": "data.csv", "asks": said, "more": said * 2}


def test_a_node_that_raises_on_a_worker_blocks_what_waits_for_it(cluster: hx.Lab) -> None:
    def broken(load: str) -> str:
        raise RuntimeError(f"no {load}")

    dag = hx.Dag.of(load, hx.NodeSpec("broken", broken), hx.NodeSpec("last", lambda broken: 1))
    run = cluster.start(dag)
    with pytest.raises(hx.RunFailed, match=r"broken: RuntimeError: no data\.csv") as failed:
        run.wait(30)
    assert failed.value.results == {"load": "data.csv"}
    assert run.why("last") == "upstream broken failed"


def test_large_results_and_what_is_only_in_the_workers_memory(cluster: hx.Lab) -> None:
    dag = hx.Dag.of(
        hx.NodeSpec("big", lambda: b"x" * 300_000, durable=False),
        hx.NodeSpec("kept", lambda: b"y" * 300_000, durable=True),
        hx.NodeSpec("size", lambda big, kept: len(big) + len(kept)),
    )
    run = cluster.start(dag)
    results = run.wait(30)
    assert (len(results["big"]), len(results["kept"]), results["size"]) == (300_000, 300_000, 600_000)
    assert (run.nodes["big"].kept, run.nodes["kept"].kept) == (False, True)
    assert len(run.inputs("size")["big"]) == 300_000


def test_a_need_that_no_worker_has_is_said_in_a_sentence(cluster: hx.Lab) -> None:
    run = cluster.start(hx.Dag.of(hx.NodeSpec("train", lambda: 1, requires={"gpu"})))
    until(lambda: run.why("train") == 'no worker has "gpu"', 40)
    p = run.propose(run.dag.add_node(hx.NodeSpec("more", lambda: 1, requires={"gpu"})))
    assert p.state == "REJECTED"
    assert "needs gpu, and no worker has it" in p.why
    run.cancel()
    assert run.status == "CANCELLED"


@pytest.mark.parametrize("how", ["address", "client"])
def test_on_somebody_elses_cluster(how: str, tmp_path: Path) -> None:
    from distributed import Client

    theirs = OwnCluster(workers=1)
    theirs.start()
    try:
        with Client(theirs.address, set_as_default=False, timeout=30) as client:
            client.wait_for_workers(1, timeout=30)
            pool: Any = client if how == "client" else theirs.address
            with hx.Lab(pool=pool, store="memory://", blobs=f"file://{tmp_path}") as lab:
                run = lab.start(hx.Dag.of(load, hx.NodeSpec("two", lambda load: load * 2)))
                assert run.wait(30)["two"] == "data.csv" * 2
            assert client.submit(len, "what was given stays").result(timeout=20) == 20
    finally:
        theirs.stop()
