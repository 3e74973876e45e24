"""At the limit of its budget a run pauses and asks: a proposal of its own, under the same policy as any other.

What runs goes on to its end. Approved, the budget is raised and the run resumes; rejected, it stays paused and says so,
and anybody who may propose can ask again.
"""

from __future__ import annotations

from ..dag.changeset import Changeset
from ..runs.estimate import Draws, Pace, draws_for, makespans, spread
from ..runs.run import RunStatus
from ..votes.budget import Budget
from ..votes.proposal import Proposal, ProposalState
from .landing import MOVED, relieve
from .limits import wanted
from .proposals import open_vote
from .state import RunState
from .steering import pause
from .step import Step

ASKER = MOVED  #: in whose name a run asks: its own


def watch(step: Step) -> None:
    """Pause and ask, if the run is at a limit; go on, if what is left fits in again, as when nodes were removed."""
    state = step.state
    if state.budget is None or state.over:
        return
    if state.status is RunStatus.PAUSED and state.short is not None:
        if _fits(state, state.budget, step.at):
            relieve(step, ASKER, "what is left fits into the budget")
        return
    if state.status is not RunStatus.RUNNING or not state.left:
        return
    lacks = _lacks(state, state.budget, step.at, step.short)
    if lacks.empty:
        return
    pause(step, ASKER, lacks)
    if not any(state.proposals[id_].raises is not None for id_ in state.open):
        _ask(step, lacks)


def _fits(state: RunState, limits: Budget, at: float) -> bool:
    """Whether all that is left is within the limits."""
    timely = limits.seconds is None or (state.used(at).seconds or 0.0) < limits.seconds
    return not state.left or (timely and wanted(state).beyond(limits).empty)


def _lacks(state: RunState, limits: Budget, at: float, short: bool) -> Budget:
    """What the run lacks to come to its end; empty while it is not at a limit."""
    seconds = None
    if limits.seconds is not None and (state.used(at).seconds or 0.0) >= limits.seconds:
        draws = Draws(Pace(state.dag, state.nodes.items()), state.run, draws_for(state.left))
        left = spread(makespans(state.dag, state.nodes.get, (), max(1, state.slots), at, draws))
        seconds = max(1.0, float(round(left.p90)))
    lacks = wanted(state).beyond(limits) if short else Budget()
    return Budget(seconds, lacks.cost, lacks.nodes)


def _ask(step: Step, lacks: Budget) -> None:
    state = step.state
    number = 1 + sum(p.raises is not None and p.by == ASKER for p in state.proposals.values())
    while f"{state.run}/budget-{number}" in state.proposals:
        number += 1
    reason = f"the budget of {state.budget} leaves no room for what is left: raise it by {lacks}?"
    proposal = Proposal(
        f"{state.run}/budget-{number}", ASKER, Changeset(state.dag.digest), state.version, reason, 100, "now", step.at,
        ProposalState.CHECKING, raises=lacks, checked=state.version,
    )  # fmt: skip
    open_vote(step, proposal)


def paused(state: RunState) -> str:
    """Why a run is paused, in one sentence."""
    if state.short is None:
        return "the run is paused"
    asked = [p for p in state.proposals.values() if p.raises is not None]
    text = f"the run is paused: its budget of {state.budget} lacks {state.short}"
    if not asked:
        return text
    last = max(asked, key=lambda p: (p.at, p.id))
    if not last.terminal:
        return f"{text}; {last.id} asks for {last.raises}"
    return f"{text}; {last.id} is {last.state} ({last.why}): run.raise_budget(…) asks again"
