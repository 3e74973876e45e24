"""Votes and policies as a lab holds them: who counts, when it is decided, and what late, odd and wrong votes get."""

from __future__ import annotations

import math
from typing import Any

import pytest

import hexdag_lab as hx
from tests.lab import gates
from tests.lab.conftest import report, until

TWO_THIRDS = hx.Supermajority(2 / 3) & hx.Quorum(voters=2) & hx.Deadline(seconds=600, otherwise="reject")


def started(lab: hx.Lab, slow_dag: hx.Dag, policy: Any, **trust: float) -> hx.Run:
    """A run under a policy, with a proposer `writer` and voters of some trust; `held` keeps it going."""
    lab.add_agent(hx.Agent("writer", role="executor"))
    for name, weight in trust.items():
        lab.add_agent(hx.Agent(name, trust=weight))
    run = lab.start(slow_dag, policy=policy)
    gates.reached("held")
    return run


def proposed(run: hx.Run, by: str = "writer") -> hx.ProposalHandle:
    return run.propose(hx.Changeset.on(run.dag).add_node(report.after("fit")), by=by)


def test_a_supermajority_with_quorum_and_deadline(lab: hx.Lab, slow_dag: hx.Dag) -> None:
    run = started(lab, slow_dag, TWO_THIRDS, marie=1.0, critic=0.5, other=0.5)
    p = proposed(run)
    assert set(p.tally.needs) == {"marie", "critic", "other"}
    p.vote("marie", "approve", reason="useful")
    assert p.state == "OPEN"
    assert "0.50 of 0.66" in p.tally.text
    assert p.tally.ballots[0].reason == "useful"
    assert dict(p.tally.weights)["critic"] == 0.5
    p.vote("critic", "approve")
    assert p.state == "APPLIED", "1.5 of 2 is more than two thirds, and two have voted"
    assert p.decided_by == "critic, marie"


def test_it_is_rejected_as_soon_as_the_threshold_is_out_of_reach(lab: hx.Lab, slow_dag: hx.Dag) -> None:
    run = started(lab, slow_dag, TWO_THIRDS, marie=1.0, critic=0.5, other=0.5)
    p = proposed(run)
    p.vote("marie", "reject", reason="too early")
    assert p.state == "REJECTED"
    assert "cannot be reached any more" in p.why


def test_the_weights_decide_and_not_the_heads(lab: hx.Lab, slow_dag: hx.Dag) -> None:
    run = started(lab, slow_dag, hx.Majority(), heavy=0.9, light_a=0.2, light_b=0.2)
    p = proposed(run)
    p.vote("light_a", "reject")
    p.vote("light_b", "reject")
    assert p.state == "OPEN"
    p.vote("heavy", "approve")
    assert p.state == "APPLIED"


def test_the_deadline_settles_what_is_pending(lab: hx.Lab, slow_dag: hx.Dag) -> None:
    for otherwise, state in (("reject", "EXPIRED"), ("accept", "APPLIED")):
        run = started(lab, slow_dag, hx.Supermajority(2 / 3) & hx.Deadline(0.15, otherwise=otherwise), marie=1.0)
        p = proposed(run)
        assert p.state == "OPEN"
        assert p.wait(5) == state
        assert "the deadline passed" in p.why
        with pytest.raises(hx.AlreadyDecided):
            p.vote("marie", "approve")


def test_solo_the_owner_applies_her_own_and_agents_need_her(lab: hx.Lab, running: hx.Run) -> None:
    assert lab.owner == "dana"
    assert isinstance(lab.owner, hx.HumanAgent)
    assert lab.agents["dana"] is lab.owner
    assert proposed(running, by="dana").state == "APPLIED"
    lab.add_agent(hx.Agent("critic", vote=lambda context: True))
    change = hx.Changeset.on(running.dag).add_node(report.as_node("two").after("fit"))
    p = running.propose(change, by="critic")
    assert p.state == "OPEN"
    assert p.deadline == pytest.approx(p.at + 600)
    with pytest.raises(hx.NotAllowed, match="critic made this proposal"):
        p.vote("critic", "approve")
    p.vote("dana", "reject", reason="no")
    assert (p.state, p.why) == ("REJECTED", "dana said reject")


@pytest.mark.parametrize("who", ["eye", "mallory"])
def test_an_observer_or_a_stranger_may_not_vote(lab: hx.Lab, running: hx.Run, who: str) -> None:
    lab.add_agent(hx.Agent("eye", role="observer"))
    lab.add_agent(hx.Agent("critic"))
    p = proposed(running, by="critic")
    with pytest.raises(hx.NotAllowed) as refused:
        p.vote(who, "approve")
    assert refused.value.rule == {"eye": "observer", "mallory": "stranger"}[who]
    assert refused.value.fix
    assert p.state == "OPEN"


