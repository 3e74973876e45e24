"""A leader that is killed, frozen or cut off is followed by a standby; nothing acknowledged is lost or doubled."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

import hexdag_lab as hx
from tests import servers
from tests.runtime.failover import LAYERS, LEADS, TTL, WIDTH, Found, Restartable, drill, layered, served, server_of
from tests.runtime.hosts import network
from tests.runtime.kit import until

KINDS = ("sqlite", "redis", "valkey", "etcd", "consul")


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # beside a store on a server the key is in `.hexdag` of the current directory


@pytest.fixture
def store(tmp_path: Path, server_url: Callable[[str], str], request: pytest.FixtureRequest) -> str:
    """The URL of a lab of its own in a store of a kind."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/.hexdag/lab.db"
    return f"{server_url(request.param)}?lab={tmp_path.name}"


def check(found: Found) -> None:
    assert found.results == LAYERS * WIDTH
    assert found.doubled == 0
    assert found.lost == 0
    assert found.findings == ()
    assert found.versions == (*range(1, len(found.versions) + 1),)
    assert len(found.versions) > 1, "it was edited meanwhile"


@pytest.mark.parametrize("store", ["sqlite"], indirect=True)
def test_a_standby_goes_on_when_the_leader_is_killed(store: str, tmp_path: Path) -> None:
    check(drill(tmp_path, store, "killed"))


@pytest.mark.slow
@pytest.mark.parametrize("fault", ["killed", "frozen"])
@pytest.mark.parametrize("store", KINDS, indirect=True)
def test_in_every_store_a_standby_goes_on_within_the_lease_and_a_second(store: str, fault: str, tmp_path: Path) -> None:
    found = drill(tmp_path, store, fault, times=2)
    check(found)
    assert max(found.seconds) < (2 * TTL if store.startswith("consul") else TTL) + 1


@pytest.mark.slow
def test_a_leader_whose_link_is_cut_is_followed_and_steps_down_when_it_hears_of_it(tmp_path: Path) -> None:
    program = servers.redis_program()
    with network(2) as (address, hosts):
        server = servers.redis(program, tmp_path / "redis", "--bind", "127.0.0.1", address, "--protected-mode", "no")
        try:
            found = drill(tmp_path, f"redis://{address}:{server.port}", "cut off", hosts=hosts)
        finally:
            server.kill()
    check(found)
    assert found.seconds[0] < TTL + 1


@pytest.mark.slow
def test_the_cluster_of_a_leader_that_is_killed_ends_with_it_and_the_standby_has_its_own(tmp_path: Path) -> None:
    store = f"sqlite:///{tmp_path}/.hexdag/lab.db"
    check(drill(tmp_path, store, "killed", words=("--pool", "dask", "--workers", "2")))


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS[1:])
def test_when_the_server_of_the_store_is_killed_under_a_run_nothing_acknowledged_is_lost(
    kind: str, tmp_path: Path
) -> None:
    with server_of(kind, tmp_path) as (url, server):
        check(drill(tmp_path, url, "server killed", times=2, server=Restartable(server)))


@pytest.mark.slow
def test_a_service_whose_store_is_gone_says_so_waits_and_goes_on(tmp_path: Path) -> None:
    with server_of("redis", tmp_path) as (url, server), served(tmp_path, url, ("--pool", "inline"), ()) as start:
        up = start("up")
        up.says(LEADS)
        with hx.Lab(store=url, leader=False, owner="dana") as lab:
            run = lab.start(layered(tmp_path, gates=1), run_id="drill")
            behind_the_gate = [f"n1-{k}" for k in range(WIDTH)]
            until(lambda: any(run.nodes[name].state == "RUNNING" for name in behind_the_gate))
            server.kill()
            (tmp_path / "gate1").touch()  # results come while nothing can be journaled
            up.says("runs wait, and go on when their store is back")
            server.start()
            up.says("the store is back, and runs go on")
            assert len(run.wait(30)) == LAYERS * WIDTH
        started = [event.node for event in run.events() if event.kind == "NodeSucceeded"]
        assert sorted(started) == sorted(run.dag.nodes), "each once"
