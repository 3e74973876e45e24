"""Agents are asked on threads, in order and with a time limit; whatever they do, the run goes on and it is recorded."""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import hexdag_lab as hx
from hexdag_lab.runtime import desk
from tests.runtime.kit import open_gate, pass_gate, until


def one() -> int:
    return 1


def held(gate: str) -> int:
    pass_gate(gate)
    return 1


@pytest.fixture
def lab() -> Iterator[hx.Lab]:
    with hx.Lab(pool="inline", store="memory://") as lab:
        yield lab


def holding(gate: Path) -> hx.Dag:
    return hx.Dag.of(hx.NodeSpec("held", held, params={"gate": str(gate)}))


def more(run: Any, name: str = "one") -> hx.Changeset:
    return hx.Changeset.on(run.dag).add_node(hx.NodeSpec(name, one))


def ballots(proposal: Any) -> dict[str, tuple[str, str]]:
    return {b.voter: (b.choice.value, b.reason) for b in proposal.view._proposal.ballots}


# -- votes


def voted_by(lab: hx.Lab, gate: Path, vote: Any) -> Any:
    """A decided proposal on which "voter" alone had to vote."""
    lab.add_agent(hx.Agent("voter", vote=vote))
    run = lab.start(holding(gate), policy=hx.Supermajority(1))
    proposal = run.propose(more(run))
    proposal.wait(30)
    open_gate(gate)
    run.wait(30)
    return proposal


async def slowly(context: Any) -> str:
    await asyncio.sleep(0)
    return "approve"


@pytest.mark.parametrize(
    ("vote", "state"),
    [
        (lambda context: True, "APPLIED"), (lambda context: False, "REJECTED"), (lambda context: "approve", "APPLIED"),
        (slowly, "APPLIED"), (lambda context: hx.Ballot("reject", "too dear"), "REJECTED"),
    ],
)  # fmt: skip
def test_an_agent_votes_as_its_function_says(lab: hx.Lab, gate: Path, vote: Any, state: str) -> None:
    assert voted_by(lab, gate, vote).state == state


def test_an_agent_sees_the_proposal_and_the_run_that_it_votes_on(lab: hx.Lab, gate: Path) -> None:
    seen: list[Any] = []

    def vote(context: Any) -> bool:
        seen.append(
            (context.agent, context.proposal.changeset.added, context.run.nodes["held"].state, list(context.dag))
        )
        return True

    voted_by(lab, gate, vote)
    assert [(agent, added, dag) for agent, added, _, dag in seen] == [("voter", ("one",), ["held"])]


def fails(context: Any) -> bool:
    raise ValueError("no opinion today")


def leaves(context: Any) -> bool:
    sys.exit(3)


def times_out(context: Any) -> bool:
    raise TimeoutError("its own service did not answer")


@pytest.mark.parametrize(
    ("vote", "why"),
    [
        (fails, "ValueError: no opinion today"), (leaves, "RuntimeError: SystemExit: 3"),
        (times_out, "TimeoutError: its own service did not answer"), (lambda context: "perhaps", "perhaps"),
    ],
)  # fmt: skip
def test_an_agent_that_fails_is_absent_and_the_reason_is_recorded(lab: hx.Lab, gate: Path, vote: Any, why: str) -> None:
    choice, reason = ballots(voted_by(lab, gate, vote))["voter"]
    assert choice == "absent"
    assert why in reason


