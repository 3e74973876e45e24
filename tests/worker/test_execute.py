"""One attempt: its function gets what it wants, and whatever happens in it is said in one report."""

from __future__ import annotations

import asyncio
import linecache
import os
import sys
import threading
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import BaseModel, model_validator

from hexdag_lab.core.machine import messages as ms
from hexdag_lab.core.runs.attempt import Input
from hexdag_lab.worker import values
from hexdag_lab.worker.context import Note
from hexdag_lab.worker.execute import NOTHING, Outcome, World, execute
from hexdag_lab.worker.failures import with_sources
from tests.worker.attempts import attempt

# -- what goes in


def test_parameters_get_values_from_upstream_and_from_params() -> None:
    assert attempt(lambda a, b=1, *, c=2: (a, b, c), ups={"a": 5}, params={"c": 7}).value == (5, 1, 7)


def test_keyword_arguments_collect_the_remaining_upstreams_sorted_by_name() -> None:
    assert attempt(lambda **kw: list(kw.items()), many={"z": 1, "a": 2}).value == [("a", 2), ("z", 1)]


def test_a_parameter_named_inputs_collects_them_as_one_dict() -> None:
    assert attempt(lambda inputs, k=0: (inputs, k), many={"z": 1, "a": 2}, params={"k": 3}).value == (
        {"a": 2, "z": 1},
        3,
    )


def test_positional_only_parameters_are_filled_by_place() -> None:
    def takes(a: int, b: int = 10, /, c: int = 100) -> tuple[int, int, int]:
        return a, b, c

    assert attempt(takes, ups={"a": 1}).value == (1, 10, 100)
    assert attempt(takes, ups={"b": 2, "a": 1}, params={"c": 3}).value == (1, 2, 3)


def test_a_positional_only_parameter_without_a_value_before_one_with_one_takes_its_default() -> None:
    def takes(a: int = 1, b: int = 2, /) -> tuple[int, int]:
        return a, b

    assert attempt(takes, ups={"b": 5}).value == (1, 5)


def test_what_a_node_changes_in_its_params_changes_no_graph() -> None:
    params = {"names": ["a"]}

    def changes(names: list[str]) -> list[str]:
        names.append("b")
        return names

    assert attempt(changes, params=params).value == ["a", "b"]
    assert params == {"names": ["a"]}


def test_two_readers_of_a_small_result_get_one_each() -> None:
    outcome = attempt(lambda: [1]).outcome
    outcome.read().append(2)
    assert outcome.read() == [1]


def test_an_input_that_cannot_be_read_is_named() -> None:
    kept = values.encode([1])._replace(inline=None, where="blob")
    failure = attempt(lambda a: a, inputs=(Input("a", "load", 1, kept),)).failure
    assert failure.kind == "SchemaError"
    assert failure.message.startswith("the result of load cannot be read")


def test_an_attempt_whose_upstream_has_no_value_ends_without_a_word() -> None:
    said: list[Any] = []
    task: Any = None
    assert execute(task, b"", {"up": NOTHING, "other": Outcome(True)}, said.append, WORLD) == NOTHING
    assert said == []


WORLD = World("w0", lambda sha: b"", None, lambda run, version: None, lambda work: None)  # type: ignore[arg-type,return-value]

# -- models


class Order(BaseModel):
    amount: int
    tax: float = 0.2


class Pair(BaseModel):
    left: int
    right: int = 9


def test_in_model_validates_the_single_input() -> None:
    order = attempt(
        lambda order: type(order).__name__ + str(order.amount), ups={"order": {"amount": "3"}}, in_model=Order
    )
    assert order.value == "Order3"


def test_in_model_validates_several_inputs_as_a_dict_and_they_arrive_converted() -> None:
    assert attempt(lambda left, right: (left, right), ups={"left": "1", "right": 2.0}, in_model=Pair).value == (1, 2)


def test_in_model_fills_in_a_default_where_the_function_takes_it() -> None:
    assert attempt(lambda left, right, k: (left, right, k), ups={"left": 1, "k": 2}, in_model=Pair).value == (1, 9, 2)
    assert attempt(lambda left, k: (left, k), ups={"left": "1", "k": 2}, in_model=Pair).value == (1, 2)


def test_in_model_leaves_what_it_does_not_describe_alone() -> None:
    assert (
        attempt(lambda left, right, depth=3: depth, ups={"left": 1, "right": 2, "depth": 7}, in_model=Pair).value == 7
    )


def test_in_model_sees_what_keyword_arguments_collect() -> None:
    assert attempt(lambda **kw: kw, many={"left": "1", "right": "2"}, in_model=Pair).value == {"left": 1, "right": 2}


