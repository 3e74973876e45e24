"""`LogOdds`: what a ballot weighs, when it is enough, and what it says of itself."""

from __future__ import annotations

import math
from fractions import Fraction

import pytest

from hexdag_lab.core.base.codec import dumps, loads
from hexdag_lab.core.base.frozen import FrozenDict
from hexdag_lab.core.dag.changeset import Changeset
from hexdag_lab.core.votes.agent import Role, Seat
from hexdag_lab.core.votes.logodds import LogOdds
from hexdag_lab.core.votes.people import HumanApproval
from hexdag_lab.core.votes.policy import Electorate
from hexdag_lab.core.votes.proposal import Proposal
from hexdag_lab.core.votes.trust import Earned
from tests.core.votes.build import NO, PENDING, YES, person, says


def earned(*, alike: dict[str, int] | None = None, proposer: str = "pat", **logits: int) -> Electorate:
    """An electorate whose seats have earned log-odds, in thousandths: `earned(ada=2000, alike={"ada bob": 600})`."""
    seats = tuple(Seat(name) for name in sorted(logits))
    pairs = tuple((*pair.split(), share) for pair, share in sorted((alike or {}).items()))
    known = FrozenDict({name: logit for name, logit in logits.items() if logit})
    return Electorate(seats, proposer, "olga", 100.0, earned=Earned(known, pairs))  # type: ignore[arg-type]


def test_the_sum_of_earned_log_odds_decides_and_not_the_heads() -> None:
    seats = earned(expert=2500, a=400, b=400, c=400)
    assert says(LogOdds(), seats, expert="+", a="-", b="-", c="-").verdict is YES
    assert says(LogOdds(), seats, expert="-", a="+", b="+", c="+").verdict is NO


def test_it_explains_itself() -> None:
    seats = earned(ada=900, bob=1200, cy=300)
    opinion = says(LogOdds(), seats, ada="+")
    assert opinion.text == "log-odds +0.900 of more than +0.000, needs bob or cy"
    assert opinion.needs == ("bob", "cy")


def test_a_tie_rejects() -> None:
    assert says(LogOdds(), earned(ada=700, bob=700), ada="+", bob="-").verdict is NO


def test_it_is_decided_as_soon_as_the_rest_cannot_change_it() -> None:
    seats = earned(ada=2000, bob=900, cy=900)
    assert says(LogOdds(), seats, ada="+").verdict is YES
    assert says(LogOdds(), seats, ada="-").text == "log-odds -2.000 of more than +0.000, cannot be reached any more"
    assert says(LogOdds(), seats, bob="+").verdict is PENDING
    assert says(LogOdds(), seats, ada="0", bob="+").verdict is PENDING  # cy's no would be a tie


def test_an_abstention_alone_rejects_nothing_while_somebody_is_out() -> None:
    costly = LogOdds(cost_false_accept=3)
    seats = earned(ada=1000, bob=1000)
    assert says(costly, seats, ada="0").verdict is PENDING
    assert says(costly, seats, ada="0", bob="+").verdict is NO


def test_the_newcomer_has_no_weight_and_cannot_be_multiplied() -> None:
    seats = earned(ada=500, **{f"new{i}": 0 for i in range(9)})
    assert says(LogOdds(), seats, **{f"new{i}": "-" for i in range(9)}).needs == ("ada",)
    assert says(LogOdds(), seats, ada="+", **{f"new{i}": "-" for i in range(9)}).verdict is YES


def test_where_nobody_has_earned_a_weight_it_rejects_and_a_person_can_stand_in() -> None:
    seats = earned(ada=0)
    assert says(LogOdds(), seats) == (NO, "nobody here has earned a weight yet", (), False)
    assert says(LogOdds(), earned()).text == "nobody may vote on this"
    people = Electorate((Seat("ada"), person("ida")), "pat", "olga", 100.0)
    assert says(LogOdds() | HumanApproval(), people).needs == ("ida",)


def test_who_is_mostly_wrong_has_no_weight_unless_the_floor_lets_it_count_the_other_way() -> None:
    seats = earned(ada=800, liar=-2000)
    assert says(LogOdds(), seats, ada="+", liar="+").verdict is YES
    turned = LogOdds(floor=-4)
    assert says(turned, seats, liar="+", ada="+").verdict is NO
    assert says(turned, seats, liar="-").verdict is YES


