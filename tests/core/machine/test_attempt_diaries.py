"""Attempts, retries, waiting, crashes and the end of a run, told as lab diaries."""

from __future__ import annotations

import pytest

from hexdag_lab.core.base.errors import AlreadyDecided, NotAllowed, Refused
from hexdag_lab.core.base.frozen import FrozenDict
from hexdag_lab.core.machine import decide
from hexdag_lab.core.machine import effects as ef
from hexdag_lab.core.machine import events as ev
from hexdag_lab.core.machine import messages as ms
from hexdag_lab.core.machine.state import RunState
from hexdag_lab.core.machine.why import why
from hexdag_lab.core.runs.run import NODE_TRANSITIONS, NodeState
from hexdag_lab.core.votes.agent import Role, Seat
from hexdag_lab.core.votes.people import OwnerDecides
from tests.core.machine.diary import Diary, graph, result, seats, spec, text

# -- failing


def test_a_failing_node_blocks_its_cone_and_the_rest_finishes() -> None:
    lab = Diary("load > fit > report > mail, load > check")
    lab.start(slots=2)
    lab.runs("load")
    lab.begins("fit")
    lab.begins("check")
    lab.told()
    lab.fails("fit", "no rows")
    lab.succeeds("check")
    assert lab.told() == text("""
           0  fit failed: ValueError: no rows
           0  mail, report blocked: upstream fit failed
           0  check succeeded in 1.50 s
           0  the run ended: FAILED
    """)
    assert lab.states() == {
        "load": "SUCCEEDED", "fit": "FAILED", "report": "BLOCKED", "mail": "BLOCKED", "check": "SUCCEEDED"
    }  # fmt: skip
    assert lab.state.nodes["mail"].why == "upstream fit failed"


def test_a_node_below_a_failed_one_stays_blocked_whatever_else_it_gets() -> None:
    lab = Diary("a > low, b > low")
    lab.start(slots=2)
    lab.begins("a")
    lab.begins("b")
    lab.fails("a")
    lab.succeeds("b")
    assert (lab.state.nodes["low"].state, lab.state.nodes["low"].why) == (NodeState.BLOCKED, "upstream a failed")


def test_a_failed_node_that_is_replaced_and_run_again_frees_its_cone() -> None:
    lab = Diary("load > fit > report, slow", OwnerDecides())
    lab.start(slots=2)
    lab.runs("load")
    lab.begins("fit")
    lab.fails("fit")
    lab.told()
    lab.propose("p1", lab.change().replace_node("fit", spec("fit", "2"), finished="rerun"))
    lab.runs("fit", "report")
    assert lab.told() == text("""
           0  ada proposes p1: ~1 node
           0  p1 opened
           0  p1 approved: ada is the owner
           0  p1 applied: ada is the owner
           0  v2 by ada: ~1 node, re-runs fit
           0  submitted fit#2
           0  fit started on w1
           0  fit succeeded in 1.50 s
           0  submitted report#1
           0  report started on w1
           0  report succeeded in 1.50 s
    """)


@pytest.mark.parametrize("state", ["RUNNING", "SUSPENDED", "SUCCEEDED", "FAILED"])
def test_work_that_is_thrown_away_for_an_upstream_that_failed_is_blocked(state: str) -> None:
    lab = Diary("bad, fit, slow", OwnerDecides())
    lab.start(slots=3)
    lab.fails("bad")
    lab.begins("fit")
    lab.propose("p1", lab.change().add_node(spec("more")), by="eve")
    if state == "SUSPENDED":
        lab.suspends("fit", "p1")
    elif state != "RUNNING":
        (lab.succeeds if state == "SUCCEEDED" else lab.fails)("fit")
    assert lab.states()["fit"] == state
    change = lab.change().replace_node("fit", spec("fit", "2"), running="restart", finished="rerun")
    lab.propose("p2", change.add_edge("bad", "fit"))
    assert (lab.states()["fit"], why(lab.state, "fit")) == ("BLOCKED", "upstream bad failed")
    assert NodeState.BLOCKED in NODE_TRANSITIONS[NodeState(state)]