def test_an_agent_that_takes_too_long_is_absent(lab: hx.Lab, gate: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(desk, "VOTE_SECONDS", 0.1)
    stuck = threading.Event()
    proposal = voted_by(lab, gate, lambda context: stuck.wait(60))
    assert ballots(proposal)["voter"] == ("absent", "no answer within 0.1 s")
    stuck.set()


def test_agents_that_hang_do_not_keep_others_from_voting(
    lab: hx.Lab, gate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(desk, "VOTE_SECONDS", 0.2)
    stuck = threading.Event()
    for number in range(2 * desk.AT_ONCE):
        lab.add_agent(hx.Agent(f"hangs-{number:02}", vote=lambda context: stuck.wait(60)))
    lab.add_agent(hx.Agent("votes", vote=lambda context: True))
    run = lab.start(holding(gate), policy=hx.Supermajority(0.5, base="cast"))
    proposal = run.propose(more(run))
    assert proposal.wait(30) == "APPLIED"
    assert ballots(proposal)["votes"][0] == "approve"
    stuck.set()
    open_gate(gate)


# -- hooks


def test_events_reach_a_hook_in_order_one_at_a_time_and_the_run_waits_for_it(lab: hx.Lab) -> None:
    seen: list[int] = []
    busy: list[int] = []

    def on_event(event: Any, context: Any) -> None:
        busy.append(event.seq)
        assert len(busy) == 1
        seen.append(event.seq)
        busy.clear()

    lab.add_agent(hx.Agent("watcher", on_event=on_event))
    run = lab.start(hx.Dag.of(*(hx.NodeSpec(f"n{n}", one) for n in range(30))))
    run.wait(30)
    shown = [e.seq for e in run.events() if not isinstance(e, desk.UNHOOKED)]
    assert seen[: len(shown) - 1] == shown[:-1]  # the last one says that the run is over
    until(lambda: seen == shown)


def test_a_hook_that_is_slow_does_not_keep_nodes_or_other_agents_waiting(lab: hx.Lab, gate: Path) -> None:
    stuck, seen = threading.Event(), list[str]()
    lab.add_agent(hx.Agent("slow", on_event=lambda event, context: stuck.wait(60) and None))
    lab.add_agent(hx.Agent("quick", on_event=lambda event, context: seen.append(event.kind)))
    run = lab.start(hx.Dag.of(one))
    until(lambda: run.nodes["one"].state == "SUCCEEDED" and "NodeSucceeded" in seen)
    assert run.status == "RUNNING"
    stuck.set()
    run.wait(30)


def failures(run: Any) -> list[str]:
    return [e.failure for e in run.events() if e.kind == "HooksSeen" and e.failure]


def bad_hook(event: Any, context: Any) -> Any:
    if event.kind == "NodeSucceeded":
        raise ValueError("cannot take it")


def odd_hook(event: Any, context: Any) -> Any:
    return "a change, please" if event.kind == "NodeSucceeded" else None


def stale_hook(event: Any, context: Any) -> Any:
    if event.kind == "NodeSucceeded":
        return hx.Changeset.on(hx.Dag.of(one)).add_node(hx.NodeSpec("other", one))
    return None


@pytest.mark.parametrize(
    ("hook", "why"),
    [
        (bad_hook, "ValueError: cannot take it"),
        (odd_hook, "on_event returned str; it returns a Changeset or None"),
        (stale_hook, "its proposal was refused: this change is not based on a version of this run"),
    ],
)
def test_what_goes_wrong_in_a_hook_is_recorded_and_the_run_ends(lab: hx.Lab, hook: Any, why: str) -> None:
    lab.add_agent(hx.Agent("watcher", on_event=hook))
    run = lab.start(hx.Dag.of(hx.NodeSpec("first", one)))
    assert run.wait(30) == {"first": 1}
    assert any(failure.startswith(why) for failure in failures(run))


def test_a_hook_that_takes_too_long_is_recorded_and_the_run_ends(lab: hx.Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(desk, "HOOK_SECONDS", 0.1)
    stuck = threading.Event()

    def on_event(event: Any, context: Any) -> None:
        if event.kind == "RunStarted":
            stuck.wait(60)

    lab.add_agent(hx.Agent("slow", on_event=on_event))
    run = lab.start(hx.Dag.of(one))
    assert run.wait(30) == {"one": 1}
    assert failures(run) == ["no answer within 0.1 s"]
    stuck.set()


def test_what_a_hook_proposes_is_named_after_the_event(lab: hx.Lab) -> None:
    def on_event(event: Any, context: Any) -> Any:
        if event.kind == "NodeSucceeded" and event.node == "first":
            return context.change().add_node(hx.NodeSpec("second", one)).because("first is done")
        return None

    lab.add_agent(hx.Agent("grower", on_event=on_event))
    run = lab.start(hx.Dag.of(hx.NodeSpec("first", one)), policy="autopilot")
    assert run.wait(30) == {"first": 1, "second": 1}
    seq = next(e.seq for e in run.events() if e.kind == "NodeSucceeded")
    (proposal,) = run.proposals.values()
    assert (proposal.id, proposal.by, proposal.reason) == (f"{run.id}/grower-{seq}", "grower", "first is done")


def test_an_agent_whose_functions_stay_in_a_process_that_is_gone_takes_no_part_any_more(
    tmp_path: Path, gate: Path
) -> None:
    url, lock = f"sqlite:///{tmp_path}/lab.db", threading.Lock()

    def on_event(event: Any, context: Any) -> None:
        with lock:  # cannot travel
            pass

    with hx.Lab(pool="inline", store=url) as lab:
        lab.add_agent(hx.Agent("bound", on_event=on_event))
        lab.start(holding(gate), run_id="left")
    open_gate(gate)
    with hx.Lab(pool="inline", store=url) as lab:
        run = lab.attach("left")
        assert run.wait(30) == {"held": 1}
        assert [e.absent for e in run.events() if e.kind == "RunAttached"] == [("bound",)]


def test_an_agent_that_comes_back_without_its_hook_does_not_keep_the_run_from_ending(
    tmp_path: Path, gate: Path
) -> None:
    url = f"sqlite:///{tmp_path}/lab.db"
    with hx.Lab(pool="inline", store=url) as lab:
        lab.add_agent(hx.Agent("watcher", on_event=lambda event, context: None))
        lab.start(holding(gate), run_id="left")
    open_gate(gate)
    with hx.Lab(pool="inline", store=url) as lab:
        lab.add_agent(hx.Agent("watcher", vote=lambda context: True))
        assert lab.attach("left").wait(30) == {"held": 1}


# -- agents that fail again and again


def test_an_agent_that_fails_three_times_in_a_row_is_asked_no_more_until_it_is_added_anew(
    lab: hx.Lab, gate: Path
) -> None:
    asked: list[str] = []

    def vote(context: Any) -> bool:
        asked.append(context.proposal.id)
        return fails(context)

    lab.add_agent(hx.Agent("voter", vote=vote))
    run = lab.start(holding(gate), policy=hx.Supermajority(1))

    def absent(name: str) -> str:
        proposal = run.propose(more(run, name))
        proposal.wait(30)
        return ballots(proposal)["voter"][1]

    assert [absent(name) for name in "abc"] == ["ValueError: no opinion today"] * 3
    assert absent("d") == ("suspended: it failed 3 times in a row, the last time: ValueError: no opinion today")
    assert len(asked) == 3
    assert [e.agent for e in run.events() if e.kind == "AgentSuspended"] == ["voter"]
    lab.add_agent(hx.Agent("voter", vote=lambda context: True))
    assert run.propose(more(run, "e")).wait(30) == "APPLIED"
    open_gate(gate)
    run.wait(30)


def test_an_agent_has_the_time_that_it_was_given(lab: hx.Lab, gate: Path) -> None:
    slow = threading.Event()
    lab.add_agent(hx.Agent("voter", vote=lambda context: slow.wait(60), seconds=0.05))
    run = lab.start(holding(gate), policy=hx.Supermajority(1))
    proposal = run.propose(more(run))
    proposal.wait(30)
    slow.set()
    assert ballots(proposal)["voter"] == ("absent", "no answer within 0.05 s")
    open_gate(gate)
    run.wait(30)
