"""A lab's own cluster comes and goes with it; another one's scheduler is used and left as it was."""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
import socket
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Iterator
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import psutil
import pytest
from distributed import Client, LocalCluster, default_client

import hexdag_lab as hx
from hexdag_lab.core.base.errors import PoolUnavailable
from hexdag_lab.core.base.frozen import FrozenDict
from hexdag_lab.core.machine.messages import Started, Succeeded
from hexdag_lab.core.runs.attempt import Task
from hexdag_lab.runtime.pools.cluster import OwnCluster
from hexdag_lab.runtime.pools.dask import DaskPool
from hexdag_lab.worker.ship import pack
from tests.runtime.kit import alive, executions, open_gate, pass_gate, ran, until

pytestmark = pytest.mark.dask


def one() -> int:
    return 1


def two(one: int) -> int:
    return one + 1


CHAIN = {"one": 1, "two": 2}


def array() -> Any:
    return np.ones(1_000_000, dtype=np.uint8)


# -- nobody there


@pytest.fixture
def ports() -> Iterator[dict[str, int]]:
    """Where nobody listens, where somebody listens and says nothing, and where a web server does."""
    with (
        socket.socket() as closed,
        socket.create_server(("127.0.0.1", 0)) as silent,
        HTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler) as web,
    ):
        closed.bind(("127.0.0.1", 0))
        threading.Thread(target=web.serve_forever, daemon=True).start()
        yield {"closed": closed.getsockname()[1], "silent": silent.getsockname()[1], "web": web.server_port}
        web.shutdown()


@pytest.mark.parametrize(
    "address",
    [
        "tcp://127.0.0.1:{closed}",
        "tcp://127.0.0.1:{silent}",
        "tcp://127.0.0.1:{web}",
        "tcp://nowhere.invalid:8786",
        "x://y:1",
    ],
)
def test_an_address_where_no_scheduler_answers_is_an_error_within_five_seconds(
    address: str, ports: dict[str, int]
) -> None:
    address = address.format(**ports)
    began = time.monotonic()
    with pytest.raises(
        PoolUnavailable, match=rf"no Dask scheduler answers at {address} .*start one with `dask scheduler`"
    ):
        hx.Lab(pool=address, store="memory://")
    assert time.monotonic() - began < 5


def test_a_lab_that_could_not_reach_its_pool_leaves_the_store_free(tmp_path: Path) -> None:
    store = f"sqlite:///{tmp_path}/lab.db"
    with pytest.raises(PoolUnavailable):
        hx.Lab(pool="tcp://127.0.0.1:9", store=store)
    with hx.Lab(pool="inline", store=store, leader=True) as lab:
        assert lab.start(hx.Dag.of(one, two)).wait(30) == CHAIN


