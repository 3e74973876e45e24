"""Laws of voting, for all small houses and for random ones.

The exhaustive part holds the policies against a second tally that looks at finished votes only, in integers, and
against brute force for everything before the end: a decision is right if every way to finish the vote leads to it, and
it is not late if it falls as soon as that is so.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from functools import cache
from itertools import combinations, combinations_with_replacement, product
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hexdag_lab.core.base.codec import dumps, loads
from hexdag_lab.core.base.frozen import FrozenDict
from hexdag_lab.core.votes.agent import Role, Seat
from hexdag_lab.core.votes.ballot import Ballot, Choice
from hexdag_lab.core.votes.delegate import Delegate
from hexdag_lab.core.votes.logodds import LogOdds
from hexdag_lab.core.votes.people import HumanApproval, OwnerDecides, Owners, Veto
from hexdag_lab.core.votes.policy import Ballots, Deadline, Electorate, Policy, Verdict
from hexdag_lab.core.votes.presets import solo
from hexdag_lab.core.votes.trust import Earned
from hexdag_lab.core.votes.weighing import Majority, Quorum, Supermajority, Unanimous, voting_weight

CAST = ("+", "-", "0")
ABSTAINS = "0"
OUT = " "
CHOICES = {"+": Choice.APPROVE, "-": Choice.REJECT, "0": Choice.ABSTAIN}


def plain_tally(rule: str, weights: tuple[int, ...], votes: tuple[str, ...]) -> bool:
    """Whether a finished vote passes, counted as one would on paper."""
    yes = sum(w for w, v in zip(weights, votes, strict=True) if v == "+")
    no = sum(w for w, v in zip(weights, votes, strict=True) if v == "-")
    everybody = sum(weights)
    if everybody == 0:
        return False
    if rule == "2/3 of all":
        return 3 * yes >= 2 * everybody
    if yes + no == 0:
        return False
    if rule in EVIDENCE:
        return yes - no >= EVIDENCE[rule]
    return 3 * yes >= 2 * (yes + no) if rule == "2/3 of cast" else yes > no


RULES: dict[str, Policy] = {
    "2/3 of all": Supermajority(Fraction(2, 3)),
    "2/3 of cast": Supermajority(Fraction(2, 3), "cast"),
    "majority": Majority(),
    "log-odds": LogOdds(discount=False),
    "log-odds, costly": LogOdds(discount=False, cost_false_accept=Fraction(10)),  # ln 10 = 2.303
    "log-odds, good prior": LogOdds(discount=False, prior=Fraction(19, 20)),  # ln 19 = 2.944
}
PLAIN = {rule: policy for rule, policy in RULES.items() if "log-odds" not in rule}
#: by how much yes must outweigh no, where a weight of 1 is one unit of log-odds
EVIDENCE = {"log-odds": 1, "log-odds, costly": 3, "log-odds, good prior": -2}


def electorate(weights: tuple[int, ...]) -> Electorate:
    seats = tuple(Seat(f"v{i}", weight=Fraction(w)) for i, w in enumerate(weights))
    earned = Earned(FrozenDict({f"v{i}": 1000 * w for i, w in enumerate(weights) if w}))
    return Electorate(seats, "pat", "olga", 0.0, earned=earned)


def ballots(votes: tuple[str, ...]) -> Ballots:
    return {f"v{i}": Ballot(CHOICES[v], voter=f"v{i}") for i, v in enumerate(votes) if v != OUT}


def houses() -> Iterator[tuple[int, ...]]:
    """All houses of 0 to 5 voters, up to the order of voters."""
    for size in range(6):
        yield from combinations_with_replacement((0, 1, 2, 3) if size < 5 else (0, 1, 3), size)


@cache
def possible(rule: str, weights: tuple[int, ...], votes: tuple[str, ...]) -> frozenset[bool]:
    """The results that a vote can still have."""
    if OUT not in votes:
        return frozenset({plain_tally(rule, weights, votes)})
    i = votes.index(OUT)
    each = [possible(rule, weights, (*votes[:i], v, *votes[i + 1 :])) for v in CAST]
    return frozenset().union(*each)


def test_every_small_vote_agrees_with_a_plain_tally_and_is_decided_neither_early_nor_late() -> None:
    checked = 0
    for weights in houses():
        seats = electorate(weights)
        for votes in product((*CAST, OUT), repeat=len(weights)):
            cast = ballots(votes)
            for rule, policy in RULES.items() if len(weights) < 5 else PLAIN.items():
                verdict = policy.evaluate(cast, seats, 0.0).verdict
                can_be = possible(rule, weights, votes)
                # while somebody is out, who abstained may still change her mind: that alone never rejects early
                somebody = any(vote == OUT and weight for vote, weight in zip(votes, weights, strict=True))
                open_votes = tuple(OUT if vote == ABSTAINS and somebody else vote for vote in votes)
                lost = possible(rule, weights, open_votes) == {False}
                expected = Verdict.NO if lost else Verdict.YES if can_be == {True} else Verdict.PENDING
                assert verdict is expected, (rule, weights, votes)
                checked += 1
    assert checked > 120_000


CASTS = {
    "equal": (1,) * 9,
    "uneven": (5, 3, 3, 2, 2, 1, 1, 1, 1),
}


@pytest.mark.parametrize("house", CASTS)
def test_the_default_rule_agrees_with_a_plain_tally_on_all_ballots_of_0_to_9_agents(house: str) -> None:
    rule, checked = Supermajority(), 0
    for size in range(10):
        weights = CASTS[house][:size]
        seats = electorate(weights)
        for votes in product(CAST, repeat=size):
            passes = rule.evaluate(ballots(votes), seats, 0.0).verdict is Verdict.YES
            assert passes is plain_tally("2/3 of all", weights, votes), votes
            checked += 1
    assert checked == sum(3**size for size in range(10))


def test_the_default_rule_with_all_that_can_be_said_or_left_unsaid_by_0_to_9_agents() -> None:
    """Every mix of approve, reject, request changes, abstain, absent and not yet, up to which voter is which."""
    kinds = (Choice.APPROVE, Choice.REJECT, Choice.REQUEST_CHANGES, Choice.ABSTAIN, Choice.ABSENT, None)
    checked = 0
    for size in range(10):
        house = electorate((1,) * size)
        for said in combinations_with_replacement(kinds, size):
            yes, abstained, out = (said.count(kind) for kind in (Choice.APPROVE, Choice.ABSTAIN, None))
            can_still = yes + out + (abstained if out else 0)
            expected = (
                Verdict.NO if not size or 3 * can_still < 2 * size else
                Verdict.YES if 3 * yes >= 2 * size else Verdict.PENDING
            )  # fmt: skip
            cast = {f"v{i}": Ballot(choice, voter=f"v{i}") for i, choice in enumerate(said) if choice is not None}
            assert Supermajority().evaluate(cast, house, 0.0).verdict is expected, said
            checked += 1
    assert checked == 5005


def test_the_default_preset_is_the_owners_word_on_all_ballots_of_1_to_9_agents() -> None:
    """Who opens a lab without a policy has `solo`: the owner's yes or no, and nobody else's."""
    policy = solo()
    for size in range(1, 10):
        others = electorate((1,) * (size - 1)).seats
        house = Electorate((Seat("olga", human=True, implicit=True), *others), "pat", "olga", 0.0)
        for own, *votes in product(CAST, repeat=size):
            cast = {**ballots(tuple(votes)), "olga": Ballot(CHOICES[own], voter="olga")}
            assert (policy.evaluate(cast, house, 0.0).verdict is Verdict.YES) is (own == "+")


# -- random houses, random policies

NAMES = ("ada", "bob", "cy", "dot", "olga")
PAIRS = list(combinations(NAMES, 2))
choices = st.sampled_from([*CHOICES.values(), Choice.REQUEST_CHANGES, Choice.ABSENT])
weights = st.sampled_from([Fraction(0), Fraction(1, 10), Fraction(1, 3), Fraction(1), Fraction(7, 5)])


@st.composite
def seats(draw: Any) -> tuple[Seat, ...]:
    names = draw(st.lists(st.sampled_from(NAMES), unique=True, max_size=5))
    roles = st.sampled_from([Role.ORCHESTRATOR, Role.ORCHESTRATOR, Role.EXECUTOR])
    return tuple(
        Seat(
            name, draw(roles), draw(weights), human=draw(st.booleans()), implicit=name == "olga" and draw(st.booleans())
        )
        for name in sorted(names)
    )


electorates = st.builds(
    Electorate,
    seats(),
    proposer=st.sampled_from([*NAMES, "pat"]),
    owner=st.just("olga"),
    opened_at=st.just(0.0),
    cost=st.sampled_from([Fraction(0), Fraction(10)]),
    additive=st.booleans(),
    touches=st.sampled_from([(), ("load",), ("fit", "load")]),
    earned=st.builds(
        Earned,
        st.dictionaries(st.sampled_from(NAMES), st.sampled_from([-900, 400, 700, 700, 2500, 9000])).map(FrozenDict),
        st.sets(st.sampled_from(list(combinations(NAMES, 2)))).map(
            lambda pairs: tuple((*p, 600) for p in sorted(pairs))
        ),
    ),
)
shares = st.sampled_from([Fraction(1, 10), Fraction(1, 2), Fraction(2, 3), Fraction(1)])
deadlines = st.builds(Deadline, st.sampled_from([5, 10]), st.sampled_from(["accept", "reject"]))
patient = st.one_of(  # all but vetoes, which hold nothing up
    st.builds(Supermajority, shares, st.sampled_from(["all", "cast"]), strict=st.booleans()),
    st.builds(Supermajority, shares, voters=st.just(frozenset({"orchestrator", "executor"}))),
    st.builds(Majority),
    st.builds(Unanimous),
    st.builds(Quorum, voters=st.integers(0, 4)),
    st.builds(Quorum, share=shares),
    st.builds(OwnerDecides),
    st.builds(
        LogOdds,
        st.sampled_from([Fraction(1, 2), Fraction(1, 10), Fraction(9, 10)]),
        discount=st.booleans(),
        floor=st.sampled_from([0, -4]),
        sealed=st.booleans(),
    ),
    st.builds(
        Owners,
        st.dictionaries(st.sampled_from(["load", "f*"]), st.sampled_from([*NAMES, "owner", ("ada", "bob")])),
        st.integers(0, 2),
    ),
    st.builds(HumanApproval, above=st.sampled_from([None, 5]), unless_additive=st.booleans()),
    deadlines,
)


def combined(leaves: st.SearchStrategy[Policy]) -> st.SearchStrategy[Policy]:
    return st.recursive(
        leaves, lambda p: st.builds(lambda a, b, all_: a & b if all_ else a | b, p, p, st.booleans()), max_leaves=5
    )


policies = combined(patient)
#: decided, perhaps, before one has spoken who would say otherwise: vetoes hold nothing up, delegates speak first
hasty = st.one_of(
    st.builds(Veto, st.sampled_from([*NAMES, "executor", "owner"])),
    st.builds(Delegate, patient, st.dictionaries(st.sampled_from(NAMES), st.sampled_from(NAMES))),
)
any_policy = combined(st.one_of(patient, hasty))
times = st.sampled_from([0.0, 4.9, 5.0, 10.0, 99.0])


def cast_in_order(voters: list[str], said: list[Choice], start: float) -> Ballots:
    return {v: Ballot(c, voter=v, at=start + i) for i, (v, c) in enumerate(zip(voters, said, strict=False))}


@given(policy=policies, house=electorates, now=times, data=st.data())
@settings(max_examples=400, deadline=None)
def test_once_decided_no_completion_of_the_vote_changes_it(
    policy: Policy, house: Electorate, now: float, data: Any
) -> None:
    order = data.draw(st.permutations([seat.id for seat in house.seats]))
    split = data.draw(st.integers(0, len(order)))
    before = cast_in_order(order[:split], data.draw(st.lists(choices, min_size=split, max_size=split)), 0.0)
    opinion = policy.evaluate(before, house, now)
    # What a deadline has settled stands because no ballot is let in after it (see the machine's diaries), not because
    # none could say otherwise.
    if opinion.verdict not in (Verdict.YES, Verdict.NO) or opinion.expired:
        return
    rest = data.draw(st.integers(0, len(order) - split))
    more = cast_in_order(order[split : split + rest], data.draw(st.lists(choices, min_size=rest, max_size=rest)), 100.0)
    assert policy.evaluate({**before, **more}, house, now).verdict is opinion.verdict


@given(policy=any_policy, house=electorates, now=times, data=st.data())
@settings(max_examples=300, deadline=None)
def test_when_everybody_has_voted_and_all_time_has_passed_nothing_is_pending(
    policy: Policy, house: Electorate, now: float, data: Any
) -> None:
    order = [seat.id for seat in house.seats]
    said = data.draw(st.lists(choices, min_size=len(order), max_size=len(order)))
    ballots = cast_in_order(order, said, 0.0)
    # Whose own proposal it is does not vote on it, so is not waited for.
    ballots.pop(house.proposer, None)
    assert policy.evaluate(ballots, house, now).verdict is not Verdict.PENDING


@given(policy=any_policy, house=electorates, now=times, data=st.data())
@settings(max_examples=300, deadline=None)
def test_a_pending_vote_says_whom_it_needs(policy: Policy, house: Electorate, now: float, data: Any) -> None:
    voters = data.draw(st.lists(st.sampled_from([*NAMES, "stranger"]), unique=True))
    cast = cast_in_order(voters, data.draw(st.lists(choices, min_size=len(voters), max_size=len(voters))), 0.0)
    opinion = policy.evaluate(cast, house, now)
    assert (opinion.verdict is Verdict.PENDING) == bool(opinion.needs)
    for name in opinion.needs:
        assert name in {seat.id for seat in house.seats}
        assert name not in cast
        assert name != house.proposer


@given(policy=any_policy, house=electorates, data=st.data())
@settings(max_examples=300, deadline=None)
def test_time_changes_an_opinion_only_at_a_deadline(policy: Policy, house: Electorate, data: Any) -> None:
    voters = data.draw(st.lists(st.sampled_from(NAMES), unique=True))
    cast = cast_in_order(voters, data.draw(st.lists(choices, min_size=len(voters), max_size=len(voters))), 0.0)
    now = 0.0
    while (due := policy.deadline(house, now)) is not None:
        assert policy.evaluate(cast, house, due - 1e-9) == policy.evaluate(cast, house, now)
        now = due
    assert policy.evaluate(cast, house, now) == policy.evaluate(cast, house, 1e12)


@given(policy=any_policy, house=electorates, now=times, data=st.data())
@settings(max_examples=200, deadline=None)
def test_ballots_of_strangers_and_of_the_proposer_count_nothing(
    policy: Policy, house: Electorate, now: float, data: Any
) -> None:
    voters = data.draw(st.lists(st.sampled_from(NAMES), unique=True))
    cast = cast_in_order(voters, data.draw(st.lists(choices, min_size=len(voters), max_size=len(voters))), 0.0)
    seated = {seat.id for seat in house.seats} - {house.proposer}
    inside = {name: ballot for name, ballot in cast.items() if name in seated}
    assert policy.evaluate(cast, house, now) == policy.evaluate(inside, house, now)


@given(house=electorates, now=times, data=st.data())
@settings(max_examples=200, deadline=None)
def test_more_yes_never_hurts_a_count(house: Electorate, now: float, data: Any) -> None:
    rank = {Verdict.NO: 0, Verdict.PENDING: 1, Verdict.YES: 2}
    policy = data.draw(st.builds(Supermajority, shares, st.sampled_from(["all", "cast"]), strict=st.booleans()))
    order = [seat.id for seat in house.seats]
    cast = cast_in_order(order, data.draw(st.lists(choices, min_size=len(order), max_size=len(order))), 0.0)
    for name in order:
        better = {**cast, name: Ballot(Choice.APPROVE, voter=name)}
        assert rank[policy.evaluate(better, house, now).verdict] >= rank[policy.evaluate(cast, house, now).verdict]


@given(house=electorates, data=st.data())
@settings(max_examples=200, deadline=None)
def test_a_ballot_that_outweighs_all_others_flips_the_result(house: Electorate, data: Any) -> None:
    """In every rule of weights: who has more than all others together decides, one way and the other."""
    policy = data.draw(st.sampled_from([Majority(), Majority(base="all"), LogOdds(), LogOdds(discount=False)]))
    if isinstance(policy, LogOdds):
        weights: dict[str, Any] = dict(policy.logits(house))
    else:
        weights = {s.id: voting_weight(s, house, frozenset({"orchestrator"})) for s in house.seats}
    heavy = max(weights, key=lambda name: weights[name], default=None)
    if heavy is None or 2 * weights[heavy] <= sum(weights.values()):
        return
    order = [seat.id for seat in house.seats if seat.id != house.proposer]
    said = data.draw(st.lists(choices, min_size=len(order), max_size=len(order)))
    others = cast_in_order(order, said, 0.0)
    for choice, verdict in ((Choice.APPROVE, Verdict.YES), (Choice.REJECT, Verdict.NO)):
        cast = {**others, heavy: Ballot(choice, voter=heavy)}
        assert policy.evaluate(cast, house, 0.0).verdict is verdict


@given(policy=st.sampled_from([LogOdds(), LogOdds(discount=False), LogOdds(prior=Fraction(1, 5))]), house=electorates)
@settings(max_examples=100, deadline=None)
def test_evidence_comes_back_from_the_journal_weighing_the_same(policy: LogOdds, house: Electorate) -> None:
    again = loads(dumps(house))
    assert again == house
    assert loads(dumps(policy)).logits(again) == policy.logits(house)


@given(house=electorates, data=st.data())
@settings(max_examples=100, deadline=None)
def test_newcomers_change_nothing_however_many(house: Electorate, data: Any) -> None:
    policy = data.draw(st.sampled_from([LogOdds(), LogOdds(discount=False)]))
    new = tuple(Seat(f"new{i}", family="gpt") for i in range(data.draw(st.integers(1, 5))))
    order = [seat.id for seat in house.seats]
    cast = cast_in_order(order, data.draw(st.lists(choices, min_size=len(order), max_size=len(order))), 0.0)
    before = policy.evaluate(cast, house, 0.0)
    if not policy.logits(house):
        return
    more = {seat.id: Ballot(data.draw(choices), voter=seat.id) for seat in new}
    assert policy.evaluate({**cast, **more}, replace(house, seats=(*house.seats, *new)), 0.0) == before
