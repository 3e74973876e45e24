"""What a pool knows of its workers: from the scheduler's rows and from what nodes report, without asking anybody."""

from __future__ import annotations

from typing import Any

import pytest

from hexdag_lab.core.machine.messages import Started
from hexdag_lab.core.runs.attempt import Task
from hexdag_lab.core.runs.worker import Worker, WorkerState
from hexdag_lab.runtime.pools.roster import Roster

FIT, REPORT = ("run-1", "fit", 1), ("run-1", "report", 1)


def row(name: str, beat: float = 1.0, status: str = "running", **more: Any) -> dict[str, Any]:
    """As `Scheduler.identity` has it."""
    about = {"name": name, "host": "10.0.0.1", "nthreads": 2, "last_seen": beat, "status": status, "memory_limit": 0}
    return {**about, "resources": {"gpu": 1.0}, "metrics": {"memory": 77, "task_counts": {}}, **more}


def standby(name: str, status: str = "paused", beat: float = 1.0) -> dict[str, Any]:
    return row(name, beat, status, hexdag={"standby": True})


class Watched:
    """A roster and the time; a look every 0.25 s, as the pool has it. `beats`: those whose hearts beat."""

    def __init__(self, shared: bool = False) -> None:
        self.roster, self.now = Roster(shared), 100.0

    def look(self, *rows: dict[str, Any], seconds: float = 0.25) -> list[tuple[str, str]]:
        changes = []
        for _ in range(max(1, round(seconds / 0.25))):
            self.now += 0.25
            changes += self.roster.look({f"tcp://{r['name']}": r for r in rows}, self.now)
        return [(change.worker, change.state.value) for change in changes]

    def begins(self, attempt: tuple[str, str, int], worker: str) -> Started:
        return self.roster.began(attempt, Started(0.0, attempt[1], attempt[2], worker))

    def state(self, worker: str) -> WorkerState:
        return self.worker(worker).state

    def worker(self, id_: str) -> Worker:
        return next(worker for worker in self.roster.workers.values() if worker.id == id_)


def test_a_worker_is_a_row_of_plain_data() -> None:
    watched = Watched()
    watched.begins(FIT, "w0")
    watched.look(row("w0", 7.5))
    assert dict(watched.worker("w0")) == {
        "id": "w0", "host": "10.0.0.1", "state": "busy", "node": "fit", "nodes": ["fit"], "slots": 2,
        "capabilities": ["gpu"], "heartbeat": 7.5, "memory": 77, "limit": None, "why": "",
    }  # fmt: skip
    with pytest.raises(KeyError):
        watched.worker("w0")["pid"]


def test_it_is_busy_while_a_node_runs_on_it_and_that_is_no_news() -> None:
    watched = Watched()
    assert watched.look(row("w0")) == []
    watched.begins(FIT, "w0")
    assert watched.look(row("w0")) == []
    assert watched.state("w0") == "busy"
    watched.roster.ended(FIT, made="w0")
    assert watched.look(row("w0")) == []
    assert watched.state("w0") == "idle"


def test_on_a_shared_cluster_it_is_busy_with_the_work_of_others_too() -> None:
    theirs = row("w0", metrics={"task_counts": {"executing": 1}})
    for shared, state in ((True, "busy"), (False, "idle")):  # of an own cluster the reports are quicker than heartbeats
        watched = Watched(shared)
        watched.look(theirs)
        assert watched.state("w0") == state


def test_one_that_is_silent_for_ten_heartbeats_has_failed_and_may_come_back() -> None:
    watched = Watched()
    watched.look(row("w0"), row("w1"))
    assert watched.look(row("w0"), row("w1"), seconds=4.75) == []
    assert watched.look(row("w0", 2.0), row("w1"), seconds=1) == [("w1", "failed")]
    assert watched.worker("w1").why == "no heartbeat for 6 s"
    assert watched.roster.slots == 2, "nodes do not count on it"
    assert watched.look(row("w0", 3.0), row("w1", 3.0)) == [("w1", "idle")]


def test_a_scheduler_that_was_stuck_has_lost_no_worker() -> None:
    watched = Watched()
    watched.look(row("w0"))
    watched.now += 60
    assert watched.look(row("w0")) == []


def test_one_that_is_gone_has_failed_unless_it_was_asked_to_leave() -> None:
    watched = Watched()
    watched.begins(FIT, "w0")
    watched.look(row("w0"), row("w1"))
    watched.roster.retired("tcp://w1")
    watched.roster.died("tcp://w0", [REPORT])
    changes = watched.roster.look({}, watched.now + 0.25)
    assert changes == [("w0", "failed", "its process is gone; it had fit, report"), ("w1", "gone", "it was retired")]
    assert watched.roster.vacant == 1


def test_paused_ones_offer_nothing() -> None:
    watched = Watched()
    assert watched.look(row("w0"), row("w1", resources={})) == []
    assert watched.roster.capabilities == (frozenset(), frozenset({"gpu"}))
    assert watched.look(row("w0", status="paused"), row("w1", resources={})) == [("w0", "paused")]
    assert (watched.roster.slots, watched.roster.capabilities) == (2, (frozenset(),))