def test_retry_with_backoff() -> None:
    lab = Diary(graph("load > fit", fit={"retries": 2, "backoff": 10}))
    lab.start()
    lab.runs("load")
    lab.begins("fit")
    lab.told()
    lab.fails("fit", "busy")
    assert lab.state.next_due() == 10
    lab.tick(9)
    lab.tick(1)
    lab.begins("fit", "w2")
    lab.fails("fit", "busy")
    assert lab.state.next_due() == 30  # doubled
    lab.tick(20)
    lab.begins("fit")
    lab.fails("fit", "busy")
    assert lab.told() == text("""
           0  fit: attempt 1 of 3 failed: ValueError: busy
          10  fit may be tried again
          10  submitted fit#2
          10  fit started on w2
          10  fit: attempt 2 of 3 failed: ValueError: busy
          30  fit may be tried again
          30  submitted fit#3
          30  fit started on w1
          30  fit failed: ValueError: busy
          30  the run ended: FAILED
    """)


def test_without_backoff_it_is_tried_again_at_once() -> None:
    lab = Diary(graph("fit", fit={"retries": 1, "backoff": 0}))
    lab.start()
    lab.begins("fit")
    lab.told()
    lab.fails("fit")
    assert lab.told() == text("""
           0  fit: attempt 1 of 2 failed: ValueError: no luck
           0  submitted fit#2
    """)


def test_a_node_that_is_replaced_does_not_sit_out_the_backoff_and_has_all_its_retries() -> None:
    lab = Diary(graph("fit", fit={"retries": 1, "backoff": 1000}), OwnerDecides())
    lab.start()
    lab.begins("fit")
    lab.fails("fit")
    lab.told()
    lab.propose("p1", lab.change().replace_node("fit", spec("fit", "2", retries=1, backoff=0)))
    lab.begins("fit")
    lab.fails("fit", "again")
    lab.runs("fit")
    assert lab.told() == text("""
           0  ada proposes p1: ~1 node
           0  p1 opened
           0  p1 approved: ada is the owner
           0  p1 applied: ada is the owner
           0  v2 by ada: ~1 node
           0  submitted fit#2
           0  fit started on w1
           0  fit: attempt 1 of 2 failed: ValueError: again
           0  submitted fit#3
           0  fit started on w1
           0  fit succeeded in 1.50 s
           0  the run ended: SUCCEEDED
    """)


def test_a_lost_attempt_is_no_failure_and_is_given_up_after_some() -> None:
    lab = Diary("fit > report")
    lab.start()
    lab.told()
    for _ in range(4):
        lab.begins("fit")
        lab.loses("fit")
    assert lab.told() == text("""
           0  fit started on w1
           0  fit: worker w1 died
           0  submitted fit#2
           0  fit started on w1
           0  fit: worker w1 died
           0  submitted fit#3
           0  fit started on w1
           0  fit: worker w1 died
           0  submitted fit#4
           0  fit started on w1
           0  fit failed: AttemptLost: worker w1 died; given up after 4 lost attempts
           0  report blocked: upstream fit failed
           0  the run ended: FAILED
    """)


def test_an_attempt_that_is_lost_before_it_starts_counts_as_well() -> None:
    lab = Diary("fit")
    lab.start()
    for _ in range(4):
        lab.loses("fit", "it cannot be unpickled")
    assert lab.states() == {"fit": "FAILED"}


def test_suspending_and_crashing_are_not_held_against_a_node() -> None:
    lab = Diary("fit")
    lab.start()
    for number in range(6):
        lab.begins("fit")
        lab.suspends("fit", f"nowhere{number}")
        lab.begins("fit")
        lab.crash()
    lab.loses("fit")
    assert lab.states() == {"fit": "READY"}
    assert lab.state.nodes["fit"].lost == 1


