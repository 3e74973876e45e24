"""Bugs that other systems had with votes, each shown not to be one here. The number is that of the case.

8   a decision is written once: double clicks, two tabs, late votes
9   the deadline and a vote in the same tick
10  weights reach the tally
11  nobody, nothing, all abstain, no number, unanimous below the quorum
"""

from __future__ import annotations

import math
from fractions import Fraction
from itertools import combinations, product

import pytest

from hexdag_lab.core.base.codec import dumps, loads
from hexdag_lab.core.base.errors import AlreadyDecided
from hexdag_lab.core.machine import messages as ms
from hexdag_lab.core.machine.evolve import evolve
from hexdag_lab.core.machine.state import RunState
from hexdag_lab.core.votes.agent import Role, Seat, weight_of
from hexdag_lab.core.votes.ballot import Choice
from hexdag_lab.core.votes.logodds import LogOdds
from hexdag_lab.core.votes.policy import Deadline, Electorate, Policy, Verdict
from hexdag_lab.core.votes.weighing import Majority, Quorum, Supermajority, Unanimous
from tests.core.machine.diary import Diary, spec
from tests.core.votes.build import cast, house, says
from tests.core.votes.test_logodds import earned

COUNTING = (Supermajority(), Supermajority(base="cast"), Majority(), Majority(base="all"), Unanimous())


def opened(policy: Policy, at: float = 3.0) -> Diary:
    """A run with one open proposal of ada's; bob and cy may vote."""
    lab = Diary("load", policy)
    lab.start()
    lab.now = at
    lab.propose("p1", lab.change().add_node(spec("plot")))
    return lab


def moves(lab: Diary) -> list[str]:
    """What became of the proposal, event by event."""
    kinds = [event.kind for event in lab.events if event.proposal == "p1" or event.kind == "ProposalMade"]
    return [kind for kind in kinds if kind != "BallotCast"]


# -- 8


def test_e8_a_decision_is_written_once_and_whoever_comes_late_is_told() -> None:
    lab = opened(Majority() & Deadline(60))
    lab.vote("p1", "bob")
    lab.vote("p1", "bob")  # a double click
    lab.vote("p1", "bob", True, "the same from another tab")
    lab.vote("p1", "cy")
    assert lab.state.proposals["p1"].state == "APPLIED"
    decided, events = lab.state.proposals["p1"], len(lab.events)
    for by, said in product(("bob", "cy"), (True, False)):
        late = lab.vote("p1", by, said)
        assert isinstance(late, AlreadyDecided)
        assert "is APPLIED by bob, cy" in str(late)
    lab.tick(1000)
    lab.vote("p1", "bob", False)
    assert lab.state.proposals["p1"] == decided
    assert [e for e in lab.events[events:] if e.proposal == "p1"] == []
    assert [ballot.voter for ballot in decided.ballots] == ["bob", "cy"], "and nobody is counted twice"
    assert moves(lab) == ["ProposalMade", "ProposalOpened", "ProposalApproved", "ProposalApplied", "VersionCommitted"]


def test_e8_who_decided_is_in_the_same_write_as_the_decision() -> None:
    lab = opened(Majority())
    lab.vote("p1", "bob", False)  # of two: there is no majority any more
    (ending,) = [e for e in lab.events if e.kind == "ProposalRejected"]
    assert ending.by == loads(dumps(ending)).by == "bob"


# -- 9


@pytest.mark.parametrize("otherwise", ["reject", "accept"])
@pytest.mark.parametrize("vote_first", [True, False])
def test_e9_a_deadline_and_a_vote_in_the_same_tick_have_one_outcome(otherwise: str, vote_first: bool) -> None:
    lab = opened(Unanimous() & Deadline(60, otherwise))
    lab.vote("p1", "bob")
    lab.now = 63.0
    last = ms.CastBallot(63.0, "p1", "cy", Choice.REJECT if otherwise == "accept" else Choice.APPROVE, "", "test")
    for message in (last, ms.Tick(63.0)) if vote_first else (ms.Tick(63.0), last):
        answer = lab.send(message)
        if message is last:
            assert isinstance(answer, AlreadyDecided), "at the deadline it is the deadline that decides"
    assert lab.state.proposals["p1"].state == ("APPLIED" if otherwise == "accept" else "EXPIRED")
    state = RunState()
    for event in lab.events:
        state = evolve(state, loads(dumps(event)))
    assert state == lab.state, "and the same on replay"


def test_e9_a_moment_before_the_deadline_the_vote_decides() -> None:
    lab = opened(Unanimous() & Deadline(60))
    lab.vote("p1", "bob")
    lab.now = 62.999
    lab.vote("p1", "cy")
    lab.tick(1)
    assert lab.state.proposals["p1"].state == "APPLIED"


# -- 10


def test_e10_weights_reach_the_tally() -> None:
    """For every cast of one heavy voter among up to four light ones, and every way that these vote."""
    flipped = 0
    for lights in range(5):
        names = [f"light{i}" for i in range(lights)]
        seats = house(heavy=lights + 1, **dict.fromkeys(names, 1))
        for said in product("+-0", repeat=lights):
            others = dict(zip(names, said, strict=True))
            yes, no = (says(Majority(), seats, heavy=vote, **others).verdict for vote in "+-")
            assert (yes, no) == (Verdict.YES, Verdict.NO), others
            flipped += 1
    assert flipped == sum(3**n for n in range(5))