def test_input_that_does_not_fit_the_model_fails_and_names_the_field() -> None:
    failure = attempt(lambda order: 1, ups={"order": {"amount": "many"}}, in_model=Order).failure
    assert failure.kind == "ValidationError"
    assert failure.message == (
        "n: what goes in as 'order' is no Order: amount: input should be a valid integer, "
        "unable to parse string as an integer, but 'many' (str) came"
    )


def test_out_model_validates_the_result() -> None:
    assert attempt(lambda: {"amount": "3"}, out_model=Order).value == Order(amount=3)
    assert attempt(lambda: {"tax": 0.1}, out_model=Order).failure.message == (
        "n: what it returns is no Order: amount: field required, but {'tax': 0.1} (dict) came"
    )
    assert attempt(lambda: 7, out_model=Order).failure.message.endswith("but 7 (int) came")


def test_several_fields_and_places_in_nested_models_are_named() -> None:
    class Basket(BaseModel):
        orders: list[Order]

    def wrong(count: int) -> Any:
        return attempt(lambda: {"orders": [{"amount": "x" * 500}] * count}, out_model=Basket).failure.message

    assert "orders.0.amount: input should be" in wrong(1)
    assert len(wrong(1)) < 300
    assert wrong(9).endswith("; and 4 more")


def test_a_value_of_another_model_with_the_same_fields_will_do() -> None:
    class Sale(BaseModel):
        amount: int
        shop: str = "x"

    assert attempt(lambda order: order.amount, params={}, ups={"order": Sale(amount=3)}, in_model=Order).value == 3
    assert attempt(lambda: Sale(amount=3), out_model=Order).value == Order(amount=3)


def test_an_error_of_a_models_own_is_said_as_it_is() -> None:
    class Strict(BaseModel):
        amount: int

        @model_validator(mode="before")
        @classmethod
        def look(cls, value: Any) -> Any:
            raise KeyError("no such order")

    assert attempt(lambda: {"amount": 1}, out_model=Strict).failure.kind == "KeyError"


# -- how it is called


async def waits(n: int = 1) -> int:
    await asyncio.sleep(0)
    return n + 1


def test_an_async_node_is_awaited() -> None:
    assert attempt(waits).value == 2


def test_an_async_node_with_a_timeout_is_awaited() -> None:
    assert attempt(waits, timeout=10).value == 2


def test_a_node_that_takes_too_long_fails_with_a_sentence() -> None:
    def hangs() -> None:
        threading.Event().wait(60)

    failure = attempt(hangs, timeout=0.05).failure
    assert failure.kind == "TimeoutError"
    assert failure.message.startswith("no result after 0.05 s")


def test_an_error_in_a_node_with_a_timeout_keeps_its_lines() -> None:
    failure = attempt(divides_by_zero, timeout=10).failure
    assert (failure.kind, "return 1 // 0" in failure.trace) == ("ZeroDivisionError", True)


# -- how it ends


def divides_by_zero() -> float:
    return 1 // 0


def calls_another() -> float:
    return divides_by_zero()


def test_a_report_of_the_start_comes_first_and_one_of_the_end_last() -> None:
    made = attempt(lambda: 5)
    assert [type(message) for message in made.said] == [ms.Started, ms.Succeeded]
    assert made.result.inline == b"5"
    assert made.said[0].worker == made.said[1].worker == "w0"


def test_a_traceback_shows_the_users_own_lines_only() -> None:
    trace = attempt(calls_another).failure.trace
    assert [line.strip() for line in trace.splitlines() if line.startswith("    ") and "^" not in line] == [
        "return divides_by_zero()",
        "return 1 // 0",
    ]
    assert trace.count("File ") == trace.count(str(Path(__file__).name)) == 2


def test_lines_that_a_worker_does_not_have_are_filled_in_where_the_notebook_is() -> None:
    linecache.cache["<cell 7>"] = (0, None, ["def f():\n", "    return 1 / 0\n"], "<cell 7>")  # as IPython does
    trace = '  File "<cell 7>", line 2, in f\n  File "gone.py", line 9, in g\n'
    assert with_sources(trace) == '  File "<cell 7>", line 2, in f\n    return 1 / 0\n  File "gone.py", line 9, in g\n'
    known = attempt(calls_another).failure.trace
    assert with_sources(known) == known
    assert with_sources("") == ""


def test_an_async_traceback_shows_the_users_own_lines_only() -> None:
    async def fails() -> None:
        await waits()
        raise KeyError("lost")

    failure = attempt(fails).failure
    assert failure.trace.count("File ") == 1
    assert 'raise KeyError("lost")' in failure.trace


def test_an_error_shows_what_it_came_from() -> None:
    def wraps() -> None:
        try:
            divides_by_zero()
        except ZeroDivisionError as error:
            raise ValueError("no such share") from error

    trace = attempt(wraps).failure.trace
    assert (
        trace.index("return 1 // 0")
        < trace.index("ZeroDivisionError")
        < trace.index('raise ValueError("no such share")')
    )


