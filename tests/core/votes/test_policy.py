"""Each policy by itself: what it says, when, and in which words."""

from __future__ import annotations

from fractions import Fraction
from math import inf, nan

import pytest

from hexdag_lab.core.base.codec import dumps, loads
from hexdag_lab.core.votes.agent import Role, Seat, weight_of
from hexdag_lab.core.votes.people import HumanApproval, OwnerDecides, Veto
from hexdag_lab.core.votes.policy import Deadline, Policy
from hexdag_lab.core.votes.presets import autopilot, committee, pair, policy_of, solo
from hexdag_lab.core.votes.weighing import Majority, Quorum, Supermajority, Unanimous
from tests.core.votes.build import NO, NONE, PENDING, YES, cast, house, person, says

THREE = house(ada=1, bob=1, cy=1)
OLGA = Seat("olga", human=True, implicit=True)  # the owner whom nobody added by hand
COUNTING = (Supermajority(), Supermajority(base="cast"), Majority(), Majority(base="all"), Unanimous())


# -- shares of weight


def test_two_thirds_of_all_weight() -> None:
    assert says(Supermajority(2 / 3), THREE).verdict is PENDING
    assert says(Supermajority(2 / 3), THREE, ada="+").verdict is PENDING
    assert says(Supermajority(2 / 3), THREE, ada="+", bob="+").verdict is YES
    assert says(Supermajority(2 / 3), THREE, ada="-", bob="-").verdict is NO


def test_an_abstention_counts_in_all_weight_but_not_in_the_weight_cast() -> None:
    votes = {"ada": "+", "bob": "0", "cy": "0"}
    assert says(Supermajority(2 / 3), THREE, **votes).verdict is NO
    assert says(Supermajority(2 / 3, base="cast"), THREE, **votes).verdict is YES


def test_the_tally_explains_itself() -> None:
    seats = house(marie=1, critic=0.5, budgeteer=1.05)
    opinion = says(Supermajority(2 / 3), seats, budgeteer="+")
    assert opinion.text == "0.41 of 0.66, needs marie or critic"  # the heavier of those who are out comes first
    assert opinion.needs == ("marie", "critic")


def test_a_share_below_the_threshold_never_reads_as_if_it_had_reached_it() -> None:
    seats = house(ada=665, bob=335)
    assert says(Supermajority(2 / 3), seats, ada="+", bob="-").text == "0.66 of 0.66, cannot be reached any more"
    assert says(Supermajority(0.666), house(ada=6659, bob=3341), ada="+").text.startswith("0.66 of 0.66, needs")


def test_it_is_over_as_soon_as_the_rest_cannot_change_it() -> None:
    seats = house(ada=3, bob=1, cy=1)
    assert says(Majority(), seats, ada="+").verdict is YES
    assert says(Majority(), seats, ada="-") == (NO, "0.00 of more than 0.50, cannot be reached any more", (), False)


def test_a_majority_is_more_than_half_exactly() -> None:
    two = house(ada=1, bob=1)
    assert says(Majority(), two, ada="+", bob="-").verdict is NO
    barely = house(ada=Fraction(500_001), bob=Fraction(500_000))
    assert says(Majority(), barely, ada="+", bob="-").verdict is YES  # by less than a millionth of the weight


def test_unanimous_is_everybody() -> None:
    assert says(Unanimous(), THREE, ada="+", bob="+").needs == ("cy",)
    assert says(Unanimous(), THREE, ada="+", bob="+", cy="+").verdict is YES
    assert says(Unanimous(), THREE, ada="0").verdict is PENDING, "she may still change her mind"
    assert says(Unanimous(), THREE, ada="0", bob="+", cy="+").verdict is NO


def test_weights_are_exact() -> None:
    tenths = house(**{f"a{i}": 0.1 for i in range(10)})
    votes = {f"a{i}": "+" for i in range(7)}
    assert says(Supermajority(0.7), tenths, **votes).verdict is YES  # 7 * 0.1 in floats is 0.7000000000000001
    three = house(a=0.1, b=0.2, c=0.3)
    assert says(Supermajority(0.5), three, a="+", b="+", c="-").verdict is YES  # 0.1 + 0.2 == 0.3, unlike in floats
    assert Supermajority(2 / 3).q == Fraction(2, 3)


def test_one_heavy_ballot_flips_the_result() -> None:
    seats = house(heavy=5, a=1, b=1, c=1)
    light = {"a": "+", "b": "+", "c": "+"}
    for policy in (Majority(), Supermajority(0.6), Supermajority(0.6, "cast")):
        assert says(policy, seats, heavy="-", **light).verdict is NO
        assert says(policy, seats, heavy="+", **light).verdict is YES