def test_a_report_of_an_earlier_attempt_is_stale() -> None:
    lab = Diary("fit > report")
    lab.start()
    lab.begins("fit")
    lab.loses("fit")
    lab.told()
    before = lab.state
    lab.succeeds("fit", fence=1)
    lab.fails("fit", fence=1)
    lab.begins("fit", fence=1)
    lab.succeeds("fit", fence=3)
    lab.send(ms.Succeeded(0.0, "nobody", 1, 1.0, result("nobody")))
    assert lab.state == before
    assert lab.told() == ""


def test_a_second_result_changes_nothing() -> None:
    lab = Diary("fit > report")
    lab.start()
    lab.runs("fit")
    before = lab.state
    lab.succeeds("fit", fence=1)
    lab.fails("fit", fence=1)
    lab.loses("fit", fence=1)
    lab.suspends("fit", "p1")
    assert lab.state == before


def test_a_pool_that_runs_an_attempt_again_is_told_in_the_story() -> None:
    lab = Diary("fit")
    lab.start()
    lab.told()
    lab.begins("fit", "w1")
    lab.begins("fit", "w1")
    lab.begins("fit", "w2")
    assert lab.told() == text("""
           0  fit started on w1
           0  fit started on w2 (its worker w1 is gone; the pool ran it again)
    """)


# -- chains in the pool


def test_a_chain_is_submitted_beforehand_and_taken_back_when_its_head_fails() -> None:
    lab = Diary(graph("a > b > c", a={"retries": 1, "backoff": 5}))
    lab.start(slots=1, lookahead=8)
    lab.begins("a")
    lab.fails("a")
    lab.tick(5)
    lab.begins("a")
    lab.fails("a")
    assert lab.told() == text("""
           0  run r started by ada
           0  submitted a#1
           0  submitted b#1
           0  submitted c#1
           0  a started on w1
           0  b, c taken back: upstream a failed
           0  a: attempt 1 of 2 failed: ValueError: no luck
              recall b#1, c#1
           5  a may be tried again
           5  submitted a#2
           5  submitted b#2
           5  submitted c#2
           5  a started on w1
           5  b, c taken back: upstream a failed
           5  a failed: ValueError: no luck
           5  b, c blocked: upstream a failed
              recall b#2, c#2
           5  the run ended: FAILED
    """)


def test_a_node_with_effects_is_never_chained_and_nothing_is_chained_to_it() -> None:
    lab = Diary(graph("a > b > c", b={"effects": True}))
    lab.start(slots=1, lookahead=8)
    lab.told()
    lab.runs("a")
    assert lab.told() == text("""
           0  a started on w1
           0  a succeeded in 1.50 s
           0  submitted b#1
    """)
    lab.runs("b")
    assert lab.told() == text("""
           0  b started on w1
           0  b succeeded in 1.50 s
           0  submitted c#1
    """)


def test_a_result_that_comes_before_its_upstreams_report_is_held_until_that_is_in() -> None:
    lab = Diary("a > b > c")
    lab.start(slots=1, lookahead=8)
    lab.told()
    lab.begins("b")
    lab.succeeds("c")
    lab.succeeds("b")
    lab.fails("c", "after its result: stale")
    lab.loses("b", "after its result: stale")
    lab.succeeds("a")
    assert lab.told() == text("""
           0  b started on w1
           0  c has a result, which waits for its upstreams' reports
           0  b has a result, which waits for its upstreams' reports
           0  a succeeded in 1.50 s
           0  b succeeded in 1.50 s
           0  c succeeded in 1.50 s
           0  the run ended: SUCCEEDED
    """)


