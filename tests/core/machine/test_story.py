"""A run in words: each event, the story of a node, and why a node does not move."""

from __future__ import annotations

from fractions import Fraction

import pytest

from hexdag_lab.core.base.frozen import FrozenDict
from hexdag_lab.core.dag.changeset import Changeset
from hexdag_lab.core.machine import events as ev
from hexdag_lab.core.machine import messages as ms
from hexdag_lab.core.machine.story import sentence, story
from hexdag_lab.core.machine.why import why
from hexdag_lab.core.runs.reuse import Made
from hexdag_lab.core.runs.run import Failure, RunStatus
from hexdag_lab.core.runs.worker import WorkerState
from hexdag_lab.core.votes.agent import Role, Seat
from hexdag_lab.core.votes.ballot import Ballot, Choice
from hexdag_lab.core.votes.budget import Budget
from hexdag_lab.core.votes.calls import Call, CallOutcome
from hexdag_lab.core.votes.people import OwnerDecides
from hexdag_lab.core.votes.policy import Deadline
from hexdag_lab.core.votes.proposal import Effect, Judgement, Proposal
from hexdag_lab.core.votes.weighing import Majority
from tests.core.machine.diary import Diary, graph, result, seats, spec, text

DAG = graph("load > fit")
CHANGE = Changeset.on(DAG).replace_node("load", spec("load", "2"), finished="rerun").add_node(spec("plot"))
FROM_V1 = "reused from v1: same code, same inputs"
MADE = Made("r", "fit", 1, 1.5, result("fit"))

