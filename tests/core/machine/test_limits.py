"""Caps of agents and the budget of a run: facts that no vote overrules, and a limit at which a run asks."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import pytest

from hexdag_lab.core.base.codec import dumps, loads
from hexdag_lab.core.base.errors import Refused, SchemaError
from hexdag_lab.core.base.frozen import FrozenDict
from hexdag_lab.core.dag.changeset import Changeset
from hexdag_lab.core.dag.dag import Dag
from hexdag_lab.core.machine import events as ev
from hexdag_lab.core.machine import messages as ms
from hexdag_lab.core.machine.evolve import evolve
from hexdag_lab.core.machine.state import RunState
from hexdag_lab.core.machine.why import why
from hexdag_lab.core.runs.run import RunStatus
from hexdag_lab.core.votes.agent import UNCAPPED, Caps, Seat
from hexdag_lab.core.votes.budget import Budget, budget_of
from hexdag_lab.core.votes.people import HumanApproval, OwnerDecides
from hexdag_lab.core.votes.policy import Deadline
from hexdag_lab.core.votes.proposal import Check, ProposalState
from hexdag_lab.core.votes.weighing import Majority
from tests.core.machine.diary import Diary, graph, result, seats, spec, text

P = ProposalState


def broken(lab: Diary, id_: str) -> list[Check]:
    return [check for check in lab.state.proposals[id_].checks if not check.ok]


def rule_of(lab: Diary, id_: str) -> list[str]:
    return [check.rule for check in broken(lab, id_)]


def with_caps(caps: Caps | None, human: bool = False) -> Diary:
    """ada proposes under these caps; the owner is somebody else."""
    house = (Seat("ada", caps=caps, human=human), *seats()[1:])
    lab = Diary("load > fit > report", seats=house, owner="bob")
    lab.start(slots=0)
    return lab


# -- caps


def test_the_caps_of_an_agent_are_checks_that_name_the_cap_and_how_to_raise_it() -> None:
    lab = with_caps(Caps(proposals=2, nodes=2))
    three = lab.change().add_node(spec("a")).add_node(spec("b")).add_node(spec("c"))
    lab.propose("p1", three)
    (check,) = broken(lab, "p1")
    assert check.message == "ada is capped at 2 nodes in a proposal, and this would be 3"
    assert check.fix == "hx.Agent('ada', …, caps=hx.Caps(nodes=3))"
    proposal = lab.state.proposals["p1"]
    assert (proposal.state, proposal.decided_by) == (P.REJECTED, "checks")
    lab.propose("p2", lab.change().add_node(spec("a")))
    lab.propose("p3", lab.change().add_node(spec("b")))
    assert (lab.state.proposals["p2"].state, rule_of(lab, "p3")) == (P.OPEN, ["caps"])
    lab.propose("p4", three, "bob")
    assert lab.state.proposals["p4"].state is P.OPEN, "caps are each agent's own"


def test_depth_counts_proposals_that_cause_one_another() -> None:
    lab = Diary("load > fit", OwnerDecides(), seats=(*seats(), Seat("hal", caps=Caps(depth=2))))
    lab.start(slots=0)
    lab.propose("p1", lab.change().add_node(spec("n1")), cause="load")
    lab.propose("p2", lab.change().add_node(spec("n2")), cause="n1")
    assert [lab.state.proposals[id_].depth for id_ in ("p1", "p2")] == [1, 2]
    for id_, cause in (("p3", "n2"), ("p4", "p2")):
        lab.propose(id_, lab.change().add_node(spec(id_)), "hal", cause=cause)
        assert (lab.state.proposals[id_].depth, rule_of(lab, id_)) == (3, ["caps"])
    lab.propose("p5", lab.change().add_node(spec("n5")), "hal")
    assert (lab.state.proposals["p5"].depth, rule_of(lab, "p5")) == (1, [])


def test_people_have_no_caps_and_functions_have_the_usual_ones() -> None:
    assert Seat("ann", human=True).limits == UNCAPPED
    assert Seat("bot").limits == Caps()
    assert Seat("ann", human=True, caps=Caps(nodes=1)).limits.nodes == 1
    for wrong in (-1, 1.5, "many", True):
        with pytest.raises(ValueError, match="caps: nodes is a whole number"):
            Caps(nodes=wrong)  # type: ignore[arg-type]


def test_the_same_plan_twice_is_refused_to_a_function_and_not_to_a_person() -> None:
    for human in (False, True):
        lab = with_caps(None, human)
        change = lab.change().add_node(spec("a"))
        lab.propose("p1", change)
        lab.propose("p2", change)
        assert rule_of(lab, "p2") == ([] if human else ["same-plan"])
        lab.vote("p1", "bob", False)
        lab.vote("p1", "cy", False)
        assert lab.state.proposals["p1"].state is P.REJECTED
        lab.propose("p3", change, in_reply_to="p1")
        assert rule_of(lab, "p3") == ([] if human else ["same-plan"])
    lab = with_caps(None)
    lab.propose("p1", lab.change().add_node(spec("a")))
    lab.send(ms.Withdraw(lab.now, "p1", "ada"))
    lab.propose("p2", lab.change().add_node(spec("a")))
    assert lab.state.proposals["p2"].state is P.OPEN, "nobody has said no to it"


# -- the budget


def costly(policy: Any = None, budget: Any = Fraction(5), **options: Any) -> Diary:
    """a > b > c > d, each for 2."""
    dag = graph("a > b > c > d", **{name: {"cost": 2} for name in "abcd"})
    lab = Diary(dag, policy or Majority(), budget=budget, **options)
    lab.start(slots=1)
    return lab


def test_at_its_limit_a_run_pauses_asks_and_goes_on_once_that_is_approved() -> None:
    lab = costly()
    lab.runs("a")
    lab.told()
    lab.begins("b")
    lab.succeeds("b")
    assert lab.told() == text("""
           0  b started on w1
           0  b succeeded in 1.50 s
           0  paused by hexdag_lab: its budget lacks 3.00
           0  hexdag_lab proposes r/budget-1: the budget raised by 3.00
           0  r/budget-1 opened
              ask ada about r/budget-1
              ask bob about r/budget-1
              ask cy about r/budget-1
    """)
    asked = lab.state.proposals["r/budget-1"]
    assert (asked.kind, asked.raises, asked.effect) == ("budget", Budget(cost=Fraction(3)), None)
    assert asked.reason == "the budget of 5.00 leaves no room for what is left: raise it by 3.00?"
    assert (lab.state.status, lab.in_pool()) == (RunStatus.PAUSED, [])
    assert why(lab.state, "c") == "the run is paused: its budget of 5.00 lacks 3.00; r/budget-1 asks for 3.00"
    lab.vote("r/budget-1", "ada")
    lab.vote("r/budget-1", "bob")
    assert lab.told() == text("""
           0  ada on r/budget-1: approve
           0  bob on r/budget-1: approve
           0  r/budget-1 approved: 0.66 of more than 0.50
           0  r/budget-1 applied: 0.66 of more than 0.50
           0  the budget is 8.00 from now on
           0  ada, bob lets the run go on
           0  submitted c#1
    """)
    lab.runs("c", "d")
    assert (lab.state.status, lab.state.spent(), lab.state.version) == (RunStatus.SUCCEEDED, 8, 1)


def test_rejected_it_stays_paused_says_so_and_can_be_asked_again() -> None:
    lab = costly()
    lab.runs("a", "b")
    for voter in ("ada", "bob"):
        lab.vote("r/budget-1", voter, False)
    assert lab.state.status is RunStatus.PAUSED
    said = why(lab.state, "c") or ""
    assert said.startswith("the run is paused: its budget of 5.00 lacks 3.00; r/budget-1 is REJECTED (")
    assert said.endswith("): run.raise_budget(…) asks again")
    lab.send(ms.Resume(lab.now, "ada"))
    assert lab.state.status is RunStatus.PAUSED, "there is no room still, so it asks again"
    assert lab.state.open == ("r/budget-2",)
    lab.send(ms.Resume(lab.now, "ada"))
    assert lab.state.open == ("r/budget-2",), "one question at a time"
    lab.propose("p1", Changeset(lab.state.dag.digest), "ada", raises=Budget(cost=Fraction(2)))
    lab.vote("p1", "bob")
    lab.vote("p1", "cy")
    assert lab.state.status is RunStatus.RUNNING
    lab.runs("c")
    assert (lab.state.status, lab.state.budget) == (RunStatus.PAUSED, Budget(cost=Fraction(7)))
    lab.cancel("ada")
    assert lab.state.status is RunStatus.CANCELLED
    assert lab.state.proposals["r/budget-3"].state is P.WITHDRAWN


def test_a_raise_by_somebody_else_answers_the_question_and_so_does_removing_what_costs() -> None:
    lab = costly(OwnerDecides())
    lab.runs("a", "b")
    lab.propose("p1", Changeset(lab.state.dag.digest), "ada", raises=Budget(cost=Fraction(1)))
    asked = lab.state.proposals["r/budget-1"]
    assert (asked.state, asked.why) == (P.SUPERSEDED, "p1 raised the budget")
    lab.runs("c")
    assert (lab.state.status, lab.state.open) == (RunStatus.PAUSED, ("r/budget-2",))
    lab.propose("p2", lab.change().remove_node("d"))
    assert (lab.state.proposals["r/budget-2"].state, lab.state.status) == (P.SUPERSEDED, RunStatus.SUCCEEDED)


def test_what_runs_goes_on_to_its_end_while_the_run_asks() -> None:
    dag = graph("a > x, b > y, c", a={"cost": 1}, b={"cost": 1}, c={"cost": 1})
    lab = Diary(dag, budget=Fraction(2))
    lab.start(slots=3)
    assert (lab.in_pool(), lab.state.status) == (["a#1", "b#1"], RunStatus.PAUSED)
    lab.runs("a", "b")
    assert lab.states() == {"a": "SUCCEEDED", "b": "SUCCEEDED", "c": "READY", "x": "READY", "y": "READY"}


@pytest.mark.parametrize("lookahead", [0, 4])
def test_no_order_of_events_spends_more_than_the_budget(lookahead: int) -> None:
    dag = graph("a > b > c > d, e > f", **{n: {"cost": 1, "retries": 2, "backoff": 0} for n in "abcdef"})
    lab = Diary(dag, budget=Fraction(4))
    lab.start(slots=2, lookahead=lookahead)
    for node in ("a", "e"):
        lab.begins(node)
    lab.fails("a")
    for node in ("a", "b", "c", "f", "d"):
        if lab.state.nodes[node].submitted:
            lab.runs(node)
        assert lab.state.spent() <= 4
    assert lab.state.status is RunStatus.PAUSED


def test_a_budget_of_nodes_counts_different_nodes() -> None:
    lab = Diary(graph("a > b > c", a={"retries": 1, "backoff": 0}), budget=Budget(nodes=2))
    lab.start()
    lab.begins("a")
    lab.fails("a")
    lab.runs("a", "b")
    assert (lab.state.status, lab.state.short) == (RunStatus.PAUSED, Budget(nodes=1))
    assert lab.state.used(lab.now).nodes == 2


def test_a_budget_of_time_leaves_pauses_and_crashes_out() -> None:
    lab = Diary("a > b", budget=Budget(seconds=10.0))
    lab.start()
    lab.now = 4
    lab.send(ms.Pause(lab.now, "ada"))
    lab.now = 100
    lab.send(ms.Resume(lab.now, "ada"))
    lab.begins("a")
    assert lab.state.used(103.0).seconds == 7.0
    assert lab.state.next_due() == 106.0
    lab.now = 500
    lab.crash()
    assert lab.state.used(500.0).seconds == 4.0, "nothing is known of the time after its last event"
    lab.begins("a")
    lab.tick(5)
    assert lab.state.status is RunStatus.RUNNING
    lab.tick(1)
    assert (lab.state.status, lab.state.next_due()) == (RunStatus.PAUSED, None)
    (asked,) = lab.state.open
    raises = lab.state.proposals[asked].raises
    assert raises is not None
    assert raises.seconds is not None
    assert raises.seconds >= 1
    lab.succeeds("a")
    assert lab.states() == {"a": "SUCCEEDED", "b": "READY"}


def test_a_run_that_paused_with_nothing_left_to_submit_comes_to_its_end() -> None:
    lab = Diary("a", budget=Budget(seconds=10.0))
    lab.start()
    lab.begins("a")
    lab.tick(10)
    assert (lab.state.status, lab.state.open) == (RunStatus.PAUSED, ("r/budget-1",))
    lab.succeeds("a")
    assert (lab.state.status, lab.state.proposals["r/budget-1"].state) == (RunStatus.SUCCEEDED, P.SUPERSEDED)


def test_a_change_that_would_exceed_the_budget_fails_a_check_that_says_what_to_do() -> None:
    lab = costly(budget=Budget(cost=Fraction(9), nodes=5))
    lab.propose("p1", lab.change().add_node(spec("big", cost=3)).add_node(spec("small", cost=1)))
    (check,) = broken(lab, "p1")
    assert (check.rule, check.node) == ("budget", "big")
    assert check.message == "it needs 3.00 and 1 node more than the budget of 9.00 and 5 nodes"
    assert check.fix == "run.raise_budget(cost=3, nodes=1) first"
    lab.propose("p2", lab.change().add_node(spec("free")))
    lab.propose("p3", lab.change().add_edge("a", "d"))
    assert not broken(lab, "p2") + broken(lab, "p3")
    lab.propose("p4", lab.change().remove_node("d").add_node(spec("other", cost=3)))
    assert not broken(lab, "p4"), "what it spares counts as well"


def test_a_change_that_is_likely_to_take_too_long_fails_the_check() -> None:
    names = [f"s{i}" for i in range(4)]
    dag = Dag.of(*(spec(name, kind="slow") for name in names), spec("end"))
    lab = Diary(dag, budget=Budget(seconds=100.0))
    lab.start(slots=5)
    late = lab.change().add_node(spec("s9", kind="slow").after("s3"))
    lab.propose("p1", late)
    assert not broken(lab, "p1"), "nobody knows how slow it is"
    for name in names[:3]:
        lab.begins(name)
        lab.send(ms.Succeeded(lab.now, name, 1, 400.0, result(name), "w1"))
    lab.propose("p2", late, "bob")
    (check,) = broken(lab, "p2")
    assert (check.rule, check.node) == ("budget", "s9")
    assert "run.raise_budget(seconds=" in check.fix


def test_a_raise_is_voted_on_like_any_proposal_and_never_counts_as_a_mere_addition() -> None:
    lab = costly(HumanApproval(unless_additive=True) & Deadline(60), seats=(*seats(), Seat("pat", human=True)))
    lab.runs("a", "b")
    assert lab.state.proposals["r/budget-1"].state is P.OPEN
    lab.vote("r/budget-1", "pat")
    assert lab.state.status is RunStatus.RUNNING
    lab = costly(OwnerDecides())
    lab.propose("p1", Changeset(lab.state.dag.digest), "ada", raises=Budget(cost=Fraction(3)))
    assert lab.state.budget == Budget(cost=Fraction(8)), "the owner's own raise needs nobody else"


@pytest.mark.parametrize(
    ("raises", "told"),
    [(Budget(), "by nothing"), (Budget(nodes=3), "no limit of nodes"), (Budget(seconds=3.0), "no limit of seconds")],
)
def test_a_raise_of_nothing_or_of_what_has_no_limit_is_refused(raises: Budget, told: str) -> None:
    lab = costly()
    refused = lab.propose("p1", Changeset(lab.state.dag.digest), raises=raises)
    assert isinstance(refused, Refused)
    assert (refused.rule, told in str(refused)) == ("budget", True)


def test_the_question_survives_a_crash() -> None:
    lab = costly()
    lab.runs("a", "b")
    asked = lab.crash()
    assert [effect.proposal for effect in asked if hasattr(effect, "proposal")] == ["r/budget-1"] * 3
    assert (lab.state.status, lab.state.short) == (RunStatus.PAUSED, Budget(cost=Fraction(3)))
    lab.vote("r/budget-1", "ada")
    lab.vote("r/budget-1", "cy")
    lab.runs("c", "d")
    assert lab.state.status is RunStatus.SUCCEEDED


def test_a_budget_reads_as_people_say_it_and_a_number_is_money() -> None:
    assert str(Budget(90.0, Fraction(3), 2)) == "3.00, 90 s and 2 nodes"
    assert str(Budget(nodes=1)) == "1 node"
    assert str(Budget()) == "nothing"
    assert budget_of(Fraction(1, 2)) == budget_of(0.5) == Budget(cost=Fraction(1, 2))
    assert budget_of(None) is None
    for wrong in ({"seconds": -1}, {"cost": float("nan")}, {"nodes": 1.5}, {"cost": "much"}, {"seconds": True}):
        with pytest.raises(SchemaError, match=f"budget: {next(iter(wrong))} is a"):
            Budget(**wrong)


def test_journals_from_before_budgets_and_caps_still_open() -> None:
    dag = graph("a")
    event = ev.RunStarted(
        1, 5.0, "old", dag, FrozenDict(), Majority(), (Seat("ada"),), "ada", "ada", "ready", Fraction(5, 2)
    )
    again = loads(dumps(event))
    assert '"budget":{"!":"q","v":"5/2"}' in dumps(event).decode()
    assert '"caps"' not in dumps(event).decode()
    state = evolve(RunState(), again)
    assert (state.budget, state.seats["ada"].limits) == (Budget(cost=Fraction(5, 2)), Caps())