def test_no_voter_weighs_more_than_the_cap() -> None:
    seats = earned(sure=9000, a=1500, b=1500, c=1500)
    assert says(LogOdds(), seats, sure="+", a="-", b="-", c="-").verdict is NO
    assert says(LogOdds(cap=9), seats, sure="+", a="-", b="-", c="-").verdict is YES


def test_the_threshold_comes_from_the_prior_and_the_costs() -> None:
    assert LogOdds().threshold == 0
    assert LogOdds(cost_false_accept=10).threshold == round(1000 * math.log(10))
    assert LogOdds(cost_false_reject=10).threshold == -round(1000 * math.log(10))
    assert LogOdds(prior=0.9).threshold == -round(1000 * math.log(9))
    seats = earned(ada=2000)
    assert says(LogOdds(cost_false_accept=10), seats, ada="+").verdict is NO
    assert says(LogOdds(prior=0.9), seats, ada="-").verdict is YES


def test_all_abstain_is_rejected_whatever_the_prior() -> None:
    assert says(LogOdds(prior=0.99), earned(ada=500), ada="0") == (NO, "nobody voted yes or no", (), False)
    assert says(LogOdds(prior=0.99), earned(ada=500)).verdict is PENDING
    assert says(LogOdds(prior=0.99), earned(ada=500), ada="x").verdict is NO


def test_voters_that_err_together_are_not_many_witnesses() -> None:
    clones = {f"bot{i}": 900 for i in range(3)}
    alike = {"bot0 bot1": 900, "bot0 bot2": 900, "bot1 bot2": 900}
    votes = {"ada": "+", **dict.fromkeys(clones, "-")}
    assert says(LogOdds(), earned(ada=1400, **clones), **votes).verdict is NO
    assert says(LogOdds(), earned(ada=1400, alike=alike, **clones), **votes).verdict is YES
    assert says(LogOdds(discount=False), earned(ada=1400, alike=alike, **clones), **votes).verdict is NO


def test_a_weak_voter_takes_little_from_a_strong_one_that_it_resembles() -> None:
    weights = LogOdds().logits(earned(ada=2000, bot=100, alike={"ada bot": 1000}))
    assert weights == {"ada": 1905, "bot": 50}


def test_advice_and_the_proposer_weigh_nothing() -> None:
    seats = (Seat("ada"), Seat("exe", Role.EXECUTOR), Seat("pat"))
    house = Electorate(seats, "pat", "o", 0.0, earned=Earned(FrozenDict({"ada": 500, "exe": 3000, "pat": 3000})))
    assert LogOdds().logits(house) == {"ada": 500}
    assert LogOdds(voters={"executor"}).logits(house) == {"exe": 3000}  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "bad",
    [
        {"prior": 0}, {"prior": 1}, {"prior": math.nan}, {"cost_false_accept": 0}, {"cost_false_reject": -1},
        {"cap": 0}, {"cap": math.inf}, {"floor": 1}, {"floor": math.nan}, {"floor": -math.inf}, {"voters": {"king"}},
    ],
    ids=str,
)  # fmt: skip
def test_a_rule_that_cannot_be(bad: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"above 0|finite number|king"):
        LogOdds(**bad)  # type: ignore[arg-type]


def test_it_comes_back_from_the_journal_with_its_electorate() -> None:
    policy = LogOdds(prior=0.3, cost_false_accept=Fraction(5, 2), floor=-1, sealed=True)
    seats = earned(ada=900, bob=-300, alike={"ada bob": 250})
    assert loads(dumps(policy)) == policy
    assert loads(dumps(seats)) == seats
    assert loads(dumps(policy)).logits(loads(dumps(seats))) == policy.logits(seats)


def test_the_tally_shows_what_was_earned_and_not_what_was_declared() -> None:
    seats = earned(ada=900, bob=0)
    made = Proposal("p", "pat", Changeset(b""), 1, electorate=seats)
    assert dict(made.tally(LogOdds() | HumanApproval(), 101).weights) == {"ada": Fraction(9, 10), "bob": 0}
    assert dict(made.tally(HumanApproval(), 101).weights) == {"ada": 1, "bob": 1}
