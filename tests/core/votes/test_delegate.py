"""`Delegate`: who speaks for those who do not vote."""

from __future__ import annotations

from fractions import Fraction

import pytest

from hexdag_lab.core.base.codec import dumps, loads
from hexdag_lab.core.votes.delegate import Delegate
from hexdag_lab.core.votes.logodds import LogOdds
from hexdag_lab.core.votes.policy import Deadline
from hexdag_lab.core.votes.weighing import Majority, Quorum, Supermajority, Unanimous
from tests.core.votes.build import NO, PENDING, YES, cast, house, says
from tests.core.votes.test_logodds import earned

FIVE = house(a=1, b=1, c=1, d=1, e=1)


def to(policy: object, most: object = 1, **delegates: str) -> Delegate:
    return Delegate(policy, delegates, most)


def test_the_delegates_ballot_stands_for_who_has_not_voted() -> None:
    assert says(to(Majority(), a="e", b="e"), FIVE, e="+").verdict is YES
    assert says(to(Majority(), a="e", b="e"), FIVE, e="-").verdict is NO
    assert says(Majority(), FIVE, e="+").verdict is PENDING


def test_who_votes_speaks_for_herself() -> None:
    rule = to(Majority(), a="e", b="e")
    assert says(rule, FIVE, e="+", a="-", b="-").verdict is PENDING
    assert says(rule, FIVE, e="+", a="-", b="-", c="-").verdict is NO


def test_a_delegate_may_have_a_delegate_up_to_three_links() -> None:
    seats = house(a=1, b=1, c=1, d=1)
    assert says(to(Unanimous(), a="b", b="c", c="d"), seats, d="+").verdict is YES
    five = to(Unanimous(), a="b", b="c", c="d", d="e")
    assert five.speaker("b", cast(e="+")) == "e"
    assert five.speaker("a", cast(e="+")) == "", "four links: she abstains"
    assert five.speaker("a", cast(d="0", e="+")) == "d", "the first one on the way who has voted"
    assert says(five, FIVE, e="+").verdict is NO


def test_a_circle_abstains_until_somebody_in_it_votes() -> None:
    rule = to(Supermajority(base="cast"), a="b", b="a")
    assert (rule.speaker("a", {}), rule.speaker("b", {})) == ("", "")
    assert says(rule, house(a=1, b=1, c=1), c="+").verdict is YES
    assert rule.speaker("b", cast(a="-")) == "a"
    assert says(rule, house(a=1, b=1, c=1), a="-").verdict is NO


def test_a_chain_that_ends_with_somebody_silent_leaves_the_ballot_open() -> None:
    rule = to(Majority(), a="b")
    assert rule.speaker("a", {}) is None
    assert says(rule, house(a=1, b=1)).needs == ("a", "b")
    assert says(to(Majority(), a="stranger"), house(a=1)).needs == ("a",)


def test_an_absent_delegate_speaks_for_nobody() -> None:
    rule = to(Unanimous(), a="b", b="c")
    assert rule.speaker("a", cast(b="x", c="+")) == "c"
    assert rule.speaker("a", cast(b="x")) is None
    assert says(rule, house(a=1, b=1, c=1), b="x", c="+").verdict is YES, "b failed, and c speaks for it as well"


def test_an_abstaining_delegate_abstains_for_all() -> None:
    assert says(to(Majority(), a="b"), house(a=1, b=1), b="0").verdict is NO


def test_the_proposer_speaks_for_nobody() -> None:
    seats = house(proposer="e", a=1, b=1, e=1)
    assert says(to(Majority(), a="e"), seats, e="+").needs == ("a", "b")


def test_one_delegate_speaks_with_two_fifths_of_the_weight_at_most() -> None:
    rule = Delegate(Supermajority(Fraction(1, 2)), {"a": "e", "b": "e", "c": "e"})
    assert says(rule, FIVE, e="+").text == "0.40 of 0.50, needs d"
    assert says(rule, FIVE, e="+", d="+").verdict is YES
    heavy = house(a=1, b=1, e=8)
    assert says(rule, heavy, e="-").text.startswith("0.00"), "her own weight is hers, however heavy"
    assert says(Delegate(Supermajority(), {"a": "e"}), heavy, e="+").verdict is YES


def test_who_is_spoken_for_counts_in_a_quorum_and_time_goes_on() -> None:
    rule = to(Majority() & Quorum(voters=3) & Deadline(600), a="e", b="e")
    assert says(rule, FIVE, e="+").verdict is YES
    assert rule.deadline(FIVE) == 700
    assert says(rule, FIVE, 700.0).expired


def test_under_log_odds_a_delegates_ballot_is_one_piece_of_evidence() -> None:
    seats = earned(a=900, b=900, c=1500)
    rule = to(LogOdds(), a="b")
    assert rule.learns()
    assert says(rule, seats, b="+", c="-").text.startswith("log-odds -0.600")
    assert says(LogOdds(), seats, a="+", b="+", c="-").verdict is YES


def test_a_delegation_that_cannot_be() -> None:
    with pytest.raises(ValueError, match="most is a share"):
        to(Majority(), most=0)
    for bad in ({"a": ""}, {"a": None}, {3: "a"}):
        with pytest.raises(ValueError, match="a voter and her delegate are agents"):
            Delegate(Majority(), bad)  # type: ignore[arg-type]
    for policy, who in (("majority", {}), (Majority(), ["a"])):
        with pytest.raises(TypeError, match="Delegate takes a policy"):
            Delegate(policy, who)  # type: ignore[arg-type]


def test_it_comes_back_from_the_journal() -> None:
    rule = to(Majority(sealed=True) & Deadline(5), a="b", most=0.5)
    assert loads(dumps(rule)) == rule
    assert loads(dumps(rule)).seals()
