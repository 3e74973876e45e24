"""The tally as a picture has it, and how carefully a proposal is to be looked at."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction

import pytest

import hexdag_lab as hx
from hexdag_lab.views import cards, tally
from tests.lab import gates
from tests.lab.conftest import fit, held, load, report, until


@pytest.fixture
def run() -> Iterator[hx.Run]:
    """`load` and `fit` are done, `held` runs; dana owns the lab; critic has 0.8 and marie 0.4 of the weight."""
    policy = hx.Supermajority(Fraction(2, 3)) & hx.Deadline(90)
    with hx.Lab(pool="inline", store="memory://", owner="dana", policy=policy) as lab:
        lab.add_agent(hx.Agent("critic", trust=0.8))
        lab.add_agent(hx.HumanAgent("marie", trust=0.4))
        lab.add_agent(hx.Agent("worker", role="executor"))
        made = lab.start(hx.Dag.of(load, fit.after("load"), held.after("load")), budget=10)
        until(lambda: (made.nodes["fit"].state, made.nodes["held"].state) == ("SUCCEEDED", "RUNNING"))
        yield made
        gates.reset()


def proposal(run: hx.Run, change: hx.Changeset) -> hx.ProposalHandle:
    return run.propose(change, by="worker")


def test_the_bar_has_the_weight_for_and_against_and_the_threshold(run: hx.Run) -> None:
    p = proposal(run, hx.Changeset.on(run.dag).add_node(report.after("fit")))
    p.vote("marie", "approve")
    state = run.view.state
    found = tally.share(state, state.proposals[p.id])
    assert found == pytest.approx((1 / 3, 0, 2 / 3))
    assert 'style="left:66.67%"' in cards.bar(found)
    assert "0.33 for, 0.00 against, 0.67 needed" in cards.bar(found)


def test_the_viewer_is_told_that_her_own_ballot_is_needed(run: hx.Run) -> None:
    p = proposal(run, hx.Changeset.on(run.dag).add_node(report.after("fit")))
    state = run.view.state
    found = state.proposals[p.id]
    assert tally.needed(state, found, "marie") == ("you", "critic")
    assert tally.needed(state, found) == ("critic", "marie")
    assert "needs you" in cards.votes(state, found, p.at, "marie")
    assert "needs you" not in cards.votes(state, found, p.at, "dana")


def test_a_policy_without_weights_has_no_bar() -> None:
    with hx.Lab(pool="inline", store="memory://", owner="dana") as lab:
        lab.add_agent(hx.Agent("critic"))
        run = lab.start(hx.Dag.of(load, held.after("load")))
        p = run.propose(hx.Changeset.on(run.dag).add_node(report.as_node("r", fit="x").after("load")), by="critic")
        assert tally.share(run.view.state, run.view.state.proposals[p.id]) is None
        assert cards.bar(None) == ""
        gates.reset()


def test_nobody_sees_the_weights_of_a_sealed_vote_before_she_has_voted() -> None:
    policy = hx.Supermajority(Fraction(2, 3), sealed=True)
    with hx.Lab(pool="inline", store="memory://", policy=policy) as lab:
        for name in ("ann", "bob", "cleo"):
            lab.add_agent(hx.Agent(name))
        lab.add_agent(hx.Agent("worker", role="executor"))
        run = lab.start(hx.Dag.of(load, held.after("load")))
        p = run.propose(hx.Changeset.on(run.dag).add_node(report.as_node("r", fit="x").after("load")), by="worker")
        p.vote("ann", "approve")
        state = run.view.state
        found = state.proposals[p.id]
        assert tally.share(state, found, "bob") is None
        assert tally.share(state, found, "ann") is not None
        gates.reset()


def test_risk_is_low_for_additions_middle_for_changes_and_high_where_work_is_lost(run: hx.Run) -> None:
    base = hx.Changeset.on(run.dag)
    deeper = fit.as_node("fit", depth=9)
    told = {
        "adds": base.add_node(report.after("fit")),
        "costs": base.add_node(report.as_node("r2", fit="x").after("fit").but(cost=1)),
        "changes": base.replace_node("fit", deeper, finished="keep"),
        "reruns": base.replace_node("fit", deeper, finished="rerun"),
    }
    state = run.view.state
    made = {name: proposal(run, change).id for name, change in told.items()}
    state = run.view.state
    assert {name: tally.risk(state.proposals[id_]) for name, id_ in made.items()} == {
        "adds": (tally.LOW, "only adds nodes"),
        "costs": (tally.MIDDLE, "costs money"),
        "changes": (tally.MIDDLE, "changes what is there"),
        "reruns": (tally.HIGH, "throws work away"),
    }
    raised = run.raise_budget(cost=5, by="worker")
    assert tally.risk(run.view.state.proposals[raised.id]).tier == tally.HIGH


def test_a_card_draws_only_what_the_change_is_about(run: hx.Run) -> None:
    p = proposal(run, hx.Changeset.on(run.dag).add_node(report.after("fit")))
    state = run.view.state
    picture = cards.picture(state, state.proposals[p.id])
    assert "report: added" in picture
    assert "fit: unchanged" in picture
    assert "held" not in picture
    p.vote("critic", "approve")
    until(lambda: p.state == "APPLIED")
    state = run.view.state
    assert "report: added" in cards.picture(state, state.proposals[p.id]), "as it was when it was applied"
