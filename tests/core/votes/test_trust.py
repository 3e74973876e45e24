"""Earned trust: what lessons add up to, and what can be said about it."""

from __future__ import annotations

import math
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hexdag_lab.core.base.codec import dumps, loads
from hexdag_lab.core.votes.agent import Seat
from hexdag_lab.core.votes.ballot import Ballot, Choice
from hexdag_lab.core.votes.trust import (
    SAME_FAMILY,
    SAME_MODEL,
    STRANGERS,
    Lesson,
    Trust,
    correlation,
    expected,
    milli_log,
    standing,
)


def lesson(number: int, good: bool, yes: str = "", no: str = "", why: str = "its nodes completed") -> Lesson:
    return Lesson(f"p{number}", good, why, tuple(yes.split()), tuple(no.split()))


def test_who_is_new_has_a_half_and_weighs_nothing() -> None:
    assert Trust().chance("ada") == Fraction(1, 2)
    assert Trust().logit("ada") == 0
    assert Trust().earned([Seat("ada")]).logits == {}


def test_a_right_ballot_raises_and_a_wrong_one_lowers() -> None:
    trust = Trust().after([lesson(1, True, yes="ada", no="bob"), lesson(2, False, yes="cy", no="ada")])
    assert trust.chance("ada") > Fraction(1, 2) > trust.chance("bob")
    assert trust.chance("bob") == trust.chance("cy") == Fraction(1, 3)
    assert trust.logit("bob") == -round(1000 * math.log(2))


def test_an_abstention_and_an_absence_teach_nothing() -> None:
    ballots = [Ballot(Choice.ABSTAIN, voter="ada"), Ballot(Choice.ABSENT, voter="bob")]
    made = Lesson.of("p1", True, "", [*ballots, Ballot(Choice.REQUEST_CHANGES, voter="cy")])
    assert (made.yes, made.no) == ((), ("cy",))


def test_what_is_long_ago_counts_less() -> None:
    once_good = Trust().after(
        [*(lesson(i, True, yes="ada") for i in range(100)), *(lesson(i, False, yes="ada") for i in range(100))]
    )
    assert once_good.chance("ada") < Fraction(1, 3), "it was right as often as wrong, but wrong of late"
    steady = Trust().after(lesson(i, True, yes="ada") for i in range(10_000))
    assert steady.chance("ada") < Fraction(101, 102), "nobody is ever certain"


def test_folding_at_once_or_in_parts_is_the_same() -> None:
    lessons = [lesson(i, i % 3 > 0, yes="ada bob" if i % 2 else "ada", no="cy") for i in range(30)]
    assert Trust().after(lessons) == Trust().after(lessons[:11]).after(lessons[11:])


def test_it_comes_back_from_the_journal() -> None:
    trust = Trust().after([lesson(1, True, yes="ada bob"), lesson(2, False, yes="ada", no="bob")])
    assert loads(dumps(trust)) == trust


# -- who errs together


def test_a_family_says_what_to_expect() -> None:
    assert expected("gpt/4o", "gpt/4o") == expected("gpt", "gpt") == SAME_MODEL
    assert expected("gpt/4o", "gpt/5") == expected("gpt", "gpt/5") == SAME_FAMILY
    assert expected("gpt", "claude") == expected("", "") == expected("gpt", "") == STRANGERS


def test_what_is_seen_outweighs_what_was_expected() -> None:
    assert correlation(100, 0, 0, 0, 0) == 100
    assert correlation(100, 100, 30, 30, 30) == round((100 * 1000 + 20 * 100) / 120)  # always together
    assert correlation(600, 100, 50, 50, 25) == round(20 * 600 / 120)  # no more often together than by chance
    assert correlation(600, 1000, 500, 500, 0) < 0  # never together
    assert correlation(600, 50, 0, 10, 0) == 600, "who never errs cannot show with whom it would"


def test_an_electorate_takes_what_its_seats_have_earned() -> None:
    together, cy = "ada bob", "cy"
    said = [(together, cy) if i % 8 else (cy, together) for i in range(40)]
    lessons = [lesson(i, i % 2 == 0, yes, no) for i, (yes, no) in enumerate(said)]
    trust = Trust().after(lessons)
    found = trust.earned([Seat("ada"), Seat("bob"), Seat("cy"), Seat("new")])
    assert set(found.logits) <= {"ada", "bob", "cy"}
    shares = {(a, b): share for a, b, share in found.alike}
    assert shares["ada", "bob"] > 650
    assert ("ada", "cy") not in shares, "they never err together, which is no likeness"


# -- logarithms


@given(st.fractions(min_value=Fraction(1, 10**6), max_value=10**6))
def test_a_logarithm_is_the_nearest_thousandth(ratio: Fraction) -> None:
    assert abs(milli_log(ratio) - 1000 * math.log(ratio.numerator / ratio.denominator)) <= 0.5 + 1e-6
    assert milli_log(1 / ratio) == -milli_log(ratio)


@pytest.mark.parametrize(("ratio", "log"), [(1, 0), (2, 693), (10, 2303), (Fraction(19, 1), 2944), (99, 4595)])
def test_some_logarithms_that_are_the_same_for_good(ratio: Fraction, log: int) -> None:
    assert milli_log(Fraction(ratio)) == log


# -- in words


def test_every_point_has_its_evidence() -> None:
    lessons = [
        lesson(12, True, yes="ada", no="bob"),
        lesson(15, False, yes="ada bob", why="reverted in v7"),
        lesson(16, False, no="ada", why="ida calls it bad"),
    ]
    assert str(standing(lessons, Seat("ada"))) == (
        "ada 0.60 from 3 ballots\n"
        "  +1 p12: approved, and its nodes completed\n"
        "  -1 p15: approved, but reverted in v7\n"
        "  +1 p16: spoke against it, and ida calls it bad"
    )
    assert [point.sign for point in standing(lessons, Seat("bob")).evidence] == [-1, -1]
    assert str(standing(lessons, Seat("zoe"))) == "zoe 0.50: nothing is known yet"


def test_it_says_who_errs_like_whom() -> None:
    lessons = [lesson(i, i % 3 > 0, yes="ada bob cy") for i in range(30)]
    seats = [Seat("ada", family="gpt/4o"), Seat("bob", family="gpt/4o"), Seat("cy")]
    said = standing(lessons, seats[0], seats)
    assert [name for name, _ in said.alike] == ["bob", "cy"]
    assert "errs like bob: 0.84" in str(said)
