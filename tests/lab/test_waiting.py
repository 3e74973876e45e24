"""Waiting: from a script, with `await` in a running event loop, and in a cell that blocks the kernel's main thread."""

from __future__ import annotations

import asyncio
import sys
import threading
import time
from types import SimpleNamespace

import pytest

import hexdag_lab as hx
from hexdag_lab.views import kernel as kernels
from tests.lab import gates
from tests.lab.conftest import report, until


def proposed(run: hx.Run, by: str = "critic") -> hx.ProposalHandle:
    return run.propose(hx.Changeset.on(run.dag).add_node(report.after("fit")), by=by)


def test_a_wait_that_is_too_short_raises_the_builtin_timeout(lab: hx.Lab, running: hx.Run) -> None:
    lab.add_agent(hx.Agent("critic"))
    p = proposed(running)
    for wait in (running.wait, p.wait):
        for timeout in (0, 0.05):
            began = time.monotonic()
            with pytest.raises(TimeoutError) as raised:
                wait(timeout)
            assert type(raised.value) is TimeoutError
            assert time.monotonic() - began < 1


def test_await_a_run_and_a_proposal_in_a_running_loop(slow_dag: hx.Dag) -> None:
    async def cell() -> None:
        async with hx.Lab(pool="inline", store="memory://", owner="dana") as lab:
            lab.add_agent(hx.Agent("critic"))
            run = lab.start(slow_dag)
            await asyncio.to_thread(gates.reached, "held")
            p = proposed(run)
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(p, 0.05)
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(run, 0.05)
            asyncio.get_running_loop().call_later(0.05, p.vote, "dana", "approve")
            assert await p == "APPLIED"
            assert await p == "APPLIED"
            gates.open_gate("held")
            results, state = await asyncio.gather(run, p)
            assert results["report"] == "<data.csv@3>"
            assert state == "APPLIED"
            assert (await run) == results
        with pytest.raises(hx.HexdagError, match="closed"):
            lab.start(slow_dag)

    asyncio.run(cell())


def test_awaiting_a_run_that_fails_raises_with_what_finished() -> None:
    async def cell() -> None:
        async with hx.Lab(pool="inline", store="memory://") as lab:
            dag = hx.Dag.of(hx.NodeSpec("a", lambda: 1), hx.NodeSpec("b", lambda a: 1 / 0))
            with pytest.raises(hx.RunFailed, match="b: ZeroDivisionError") as failed:
                await lab.start(dag)
            assert failed.value.results == {"a": 1}

    asyncio.run(cell())


def test_the_loop_stays_free_while_it_waits(lab: hx.Lab, running: hx.Run) -> None:
    async def cell() -> int:
        ticks = 0

        async def tick() -> None:
            nonlocal ticks
            while True:
                await asyncio.sleep(0.01)
                ticks += 1

        ticking = asyncio.create_task(tick())
        asyncio.get_running_loop().call_later(0.3, gates.open_gate, "held")
        await running
        ticking.cancel()
        return ticks

    assert asyncio.run(cell()) >= 5


def test_who_waits_is_told_when_the_lab_closes(lab: hx.Lab, running: hx.Run) -> None:
    said: list[BaseException] = []

    def wait() -> None:
        try:
            running.wait(20)
        except hx.HexdagError as error:
            said.append(error)

    thread = threading.Thread(target=wait)
    thread.start()
    time.sleep(0.05)
    lab.close()
    thread.join(5)
    assert "the lab is closed" in str(said[0])
    assert "attach" in str(said[0])


# -- in a kernel's main thread


@pytest.fixture
def kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    """This thread is the main thread of a Jupyter kernel."""
    shell = SimpleNamespace(kernel=object())
    monkeypatch.setitem(sys.modules, "ipykernel", SimpleNamespace())
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: shell))
    assert kernels.in_main_thread()


@pytest.mark.usefixtures("kernel")
def test_a_cell_that_waits_for_a_person_only_is_refused_and_told_what_to_do(lab: hx.Lab, running: hx.Run) -> None:
    lab.add_agent(hx.Agent("critic"))
    p = proposed(running)
    with pytest.raises(hx.WouldBlock, match=r"only a person can decide now \(dana\).*await.*p\.vote") as refused:
        p.wait(10)
    assert (refused.value.rule, "await" in refused.value.fix) == ("would-block", True)
    gates.open_gate("held")
    until(lambda: running.nodes["held"].state == "SUCCEEDED")
    with pytest.raises(hx.WouldBlock, match="dana"):
        running.wait(10)
    p.vote("dana", "approve")
    assert running.wait(10)["report"]


@pytest.mark.usefixtures("kernel")
def test_a_cell_may_wait_while_anything_else_can_move(lab: hx.Lab, running: hx.Run) -> None:
    lab.add_agent(hx.Agent("critic"))
    proposed(running)
    threading.Timer(0.6, gates.open_gate, ["held"]).start()
    with pytest.raises(hx.WouldBlock):  # only once `held` is done: until then the run moves
        running.wait(10)
    assert running.nodes["held"].state == "SUCCEEDED"


@pytest.mark.usefixtures("kernel")
def test_a_cell_may_wait_for_an_agent(lab: hx.Lab, slow_dag: hx.Dag) -> None:
    def slow(context: object) -> bool:
        from tests.lab import gates

        gates.pass_through("vote")
        return True

    lab.add_agent(hx.Agent("writer", role="executor"))
    lab.add_agent(hx.Agent("critic", vote=slow))
    lab.add_agent(hx.HumanAgent("marie"))
    run = lab.start(slow_dag, policy=hx.Supermajority(1 / 2))
    gates.reached("held")
    p = proposed(run, by="writer")
    threading.Timer(0.5, gates.open_gate, ["vote"]).start()
    with pytest.raises(hx.WouldBlock, match="marie"):  # after the critic has voted, only marie is missing
        p.wait(10)
    assert [b.voter for b in p.tally.ballots] == ["critic"]


@pytest.mark.usefixtures("kernel")
def test_a_cell_may_wait_on_another_thread_and_with_await(lab: hx.Lab, running: hx.Run) -> None:
    lab.add_agent(hx.Agent("critic"))
    p = proposed(running)
    threading.Timer(0.5, p.vote, ["dana", "approve"]).start()

    async def cell() -> str:
        return str(await p)

    assert asyncio.run(cell()) == "APPLIED"
    gates.open_gate("held")
    running.wait(10)


@pytest.mark.usefixtures("kernel")
def test_a_rehearsed_person_answers_by_herself(lab: hx.Lab, running: hx.Run) -> None:
    lab.add_agent(hx.Agent("critic"))
    lab.add_agent(hx.HumanAgent("dana", vote=lambda context: time.sleep(0.5) or True))
    assert proposed(running).wait(10) == "APPLIED"
