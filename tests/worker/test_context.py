"""`hx.context()`: what a node can ask and say while it runs."""

from __future__ import annotations

import asyncio
import os
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

import hexdag_lab as hx
from hexdag_lab.core.base.codec import dumps, loads
from hexdag_lab.core.base.errors import DagError, HexdagError
from hexdag_lab.core.machine import messages as ms
from hexdag_lab.worker import values
from hexdag_lab.worker.context import CodeBlob, Note
from hexdag_lab.worker.execute import NOTHING
from hexdag_lab.worker.ship import unpack
from tests.worker.attempts import attempt


@hx.node
def first() -> int:
    return 1


@hx.node
def second(first: int = 0) -> int:
    return first + 1


DAG = hx.Dag.of(first)


def adds(dag: hx.Dag, name: str = "second") -> hx.Changeset:
    return hx.Changeset.on(dag).add_node(second.as_node(name, after="first"))


def test_there_is_no_context_outside_of_a_node() -> None:
    with pytest.raises(HexdagError, match="only inside a node that a run is executing"):
        hx.context()
    attempt(lambda: hx.context().node)
    with pytest.raises(HexdagError):
        hx.context()


def test_a_node_knows_which_attempt_it_is() -> None:
    def asks(a: int) -> list[Any]:
        ctx = hx.context()
        return [
            ctx.run_id,
            ctx.node,
            ctx.attempt,
            ctx.version,
            ctx.worker,
            dict(ctx.values),
            ctx.restored,
            ctx.decision,
        ]

    made = attempt(asks, ups={"a": 5}, attempt=3, version=2)
    assert made.value == ["run-1", "n", 3, 2, "w0", {"a": 5}, None, None]


@pytest.mark.parametrize("timeout", [None, 10])
def test_the_context_reaches_async_code_and_the_thread_of_a_timeout(timeout: float | None) -> None:
    async def inner() -> str:
        await asyncio.sleep(0)
        return hx.context().node

    async def asks() -> str:
        return await asyncio.create_task(inner())

    assert attempt(asks, timeout=timeout).value == "n"


def test_a_node_sees_the_graph_of_its_version() -> None:
    assert attempt(lambda: sorted(hx.context().dag), dag=DAG).value == ["first"]


# -- notes


def test_progress_and_log_arrive_in_order_and_within_bounds() -> None:
    def tells() -> None:
        ctx = hx.context()
        ctx.progress(0.25, "epoch 1")
        ctx.log("a line")
        ctx.progress(7)
        ctx.progress(-1, 3)  # type: ignore[arg-type]

    notes = attempt(tells).of(Note)
    assert [(n.node, n.fence, n.text, n.fraction) for n in notes] == [
        ("n", 1, "epoch 1", 0.25), ("n", 1, "a line", None), ("n", 1, "", 1.0), ("n", 1, "3", 0.0),
    ]  # fmt: skip
    assert [loads(dumps(note)) for note in notes] == notes


# -- proposals


def test_a_proposal_goes_out_with_its_code_before_it() -> None:
    def proposes() -> str:
        ctx = hx.context()
        return ctx.propose(adds(ctx.dag), "more is better", priority=3).id

    made = attempt(proposes, dag=DAG, proposer="researcher")
    blob, proposal = made.of(CodeBlob)[0], made.of(ms.Propose)[0]
    assert made.said.index(blob) < made.said.index(proposal)
    assert made.value == proposal.id == "run-1/n-1"
    assert (proposal.by, proposal.reason, proposal.priority) == ("researcher", "more is better", 3)
    assert proposal.changeset.nodes["second"].new.blob == blob.sha256 == sha256(blob.data).hexdigest()
    assert unpack(blob.data, blob.sha256)[0](first=4) == 5


def test_a_proposal_keeps_the_reason_that_its_changeset_carries() -> None:
    def proposes() -> None:
        hx.context().propose(adds(hx.context().dag).because("it says so"))

    assert attempt(proposes, dag=DAG).of(ms.Propose)[0].reason == "it says so"


def test_a_whole_graph_can_be_proposed() -> None:
    def proposes() -> None:
        ctx = hx.context()
        ctx.propose(ctx.dag.add_node(second))

    (proposal,) = attempt(proposes, dag=DAG).of(ms.Propose)
    assert proposal.changeset.added == ("second",)