def test_a_held_result_is_dropped_when_its_upstream_runs_again() -> None:
    lab = Diary("a > b")
    lab.start(slots=1, lookahead=8)
    lab.told()
    lab.succeeds("b")
    lab.loses("a")
    lab.succeeds("b", fence=1)
    lab.succeeds("a")
    lab.succeeds("b")
    assert lab.told() == text("""
           0  b has a result, which waits for its upstreams' reports
           0  b taken back: upstream a runs again
           0  a: worker w1 died
              recall b#1
           0  submitted a#2
           0  submitted b#2
           0  a succeeded in 1.50 s
           0  b succeeded in 1.50 s
           0  the run ended: SUCCEEDED
    """)


def test_a_node_that_runs_on_a_result_that_is_not_accepted_loses_it_with_the_edge() -> None:
    lab = Diary("a > b", OwnerDecides())
    lab.start(slots=1, lookahead=8)
    lab.begins("a")
    lab.begins("b")  # a's own report is still on the way
    lab.told()
    lab.propose("p1", lab.change().remove_node("a", running="finish_old"))
    lab.succeeds("b", fence=1)
    lab.succeeds("b")
    assert lab.told() == text("""
           0  ada proposes p1: -1 node
           0  p1 opened
           0  p1 approved: ada is the owner
           0  p1 applied: ada is the owner
           0  b taken back: changed in v2
           0  v2 by ada: -1 node
              recall b#1
           0  submitted b#2
           0  b succeeded in 1.50 s
           0  the run ended: SUCCEEDED
    """)


def test_results_only_in_the_pool_can_be_lost_and_are_made_again() -> None:
    lab = Diary("a > b > c, a > d")
    lab.start(slots=2)
    lab.begins("a")
    lab.succeeds("a", where="pool")
    lab.runs("d")
    lab.told()
    lab.begins("b")
    lab.loses("a", "the scheduler died", fence=1)
    lab.runs("a", "b", "c")
    assert lab.told() == text("""
           0  b started on w1
           0  b taken back: upstream a runs again
           0  a: its result was lost: the scheduler died
              recall b#1
           0  submitted a#2
           0  a started on w1
           0  a succeeded in 1.50 s
           0  submitted b#2
           0  b started on w1
           0  b succeeded in 1.50 s
           0  submitted c#1
           0  c started on w1
           0  c succeeded in 1.50 s
           0  the run ended: SUCCEEDED
    """)
    assert lab.states()["d"] == "SUCCEEDED"  # what was made of the first result stays


def test_a_result_that_is_kept_is_not_lost_with_the_pool() -> None:
    lab = Diary("a > b")
    lab.start()
    lab.begins("a")
    lab.succeeds("a", where="pool")
    lab.send(ms.ResultKept(0.0, "a", 1, result("a", "blob")))
    lab.send(ms.ResultKept(0.0, "a", 1, result("a", "blob")))
    lab.send(ms.ResultKept(0.0, "a", 2, result("a", "blob")))
    lab.told()
    lab.loses("a", fence=1)
    assert lab.told() == ""
    assert lab.state.nodes["a"].result == result("a", "blob")


# -- waiting for a decision


def test_a_suspended_node_goes_on_with_the_decision() -> None:
    lab = Diary("load > fit, load > check")
    lab.start(slots=2)
    lab.runs("load", "check")
    lab.begins("fit")
    lab.propose("p1", lab.change().add_node(spec("more")), by="eve")
    lab.told()
    lab.suspends("fit", "p1", result("saved"))
    assert lab.in_pool() == []  # waiting holds no slot
    lab.vote("p1", "ada")
    lab.vote("p1", "bob")
    assert lab.told() == text("""
           0  fit waits for p1
           0  ada on p1: approve
           0  bob on p1: approve
           0  p1 approved: 0.66 of more than 0.50
           0  p1 applied: 0.66 of more than 0.50
           0  v2 by eve: +1 node
           0  fit goes on: the proposal is APPLIED
           0  submitted more#1, fit#2
    """)
    task = next(t for e in reversed(lab.effects) if isinstance(e, ef.Submit) for t in e.tasks if t.node == "fit")
    assert (task.decision, task.saved, task.attempt, task.fence) == ("APPLIED", result("saved"), 2, 2)
    assert task.decisions == {"p1": "APPLIED"}


