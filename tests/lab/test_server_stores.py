"""Runs on stores behind servers: a server that goes away is waited for, and another process needs nothing but the store
and a copy of the lab's key."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import hexdag_lab as hx
from hexdag_lab.core.base.codec import loads
from hexdag_lab.runtime import wire
from hexdag_lab.runtime.stores import server as server_store
from hexdag_lab.runtime.stores import store_of
from tests import servers
from tests.lab import gates
from tests.lab.conftest import leading, until

LEADER = """
import sys, time
from pathlib import Path
import hexdag_lab as hx

def load(): return 1
def held(load, gate):
    import time
    from pathlib import Path
    while not Path(gate).exists():
        time.sleep(0.01)
    return load + 1

lab = hx.Lab(pool="inline", store=sys.argv[1], owner="dana")
lab.add_agent(hx.Agent("critic"))
run = lab.start(hx.Dag.of(hx.NodeSpec("load", load), hx.NodeSpec("held", held)), {"gate": sys.argv[2]}, run_id="run-1")
change = hx.Changeset.on(run.dag).add_node(hx.NodeSpec("more", lambda held: held * 10))
run.propose(change, by="critic", reason="from the first host")
print("led", flush=True)
run.wait(60)
print(run.results(), flush=True)
sys.stdin.readline()
lab.close()
"""


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # the key is in `.hexdag` of the current directory


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[servers.Server]:
    """A Redis for this test alone."""
    started = servers.redis(servers.redis_program(), tmp_path / "redis")
    yield started
    started.kill()


# the server goes away ---------------------------------------------------------------------------------------


def test_a_run_whose_store_goes_away_waits_says_so_and_goes_on_when_it_is_back(
    redis: servers.Server, slow_dag: hx.Dag, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(server_store, "PATIENCE", 0.2)
    with hx.Lab(pool="inline", store=redis.url, owner="dana") as lab:
        run = lab.start(slow_dag, run_id="run-1")
        gates.reached("held")
        until(lambda: run.nodes["fit"].state == "SUCCEEDED")
        redis.kill()
        gates.open_gate("held")  # its result comes while nothing can be journaled
        until(lambda: "runs wait, and go on when their store is back" in caplog.text)
        assert f"the store {redis.url}/0 does not answer" in caplog.text
        assert run.nodes["held"].state == "RUNNING", "nothing is shown that is not in the journal"
        redis.start()
        assert run.wait(20) == {"load": "data.csv", "fit": "data.csv@3", "held": "DATA.CSV"}
        assert "the store is back" in caplog.text
        assert lab.start(slow_dag, run_id="run-2").wait(20), "and later runs are as ever"
    assert gates.calls == ["held", "held"], "once in each run"
    seqs, kinds = journal(redis.url, "run-1")
    assert seqs == [*range(1, len(seqs) + 1)]
    assert kinds["NodeSucceeded"] == 3


def test_kill_9_of_the_store_again_and_again_loses_no_result_and_journals_none_twice(redis: servers.Server) -> None:
    with hx.Lab(pool="inline", store=redis.url, owner="dana", workers=2) as lab:
        layers = [[hx.NodeSpec(f"n{i}-{k}", slow_double, params={"x": k}) for k in range(8)] for i in range(4)]
        layers[1:] = [[spec.after(f"n{i}-{k}") for k, spec in enumerate(layer)] for i, layer in enumerate(layers[1:])]
        run = lab.start(hx.Dag.of(*(spec for layer in layers for spec in layer)), run_id="run-1")
        for done in (6, 14, 22):
            until(lambda done=done: sum(node.state == "SUCCEEDED" for node in run.nodes.values()) >= done)
            redis.kill()
            redis.start()
        assert len(run.wait(30)) == 32
    seqs, kinds = journal(redis.url, "run-1")
    assert seqs == [*range(1, len(seqs) + 1)]
    assert kinds["NodeSucceeded"] == 32


def slow_double(x: int) -> int:
    time.sleep(0.02)
    return 2 * x


def journal(url: str, run: str) -> tuple[list[int], Counter[str]]:
    """The numbers and kinds of a run's events, read from the store alone."""

    async def read() -> list[bytes]:
        store = store_of(url)
        await store.open()
        rows = [row.data for row in await store.read(wire.journal(run), limit=10**6)]
        await store.close()
        return rows

    events = [loads(data) for data in asyncio.run(read())]
    return [event.seq for event in events], Counter(type(event).__name__ for event in events)


