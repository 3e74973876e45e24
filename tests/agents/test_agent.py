"""Agents as values, and the roadmap's own calls."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

import hexdag_lab as hx
from tests.lab import gates
from tests.lab.conftest import fit, held, load, report


@pytest.fixture
def lab() -> Iterator[hx.Lab]:
    with hx.Lab(pool="inline", store="memory://", owner="dana") as made:
        yield made
    gates.reset()


def test_an_agent_stands_for_its_name() -> None:
    marie = hx.HumanAgent("marie")
    assert marie == "marie" == str(marie) == f"{marie}"
    assert {marie: 1}["marie"] == 1
    assert marie == hx.Agent("marie")
    assert marie != hx.Agent("critic")
    assert marie != 7
    assert (marie.trust, marie.role, marie.human) == (1.0, "orchestrator", True)
    assert (hx.Agent("critic").trust, hx.Agent("critic").human) == (0.5, False)


def test_capabilities_are_a_set_of_words() -> None:
    assert hx.Agent("x", capabilities="llm").capabilities == {"llm"}
    assert hx.Agent("x", capabilities=["llm", "gpu"]).capabilities == {"llm", "gpu"}


def test_the_roadmaps_calls(lab: hx.Lab) -> None:
    critic = lab.add_agent(hx.Agent("critic"))
    run = lab.start(hx.Dag.of(load, fit.after("load"), held.after("load")))
    gates.reached("held")
    p = critic.propose_node_addition(report.spec.but(cost=3).after("fit"), "a report is missing")
    assert (p.by, p.reason, p.changeset.added) == ("critic", "a report is missing", ("report",))
    assert critic.validate_proposal(p)
    assert critic.estimate_execution_cost(p) == 3.0
    with pytest.raises(TimeoutError):
        critic.wait_for_approval(p, timeout=0.05)
    p.vote(lab.owner, "approve")
    assert critic.wait_for_approval(p) == "APPLIED"
    sub = hx.Dag.of(hx.NodeSpec("check", lambda report: len(report)), hx.NodeSpec("mail", lambda check: check))
    q = critic.propose_subgraph("report", sub, "check and mail it")
    q.vote("dana", "approve")
    assert {("report", "check"), ("check", "mail")} <= run.dag.edges
    bad = critic.propose_node_addition(hx.NodeSpec("x", lambda nothing: nothing))
    assert not critic.validate_proposal(bad)
    gates.open_gate("held")
    assert run.wait(10)["mail"] == len("<data.csv@3>")


def test_they_go_to_the_latest_run(lab: hx.Lab) -> None:
    critic = lab.add_agent(hx.Agent("critic"))
    for _ in range(11):
        latest = lab.start(hx.Dag.of(load, held.after("load")))
    p = critic.propose_node_addition(report.as_node("r", fit="x"))
    assert p.id == f"{latest.id}/p1" == "run-11/p1"


def test_an_agent_in_no_lab_and_a_lab_without_runs(lab: hx.Lab) -> None:
    critic = hx.Agent("critic")
    with pytest.raises(hx.NotAllowed, match="agent critic is in no lab") as refused:
        critic.propose_node_addition(load)
    assert refused.value.fix == "lab.add_agent(agent)"
    lab.add_agent(critic)
    with pytest.raises(hx.Refused, match="no run is going on"):
        critic.propose_node_addition(load)
