"""When a proposal is applied, and what becomes of it when the graph has moved on: told as lab diaries."""

from __future__ import annotations

from itertools import combinations, permutations
from math import exp
from random import Random

import pytest

from hexdag_lab.core.base.errors import AlreadyDecided, NotAllowed, Refused
from hexdag_lab.core.dag.conflict import Conflict
from hexdag_lab.core.dag.dag import Dag
from hexdag_lab.core.machine import events as ev
from hexdag_lab.core.machine import messages as ms
from hexdag_lab.core.machine.why import why
from hexdag_lab.core.votes.ballot import Choice
from hexdag_lab.core.votes.people import OwnerDecides
from hexdag_lab.core.votes.proposal import ProposalState, effect_digest
from hexdag_lab.core.votes.weighing import Majority
from tests.core.machine.diary import Diary, result, spec, text

P = ProposalState


def approved(lab: Diary, *ids: str) -> None:
    """bob and cy, or whoever of the three did not propose it, say yes."""
    for id_ in ids:
        for voter in ("ada", "bob", "cy"):
            if voter != lab.state.proposals[id_].by and lab.state.proposals[id_].state is P.OPEN:
                lab.vote(id_, voter)


def state_of(lab: Diary, id_: str) -> ProposalState:
    return lab.state.proposals[id_].state


# -- apply_from


def test_an_approved_proposal_waits_for_its_node_and_lands_before_anything_else_is_submitted() -> None:
    lab = Diary("load > clean > fit")
    lab.start()
    lab.runs("load")
    lab.begins("clean")
    lab.propose("p1", lab.change().replace_node("fit", spec("fit", "2")), apply_from="after:clean")
    approved(lab, "p1")
    waiting = lab.state.proposals["p1"]
    assert (waiting.state, waiting.waits, lab.state.version) == (P.APPROVED, ("clean",), 1)
    assert "p1" in lab.state.open, "a run does not end over it"
    lab.told()
    lab.succeeds("clean")
    assert lab.told() == text("""
           0  clean succeeded in 1.50 s
           0  p1 applied: 1.00 of more than 0.50
           0  v2 by ada: ~1 node
           0  submitted fit#1
    """)


def test_the_wave_is_the_nodes_that_were_left_of_it_at_the_approval_and_no_number() -> None:
    lab = Diary("a > x, b > x, c > x")
    lab.start(slots=3)
    lab.runs("a")
    lab.propose("p1", lab.change().add_node(spec("late")), apply_from="wave")
    approved(lab, "p1")
    assert lab.state.proposals["p1"].waits == ("b", "c")
    lab.propose("p2", lab.change().add_node(spec("first")), by="bob")  # a new node in that wave is not waited for
    approved(lab, "p2")
    lab.runs("b")
    assert state_of(lab, "p1") is P.APPROVED
    lab.runs("c")
    assert (state_of(lab, "p1"), lab.state.version) == (P.APPLIED, 3)


def test_a_node_that_is_done_or_removed_or_has_failed_is_not_waited_for() -> None:
    lab = Diary("a > b, c, d")
    lab.start(slots=3)
    lab.runs("a")
    lab.begins("c")
    lab.propose("p1", lab.change().add_node(spec("e")), apply_from="after:a")
    approved(lab, "p1")
    assert state_of(lab, "p1") is P.APPLIED, "a is done already"
    lab.propose("p2", lab.change().add_node(spec("f")), apply_from="after:b")
    lab.propose("p3", lab.change().remove_node("b"), by="bob")
    approved(lab, "p2", "p3")
    assert (state_of(lab, "p3"), state_of(lab, "p2")) == (P.APPLIED, P.APPLIED), "b is gone"
    lab.propose("p4", lab.change().add_node(spec("g")), apply_from="after:c")
    approved(lab, "p4")
    assert state_of(lab, "p4") is P.APPROVED
    lab.fails("c")
    assert state_of(lab, "p4") is P.APPLIED
    assert "g" in lab.state.dag


def test_several_land_in_the_order_of_their_approvals() -> None:
    lab = Diary("a > b")
    lab.start()
    for number in (3, 1, 2):
        lab.propose(f"p{number}", lab.change().add_node(spec(f"n{number}")), apply_from="after:a")
    approved(lab, "p2", "p3", "p1")
    lab.runs("a")
    assert [v.proposal for v in lab.state.versions] == [None, "p2", "p3", "p1"]