def test_one_that_is_still_joining_is_not_there_yet() -> None:
    watched = Watched()
    watched.look(row("w0"))
    assert watched.look(row("w0"), standby("w1", "init")) == []
    assert [worker.id for worker in watched.roster.workers.values()] == ["w0"]
    assert watched.look(row("w0"), standby("w1")) == []


def test_a_node_that_leaves_a_worker_may_go_to_all_others_that_can_run_it() -> None:
    watched = Watched()
    watched.look(row("w0"), row("w1"), row("w2"), row("w3", resources={}), row("w4", status="paused"))
    places = lambda **wish: sorted(watched.roster.places(attempt(**wish)).values())  # noqa: E731
    assert places() == [], "anywhere"
    assert places(worker="w4") == ["w4"]
    assert places(worker="w9") == [], "one that is gone is no place"
    assert places(leaves="w0") == ["w1", "w2", "w3"]
    assert places(leaves="w0", requires=frozenset({"gpu"})) == ["w1", "w2"]
    watched.look(row("w0"))
    assert places(leaves="w0") == [], "there is no other"


def attempt(**wish: Any) -> Task:
    return Task("r", "fit", 1, 1, 1, 1, "code", {}, (), **wish)


def test_a_standby_has_its_turn_when_another_one_fails() -> None:
    watched = Watched()
    watched.look(row("w0"), row("w1"), standby("w2"), standby("w3"))
    assert watched.state("w2") == "standby"
    assert watched.roster.to_take_over() == []
    watched.look(row("w0"), standby("w2"), standby("w3"))
    assert watched.roster.to_take_over() == ["tcp://w2"]
    assert watched.look(row("w0"), standby("w2", "running"), standby("w3")) == [("w2", "idle")]
    assert watched.roster.to_take_over() == []


def test_one_that_fails_and_then_dies_leaves_one_place() -> None:
    watched = Watched()
    watched.look(row("w0"), standby("w1"), standby("w2"))
    for beat in range(2, 30):
        watched.look(row("w0"), standby("w1", beat=beat), standby("w2", beat=beat))
    assert (watched.state("w0"), watched.roster.vacant) == ("failed", 1)
    watched.look(standby("w1", "running", 40), standby("w2", beat=40))
    assert watched.roster.vacant == 0


def test_a_place_stays_free_until_somebody_is_there_to_take_it() -> None:
    watched = Watched()
    watched.look(row("w0"), row("w1"))
    watched.look(row("w0"))
    assert (watched.roster.vacant, watched.roster.to_take_over()) == (1, [])
    watched.look(row("w0"), standby("w2"))
    assert watched.roster.to_take_over() == ["tcp://w2"]


def test_one_that_is_started_again_takes_its_place_itself() -> None:
    watched = Watched()
    watched.look(row("w0"), row("w1"))
    watched.look(row("w0"))
    watched.look(row("w0"), row("w2"))
    assert watched.roster.vacant == 0


def test_an_attempt_that_begins_twice_was_run_again_by_the_pool() -> None:
    watched = Watched()
    assert (watched.begins(FIT, "w0").repeat, watched.begins(REPORT, "w0").repeat) == (0, 0)
    again = watched.begins(FIT, "w1")
    assert (again.repeat, again.why) == (1, "its worker w0 is gone; the pool ran it again")
    watched.roster.ended(FIT, made="w1")
    again = watched.begins(FIT, "w2")
    assert (again.repeat, again.why) == (2, "Dask lost its result with worker w1, and something waits for it")


def test_one_that_a_dying_worker_had_says_so_even_if_nobody_heard_it_begin() -> None:
    watched = Watched()
    watched.look(row("w0"))
    watched.roster.died("tcp://w0", [FIT])
    again = watched.begins(FIT, "w1")
    assert (again.repeat, again.why) == (0, "worker w0 died with it; nobody heard whether it had begun there")
    watched.roster.died("tcp://w5", [REPORT])  # before the first look at it
    assert watched.begins(REPORT, "w1").why.startswith("worker tcp://w5 died with it")


def test_a_result_that_was_let_go_of_is_known_while_its_run_goes_on() -> None:
    watched = Watched()
    watched.look(row("w0"), row("w1"))
    watched.begins(FIT, "w0")
    watched.roster.ended(FIT, made="w0")
    watched.roster.forget({"run-1"}, [])
    assert watched.begins(FIT, "w1").repeat == 1


def test_nothing_is_remembered_of_runs_that_are_over_but_what_is_held_or_still_runs() -> None:
    watched = Watched()
    watched.look(row("w0"), row("w1"))
    watched.begins(FIT, "w0")
    watched.begins(REPORT, "w1")
    watched.roster.ended(REPORT, made="w1")
    watched.roster.forget([], [REPORT])
    assert watched.roster.has_made(REPORT)
    watched.roster.forget([], [])
    assert not watched.roster.has_made(REPORT)
    watched.look(row("w0"))
    assert watched.worker("w0").nodes == ("fit",), "it was withdrawn, and still runs"
    watched.look()
    watched.roster.forget([], [])
    assert watched.begins(FIT, "w9").repeat == 0
