"""The lab itself: opening, opening twice, leading, agents, lists, attaching, closing."""

from __future__ import annotations

import asyncio
import getpass
import subprocess
import sys
import time
from fractions import Fraction
from pathlib import Path

import pytest

import hexdag_lab as hx
from hexdag_lab.runtime.stores.memory import MemoryStore
from tests.lab import gates
from tests.lab.conftest import report, until


def store_in(path: Path) -> str:
    return f"sqlite:///{path / 'lab.db'}"


def test_opened_twice_in_one_process_it_is_the_same_lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with hx.Lab(pool="inline", store="sqlite:///lab.db") as lab:
        (tmp_path / "sub").mkdir()
        for url in (store_in(tmp_path), "sqlite:///./sub/../lab.db", f"sqlite:///{tmp_path}/sub/../lab.db"):
            assert hx.Lab(store=url) is lab
        assert lab.leads
        again = hx.Lab(store="sqlite:///lab.db", policy="pair", leader=True)
        assert again is lab
        assert lab.policy == hx.HumanApproval() & hx.Deadline(600)
        hx.Lab(store="sqlite:///lab.db")
        assert lab.policy == hx.HumanApproval() & hx.Deadline(600), "what is not given stays"
    with hx.Lab(pool="inline", store="sqlite:///lab.db") as new:
        assert new is not lab


def test_private_labs_in_memory_are_apart_and_named_ones_are_not() -> None:
    with hx.Lab(pool="inline", store="memory://") as one, hx.Lab(pool="inline", store="memory://") as two:
        assert one is not two
    with hx.Lab(pool="inline", store="memory://shared") as named:
        assert hx.Lab(pool="inline", store="memory://shared") is named
    store = MemoryStore()
    with hx.Lab(pool="inline", store=store) as given:
        assert hx.Lab(pool="inline", store=store) is given


def test_the_owner_is_the_login_name_unless_said_otherwise() -> None:
    with hx.Lab(pool="inline", store="memory://") as lab:
        assert lab.owner.id == getpass.getuser() == str(lab.owner)
    with hx.Lab(pool="inline", store="memory://", owner="dana") as lab:
        assert list(lab.agents) == ["dana"]
    marie = hx.HumanAgent("marie", trust=0.5)
    with hx.Lab(pool="inline", store="memory://", owner=marie) as lab:
        assert lab.owner is marie is lab.agents["marie"]


def test_agents_join_what_runs_already(lab: hx.Lab, running: hx.Run) -> None:
    lab.add_agent(hx.Agent("critic", role="orchestrator", trust=0.8, family="gpt", capabilities={"llm"}))
    seat = running.agents["critic"]
    assert (seat.role, seat.weight, seat.family, seat.capabilities) == ("orchestrator", Fraction(4, 5), "gpt", {"llm"})
    assert set(lab.agents) == {"critic", "dana"}
    lab.add_agent(hx.Agent("critic", role="observer"))
    assert running.agents["critic"].role == "observer", "added again, it takes part in another way"


def test_an_agent_added_right_after_the_start_is_in_that_run(lab: hx.Lab, slow_dag: hx.Dag) -> None:
    for number in range(20):
        run = lab.start(slow_dag)
        lab.add_agent(hx.Agent(f"agent-{number}"))
        assert f"agent-{number}" in run.agents
    assert set(lab.going_on()) == {f"run-{number}" for number in range(1, 21)}


def test_hooks_propose_as_their_agent(lab: hx.Lab, slow_dag: hx.Dag) -> None:
    def on_event(event, context):  # type: ignore[no-untyped-def]
        if event.kind == "NodeSucceeded" and event.node == "fit":
            return context.change().add_node(hx.NodeSpec("extra", lambda fit: fit + "!")).because("fit is done")
        return None

    lab.add_agent(hx.Agent("watcher", on_event=on_event))
    run = lab.start(slow_dag)
    until(lambda: run.proposals)
    (p,) = run.proposals.values()
    assert (p.by, p.reason, p.state) == ("watcher", "fit is done", "OPEN")
    p.vote("dana", "approve")
    gates.open_gate("held")
    assert run.wait(10)["extra"] == "data.csv@3!"


def test_a_hook_that_fails_stops_nobody(lab: hx.Lab, dag: hx.Dag) -> None:
    lab.add_agent(hx.Agent("broken", on_event=lambda event, context: 1 / 0))
    lab.add_agent(hx.Agent("odd", on_event=lambda event, context: "add a node"))
    run = lab.start(dag)
    assert run.wait(10)
    failures = {event.agent: event.failure for event in run.events() if event.kind == "HooksSeen" and event.failure}
    assert "ZeroDivisionError" in failures["broken"]
    assert "returns a Changeset or None" in failures["odd"]


def test_runs_inbox_and_workers(lab: hx.Lab, running: hx.Run, dag: hx.Dag) -> None:
    lab.add_agent(hx.Agent("critic"))
    lab.start(dag, run_id="other").wait(10)
    p = running.propose(hx.Changeset.on(running.dag).add_node(report.after("fit")), by="critic")
    first, second = lab.runs()
    assert (first.id, first.status, first.version, first.done, first.nodes, first.open) == (
        "run-1",
        "RUNNING",
        1,
        2,
        3,
        1,
    )
    assert (first.by, first.led, second.id, second.status) == ("dana", True, "other", "SUCCEEDED")
    assert first.started <= second.started
    assert lab.inbox() == [p]
    assert lab.workers()[0]["nodes"] == ["held"]
    lab.vote(p.id, "dana", "approve", reason="fine")
    assert p.state == "APPLIED"
    assert p.tally.ballots[0].reason == "fine"
    assert p.tally.ballots[0].via == "notebook"
    assert lab.inbox() == []


