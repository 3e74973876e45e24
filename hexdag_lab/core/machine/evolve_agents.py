"""How the events about agents change the state: a part of `evolve`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..base.frozen import FrozenDict
from ..votes.agent import Seat
from ..votes.ballot import Ballot, Choice
from ..votes.calls import Usage
from . import events as ev
from .state import RunState

BY_THE_DESK = "rule"  #: via: a ballot that an agent's function has answered


def seated(state: RunState, seat: Seat, seen: int) -> RunState:
    """With a seat, which sees the events after `seen`."""
    hooks = {name: upto for name, upto in state.hooks.items() if name != seat.id}
    if seat.hooks is not None:
        hooks[seat.id] = state.hooks.get(seat.id, seen)
    return state._replace(seats=FrozenDict({**state.seats, seat.id: seat}), hooks=FrozenDict(hooks))


def _seat_taken(state: RunState, e: ev.SeatTaken) -> RunState:
    """Who is added anew begins anew, whatever went wrong before."""
    return _with(seated(state, e.seat, state.seq), e.seat.id, 0, None)


def _hooks_seen(state: RunState, e: ev.HooksSeen) -> RunState:
    if e.agent not in state.hooks:
        return state
    state = state._replace(hooks=FrozenDict({**state.hooks, e.agent: e.upto}))
    return state if e.failure and not e.broke else _counted(state, e.agent, e.broke)


def voted(state: RunState, ballot: Ballot) -> RunState:
    """With it counted whether an agent that was asked has answered; what somebody votes by hand is no such answer."""
    failed = ballot.choice is Choice.ABSENT
    return _counted(state, ballot.voter, failed) if failed or ballot.via == BY_THE_DESK else state


def _counted(state: RunState, agent: str, failed: bool) -> RunState:
    if agent in state.suspended or not (failed or agent in state.failing):
        return state
    return _with(state, agent, state.failing.get(agent, 0) + 1 if failed else 0, None)


def _agent_called(state: RunState, e: ev.AgentCalled) -> RunState:
    usage = state.calls.get(e.agent, Usage()).plus(e.call)
    return state._replace(calls=FrozenDict({**state.calls, e.agent: usage}), paid=state.paid + e.call.cost)


def _agent_suspended(state: RunState, e: ev.AgentSuspended) -> RunState:
    hooks = FrozenDict({name: upto for name, upto in state.hooks.items() if name != e.agent})
    return _with(state._replace(hooks=hooks), e.agent, state.failing.get(e.agent, 0), e.why)


def _with(state: RunState, agent: str, failures: int, suspended: str | None) -> RunState:
    failing = {name: count for name, count in state.failing.items() if name != agent}
    out = {name: why for name, why in state.suspended.items() if name != agent}
    failing |= {agent: failures} if failures else {}
    out |= {agent: suspended} if suspended is not None else {}
    return state._replace(failing=FrozenDict(failing), suspended=FrozenDict(out))


AGENTS: dict[type, Callable[[RunState, Any], RunState]] = {
    ev.SeatTaken: _seat_taken,
    ev.HooksSeen: _hooks_seen,
    ev.AgentCalled: _agent_called,
    ev.AgentSuspended: _agent_suspended,
}