def test_the_proposer_has_no_weight() -> None:
    seats = house(proposer="ada", ada=10, bob=1)
    assert says(Majority(), seats, ada="+").needs == ("bob",)
    assert says(Majority(), seats, bob="-", ada="+").verdict is NO


def test_other_roles_give_advice_without_weight() -> None:
    advisers = [Seat("exe", Role.EXECUTOR), Seat("obs", Role.OBSERVER)]
    seats = house(ada=1, extra=advisers)
    assert says(Majority(), seats, exe="+", obs="+").verdict is PENDING
    both = Supermajority(0.5, voters={"orchestrator", "executor"})
    assert says(both, seats, exe="+").verdict is YES
    assert says(Supermajority(0.5, voters="executor"), seats, ada="-", exe="+").verdict is YES


def test_an_implicit_owner_has_weight_only_where_the_policy_says_owner() -> None:
    seats = house(ada=1, owner="olga", extra=[OLGA])
    assert says(Majority(), seats).needs == ("ada",)
    assert says(OwnerDecides(), seats, olga="+").verdict is YES


@pytest.mark.parametrize("policy", COUNTING)
def test_no_voters_and_no_weight_are_rejected_at_once(policy: Policy) -> None:
    for seats in (house(), house(ada=0, bob=0), house(proposer="ada", ada=1), house(extra=[Seat("e", Role.EXECUTOR)])):
        assert says(policy, seats) == (NO, "nobody may vote on this", (), False)


@pytest.mark.parametrize("policy", COUNTING)
def test_all_abstain_is_rejected_once_all_voted(policy: Policy) -> None:
    assert says(policy, THREE, ada="0", bob="0", cy="0").verdict is NO


def test_somebody_who_fails_to_answer_counts_as_weight_that_did_not_vote() -> None:
    assert says(Supermajority(2 / 3), THREE, ada="+", bob="x").needs == ("cy",)
    assert says(Supermajority(2 / 3, "cast"), THREE, ada="+", bob="x", cy="x").verdict is YES
    assert says(Majority(), THREE, ada="x", bob="x", cy="x").verdict is NO


def test_a_request_for_changes_is_a_no() -> None:
    assert says(Majority(base="all"), THREE, ada="?", bob="?").verdict is NO


@pytest.mark.parametrize("q", [0, -1, 1.01, nan, inf, True, "1/2", None])
def test_a_threshold_is_above_0_and_at_most_1(q: object) -> None:
    with pytest.raises(ValueError, match=r"is above 0|is a finite number"):
        Supermajority(q)  # type: ignore[arg-type]


@pytest.mark.parametrize("trust", [nan, inf, -inf, -1, -0.1, True, "1", None])
def test_trust_is_a_finite_number_of_0_or_more(trust: object) -> None:
    with pytest.raises(ValueError, match="trust is a finite number"):
        weight_of(trust)


def test_the_base_and_the_voters_are_words_that_exist() -> None:
    with pytest.raises(ValueError, match='"all" or "cast"'):
        Supermajority(base="some")
    with pytest.raises(ValueError, match="king"):
        Supermajority(voters={"king"})  # type: ignore[arg-type]


# -- quorum, veto, deadline: no opinion unless they bind


def test_a_quorum_of_voters() -> None:
    quorum = Quorum(voters=2)
    assert says(quorum, THREE, ada="0").text == "quorum 1 of 2 voters, needs bob or cy"
    assert says(quorum, THREE, ada="0", bob="-").verdict is NONE
    assert says(quorum, house(ada=1)).text == "quorum 0 of 2 voters cannot be reached"
    assert says(quorum, THREE, ada="x", bob="x").verdict is NO


def test_a_quorum_of_weight() -> None:
    quorum = Quorum(share=0.6)
    seats = house(heavy=3, a=1, b=1)
    assert says(quorum, seats, heavy="0").verdict is NONE
    assert says(quorum, seats, a="+", b="+").text == "quorum 60%, needs heavy"
    assert says(quorum, seats, heavy="x").verdict is NO


def test_a_quorum_without_voters_is_not_reached_by_nobody() -> None:
    for quorum in (Quorum(voters=1), Quorum(share=0.5)):
        assert says(quorum, house()).verdict is NO
    assert says(Quorum(), house()).verdict is NONE


def test_unanimous_below_the_quorum_is_rejected() -> None:
    assert says(Unanimous() & Quorum(voters=3), house(ada=1, bob=1), ada="+", bob="+").verdict is NO