def test_a_node_that_waits_for_what_is_decided_already_or_is_not_there_goes_on_at_once() -> None:
    lab = Diary("fit")
    lab.start()
    lab.propose("p1", lab.change().add_node(spec("more")))
    lab.vote("p1", "bob", False)
    lab.told()
    lab.begins("fit")
    lab.suspends("fit", "p1")
    lab.begins("fit")
    lab.suspends("fit", "p2")
    assert lab.told() == text("""
           0  fit started on w1
           0  fit waits for p1
           0  fit goes on: the proposal is REJECTED
           0  submitted fit#2
           0  fit started on w1
           0  fit waits for p2
           0  fit goes on: the proposal is REJECTED
           0  submitted fit#3
    """)


def test_a_proposal_that_restarts_its_own_node_starts_it_from_the_beginning() -> None:
    lab = Diary("fit")
    lab.start()
    lab.begins("fit")
    lab.propose("p1", lab.change().replace_node("fit", spec("fit", "2"), running="restart"), by="eve")
    lab.suspends("fit", "p1", result("saved"))
    lab.told()
    lab.vote("p1", "ada")
    lab.vote("p1", "bob")
    assert lab.told() == text("""
           0  ada on p1: approve
           0  bob on p1: approve
           0  p1 approved: 0.66 of more than 0.50
           0  p1 applied: 0.66 of more than 0.50
           0  v2 by eve: ~1 node, restarts fit
           0  submitted fit#2
    """)
    assert lab.state.nodes["fit"].saved is None
    assert lab.state.nodes["fit"].decision is None


def test_a_node_that_suspends_before_its_upstreams_are_reported_is_called_again() -> None:
    lab = Diary("a > b")
    lab.start(slots=1, lookahead=4)
    lab.told()
    lab.propose("p1", lab.change().add_node(spec("more")), by="eve")
    lab.suspends("b", "p1", result("saved"))
    assert lab.state.nodes["b"].saved is None
    assert "b taken back: it suspended before its upstreams were reported" in lab.told()


# -- steering


def test_pause_and_resume() -> None:
    lab = Diary("load > fit")
    lab.start()
    lab.begins("load")
    lab.told()
    assert isinstance(lab.send(ms.Pause(0.0, "eve")), NotAllowed)
    assert lab.send(ms.Pause(0.0, "ada")) is True
    assert lab.send(ms.Pause(0.0, "ada")) is True
    lab.succeeds("load")
    lab.send(ms.Resume(0.0, "bob"))
    lab.runs("fit")
    assert isinstance(lab.send(ms.Pause(0.0, "ada")), AlreadyDecided)
    assert lab.told() == text("""
              NotAllowed (steer): 'eve' may not steer this run
           0  paused by ada
              hold load#1
           0  load succeeded in 1.50 s
           0  bob lets the run go on
           0  submitted fit#1
           0  fit started on w1
           0  fit succeeded in 1.50 s
           0  the run ended: SUCCEEDED
              AlreadyDecided (run-over): run r is SUCCEEDED
    """)


def test_what_the_pool_was_given_ahead_of_time_is_held_and_taken_back_when_it_says_that_it_has_not_begun() -> None:
    lab = Diary("load > fit > report, load > check")
    lab.start(slots=1, lookahead=9)
    lab.begins("load")
    lab.told()
    lab.send(ms.Pause(0.0, "ada"))
    lab.succeeds("load")
    lab.begins("check")  # it was about to when the pool was asked
    lab.holds_back("fit")
    lab.holds_back("report")  # it went with what it was chained to
    assert lab.told() == text("""
           0  paused by ada
              hold check#1, fit#1, load#1, report#1
           0  load succeeded in 1.50 s
           0  check started on w1
           0  fit, report taken back: the run was paused before it began
              recall fit#1, report#1
    """)
    assert lab.in_pool() == ["check#1"]
    lab.succeeds("check")
    lab.send(ms.Resume(0.0, "ada"))
    assert lab.in_pool() == ["fit#2", "report#2"]
    lab.runs("fit", "report")
    assert {rec.started for rec in lab.state.nodes.values()} == {1}