def test_who_joins_after_voting_opened_may_vote_on_what_comes_later(lab: hx.Lab, slow_dag: hx.Dag) -> None:
    run = started(lab, slow_dag, hx.Unanimous(), marie=1.0)
    p = proposed(run)
    lab.add_agent(hx.Agent("late"))
    with pytest.raises(hx.NotAllowed, match="late joined after voting"):
        p.vote("late", "reject")
    p.vote("marie", "approve")
    assert p.state == "APPLIED"
    two = run.propose(hx.Changeset.on(run.dag).add_node(report.as_node("two").after("fit")), by="writer")
    assert set(two.tally.needs) == {"late", "marie"}


def test_a_vote_may_change_while_it_is_open_and_a_double_one_counts_once(lab: hx.Lab, slow_dag: hx.Dag) -> None:
    run = started(lab, slow_dag, hx.Supermajority(1 / 2), marie=1.0, critic=1.5)
    p = proposed(run)
    p.vote("marie", "approve")
    seq = run.seq
    p.vote("marie", "approve")
    assert run.seq == seq, "the same vote again changes nothing"
    p.vote("marie", "abstain", reason="not sure")
    assert [ballot.choice for ballot in p.tally.ballots] == ["abstain"]
    assert [e.kind for e in run.events(after=seq)].count("BallotCast") == 1
    p.vote("marie", "approve")
    p.vote("critic", "approve")
    assert p.state == "APPLIED"


def test_a_vote_after_the_decision_is_told_so(lab: hx.Lab, slow_dag: hx.Dag) -> None:
    run = started(lab, slow_dag, hx.Majority(), marie=1.0, critic=0.2)
    p = proposed(run)
    p.vote("marie", "approve")
    with pytest.raises(hx.AlreadyDecided, match="is APPLIED by marie") as late:
        lab.vote(p.id, "critic", "reject")
    assert (late.value.rule, late.value.fix) == ("decided", "propose it anew")


def test_no_voters_reject_at_once(lab: hx.Lab, slow_dag: hx.Dag) -> None:
    run = started(lab, slow_dag, hx.Supermajority(2 / 3))
    p = proposed(run)
    assert (p.state, p.why) == ("REJECTED", "nobody may vote on this")


def test_all_abstain_rejects_once_all_have_voted(lab: hx.Lab, slow_dag: hx.Dag) -> None:
    for name in ("a", "b", "c"):
        lab.add_agent(hx.Agent(name, vote=lambda context: "abstain"))
    for policy in (hx.Supermajority(2 / 3), hx.Majority(), hx.Supermajority(1 / 2, base="cast")):
        p = proposed(started(lab, slow_dag, policy))
        assert p.wait(5) == "REJECTED", policy


def test_unanimous_below_quorum_is_no_approval(lab: hx.Lab, slow_dag: hx.Dag) -> None:
    run = started(lab, slow_dag, hx.Majority() & hx.Quorum(voters=3), marie=1.0, critic=1.0)
    p = proposed(run)
    assert p.state == "REJECTED"
    assert "quorum 0 of 3 voters cannot be reached" in p.why


def test_a_veto(lab: hx.Lab, slow_dag: hx.Dag) -> None:
    run = started(lab, slow_dag, hx.Unanimous() & hx.Veto("worker"), marie=1.0, critic=1.0)
    lab.add_agent(hx.Agent("worker", role="executor"))
    p = proposed(run)
    p.vote("marie", "approve")
    p.vote("worker", "reject", reason="unsafe")
    assert (p.state, p.why) == ("REJECTED", "vetoed by worker")


def test_what_an_executor_says_is_advice_of_no_weight(lab: hx.Lab, slow_dag: hx.Dag) -> None:
    run = started(lab, slow_dag, hx.Unanimous(), marie=1.0)
    lab.add_agent(hx.Agent("worker", role="executor", trust=1.0))
    p = proposed(run)
    p.vote("worker", "reject", reason="over the budget")
    assert p.state == "OPEN"
    assert p.tally.needs == ("marie",)
    assert [(b.voter, b.reason) for b in p.tally.ballots] == [("worker", "over the budget")]
    p.vote("marie", "approve")
    assert p.state == "APPLIED"


def test_voters_is_an_argument_of_policies(lab: hx.Lab, slow_dag: hx.Dag) -> None:
    run = started(lab, slow_dag, hx.Unanimous(voters={"executor"}), marie=1.0)
    lab.add_agent(hx.Agent("worker", role="executor"))
    p = proposed(run)
    assert set(p.tally.needs) == {"executor", "worker"}, "the lab's own executor agent has a seat"


def test_request_changes_reaches_the_proposer(lab: hx.Lab, slow_dag: hx.Dag) -> None:
    run = started(lab, slow_dag, hx.Majority(), marie=1.0)
    p = proposed(run)
    p.vote("marie", "request_changes", reason="use fewer nodes")
    assert p.state == "REJECTED"
    assert p.feedback == (("marie", "use fewer nodes"),)