def test_a_proposal_that_waits_is_checked_again_when_it_lands() -> None:
    lab = Diary("a > b, a > c")
    lab.start(slots=2)
    base = lab.change()
    lab.propose("p1", base.replace_node("b", spec("b", "2")), apply_from="after:a")
    lab.propose("p2", base.replace_node("b", spec("b", "3")), by="bob", apply_from="after:a")
    approved(lab, "p1", "p2")
    lab.runs("a")
    assert (state_of(lab, "p1"), state_of(lab, "p2")) == (P.APPLIED, P.CONFLICTED)
    lab.propose("p3", lab.change().replace_node("c", spec("c", "2")), apply_from="after:c")
    approved(lab, "p3")
    lab.runs("c")
    assert (state_of(lab, "p3"), lab.state.proposals["p3"].decided_by) == (P.REJECTED, "checks")
    assert "since the vote, c has finished" in lab.state.proposals["p3"].why


def test_while_it_waits_it_can_be_withdrawn_and_votes_come_too_late() -> None:
    lab = Diary("a > b")
    lab.start()
    lab.propose("p1", lab.change().add_node(spec("c")), apply_from="after:a")
    approved(lab, "p1")
    late = lab.vote("p1", "eve")
    assert isinstance(late, AlreadyDecided)
    assert "APPROVED" in str(late)
    assert lab.send(ms.Withdraw(lab.now, "p1", "ada")) is True
    lab.runs("a", "b")
    assert (state_of(lab, "p1"), lab.state.version, lab.state.status) == (P.WITHDRAWN, 1, "SUCCEEDED")


def test_it_goes_on_waiting_after_a_crash_and_ends_with_a_cancelled_run() -> None:
    lab = Diary("a > b")
    lab.start()
    lab.propose("p1", lab.change().add_node(spec("c")), apply_from="after:a")
    approved(lab, "p1")
    lab.crash()
    assert (state_of(lab, "p1"), lab.state.proposals["p1"].waits) == (P.APPROVED, ("a",))
    lab.propose("p2", lab.change().add_node(spec("d")), by="bob", apply_from="after:b")
    approved(lab, "p2")
    lab.runs("a")
    assert state_of(lab, "p1") is P.APPLIED
    lab.cancel("ada")
    assert (state_of(lab, "p2"), lab.state.proposals["p2"].why) == (P.WITHDRAWN, "the run was cancelled")


def test_a_node_that_waits_for_the_proposal_is_not_waited_for_by_it() -> None:
    lab = Diary("a > b > c")
    lab.start()
    lab.runs("a")
    lab.begins("b")
    lab.propose("p1", lab.change().add_node(spec("d")), apply_from="after:c")
    lab.suspends("b", "p1")
    approved(lab, "p1")
    assert (state_of(lab, "p1"), lab.state.nodes["b"].decision) == (P.APPLIED, "APPLIED")


@pytest.mark.parametrize("wrong", ["tomorrow", "after:", "after:nobody", "before:a", ""])
def test_a_wrong_moment_is_refused_with_what_can_be_said(wrong: str) -> None:
    lab = Diary("a > b")
    lab.start()
    refused = lab.propose("p1", lab.change().add_node(spec("c")), apply_from=wrong)
    assert isinstance(refused, Refused)
    assert refused.rule == "apply-from"
    assert '"after:NODE" with one of a, b' in refused.fix
    assert "p1" not in lab.state.proposals


# -- the graph moves on


def test_twenty_disjoint_proposals_open_at_once_on_a_busy_run_all_apply_on_their_first_votes() -> None:
    chains = ", ".join(f"load > a{i} > b{i} > c{i}" for i in range(20))
    lab = Diary(chains, Majority())
    lab.start(slots=4, lookahead=4)
    lab.runs("load")
    for i in range(20):
        by = ("ada", "bob", "cy")[i % 3]
        change = lab.change().add_node(spec(f"new{i}", "1", kind="fit").after(f"c{i}"))
        change = change.replace_node(f"c{i}", spec(f"c{i}", "2")) if i % 2 else change.add_edge("load", f"b{i}")
        lab.propose(f"p{i}", change, by)
    assert len(lab.state.open) == 20
    for i in (7, 3, 19, *(k for k in range(20) if k not in (7, 3, 19))):
        first, second = [name for name in ("ada", "bob", "cy") if name != lab.state.proposals[f"p{i}"].by]
        lab.vote(f"p{i}", first)
        # Untouched nodes go on meanwhile; their seconds are all over the place.
        ready = next((n for n, rec in sorted(lab.state.nodes.items()) if rec.submitted and n[0] == "a"), None)
        if ready is not None:
            lab.now += 1
            lab.begins(ready)
            seconds, fence = 0.01 * 3.0 ** (i % 9), lab.state.nodes[ready].fence
            lab.send(ms.Succeeded(lab.now, ready, fence, seconds, result(ready), "w1"))
        lab.vote(f"p{i}", second)
    assert {p.state for p in lab.state.proposals.values()} == {P.APPLIED}
    assert lab.state.version == 21
    assert not any(isinstance(event, ev.ProposalRevised) for event in lab.events)
    assert sum(isinstance(event, ev.BallotCast) for event in lab.events) == 40