def test_a_run_of_this_lab_is_attached_by_its_name(lab: hx.Lab, running: hx.Run) -> None:
    assert lab.attach("run-1") == running
    with pytest.raises(hx.Refused, match="no run 'run-9' in this store") as refused:
        lab.attach("run-9")
    assert (refused.value.rule, refused.value.fix) == ("unknown-run", "see lab.runs()")


def test_run_ids_count_up_and_may_be_chosen(lab: hx.Lab, dag: hx.Dag) -> None:
    assert [lab.start(dag, run_id=id_).id for id_ in (None, "mine", None, "run-4", None)] == [
        "run-1", "mine", "run-3", "run-4", "run-5",
    ]  # fmt: skip
    with pytest.raises(hx.Refused, match="run mine exists already"):
        lab.start(dag, run_id="mine")
    for bad in ("", "a b", "a/b", "x" * 101, 7):
        with pytest.raises(ValueError, match="a run id has letters"):
            lab.start(dag, run_id=bad)  # type: ignore[arg-type]


def test_a_closed_lab_says_so_and_its_runs_can_still_be_looked_at(lab: hx.Lab, running: hx.Run) -> None:
    lab.close()
    lab.close()
    assert running.result("fit") == "data.csv@3"
    assert repr(lab) == "<Lab of dana, closed a store in memory>"
    calls = [lab.runs, lab.inbox, lambda: lab.attach("run-1"), lambda: lab.start(running.dag), running.cancel,
             lambda: lab.add_agent(hx.Agent("x")), lambda: lab.vote("run-1/p1", "dana", "approve")]  # fmt: skip
    for call in calls:
        with pytest.raises(hx.HexdagError, match="closed"):
            call()


def test_closed_in_mid_run_another_lab_goes_on_and_nothing_finished_runs_again(
    tmp_path: Path, slow_dag: hx.Dag
) -> None:
    with hx.Lab(pool="inline", store=store_in(tmp_path)) as lab:
        lab.start(slow_dag, inputs={"path": "x"}, run_id="mine")
        gates.reached("held")
        until(lambda: lab.attach("mine").nodes["fit"].state == "SUCCEEDED")
    gates.open_gate("held")
    with hx.Lab(pool="inline", store=store_in(tmp_path)) as lab:
        (row,) = lab.runs()
        assert (row.status, row.led) == ("RUNNING", False)
        assert lab.inbox() == [], "looking goes on with nothing"
        with pytest.raises(hx.Refused, match="nobody goes on with run mine") as refused:
            lab.proposal("mine/p1")
        assert refused.value.fix == "lab.attach('mine')"
        run = lab.attach("mine")
        assert run.wait(10) == {"load": "x", "fit": "x@3", "held": "X"}
        kinds = [(e.kind, e.node) for e in run.events()]
        assert kinds.count(("NodeSucceeded", "fit")) == 1
        assert kinds.count(("NodeStarted", "fit")) == 1
        assert ("RunAttached", None) in kinds


def test_what_has_ended_is_attached_to_be_looked_at(tmp_path: Path, dag: hx.Dag) -> None:
    with hx.Lab(pool="inline", store=store_in(tmp_path)) as lab:
        lab.start(dag).wait(10)
    with hx.Lab(pool="inline", store=store_in(tmp_path)) as lab:
        run = lab.attach("run-1")
        assert run.wait(0) == {"load": "data.csv", "fit": "data.csv@3"}
        assert len(run.events()) == run.seq
        assert run.fork().wait(10) == run.results()


def test_large_results_survive_in_blobs(tmp_path: Path) -> None:
    dag = hx.Dag.of(hx.NodeSpec("big", lambda: "x" * 200_000, durable=True), hx.NodeSpec("size", lambda big: len(big)))
    with hx.Lab(pool="inline", store=store_in(tmp_path), blobs=f"file://{tmp_path}/elsewhere") as lab:
        assert lab.start(dag, inputs={}).wait(10)["size"] == 200_000
    assert list((tmp_path / "elsewhere").rglob("*"))
    with hx.Lab(pool="inline", store=store_in(tmp_path), blobs=f"file://{tmp_path}/elsewhere") as lab:
        assert len(lab.attach("run-1").result("big")) == 200_000


def test_as_an_async_context_and_with_aclose() -> None:
    async def cell() -> None:
        lab = hx.Lab(pool="inline", store="memory://")
        assert (await lab.start(hx.Dag.of(hx.NodeSpec("a", lambda: 1)))) == {"a": 1}
        await lab.aclose()
        async with hx.Lab(pool="inline", store="memory://") as other:
            assert other.leads

    asyncio.run(cell())


def test_a_script_that_forgets_to_close_ends_by_itself(tmp_path: Path) -> None:
    script = (
        "import hexdag_lab as hx\n"
        f"lab = hx.Lab(pool='inline', store='{store_in(tmp_path)}')\n"
        "print(lab.start(hx.Dag.of(hx.NodeSpec('a', lambda: 1))).wait(10))\n"
    )
    began = time.monotonic()
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=30, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "{'a': 1}\n", "")
    assert time.monotonic() - began < 20
