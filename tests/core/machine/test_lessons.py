"""What a run teaches about its voters, told as diaries."""

from __future__ import annotations

from fractions import Fraction

from hexdag_lab.core.base.errors import NotAllowed, Refused
from hexdag_lab.core.machine import messages as ms
from hexdag_lab.core.machine.lessons import WATCHED, lessons, trust_now
from hexdag_lab.core.votes.agent import Seat
from hexdag_lab.core.votes.logodds import LogOdds
from hexdag_lab.core.votes.people import HumanApproval
from hexdag_lab.core.votes.policy import Policy
from hexdag_lab.core.votes.trust import Lesson, Trust
from hexdag_lab.core.votes.weighing import Majority
from tests.core.machine.diary import Diary, graph, seats, spec

PEOPLE = (*seats(), Seat("ida", human=True, weight=Fraction(0)), Seat("zoe", human=True, weight=Fraction(0)))


def open_lab(policy: Policy | None = None, **start: object) -> Diary:
    lab = Diary("load > fit", policy or Majority(), **start)
    lab.start(slots=4, seats=PEOPLE, owner="ida", by="ida")
    return lab


def applied(lab: Diary, id_: str, *specs: object) -> None:
    """eve proposes nodes, bob and cy approve, ada says no."""
    change = lab.change()
    for node in specs:
        change = change.add_node(node)
    lab.propose(id_, change, "eve")
    lab.vote(id_, "ada", False)
    lab.vote(id_, "bob")
    lab.vote(id_, "cy")


def taught(lab: Diary) -> list[tuple[str, bool, str]]:
    return [(lesson.proposal, lesson.good, lesson.why) for lesson in lessons(lab.state)]


def test_a_change_whose_nodes_completed_was_good() -> None:
    lab = open_lab()
    applied(lab, "p1", spec("a"), spec("b"))
    lab.runs("a")
    assert taught(lab) == []
    lab.runs("b")
    assert lessons(lab.state) == (Lesson("p1", True, "its nodes completed", ("bob", "cy"), ("ada",)),)
    trust = trust_now(lab.state)
    assert trust.chance("bob") > Fraction(1, 2) > trust.chance("ada")
    assert trust.chance("eve") == Fraction(1, 2), "who proposes earns nothing by it"


def test_a_change_whose_node_failed_was_not() -> None:
    lab = open_lab()
    applied(lab, "p1", spec("a"), spec("b"))
    lab.runs("a")
    lab.begins("b")
    lab.fails("b")
    assert taught(lab) == [("p1", False, "b failed")]


def test_a_change_that_is_reverted_soon_was_not_even_if_its_nodes_completed() -> None:
    lab = open_lab()
    applied(lab, "p1", spec("a"))
    lab.runs("a")
    lab.propose("p2", lab.change().remove_node("a", finished="rerun"), "eve")
    lab.vote("p2", "bob")
    lab.vote("p2", "cy")
    assert taught(lab) == [("p1", False, "reverted in v3")]


def test_what_is_undone_much_later_was_good_while_it_lasted() -> None:
    lab = open_lab()
    applied(lab, "p0", spec("a"))
    lab.runs("a")
    for number in range(WATCHED):
        applied(lab, f"q{number}", spec(f"b{number}"))
    lab.propose("p2", lab.change().remove_node("a", finished="rerun"), "eve")
    lab.vote("p2", "bob")
    lab.vote("p2", "cy")
    assert ("p0", False, "reverted in v8") not in taught(lab)


def test_a_change_that_cost_much_more_than_it_said_was_not_good() -> None:
    lab = open_lab()
    applied(lab, "p1", spec("a", cost=1, retries=3))
    for _ in range(2):
        lab.begins("a")
        lab.fails("a")
        lab.tick(10)
    lab.runs("a")
    assert taught(lab) == [("p1", False, "it cost 3, not 1")]


def test_a_change_that_runs_nothing_has_to_last() -> None:
    lab = open_lab()
    lab.propose("p1", lab.change().remove_edge("load", "fit"), "eve")
    lab.vote("p1", "bob")
    lab.vote("p1", "cy")
    assert taught(lab) == []
    lab.runs("load", "fit")
    assert lab.state.over
    assert taught(lab) == [("p1", True, "it has lasted")]


def test_what_was_rejected_teaches_once_a_person_has_looked_at_it() -> None:
    lab = open_lab()
    lab.propose("p1", lab.change().add_node(spec("a")), "eve")
    lab.vote("p1", "ada")
    lab.vote("p1", "bob", False)
    lab.vote("p1", "cy", False)
    assert taught(lab) == []
    assert lab.send(ms.Judge(9.0, "p1", "ida", True, "we needed it")) is True
    assert taught(lab) == [("p1", True, "ida calls it good: we needed it")]
    assert lab.told().splitlines()[-1].endswith("p1: ida calls it good: we needed it")
    assert trust_now(lab.state).chance("ada") > Fraction(1, 2) > trust_now(lab.state).chance("bob")


