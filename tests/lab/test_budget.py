"""Budgets, moments, caps and replies as a lab holds them, and what the screens say about them."""

from __future__ import annotations

import time
from fractions import Fraction
from io import StringIO
from typing import Any

import pytest
from rich.console import Console

import hexdag_lab as hx
from hexdag_lab.lab.waiting import people_only
from hexdag_lab.views import html, models, terminal
from tests.lab import gates
from tests.lab.conftest import report, until


@hx.node(cost=2)
def first() -> int:
    return 1


@hx.node(cost=2)
def second(first: int) -> int:
    return first + 1


@hx.node(cost=2)
def third(second: int) -> int:
    return second + 1


COSTLY = hx.Dag.of(first, second, third)


def paused(lab: hx.Lab, budget: Any = 4, **how: Any) -> hx.Run:
    """A run that has used its budget and asks."""
    run = lab.start(COSTLY, budget=budget, **how)
    until(lambda: run.status == "PAUSED" and run.nodes["second"].state == "SUCCEEDED")
    return run


def test_a_run_asks_for_more_and_goes_on_when_it_gets_it(lab: hx.Lab) -> None:
    run = paused(lab)
    (asked,) = lab.inbox()
    assert (asked.kind, asked.summary, asked.by) == ("budget", "the budget raised by 2.00", "hexdag_lab")
    assert (run.budget, run.spent, run.limits, run.used.nodes) == (4, 4, hx.Budget(cost=4), 2)
    assert "lacks 2.00" in (run.why("third") or "")
    state = run.view.state
    for text in (shown(state, state.proposals[asked.id]), html.card(state, state.proposals[asked.id])):
        assert "hexdag_lab proposes the budget raised by 2.00" in text
        assert "the run may use 2.00 more" in text
    asked.vote("dana", "approve")
    assert run.wait(10) == {"first": 1, "second": 2, "third": 3}
    assert (run.budget, asked.version, run.dag.version) == (6, None, 1)


def test_a_raise_that_is_rejected_can_be_asked_for_again_and_more_than_once(lab: hx.Lab) -> None:
    run = paused(lab, hx.Budget(nodes=2))
    (asked,) = lab.inbox()
    asked.vote("dana", "reject", reason="not today")
    assert (run.status, asked.state) == ("PAUSED", "REJECTED")
    assert "run.raise_budget(…) asks again" in (run.why("third") or "")
    with pytest.raises(hx.Refused, match="no limit of cost"):
        run.raise_budget(cost=3)
    p = run.raise_budget(nodes=1, reason="now")
    assert p.wait(5) == "APPLIED"
    assert run.wait(10)["third"] == 3


def test_a_run_that_lacks_budget_waits_for_its_owner(lab: hx.Lab) -> None:
    run = paused(lab)
    assert people_only(run.feed.state) == "dana"
    lab.inbox()[0].vote("dana", "reject")
    assert people_only(run.feed.state) == "dana", "nobody is asked, and nothing moves without her"


def test_a_budget_of_time_pauses_a_run_whose_node_goes_on(lab: hx.Lab, slow_dag: hx.Dag) -> None:
    run = lab.start(slow_dag.add_node(report.after("held", "fit")), budget=hx.Budget(seconds=0.2))
    gates.reached("held")
    until(lambda: run.status == "PAUSED")
    gates.open_gate("held")
    until(lambda: run.nodes["held"].state == "SUCCEEDED")
    assert run.nodes["report"].state in ("READY", "WAITING")
    assert run.raise_budget(seconds=60).wait(5) == "APPLIED"
    assert "report" in run.wait(10)


def test_the_question_is_still_there_after_an_attach(tmp_path: Any) -> None:
    store = f"sqlite:///{tmp_path / 'lab.db'}"
    with hx.Lab(pool="inline", store=store, owner="dana") as lab:
        run = paused(lab)
        p = run.propose(hx.Changeset.on(run.dag).add_node(hx.NodeSpec("x", lambda: 0)), apply_from="after:third")
        assert p.state == "APPROVED"
    with hx.Lab(pool="inline", store=store, owner="dana") as lab:
        again = lab.attach(run.id)
        until(lambda: again.status == "PAUSED")
        (asked,) = [q for q in lab.inbox() if q.kind == "budget"]
        assert (again.proposal(p.id).state, again.proposal(p.id).waits) == ("APPROVED", ("third",))
        asked.vote("dana", "approve")
        assert again.wait(10) == {"first": 1, "second": 2, "third": 3, "x": 0}