def measured(lab: Diary, node: str, seconds: float) -> None:
    lab.begins(node)
    lab.send(ms.Succeeded(lab.now, node, lab.state.nodes[node].fence, seconds, result(node), "w1"))


def fits(count: int) -> Dag:
    return Dag.of(*(spec(f"fit_{i}", kind="fit") for i in range(count)), spec("end"))


def test_work_beyond_the_envelope_is_voted_on_anew_and_within_it_is_not() -> None:
    for seconds, state in ((12.0, P.APPLIED), (900.0, P.OPEN)):
        lab = Diary(fits(6))
        lab.start(slots=6)
        for i in range(3):
            measured(lab, f"fit_{i}", 10.0 + i)
        lab.propose("p1", lab.change().add_node(spec("fit_9", kind="fit")))
        lab.vote("p1", "bob")
        measured(lab, "fit_3", seconds)
        measured(lab, "fit_4", seconds)
        lab.vote("p1", "cy")
        assert state_of(lab, "p1") is state
    revised = next(event for event in lab.events if isinstance(event, ev.ProposalRevised))
    assert revised.why.startswith("it is now likely to take ")
    assert lab.state.proposals["p1"].ballots == ()
    approved(lab, "p1")
    assert state_of(lab, "p1") is P.APPLIED, "the second vote knew it"


@pytest.mark.parametrize("seed", range(3))
def test_measurements_that_sway_void_no_vote(seed: int) -> None:
    """The code that the proposals start is measured while they are open: log-normal seconds, sigma 0.5."""
    rng = Random(seed)
    lab = Diary(fits(40))
    lab.start(slots=40)
    for i in range(5):
        measured(lab, f"fit_{i}", exp(rng.gauss(2, 0.5)))
    for i in range(20):
        lab.propose(f"p{i}", lab.change().add_node(spec(f"new_{i}", kind="fit")))
        lab.vote(f"p{i}", "bob")
    for i in range(20):
        measured(lab, f"fit_{i + 5}", exp(rng.gauss(2, 0.5)))
        lab.vote(f"p{i}", "cy")
    assert {p.state for p in lab.state.proposals.values()} == {P.APPLIED}


def test_code_that_nobody_has_measured_binds_nobody_and_other_kinds_progress_does_not_count() -> None:
    lab = Diary("a, b, c, d")
    lab.start(slots=4)
    lab.propose("p1", lab.change().add_node(spec("fit", kind="fit")))
    lab.vote("p1", "bob")
    for node, seconds in (("a", 1000.0), ("b", 0.001), ("c", 5000.0)):
        measured(lab, node, seconds)
    lab.vote("p1", "cy")
    assert state_of(lab, "p1") is P.APPLIED


def test_a_ballot_for_what_a_proposal_did_before_it_was_revised_is_refused() -> None:
    lab = Diary("load > fit")
    lab.start()
    lab.runs("load")
    lab.propose("p1", lab.change().replace_node("fit", spec("fit", "2"), running="restart"))
    first = lab.state.proposals["p1"]
    assert first.effect is not None
    seen = effect_digest(first.changeset, first.effect).hex()
    lab.begins("fit")
    approved(lab, "p1")
    stale = lab.send(ms.CastBallot(lab.now, "p1", "bob", Choice.APPROVE, seen=seen))
    assert isinstance(stale, Refused)
    assert stale.rule == "moved-on"
    assert lab.state.proposals["p1"].ballots == ()
    now = lab.state.proposals["p1"]
    assert now.effect is not None
    seen = effect_digest(now.changeset, now.effect).hex()
    assert lab.send(ms.CastBallot(lab.now, "p1", "bob", Choice.APPROVE, seen=seen)) is True