SENTENCES = [
    (ev.RunStarted(1, 0.0, "r", DAG, FrozenDict(), Majority(), (), "ada", "ada"), "run r started by ada"),
    (ev.RunAttached(1, 0.0, "lab", ("fit",)), "another controller goes on with the run"),
    (ev.RunPaused(1, 0.0, "ada"), "paused by ada"),
    (ev.RunResumed(1, 0.0, "bob"), "bob lets the run go on"),
    (ev.RunFinished(1, 0.0, RunStatus.SUCCEEDED), "the run ended: SUCCEEDED"),
    (ev.RunFinished(1, 0.0, RunStatus.CANCELLED, "ada"), "the run ended: CANCELLED, by ada"),
    (ev.SeatTaken(1, 0.0, Seat("dot", Role.OBSERVER)), "dot takes part as observer"),
    (ev.PoolOffered(1, 0.0, 1, 4), "the pool offers 1 slot"),
    (ev.PoolOffered(1, 0.0, 0, 0), "the pool offers 0 slots"),
    (ev.AttemptsSubmitted(1, 0.0, (), 3), ""),
    (ev.AttemptsSubmitted(1, 0.0, (("load", 1),), 1), "load submitted"),
    (ev.AttemptsSubmitted(1, 0.0, tuple((f"n{i}", 1) for i in range(4)), 4), "4 nodes submitted"),
    (ev.AttemptsWithdrawn(1, 0.0, ("a", "b"), "upstream fit failed"), "a, b taken back: upstream fit failed"),
    (ev.NodeStarted(1, 0.0, "fit", 1, 1), "fit started"),
    (ev.NodeStarted(1, 0.0, "fit", 1, 1, "w2", "again"), "fit started on w2 (again)"),
    (
        ev.NodeRepeated(1, 0.0, "fit", 1, 1, "w2", "Dask lost its result with worker w1", 1),
        "fit runs again on w2, and keeps its result (Dask lost its result with worker w1)",
    ),
    (
        ev.WorkerChanged(1, 0.0, "w1", WorkerState.FAILED, "no heartbeat for 6 s"),
        "worker w1 failed: no heartbeat for 6 s",
    ),
    (ev.WorkerChanged(1, 0.0, "w1", WorkerState.PAUSED, "draining"), "worker w1 is paused: draining"),
    (ev.WorkerChanged(1, 0.0, "w2", WorkerState.IDLE, "again"), "worker w2 takes nodes: again"),
    (ev.WorkerChanged(1, 0.0, "w1", WorkerState.GONE), "worker w1 left"),
    (ev.NodeSucceeded(1, 0.0, "fit", 1, 1, 0.126, result("fit")), "fit succeeded in 0.13 s"),
    (
        ev.ResultHeld(1, 0.0, "fit", 1, 1, 0.1, result("fit")),
        "fit has a result, which waits for its upstreams' reports",
    ),
    (ev.NodeKept(1, 0.0, "fit", 1, result("fit", "blob")), "the result of fit is kept"),
    (ev.NodeRetrying(1, 0.0, "fit", 1, "worker w1 died"), "fit: worker w1 died"),
    (ev.RetryDue(1, 0.0, "fit", 1), "fit may be tried again"),
    (ev.NodeFailed(1, 0.0, "fit", 1, Failure("KeyError", "'x'")), "fit failed: KeyError: 'x'"),
    (ev.NodesBlocked(1, 0.0, "fit", 1, ("report",)), "report blocked: upstream fit failed"),
    (ev.NodeCheckpointed(1, 0.0, "fit", 1, 2, 0), "fit has safe points: it can be moved"),
    (
        ev.NodeCheckpointed(1, 0.0, "fit", 1, 2, 7, result("fit")),
        "fit saved what it has, at its safe point 7",
    ),
    (ev.NodeMoving(1, 0.0, "fit", 1, "w1", 10.0, "p1"), "fit is to go on on w1 from its next safe point"),
    (ev.NodeMoved(1, 0.0, "fit", 1, "w1", "at its safe point 7"), "fit goes on on w1: at its safe point 7"),
    (ev.NodeMoved(1, 0.0, "fit", 1, "", "p1 says so", True), "fit begins anew on another worker: p1 says so"),
    (ev.NodeSuspended(1, 0.0, "fit", 1, "p1"), "fit waits for p1"),
    (ev.NodeResumed(1, 0.0, "fit", 1, "APPLIED"), "fit goes on: the proposal is APPLIED"),
    (ev.ProposalMade(1, 0.0, Proposal("p1", "ada", CHANGE, 1)), "ada proposes p1: +1 node, ~1 node"),
    (ev.BallotCast(1, 0.0, "p1", Ballot(Choice.APPROVE, "", "bob")), "bob on p1: approve"),
    (
        ev.BallotCast(1, 0.0, "p1", Ballot(Choice.REQUEST_CHANGES, "too big", "bob")),
        'bob on p1: request changes "too big"',
    ),
    (ev.ProposalOpened(1, 0.0, "p1", "", "ada"), "p1 opened"),
    (ev.ProposalApproved(1, 0.0, "p1", "1.00 of 0.66"), "p1 approved: 1.00 of 0.66"),
    (ev.ProposalExpired(1, 0.0, "p1", "the deadline passed: reject"), "p1 expired: the deadline passed: reject"),
    (
        ev.ProposalRevised(1, 0.0, "p1", CHANGE, Effect(), "part of it is there"),
        "p1 is voted on anew: part of it is there",
    ),
    (ev.VersionCommitted(1, 0.0, 2, CHANGE, "p1", "ada"), "v2 by ada: +1 node, ~1 node"),
    (
        ev.VersionCommitted(1, 0.0, 2, CHANGE, "p1", "ada", "", ("fit",), ("load",)),
        "v2 by ada: +1 node, ~1 node, restarts fit, re-runs load",
    ),
    (ev.RunPaused(1, 0.0, "hexdag_lab", Budget(cost=Fraction(3))), "paused by hexdag_lab: its budget lacks 3.00"),
    (
        ev.BudgetRaised(1, 0.0, Budget(90.0, Fraction(13)), "run/budget-1", "ann"),
        "the budget is 13.00 and 90 s from now on",
    ),
    (
        ev.ProposalApproved(1, 0.0, "p1", "1.00 of 0.66", "ann", ("clean",)),
        "p1 approved: 1.00 of 0.66; it waits for clean",
    ),
    (ev.ProposalJudged(1, 0.0, "p1", Judgement(False, "ida", "it was slow")), "p1: ida calls it bad: it was slow"),
    (ev.LeasesClaimed(1, 0.0, (("fit", "gpu"),)), "fit claimed a lease"),
    (ev.LeaseHeld(1, 0.0, "fit", 1), "fit holds its lease"),
    (ev.LeaseAwaited(1, 0.0, "fit", 1, "r2/fit"), "fit waits for its lease, which r2/fit holds"),
    (ev.ResultsSought(1, 0.0, (("fit", "ab12"),)), ""),
    (ev.ResultsMissed(1, 0.0, FrozenDict({"fit": "no cached result", "load": ""})), "fit: no cached result"),
    (ev.NodeReused(1, 0.0, "fit", 3, MADE, FROM_V1), f"fit {FROM_V1}"),
    (ev.HooksSeen(1, 0.0, "hal", 7), "hal looked at what happened"),
    (ev.HooksSeen(1, 0.0, "hal", 7, "TypeError"), "hal looked at what happened: TypeError"),
    (
        ev.AgentCalled(1, 0.0, "hal", Call("vote", "gpt-5", "ab12", CallOutcome.SLOW, "p1", seconds=3.04)),
        "hal asked gpt-5 (vote p1): slow, 3.0 s",
    ),
    (
        ev.NodeSkipped(1, 0.0, "fit", 1, 2, "its condition enough() says no"),
        "fit skipped: its condition enough() says no",
    ),
    (ev.NodesSkipped(1, 0.0, "fit", 1, ("a", "b")), "a, b skipped: they need fit, which has no result"),
    (ev.WaveCompleted(1, 0.0, 2, 3, 1), "wave 2 of 3 is done (1 node)"),
    (
        ev.AgentSuspended(1, 0.0, "hal", "it failed 3 times in a row, the last time: KeyError"),
        "hal is asked no more: it failed 3 times in a row, the last time: KeyError; add it anew once that is put right",
    ),
]


