"""Two processes, one lab: a second leader is refused, and a remote handle watches, proposes and votes."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import hexdag_lab as hx
from tests.lab.conftest import leading
from tests.runtime.kit import until

LEADER = """
import sys, time
from pathlib import Path
import hexdag_lab as hx

home = Path(sys.argv[1])

def load(): return 1
def held(load, home):
    import time
    from pathlib import Path
    while not (Path(home) / "go").exists():
        time.sleep(0.01)
    return load + 1

lab = hx.Lab(pool="inline", store=f"sqlite:///{home}/lab.db", owner="dana")
lab.add_agent(hx.Agent("critic"))
lab.add_agent(hx.Agent("eye", role="observer"))
dag = hx.Dag.of(hx.NodeSpec("load", load), hx.NodeSpec("held", held))
run = lab.start(dag, inputs={"home": str(home)})
print("led", flush=True)
sys.stdin.readline()
lab.close()
"""


@pytest.fixture
def leader(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    with leading(LEADER, tmp_path) as child:
        yield child


def test_a_second_leader_is_refused_and_a_handle_is_given(leader: object, tmp_path: Path) -> None:
    store = f"sqlite:///{tmp_path}/lab.db"
    began = time.monotonic()
    with pytest.raises(hx.LabInUse, match="another process leads this lab"):
        hx.Lab(pool="inline", store=store, leader=True)
    with hx.Lab(pool="inline", store=store) as lab:
        assert time.monotonic() - began < 5
        assert not lab.leads
        assert lab.led
        for what in (lambda: lab.start(hx.Dag.of()), lambda: lab.add_agent(hx.Agent("x"))):
            with pytest.raises(hx.LabInUse, match="watch, propose and vote work"):
                what()
        with pytest.raises(hx.LabInUse):
            hx.Lab(pool="inline", store=store, leader=True)


def test_a_handle_watches_proposes_and_votes(leader: object, tmp_path: Path) -> None:
    with hx.Lab(store=f"sqlite:///{tmp_path}/lab.db", owner="dana", leader=False) as lab:
        (row,) = lab.runs()
        assert (row.id, row.status, row.led) == ("run-1", "RUNNING", True)
        run = lab.attach("run-1")
        assert run.nodes["load"].state != "SUCCEEDED" or run.result("load") == 1
        change = hx.Changeset.on(run.dag).add_node(hx.NodeSpec("more", lambda held: held * 10))
        p = run.propose(change, by="critic", reason="from afar")
        assert (p.state, p.reason) == ("OPEN", "from afar")
        assert lab.inbox() == [p]
        for who in ("eye", "mallory"):
            with pytest.raises(hx.NotAllowed):
                p.vote(who, "approve")
            with pytest.raises(hx.NotAllowed):
                run.propose(change, by=who)
        with pytest.raises(TimeoutError):
            p.wait(0.1)
        lab.vote(p.id, "dana", "approve", "looks good")
        assert p.state == "APPLIED", "the handle has seen what its own vote did"
        assert p.tally.ballots[0].reason == "looks good"
        with pytest.raises(hx.AlreadyDecided):
            p.vote("dana", "reject")
        assert run.dag.version == 2
        run.pause()
        assert run.status == "PAUSED"
        run.resume()
        seen: list[str] = []
        run.observe(lambda event: seen.append(event.kind))
        (tmp_path / "go").touch()
        assert run.wait(10) == {"load": 1, "held": 2, "more": 20}
        assert run.story("more")
        assert run.at(1).status == "RUNNING"
        assert run.inputs("more") == {"held": 2}
        with pytest.raises(hx.AlreadyDecided, match="fork"):
            run.propose(hx.Changeset.on(run.dag).remove_node("more"))
        with pytest.raises(hx.LabInUse):
            run.fork()


def test_a_graph_of_the_handle_can_be_proposed(leader: object, tmp_path: Path) -> None:
    with hx.Lab(store=f"sqlite:///{tmp_path}/lab.db", owner="dana", leader=False) as lab:
        run = lab.attach("run-1")
        p = run.propose(run.dag.add_node(hx.NodeSpec("a", lambda: "here")))
        assert p.state == "APPLIED"
        (tmp_path / "go").touch()
        assert run.wait(10)["a"] == "here"


def test_when_the_leader_is_gone_a_handle_says_so_or_takes_the_lead(
    leader: subprocess.Popen[str], tmp_path: Path
) -> None:
    store = f"sqlite:///{tmp_path}/lab.db"
    with hx.Lab(store=store, owner="dana", leader=False) as lab:
        run = lab.attach("run-1")
        leader.kill()
        leader.wait()
        assert not lab.led
        assert [row.led for row in lab.runs()] == [False]
        assert lab.inbox() == []
        began = time.monotonic()
        with pytest.raises(hx.Refused, match="nobody leads this lab now") as refused:
            run.propose(hx.Changeset.on(run.dag).add_node(hx.NodeSpec("a", lambda: 1)))
        assert refused.value.rule == "no-leader"
        assert "attach run-1" in refused.value.fix
        assert time.monotonic() - began < 5
        with pytest.raises(hx.NotAllowed, match="mallory"):  # what anybody would answer needs nobody
            run.pause(by="mallory")
    (tmp_path / "go").touch()
    with hx.Lab(pool="inline", store=store, owner="dana") as lab:
        assert lab.leads
        assert lab.attach("run-1").wait(10) == {"load": 1, "held": 2}


def test_a_handle_that_may_lead_goes_on_with_a_run_once_its_leader_is_gone(
    leader: subprocess.Popen[str], tmp_path: Path
) -> None:
    with hx.Lab(pool="inline", store=f"sqlite:///{tmp_path}/lab.db", owner="dana") as lab:
        run = lab.attach("run-1")
        assert not lab.leads
        leader.kill()
        leader.wait()
        (tmp_path / "go").touch()
        again = lab.attach("run-1")
        assert lab.leads
        assert again == run
        assert again.wait(10) == {"load": 1, "held": 2}
        assert run.status == "SUCCEEDED"
        assert lab.start(hx.Dag.of(hx.NodeSpec("a", lambda: 1))).wait(10) == {"a": 1}


# -- workers of the leader's

DRAINED = """
import os, sys
from pathlib import Path
import hexdag_lab as hx

