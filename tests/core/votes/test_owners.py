"""`Owners`: whose yes is needed for which nodes."""

from __future__ import annotations

import pytest

from hexdag_lab.core.base.codec import dumps, loads
from hexdag_lab.core.votes.people import Owners, Veto
from hexdag_lab.core.votes.policy import Electorate
from hexdag_lab.core.votes.presets import committee, owners
from tests.core.votes.build import NO, NONE, PENDING, YES, house, person, says

RULE = Owners({"gpu_*": ("ann", "bob"), "load": "cy"})


def touching(*nodes: str, proposer: str = "pat") -> Electorate:
    return house(ann=1, bob=1, cy=1, dot=1, proposer=proposer, facts={"touches": tuple(sorted(nodes))})


def test_every_owner_of_what_is_touched_must_approve() -> None:
    both = touching("gpu_fit", "load")
    assert says(RULE, both).text == "needs ann or bob; needs cy"
    assert says(RULE, both, cy="+").needs == ("ann", "bob")
    assert says(RULE, both, cy="+", bob="+") == (YES, "bob approved; cy approved", (), False)
    assert says(RULE, both, cy="?").verdict is NO
    assert says(RULE, both, ann="-", cy="+").text == "ann said reject"


def test_what_nobody_owns_is_nobodys_business() -> None:
    assert says(RULE, touching("report")).verdict is NONE
    assert says(RULE, touching()).verdict is NONE


def test_who_proposes_has_approved() -> None:
    assert says(RULE, touching("load", proposer="cy")).text == "cy owns load"
    assert says(RULE, touching("gpu_fit", proposer="ann")).verdict is YES


def test_an_owner_who_takes_no_part_cannot_be_asked() -> None:
    rule = Owners({"load": "zoe"})
    assert says(rule, touching("load")) == (NO, "it touches load of zoe, who takes no part", (), False)


def test_every_pattern_that_fits_counts() -> None:
    rule = Owners({"*": "ann", "load": "cy"})
    assert says(rule, touching("load"), ann="+").needs == ("cy",)


def test_the_word_owner_is_the_owner_of_the_lab() -> None:
    seats = house(owner="olga", extra=[person("olga")], facts={"touches": ("load",)})
    assert says(Owners({"*": "owner"}), seats).needs == ("olga",)
    assert says(Veto("owner"), seats, olga="-").text == "vetoed by olga"


def test_and_so_many_more() -> None:
    rule = Owners({"load": "cy"}, more=2)
    seats = touching("load")
    assert says(rule, seats, cy="+", ann="+").text == "1 of 2 further, needs bob or dot"
    assert says(rule, seats, cy="+", ann="+", dot="+").verdict is YES
    assert says(rule, seats, cy="+", ann="-", dot="-").text == "0 of 2 further, cannot be reached any more"
    assert says(rule, touching("report"), ann="+", bob="+").text == "ann and bob approved"


def test_the_preset_is_the_owners_and_one_more() -> None:
    seats = touching("load")
    rule = owners({"load": "cy"})
    assert says(rule, seats, cy="+").verdict is PENDING
    assert says(rule, seats, cy="+", dot="+").verdict is YES
    assert says(rule, seats, 700.0).expired
    anything = house(owner="olga", ann=1, extra=[person("olga")], facts={"touches": ("x",)})
    assert says(owners(), anything, olga="+").needs == ("ann",)


def test_a_committee_hears_the_veto_of_the_labs_owner() -> None:
    seats = house(owner="olga", a=1, b=1, c=1, extra=[person("olga")])
    assert says(committee(), seats, a="+", b="+", c="+").verdict is YES
    assert says(committee(), seats, a="+", b="+", c="+", olga="-").text == "vetoed by olga"


@pytest.mark.parametrize("bad", [{"load": ""}, {"load": ()}, {"load": None}, {"load": 3}, {"load": ("ann", 3)}])
def test_a_node_needs_somebody_to_own_it(bad: object) -> None:
    with pytest.raises(ValueError, match="'load' needs the name of an owner"):
        Owners(bad)


def test_it_takes_a_mapping_and_a_number() -> None:
    with pytest.raises(TypeError, match="Owners takes"):
        Owners(["ann"])
    with pytest.raises(ValueError, match="more is a number"):
        Owners({}, more=-1)


def test_it_comes_back_from_the_journal() -> None:
    assert loads(dumps(RULE)) == RULE
