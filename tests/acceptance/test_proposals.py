"""Acceptance cases that other systems' bug reports ask for, as far as they are about proposals; their numbers are in
the names. Each is told once, on the public interface where it can be."""

from __future__ import annotations

import threading
import time
from itertools import permutations
from typing import Any

import pytest

import hexdag_lab as hx
from hexdag_lab.core.base.codec import dumps, loads
from hexdag_lab.core.machine import messages as ms
from hexdag_lab.core.machine.decide import apply
from hexdag_lab.core.machine.evolve import evolve
from hexdag_lab.core.machine.invariants import violations
from hexdag_lab.core.machine.state import RunState
from hexdag_lab.core.votes.ballot import Choice
from hexdag_lab.views.graph import Stream
from tests.core.machine.diary import Diary, spec
from tests.lab import gates
from tests.lab.conftest import fit, load, report, until


def change(run: hx.Run) -> hx.Changeset:
    return hx.Changeset.on(run.dag)


def critic(lab: hx.Lab) -> str:
    """An agent whose proposals need the owner."""
    lab.add_agent(hx.Agent("critic"))
    return "critic"


def test_e01_the_hash_covers_what_runs_and_nothing_else() -> None:
    dag = hx.Dag.of(load, fit, report)
    other = {
        "an edge": dag.add_edge("load", "report"),
        "a parameter": hx.Dag.of(load, fit.as_node("fit", depth=5), report),
        "the code": hx.Dag.of(load, fit, hx.NodeSpec("report", lambda fit: f"[{fit}]")),
        "a name": hx.Dag.of(load, fit, report.as_node("print").after("fit")),
    }
    assert len({dag.digest, *(d.digest for d in other.values())}) == 5, "same names with other content differ"
    again = dag.add_node(hx.NodeSpec("x", lambda: 1)).remove_node("x")
    assert (again.version, again.digest) == (3, dag.digest), "the number of a version is no part of it"
    assert hx.Dag.of(load, fit.as_node("fit").but(cost=9), report).digest == dag.digest, "nor is what it costs"


def test_e02_what_finished_or_runs_is_refused_unless_the_change_says_what_to_do(running: hx.Run) -> None:
    for name, spec_, how in (("fit", fit.as_node("fit", depth=9), "finished"), ("held", report, "running")):
        other = hx.NodeSpec(name, lambda load: load) if name == "held" else spec_
        p = running.propose(change(running).replace_node(name, other))
        (broken,) = [check for check in p.checks if not check.ok]
        assert (p.state, broken.node, broken.rule) == ("REJECTED", name, how)
        assert how in broken.fix
    p = running.propose(change(running).replace_node("fit", fit.as_node("fit", depth=9), finished="rerun"))
    until(lambda: running.nodes["fit"].state == "SUCCEEDED")
    assert (p.state, p.effect.rerun, running.result("fit")) == ("APPLIED", ("fit",), "data.csv@9")


def test_e03_only_the_current_attempt_of_the_current_definition_counts(running: hx.Run) -> None:
    running.propose(change(running).add_node(report.after("fit")))
    assert running.nodes["held"].attempt == 1, "another version does not void what it does not touch"
    before = gates.calls.count("held")
    new = hx.NodeSpec("held", lambda load: "new")
    running.propose(change(running).replace_node("held", new, running="restart"))
    gates.open_gate("held")  # the old attempt comes back with its result, too late
    running.wait(10)
    assert (running.result("held"), before) == ("new", 1)


def test_e04_applying_is_one_commit_and_what_was_checked_is_what_runs() -> None:
    lab = Diary("load > fit > report")
    lab.start()
    lab.propose("p1", lab.change().replace_node("report", spec("report", "2")).add_node(spec("extra").after("fit")))
    old, new = lab.state.dag.digest, lab.state.dag.apply(lab.state.proposals["p1"].changeset).digest
    commits, state = [], lab.state
    for message in (
        ms.CastBallot(1.0, "p1", "bob", Choice.APPROVE),
        ms.CastBallot(2.0, "p1", "cy", Choice.APPROVE),
        ms.Dispatch(2.0),
    ):
        state, events, _ = apply(state, message)
        commits.append([dumps(event) for event in events])
    for cut in range(len(commits) + 1):
        again = lab.state
        for event in (loads(row) for rows in commits[:cut] for row in rows):
            again = evolve(again, event)
        assert violations(again) == []
        applied = again.proposals["p1"].state == "APPLIED"
        assert again.dag.digest == (new if applied else old)
    assert state.dag.digest == new


def test_e05_a_removed_node_stays_visible_the_run_ends_and_its_name_can_be_used_again(running: hx.Run) -> None:
    p = running.propose(change(running).remove_node("held", running="restart"))
    assert (p.state, p.effect.cancel, p.kind) == ("APPLIED", ("held",), "remove")
    assert running.why("held") == "removed by dana"
    assert running.wait(10).keys() == {"load", "fit"}
    assert any("held" in line for line in running.story("held"))


