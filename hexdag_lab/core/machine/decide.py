"""`decide(state, message) -> (events, effects)`: what a message means in a state. Pure and total.

`apply` is the same and gives the next state as well, so that a controller need not fold the events a second time.
`recover` says what has to be done again after a crash.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ..base.errors import Refused
from ..dag.catalog import HIGH
from ..dag.changeset import Changeset
from ..runs.run import NodeState, RunStatus
from ..votes.people import PersonForRisk
from ..votes.proposal import ProposalState
from . import asking, attempts, claims, endings, failing, landing, lessons, proposals, reuse, signatures, steering
from . import effects as ef
from . import events as ev
from . import messages as ms
from .state import RunState
from .step import Step


def decide(state: RunState, message: Any) -> tuple[list[Any], list[ef.Effect]]:
    """The events that record a message, and the effects that it asks of the world."""
    step = _decided(state, message)
    return step.events, step.effects


def apply(state: RunState, message: Any) -> tuple[RunState, list[Any], list[ef.Effect]]:
    """`decide`, and the state after its events."""
    step = _decided(state, message)
    return step.state, step.events, step.effects


def _decided(state: RunState, message: Any) -> Step:
    step = Step(state, message.at)
    if not state.started and not isinstance(message, ms.StartRun):
        if isinstance(message, ms.COMMANDS):
            step.reply(Refused("there is no such run", rule="unknown-run", fix="see lab.runs()"))
        return step
    _HANDLERS[type(message)](step, message)
    return step


def recover(state: RunState) -> list[ef.Effect]:
    """What to do again when a controller takes over: show workers the versions, ask who has not voted.

    Submitting follows from the next `Dispatch`: after `Attach` nothing counts as submitted.
    """
    if state.over or not state.started:
        return []
    effects: list[ef.Effect] = []
    for older, version in zip((None, *state.versions), state.versions, strict=False):
        change = version.dag if older is None else Changeset.between(older.dag, version.dag)
        effects.append(ef.Publish(version.number, change))
    return [*effects, *unasked(state)]


def unasked(state: RunState) -> list[ef.AskVote]:
    """The agents whose ballots are missing, as far as they can be asked."""
    asks: list[ef.AskVote] = []
    for proposal in state.open_proposals():
        cast = proposal.cast()
        undecided = proposal.state is ProposalState.OPEN and proposal.electorate is not None
        seats = proposal.electorate.seats if undecided and proposal.electorate else ()
        asks += [
            ef.AskVote(proposal.id, seat.id)
            for seat in seats
            if seat.votes is not None and seat.id not in cast and seat.id != proposal.by
        ]
    return asks


def _start(step: Step, m: ms.StartRun) -> None:
    if step.state.started:
        return step.reply(Refused(f"run {m.run} exists already", rule="run-exists", fix="choose another run_id"))
    risky = any(listed.risk == HIGH for listed in m.operations.values())
    policy = PersonForRisk(m.policy) if risky and not isinstance(m.policy, PersonForRisk) else m.policy
    step.emit(
        ev.RunStarted, run=m.run, dag=m.dag, inputs=m.inputs, policy=policy, seats=m.seats, owner=m.owner, by=m.by,
        schedule=m.schedule, budget=m.budget, done=m.done, trust=m.trust, operations=m.operations,
    )  # fmt: skip
    step.act(ef.Publish(1, step.state.dag))
    return step.reply(m.run)


def _join(step: Step, m: ms.Join) -> None:
    if (dropped := signatures.key_dropped(step.state, m.seat)) is not None:
        return step.reply(dropped)
    away = m.seat.hooks is not None and m.seat.id not in step.state.hooks  # as after an Attach without it
    if (step.state.seats.get(m.seat.id) != m.seat or away) and not step.state.over:
        step.emit(ev.SeatTaken, seat=m.seat)
    return step.reply(m.seat.id)


def _attach(step: Step, m: ms.Attach) -> None:
    if step.state.over:
        return step.reply(step.state.run)
    again = tuple(
        sorted(
            name
            for name, rec in step.state.nodes.items()
            if rec.state is NodeState.SUCCEEDED and rec.result is not None and rec.result.where == "pool"
        )
    )
    step.emit(ev.RunAttached, by=m.by, again=again, absent=m.absent)
    step.effects += recover(step.state)
    return step.reply(step.state.run)


def _pause(step: Step, m: ms.Pause) -> None:
    refused = proposals.may_steer(step.state, m.by)
    if refused is None and step.state.status is RunStatus.RUNNING:
        steering.pause(step, m.by)
    step.reply(refused or True)


def _resume(step: Step, m: ms.Resume) -> None:
    refused = proposals.may_steer(step.state, m.by)
    if refused is None and step.state.status is RunStatus.PAUSED:
        step.emit(ev.RunResumed, by=m.by)
    step.reply(refused or True)


def _hooks_returned(step: Step, m: ms.HooksReturned) -> None:
    upto = step.state.hooks.get(m.agent)
    if upto is not None and m.upto > upto and not step.state.over:
        step.emit(ev.HooksSeen, agent=m.agent, upto=m.upto, failure=m.failure)


def _tick(step: Step, m: ms.Tick) -> None:
    if not step.state.over:
        attempts.retries_due(step)
        steering.moves_due(step)
        proposals.deadlines(step)


def _dispatch(step: Step, m: ms.Dispatch) -> None:
    landing.land(step)
    asking.watch(step)
    attempts.dispatch(step, m)
    if step.short:
        asking.watch(step)


_HANDLERS: Mapping[type, Callable[[Step, Any], None]] = {
    ms.StartRun: _start,
    ms.Join: _join,
    ms.Attach: _attach,
    ms.Pause: _pause,
    ms.Resume: _resume,
    ms.Propose: proposals.propose,
    ms.CastBallot: proposals.cast_ballot,
    ms.Withdraw: proposals.withdraw,
    ms.Judge: lessons.judge,
    ms.VoterAbsent: proposals.voter_absent,
    ms.HooksReturned: failing.hooks_returned,
    ms.Called: failing.called,
    ms.PoolChanged: attempts.pool_changed,
    ms.WorkerSeen: attempts.worker_seen,
    ms.Started: attempts.started,
    ms.Succeeded: attempts.succeeded,
    ms.Failed: endings.failed,
    ms.Skipped: endings.skipped,
    ms.Lost: endings.lost,
    ms.Unbegun: steering.unbegun,
    ms.Suspended: attempts.suspended,
    ms.Checkpointed: steering.checkpointed,
    ms.ResultKept: attempts.result_kept,
    ms.LookedUp: reuse.looked_up,
    ms.LeaseTaken: claims.taken,
    ms.LeaseBusy: claims.busy,
    ms.LeaseLost: claims.lost,
    ms.Tick: _tick,
    ms.Dispatch: _dispatch,
}
