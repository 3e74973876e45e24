"""How a proposal ends: it is applied, at the instant at which it may be, or it ends in another way.

An approval is bound to what the proposal does (the net change, and the work it throws away): it is looked at again at
the instant of applying, and a proposal that would now do more than was voted on is voted on anew.
"""

from __future__ import annotations

from ..dag.changeset import Changeset
from ..dag.conflict import Conflict
from ..votes.proposal import Check, Effect, Proposal, ProposalState, still_approved
from . import effects as ef
from . import events as ev
from .attempts import resume
from .checks import busy, examine
from .step import Step


def apply(step: Step, id_: str, by: str) -> None:
    proposal = step.state.proposals[id_]
    rebased = proposal.changeset.rebase(step.state.dag)
    if isinstance(rebased, Conflict):
        return end(step, ev.ProposalConflicted, id_, str(rebased), by)
    if rebased.empty:
        return end(step, ev.ProposalSuperseded, id_, "the graph is like that already", by)
    effect, checks = examine(step.state, rebased)
    assert proposal.effect is not None
    broken = [check for check in checks if not check.ok]
    if broken:
        return end(step, ev.ProposalRejected, id_, f"since the vote, {said(broken[0])}", "checks")
    if not still_approved((proposal.changeset, proposal.effect), (rebased, effect)):
        same = rebased.digest == proposal.changeset.digest
        why = "it now throws away other work than was voted on" if same else "part of it is in the graph already"
        step.emit(ev.ProposalRevised, proposal=id_, changeset=rebased, effect=effect, why=why)
        ask(step, step.state.proposals[id_])
        return None
    _commit_version(step, proposal, rebased, effect, by)
    return None


def _commit_version(step: Step, proposal: Proposal, rebased: Changeset, effect: Effect, by: str) -> None:
    step.emit(
        ev.ProposalApplied,
        proposal=proposal.id,
        why=step.state.proposals[proposal.id].why,
        by=by,
        version=step.state.version + 1,
    )
    _make_room(step, rebased, effect)
    step.emit(
        ev.VersionCommitted, version=step.state.version + 1, changeset=rebased, proposal=proposal.id, by=proposal.by,
        reason=proposal.reason, restarted=effect.restart, rerun=effect.rerun,
    )  # fmt: skip
    step.act(ef.Publish(step.state.version, rebased))
    resume(step, proposal.id, ProposalState.APPLIED)


def _make_room(step: Step, rebased: Changeset, effect: Effect) -> None:
    """Take back what the pool has and the new version defines otherwise."""
    nodes = step.state.nodes
    lost = [n for n in (*effect.restart, *effect.cancel, *effect.rerun) if n in nodes]
    rewired = {down for _, down in rebased.edges if down in nodes}
    touched = rewired.union(name for name in rebased.nodes if name in nodes)
    waiting = [n for n in touched if nodes[n].submitted and not busy(step.state, n)]
    # One that runs already, though an upstream is not accepted, was chained to what it may be losing here.
    waiting += [n for n in rewired if nodes[n].submitted and busy(step.state, n) and nodes[n].unmet]
    below = {*step.submitted_below([*lost, *waiting]), *waiting} - set(lost)
    if below:
        step.recall(sorted(below))
        step.emit(ev.AttemptsWithdrawn, nodes=tuple(sorted(below)), why=f"changed in v{step.state.version + 1}")
    step.recall(lost)


def end(step: Step, kind: type, id_: str, why: str, by: str) -> None:
    step.emit(kind, proposal=id_, why=why, by=by)
    resume(step, id_, step.state.proposals[id_].state)


def ask(step: Step, proposal: Proposal) -> None:
    assert proposal.electorate is not None
    for seat in proposal.electorate.seats:
        if seat.votes is not None and seat.id != proposal.by:
            step.act(ef.AskVote(proposal.id, seat.id))


def said(check: Check) -> str:
    return f"{check.message}; {check.fix}"
