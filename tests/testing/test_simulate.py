"""Simulated votes: the chances add up, the figures are those of the policies, and a seed gives one table."""

from __future__ import annotations

from math import comb
from random import Random
from typing import Any

import pytest

from hexdag_lab.core.votes.ballot import Ballot, choice_of
from hexdag_lab.core.votes.delegate import Delegate
from hexdag_lab.core.votes.logodds import LogOdds
from hexdag_lab.core.votes.people import HumanApproval
from hexdag_lab.core.votes.policy import Verdict
from hexdag_lab.core.votes.trust import Trust
from hexdag_lab.core.votes.weighing import Majority, Supermajority, Unanimous
from hexdag_lab.testing import Voter, simulate_votes
from hexdag_lab.testing.simulate import cast_of, chances, decisions, draw, electorate, errors, lessons, policies

BOTS = Voter.several(4, "bot", right=0.62, family="gpt", together=0.8)
CAST = [Voter("ann", 0.85, 1.0), Voter("bob", 0.75), Voter("cy", 0.7), *BOTS]


def test_one_voter_is_as_right_as_she_is() -> None:
    (row,) = simulate_votes([Voter("ann", 0.8)], {"majority": Majority()})
    assert (row.policy, round(row.accuracy, 9)) == ("majority", 0.8)
    assert (round(row.false_accepts, 9), round(row.false_rejects, 9)) == (0.2, 0.2)


def test_three_independent_voters_are_as_right_as_the_jury_theorem_says() -> None:
    (row,) = simulate_votes(Voter.several(3, "v", right=0.7), {"majority": Majority()})
    assert row.accuracy == pytest.approx(0.7**3 + 3 * 0.7**2 * 0.3)


def test_voters_that_always_err_together_are_one_voter() -> None:
    clones = Voter.several(5, "v", right=0.7, family="gpt", together=1.0)
    (row,) = simulate_votes(clones, {"majority": Majority()})
    assert row.accuracy == pytest.approx(0.7)


def test_a_high_bar_trades_false_accepts_for_false_rejects() -> None:
    low, high = simulate_votes(CAST, {"majority": Majority(), "unanimous": Unanimous()})
    assert high.false_accepts < low.false_accepts
    assert high.false_rejects > low.false_rejects


def test_learned_trust_and_the_family_discount_pay() -> None:
    rows = {row.policy: row.accuracy for row in simulate_votes(CAST)}
    assert rows["log-odds"] > rows["log-odds, each alone"] > rows["two thirds"]
    assert rows["log-odds"] > 0.85 > rows["majority"]


def test_without_a_past_nobody_has_earned_a_weight() -> None:
    (row,) = simulate_votes(CAST, {"log-odds": LogOdds()}, past=0)
    assert (row.false_accepts, row.false_rejects) == (0, pytest.approx(1))


def test_the_same_seed_gives_the_same_table() -> None:
    assert simulate_votes(CAST, past=20, seed=7) == simulate_votes(CAST, past=20, seed=7)
    assert simulate_votes(CAST, past=20, seed=7) != simulate_votes(CAST, past=20, seed=8)


def test_listed_chances_are_those_of_drawn_votes() -> None:
    ways, rng, number = chances(CAST, Random(0)), Random(1), 20_000
    assert sum(ways.values()) == pytest.approx(1)
    assert len(ways) == 2 ** len(CAST)
    drawn = [draw(CAST, rng) for _ in range(number)]
    for i, voter in enumerate(CAST):
        listed = sum(chance for right, chance in ways.items() if right[i])
        assert listed == pytest.approx(voter.right)
        assert sum(right[i] for right in drawn) / number == pytest.approx(voter.right, abs=0.015)
    both = sum(chance for right, chance in ways.items() if not (right[3] or right[4]))
    assert sum(not (right[3] or right[4]) for right in drawn) / number == pytest.approx(both, abs=0.015)
    assert both > 0.25, "of clones, both err together far more often than .38 * .38"


