"""Proposals, ballots and effects as values: tables, sentences, and what an approval covers."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import pytest

from hexdag_lab.core.base.codec import dumps, loads
from hexdag_lab.core.dag.changeset import Changeset
from hexdag_lab.core.dag.code import Code, Param
from hexdag_lab.core.dag.dag import Dag
from hexdag_lab.core.dag.node import NodeSpec
from hexdag_lab.core.votes.ballot import Ballot, Choice, choice_of
from hexdag_lab.core.votes.budget import Budget
from hexdag_lab.core.votes.policy import Deadline
from hexdag_lab.core.votes.proposal import (
    ENVELOPE,
    MEANING,
    TERMINAL,
    TRANSITIONS,
    Check,
    Effect,
    Estimate,
    Proposal,
    ProposalState,
    effect_digest,
    kind_of,
    still_approved,
)
from hexdag_lab.core.votes.weighing import Majority
from tests.core.votes.build import house, says

P = ProposalState


def spec(name: str, revision: str = "1") -> NodeSpec:
    code = Code(name, "test", revision.encode().ljust(32, b"-"), (Param("kw", False, "many"),))
    return NodeSpec(name, code=code)


DAG = Dag.of(spec("a"))
CHANGE = Changeset.on(DAG).add_node(spec("b"))


@pytest.mark.parametrize(
    ("said", "choice"),
    [
        (True, Choice.APPROVE), (False, Choice.REJECT), ("approve", Choice.APPROVE), ("reject", Choice.REJECT),
        ("abstain", Choice.ABSTAIN), ("request_changes", Choice.REQUEST_CHANGES), (Choice.REJECT, Choice.REJECT),
    ],
)  # fmt: skip
def test_a_vote_is_a_bool_or_a_word(said: object, choice: Choice) -> None:
    assert choice_of(said) is choice


@pytest.mark.parametrize("said", ["yes", "absent", "", 1, None, 0.5])
def test_anything_else_is_no_vote(said: object) -> None:
    with pytest.raises(ValueError, match="a vote is one of approve, reject, abstain, request_changes, not"):
        choice_of(said)


def test_the_table_lists_every_state_and_each_has_a_meaning() -> None:
    assert set(TRANSITIONS) == set(MEANING) == set(ProposalState)
    assert all(following <= set(ProposalState) for following in TRANSITIONS.values())
    ends = {P.APPLIED, P.REJECTED, P.EXPIRED, P.WITHDRAWN, P.CONFLICTED, P.SUPERSEDED}
    assert ends == TERMINAL


def test_every_state_can_be_reached_and_every_proposal_can_end() -> None:
    reached, todo = {P.DRAFT}, [P.DRAFT]
    while todo:
        for state in TRANSITIONS[todo.pop()] - reached:
            reached.add(state)
            todo.append(state)
    assert reached == set(ProposalState)
    assert all(TRANSITIONS[state] & TERMINAL for state in set(ProposalState) - TERMINAL)


def test_a_check_reads_as_a_line() -> None:
    assert str(Check("acyclic", True, "no cycle", fix="never shown")) == "ok  no cycle"
    assert str(Check("finished", False, "a has finished", "a", "keep it")) == "no  a has finished; keep it"
    assert str(Check("budget", True)) == "ok  budget"


def test_an_effect_reads_as_a_line() -> None:
    assert str(Effect(keep=3, start=("b",))) == "keeps 3 · starts b · nothing cancelled"
    effect = Effect(1, restart=("c",), cancel=("d", "e"), rerun=("f",))
    assert str(effect) == "keeps 1 · restarts c · cancels d, e · re-runs f"


def test_a_tally_shows_who_voted_and_what_is_needed() -> None:
    made = Proposal("p", "pat", CHANGE, 1, electorate=house(ada=1, bob=2))
    voted = replace(made, ballots=(Ballot(Choice.APPROVE, "good", "ada", 1.0),))
    tally = voted.tally(Majority(), 101)
    assert (tally.verdict, str(tally), tally.needs) == ("pending", "0.33 of more than 0.50, needs bob", ("bob",))
    assert [ballot.voter for ballot in tally.ballots] == ["ada"]
    assert tally.weights == (("ada", Fraction(1)), ("bob", Fraction(2)))


def test_a_decided_proposal_is_tallied_as_of_its_decision() -> None:
    made = Proposal("p", "pat", CHANGE, 1, electorate=house(ada=1), why="never mind")
    policy = Majority() & Deadline(10)
    assert made.tally(policy, 500).opinion.expired
    assert not replace(made, decided_at=100.0).tally(policy, 500).opinion.expired
    assert not replace(made, decided_at=0.0).tally(policy, 500).opinion.expired  # 0 is a time like others
    assert replace(made, electorate=None).tally(policy, 1).text == "never mind"


def test_an_approval_covers_the_same_change_with_no_further_losses() -> None:
    other = Changeset.on(DAG).add_node(spec("b", "2"))
    few, more = Effect(losses=(("a", 1),)), Effect(losses=(("a", 1), ("c", 4)))
    assert still_approved((CHANGE, more), (CHANGE, few))
    assert still_approved((CHANGE, few), (CHANGE, Effect()))
    assert not still_approved((CHANGE, few), (CHANGE, more))
    assert not still_approved((CHANGE, few), (CHANGE, Effect(losses=(("a", 2),))))  # another attempt of a
    assert not still_approved((CHANGE, few), (other, few))
    assert effect_digest(CHANGE, few) != effect_digest(CHANGE, more) != effect_digest(other, more)


def test_code_that_ships_is_part_of_what_is_approved() -> None:
    shipped = Changeset.on(DAG).add_node(spec("b").but(blob="sha.mac"))
    assert not still_approved((CHANGE, Effect()), (shipped, Effect()))


def test_proposals_are_compared_by_content() -> None:
    made = Proposal("p", "pat", CHANGE, 1, electorate=house(ada=1), effect=Effect(keep=1))
    assert loads(dumps(made)).digest == made.digest
    assert replace(made, why="so").digest != made.digest


# -- sealed ballots


def test_sealed_ballots_show_who_has_voted_and_not_what() -> None:
    made = Proposal("p", "pat", CHANGE, 1, electorate=house(ada=1, bob=1, cy=1), state=P.OPEN)
    voted = replace(made, ballots=(Ballot(Choice.REJECT, "too big", "ada", 1.0, "key"),))
    seen = voted.tally(Majority(sealed=True), 101, viewer="bob")
    assert seen.text == "1 of 3 have answered; sealed until you vote"
    assert seen.ballots == (Ballot(Choice.SEALED, "", "ada", 1.0),)
    assert (seen.verdict, seen.needs) == ("pending", ("bob", "cy"))


def test_who_has_voted_sees_all_and_so_does_everybody_once_it_is_decided() -> None:
    sealed = Majority(sealed=True) & Deadline(10)
    made = Proposal("p", "pat", CHANGE, 1, electorate=house(ada=1, bob=1), state=P.OPEN)
    voted = replace(made, ballots=(Ballot(Choice.REJECT, "too big", "ada", 1.0),))
    assert voted.tally(sealed, 101, viewer="ada") == voted.tally(sealed, 101)
    assert not voted.sealed_to("bob", Majority()), "where the policy seals nothing"
    ended = replace(voted, state=P.REJECTED, decided_at=102.0)
    assert ended.tally(sealed, 103, viewer="bob") == ended.tally(sealed, 103)


def test_who_failed_to_vote_sees_no_more_than_who_has_not() -> None:
    made = Proposal("p", "pat", CHANGE, 1, electorate=house(ada=1, bob=1), state=P.OPEN)
    voted = replace(made, ballots=(Ballot(Choice.APPROVE, "", "ada"), Ballot(Choice.ABSENT, "no answer", "bob")))
    seen = voted.seen_by("bob", Majority(sealed=True))
    assert [ballot.choice for ballot in seen] == [Choice.SEALED, Choice.ABSENT]


@pytest.mark.parametrize("votes", [{"ada": "+"}, {"ada": "+", "bob": "+"}, {"ada": "-", "bob": "-"}, {"ada": "0"}])
def test_a_seal_changes_no_decision(votes: dict[str, str]) -> None:
    seats = house(ada=1, bob=1, cy=1)
    assert says(Majority(sealed=True), seats, **votes) == says(Majority(), seats, **votes)


def test_sealed_is_no_way_to_vote() -> None:
    with pytest.raises(ValueError, match="a vote is one of approve, reject, abstain, request_changes, not 'sealed'"):
        choice_of("sealed")


def shapes() -> list[tuple[Changeset, str]]:
    on = Changeset.on(Dag.of(spec("a"), spec("b").after("a"), spec("c")))
    return [
        (on.add_node(spec("x").after("a")), "add_node"),
        (on.add_node(spec("x")).add_node(spec("y").after("x")), "add_subgraph"),
        (on.replace_node("c", spec("c", "2")), "replace_node"),
        (on.remove_node("b"), "remove"),
        (on.remove_node("b").remove_node("a"), "remove"),
        (on.add_edge("a", "c"), "rewire"),
        (on.remove_edge("a", "b").add_edge("c", "b"), "rewire"),
        (on.add_node(spec("x")).add_edge("x", "c"), "composite"),
        (on.replace_node("c", spec("c", "2")).replace_node("a", spec("a", "2")), "composite"),
        (on.remove_node("b").add_edge("a", "c"), "composite"),
    ]


@pytest.mark.parametrize(("change", "kind"), shapes(), ids=lambda value: str(value)[:20])
def test_the_kind_of_a_proposal_is_read_from_its_change(change: Changeset, kind: str) -> None:
    assert kind_of(change) == Proposal("p", "pat", change, 1).kind == kind


def test_a_raise_is_a_kind_of_its_own() -> None:
    raised = Proposal("p", "pat", Changeset(DAG.digest), 1, raises=Budget(cost=Fraction(3)))
    assert (raised.kind, raised.summary, raised.seen) == ("budget", "the budget raised by 3.00", "")


def test_an_approval_covers_work_and_cost_within_the_envelope() -> None:
    voted = Estimate(work=(8.0, 10.0), spend=(1.0, 2.0))
    edge = Estimate(work=(10.0 * ENVELOPE, 99.0), spend=(2.0 * ENVELOPE, 99.0))
    assert voted.objection(voted) == voted.objection(edge) == ""
    assert voted.objection(Estimate(work=(12.6, 13.0))).startswith("it is now likely to take 12.6 s of work")
    assert voted.objection(Estimate(spend=(2.6, 2.6))).startswith("it is now likely to cost 2.60")
    guess = replace(voted, known=False)
    assert not guess.objection(Estimate(work=(900.0, 900.0)))
    assert guess.objection(Estimate(spend=(2.6, 2.6)))


def test_journals_without_estimates_bind_the_change_and_its_losses_only() -> None:
    dear = Effect(estimate=Estimate(work=(1e9, 1e9)))
    assert still_approved((CHANGE, Effect()), (CHANGE, dear))
    assert not still_approved((CHANGE, Effect(estimate=Estimate())), (CHANGE, dear))


def test_a_request_for_changes_says_who_what_and_where() -> None:
    asked = Ballot(Choice.REQUEST_CHANGES, "smaller", "ada", 1.0, "test", ("b",))
    other = Ballot(Choice.REJECT, "no", "bob", 1.0)
    made = Proposal("p", "pat", CHANGE, 1, ballots=(asked, other))
    assert made.requests == (("ada", "smaller", ("b",)),)