def test_the_command_line_takes_the_url_of_a_server(redis: servers.Server) -> None:
    with hx.Lab(pool="inline", store=redis.url, owner="dana") as lab:
        lab.start(hx.Dag.of(hx.NodeSpec("one", slow_double, params={"x": 1})), run_id="ledger").wait(20)
        command = [sys.executable, "-m", "hexdag_lab", "--store", redis.url]
        said = subprocess.run([*command, "runs"], capture_output=True, text=True, check=True).stdout
        assert "ledger" in said
        redis.kill()
        down = subprocess.run([*command, "runs"], capture_output=True, text=True, check=False)
        redis.start()
    assert down.returncode == 2
    assert f"the store {redis.url}/0 does not answer" in down.stdout + down.stderr
    assert "Traceback" not in down.stderr


# another process, another folder ----------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["redis", "etcd"])
def test_a_run_of_one_process_is_attached_watched_and_voted_on_from_another_through_the_store_alone(
    kind: str, server_url: Callable[[str], str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = f"{server_url(kind)}?lab={tmp_path.name}"
    first, second = tmp_path / "first", tmp_path / "second"
    for folder in (first, second):
        folder.mkdir()
    with leading(LEADER, store, first / "go", cwd=first) as leader:
        monkeypatch.chdir(second)
        with hx.Lab(store=store, leader=False) as stranger, pytest.raises(hx.NotAllowed, match="does not carry the"):
            stranger.vote("run-1/p1", "dana", "approve")
        shutil.copy(first / ".hexdag" / "key", second / ".hexdag" / "key")
        with hx.Lab(store=store, leader=False) as keyless, pytest.raises(hx.NotAllowed, match="not signed with it"):
            keyless.vote("run-1/p1", "dana", "approve")
        shutil.copytree(first / ".hexdag" / "keys", second / ".hexdag" / "keys", dirs_exist_ok=True)
        with hx.Lab(store=store, leader=False) as lab:
            run = lab.attach("run-1")
            seen: list[str] = []
            run.observe(lambda event: seen.append(event.kind))
            assert [proposal.id for proposal in lab.inbox()] == ["run-1/p1"]
            lab.vote("run-1/p1", "dana", "approve", "looks good from here")
            assert run.dag.version == 2
            (first / "go").touch()
            assert run.wait(20) == {"load": 1, "held": 2, "more": 20}
            until(lambda: run.status == "SUCCEEDED" and len(seen) > 3)
        assert leader.stdout is not None
        assert leader.stdout.readline() == "{'held': 2, 'load': 1, 'more': 20}\n"


def test_two_labs_of_one_name_and_different_keys_are_told_apart_before_the_second_leads(
    redis: servers.Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with hx.Lab(pool="inline", store=redis.url):
        pass
    (tmp_path / "second").mkdir()
    monkeypatch.chdir(tmp_path / "second")
    with pytest.raises(
        hx.LabInUse, match=rf"{redis.url}/0 holds a lab with another key than the one in .*second.*lab="
    ):
        hx.Lab(pool="inline", store=redis.url)
    with hx.Lab(pool="inline", store=f"{redis.url}?lab=second") as other:
        assert other.leads
    shutil.copy(tmp_path / ".hexdag" / "key", tmp_path / "second" / ".hexdag" / "key")
    with hx.Lab(pool="inline", store=redis.url) as same:
        assert same.leads
