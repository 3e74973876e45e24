"""Safe points and moves, message by message: what is journaled, what the pool is told, and who may go on."""

from __future__ import annotations

from typing import Any

from hexdag_lab.core.dag.changeset import Changeset
from hexdag_lab.core.machine import effects as ef
from hexdag_lab.core.machine import messages as ms
from hexdag_lab.core.runs.run import NodeState
from hexdag_lab.core.runs.value import Kept
from hexdag_lab.core.votes.people import OwnerDecides
from hexdag_lab.core.votes.steer import Move
from tests.core.machine.diary import Diary, spec, text


def saved(step: int) -> Kept:
    return Kept("json", 1, str(step).rjust(64, "0"), str(step).encode())


class Walk(Diary):
    """`fit` runs and has safe points; ada owns the run and decides."""

    def __init__(self, dag: str = "fit > report", **start: Any) -> None:
        super().__init__(dag, OwnerDecides())
        self.start(slots=2, **start)
        self.begins("fit")
        self.reaches("fit", 0)
        self.told()

    def reaches(self, node: str, number: int, step: int | None = None, fence: int = 1, worker: str = "w1") -> bool:
        """An attempt is at a safe point; whether it is told to go on."""
        kept = None if step is None else saved(step)
        self.send(ms.Checkpointed(self.now, node, fence, number, kept, worker))
        answers = [effect for effect in self.effects if isinstance(effect, ef.Answer)]
        assert (answers[-1].worker, answers[-1].fence, answers[-1].number) == (worker, fence, number)
        return answers[-1].go_on

    def move(self, to: str = "w2", by: str = "ada", **how: Any) -> Any:
        id_ = f"p{len(self.state.proposals) + 1}"
        change = Changeset(self.state.dag.digest)
        return self.send(ms.Propose(self.now, id_, change, by, steers=Move("fit", to, **how)))

    def task(self) -> Any:
        """The latest attempt that the pool was given."""
        return next(e for e in reversed(self.effects) if isinstance(e, ef.Submit)).tasks[-1]


def test_a_safe_point_is_journaled_before_it_is_answered() -> None:
    lab = Walk()
    assert lab.reaches("fit", 1, step=1) is True
    assert lab.state.nodes["fit"].saved == saved(1)
    assert lab.reaches("fit", 1, step=1) is True, "said again"
    assert lab.reaches("fit", 2) is True, "one without a state asks, and nothing is journaled"
    assert lab.told() == text("""
           0  fit saved what it has, at its safe point 1
    """)


def test_a_move_waits_for_a_safe_point_with_a_state_and_goes_on_from_it() -> None:
    lab = Walk()
    lab.move()
    assert lab.reaches("fit", 1) is True, "work is handed over, not thrown away"
    assert lab.reaches("fit", 2, step=2) is False
    task = lab.task()
    assert (task.node, task.fence, task.worker, task.saved) == ("fit", 2, "w2", saved(2))
    lab.begins("fit", "w2")
    assert lab.reaches("fit", 3, step=3) is False, "the old attempt has no say any more"
    assert lab.state.nodes["fit"].saved == saved(2)
    assert lab.told() == text("""
           0  ada proposes p1: fit moves to w2
           0  p1 opened
           0  p1 approved: ada is the owner
           0  p1 applied: ada is the owner
           0  fit is to go on on w2 from its next safe point
           0  fit saved what it has, at its safe point 2
           0  fit goes on on w2: at its safe point 2
              recall fit#1
           0  submitted fit#2
           0  fit started on w2
    """)


def test_a_move_that_names_no_worker_goes_anywhere_but_where_it_was() -> None:
    lab = Walk()
    lab.move(to="")
    assert lab.reaches("fit", 1, step=1) is False
    assert (lab.task().worker, lab.task().leaves) == ("", "w1")
    lab.begins("fit", "w2")
    lab.loses("fit")
    assert (lab.task().fence, lab.task().leaves) == (3, "w1"), "nor does it come back there by itself"
    lab.begins("fit", "w2")
    lab.reaches("fit", 0, fence=3, worker="w2")
    lab.move(to="w1")
    assert lab.reaches("fit", 1, step=2, fence=3, worker="w2") is False
    assert (lab.task().worker, lab.task().leaves) == ("w1", ""), "unless somebody says so"


def test_what_comes_to_none_in_time_is_moved_from_the_last_one() -> None:
    lab = Walk()
    lab.reaches("fit", 1, step=1)
    lab.move(grace=5.0)
    assert lab.state.next_due() == 5.0
    lab.tick(4.0)
    assert lab.state.nodes["fit"].state is NodeState.RUNNING
    lab.tick(1.0)
    assert (lab.task().fence, lab.task().saved) == (2, saved(1))
    assert lab.state.next_due() is None
    assert lab.reaches("fit", 2, step=2) is False


def test_what_the_pool_runs_again_by_itself_is_replaced_for_it_does_not_know_what_was_saved() -> None:
    lab = Walk()
    lab.reaches("fit", 1, step=1)
    lab.begins("fit", "w2", fence=1)
    assert (lab.task().fence, lab.task().saved) == (2, saved(1))
    assert lab.reaches("fit", 0, worker="w2") is False


def test_a_result_that_the_pool_makes_again_is_let_through() -> None:
    lab = Walk("fit > report")
    lab.succeeds("fit", where="pool")
    assert lab.reaches("fit", 0, worker="w2") is True
    assert lab.reaches("fit", 0, fence=7) is False


def test_a_move_ends_with_the_attempt_and_its_place_stays_for_the_next() -> None:
    lab = Walk("fit > report")
    lab.move()
    lab.loses("fit")
    assert lab.state.moves == {}
    assert (lab.task().fence, lab.task().worker) == (2, "w2")


def test_after_a_crash_a_node_goes_on_from_its_last_safe_point() -> None:
    lab = Walk()
    lab.reaches("fit", 1, step=1)
    lab.crash()
    lab.pool(2)
    assert (lab.task().node, lab.task().saved) == ("fit", saved(1))


def test_a_plain_function_is_not_moved_but_begins_anew_if_that_is_said() -> None:
    lab = Diary("fit > report", OwnerDecides())
    lab.start(slots=2)
    lab.begins("fit")
    change = Changeset(lab.state.dag.digest)
    lab.send(ms.Propose(0.0, "p1", change, "ada", steers=Move("fit")))
    assert "fit is a plain function" in lab.state.proposals["p1"].why
    lab.send(ms.Propose(0.0, "p2", change, "ada", steers=Move("fit", restart=True)))
    assert (lab.state.nodes["fit"].fence, lab.state.nodes["fit"].saved) == (2, None)


def test_a_move_and_a_change_of_the_graph_are_two_proposals() -> None:
    lab = Walk()
    change = lab.change().add_node(spec("more"))
    refused = lab.send(ms.Propose(0.0, "p1", change, "ada", steers=Move("fit")))
    assert refused.rule == "steer"
    assert "p1" not in lab.state.proposals
