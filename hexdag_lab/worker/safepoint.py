"""Safe points: the places where a running attempt can be stopped, and from which its node goes on elsewhere.

At a safe point an attempt hands over what it has so far and waits until that is in the journal; then it goes on, or is
told that its node goes on elsewhere, and ends. An attempt that was frozen or cut off is told so when it comes to its
next one. What it does outside before that is done twice: so what acts on the outside world has a safe point right
before it, without a state, which asks no more than whether the node is still this attempt's, and one with the new state
right after it.
"""

from __future__ import annotations

import inspect
import threading
import time
from collections.abc import AsyncGenerator, Callable, Generator
from typing import Any

from ..core.base.errors import HexdagError
from ..core.machine.messages import Checkpointed
from ..core.runs.attempt import Task
from ..core.runs.value import Kept

ASK_AGAIN = 0.5  #: seconds without an answer, after which a safe point is told once more
PATIENCE = 300.0  #: seconds without an answer, after which an attempt gives up: the store may be away for a while

Attempt = tuple[str, str, int]


class Displaced(BaseException):
    """Ends an attempt whose node goes on elsewhere. No Exception, so that `except Exception` in a node lets it pass."""


class Answers:
    """What attempts of this process have been told at their safe points; any thread may use it."""

    def __init__(self) -> None:
        self._waiting: dict[tuple[Attempt, int], list[bool]] = {}
        self._changed = threading.Condition()
        self._ended = False

    def give(self, attempt: Attempt, number: int, go_on: bool) -> None:
        """Answer an attempt that waits at the safe point of that number; nothing happens if it does not."""
        with self._changed:
            answer = self._waiting.get((attempt, number))
            if answer is not None:
                answer.append(go_on)
                self._changed.notify_all()

    def ask(self, attempt: Attempt, number: int, say: Callable[[], None]) -> bool:
        """Say that an attempt is at a safe point, again and again until it is answered: whether to go on."""
        key, give_up = (attempt, number), time.monotonic() + PATIENCE
        with self._changed:
            answer = self._waiting[key] = []
        try:
            while time.monotonic() < give_up:
                say()
                with self._changed:
                    if self._changed.wait_for(lambda: bool(answer) or self._ended, ASK_AGAIN):
                        return bool(answer) and answer[0]
        finally:
            with self._changed:
                del self._waiting[key]
        text = f"{attempt[1]}: nobody has journaled its safe point {number} for {PATIENCE:g} s; is its lab still there?"
        raise HexdagError(text)

    def end(self) -> None:
        """Nobody answers any more: whoever waits does not go on."""
        with self._changed:
            self._ended = True
            self._changed.notify_all()


class SafePoints:
    """Those of one attempt. `answers`: None where nobody answers, as in a test of a single attempt."""

    def __init__(self, task: Task, worker: str, say: Callable[[Any], None], answers: Answers | None) -> None:
        self._task, self._worker, self._say, self._answers = task, worker, say, answers
        self._number = -1

    def reach(self, saved: Kept | None) -> None:
        """Wait at the next safe point, with what is to be kept there; None: nothing new. Raises `Displaced`,
        `HexdagError`."""
        self._number += 1
        if self._answers is None:
            return
        task, number = self._task, self._number

        def say() -> None:
            self._say(Checkpointed(time.time(), task.node, task.fence, number, saved, self._worker))

        if not self._answers.ask((task.run, task.node, task.fence), number, say):
            raise Displaced


def has_safe_points(fn: Callable[..., Any]) -> bool:
    """Whether a function is likely to have some: it is a generator, or speaks of `checkpoint`. One that has them in a
    function that it calls is known to have them from the first that it reaches."""
    fn = inspect.unwrap(fn)
    code = getattr(fn, "__code__", None)
    return _generates(fn) or "checkpoint" in getattr(code, "co_names", ())


def _generates(fn: Callable[..., Any]) -> bool:
    return inspect.isgeneratorfunction(fn) or inspect.isasyncgenfunction(fn)


def driven(fn: Callable[..., Any], value: Any, checkpoint: Callable[[Any], None]) -> Any:
    """What a call gave; a generator function's generator is run to its end, with a safe point at each `yield`."""
    if not _generates(inspect.unwrap(fn)):
        return value
    return _run_through(value, checkpoint) if inspect.isgenerator(value) else _through(value, checkpoint)


def _run_through(generator: Generator[Any, Any, Any], checkpoint: Callable[[Any], None]) -> Any:
    """A generator's result: what it returns, or else the last that it yielded."""
    last = None
    try:
        while True:
            try:
                last = next(generator)
            except StopIteration as end:
                return last if end.value is None else end.value
            checkpoint(last)
    finally:
        generator.close()


async def _through(generator: AsyncGenerator[Any, Any], checkpoint: Callable[[Any], None]) -> Any:
    """An async generator's result: the last that it yielded."""
    last = None
    try:
        async for last in generator:
            checkpoint(last)
    finally:
        await generator.aclose()
    return last
