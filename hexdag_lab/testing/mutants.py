"""Cores with one guard taken out, to show that the simulated world would notice: `World(seed, apply=no_fence)`.

A simulation that never fails proves nothing until something broken has been put into it. The third classic fault,
acting before the journal is written, is one of the controller and an argument of the world: `effects_first=True`.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from ..core.machine import decide
from ..core.machine import effects as ef
from ..core.machine import messages as ms
from ..core.machine.state import RunState
from ..core.runs.run import NodeState

Decided = tuple[RunState, list[Any], list[ef.Effect]]


def no_fence(state: RunState, message: Any) -> Decided:
    """A report counts for whatever attempt is in the pool, also if it is about an earlier one."""
    if isinstance(message, ms.Succeeded):
        rec = state.nodes.get(message.node)
        if rec is not None and rec.submitted:
            message = replace(message, fence=rec.fence)
    return decide.apply(state, message)


def no_result_guard(state: RunState, message: Any) -> Decided:
    """A result counts again when its node has one already."""
    if isinstance(message, ms.Succeeded):
        rec = state.nodes.get(message.node)
        if rec is not None and rec.state is NodeState.SUCCEEDED and rec.fence == message.fence:
            again = state.nodes.set(message.node, rec._replace(submitted=True))
            state = state._replace(nodes=again, outstanding=state.outstanding + 1)
    return decide.apply(state, message)