def test_something_else_cannot_be_proposed() -> None:
    failure = attempt(lambda: hx.context().propose("add a node"), dag=DAG).failure  # type: ignore[arg-type]
    assert (failure.kind, failure.message) == (DagError.__name__, "propose a Changeset or a Dag, not str")


def test_proposals_without_a_key_are_numbered_and_a_key_names_one_for_good() -> None:
    def proposes() -> list[str]:
        ctx = hx.context()
        return [ctx.propose(adds(ctx.dag), key=key).id for key in (None, None, "deep", "deep")]

    assert attempt(proposes, dag=DAG).value == ["run-1/n-1", "run-1/n-2", "run-1/n-deep", "run-1/n-deep"]


def waits_twice() -> list[Any]:
    ctx = hx.context()
    one = ctx.propose(adds(ctx.dag, "one"), key="one")
    ctx.checkpoint(["before one"]) if ctx.restored is None else None
    first_decision = ctx.wait_for(one)
    two = ctx.propose(adds(ctx.dag, "two"), key="two")
    return [first_decision, ctx.wait_for(two), one.decision, two.decision, ctx.decision, ctx.restored]


def test_waiting_ends_the_attempt_and_saves_what_it_was_given() -> None:
    made = attempt(waits_twice, dag=DAG)
    (suspended,) = made.of(ms.Suspended)
    assert made.outcome == NOTHING
    assert suspended.proposal == "run-1/n-one"
    assert values.decode(suspended.saved, suspended.saved.inline) == ["before one"]
    assert not made.of(ms.Failed)


def test_the_next_attempt_finds_the_decision_goes_past_the_first_wait_and_waits_again() -> None:
    saved = values.encode(["before one"])
    made = attempt(waits_twice, dag=DAG, saved=saved, decision="APPLIED", decisions={"run-1/n-one": "APPLIED"})
    (suspended,) = made.of(ms.Suspended)
    assert suspended.proposal == "run-1/n-two"
    assert suspended.saved == saved  # nothing new was saved: what there was stays
    assert [proposal.id for proposal in made.of(ms.Propose)] == ["run-1/n-two"]  # a decided one is not made again


def test_the_last_attempt_has_both_decisions() -> None:
    decisions = {"run-1/n-one": "APPLIED", "run-1/n-two": "REJECTED"}
    made = attempt(waits_twice, dag=DAG, saved=values.encode(["before one"]), decision="REJECTED", decisions=decisions)
    assert made.value == ["APPLIED", "REJECTED", "APPLIED", "REJECTED", "REJECTED", ["before one"]]
    assert not made.of(ms.Propose)


def test_none_can_be_saved_in_place_of_something() -> None:
    def waits() -> None:
        ctx = hx.context()
        ctx.checkpoint(None)
        ctx.wait_for("run-1/p1")

    (suspended,) = attempt(waits, saved=values.encode("older")).of(ms.Suspended)
    assert values.decode(suspended.saved, suspended.saved.inline) is None


def test_code_that_catches_every_exception_does_not_catch_the_wait() -> None:
    def careless() -> str:
        try:
            return hx.context().wait_for("run-1/p1")
        except Exception:
            return "caught"

    assert attempt(careless).of(ms.Suspended)[0].proposal == "run-1/p1"


@pytest.mark.parametrize("timeout", [None, 10])
def test_an_async_node_can_wait(timeout: float | None) -> None:
    async def waits() -> str:
        return hx.context().wait_for("run-1/p1")

    assert attempt(waits, timeout=timeout).of(ms.Suspended)[0].proposal == "run-1/p1"


def test_a_checkpoint_that_cannot_travel_fails_the_attempt_instead_of_losing_it() -> None:
    def waits() -> None:
        ctx = hx.context()
        with Path(os.devnull).open() as file:
            ctx.checkpoint(file)
        ctx.wait_for("run-1/p1")

    made = attempt(waits)
    assert "TextIOWrapper cannot be shipped" in made.failure.message
    assert not made.of(ms.Suspended)


def test_a_large_checkpoint_goes_to_the_blob_store() -> None:
    def waits() -> None:
        hx.context().checkpoint(bytes(200_000))
        hx.context().wait_for("run-1/p1")

    made = attempt(waits)
    saved = made.of(ms.Suspended)[0].saved
    assert (saved.where, saved.inline) == ("blob", None)
    assert values.decode(saved, made.blobs.kept[saved.sha256]) == bytes(200_000)