def test_what_says_that_it_has_not_begun_when_the_run_goes_on_again_is_submitted_at_once() -> None:
    lab = Diary("a, b")
    lab.start(slots=1, lookahead=9)
    lab.begins("a")
    lab.send(ms.Pause(0.0, "ada"))
    lab.send(ms.Resume(0.0, "ada"))
    lab.told()
    lab.holds_back("b")
    assert lab.told() == text("""
           0  b taken back: the run was paused before it began
              recall b#1
           0  submitted b#2
    """)


def test_what_a_dead_worker_had_begun_and_the_pool_did_not_begin_again_was_lost() -> None:
    lab = Diary("a > b")
    lab.start(slots=1, lookahead=9)
    lab.begins("a")
    lab.send(ms.Pause(0.0, "ada"))
    lab.told()
    lab.holds_back("a")
    assert lab.told() == text("""
           0  b taken back: upstream a runs again
           0  a: its worker is gone
              recall b#1
    """)


def test_cancel() -> None:
    lab = Diary("load > fit > report, load > check > mail")
    lab.start(slots=2, lookahead=1)
    lab.runs("load")
    lab.begins("fit")
    lab.propose("p1", lab.change().add_node(spec("more")))
    lab.told()
    assert isinstance(lab.cancel("zoe"), NotAllowed)
    assert isinstance(lab.cancel("eve"), NotAllowed)
    lab.told()
    lab.cancel("bob")
    lab.succeeds("fit")
    lab.vote("p1", "bob")
    assert isinstance(lab.cancel("bob"), AlreadyDecided)
    assert lab.told() == text("""
           0  bob proposes end1: the run ends
           0  end1 opened
              ask ada about end1
              ask cy about end1
           0  ada on end1: approve
           0  cy on end1: approve
           0  end1 approved: 1.00 of more than 0.50
           0  end1 applied: 1.00 of more than 0.50
           0  p1 withdrawn: the run was cancelled
           0  the run ended: CANCELLED, by bob
              recall check#1, fit#1, mail#1
              AlreadyDecided (decided): proposal p1 is WITHDRAWN by bob: the run was cancelled
              AlreadyDecided (run-over): run r is CANCELLED
    """)
    assert lab.states() == {
        "load": "SUCCEEDED", "fit": "CANCELLED", "report": "CANCELLED", "check": "CANCELLED", "mail": "CANCELLED"
    }  # fmt: skip


def test_a_paused_run_can_be_cancelled_and_a_suspended_node_with_it() -> None:
    lab = Diary(graph("fit, slow", slow={"retries": 1, "backoff": 100}))
    lab.start(slots=2)
    lab.propose("p1", lab.change().add_node(spec("more")))
    lab.suspends("fit", "p1")
    lab.fails("slow")
    lab.send(ms.Pause(0.0, "ada"))
    lab.cancel("ada")
    assert set(lab.states().values()) == {"CANCELLED"}
    assert lab.state.next_due() is None


# -- a controller after another


def test_attach_submits_only_what_is_unfinished() -> None:
    lab = Diary("load > fit > report, load > check, load > big > sum")
    lab.start(slots=3)
    lab.runs("load", "check")
    lab.begins("big")
    lab.succeeds("big", where="pool")
    lab.begins("fit")
    lab.told()
    lab.crash()
    assert lab.told() == text("""
           0  another controller goes on with the run
           0  submitted big#2, fit#2
    """)
    lab.succeeds("fit", fence=1)  # the old controller's attempt
    assert lab.told() == ""
    lab.runs("fit", "big", "sum", "report")
    assert lab.state.status == "SUCCEEDED"


