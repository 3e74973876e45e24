"""A pool that runs an attempt again by itself says so, and each such execution is counted with its reason."""

from __future__ import annotations

from typing import Any

from hexdag_lab.core.machine import effects as ef
from hexdag_lab.core.machine import messages as ms
from hexdag_lab.core.runs.worker import WorkerState
from tests.core.machine.diary import Diary, result

LOST = "Dask lost its result with worker w1"


def begins_again(lab: Diary, node: str, worker: str, repeat: int, why: str = LOST) -> None:
    lab.send(ms.Started(lab.now, node, lab.fence(node, None), worker, repeat, why))


def executions(lab: Diary, node: str) -> int:
    return lab.state.nodes[node].started


def started(graph: Any = "fit > report") -> Diary:
    lab = Diary(graph)
    lab.start()
    return lab


def test_an_attempt_that_runs_again_on_a_worker_of_the_same_name_is_told() -> None:
    lab = started("fit")
    lab.begins("fit", "w1")
    begins_again(lab, "fit", "w1", 1, "its worker was started again")
    assert "fit started on w1 (its worker was started again)" in lab.told()
    assert executions(lab, "fit") == 2


def test_a_repeat_is_counted_once_however_often_it_is_said() -> None:
    lab = started("fit")
    lab.begins("fit", "w1")
    for repeat in (1, 1, 2, 1, 2):
        begins_again(lab, "fit", "w2", repeat)
    lab.begins("fit", "w1")  # late, from the beginning
    assert executions(lab, "fit") == 3


def test_a_node_that_has_finished_keeps_its_result_when_the_pool_runs_it_again() -> None:
    lab = started()
    lab.begins("fit", "w1")
    lab.succeeds("fit", where="pool")
    kept = lab.state.nodes["fit"].result
    begins_again(lab, "fit", "w2", 1)
    lab.succeeds("fit", where="pool", worker="w2")
    rec = lab.state.nodes["fit"]
    assert (rec.state, rec.result, rec.started) == ("SUCCEEDED", kept, 2)
    repeated = [e for e in lab.events if e.kind == "NodeRepeated"]
    assert [(e.node, e.worker, e.why, e.repeat) for e in repeated] == [("fit", "w2", LOST, 1)]


def test_what_waits_for_it_is_taken_back_and_gets_the_first_result() -> None:
    """A second execution may give another result than the one in the journal: nothing may be made from that."""
    lab = Diary("fit > report > print")
    lab.start(slots=1, lookahead=8)
    lab.begins("fit", "w1")
    lab.succeeds("fit")
    lab.told()
    begins_again(lab, "fit", "w2", 1)
    lab.succeeds("report", fence=1)  # made from the second one: stale
    assert lab.state.nodes["report"].state == "READY"
    sent = [task for effect in lab.effects if isinstance(effect, ef.Submit) for task in effect.tasks][-2:]
    assert [(task.node, task.fence, task.inputs[0].kept) for task in sent] == [
        ("report", 2, result("fit")), ("print", 2, None),
    ]  # fmt: skip
    lab.runs("report", "print")
    assert lab.state.status == "SUCCEEDED"


def test_a_repeat_of_an_older_submission_is_stale() -> None:
    lab = started()
    lab.begins("fit", "w1")
    lab.loses("fit")
    before = lab.state
    lab.send(ms.Started(lab.now, "fit", 1, "w2", 1, LOST))
    assert lab.state == before


def test_a_new_submission_begins_to_count_anew() -> None:
    lab = started()
    lab.begins("fit", "w1")
    begins_again(lab, "fit", "w2", 1)
    lab.loses("fit")
    assert lab.state.nodes["fit"].repeats == 0
    lab.begins("fit", "w3")
    begins_again(lab, "fit", "w4", 1)
    assert executions(lab, "fit") == 4


def test_nothing_is_written_after_the_end_of_a_run() -> None:
    lab = started("fit")
    lab.begins("fit", "w1")
    lab.succeeds("fit", where="pool")
    assert lab.state.over
    before = lab.state
    begins_again(lab, "fit", "w2", 1)
    assert lab.state == before


def test_what_becomes_of_a_worker_is_in_the_journal_while_a_run_goes_on() -> None:
    lab = started("fit")
    lab.send(ms.WorkerSeen(lab.now, "w1", WorkerState.FAILED, "its process is gone"))
    assert lab.events[-1].kind == "WorkerChanged"
    lab.runs("fit")
    over = lab.state
    lab.send(ms.WorkerSeen(lab.now, "w2", WorkerState.FAILED, "its process is gone"))
    assert lab.state == over
