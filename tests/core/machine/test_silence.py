"""What it counts as when somebody has not voted by the deadline: a ballot in her name, and never more than that."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from hexdag_lab.core.base.errors import NotAllowed
from hexdag_lab.core.machine import messages as ms
from hexdag_lab.core.votes.agent import Seat
from hexdag_lab.core.votes.ballot import BY_DEFAULT, Ballot, Choice
from hexdag_lab.core.votes.delegate import Delegate
from hexdag_lab.core.votes.people import HumanApproval
from hexdag_lab.core.votes.policy import Deadline, Electorate, Policy, Verdict
from hexdag_lab.core.votes.proposal import ProposalState
from hexdag_lab.core.votes.trust import Lesson
from hexdag_lab.core.votes.weighing import Majority, Quorum, Supermajority, Unanimous
from tests.core.machine.diary import Diary, spec

ANN = Seat("ann", human=True, otherwise=Choice.ABSTAIN)


def opened(policy: Policy, *others: Seat, ann: Seat = ANN) -> Diary:
    """A run in which eve has proposed, and ann and the others may vote for a minute."""
    lab = Diary("load > fit", policy & Deadline(60), seats=(ann, *others, Seat("eve")), owner="ann", by="ann")
    lab.start()
    lab.propose("p1", lab.change().add_node(spec("more")), by="eve")
    lab.told()
    return lab


def end_of(lab: Diary) -> tuple[ProposalState, str]:
    proposal = lab.state.proposals["p1"]
    return proposal.state, proposal.decided_by


def test_at_the_deadline_a_ballot_is_cast_in_her_name_and_then_the_policy_decides() -> None:
    lab = opened(Supermajority(1, base="cast"), Seat("bob"))
    lab.vote("p1", "bob")
    lab.tick(59)
    assert end_of(lab)[0] is ProposalState.OPEN
    lab.told()
    lab.tick(1)
    assert lab.told().splitlines()[:2] == [
        '  60  ann on p1: abstain "no vote by the deadline"',
        "  60  p1 approved: 1.00 of 1.00",
    ]
    assert end_of(lab) == (ProposalState.APPLIED, "bob")
    assert lab.state.proposals["p1"].cast()["ann"].via == BY_DEFAULT


def test_a_ballot_of_her_own_stays_and_a_late_one_comes_too_late() -> None:
    lab = opened(Unanimous(), Seat("bob"))
    lab.vote("p1", "ann", "reject")
    assert end_of(lab) == (ProposalState.REJECTED, "ann")
    lab = opened(Majority(), Seat("bob"), ann=replace(ANN, otherwise=Choice.REJECT))
    lab.now = 60
    lab.vote("p1", "ann", "approve")
    assert lab.state.proposals["p1"].cast()["ann"].choice is Choice.REJECT
    assert lab.state.proposals["p1"].terminal


def test_what_is_pending_even_so_is_for_the_deadline_to_settle() -> None:
    lab = opened(Supermajority(2 / 3), Seat("bob"), Seat("cy"))
    lab.vote("p1", "bob")
    lab.tick(60)
    assert end_of(lab) == (ProposalState.EXPIRED, "the deadline")


def test_without_a_deadline_nothing_is_cast() -> None:
    lab = Diary("load > fit", Unanimous(), seats=(ANN, Seat("eve")), owner="ann", by="ann")
    lab.start()
    lab.propose("p1", lab.change().add_node(spec("more")), by="eve")
    lab.tick(10**6)
    assert lab.state.proposals["p1"].ballots == ()


@pytest.mark.parametrize("policy", [HumanApproval(), Majority() & Quorum(voters=2), Majority() & Quorum(share=1)])
def test_silence_is_neither_a_persons_yes_nor_turnout(policy: Policy) -> None:
    lab = opened(policy, Seat("bob", weight=ANN.weight * 3))
    lab.vote("p1", "bob")
    lab.tick(60)
    assert end_of(lab)[0] in (ProposalState.REJECTED, ProposalState.EXPIRED)


def test_silence_does_not_take_her_ballot_from_her_delegate() -> None:
    policy = Delegate(Unanimous(), {"ann": "bob"}, most=1)
    silent = Ballot(Choice.REJECT, voter="ann", via=BY_DEFAULT)
    electorate = Electorate((ANN, Seat("bob")), "eve", "ann", 0.0)
    said = policy.evaluate({"ann": silent, "bob": Ballot(Choice.APPROVE, voter="bob")}, electorate, 1.0)
    assert said.verdict is Verdict.YES


def test_silence_teaches_nothing() -> None:
    ballots = [Ballot(Choice.REJECT, voter="ann", via=BY_DEFAULT), Ballot(Choice.REJECT, voter="bob")]
    assert Lesson.of("p1", True, "it has lasted", ballots).no == ("bob",)


def test_nobody_votes_by_default_herself() -> None:
    lab = opened(Majority(), Seat("bob"))
    ballot: dict[str, Any] = {"proposal": "p1", "by": "bob", "choice": Choice.APPROVE, "via": BY_DEFAULT}
    refused = lab.send(ms.CastBallot(lab.now, **ballot))
    assert isinstance(refused, NotAllowed)
    assert refused.rule == "by-default"
