"""Nodes that propose and wait: `hx.context()`, `ctx.propose`, `ctx.wait_for`, `ctx.checkpoint`."""

from __future__ import annotations

from typing import Any

import pytest

import hexdag_lab as hx
from tests.lab import gates
from tests.lab.conftest import until


@hx.node(agent="researcher")
def research() -> str:
    """Finds something, asks for a closer look after itself, and says what became of it."""
    import hexdag_lab as hx
    from tests.lab import gates

    gates.called("research")
    ctx = hx.context()
    if ctx.decision is None:
        change = hx.Changeset.on(ctx.dag).add_node(hx.NodeSpec("deeper", lambda research: research).after("research"))
        ctx.wait_for(ctx.propose(change, "complexity 0.9", key="deeper"))
    return f"{ctx.decision} {ctx.attempt}"


def test_a_node_proposes_as_its_agent_waits_and_is_called_again_with_the_decision(lab: hx.Lab) -> None:
    lab.add_agent(hx.Agent("researcher", role="executor"))
    run = lab.start(hx.Dag.of(research))
    until(lambda: run.nodes["research"].state == "SUSPENDED")
    (p,) = lab.inbox()
    assert (p.id, p.by, p.reason, p.state) == ("run-1/research-deeper", "researcher", "complexity 0.9", "OPEN")
    assert run.why("research") == f"waits for proposal {p.id} (open to votes: needs dana)"
    assert lab.workers()[0]["state"] == "idle", "waiting holds no slot"
    p.vote("dana", "approve")
    assert run.wait(10) == {"research": "APPLIED 2", "deeper": "APPLIED 2"}
    assert gates.calls == ["research", "research"]
    assert len(run.proposals) == 1, "the same key is the same proposal"
    assert run.nodes["deeper"].version == 2


def test_a_node_need_not_look_whether_it_is_called_again(lab: hx.Lab) -> None:
    def asks() -> str:
        import hexdag_lab as hx

        ctx = hx.context()
        change = hx.Changeset.on(ctx.dag).add_node(hx.NodeSpec("x", lambda: 1))
        one = ctx.wait_for(ctx.propose(change, key="x"))
        two = ctx.wait_for(ctx.propose(change.add_node(hx.NodeSpec("y", lambda: 1)), key="y"))
        return f"{one} {two}"

    run = lab.start(hx.Dag.of(hx.NodeSpec("asks", asks)))
    for _ in range(2):
        until(lambda: lab.inbox() or run.status == "FAILED", 5)
        lab.inbox()[0].vote("dana", "approve")
    assert run.wait(10) == {"asks": "APPLIED APPLIED", "x": 1, "y": 1}


def test_a_node_goes_on_when_its_proposal_is_turned_down(lab: hx.Lab) -> None:
    lab.add_agent(hx.Agent("researcher", role="executor"))
    run = lab.start(hx.Dag.of(research))
    until(lambda: lab.inbox())
    lab.inbox()[0].vote("dana", "reject")
    assert run.wait(10) == {"research": "REJECTED 2"}


def test_without_an_agent_the_labs_executor_proposes(lab: hx.Lab) -> None:
    def asks() -> str:
        import hexdag_lab as hx

        ctx = hx.context()
        return ctx.propose(hx.Changeset.on(ctx.dag).add_node(hx.NodeSpec("more", lambda: 1))).id

    run = lab.start(hx.Dag.of(hx.NodeSpec("asks", asks)))
    until(lambda: run.nodes["asks"].state == "SUCCEEDED")
    (p,) = run.proposals.values()
    assert (p.by, p.id, run.result("asks")) == ("executor", "run-1/asks-1", "run-1/asks-1")
    assert run.status == "RUNNING", "a proposal is open"
    p.vote("dana", "approve")
    assert run.wait(10)["more"] == 1


def test_the_context_says_where_the_node_is(lab: hx.Lab) -> None:
    def where(depth: int = 2) -> dict[str, Any]:
        import hexdag_lab as hx

        ctx = hx.context()
        ctx.progress(0.5, "half")
        ctx.log("here")
        return {"run": ctx.run_id, "node": ctx.node, "attempt": ctx.attempt, "version": ctx.version,
                "worker": bool(ctx.worker), "values": dict(ctx.values), "restored": ctx.restored,
                "decision": ctx.decision, "dag": sorted(ctx.dag)}  # fmt: skip

    run = lab.start(hx.Dag.of(hx.NodeSpec("where", where, params={"depth": 7})))
    assert run.wait(10)["where"] == {
        "run": "run-1", "node": "where", "attempt": 1, "version": 1, "worker": True, "values": {"depth": 7},
        "restored": None, "decision": None, "dag": ["where"],
    }  # fmt: skip


def test_what_a_checkpoint_saves_is_restored_after_the_wait(lab: hx.Lab) -> None:
    def saves() -> Any:
        import hexdag_lab as hx
        from tests.lab import gates

        ctx = hx.context()
        if ctx.restored is None:
            gates.called("first half")
            ctx.checkpoint({"half": 21})
            ctx.wait_for(ctx.propose(hx.Changeset.on(ctx.dag).add_node(hx.NodeSpec("x", lambda: 1))))
        return ctx.restored["half"] * 2

    run = lab.start(hx.Dag.of(hx.NodeSpec("saves", saves)))
    until(lambda: run.nodes["saves"].state == "SUSPENDED")
    lab.inbox()[0].vote("dana", "approve")
    assert run.wait(10)["saves"] == 42
    assert gates.calls == ["first half"]


def test_a_change_that_fails_its_checks_is_told_to_the_node(lab: hx.Lab) -> None:
    def asks(first: int) -> str:
        import hexdag_lab as hx

        ctx = hx.context()
        change = hx.Changeset.on(ctx.dag).replace_node("first", hx.NodeSpec("first", lambda: 2))
        return str(ctx.wait_for(ctx.propose(change)))

    run = lab.start(hx.Dag.of(hx.NodeSpec("first", lambda: 1), hx.NodeSpec("asks", asks)))
    assert run.wait(10) == {"first": 1, "asks": "REJECTED"}
    (p,) = run.proposals.values()
    assert "first has finished" in p.why


def test_an_observer_may_not_propose_from_a_node_either(lab: hx.Lab) -> None:
    lab.add_agent(hx.Agent("researcher", role="observer"))
    run = lab.start(hx.Dag.of(research))
    assert run.wait(10) == {"research": "REJECTED 2"}
    assert run.proposals == {}


def test_a_node_of_an_agent_that_nobody_knows_is_refused_at_the_start(lab: hx.Lab) -> None:
    with pytest.raises(hx.NotAllowed, match="node research is given to 'researcher'") as refused:
        lab.start(hx.Dag.of(research))
    assert "lab.add_agent" in refused.value.fix


def test_there_is_no_context_outside_of_a_node() -> None:
    with pytest.raises(hx.HexdagError, match="only inside a node"):
        hx.context()