def test_a_quorum_holds_back_a_majority() -> None:
    policy = Majority() & Quorum(voters=2)
    seats = house(heavy=5, a=1, b=1)
    waiting = says(policy, seats, heavy="+")
    assert (waiting.verdict, waiting.needs) == (PENDING, ("a", "b"))
    assert says(policy, seats, heavy="+", a="-").verdict is YES


@pytest.mark.parametrize(
    "bad", [{"voters": -1}, {"voters": 1.5}, {"voters": {"orchestrator"}}, {"share": 1.1}, {"share": nan}]
)
def test_a_quorum_that_cannot_be(bad: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"quorum|trust"):
        Quorum(**bad)  # type: ignore[arg-type]


def test_a_veto_of_a_name_or_a_role() -> None:
    policy = Majority() & Veto("cy")
    assert says(policy, THREE, ada="+", cy="-") == (NO, "vetoed by cy", (), False)
    assert says(policy, THREE, ada="+", bob="+").verdict is YES  # a veto holds nothing up
    assert says(policy, THREE, ada="+", bob="+", cy="?").verdict is YES  # to ask for changes is no veto
    guards = house(ada=1, extra=[Seat("exe", Role.EXECUTOR)])
    assert says(Majority() & Veto("executor"), guards, ada="+", exe="-").verdict is NO
    assert says(Majority() & Veto("executor"), guards, ada="+", exe="+").verdict is YES
    mine = house(proposer="ada", ada=1, bob=1)
    assert says(Majority() & Veto("ada"), mine, ada="-", bob="+").verdict is YES  # nobody votes on a proposal of hers


def test_a_deadline_settles_what_is_pending_and_nothing_else() -> None:
    for otherwise, verdict in (("reject", NO), ("accept", YES)):
        policy = Majority() & Deadline(600, otherwise)
        assert says(policy, THREE, 699.9).verdict is PENDING
        assert says(policy, THREE, 700.0) == (verdict, f"the deadline passed: {otherwise}", (), True)
        assert says(policy, THREE, 700.0, ada="+", bob="+") == (YES, "0.66 of more than 0.50", (), False)
        assert says(policy, THREE, 700.0, ada="-", bob="-").verdict is NO


def test_the_deadline_that_fires_first_decides_whatever_the_order() -> None:
    for policy in (
        Majority() & Deadline(60, "accept") & Deadline(600),
        Majority() & Deadline(600) & Deadline(60, "accept"),
    ):
        assert says(policy, THREE, 10_000).text == "the deadline passed: accept"
        assert policy.deadline(THREE) == 160
        assert policy.deadline(THREE, after=160) == 700
        assert policy.deadline(THREE, after=700) is None


@pytest.mark.parametrize("seconds", [0, -1, nan, inf])
def test_a_deadline_has_a_finite_time(seconds: float) -> None:
    with pytest.raises(ValueError, match="a deadline has seconds above 0"):
        Deadline(seconds)
    with pytest.raises(ValueError, match="otherwise"):
        Deadline(1, "perhaps")


# -- people


def test_the_owner_passes_her_own_and_is_asked_about_others() -> None:
    seats = house(ada=1, extra=[person("olga")])
    assert says(OwnerDecides(), house(proposer="olga", ada=1)).text == "olga is the owner"
    assert says(OwnerDecides(), seats, ada="+") == (PENDING, "needs olga", ("olga",), False)
    assert says(OwnerDecides(), seats, olga="+").text == "olga approved"
    assert says(OwnerDecides(), seats, olga="?").text == "olga said request changes"
    assert says(OwnerDecides(), seats, olga="0").text == "olga abstained"


def test_where_the_owner_has_no_seat_nothing_waits_for_her() -> None:
    assert says(OwnerDecides(), house(ada=1)).verdict is NO


def test_a_person_must_approve_and_the_first_answer_decides() -> None:
    seats = house(bot=1, extra=[person("ida"), person("pat"), person("zoe", Role.EXECUTOR)])
    assert says(HumanApproval(), seats, bot="+").text == "needs ida or zoe"  # pat proposed
    assert says(HumanApproval(), seats, zoe="+1", ida="-2").text == "zoe approved"
    assert says(HumanApproval(), seats, zoe="+2", ida="-1").text == "ida said reject"
    assert says(HumanApproval(), seats, ida="0").text == "needs zoe"
    assert says(HumanApproval(), seats, ida="0", zoe="x").text == "ida and zoe abstained"
    assert says(HumanApproval(), house(bot=1)).text == "it needs a person, and nobody here is one"


def test_a_person_is_needed_above_a_price() -> None:
    policy = HumanApproval(above=5)
    for cost, verdict in ((4, NONE), (5, NONE), (Fraction(51, 10), PENDING)):
        seats = house(extra=[person("ida")], facts={"cost": Fraction(cost)})
        assert says(policy, seats).verdict is verdict


