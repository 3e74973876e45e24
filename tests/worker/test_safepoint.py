"""Safe points of one attempt: what is said at them, and what the answers do."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest

import hexdag_lab as hx
from hexdag_lab.core.base.errors import HexdagError
from hexdag_lab.core.machine import messages as ms
from hexdag_lab.worker import safepoint, values
from hexdag_lab.worker.execute import NOTHING
from hexdag_lab.worker.safepoint import Answers, Displaced, has_safe_points
from tests.worker.attempts import Attempt, attempt


class Lab:
    """Answers at once, as far as it is told to; `said` are the safe points that it heard of."""

    def __init__(self, until: int = 99) -> None:
        self.answers, self.until = Answers(), until

    def hears(self, message: Any) -> None:
        if isinstance(message, ms.Checkpointed):
            self.answers.give(("run-1", message.node, message.fence), message.number, message.number <= self.until)


def run(fn: Any, until: int = 99, **options: Any) -> Attempt:
    lab = Lab(until)
    return attempt(fn, answers=lab.answers, hears=lab.hears, **options)


def saved(made: Attempt) -> list[Any]:
    return [said.saved and values.decode(said.saved, said.saved.inline) for said in made.of(ms.Checkpointed)]


def steps() -> Iterator[int]:
    yield from range((hx.context().restored or 0) + 1, 5)


def test_a_generator_waits_before_it_begins_and_at_each_yield() -> None:
    made = run(steps)
    assert [said.number for said in made.of(ms.Checkpointed)] == [0, 1, 2, 3, 4]
    assert saved(made) == [None, 1, 2, 3, 4]
    assert made.value == 4


def test_it_goes_on_from_what_was_saved() -> None:
    assert saved(run(steps, saved=values.encode(2))) == [None, 3, 4]


def test_an_attempt_that_is_told_no_ends_there_and_says_nothing_more() -> None:
    ended = []

    def careful() -> Iterator[int]:
        try:
            yield 1
            yield 2
        except Exception:  # what displaces an attempt is none
            yield 3
        finally:
            ended.append("cleaned up")

    made = run(careful, until=1)
    assert saved(made) == [None, 1, 2]
    assert made.outcome == NOTHING
    assert not made.of(ms.Failed)
    assert not made.of(ms.Succeeded)


def test_a_function_with_checkpoints_is_no_generator_and_has_them_too() -> None:
    def counts() -> int:
        ctx = hx.context()
        ctx.checkpoint("half")
        ctx.checkpoint()
        ctx.checkpoint(None)
        return 3

    made = run(counts)
    assert [(said.number, said.saved is None) for said in made.of(ms.Checkpointed)] == [
        (0, True), (1, False), (2, True), (3, False),
    ]  # fmt: skip
    assert made.value == 3


def test_an_async_generator_has_safe_points() -> None:
    async def walks() -> Any:
        for step in (1, 2):
            yield step

    assert saved(run(walks)) == [None, 1, 2]
    assert run(walks, until=1).outcome == NOTHING


def test_which_functions_are_known_to_have_safe_points() -> None:
    assert has_safe_points(steps)
    assert has_safe_points(lambda: hx.context().checkpoint(1))
    assert not has_safe_points(lambda: hx.context().progress(1))
    assert not has_safe_points(len)


def test_who_gets_no_answer_asks_again_and_gives_up_in_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(safepoint, "ASK_AGAIN", 0.01)
    monkeypatch.setattr(safepoint, "PATIENCE", 0.1)
    made = attempt(steps, answers=Answers(), hears=lambda _: None)
    assert len(made.of(ms.Checkpointed)) > 2
    assert {said.number for said in made.of(ms.Checkpointed)} == {0}
    assert made.failure.kind == HexdagError.__name__
    assert "nobody has journaled its safe point 0" in made.failure.message


def test_an_answer_that_nobody_waits_for_is_dropped_and_an_end_answers_all() -> None:
    answers = Answers()
    answers.give(("r", "n", 1), 0, True)
    threading.Timer(0.05, answers.end).start()
    assert answers.ask(("r", "n", 1), 0, lambda: None) is False
    assert issubclass(Displaced, BaseException)
    assert not issubclass(Displaced, Exception)