def test_what_is_downstream_of_a_result_that_was_lost_keeps_its_own() -> None:
    lab = Diary("big > sum > plot, slow")
    lab.start(slots=2)
    lab.begins("big")
    lab.succeeds("big", where="pool")
    lab.runs("sum")
    lab.crash()
    lab.told()
    lab.begins("big")
    lab.fails("big", "not twice")
    lab.runs("plot", "slow")  # sum has its result, so plot goes on though big has failed
    assert lab.told() == text("""
           0  big started on w1
           0  big failed: ValueError: not twice
           0  submitted plot#2
           0  plot started on w1
           0  plot succeeded in 1.50 s
           0  slow started on w1
           0  slow succeeded in 1.50 s
           0  the run ended: FAILED
    """)


def test_recover_shows_versions_and_asks_those_who_have_not_voted() -> None:
    lab = Diary("load > fit", OwnerDecides())
    lab.start()
    lab.propose("p1", lab.change().add_node(spec("more")))
    lab.propose("p2", lab.change().add_node(spec("plot")), by="eve")
    lab.vote("p2", "bob")
    recovered = lab.crash()
    published = [e for e in recovered if isinstance(e, ef.Publish)]
    assert [(p.version, type(p.change).__name__) for p in published] == [(1, "Dag"), (2, "Changeset")]
    asked = [e for e in recovered if isinstance(e, ef.AskVote)]
    assert [(a.proposal, a.agent) for a in asked] == [("p2", "ada"), ("p2", "cy")]
    assert decide.recover(RunState()) == []


def test_a_run_that_is_over_is_attached_without_a_trace() -> None:
    lab = Diary("load")
    lab.start()
    lab.runs("load")
    before = lab.state
    assert lab.crash() == []
    assert lab.state == before


def test_messages_for_a_run_that_is_not_there() -> None:
    lab = Diary("load")
    answer = lab.cancel("ada")
    assert isinstance(answer, Refused)
    assert answer.rule == "unknown-run"
    lab.send(ms.Tick(0.0))
    assert lab.state == RunState()
    assert lab.start() == "r"
    again = lab.send(ms.StartRun(0.0, "r", lab.dag, FrozenDict(), lab.policy, seats(), "ada", "ada"))
    assert again.rule == "run-exists"


def test_a_fork_takes_over_results() -> None:
    lab = Diary("load > fit > report")
    lab.start(done=FrozenDict({"load": result("load"), "elsewhere": result("x")}))
    lab.runs("fit", "report")
    assert lab.told() == text("""
           0  run r started by ada
           0  submitted fit#1
           0  fit started on w1
           0  fit succeeded in 1.50 s
           0  submitted report#1
           0  report started on w1
           0  report succeeded in 1.50 s
           0  the run ended: SUCCEEDED
    """)
    assert lab.state.nodes["load"].why == "taken over from the run it was forked from"


# -- what is needed


def test_a_node_waits_for_a_worker_that_can() -> None:
    lab = Diary(graph("load > fit", fit={"requires": {"gpu", "big"}}))
    lab.start()
    lab.pool(1, 0, {"gpu"})
    lab.runs("load")
    lab.told()
    lab.pool(2, 0, {"gpu"}, {"big"})
    assert lab.in_pool() == []
    lab.pool(2, 0, {"gpu"}, {"big", "gpu", "fast"})
    assert lab.told() == text("""
           0  submitted fit#1
    """)


def test_nothing_is_submitted_beyond_slots_and_lookahead() -> None:
    lab = Diary("a1, a2, a3, a4, a5")
    lab.start(slots=2, lookahead=1)
    assert lab.in_pool() == ["a1#1", "a2#1", "a3#1"]
    lab.pool(0)
    lab.runs("a1", "a2", "a3")
    assert lab.in_pool() == []
    lab.pool(9)
    assert lab.in_pool() == ["a4#1", "a5#1"]