def test_a_person_knows_better_and_may_change_her_mind() -> None:
    lab = open_lab()
    applied(lab, "p1", spec("a"))
    lab.runs("a", "load", "fit")
    assert lab.state.over
    lab.send(ms.Judge(9.0, "p1", "ida", False, "it was wrong"))
    assert taught(lab) == [("p1", False, "ida calls it bad: it was wrong")]
    events = len(lab.events)
    lab.send(ms.Judge(10.0, "p1", "ida", False, "it was wrong"))
    assert len(lab.events) == events, "the same again is nothing new"
    lab.send(ms.Judge(11.0, "p1", "zoe", True))
    assert taught(lab) == [("p1", True, "zoe calls it good")]


def test_her_own_ballot_earns_nothing_by_her_own_judgement() -> None:
    lab = open_lab(HumanApproval())
    lab.propose("p1", lab.change().add_node(spec("a")), "eve")
    lab.vote("p1", "ada")
    lab.vote("p1", "zoe")
    lab.send(ms.Judge(9.0, "p1", "zoe", True))
    assert lessons(lab.state)[0].yes == ("ada",)
    lab.send(ms.Judge(9.0, "p1", "ida", True))
    assert lessons(lab.state)[0].yes == ("ada", "zoe")


def test_nor_does_it_undo_what_the_facts_say_of_her_ballot() -> None:
    lab = open_lab(HumanApproval())
    lab.propose("p1", lab.change().add_node(spec("a")), "eve")
    lab.vote("p1", "ada", False)
    lab.vote("p1", "zoe")
    lab.begins("a")
    lab.fails("a")
    lab.send(ms.Judge(9.0, "p1", "zoe", True, "bad luck"))
    assert lessons(lab.state) == (
        Lesson("p1", True, "zoe calls it good: bad luck", (), ("ada",)),
        Lesson("p1", False, "a failed", ("zoe",), ()),
    )


def test_who_may_not_judge() -> None:
    lab = open_lab()
    lab.propose("p1", lab.change().add_node(spec("a")), "ida")
    for by, what, rule in (
        ("bob", "p1", "person"), ("stranger", "p1", "person"), ("zoe", "p9", "unknown-proposal"),
        ("zoe", "p1", "not-decided"),
    ):  # fmt: skip
        refused = lab.send(ms.Judge(1.0, what, by, True))
        assert isinstance(refused, Refused), (by, what)
        assert refused.rule == rule
        assert refused.fix
    lab.vote("p1", "bob")
    lab.vote("p1", "cy")
    refused = lab.send(ms.Judge(1.0, "p1", "ida", True))
    assert isinstance(refused, NotAllowed)
    assert refused.rule == "own-proposal"
    assert taught(lab) == []


def test_weights_are_frozen_when_voting_opens() -> None:
    known = Trust().after(Lesson(f"x{i}", True, "", ("bob",), ("ada",)) for i in range(5))
    lab = open_lab(LogOdds() | HumanApproval(), trust=known)
    lab.propose("p1", lab.change().add_node(spec("a")), "eve")
    frozen = lab.state.proposals["p1"].electorate
    assert frozen is not None
    assert frozen.earned.logits == {"ada": known.logit("ada"), "bob": known.logit("bob")}
    lab.vote("p1", "bob")
    assert lab.state.proposals["p1"].state == "APPLIED"
    lab.runs("a")
    assert lab.state.proposals["p1"].electorate == frozen
    lab.propose("p2", lab.change().add_node(spec("b")), "eve")
    now = lab.state.proposals["p2"].electorate
    assert now is not None
    assert now.earned.logits["bob"] > known.logit("bob"), "and this run has taught more since"


def test_a_policy_that_does_not_look_at_trust_freezes_none() -> None:
    lab = open_lab()
    applied(lab, "p1", spec("a"))
    lab.runs("a")
    applied(lab, "p2", spec("b"))
    electorate = lab.state.proposals["p2"].electorate
    assert electorate is not None
    assert electorate.earned.logits == {}


def test_what_a_proposal_touches_is_frozen_with_it() -> None:
    lab = Diary(graph("load > fit > report"))
    lab.start(seats=PEOPLE)
    lab.propose("p1", lab.change().add_node(spec("plot").after("load")).remove_edge("fit", "report"), "eve")
    electorate = lab.state.proposals["p1"].electorate
    assert electorate is not None
    assert electorate.touches == ("plot", "report")


def test_lessons_are_the_same_after_a_crash() -> None:
    lab = open_lab()
    applied(lab, "p1", spec("a"))
    lab.runs("a")
    lab.send(ms.Judge(9.0, "p1", "ida", False))
    before = lessons(lab.state)
    lab.crash()
    assert lessons(lab.state) == before


def test_edges_that_are_set_back_are_a_revert_as_well() -> None:
    lab = open_lab()
    wire = lab.state.dag.wires("fit")
    for id_, edit in (("p1", "remove_edge"), ("p2", "add_edge")):
        lab.propose(id_, getattr(lab.change(), edit)("load", "fit"), "eve")
        lab.vote(id_, "bob")
        lab.vote(id_, "cy")
    assert lab.state.dag.wires("fit") == wire
    assert taught(lab)[0] == ("p1", False, "reverted in v3")