def test_e05_a_name_that_was_removed_can_be_added_again() -> None:
    lab = Diary("load > held, load > other")
    lab.start(slots=2)
    lab.runs("load")
    lab.begins("held")
    for id_, edit in (
        ("p1", lambda: lab.change().remove_node("held", running="restart")),
        ("p2", lambda: lab.change().add_node(spec("held", "2").after("load"))),
    ):
        lab.propose(id_, edit())
        lab.vote(id_, "bob")
        lab.vote(id_, "cy")
    lab.succeeds("held", fence=1)
    assert lab.states()["held"] != "SUCCEEDED", "that was the one that was removed"
    lab.runs("held", "other")
    assert lab.state.status == "SUCCEEDED"


def test_e06_a_new_root_starts_and_a_new_upstream_never_reopens_the_past(running: hx.Run) -> None:
    running.propose(change(running).add_node(hx.NodeSpec("root", lambda: "r")))
    until(lambda: running.nodes["root"].state == "SUCCEEDED")
    late = running.propose(change(running).add_node(hx.NodeSpec("up", lambda: 1)).add_edge("up", "fit"))
    (broken,) = [check for check in late.checks if not check.ok]
    assert (late.state, broken.rule, broken.node) == ("REJECTED", "frozen-input", "fit")
    assert running.nodes["fit"].attempt == 1


def test_e07_when_the_base_moves_an_approval_is_retained_replaced_or_cleared(lab: hx.Lab, running: hx.Run) -> None:
    by, base = critic(lab), change(running)
    retain = running.propose(base.add_node(report.after("fit")), by=by)
    half = base.add_node(hx.NodeSpec("half", lambda: 1))
    replace = running.propose(half.add_node(hx.NodeSpec("other", lambda: 2)), by=by)
    clear = running.propose(base.add_node(hx.NodeSpec("same", lambda: 3)), by=by)
    running.propose(half)
    running.propose(change(running).add_node(hx.NodeSpec("same", lambda: 3)))
    shown = replace.effect_digest
    for p in (retain, clear, replace):
        p.vote("dana", "approve")
    assert (retain.state, retain.version) == ("APPLIED", 4), "the same change: retained"
    assert (clear.state, clear.why) == ("SUPERSEDED", "the graph is like that already")
    assert (replace.state, replace.tally.ballots) == ("OPEN", ()), "another change: voted on anew"
    with pytest.raises(hx.Refused) as stale:
        replace.vote("dana", "approve", seen=shown)
    assert stale.value.rule == "moved-on"
    replace.vote("dana", "approve", seen=replace.effect_digest)
    assert replace.state == "APPLIED"


def test_e07_who_approves_what_was_replaced_is_told_what_took_its_place(lab: hx.Lab, running: hx.Run) -> None:
    by = critic(lab)
    one = running.propose(change(running).add_node(report.after("fit")), by=by)
    one.vote("dana", "request_changes", reason="name it better", nodes=["report"])
    two = running.propose(change(running).add_node(report.as_node("summary").after("fit")), by=by)
    assert (one.state, one.requests) == ("REJECTED", (("dana", "name it better", ("report",)),))
    three = running.propose(change(running).add_node(report.as_node("short").after("fit")), by=by, in_reply_to=two)
    assert (two.state, two.other, three.in_reply_to) == ("SUPERSEDED", three.id, two.id)
    with pytest.raises(hx.AlreadyDecided, match=f"{three.id} takes its place"):
        two.vote("dana", "approve")


def test_e08_a_decision_is_written_once_with_its_actor_and_every_click_is_answered(
    lab: hx.Lab, running: hx.Run
) -> None:
    p = running.propose(change(running).add_node(report.after("fit")), by=critic(lab))
    answers: list[Any] = []

    def click() -> None:
        try:
            answers.append(p.vote("dana", "approve"))
        except hx.AlreadyDecided as late:
            answers.append(late)

    tabs = [threading.Thread(target=click) for _ in range(4)]
    for tab in tabs:
        tab.start()
    for tab in tabs:
        tab.join(10)
    assert len(answers) == 4
    assert answers.count(None) == 1, "one counted, three were told"
    assert (p.state, p.decided_by, running.dag.version) == ("APPLIED", "dana", 2)
    ends = [event for event in running.events() if event.proposal == p.id and event.kind == "ProposalApplied"]
    assert [event.by for event in ends] == ["dana"]
    with pytest.raises(hx.AlreadyDecided, match="APPLIED by dana"):
        p.vote("dana", "reject")