def test_waves_wait_for_the_whole_wave_before() -> None:
    lab = Diary("a > low, b, c", schedule="waves")
    lab.start(slots=8, lookahead=8)
    lab.told()
    lab.runs("a", "b")
    assert lab.in_pool() == ["c#1"]
    lab.runs("c")
    assert lab.told() == text("""
           0  a started on w1
           0  a succeeded in 1.50 s
           0  b started on w1
           0  b succeeded in 1.50 s
           0  c started on w1
           0  c succeeded in 1.50 s
           0  wave 1 of 2 is done (3 nodes)
           0  submitted low#1
    """)


def test_waves_are_those_of_the_graph_as_it_is() -> None:
    lab = Diary("a > b > c > d", OwnerDecides(), schedule="waves")
    lab.start(slots=8)
    lab.runs("a", "b", "c")
    lab.pool(0)
    lab.propose("p1", lab.change().remove_node("a", finished="keep"))
    lab.loses("d")
    lab.pool(1)
    assert lab.in_pool() == ["d#2"]


def test_the_run_waits_for_open_proposals() -> None:
    lab = Diary("load")
    lab.start()
    lab.propose("p1", lab.change().add_node(spec("more")))
    lab.runs("load")
    assert lab.state.status == "RUNNING"
    lab.vote("p1", "bob", False)
    assert lab.state.status == "SUCCEEDED"


def test_the_run_waits_until_hooks_have_seen_everything() -> None:
    hooked = (*seats(), Seat("hal", Role.EXECUTOR, hooks="here"))
    lab = Diary("load", seats=hooked)
    lab.start()
    lab.runs("load")
    assert lab.state.status == "RUNNING"
    lab.send(ms.HooksReturned(0.0, "hal", lab.state.hookable - 1))
    lab.send(ms.HooksReturned(0.0, "zoe", 99))
    assert lab.state.status == "RUNNING"
    lab.send(ms.HooksReturned(0.0, "hal", lab.state.hookable, "TypeError: no"))
    assert lab.state.status == "SUCCEEDED"
    seen = [event for event in lab.events if isinstance(event, ev.HooksSeen)]
    assert [event.failure for event in seen] == ["", "TypeError: no"]


def test_hooks_of_an_agent_that_is_gone_are_not_waited_for_until_it_is_back() -> None:
    hal = Seat("hal", Role.EXECUTOR, hooks="here")
    lab = Diary("load", seats=(*seats(), hal))
    lab.start()
    lab.crash(absent=("hal",))
    assert lab.state.hooks == {}
    lab.send(ms.Join(0.0, hal))
    assert lab.state.hooks == {"hal": lab.state.seq - 1}
    before = lab.state
    assert lab.send(ms.Join(0.0, hal)) == "hal"
    assert lab.state == before


def test_an_empty_graph_is_done_at_once() -> None:
    lab = Diary(graph("a").remove_node("a"))
    lab.start()
    assert lab.state.status == "SUCCEEDED"


def test_what_a_task_is_given() -> None:
    dag = graph("load > fit, other > fit", load={"retries": 1}).add_node(spec("more", "1", "rows", "load"))
    lab = Diary(dag)
    lab.start(slots=9, inputs=FrozenDict({"rows": result("rows"), "fit.extra": result("unused")}))
    lab.begins("load")
    lab.succeeds("load", where="pool")
    lab.runs("other")
    tasks = {t.node: t for e in lab.effects if isinstance(e, ef.Submit) for t in e.tasks}
    fit, more = tasks["fit"], tasks["more"]
    assert [(i.param, i.up, i.fence, i.kept and i.kept.where) for i in fit.inputs] == [
        ("*", "load", 1, "pool"),
        ("*", "other", 1, "inline"),
    ]
    assert [(i.param, i.up, i.kept and i.kept.where) for i in more.inputs] == [
        ("rows", "", "inline"),
        ("load", "load", "pool"),
    ]
    assert (fit.run, fit.version, fit.attempt, fit.collector) == ("r", 1, 1, "kw")
