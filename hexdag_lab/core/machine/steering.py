"""Proposals that steer a run instead of changing its graph: a node moves to another worker, or the run ends.

Moving is cooperative. An attempt that has safe points waits at each until it is journaled what it has so far, and is
told whether to go on; so it is stopped by an answer, and what it saved last is what it goes on with. One that does not
come to its next safe point, as on a worker that is frozen, is moved after a while all the same: its fence is old then,
and at its next safe point it is told so. What has no safe points cannot be moved, only begun anew.
"""

from __future__ import annotations

from ..runs.run import SETTLED, NodeRecord, NodeState, RunStatus
from ..votes.budget import Budget
from ..votes.proposal import Check, Proposal
from ..votes.steer import End, Move, Steer
from . import effects as ef
from . import events as ev
from . import messages as ms
from .endings import lost
from .state import RunState
from .step import Step


def steer_checks(state: RunState, steers: Steer) -> tuple[Check, ...]:
    """The facts that speak for or against it; no vote can overrule them."""
    if isinstance(steers, End):
        return ()
    rec = state.nodes.get(steers.node)
    if rec is None:
        known = ", ".join(sorted(state.nodes)[:5])
        return (Check("node", False, f"there is no node {steers.node!r} to move", steers.node, f"name one of {known}"),)
    if rec.state in SETTLED or steers.node in state.held:
        text = f"{steers.node} has finished" if rec.state is NodeState.SUCCEEDED else f"{steers.node} is {rec.state}"
        return (Check("finished", False, text, steers.node, "there is nothing to move any more"),)
    if rec.state is NodeState.RUNNING and not rec.movable and not steers.restart:
        text = f"{steers.node} is a plain function: it can be begun anew elsewhere, and not moved"
        fix = "say restart=True, which loses what it has done; or yield its state in its loop, or ctx.checkpoint(state)"
        return (Check("movable", False, text, steers.node, fix),)
    return (Check("movable", True, "it goes on from its last safe point" if rec.movable else "it can begin anew"),)


def steer(step: Step, proposal: Proposal, by: str) -> None:
    """Apply an approved proposal that steers the run; its checks hold."""
    assert proposal.steers is not None
    step.emit(ev.ProposalApplied, proposal=proposal.id, why=step.state.proposals[proposal.id].why, by=by)
    if isinstance(proposal.steers, End):
        _end_run(step, proposal.by)
    else:
        _move(step, proposal.steers, proposal.id)


def _end_run(step: Step, by: str) -> None:
    """End the run: what has not finished is cancelled, what is open is withdrawn."""
    for id_ in step.state.open:
        step.emit(ev.ProposalWithdrawn, proposal=id_, why="the run was cancelled", by=by)
    step.recall(sorted(step.state.nodes))
    step.emit(ev.RunFinished, status=RunStatus.CANCELLED, by=by)


def _move(step: Step, move: Move, proposal: str) -> None:
    rec = step.state.nodes[move.node]
    if rec.state is NodeState.RUNNING and rec.movable and not move.restart:
        due = step.at + move.grace
        step.emit(ev.NodeMoving, node=move.node, version=step.state.version, to=move.to, due=due, proposal=proposal)
    else:
        _moved(step, move.node, move.to, f"{proposal} says so", afresh=move.restart)


def _moved(step: Step, node: str, to: str, why: str, afresh: bool = False) -> None:
    step.take_back_below(node, f"upstream {node} moves")
    step.recall([node])
    step.emit(ev.NodeMoved, node=node, version=step.state.version, to=to, why=why, afresh=afresh)


# -- pauses


def pause(step: Step, by: str, short: Budget | None = None) -> None:
    """Nothing more begins; what has begun goes on to its end. `short`: what it lacks, where that is why."""
    step.emit(ev.RunPaused, by=by, short=short)
    if short is None or short.seconds is not None:  # else what was submitted is within the budget
        step.hold()


def unbegun(step: Step, m: ms.Unbegun) -> None:
    """An attempt was held before it began. What was chained to it does not begin either."""
    rec = step.current(m)
    if rec is None or rec.state is NodeState.RUNNING:  # it had begun, or was done, and its worker has died
        lost(step, ms.Lost(m.at, m.node, m.fence, "its worker is gone"))
        return
    nodes = (m.node, *step.submitted_below([m.node]))
    step.recall(nodes)
    step.emit(ev.AttemptsWithdrawn, nodes=nodes, why="the run was paused before it began")


# -- safe points


def checkpointed(step: Step, m: ms.Checkpointed) -> None:
    """An attempt waits at a safe point: journal what it saved, and let it go on, unless it is to move."""
    rec = step.current(m)
    if rec is None:
        again = _made_again(step, m)
        return step.act(ef.Answer(m.worker, m.node, m.fence, m.number, go_on=again))
    if rec.unmet:  # what it saved may rest on a result that never gets reported: it asks again in a moment
        return None
    if not rec.movable or (m.saved is not None and m.number > rec.checkpoints):
        about = {"node": m.node, "version": step.state.version, "fence": m.fence, "number": m.number}
        step.emit(ev.NodeCheckpointed, **about, saved=m.saved)
    moving = None if m.saved is None else step.state.moves.get(m.node)  # work is handed over, not thrown away
    if moving is not None:
        _moved(step, m.node, moving.to, f"at its safe point {m.number}")
    return step.act(ef.Answer(m.worker, m.node, m.fence, m.number, go_on=moving is None))


def _made_again(step: Step, m: ms.Checkpointed) -> bool:
    """Whether the pool makes a result again that it has lost: nothing new comes of it, but something needs it there."""
    rec = step.record(m.node)
    has_result = rec is not None and (rec.state is NodeState.SUCCEEDED or m.node in step.state.held)
    return has_result and rec is not None and rec.fence == m.fence


def moves_due(step: Step) -> None:
    """Move what has not come to a safe point in time."""
    for node, moving in step.state.moves.items():
        if moving.due <= step.at:
            rec = step.state.nodes[node]
            why = f"{_where(rec)} did not come to its next safe point in time; it goes on from {rec.checkpoints}"
            _moved(step, node, moving.to, why)


def _where(rec: NodeRecord) -> str:
    return f"worker {rec.worker}" if rec.worker else "it"