def held(home, name):
    import os, time
    from pathlib import Path
    with open(Path(home) / "witness", "a") as file:
        file.write(f"{name}\\n")
    while not (Path(home) / "go").exists():
        time.sleep(0.01)

home = sys.argv[1]
lab = hx.Lab(pool="dask", workers=2, store=f"sqlite:///{home}/lab.db", owner="dana")
names = ("left", "right")
run = lab.start(hx.Dag.of(*(hx.NodeSpec(name, held, params={"home": home, "name": name}) for name in names)))
print("led", flush=True)
sys.stdin.readline()
"""


@pytest.mark.dask
def test_a_handle_lets_a_worker_of_the_leader_leave_when_its_node_has_ended(tmp_path: Path) -> None:
    with leading(DRAINED, tmp_path) as leader, hx.Lab(store=f"sqlite:///{tmp_path}/lab.db", leader=False) as lab:
        run = lab.attach("run-1")
        until(lambda: all(node.state == "RUNNING" for node in run.nodes.values()))
        until(lambda: len(lab.workers()) == 2)
        leaves, stays = run.nodes["left"].worker, run.nodes["right"].worker
        with pytest.raises(hx.Refused, match="there is no worker 'w99'; the workers are: w"):
            lab.drain("w99")
        with pytest.raises(TimeoutError):
            lab.drain(leaves, timeout=0.2)
        until(lambda: {row.id: row.state for row in lab.workers()}[leaves] == "paused")
        (tmp_path / "go").touch()
        run.wait(30)
        until(lambda: [row.id for row in lab.workers()] == [stays])
        assert sorted((tmp_path / "witness").read_text().split()) == ["left", "right"], "no node was repeated"
        assert not leader.poll()


@pytest.mark.dask
def test_who_drains_a_worker_is_told_if_the_leader_goes_meanwhile(tmp_path: Path) -> None:
    with leading(DRAINED, tmp_path) as leader, hx.Lab(store=f"sqlite:///{tmp_path}/lab.db", leader=False) as lab:
        run = lab.attach("run-1")
        until(lambda: all(node.state == "RUNNING" for node in run.nodes.values()))
        drains = ThreadPoolExecutor(1).submit(lab.drain, run.nodes["left"].worker)
        until(lambda: drains.done() or "paused" in {row.state for row in lab.workers()})
        assert not drains.done(), drains.exception()
        leader.kill()
        with pytest.raises(hx.Refused, match="leads no more"):
            drains.result(30)
        leader.wait()  # its lease has a dead holder now
        with pytest.raises(hx.Refused, match="nobody leads this lab now"):
            lab.drain("w0")
