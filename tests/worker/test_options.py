"""What the options of a node mean for one attempt: its condition, what stands in for its result, and its time."""

from __future__ import annotations

import asyncio
import threading
import time
from typing import Any

import pytest

import hexdag_lab as hx
from hexdag_lab.core.machine import messages as ms
from hexdag_lab.core.runs.run import Failure
from hexdag_lab.worker.within import strays, within
from tests.runtime.kit import until
from tests.worker.attempts import attempt


def doubles(rows: int, factor: int = 2) -> int:
    return rows * factor


def enough(rows: int) -> bool:
    return rows > 2


async def enough_in_time(rows: int) -> bool:
    await asyncio.sleep(0)
    return rows > 2


def large_factor(factor: int) -> bool:
    return factor > 5


class TestConditions:
    @pytest.mark.parametrize("when", [enough, enough_in_time, lambda rows: rows > 2, lambda **kw: kw["rows"] > 2])
    def test_where_it_is_true_the_node_runs(self, when: Any) -> None:
        assert attempt(doubles, ups={"rows": 3}, when=when).value == 6

    @pytest.mark.parametrize("when", [enough, enough_in_time])
    def test_where_it_is_false_the_node_is_skipped_with_the_conditions_name(self, when: Any) -> None:
        done = attempt(doubles, ups={"rows": 2}, when=when)
        assert not done.outcome.ok
        (skipped,) = done.of(ms.Skipped)
        assert skipped.why == f"its condition {when.__name__}() is false"
        assert not done.of(ms.Failed)

    def test_a_condition_sees_the_defaults_of_the_node(self) -> None:
        assert attempt(doubles, ups={"rows": 3}, when=large_factor).of(ms.Skipped)
        assert attempt(doubles, ups={"rows": 3}, params={"factor": 7}, when=large_factor).value == 21

    def test_a_condition_that_fails_fails_the_attempt(self) -> None:
        assert attempt(doubles, ups={"rows": 3}, when=lambda rows: rows / 0).failure.kind == "ZeroDivisionError"

    def test_a_node_can_skip_itself_with_a_reason(self) -> None:
        def looks() -> int:
            try:
                hx.context().skip("nothing new")
            except Exception:
                return 1

        (skipped,) = attempt(looks).of(ms.Skipped)
        assert skipped.why == "nothing new"

    def test_a_collector_whose_upstreams_were_all_skipped_is_empty(self) -> None:
        def count(inputs: dict[str, int]) -> int:
            return len(inputs)

        assert attempt(count).value == 0


FAILURE = Failure("ValueError", "no luck")


class TestStandIns:
    def test_it_gets_the_failure_and_what_it_names_of_the_nodes_arguments(self) -> None:
        def mends(failure: Any, rows: int, factor: int) -> Any:
            return [failure.kind, failure.message, rows, factor]

        done = attempt(doubles, ups={"rows": 3}, on_error=mends, failure=FAILURE)
        assert done.value == ["ValueError", "no luck", 3, 2]

    def test_the_nodes_own_function_and_condition_are_not_called_again(self) -> None:
        done = attempt(raises_type_error, on_error=lambda failure: 0, when=lambda: False, failure=FAILURE)
        assert done.value == 0

    def test_it_may_be_async_and_may_fail(self) -> None:
        async def gives_up(failure: Any) -> None:
            raise LookupError(failure.kind)

        assert (
            str(attempt(doubles, ups={"rows": 1}, on_error=gives_up, failure=FAILURE).failure)
            == "LookupError: ValueError"
        )


def raises_type_error() -> None:
    raise TypeError("never")


class TestTime:
    def test_an_async_node_that_runs_out_of_time_is_cancelled(self) -> None:
        async def hangs() -> None:
            await asyncio.sleep(60)

        before = strays()
        failure = attempt(hangs, timeout=0.05).failure
        assert str(failure) == "TimeoutError: no result after 0.05 s; it was stopped"
        assert strays() <= before

    def test_a_loop_that_runs_out_of_time_is_stopped_in_the_middle(self) -> None:
        before = strays()
        failure = attempt(_counts_for_ever, timeout=0.05).failure
        assert str(failure) == "TimeoutError: no result after 0.05 s; it was stopped"
        assert strays() <= before

    def test_what_cannot_be_stopped_is_counted_and_said_and_its_process_is_told(self) -> None:
        until_free, before = threading.Event(), strays()
        told: list[int] = []

        def says() -> str:
            told.append(strays())
            return "somebody does something about it"

        with pytest.raises(TimeoutError, match=r"does not stop \(\d+ such threads? in this process\): somebody does"):
            within(0.05, lambda _: _waits_in_c(until_free), says)
        assert told[0] > before
        until_free.set()
        until(lambda: strays() < told[0])

    def test_what_ends_in_time_is_left_alone(self) -> None:
        assert within(30, lambda running: running.result(3), lambda: "") == 3
        with pytest.raises(KeyError):
            within(30, lambda _: {}["x"], lambda: "")


def _counts_for_ever() -> None:
    while True:
        pass


def _waits_in_c(free: threading.Event) -> None:
    """A wait that no error from outside interrupts: it swallows each."""
    while not free.is_set():
        try:
            time.sleep(0.01)
        except BaseException:
            continue
