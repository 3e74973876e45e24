"""The controller as a process of its own: its client works as a lab that leads does, and may end at any time."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import hexdag_lab as hx
from hexdag_lab.lab import launch
from hexdag_lab.runtime import wire
from hexdag_lab.runtime.stores import store_of
from tests.runtime.kit import alive, until


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A store in a folder of its own; whoever leads it when the test is over is ended by its process id."""
    monkeypatch.chdir(tmp_path)
    url = f"sqlite:///{tmp_path}/.hexdag/lab.db"
    yield url
    if (tmp_path / ".hexdag" / "lab.db").exists() and (pid := leader(url)):
        os.kill(pid, signal.SIGKILL)


def leader(url: str) -> int:
    """The process id of whoever leads; 0 if nobody does."""

    async def look() -> str | None:
        store = store_of(url)
        await store.open()
        holder = await store.holder(wire.LEADER)
        await store.close()
        return holder

    return int((asyncio.run(look()) or ":0").split(":")[1])


def one() -> int:
    return 1


def gated(one: int, gate: str) -> int:
    import os
    import time

    while not os.path.exists(gate):  # noqa: PTH110
        time.sleep(0.01)
    return one + 1


def graph() -> hx.Dag:
    return hx.Dag.of(hx.NodeSpec("one", one), hx.NodeSpec("gated", gated))


def approves(context: Any) -> bool:
    return True


def process(store: str) -> hx.Lab:
    return hx.Lab(pool="inline", store=store, controller="process", owner="dana")


def test_a_client_starts_watches_changes_and_votes_and_its_end_stops_no_approval(store: str, tmp_path: Path) -> None:
    gate = str(tmp_path / "gate")
    with process(store) as lab:
        assert (lab.leads, lab.led) == (False, True)
        assert leader(store) not in (0, os.getpid())
        lab.add_agent(hx.Agent("critic", vote=approves))
        lab.add_agent(hx.HumanAgent("marie"))
        run = lab.start(graph(), {"gate": gate}, policy=hx.Supermajority(1))
        until(lambda: [worker.slots for worker in lab.workers()] == [4])
        seen: list[str] = []
        run.observe(lambda event: seen.append(event.kind))
        change = hx.Changeset.on(run.dag).add_node(hx.NodeSpec("more", lambda gated: gated * 10))
        p = run.propose(change, by="dana", reason="from the client")
        until(lambda: "critic" in {ballot.voter for ballot in p.view._proposal.ballots})
        assert p.state == "OPEN", "it needs marie, too"
        assert lab.inbox() == [p]
        run.pause()
        assert run.status == "PAUSED"
        run.resume()
        assert "ProposalOpened" in seen
    approve = [sys.executable, "-m", "hexdag_lab", "--store", store, "vote", p.id, "approve", "--by", "marie"]
    said = subprocess.run(approve, capture_output=True, text=True, check=True).stdout
    assert "APPLIED" in said
    Path(gate).touch()
    with process(store) as lab:
        assert lab.attach(run.id).wait(30) == {"one": 1, "gated": 2, "more": 20}
        assert lab.start(hx.Dag.of(hx.NodeSpec("one", one)), run_id="second").wait(30) == {"one": 1}
        assert lab.attach(run.id).fork().wait(30)["more"] == 20


def test_an_agent_is_asked_in_the_process_that_added_it(store: str, tmp_path: Path) -> None:
    asked, mine = [], threading.Lock()  # a lock cannot be shipped: it is here, or nowhere

    def vote(context: Any) -> bool:
        with mine:
            asked.append((context.proposal.by, os.getpid()))
        return True

    def on_event(event: Any, context: Any) -> Any:
        if event.kind == "NodeSucceeded" and event.node == "one":
            return context.change().add_node(hx.NodeSpec("idea", lambda one: -one)).because("it is there")
        return None

    with process(store) as lab:
        lab.add_agent(hx.Agent("critic", vote=vote))
        lab.add_agent(hx.Agent("dreamer", on_event=on_event))
        gate = tmp_path / "gate"
        run = lab.start(graph(), {"gate": str(gate)}, policy=hx.Majority())
        until(lambda: "idea" in run.dag)
        gate.touch()
        assert run.wait(30) == {"one": 1, "gated": 2, "idea": -1}
    assert asked == [("dreamer", os.getpid())]


VANISHES = """
import os, sys
import hexdag_lab as hx
from tests.lab import test_process as t

lab = t.process(sys.argv[1])
lab.add_agent(hx.Agent("critic", vote=lambda context: True))
lab.add_agent(hx.Agent("here", vote=lambda context, lock=__import__("threading").Lock(): True))
lab.start(t.graph(), {"gate": sys.argv[2]}, run_id="orphan", policy=hx.Majority())
print("started", flush=True)
sys.stdin.readline()
os._exit(9)
"""