@pytest.mark.parametrize(("event", "words"), SENTENCES, ids=lambda value: type(value).__name__)
def test_each_event_in_words(event: ev.Event, words: str) -> None:
    assert sentence(event) == words


def test_every_kind_of_event_has_words_of_its_own() -> None:
    made = {type(event) for event, _ in SENTENCES}
    moved = {kind for kind in vars(ev).values() if isinstance(kind, type) and issubclass(kind, ev._Moved)}
    every = {kind for kind in vars(ev).values() if isinstance(kind, type) and issubclass(kind, ev.Event)}
    assert every - made - moved == {ev.Event}


def test_with_a_node_only_what_concerns_it() -> None:
    told = {type(event).__name__: sentence(event, "fit") for event, _ in SENTENCES if sentence(event, "fit")}
    assert "ProposalMade" not in told
    assert "NodesBlocked" not in told  # fit is the one that failed: that has a sentence already
    assert told["RunAttached"] == "another controller goes on with the run; its result was not kept"
    assert sentence(ev.AttemptsSubmitted(1, 0.0, (("a", 1), ("fit", 2)), 2), "fit") == "fit submitted"
    assert sentence(ev.AttemptsWithdrawn(1, 0.0, ("a", "fit"), "so"), "fit") == "fit taken back: so"
    assert sentence(ev.NodesBlocked(1, 0.0, "load", 1, ("fit", "x")), "fit") == "fit, x blocked: upstream load failed"
    assert sentence(ev.VersionCommitted(1, 0.0, 2, CHANGE, "p1", "ada"), "fit") == ""
    assert "restarts fit" in sentence(ev.VersionCommitted(1, 0.0, 2, CHANGE, "p1", "ada", "", ("fit",)), "fit")