def test_e10_each_ballot_counts_with_its_own_voters_weight() -> None:
    """Whoever sits beside whom, in whatever order, with observers and advisers between them."""
    weights = {"ann": 5, "bob": 3, "cy": 1, "dot": 1}
    others = [Seat("a_watcher", Role.OBSERVER, Fraction(50)), Seat("b_adviser", Role.EXECUTOR, Fraction(50))]
    seats = house(extra=others, **weights)
    for size in range(5):
        for yes in combinations(weights, size):
            votes = {name: "+" if name in yes else "-" for name in weights}
            passes = 3 * sum(weights[name] for name in yes) >= 2 * sum(weights.values())
            said = says(Supermajority(), seats, a_watcher="-", b_adviser="-", **votes)
            assert (said.verdict is Verdict.YES) == passes, yes
    everybody = says(Supermajority(Fraction(1)), seats, **dict.fromkeys(weights, "+"))
    assert everybody.verdict is Verdict.YES, "unanimity can be reached: trust of those without a vote is in no sum"


def test_e10_a_heavy_ballot_that_is_changed_changes_the_result() -> None:
    lab = Diary("load", Majority())
    voters = (Seat("ada"), *(Seat(n, weight=Fraction(w)) for n, w in (("heavy", 3), ("l1", 1), ("l2", 1), ("l3", 1))))
    lab.start(seats=voters)
    for id_, last, state in (("p1", True, "APPLIED"), ("p2", False, "REJECTED")):
        lab.propose(id_, lab.change().add_node(spec(f"plot_{id_}")))
        lab.vote(id_, "l1", not last)
        lab.vote(id_, "l2", not last)
        lab.vote(id_, "heavy", last)
        lab.vote(id_, "l3", last)
        assert lab.state.proposals[id_].state == state


def test_e10_earned_weights_reach_the_tally_as_well() -> None:
    seats = earned(heavy=2500, l1=700, l2=700, l3=700)
    others = {"l1": "+", "l2": "+", "l3": "+"}
    assert says(LogOdds(), seats, heavy="-", **others).verdict is Verdict.NO
    assert says(LogOdds(), seats, heavy="+", **others).verdict is Verdict.YES


# -- 11


@pytest.mark.parametrize("policy", [*COUNTING, LogOdds()], ids=repr)
def test_e11_no_voters_and_no_weight_reject_at_once(policy: Policy) -> None:
    nobody = (house(), house(ada=0, bob=0), house(extra=[Seat("e", Role.EXECUTOR)]), house(proposer="ada", ada=1))
    for seats in nobody:
        assert says(policy, seats).verdict is Verdict.NO
        assert says(policy, seats).text


@pytest.mark.parametrize("policy", [*COUNTING, LogOdds(), LogOdds(prior=0.99)], ids=repr)
def test_e11_all_abstain_rejects_once_all_have_voted(policy: Policy) -> None:
    seats = earned(ada=900, bob=900)
    assert says(policy, seats, ada="0").verdict is Verdict.PENDING
    assert says(policy, seats, ada="0", bob="0").verdict is Verdict.NO


def test_e11_the_proposers_own_vote_is_not_counted() -> None:
    for policy in COUNTING:
        seats = house(proposer="ada", ada=10, bob=1)
        assert says(policy, seats, ada="+").needs == ("bob",)
        assert says(policy, seats, ada="+", bob="-").verdict is Verdict.NO


@pytest.mark.parametrize("trust", [math.nan, math.inf, -math.inf, -1, True, None, "1"])
def test_e11_a_weight_that_is_no_number_cannot_be_made(trust: object) -> None:
    with pytest.raises(ValueError, match="trust is a finite number, 0 or more"):
        weight_of(trust)


def test_e11_unanimous_below_the_quorum_is_rejected() -> None:
    policy = Unanimous() & Quorum(voters=3)
    assert says(policy, house(ada=1, bob=1), ada="+", bob="+").text == "quorum 2 of 3 voters cannot be reached"


def test_e11_no_vote_raises_or_waits_for_ever_whatever_is_cast() -> None:
    """All choices, absences among them, of up to three voters under every counting policy: each ends in yes or no."""
    for size in range(4):
        names = ("ada", "bob", "cy")[:size]
        seats: Electorate = house(**dict.fromkeys(names, 1))
        for said in product("+-0?x", repeat=size):
            for policy in (*COUNTING, LogOdds()):
                verdict = policy.evaluate(cast(**dict(zip(names, said, strict=True))), seats, 101.0).verdict
                assert verdict in (Verdict.YES, Verdict.NO), (policy, said)


def test_e11_a_run_without_voters_answers_a_proposal_at_once() -> None:
    lab = Diary("load", Majority())
    lab.start(seats=(Seat("ada"),))
    lab.propose("p1", lab.change().add_node(spec("plot")))
    assert (lab.state.proposals["p1"].state, lab.state.proposals["p1"].why) == ("REJECTED", "nobody may vote on this")
    assert lab.state.open == ()