def test_rule_agents_vote_by_themselves_sync_and_async(lab: hx.Lab, slow_dag: hx.Dag) -> None:
    asked: list[tuple[str, str]] = []

    def looks(context: Any) -> hx.Ballot:
        asked.append((context.agent, context.proposal.id))
        return hx.Ballot("approve", f"{len(context.proposal.changeset.added)} more")  # type: ignore[arg-type]

    async def waits(context: Any) -> str:
        return "approve"

    lab.add_agent(hx.Agent("a", vote=looks))
    lab.add_agent(hx.Agent("b", vote=waits))
    lab.add_agent(hx.Agent("c", vote=lambda context: True))
    run = started(lab, slow_dag, hx.Unanimous())
    p = proposed(run)
    assert p.wait(5) == "APPLIED"
    assert asked == [("a", p.id)]
    assert [(b.voter, b.choice, b.reason) for b in p.tally.ballots] == [
        ("a", "approve", "1 more"), ("b", "approve", ""), ("c", "approve", ""),
    ]  # fmt: skip


@pytest.mark.parametrize("answer", ["maybe", None, 3, math.nan])
def test_an_agent_that_answers_nonsense_is_absent_and_nobody_waits_for_it(
    lab: hx.Lab, slow_dag: hx.Dag, answer: Any
) -> None:
    lab.add_agent(hx.Agent("odd", vote=lambda context: answer))
    run = started(lab, slow_dag, hx.Majority(), marie=1.0)
    p = proposed(run)
    until(lambda: p.tally.ballots)
    assert p.tally.ballots[0].choice == "absent"
    assert "a vote is one of" in p.tally.ballots[0].reason
    p.vote("marie", "approve")
    assert p.state == "APPLIED"


def test_an_agent_that_fails_is_absent_and_its_error_is_recorded(lab: hx.Lab, slow_dag: hx.Dag) -> None:
    lab.add_agent(hx.Agent("broken", vote=lambda context: 1 / 0))
    run = started(lab, slow_dag, hx.Unanimous())
    p = proposed(run)
    assert p.wait(5) == "REJECTED"
    assert p.tally.ballots[0].reason.startswith("ZeroDivisionError")


@pytest.mark.parametrize("choice", ["yes", "", "APPROVE", None, 1])
def test_a_vote_is_one_of_four_words(lab: hx.Lab, running: hx.Run, choice: Any) -> None:
    lab.add_agent(hx.Agent("critic"))
    p = proposed(running, by="critic")
    with pytest.raises(ValueError, match="a vote is one of approve, reject, abstain, request_changes"):
        p.vote("dana", choice)
    assert p.state == "OPEN"


@pytest.mark.parametrize("policy", ["pair", "owners", "committee", "autopilot"])
def test_the_other_presets(lab: hx.Lab, slow_dag: hx.Dag, policy: str) -> None:
    lab.add_agent(hx.HumanAgent("marie"))
    run = started(lab, slow_dag, policy)
    p = proposed(run)
    if policy == "owners":  # the lab's owner, who owns all nodes, and one more
        p.vote("dana", "approve")
    if policy != "autopilot":
        p.vote("marie", "approve")
    assert p.state == "APPLIED"


@pytest.mark.parametrize("trust", [math.nan, -0.1, math.inf, "much", True])
def test_trust_is_a_finite_number_of_zero_or_more(trust: Any) -> None:
    with pytest.raises(ValueError, match="trust is a finite number"):
        hx.Agent("x", trust=trust)


@pytest.mark.parametrize(
    "make",
    [
        lambda: hx.Supermajority(0),
        lambda: hx.Supermajority(1.5),
        lambda: hx.Supermajority(math.nan),
        lambda: hx.Supermajority(1 / 2, base="some"),
        lambda: hx.Deadline(0),
        lambda: hx.Deadline(5, otherwise="maybe"),
        lambda: hx.Quorum(voters=-1),
        lambda: hx.Lab(pool="inline", store="memory://", policy="anarchy"),
    ],
)
def test_policies_that_make_no_sense(make: Any) -> None:
    with pytest.raises(ValueError, match=r".+"):
        make()


def test_who_owns_a_node_must_agree_to_what_touches_it(lab: hx.Lab, slow_dag: hx.Dag) -> None:
    owned = hx.Majority() & hx.Owners({"rep*": lab.add_agent(hx.HumanAgent("rita", trust=0))})
    run = started(lab, slow_dag, owned, marie=1.0)
    p = proposed(run)
    p.vote("marie", "approve")
    assert (p.state, p.tally.needs) == ("OPEN", ("rita",))
    p.vote("rita", "approve")
    assert p.state == "APPLIED"
    other = run.propose(hx.Changeset.on(run.dag).add_node(report.as_node("draft").after("fit")), by="writer")
    other.vote("marie", "approve")
    assert other.state == "APPLIED", "nobody owns this one"


def test_a_delegate_speaks_for_who_does_not_vote(lab: hx.Lab, slow_dag: hx.Dag) -> None:
    spoken = hx.Delegate(hx.Supermajority(2 / 3), {"ann": "marie", "bob": "ann"}, most=1)
    run = started(lab, slow_dag, spoken, marie=1.0, ann=1.0, bob=1.0)
    p = proposed(run)
    p.vote("bob", "reject")
    assert p.state == "OPEN"
    p.vote("marie", "approve")
    assert p.state == "APPLIED", "marie and, through her, ann; bob has spoken for himself"
    assert p.tally.text == "0.66 of 0.66"