def test_the_story_of_a_node() -> None:
    lab = Diary(graph("load > fit > report", fit={"retries": 1, "backoff": 0}), OwnerDecides())
    lab.start(slots=1)
    lab.runs("load")
    lab.begins("fit")
    lab.fails("fit", "busy")
    lab.runs("fit")
    lab.propose("p1", lab.change().replace_node("load", spec("load", "2"), finished="rerun"))
    lab.runs("load")
    lab.begins("fit", "w2")
    assert "\n".join(story(lab.events, "fit")) == text("""
           1  run r started by ada
           6  fit submitted
           7  fit started on w1
           8  fit: attempt 1 of 2 failed: ValueError: busy
           9  fit submitted
          10  fit started on w1
          11  fit succeeded in 1.50 s
          18  v2 by ada: ~1 node, re-runs fit, load
          22  fit submitted
          23  fit started on w2
    """)
    assert story(lab.events, "nobody") == []


# -- why a node does not move


def reasons(lab: Diary) -> dict[str, str | None]:
    return {name: why(lab.state, name) for name in sorted(lab.state.nodes)}


def test_waiting_for_upstreams_and_for_workers() -> None:
    lab = Diary("load > fit, load > a1, load > a2, load > a3, load > a4, load > a5")
    lab.send(ms.StartRun(0.0, "r", lab.dag, FrozenDict(), lab.policy, seats(), "ada", "ada"))
    assert why(lab.state, "load") == "there are no workers yet"
    assert why(lab.state, "fit") == "waits for load"
    lab.pool(1)
    lab.runs("load")
    assert why(lab.state, "load") is None
    assert why(lab.state, "fit") == "waits for a free worker"
    many = Diary("a1 > z, a2 > z, a3 > z, a4 > z, a5 > z, a6 > z")
    many.start(slots=9)
    assert why(many.state, "z") == "waits for a1, a2, a3, a4, a5, …"
    many.runs("a2")
    assert why(many.state, "z") == "waits for a1, a3, a4, a5, a6"


def test_a_node_that_moves_or_is_done_gives_no_reason() -> None:
    lab = Diary("load > fit")
    lab.start(slots=2)
    lab.begins("load")
    assert reasons(lab) == {"load": None, "fit": "waits for load"}


def test_failed_blocked_and_cancelled() -> None:
    lab = Diary("load > fit > report, slow")
    lab.start(slots=2)
    lab.begins("load")
    lab.fails("load", "no file")
    lab.cancel("ada")
    assert reasons(lab) == {
        "load": "ValueError: no file",
        "fit": "upstream load failed",
        "report": "upstream load failed",
        "slow": "cancelled by ada",
    }


def test_a_retry_says_when() -> None:
    lab = Diary(graph("fit", fit={"retries": 1, "backoff": 30}))
    lab.start()
    lab.begins("fit")
    lab.fails("fit", "busy")
    assert why(lab.state, "fit") == "attempt 1 of 2 failed: ValueError: busy; next try in 30 s"


def test_a_suspended_node_says_what_the_proposal_needs() -> None:
    lab = Diary("fit", Majority() & Deadline(60))
    lab.start()
    lab.begins("fit")
    lab.propose("p1", lab.change().add_node(spec("more")), by="eve")
    lab.suspends("fit", "p1")
    assert (
        why(lab.state, "fit") == "waits for proposal p1 (open to votes: 0.00 of more than 0.50, needs ada or bob or cy)"
    )


def test_paused_incapable_and_gone() -> None:
    lab = Diary(graph("load, fit, other", fit={"requires": {"gpu", "big"}}), OwnerDecides())
    lab.start()
    lab.pool(1, 0, set())
    lab.runs("load")
    assert why(lab.state, "fit") == 'no worker has "big" or "gpu"'
    lab.propose("p1", lab.change().remove_node("fit"))
    assert why(lab.state, "fit") == "removed by ada"
    assert why(lab.state, "nobody") == "there is no node 'nobody' in v2"
    lab.pool(0)
    lab.loses("other")
    lab.send(ms.Pause(0.0, "ada"))
    assert why(lab.state, "other") == "the run is paused"