def test_a_person_is_needed_for_what_changes_nodes() -> None:
    policy = HumanApproval(unless_additive=True)
    people = [person("ida")]
    assert says(policy, house(extra=people)).text == "only adds nodes"
    assert says(policy, house(extra=people, facts={"additive": False})).verdict is PENDING
    cheap = HumanApproval(above=5, unless_additive=True)
    assert says(cheap, house(extra=people, facts={"cost": Fraction(9)})).verdict is PENDING


# -- together


def test_and_needs_all_or_needs_one() -> None:
    seats = house(ada=1, bob=1, extra=[OLGA])
    both, either = OwnerDecides() & Supermajority(1), OwnerDecides() | Supermajority(1)
    assert says(both, seats, olga="+").verdict is PENDING
    assert says(both, seats, olga="-").verdict is NO
    assert says(both, seats, olga="+", ada="+", bob="+").text == "olga approved; 1.00 of 1.00"
    assert says(either, seats, olga="+").verdict is YES
    assert says(either, seats, olga="-").text == "0.00 of 1.00, needs ada or bob"
    assert says(either, seats, olga="-", ada="-").verdict is NO
    assert says(either, seats, ada="-").text == "needs olga"


def test_and_with_no_opinion_at_all_accepts_and_or_rejects() -> None:
    assert says(Quorum(voters=1) & Veto("bob"), THREE, ada="0") == (YES, "nothing speaks against it", (), False)
    assert says(Veto("ada") | Veto("bob"), THREE) == (NO, "nothing speaks for it", (), False)


def test_combinations_are_flat() -> None:
    policy = Majority() & Veto("a") & (Quorum(voters=1) & Deadline(5))
    assert len(policy.parts) == 4  # type: ignore[attr-defined]


@pytest.mark.parametrize(("otherwise", "verdict"), [("reject", NO), ("accept", YES)])
def test_a_deadline_deep_inside_settles_its_own_part(otherwise: str, verdict: object) -> None:
    inner = Unanimous() | Deadline(60, otherwise)
    assert says(inner & Veto("ada"), THREE, 500).verdict is verdict
    assert says(inner & Veto("ada"), THREE, 500).expired
    seats = house(ada=1, bob=1, extra=[OLGA])
    other = OwnerDecides() | (Unanimous() & Deadline(60, otherwise))
    assert says(other, seats, 500).verdict is (YES if otherwise == "accept" else PENDING)
    assert says(other, seats, 500, olga="-").verdict is verdict


# -- presets


def test_solo() -> None:
    assert says(solo(), house(proposer="olga", extra=[person("olga")])).verdict is YES
    seats = house(bot=1, extra=[person("olga")])
    assert says(solo(), seats, bot="+").needs == ("olga",)
    assert says(solo(), seats, 700).expired


def test_pair() -> None:
    seats = house(proposer="olga", bot=1, extra=[person("olga"), person("ida")])
    assert says(pair(), seats, bot="+").needs == ("ida",)
    assert says(pair(), seats, ida="+").verdict is YES


def test_committee() -> None:
    seats = house(a=1, b=1, c=1, d=1, e=1)
    assert says(committee(), seats, a="+", b="+").verdict is PENDING
    assert says(committee(), seats, a="+", b="+", c="+", d="-").verdict is PENDING
    assert says(committee(), seats, a="+", b="+", c="+", d="-", e="0").verdict is YES
    assert says(committee(), seats, a="-", b="-").verdict is NO
    assert says(committee(), seats, 700, a="+", b="+").text == "the deadline passed: reject"


def test_autopilot() -> None:
    people = [person("ida")]
    assert says(autopilot(), house(extra=people)).verdict is YES
    assert says(autopilot(), house(extra=people, facts={"additive": False})).verdict is PENDING


def test_a_policy_by_name() -> None:
    assert policy_of("pair") == pair()
    assert policy_of(Majority()) == Majority()
    with pytest.raises(ValueError, match="solo, pair, owners, committee, autopilot, not 'anarchy'"):
        policy_of("anarchy")


@pytest.mark.parametrize(
    "policy",
    [solo(), pair(), committee(), autopilot(), Majority() | Veto("x"), HumanApproval(above=0.1), *COUNTING],
)
def test_a_policy_comes_back_from_the_journal(policy: Policy) -> None:
    assert loads(dumps(policy)) == policy
    assert says(loads(dumps(policy)), THREE, ada="+") == policy.evaluate(cast(ada="+"), THREE, 101)