def test_agents_of_a_process_that_is_gone_are_asked_by_their_shipped_functions_or_are_absent(
    store: str, tmp_path: Path
) -> None:
    gate = tmp_path / "gate"
    command = [sys.executable, "-c", VANISHES, store, str(gate)]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    other = subprocess.run(command, input="\n", capture_output=True, text=True, check=False, env=environment)
    assert (other.returncode, other.stdout) == (9, "started\n"), other.stderr
    with hx.Lab(store=store, leader=False, owner="dana") as lab:
        run = lab.attach("orphan")
        p = run.propose(hx.Changeset.on(run.dag).add_node(hx.NodeSpec("more", one)))
        until(lambda: p.state == "APPLIED")
        assert {ballot.voter: ballot.choice.value for ballot in p.tally.ballots} == {
            "critic": "approve",
            "here": "absent",
        }
        assert "could not be shipped" in str(p.tally.ballots)
        gate.touch()
        assert run.wait(30)["gated"] == 2


def test_a_process_with_nothing_to_do_ends_and_the_next_start_makes_another(
    store: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(launch, "IDLE", 1.0)
    with process(store) as lab:
        first = leader(store)
        lab.start(hx.Dag.of(hx.NodeSpec("one", one))).wait(30)
        until(lambda: not alive(first), "it ends by itself")
        assert not lab.led
        run = lab.start(hx.Dag.of(hx.NodeSpec("one", one)))
        assert run.wait(30) == {"one": 1}
        assert leader(store) not in (0, first)


def test_a_process_that_is_killed_is_started_again_while_its_client_waits(store: str, tmp_path: Path) -> None:
    with process(store) as lab:
        gate = tmp_path / "gate"
        run = lab.start(graph(), {"gate": str(gate)})
        until(lambda: run.nodes["gated"].state == "RUNNING")
        first = leader(store)
        os.kill(first, signal.SIGKILL)
        gate.touch()
        assert run.wait(30) == {"one": 1, "gated": 2}
        assert leader(store) not in (0, first)
        assert [event.kind for event in run.events()].count("RunAttached") == 1


def test_a_result_that_only_the_workers_have_is_fetched_for_a_client(store: str) -> None:
    with process(store) as lab:
        large = hx.NodeSpec("large", lambda: "x" * 100_000, durable=False)
        run = lab.start(hx.Dag.of(large))
        assert run.wait(30) == {"large": "x" * 100_000}
        assert run.nodes["large"].kept != "pool"
        first = leader(store)
        lost = lab.start(hx.Dag.of(large))
        until(lambda: lost.status == "SUCCEEDED")
        os.kill(first, signal.SIGKILL)
        until(lambda: not alive(first))
        with pytest.raises(hx.NotFinished, match="large"):
            lost.result("large")


def test_what_no_other_process_could_reach_is_refused_at_once(store: str) -> None:
    with pytest.raises(ValueError, match="needs a store that other processes reach"):
        hx.Lab(store="memory://", controller="process")
    with pytest.raises(TypeError, match='takes "dask", "inline", a scheduler address or a Client'):
        hx.Lab(pool=object(), store=store, controller="process")
    with pytest.raises(ValueError, match='controller is "here", or "process" and no leader='):
        hx.Lab(store=store, controller="elsewhere")
    with pytest.raises(ValueError, match="no leader="):
        hx.Lab(store=store, controller="process", leader=True)


def test_what_stops_the_process_at_its_start_is_said_in_its_words(store: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(hx.PoolUnavailable, match=r"the controller's process has ended: .*127\.0\.0\.1:9.*up\.log"):
        hx.Lab(pool="tcp://127.0.0.1:9", store=store, controller="process")


def test_a_lab_that_this_process_leads_itself_is_no_process_of_its_own(store: str) -> None:
    with hx.Lab(pool="inline", store=store), pytest.raises(hx.LabInUse, match="this process leads this lab itself"):
        process(store)


NOTEBOOK = """
import sys
import hexdag_lab as hx

lab = hx.Lab(pool="inline", store=sys.argv[1])
print("led", flush=True)
sys.stdin.read()
"""


def test_a_process_is_not_started_beside_a_notebook_that_leads_for_itself(store: str, tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", NOTEBOOK, store], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "led\n"
        with pytest.raises(hx.LabInUse, match="leads this lab, and for itself alone"):
            process(store)
        other.kill()
