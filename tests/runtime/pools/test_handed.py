"""What Dask has been handed: a key for each attempt, or one for a bundle, which is let go with the last of it."""

from __future__ import annotations

from typing import Any

from hexdag_lab.core.base.frozen import FrozenDict
from hexdag_lab.core.runs.attempt import Input, Task
from hexdag_lab.core.runs.bundle import FIRST
from hexdag_lab.core.runs.value import Kept
from hexdag_lab.runtime.pools.handed import SMALL_INPUT, STUCK, Handed, Kinds, attempt_of


class Future:
    released = False

    def release(self) -> None:
        assert not self.released, "Dask counts"
        self.released = True


def task(node: str, shares: bool = True, inputs: tuple[Input, ...] = (), code: str = "code") -> Task:
    return Task("run", node, 1, 1, 1, 1, code, FrozenDict(), inputs, shares=shares)


def tasks(count: int, **more: Any) -> list[Task]:
    return [task(f"n{number}", **more) for number in range(count)]


def measured(count: int = 100, seconds: float = 0.001, size: int = 1) -> Kinds:
    kinds = Kinds()
    first = [task(f"first{number}") for number in range(count)]
    assert kinds.group(first, 1) == [(one,) for one in first]
    for one in first:
        kinds.succeeded(attempt_of(one), seconds, size)
    return kinds


# -- grouping


def test_the_first_of_a_kind_go_alone_and_the_next_ones_together() -> None:
    assert [len(group) for group in measured(FIRST - 1).group(tasks(8), 1)] == [1] * 8
    assert [len(group) for group in measured(FIRST).group(tasks(8), 1)] == [4, 4]
    assert [len(group) for group in measured().group(tasks(8), 2)] == [4, 4]


def test_long_ones_and_those_with_large_results_go_alone() -> None:
    assert [len(group) for group in measured(seconds=0.006).group(tasks(8), 1)] == [1] * 8
    assert [len(group) for group in measured(size=5000).group(tasks(8), 1)] == [1] * 8


def test_what_may_not_share_or_waits_or_brings_much_along_goes_alone_after_the_bundles() -> None:
    inline = Kept("json", 0, "", b"x" * (SMALL_INPUT + 1))
    waits, heavy = task("waits", inputs=(Input("x", "n0", 1),)), task("heavy", inputs=(Input("x", "up", 1, inline),))
    fit, unfit = tasks(4), [task("asks", shares=False), waits, heavy]
    made = measured().group([*unfit, *fit], 1)
    assert made == [tuple(fit), *((one,) for one in unfit)]


def test_what_was_taken_back_or_has_failed_is_not_measured() -> None:
    kinds = Kinds()
    for one in tasks(100):
        kinds.group([one], 1)
        kinds.ended([attempt_of(one)])
        kinds.succeeded(attempt_of(one), 0.001, 1)
    assert [len(group) for group in kinds.group(tasks(8), 1)] == [1] * 8


# -- holding


def test_a_bundle_is_let_go_with_the_last_that_is_wanted() -> None:
    handed, future, (a, b) = Handed(), Future(), map(attempt_of, tasks(2))
    handed.add("key", tasks(2), future)
    handed.release([a])
    assert not future.released
    assert handed.in_bundles([a, b]) == [b]
    handed.release([a, b])
    assert future.released
    assert handed.held == {}
    assert handed.attempts(["key", "of others"]) == [a, b], "Dask may still be at work on it"
    handed.forget(live={"another run"})
    assert handed.attempts(["key"]) == []


def test_what_is_chained_to_a_bundle_is_known_while_it_is_wanted() -> None:
    handed, made = Handed(), tasks(2)
    waits = task("waits", inputs=(Input("x", "n0", 1), Input("y", "n1", 1), Input("z", "elsewhere", 1)))
    handed.add("key", made, Future())
    handed.add("alone", [waits], Future())
    handed.release(map(attempt_of, made))
    assert handed.chained_to("key") == [attempt_of(waits)]
    handed.release([attempt_of(waits)])
    assert handed.chained_to("key") == []
    handed.forget(live={"another run"})
    assert handed.attempts(["key"]) == []


def test_what_leaves_a_bundle_is_no_longer_in_it_and_nothing_is_lost_of_the_rest() -> None:
    handed, future, made = Handed(), Future(), tasks(3)
    a, b, c = map(attempt_of, made)
    handed.add("key", made, future)
    handed.release([a])
    assert handed.taken_out([b, a]) == [made[1]], "one that is not wanted does not come back"
    assert handed.attempts(["key"]) == [a, c]
    assert list(handed.held) == [c]
    handed.add("alone", [made[1]], Future())
    assert handed.in_bundles([b, c]) == [c]


def test_a_bundle_is_stuck_when_it_has_begun_and_nothing_is_heard_of_it() -> None:
    handed, made = Handed(), tasks(2)
    handed.add("key", made, Future())
    assert list(handed.stuck(1000.0)) == [], "it has not begun"
    handed.hear(attempt_of(made[0]), 1000.0)
    assert list(handed.stuck(1000.0 + STUCK / 2)) == []
    assert list(handed.stuck(1000.1 + STUCK)) == [[attempt_of(one) for one in made]]
    assert list(handed.stuck(1000.2 + STUCK)) == [], "once is enough"
