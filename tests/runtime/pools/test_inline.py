"""The inline pool: an attempt begins when its last upstream has ended, and what is ready goes in the order of the runs'
longest chains."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

import hexdag_lab as hx
from hexdag_lab.core.base.errors import NotFinished
from hexdag_lab.core.base.frozen import FrozenDict
from hexdag_lab.core.machine import messages as ms
from hexdag_lab.core.runs.attempt import Input, Task
from hexdag_lab.runtime.pools.inline import InlinePool
from hexdag_lab.runtime.pools.turns import LATEST, Turns
from hexdag_lab.worker.ship import pack
from tests.runtime.kit import executions, open_gate, pass_gate, ran, until

pytestmark = pytest.mark.anyio


def at_the_gate(gate: str, witness: str, name: str, **ups: str) -> str:
    pass_gate(gate)
    ran(witness, name)
    if name == "fails":
        raise OSError("no")
    return " ".join([*ups.values(), name])


CODE = pack(hx.NodeSpec("any", at_the_gate))


class Attempts:
    """Makes attempts of nodes that wait at one gate and leave their names with one witness."""

    def __init__(self, home: Path) -> None:
        self.gate, self.witness = home / "gate", home / "witness"

    def __call__(self, name: str, *ups: str, priority: int = 0, run: str = "run", gate: str = "gate") -> Task:
        told = {"gate": str(self.gate.with_name(gate)), "witness": str(self.witness), "name": name}
        inputs = tuple(Input("*", up, 1) for up in ups)
        digest = sha256(CODE).hexdigest()
        return Task(run, name, 1, 1, 1, 1, digest, FrozenDict(told), inputs, collector="ups", priority=priority)

    def order(self) -> list[str]:
        """The nodes in the order in which they ran."""
        return [line.split()[0] for line in self.witness.read_text().splitlines()]


@pytest.fixture
def attempt(tmp_path: Path) -> Attempts:
    return Attempts(tmp_path)


@asynccontextmanager
async def pool(slots: int = 1) -> AsyncIterator[tuple[InlinePool, list[Any]]]:
    """A pool, and what it says."""
    made, said = InlinePool(slots), list[Any]()
    await made.open(lambda run, message: said.append(message))
    yield made, said
    await made.close()


async def submit(made: InlinePool, *tasks: Task) -> None:
    await made.submit(tasks, lambda reference: CODE)


def ended(said: Sequence[Any], kind: type = ms.Succeeded) -> list[str]:
    return [message.node for message in said if isinstance(message, kind)]


async def test_an_attempt_begins_when_its_last_upstream_has_ended_and_nobody_is_asked(attempt: Attempts) -> None:
    async with pool(4) as (made, said):
        await submit(made, attempt("a"), attempt("b"), attempt("c", "a", "b"), attempt("d", "c"))
        open_gate(attempt.gate)
        until(lambda: len(ended(said)) == 4)
        assert ended(said)[2:] == ["c", "d"]
        assert await made.value("run", "d", 1) == "a b c d"
        await submit(made, attempt("e", "d"))  # an upstream may have ended already
        until(lambda: "e" in ended(said))
        assert await made.value("run", "e", 1) == "a b c d e"


async def test_what_waits_gets_a_result_that_the_pool_was_told_to_forget_meanwhile(attempt: Attempts) -> None:
    async with pool(2) as (made, said):
        await submit(made, attempt("a", gate="sooner"), attempt("b"), attempt("c", "a", "b"))
        open_gate(attempt.gate.with_name("sooner"))
        until(lambda: ended(said) == ["a"])
        await made.forget("run", [("a", 1)])
        open_gate(attempt.gate)
        until(lambda: "c" in ended(said))
        assert await made.value("run", "c", 1) == "a b c"
        with pytest.raises(NotFinished):
            await made.value("run", "a", 1)


async def test_what_was_taken_back_while_it_waited_for_its_upstream_does_not_run(attempt: Attempts) -> None:
    async with pool() as (made, said):
        await submit(made, attempt("a"), attempt("b", "a"), attempt("c"))
        await made.withdraw("run", [("b", 1)])
        open_gate(attempt.gate)
        until(lambda: {"a", "c"} <= set(ended(said)))
        await submit(made, attempt("last"))
        until(lambda: "last" in ended(said))
    assert executions(attempt.witness) == {"a": 1, "c": 1, "last": 1}


async def test_what_waits_for_an_attempt_that_fails_says_nothing_and_does_not_run(attempt: Attempts) -> None:
    async with pool() as (made, said):
        await submit(made, attempt("fails"), attempt("below", "fails"), attempt("further", "below"))
        open_gate(attempt.gate)
        until(lambda: ended(said, ms.Failed))
        await submit(made, attempt("last"))
        until(lambda: "last" in ended(said))
    assert {message.node for message in said if not isinstance(message, ms.PoolChanged)} == {"fails", "last"}
    assert executions(attempt.witness) == {"fails": 1, "last": 1}


async def test_an_upstream_that_is_not_there_is_lost_and_so_is_what_needs_it(attempt: Attempts) -> None:
    async with pool() as (made, said):
        await submit(made, attempt("b", "a"), attempt("c"))
        assert ended(said, ms.Lost) == ["a", "b"]
        open_gate(attempt.gate)
        until(lambda: "c" in ended(said))
    assert executions(attempt.witness) == {"c": 1}


async def test_what_is_ready_goes_by_the_longest_chain_of_its_run(attempt: Attempts) -> None:
    async with pool() as (made, said):
        await submit(made, attempt("first", priority=4))
        until(lambda: ended(said, ms.Started))
        rows = [attempt("short", priority=1), attempt("long", priority=3), attempt("middle", priority=2)]
        await submit(made, *rows, attempt("other", priority=1, run="run2"))
        open_gate(attempt.gate)
        until(lambda: len(ended(said)) == 5)
    assert attempt.order() == ["first", "other", "long", "middle", "short"]


def test_what_has_waited_for_a_minute_goes_before_all_that_is_newer(attempt: Attempts) -> None:
    turns = Turns()
    start, end = attempt("start", priority=9), attempt("end", priority=1)
    assert turns.of(start, 0) < turns.of(end, 0)
    assert turns.of(end, 0) < turns.of(start, LATEST)
    assert turns.of(attempt("other", priority=1, run="run2"), 0) == turns.of(start, 0)