def test_many_voters_are_drawn_and_not_listed() -> None:
    many = Voter.several(13, "v", right=0.7)
    (row,) = simulate_votes(many, {"majority": Majority()})
    listed = sum(comb(13, k) * 0.7**k * 0.3 ** (13 - k) for k in range(7, 14))
    assert row.accuracy == pytest.approx(listed, abs=0.02)


def test_the_figures_are_decisions_of_the_policy_itself() -> None:
    rng = Random(3)
    seats = electorate(CAST, Trust().after(lessons(CAST, 30, 0.5, rng)))
    for policy in (*policies().values(), Delegate(Majority(), {"cy": "ann"})):
        accepted = decisions(policy, seats)
        for _ in range(50):
            yes = tuple(rng.random() < 0.5 for _ in CAST)
            words = {v.name: "approve" if said else "reject" for v, said in zip(CAST, yes, strict=True)}
            cast = {name: Ballot(choice_of(word), voter=name) for name, word in words.items()}
            assert accepted(yes) is (policy.evaluate(cast, seats, 0.0).verdict is Verdict.YES)


def test_a_policy_that_waits_for_a_person_who_is_not_there_rejects() -> None:
    (row,) = simulate_votes(CAST, {"pair": HumanApproval()})
    assert (row.false_accepts, row.false_rejects) == (0, pytest.approx(1))


def test_the_share_of_good_proposals_weighs_the_two_errors() -> None:
    ways = chances(CAST, Random(0))
    seats = electorate(CAST, Trust())
    accepts, rejects = errors(decisions(Supermajority(), seats), ways)
    (row,) = simulate_votes(CAST, {"two thirds": Supermajority()}, good=0.9)
    assert row.accuracy == pytest.approx(1 - 0.1 * accepts - 0.9 * rejects)


def test_a_table_reads_as_one() -> None:
    lines = str(simulate_votes([Voter("ann", 0.8)], {"majority": Majority()})).splitlines()
    assert lines == [
        "policy    accuracy  false accepts  false rejects",
        "majority     0.800          0.200          0.200",
    ]


def test_a_cast_from_plain_data() -> None:
    rows = [{"name": "ann", "right": 0.8, "trust": 1}, {"right": 0.6, "count": 2, "family": "gpt", "together": 0.5}]
    assert cast_of(rows) == [
        Voter("ann", 0.8, 1), Voter("voter-2-1", 0.6, 0.5, "gpt", 0.5), Voter("voter-2-2", 0.6, 0.5, "gpt", 0.5),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("rows", "what"),
    [
        ([], "at least one voter"),
        ([{"right": 1.1}], "right is a share from 0 to 1, not 1.1"),
        ([{"right": "0.8"}], "right is a share"),
        ([{"right": True}], "right is a share"),
        ([{"name": "ann"}], "says at least how often it is right"),
        (["ann"], "says at least how often it is right"),
        ([{"right": 0.5, "height": 3}], "a voter has name, right, trust, family, together and count, and no height"),
        ([{"right": 0.5, "count": 0}], "count is a whole number"),
        ([{"right": 0.5, "together": 0.5}], "together is for voters of one family"),
        ([{"right": 0.5, "together": 2, "family": "x"}], "together is a share"),
        ([{"right": 0.5, "trust": -1}], "trust is a finite number"),
        ([{"right": 0.5, "name": "ann"}, {"right": 0.5, "name": "ann"}], "two voters are called 'ann'"),
        ({"ann": 0.5}, "a cast is a list of voters"),
    ],
)
def test_a_cast_that_cannot_be(rows: Any, what: str) -> None:
    with pytest.raises(ValueError, match=what):
        simulate_votes(cast_of(rows))


@pytest.mark.parametrize("bad", [{"good": 0}, {"good": 1}, {"past": -1}, {"histories": 0}])
def test_a_simulation_that_cannot_be(bad: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="good is a share"):
        simulate_votes(CAST, **bad)
