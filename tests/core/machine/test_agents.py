"""Agents that are asked: what they ask of models is the run's to pay, who fails three times in a row is asked no more,
and what may be built from the catalogue only is held to it by checks and by a person's vote."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

from hexdag_lab.core.base.frozen import FrozenDict
from hexdag_lab.core.dag.catalog import Listed, key_of
from hexdag_lab.core.machine import effects as ef
from hexdag_lab.core.machine import events as ev
from hexdag_lab.core.machine import messages as ms
from hexdag_lab.core.runs.run import RunStatus
from hexdag_lab.core.votes.agent import Seat
from hexdag_lab.core.votes.ballot import Choice
from hexdag_lab.core.votes.budget import Budget
from hexdag_lab.core.votes.calls import Call, CallOutcome, Usage
from hexdag_lab.core.votes.people import HumanApproval
from hexdag_lab.core.votes.policy import Deadline
from hexdag_lab.core.votes.presets import autopilot
from hexdag_lab.core.votes.proposal import ProposalState
from hexdag_lab.core.votes.weighing import Majority
from tests.core.machine.diary import Diary, seats, spec

P = ProposalState


def hal(**options: Any) -> Seat:
    return Seat("hal", votes="here", hooks="here", **options)


def with_hal(graph: str = "load > fit", **options: Any) -> Diary:
    lab = Diary(graph, seats=(*seats(), hal()), owner="ada", **options)
    lab.start(slots=0)
    return lab


def is_absent(lab: Diary, proposal: str) -> None:
    lab.send(ms.VoterAbsent(lab.now, proposal, "hal", "KeyError: 'x'"))


def looks(lab: Diary, failure: str = "", broke: bool = False) -> None:
    lab.send(ms.HooksReturned(lab.now, "hal", lab.state.seq, failure, broke))


def opened(lab: Diary, name: str) -> str:
    lab.propose(f"p_{name}", lab.change().add_node(spec(name)))
    return f"p_{name}"


# -- failing


def test_who_fails_three_times_in_a_row_is_suspended_with_its_last_error() -> None:
    lab = with_hal()
    for name in "abc":
        is_absent(lab, opened(lab, name))
    assert lab.state.suspended == {"hal": "it failed 3 times in a row, the last time: KeyError: 'x'"}
    assert [e.agent for e in lab.events if isinstance(e, ev.AgentSuspended)] == ["hal"]


def test_votes_and_events_count_together_and_an_answer_in_between_begins_anew() -> None:
    lab = with_hal()
    is_absent(lab, opened(lab, "a"))
    looks(lab, "TypeError", broke=True)
    assert lab.state.failing == {"hal": 2}
    lab.send(ms.CastBallot(lab.now, opened(lab, "b"), "hal", Choice.APPROVE, "", "rule"))
    assert not lab.state.failing
    looks(lab, "TypeError", broke=True)
    looks(lab)
    assert not lab.state.failing
    assert not lab.state.suspended


def test_that_its_proposal_was_refused_is_no_failure_of_an_agent() -> None:
    lab = with_hal()
    for _ in range(4):
        looks(lab, "its proposal was refused: …")
    assert not lab.state.failing


def test_a_ballot_that_somebody_casts_by_hand_in_its_name_says_nothing_of_the_agent() -> None:
    lab = with_hal()
    for name in "ab":
        is_absent(lab, opened(lab, name))
    lab.vote(opened(lab, "c"), "hal")
    assert lab.state.failing == {"hal": 2}


def test_a_run_does_not_wait_for_what_a_suspended_agent_makes_of_events() -> None:
    lab = with_hal("load")
    for _ in range(3):
        looks(lab, "TypeError", broke=True)
    lab.pool(1)
    lab.runs("load")
    assert lab.state.status is RunStatus.SUCCEEDED


def test_an_agent_that_is_added_anew_begins_anew_and_sees_what_happens_from_then_on() -> None:
    lab = with_hal()
    for _ in range(3):
        looks(lab, "TypeError", broke=True)
    seq = lab.state.seq
    lab.send(ms.Join(lab.now, hal()))
    assert not lab.state.suspended
    assert not lab.state.failing
    assert lab.state.hooks["hal"] == seq


# -- calls


def call(**options: Any) -> Call:
    return Call(**{"purpose": "vote", "model": "m", "prompt": "ab", **options})


def test_what_calls_cost_is_paid_by_the_run_and_added_up_by_agent() -> None:
    lab = with_hal()
    lab.send(ms.Called(lab.now, "hal", call(tokens=(100, 20), seconds=1.5, cost=Fraction(1, 4))))
    first = lab.state.calls["hal"].last
    slow = call(tokens=(100, 0), seconds=3.0, cost=Fraction(1, 8), outcome=CallOutcome.SLOW)
    lab.send(ms.Called(lab.now, "hal", slow))
    assert lab.state.spent() == Fraction(3, 8)
    assert lab.state.calls["hal"] == Usage(2, 1, (200, 20), 4.5, Fraction(3, 8), (first, slow))
    assert str(lab.state.calls["hal"]) == "2 calls, 1 without an answer, 200 + 20 tokens, 4.5 s, 0.3750"


def test_a_run_whose_agents_have_spent_its_budget_pauses_and_asks() -> None:
    lab = Diary("load", seats=(*seats(), hal()), budget=Budget(cost=Fraction(2)))
    lab.dag = lab.dag.replace_node("load", spec("load", cost=1))
    lab.start(slots=0)
    lab.send(ms.Called(lab.now, "hal", call(cost=Fraction(3, 2))))
    lab.pool(1)
    assert lab.state.status is RunStatus.PAUSED
    assert lab.state.short == Budget(cost=Fraction(1, 2))


def test_a_call_that_ends_after_its_run_is_recorded_and_one_of_a_stranger_is_not() -> None:
    lab = with_hal("load")
    lab.pool(1)
    lab.runs("load")
    looks(lab)
    assert lab.state.over
    lab.send(ms.Called(lab.now, "hal", call()))
    lab.send(ms.Called(lab.now, "nobody", call()))
    assert [e.agent for e in lab.events if isinstance(e, ev.AgentCalled)] == ["hal"]


# -- what an agent may build

MAIL, COUNT = spec("mail"), spec("count")
LISTED = FrozenDict({"mail": Listed(key_of(MAIL), "high"), "count": Listed(key_of(COUNT))})


def catalogued(policy: Any, *more: Seat, **options: Any) -> Diary:
    """hal proposes and may add what is listed; ann is a person."""
    house = (Seat("ann", human=True), Seat("hal", catalogued=True), *more)
    lab = Diary("load", policy, seats=house, owner="ann", operations=LISTED, **options)
    lab.start(slots=0)
    return lab


def test_an_agent_of_the_catalogue_adds_its_operations_under_any_name_with_any_parameters() -> None:
    lab = catalogued(Majority())
    lab.propose("p", lab.change().add_node(COUNT.but(name="count_2", params={"kw": 3}).after("load")), "hal")
    assert lab.state.proposals["p"].state is P.OPEN
    assert "built from the catalogue" in [check.message for check in lab.state.proposals["p"].checks]


def test_anything_else_fails_a_check_that_no_vote_overrules() -> None:
    lab = catalogued(Majority())
    for number, change in enumerate([
        lab.change().add_node(spec("count", "2")),  # other code under a listed name
        lab.change().add_node(COUNT.but(name="c", requires={"gpu"})),  # what it needs is not the agent's to say
        lab.change().replace_node("load", spec("load", "2")),
    ]):  # fmt: skip
        lab.propose(f"p{number}", change, "hal")
        broken = [check for check in lab.state.proposals[f"p{number}"].checks if not check.ok]
        assert "operation" in [check.rule for check in broken]
        assert lab.state.proposals[f"p{number}"].state is P.REJECTED


def test_who_is_not_bound_to_the_catalogue_adds_what_it_likes() -> None:
    lab = catalogued(Majority(), Seat("bob"))
    lab.propose("p", lab.change().add_node(spec("own")), "bob")
    assert lab.state.proposals["p"].state is P.OPEN


def test_what_is_of_high_risk_waits_for_a_person_whatever_the_policy_says() -> None:
    for policy in (autopilot(), Majority() & Deadline(5, "accept"), Majority() | HumanApproval(above=9)):
        lab = catalogued(policy, Seat("bob"), Seat("cy"))
        lab.propose("p", lab.change().add_node(MAIL), "hal")
        lab.vote("p", "bob")
        lab.vote("p", "cy")
        assert lab.state.proposals["p"].state is P.OPEN
        assert lab.state.proposals["p"].tally(lab.state.policy, lab.now).needs == ("ann",)
        lab.vote("p", "ann")
        assert lab.state.proposals["p"].state is P.APPLIED


def test_a_deadline_that_accepts_does_not_stand_for_the_person() -> None:
    lab = catalogued(Deadline(5, "accept"), Seat("bob"))
    lab.propose("p", lab.change().add_node(MAIL), "hal")
    lab.tick(6)
    assert lab.state.proposals["p"].state is P.EXPIRED
    assert lab.state.proposals["p"].why == "the deadline passed; mail: high risk, needs ann"


def test_an_agent_that_is_not_bound_to_the_catalogue_needs_the_person_too_and_a_person_needs_nobody() -> None:
    lab = catalogued(Majority(), Seat("bob"))
    lab.propose("p", lab.change().add_node(MAIL), "bob")
    assert lab.state.proposals["p"].electorate is not None
    assert lab.state.proposals["p"].electorate.risky == ("mail",)
    lab.propose("q", lab.change().add_node(MAIL.but(name="mail_2")), "ann")
    lab.vote("q", "bob")
    lab.vote("q", "hal")
    assert lab.state.proposals["q"].state is P.APPLIED


def test_without_an_operation_of_high_risk_the_policy_stays_as_it_was_given() -> None:
    lab = Diary("load", Majority(), operations=FrozenDict({"count": LISTED["count"]}))
    lab.start()
    assert lab.state.policy == Majority()


# -- who runs a node


def test_a_node_that_is_given_to_an_agent_which_runs_nodes_says_so_in_its_attempt() -> None:
    house = (*seats(), Seat("wu", runs="ab.cd"), Seat("xi"))
    lab = Diary("a, b, c", seats=house)
    lab.dag = lab.dag.replace_node("a", spec("a", agent="wu")).replace_node("b", spec("b", agent="xi"))
    lab.start(slots=3)
    tasks = {task.node: task.runs for effect in lab.effects if isinstance(effect, ef.Submit) for task in effect.tasks}
    assert tasks == {"a": "ab.cd", "b": None, "c": None}
