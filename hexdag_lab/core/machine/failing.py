"""Agents that fail: what they ask of models is recorded, and after three failures in a row they are asked no more.

A failure is an answer that did not come: an error, or no answer in time. Who is suspended is absent from every vote,
and sees no events; to be added anew lets an agent begin anew.
"""

from __future__ import annotations

from . import events as ev
from . import messages as ms
from .step import Step

MOST_FAILURES = 3  #: in a row


def called(step: Step, m: ms.Called) -> None:
    """Record what an agent has asked of a model."""
    if m.agent in step.state.seats:
        step.emit(ev.AgentCalled, agent=m.agent, call=m.call)


def hooks_returned(step: Step, m: ms.HooksReturned) -> None:
    upto = step.state.hooks.get(m.agent)
    if upto is None or m.upto <= upto or step.state.over:
        return
    step.emit(ev.HooksSeen, agent=m.agent, upto=m.upto, failure=m.failure, broke=m.broke)
    suspend(step, m.agent, m.failure)


def suspend(step: Step, agent: str, why: str) -> None:
    """Ask an agent no more, if it has failed too often in a row; `why` is its last error."""
    if step.state.failing.get(agent, 0) < MOST_FAILURES or agent in step.state.suspended:
        return
    step.emit(ev.AgentSuspended, agent=agent, why=f"it failed {MOST_FAILURES} times in a row, the last time: {why}")