def test_a_change_beyond_the_budget_comes_back_with_the_call_that_would_help(lab: hx.Lab, slow_dag: hx.Dag) -> None:
    run = lab.start(slow_dag, budget=5)
    p = run.propose(hx.Changeset.on(run.dag).add_node(hx.NodeSpec("big", lambda: 0, cost=7)))
    (broken,) = [check for check in p.checks if not check.ok]
    assert (p.state, broken.rule, broken.node) == ("REJECTED", "budget", "big")
    assert broken.fix == "run.raise_budget(cost=2) first"
    run.raise_budget(cost=2)
    again = run.propose(hx.Changeset.on(run.dag).add_node(hx.NodeSpec("big", lambda: 0, cost=7)))
    assert again.state == "APPLIED"


@pytest.mark.parametrize(
    ("budget", "told"),
    [(hx.Budget(cost=Fraction(3)), 3), (3, 3), (2.5, Fraction(5, 2)), (hx.Budget(seconds=9), None), (None, None)],
)
def test_a_number_is_a_budget_of_money(lab: hx.Lab, slow_dag: hx.Dag, budget: Any, told: Any) -> None:
    assert lab.start(slow_dag, budget=budget).budget == told


# -- agents answer


def test_an_agent_reads_what_is_asked_of_it_and_answers_with_a_successor(lab: hx.Lab, slow_dag: hx.Dag) -> None:
    def on_event(event: Any, context: Any) -> Any:
        if event.kind == "NodeSucceeded" and event.node == "fit":
            return context.change().add_node(hx.NodeSpec("wide", lambda: 1)).add_node(hx.NodeSpec("extra", lambda: 2))
        asked = context.feedback
        if event.kind != "BallotCast" or event.proposal not in asked or "slim" in context.dag:
            return None
        (request,) = asked[event.proposal]
        drop = set(request.nodes)
        keep = hx.NodeSpec("slim" if "wide" in drop else "wide", lambda: 3)
        return context.change().add_node(keep).because(f"without {', '.join(drop)}", in_reply_to=event.proposal)

    lab.add_agent(hx.Agent("writer", role="executor", on_event=on_event))
    lab.add_agent(hx.Agent("peer"))
    run = lab.start(slow_dag, policy=hx.Unanimous())
    until(lambda: lab.inbox())
    (one,) = lab.inbox()
    one.vote("dana", "request_changes", "too wide", nodes=["wide"])
    until(lambda: len(run.proposals) == 2)
    two = next(p for p in run.proposals.values() if p.id != one.id)
    assert (two.in_reply_to, two.reason, two.changeset.added) == (one.id, "without wide", ("slim",))
    assert one.requests == (("dana", "too wide", ("wide",)),)
    assert one.state in ("REJECTED", "SUPERSEDED")


def test_both_proposers_hear_of_a_conflict(lab: hx.Lab, running: hx.Run) -> None:
    heard: list[tuple[str, Any]] = []
    for name in ("one", "two"):

        def on_event(event: Any, context: Any, name: str = name) -> None:
            if event.kind == "ProposalConflicted" and name in event.told:
                heard.append((name, event.conflict))

        lab.add_agent(hx.Agent(name, on_event=on_event))
    base = hx.Changeset.on(running.dag)
    p = running.propose(base.add_node(report.after("fit")), by="one")
    q = running.propose(base.add_node(hx.NodeSpec("report", lambda: 0)), by="two")
    p.vote("dana", "approve")
    q.vote("dana", "approve")
    until(lambda: len(heard) == 2)
    assert sorted(name for name, _ in heard) == ["one", "two"]
    assert {conflict.kind for _, conflict in heard} == {"both-added"}
    assert (q.conflict.ours, q.conflict.theirs, q.other) == ("adds it", "it was added", p.id)


def test_caps_are_frozen_in_the_seat_and_wrong_ones_are_told(lab: hx.Lab, slow_dag: hx.Dag) -> None:
    lab.add_agent(hx.Agent("small", caps=hx.Caps(nodes=1)))
    run = lab.start(slow_dag)
    assert run.agents["small"].limits == hx.Caps(nodes=1)
    two = hx.Changeset.on(run.dag).add_node(hx.NodeSpec("a", lambda: 0)).add_node(hx.NodeSpec("b", lambda: 0))
    assert run.propose(two, by="small").state == "REJECTED"
    with pytest.raises(TypeError, match="caps are hx"):
        hx.Agent("x", caps=3)  # type: ignore[arg-type]


# -- what the screens say


