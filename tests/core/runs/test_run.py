"""The states of nodes and runs as tables, and a node's record."""

from __future__ import annotations

import pytest

from hexdag_lab.core.base.codec import dumps, loads
from hexdag_lab.core.base.merkle import MerkleMap
from hexdag_lab.core.runs.run import (
    NODE_TRANSITIONS,
    OVER,
    PASSED,
    RUN_TRANSITIONS,
    SETTLED,
    STARTED,
    Failure,
    NodeRecord,
    NodeState,
    RunStatus,
    backoff,
)
from hexdag_lab.core.runs.value import Kept

N = NodeState


def test_the_tables_list_every_state() -> None:
    assert set(NODE_TRANSITIONS) == set(NodeState)
    assert set(RUN_TRANSITIONS) == set(RunStatus)
    assert all(following <= set(NodeState) for following in NODE_TRANSITIONS.values())
    assert all(state not in following for state, following in NODE_TRANSITIONS.items())


def test_every_node_state_can_be_reached_and_left_for_an_end() -> None:
    for start in set(NodeState) - SETTLED:
        reached, todo = {start}, [start]
        while todo:
            for state in NODE_TRANSITIONS[todo.pop()] - reached:
                reached.add(state)
                todo.append(state)
        assert reached == set(NodeState)


def test_a_run_that_is_over_stays_over() -> None:
    assert {RunStatus.SUCCEEDED, RunStatus.FAILED, RunStatus.CANCELLED} == OVER
    assert RUN_TRANSITIONS[RunStatus.PAUSED] == {RunStatus.RUNNING, RunStatus.CANCELLED}


def test_groups_of_states() -> None:
    assert PASSED < SETTLED
    assert not SETTLED & {N.WAITING, N.READY, N.RUNNING, N.SUSPENDED}
    assert not STARTED & {N.WAITING, N.READY, N.BLOCKED}


@pytest.mark.parametrize(
    ("failures", "seconds"), [(1, 2.0), (2, 4.0), (3, 8.0), (11, 2048.0), (12, 3600.0), (10_000, 3600.0)]
)
def test_backoff_doubles_up_to_an_hour(failures: int, seconds: float) -> None:
    assert backoff(2.0, failures) == seconds
    assert backoff(0.0, failures) == 0.0


def test_a_failure_reads_as_python_would_say_it() -> None:
    assert str(Failure("ValueError", "no rows")) == "ValueError: no rows"
    assert str(Failure("KeyboardInterrupt", "")) == "KeyboardInterrupt"


def test_records_are_compared_by_content() -> None:
    failed = NodeRecord(N.FAILED, failure=Failure("ValueError", "x"), result=Kept("json", 1, "ab"))
    again = NodeRecord(N.FAILED, failure=Failure("ValueError", "x"), result=Kept("json", 1, "ab"))
    assert MerkleMap({"a": failed}) == MerkleMap({"a": again})
    assert MerkleMap({"a": failed}) != MerkleMap({"a": failed._replace(lost=1)})
    assert [name for name, *_ in MerkleMap({"a": failed}).diff(MerkleMap({"a": NodeRecord()}))] == ["a"]
    assert loads(dumps(failed.failure)) == failed.failure
