"""Which attempts may share a task of the pool's: first ones, of nodes that ask for nothing of their own."""

from __future__ import annotations

from typing import Any

import pytest

from hexdag_lab.core.machine import effects as ef
from hexdag_lab.core.runs.attempt import Task
from tests.core.machine.diary import Diary, graph


def tasks(lab: Diary) -> list[Task]:
    return [task for effect in lab.effects if isinstance(effect, ef.Submit) for task in effect.tasks]


def submitted(**options: Any) -> Task:
    lab = Diary(graph("fit", fit=options))
    lab.start(slots=2)
    (task,) = tasks(lab)
    return task


def test_a_plain_node_shares() -> None:
    assert submitted().shares
    assert submitted(retries=3, cost=1, optional=True).shares


@pytest.mark.parametrize(
    "asks",
    [{"timeout": 5}, {"effects": True}, {"concurrency": 2}, {"durable": True}],
    ids=lambda asks: next(iter(asks)),
)
def test_one_that_asks_for_something_does_not(asks: dict[str, Any]) -> None:
    assert not submitted(**asks).shares


def test_nor_does_a_second_attempt_whether_the_first_failed_or_was_lost() -> None:
    for ends in ("fails", "loses"):
        lab = Diary(graph("fit", fit={"retries": 1, "backoff": 0}))
        lab.start(slots=2)
        lab.begins("fit")
        getattr(lab, ends)("fit")
        assert [task.shares for task in tasks(lab)] == [True, False]