def shown(state: Any, proposal: Any) -> str:
    console = Console(width=110, record=True, file=StringIO())
    console.print(terminal.card(state, proposal, time.time(), 110))
    return console.export_text()


def test_a_card_says_how_the_graph_moved_on_what_it_waits_for_and_what_is_asked(lab: hx.Lab, running: hx.Run) -> None:
    lab.add_agent(hx.Agent("critic"))
    base = hx.Changeset.on(running.dag)
    p = running.propose(base.add_node(report.after("fit")), by="critic", apply_from="after:held")

    def card() -> models.Card:
        state = running.view.state
        return models.card(state, state.proposals[p.id], p.at)

    assert card().kind == "add_node"
    assert card().standing == ("to be applied after held",)
    running.propose(base.add_node(hx.NodeSpec("x", lambda: 1)))
    assert "revalidated at v2: the same change, nothing more lost" in card().standing
    p.vote("dana", "request_changes", "why?", nodes=["report"])
    assert "dana asks for changes on report: why?" in card().standing
    q = running.propose(base.add_node(report.as_node("other").after("fit")), apply_from="after:held")
    state = running.view.state
    for text in (shown(state, state.proposals[q.id]), html.card(state, state.proposals[q.id])):
        assert "approved, waits for held" in text
    gates.open_gate("held")
    running.wait(10)
    assert q.state == "APPLIED"


def test_a_card_says_when_an_approval_would_not_hold(lab: hx.Lab, slow_dag: hx.Dag) -> None:
    """A change of a node that has begun meanwhile: refused, or allowed to throw work away."""
    lab.add_agent(hx.Agent("critic"))
    run = lab.start(slow_dag.add_node(report.after("held", "fit")), policy=hx.OwnerDecides())
    gates.reached("held")
    on, new = hx.Changeset.on(run.dag), hx.NodeSpec("report", lambda fit: "new")
    strict = run.propose(on.replace_node("report", new), by="critic")
    loose = run.propose(on.replace_node("report", new, finished="rerun"), by="critic")

    def standing(p: hx.ProposalHandle) -> tuple[str, ...]:
        state = run.view.state
        return models.card(state, state.proposals[p.id], p.at).standing

    assert standing(strict) == standing(loose) == ()
    gates.open_gate("held")
    until(lambda: run.nodes["report"].state == "SUCCEEDED")
    assert standing(strict) == ("report has finished: as it is, it would be rejected",)
    assert standing(loose) == ("it now throws away other work than it says here: once approved, it is voted on anew",)
    loose.vote("dana", "approve")
    assert loose.state == "OPEN"
    assert standing(loose) == (
        "voted on anew, earlier ballots are void: it now throws away other work than was voted on",
    )


def test_a_card_says_p50_p90_losses_and_how_far_an_approval_goes(lab: hx.Lab, running: hx.Run) -> None:
    lab.add_agent(hx.Agent("critic"))
    new = hx.NodeSpec("fit", lambda load: 1, cost=2)
    p = running.propose(hx.Changeset.on(running.dag).replace_node("fit", new, finished="rerun"), by="critic")
    state = running.view.state
    outlook = models.card(state, state.proposals[p.id], p.at).outlook
    assert "s of work lost" in outlook
    assert "(P90 " in outlook
    assert "approval covers cost 2.50" in outlook
    assert "such code has hardly run here yet" in outlook
    assert outlook in html.card(state, state.proposals[p.id])
    assert p.effect.lost == pytest.approx(state.nodes["fit"].seconds)


def test_buttons_vote_on_what_their_card_showed(lab: hx.Lab, running: hx.Run) -> None:
    from hexdag_lab.views.visit import Identity, Visit
    from hexdag_lab.views.widget import CardWidget

    lab.add_agent(hx.Agent("critic"))
    base = hx.Changeset.on(running.dag)
    both = base.add_node(report.after("fit")).add_node(hx.NodeSpec("x", lambda: 1))
    p = running.propose(both, by="critic")
    card = CardWidget(Visit(lab, Identity(lab.owner.id, "notebook")), running, p.id)
    card.show(running.view.state)
    running.propose(base.add_node(hx.NodeSpec("x", lambda: 1)))
    p.vote("dana", "approve")
    assert (p.state, p.tally.ballots) == ("OPEN", ()), "it is another change now"
    card.buttons["approve"].click()
    assert "does something else by now" in card._said.value
    assert p.tally.ballots == ()
    card.show(running.view.state)
    card.buttons["approve"].click()
    assert (p.state, card._said.value) == ("APPLIED", "")