@pytest.mark.parametrize(
    "error", [SystemExit(3), KeyboardInterrupt("stop"), GeneratorExit(), BaseException("odd")], ids=repr
)
def test_no_exception_whatsoever_gets_out_of_an_attempt(error: BaseException) -> None:
    def raises() -> None:
        raise error

    assert attempt(raises).failure.kind == type(error).__name__
    assert attempt(raises, timeout=5).failure.kind == type(error).__name__


def test_sys_exit_in_an_async_node_fails_the_attempt() -> None:
    async def leaves() -> None:
        sys.exit(2)

    assert attempt(leaves).failure.kind == "SystemExit"


def test_an_exception_that_cannot_be_printed_is_reported_all_the_same() -> None:
    class Mute(Exception):
        def __str__(self) -> str:
            raise RuntimeError("says nothing")

    def raises() -> None:
        raise Mute

    failure = attempt(raises).failure
    assert (failure.kind, failure.message) == ("Mute", "(its text cannot be had: RuntimeError)")


def test_a_long_message_and_a_deep_traceback_are_cut() -> None:
    def deep(n: int = 3000) -> int:
        return deep(n - 1) + 1

    assert attempt(deep).failure.kind == "RecursionError"

    def long() -> None:
        raise ValueError("x" * 100_000)

    assert len(attempt(long).failure.message) == 10_000


def test_a_generator_node_runs_through_and_its_result_is_what_it_returns_or_else_the_last_it_yielded() -> None:
    def returns() -> Generator[int, None, str]:
        yield 1
        return "done"

    def yields() -> Iterator[int]:
        yield from (1, 2)

    async def yields_too() -> Any:
        for step in (1, 2, 3):
            yield step

    assert [attempt(fn).value for fn in (returns, yields, yields_too)] == ["done", 2, 3]


def test_a_generator_as_a_value_is_refused_with_advice() -> None:
    def lazy() -> Any:
        return (n for n in (1, 2))

    assert attempt(lazy).failure.message == "a node returned a generator, which cannot be shipped; return a list"


def test_a_result_that_cannot_travel_fails_the_attempt_with_a_clear_sentence() -> None:
    failure = attempt(lambda: Path(os.devnull).open()).failure  # noqa: SIM115
    assert failure.kind == "SchemaError"
    assert "TextIOWrapper cannot be shipped" in failure.message
    assert "open files" in failure.message


def test_code_that_is_not_what_was_approved_is_not_run() -> None:
    made = attempt(lambda: 1, code=f"{'0' * 64}.mac")
    assert "do not match the hash that was approved" in made.failure.message


# -- where the result goes

BIG = 200_000


def bytes_of(n: int = BIG) -> bytes:
    return bytes(n)


def array_of(n: int = BIG) -> Any:
    return np.zeros(n, dtype=np.uint8)


LARGE = pytest.mark.parametrize("fn", [bytes_of, array_of], ids=["bytes", "array"])


@LARGE
def test_a_large_result_is_there_at_once_and_kept_in_the_background(fn: Any) -> None:
    made = attempt(fn)
    assert (made.result.where, made.result.size >= BIG) == ("pool", True)
    assert not made.blobs.kept
    (work,) = made.later
    work()
    (kept,) = made.of(ms.ResultKept)
    assert (kept.result.where, kept.result.inline) == ("blob", None)
    assert len(values.decode(kept.result, made.blobs.kept[kept.result.sha256])) == BIG
    assert len(made.outcome.read()) == BIG


@LARGE
def test_a_durable_result_is_kept_before_the_node_counts_as_finished(fn: Any) -> None:
    made = attempt(fn, durable=True)
    assert made.result.where == "blob"
    assert made.result.sha256 in made.blobs.kept
    assert not made.later


@LARGE
def test_a_result_that_is_not_to_be_kept_stays_in_the_pool(fn: Any) -> None:
    made = attempt(fn, durable=False)
    assert (made.result.where, made.later, made.blobs.kept) == ("pool", [], {})


def test_a_small_result_is_in_its_report_whatever_durable_says() -> None:
    for durable in (None, True, False):
        assert attempt(lambda: 1, durable=durable, blobs=False).result.inline == b"1"


def test_a_durable_result_needs_a_blob_store_within_reach() -> None:
    failure = attempt(bytes_of, durable=True, blobs=False).failure
    assert "does not reach the lab's blob store" in failure.message


def test_without_a_blob_store_a_large_result_stays_in_the_pool() -> None:
    made = attempt(bytes_of, blobs=False)
    assert (made.result.where, made.later) == ("pool", [])


def test_a_result_that_cannot_be_kept_in_the_background_stays_and_says_so() -> None:
    made = attempt(bytes_of)
    made.blobs.full = True
    (work,) = made.later
    work()
    assert [note.text for note in made.of(Note)] == ["its result could not be kept: the disk is full"]
    assert not made.of(ms.ResultKept)