def test_a_cluster_that_cannot_come_up_says_what_its_processes_wrote(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with (
        hx.Lab(pool="dask", store="memory://", workers=1) as lab,
        pytest.raises(PoolUnavailable, match=r"own Dask cluster does not come up: .* has ended; .*wrote last"),
    ):
        lab.start(hx.Dag.of(one)).wait(30)


# -- the lab's own


@pytest.mark.parametrize("forks", [True, False])
def test_nothing_is_left_of_a_lab_that_was_closed(forks: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr("hexdag_lab.runtime.pools.processes.FORKS", forks)
    before, children = set(threading.enumerate()), set(psutil.Process().children(recursive=True))
    with hx.Lab(pool="dask", store="memory://", workers=2) as lab:
        assert lab.start(hx.Dag.of(one, two)).wait(30) == CHAIN
        assert list(tmp_path.iterdir())
        pids = lab.doors._pool._link._own.pids()
        shown = [{process.name(), *process.cmdline()} for process in map(psutil.Process, pids.values())]
    assert len(pids) == 3
    known = sorted(word for words in shown for word in words if word in ("dask-scheduler", "dask-worker"))
    assert known == ["dask-scheduler", "dask-worker", "dask-worker"], "people see in `ps` what is what"
    assert not any(alive(pid) for pid in pids.values())
    assert set(psutil.Process().children(recursive=True)) <= children
    assert list(tmp_path.iterdir()) == []
    until(lambda: not [t for t in set(threading.enumerate()) - before if t.name.startswith("hexdag")])


def test_a_run_that_starts_before_its_cluster_is_there_finds_all_it_needs() -> None:
    def looks() -> list[str]:
        return sorted(hx.context().dag)

    with hx.Lab(pool="dask", store="memory://", workers=1) as lab:
        run = lab.start(hx.Dag.of(looks, hx.NodeSpec("after", len).after("looks")))
        assert run.why("looks") == "there are no workers yet"
        assert run.wait(30) == {"looks": ["after", "looks"], "after": 2}


def test_what_a_pool_is_asked_before_it_is_open_is_done_then() -> None:
    code = pack(hx.NodeSpec("one", one))
    task = Task("run-1", "one", 1, 1, 1, 1, f"{sha256(code).hexdigest()}.mac", FrozenDict(), (), label="one")

    async def main() -> list[Any]:
        pool, heard, done = DaskPool(OwnCluster(1)), list[Any](), asyncio.Event()

        def put(run: str, message: Any) -> None:
            heard.append(message)
            if isinstance(message, Succeeded):
                done.set()

        await pool.submit([task, task._replace(node="not_this_one")], lambda _: code)
        await pool.withdraw("run-1", [("not_this_one", 1)])
        await pool.open(put)
        try:
            await done.wait()
        finally:
            await pool.close()
        return [message.node for message in heard if isinstance(message, Started)]

    assert asyncio.run(asyncio.wait_for(main(), 30)) == ["one"]


def test_a_pool_can_be_closed_at_any_moment_of_its_looks_at_the_cluster(monkeypatch: pytest.MonkeyPatch) -> None:
    """On Python 3.11 `asyncio.wait_for` swallows a cancellation that comes as its answer does: the pool went on."""
    monkeypatch.setattr("hexdag_lab.runtime.pools.dask.LOOK_EVERY", 0)
    moments = Random(0)

    async def main() -> None:
        own = OwnCluster(1)
        own.start()
        try:
            for _ in range(40):
                pool = DaskPool(own.address)
                await pool.open(lambda run, message: None)
                await asyncio.sleep(moments.uniform(0, 0.02))
                async with asyncio.timeout(10):
                    await pool.close()
        finally:
            own.stop()

    asyncio.run(main())


def test_a_lab_can_be_closed_while_its_cluster_comes_up() -> None:
    lab = hx.Lab(pool="dask", store="memory://", workers=1)
    own = lab.doors._pool._link._own
    pids = until(lambda: own.pids() if len(own.pids()) == 2 else None)
    lab.close()
    assert not any(alive(pid) for pid in pids.values())


def test_what_a_node_has_started_ends_with_the_cluster(tmp_path: Path) -> None:
    def spawns(path: str) -> None:
        child = subprocess.Popen(["sleep", "600"])
        Path(path).write_text(str(child.pid))

    lab = hx.Lab(pool="dask", store="memory://", workers=1)
    lab.start(hx.Dag.of(spawns), inputs={"path": str(tmp_path / "pid")}).wait(30)
    pid = int((tmp_path / "pid").read_text())
    assert alive(pid)
    lab.close()
    until(lambda: not alive(pid), "the child of the node has ended")


OWNER = """
    import json, os, sys, tempfile, time
    import hexdag_lab as hx
    lab = hx.Lab(pool="dask", store="memory://", workers=2)
    lab.start(hx.Dag.of(hx.NodeSpec("one", lambda: 1))).wait(60)
    own = lab.doors._pool._link._own
    if sys.argv[1] == "fork" and os.fork() == 0:
        time.sleep(60)  # holds the other end of the children's standard input
    print(json.dumps({"pids": list(own.pids().values()), "directory": str(own._directory)}), flush=True)
    time.sleep(600)
"""


@pytest.mark.parametrize("how", ["plain", "fork"])
def test_the_cluster_ends_within_five_seconds_of_its_killed_owner(how: str, tmp_path: Path) -> None:
    script = tmp_path / "owner.py"
    script.write_text(textwrap.dedent(OWNER))
    owner = subprocess.Popen([sys.executable, script, how], stdout=subprocess.PIPE, text=True, start_new_session=True)
    try:
        assert owner.stdout is not None
        said = json.loads(owner.stdout.readline())
        assert len(said["pids"]) == 3
        assert all(map(alive, said["pids"]))
        owner.kill()
        until(lambda: not any(map(alive, said["pids"])), "all children have ended", seconds=5)
        until(lambda: not Path(said["directory"]).exists(), "their files are gone", seconds=5)
    finally:
        os.killpg(owner.pid, signal.SIGKILL) if how == "fork" else owner.kill()
        owner.wait()
        assert owner.stdout is not None
        owner.stdout.close()


def test_the_users_own_dask_code_goes_on_using_the_users_own_client() -> None:
    with LocalCluster(n_workers=1, processes=False, dashboard_address=":0") as local:
        client = Client(local)  # as in a notebook
        try:
            with hx.Lab(pool="dask", store="memory://", workers=1) as lab:
                assert lab.start(hx.Dag.of(one, two)).wait(30) == CHAIN
                assert default_client() is client
                assert client.submit(one).result(30) == 1
        finally:
            client.close()


def test_results_of_classes_that_a_script_defines_come_back_as_those(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        textwrap.dedent(
            """
            import sys
            from dataclasses import dataclass
            from pathlib import Path
            import hexdag_lab as hx

            with open(Path(__file__).with_name("times"), "a") as file:
                file.write("x")

            @dataclass
            class Point:
                x: int

            @hx.node
            def start() -> Point:
                return Point(1)

            @hx.node
            def moved(start: Point) -> Point:
                assert isinstance(start, Point), type(start)
                return Point(start.x + 1)

            with hx.Lab(pool="dask", store="memory://", workers=2) as lab:
                results = lab.start(hx.Dag.of(start, moved)).wait(60)
            assert results == {"start": Point(1), "moved": Point(2)}, results
            assert type(results["moved"]) is Point
            """
        )
    )
    subprocess.run([sys.executable, script], check=True, timeout=60)
    assert (tmp_path / "times").read_text() == "x"


# -- another one's


@pytest.fixture(scope="module")
def scheduler() -> Iterator[OwnCluster]:
    """A cluster that is not the lab's own, with processes of its own."""
    cluster = OwnCluster(2)
    cluster.start()
    try:
        with Client(cluster.address, timeout=60, set_as_default=False) as client:
            client.wait_for_workers(2, timeout=60)
            yield cluster
    finally:
        cluster.stop()


def test_a_scheduler_is_used_and_left_as_it_was(scheduler: OwnCluster) -> None:
    with hx.Lab(pool=scheduler.address, store="memory://") as lab:
        dag = hx.Dag.of(one, two, hx.NodeSpec("large", array), hx.NodeSpec("size", len).after("large"))
        run = lab.start(dag)
        assert run.wait(30)["size"] == 1_000_000
        until(lambda: run.nodes["large"].kept)
        assert len(lab.workers()) == 2
    assert all(alive(pid) for pid in scheduler.pids().values())
    with Client(scheduler.address, set_as_default=False) as client:
        until(lambda: not client.run_on_scheduler(_known), "no key is left")
        assert client.run_on_scheduler(_metadata) == []


def _known(dask_scheduler: Any) -> list[str]:
    return [key for key in dask_scheduler.tasks if "hexdag" in str(key)]


def _metadata(dask_scheduler: Any) -> list[Any]:
    return [value for key, value in dask_scheduler.task_metadata.items() if key.startswith("hexdag") and value]


def test_workers_that_were_forked_from_one_process_draw_different_random_numbers(
    scheduler: OwnCluster, tmp_path: Path
) -> None:
    def draws(name: str, folder: str) -> tuple[float, float]:
        Path(folder, name).touch()
        pass_gate(str(Path(folder, "right" if name == "left" else "left")))  # until the other worker has its node, too
        return random.random(), float(np.random.random())

    specs = [hx.NodeSpec(name, draws, params={"name": name, "folder": str(tmp_path)}) for name in ("left", "right")]
    with hx.Lab(pool=scheduler.address, store="memory://") as lab:
        run = lab.start(hx.Dag.of(*specs))
        drawn = run.wait(30)
        assert run.nodes["left"].worker != run.nodes["right"].worker
    assert len({*drawn["left"], *drawn["right"]}) == 4


def test_a_node_that_reads_its_standard_input_finds_nothing_and_takes_nothing(scheduler: OwnCluster) -> None:
    def reads() -> str:
        return sys.stdin.read()

    with hx.Lab(pool=scheduler.address, store="memory://") as lab:
        assert lab.start(hx.Dag.of(reads)).wait(30) == {"reads": ""}
        assert len(lab.workers()) == 2


def test_two_labs_on_one_scheduler_do_not_take_each_others_results(scheduler: OwnCluster, tmp_path: Path) -> None:
    gate, witness = tmp_path / "gate", tmp_path / "witness"

    def same(name: str, witness: str, gate: str) -> str:
        ran(witness, name)
        pass_gate(gate)
        return name

    def start(lab: hx.Lab, name: str) -> Any:
        spec = hx.NodeSpec("same", same, params={"name": name, "witness": str(witness), "gate": str(gate)})
        return lab.start(hx.Dag.of(spec), run_id="same-run")

    with (
        hx.Lab(pool=scheduler.address, store="memory://") as first,
        hx.Lab(pool=scheduler.address, store="memory://") as second,
    ):
        runs = [start(first, "first"), start(second, "second")]
        until(lambda: executions(witness) == {"first": 1, "second": 1})
        open_gate(gate)
        assert [run.wait(30)["same"] for run in runs] == ["first", "second"]


def test_blobs_that_the_workers_do_not_reach_are_not_used(scheduler: OwnCluster) -> None:
    with hx.Lab(pool=scheduler.address, store="memory://", blobs="memory://only-in-this-process") as lab:
        dag = hx.Dag.of(hx.NodeSpec("large", array), hx.NodeSpec("size", len).after("large"))
        run = lab.start(dag)
        assert run.wait(30)["size"] == 1_000_000
        assert not run.nodes["large"].kept
        assert run.result("large").sum() == 1_000_000


def test_a_scheduler_that_goes_and_comes_back_at_its_address_is_found_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster, gate, witness = OwnCluster(1), tmp_path / "gate", tmp_path / "witness"

    def holds(gate: str, witness: str) -> int:
        ran(witness, "holds")
        pass_gate(gate)
        return 1

    cluster.start()
    port = int(cluster.address.rpartition(":")[2])
    with hx.Lab(pool=cluster.address, store="memory://") as lab:
        run = lab.start(hx.Dag.of(hx.NodeSpec("holds", holds, params={"gate": str(gate), "witness": str(witness)})))
        until(lambda: executions(witness)["holds"])
        cluster.stop()
        until(lambda: run.why("holds") == "there are no workers yet")
        again = OwnCluster(1)
        monkeypatch.setattr("hexdag_lab.runtime.pools.cluster._free_port", lambda: port)
        again.start()
        try:
            until(lambda: executions(witness)["holds"] == 2)
            open_gate(gate)
            assert run.wait(30) == {"holds": 1}
        finally:
            again.stop()


@pytest.mark.parametrize("workers", [1, 2])
def test_a_client_of_the_user_is_used_and_left_open(workers: int) -> None:
    with (
        LocalCluster(n_workers=workers, threads_per_worker=2, processes=False, dashboard_address=":0") as local,
        Client(local) as client,
    ):
        with hx.Lab(pool=client, store="memory://") as lab:
            run = lab.start(hx.Dag.of(one, two, hx.NodeSpec("large", array)))
            assert run.wait(30)["two"] == 2
            names = {str(worker.name) for worker in local.workers.values()}
            assert {row["id"] for row in lab.workers()} == names
            assert {run.nodes[name].worker for name in ("one", "two", "large")} <= names
        assert client.submit(one).result(30) == 1