def test_e08_a_vote_after_the_deadline_is_told_so(lab: hx.Lab, slow_dag: hx.Dag) -> None:
    by = critic(lab)
    run = lab.start(slow_dag, policy=hx.OwnerDecides() & hx.Deadline(0.1))
    p = run.propose(change(run).add_node(hx.NodeSpec("x", lambda: 1)), by=by)
    time.sleep(0.15)
    with pytest.raises(hx.AlreadyDecided, match="EXPIRED by the deadline"):
        p.vote("dana", "approve")


def test_e12_disjoint_proposals_give_the_same_graph_in_any_order_of_their_votes() -> None:
    digests = set()
    for order in permutations(("p0", "p1", "p2")):
        lab = Diary("load > fit > report, load > check")
        lab.start()
        base = lab.change()
        lab.propose("p0", base.add_node(spec("plot").after("fit")))
        lab.propose("p1", base.replace_node("check", spec("check", "2")))
        lab.propose("p2", base.remove_edge("load", "check").add_edge("fit", "check"))
        for id_ in order:
            lab.vote(id_, "bob")
            lab.vote(id_, "cy")
        assert {p.state for p in lab.state.proposals.values()} == {"APPLIED"}
        digests.add(lab.state.dag.digest)
    assert len(digests) == 1


def test_e12_a_merge_that_differs_from_what_was_voted_on_is_voted_on_again() -> None:
    lab = Diary("load > fit")
    lab.start()
    base = lab.change()
    lab.propose("p1", base.add_node(spec("a")).add_node(spec("b")))
    lab.propose("p2", base.add_node(spec("b")).add_node(spec("c")), by="bob")
    for id_, voters in (("p1", ("bob", "cy")), ("p2", ("ada", "cy"))):
        for voter in voters:
            lab.vote(id_, voter)
    merged = lab.state.proposals["p2"]
    assert (merged.state, merged.ballots, merged.changeset.added) == ("OPEN", (), ("c",))


def test_e13_an_agent_that_loops_meets_its_caps(lab: hx.Lab, running: hx.Run) -> None:
    """Every version makes it propose another node; its seat says how often."""
    seen: list[int] = []

    def again(event: Any, context: Any) -> Any:
        if event.kind != "VersionCommitted":
            return None
        seen.append(event.version)
        return context.change().add_node(hx.NodeSpec(f"loop_{event.version}", lambda: 0))

    lab.add_agent(hx.Agent("looper", on_event=again, caps=hx.Caps(proposals=9, depth=4)))
    run = lab.start(running.dag, policy=hx.Deadline(60), run_id="loops")
    p = run.propose(hx.Changeset.on(run.dag).add_node(hx.NodeSpec("first", lambda: 0)), by="dana")
    gates.open_gate("held")
    run.wait(20)
    made = [q for q in run.proposals.values() if q.by == "looper"]
    assert (p.depth, [q.depth for q in made]) == (1, [2, 3, 4, 5])
    last = made[-1]
    (broken,) = [check for check in last.checks if not check.ok]
    assert (last.state, broken.rule) == ("REJECTED", "caps")
    assert "caps=hx.Caps(depth=5)" in broken.fix


def test_e14_waves_are_those_of_what_is_left_and_no_numbers(running: hx.Run) -> None:
    p = running.propose(change(running).add_node(report.after("fit")), apply_from="wave")
    assert (p.state, p.waits) == ("APPROVED", ("held",)), "load and fit are done: the wave is what is left of it"
    assert p.waves == (("held", "report"),)
    assert p.preview == {"fit": "keep", "held": "keep", "load": "keep", "report": "start"}
    gates.open_gate("held")
    assert running.wait(10)["report"] == "<data.csv@3>"


def test_e15_a_view_is_refreshed_by_version_also_when_all_counts_stay_the_same(running: hx.Run) -> None:
    stream = Stream()
    stream.hello(running.view.state)
    swap = change(running).add_node(hx.NodeSpec("held_2", lambda load: load).after("load"))
    running.propose(swap.remove_node("held", running="restart"))
    messages = stream.update(running.view.state)
    assert messages
    assert "held_2" in str(messages)


def test_e16_a_journal_replays_to_the_same_state_and_an_unknown_one_says_so(running: hx.Run) -> None:
    running.propose(change(running).add_node(report.after("fit")), apply_from="after:held")
    rows = [dumps(event) for event in running.events()]
    state = RunState()
    for row in rows:
        state = evolve(state, loads(row))
    live = running.at(len(rows)).state
    assert (state.dag.digest, state.nodes.digest, state.proposals.digest) == (
        live.dag.digest, live.nodes.digest, live.proposals.digest,
    )  # fmt: skip
    with pytest.raises(hx.SchemaError, match="written by a newer hexdag_lab"):
        loads(rows[0].replace(b"RunStarted", b"RunStartedTwice"))