def test_a_conflict_is_told_to_both_proposers_with_both_intents() -> None:
    lab = Diary("load > fit > report")
    lab.start()
    base = lab.change()
    lab.propose("p1", base.replace_node("fit", spec("fit", "2")), by="bob")
    lab.propose("p2", base.add_node(spec("extra")), by="bob")
    lab.propose("p3", base.remove_node("fit"))
    approved(lab, "p1", "p2", "p3")
    event = next(event for event in lab.events if isinstance(event, ev.ProposalConflicted))
    assert (event.proposal, event.other, event.told) == ("p3", "p1", ("ada", "bob"))
    assert event.conflict == Conflict("remove-vs-change", ("fit",), "removes it", "it was changed")
    lost = lab.state.proposals["p3"]
    assert (lost.conflict, lost.other) == (event.conflict, "p1")


@pytest.mark.parametrize("size", [2, 3])
def test_every_set_of_innocent_edges_that_would_close_a_cycle_is_caught_in_every_order(size: int) -> None:
    """Exhaustive: all pairs and triples of edges between three nodes that are acyclic one by one, in every order in
    which their votes may close; all are open at once."""
    names = ("a", "b", "c")
    edges = list(permutations(names, 2))
    for chosen in combinations(edges, size):
        for order in permutations(range(size)):
            lab = Diary("a, b, c", OwnerDecides())
            lab.start(owner="ada", slots=0)
            base = lab.change()
            for i, (up, down) in enumerate(chosen):
                lab.propose(f"p{i}", base.add_edge(up, down), by="bob")
            for i in order:
                lab.vote(f"p{i}", "ada")
            applied = [chosen[i] for i in order if state_of(lab, f"p{i}") is P.APPLIED]
            refused = [chosen[i] for i in order if state_of(lab, f"p{i}") is P.CONFLICTED]
            assert lab.state.dag.edges == set(applied)
            for up, down in refused:
                assert up in lab.state.dag.below(down), f"{up} -> {down} closed no cycle"
            assert len(applied) + len(refused) == size


# -- feedback


def test_a_request_for_changes_names_nodes_and_is_answered_by_a_successor() -> None:
    lab = Diary("load > fit")
    lab.start()
    lab.propose("p1", lab.change().add_node(spec("a")).add_node(spec("b")), by="eve")
    request = ms.CastBallot(lab.now, "p1", "bob", Choice.REQUEST_CHANGES, "too much", "test", ("b",))
    assert lab.send(request) is True
    assert lab.state.proposals["p1"].requests == (("bob", "too much", ("b",)),)
    assert lab.propose("p2", lab.change().add_node(spec("a")), by="eve", in_reply_to="p1") == "p2"
    old, new = lab.state.proposals["p1"], lab.state.proposals["p2"]
    assert (old.state, old.why, old.other, old.decided_by) == (P.SUPERSEDED, "p2 takes its place", "p2", "eve")
    assert (new.state, new.in_reply_to, new.depth) == (P.OPEN, "p1", 2)
    late = lab.vote("p1", "cy")
    assert isinstance(late, AlreadyDecided)
    assert "p2 takes its place" in str(late)


def test_only_its_proposer_replaces_a_proposal_and_a_successor_that_fails_its_checks_replaces_nothing() -> None:
    lab = Diary("load > fit")
    lab.start()
    lab.runs("load")
    lab.propose("p1", lab.change().add_node(spec("a")))
    stranger = lab.propose("p2", lab.change().add_node(spec("b")), by="bob", in_reply_to="p1")
    assert isinstance(stranger, NotAllowed)
    assert isinstance(lab.propose("p3", lab.change().add_node(spec("b")), in_reply_to="p99"), Refused)
    lab.propose("p4", lab.change().remove_node("load"), in_reply_to="p1")
    assert (state_of(lab, "p4"), state_of(lab, "p1")) == (P.REJECTED, P.OPEN)


def test_why_a_node_waits_for_an_approved_proposal() -> None:
    lab = Diary("a > b, c")
    lab.start(slots=2)
    lab.begins("c")
    lab.propose("p1", lab.change().add_node(spec("d")), apply_from="after:a")
    lab.suspends("c", "p1")
    approved(lab, "p1")
    assert "approved, and applied as soon as it may be" in (why(lab.state, "c") or "")
