"""Waiting for a run or a proposal: from a script, from a cell, and with `await`.

A cell that blocks the kernel's main thread also blocks the clicks that would decide, so a wait that only people could
end refuses there, and says what to do instead. The same holds for `await` in a cell of ipykernel 6, which hears no
click before the cell has ended.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

from ..core.base.errors import Refused, WouldBlock
from ..core.machine.state import RunState
from ..core.runs.run import NodeState
from ..core.votes.proposal import Proposal, ProposalState
from ..runtime.feed import Feed
from ..views.kernel import deaf_in_cells, in_main_thread

LOOK_EVERY = 0.2  #: seconds between looks whether only people are missing


def answer(future: Future[Any], timeout: float | None = 30.0) -> Any:
    """The answer to a command; a `Refused` is raised."""
    value = future.result(timeout)
    if isinstance(value, Refused):
        raise value
    return value


def wait(
    feed: Feed, met: Callable[[RunState], bool], timeout: float | None, stuck: Callable[[RunState], str]
) -> RunState:
    """The first state for which `met` holds. TimeoutError after `timeout` seconds.

    `stuck(state)` names the people without whom nothing moves, or is empty; then a notebook's main thread refuses."""
    future = feed.until(met)
    give_up = None if timeout is None else time.monotonic() + timeout
    guarded = in_main_thread()
    while True:
        left = None if give_up is None else max(0.0, give_up - time.monotonic())
        slice_ = LOOK_EVERY if guarded and (left is None or left > LOOK_EVERY) else left
        try:
            return future.result(slice_)
        except TimeoutError:
            if give_up is not None and time.monotonic() >= give_up:
                raise
        if guarded and (people := stuck(feed.state)):
            raise _would_block(people)


async def awaited(feed: Feed, met: Callable[[RunState], bool], stuck: Callable[[RunState], str]) -> RunState:
    """`wait` with `await`. It refuses only in a cell of a kernel that hears no click while a cell awaits.

    In a kernel it looks now and then: an interrupt waits for a loop that turns, and ipykernel does not wake one."""
    future = asyncio.wrap_future(feed.until(met))
    if not in_main_thread():
        return await future
    deaf = in_deaf_cell()
    try:
        while not (await asyncio.wait([future], timeout=LOOK_EVERY))[0]:
            if deaf and (people := stuck(feed.state)):
                raise _would_block(people)
        return future.result()
    finally:
        future.cancel()


def _would_block(people: str) -> WouldBlock:
    text = f"only a person can decide now ({people}), and a cell that waits keeps the buttons from working"
    fix = "decide before the next cell (ipykernel 7 hears buttons at any time)" if deaf_in_cells() else "use `await`"
    return WouldBlock(text, rule="would-block", fix=f"end the cell and {fix}, or vote in code: p.vote(...)")


def in_deaf_cell() -> bool:
    """Whether a cell awaits here, and its kernel hears nothing before that has ended.

    A task that a cell has made beside itself is not the cell: it keeps nobody from clicking."""
    if not deaf_in_cells():
        return False
    task = asyncio.current_task()
    return task is not None and getattr(task.get_coro(), "__name__", "") == "run_cell_async"


def people_only(state: RunState) -> str:
    """Names of the people without whose ballots nothing in the run moves; empty while something else goes on."""
    if state.over or state.outstanding or state.dues:
        return ""
    if any(upto < state.hookable for upto in state.hooks.values()):
        return ""
    if state.short is None and any(rec.state in (NodeState.READY, NodeState.RUNNING) for rec in state.nodes.values()):
        return ""  # it waits for a worker, or for `resume`
    waiting = [needed(state, proposal) for proposal in state.open_proposals()]
    if state.short is not None and not waiting:
        return state.owner  # it stays paused until somebody raises its budget
    return "; ".join(waiting) if waiting and all(waiting) else ""


def needed(state: RunState, proposal: Proposal) -> str:
    """Names of the people that a proposal waits for; empty if it waits for anybody else."""
    if proposal.state is not ProposalState.OPEN:
        return ""
    needs = proposal.tally(state.policy, state.at).needs
    humans = {name for name, seat in state.seats.items() if seat.human and seat.votes is None}
    return ", ".join(needs) if needs and set(needs) <= humans else ""
