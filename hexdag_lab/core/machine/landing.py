"""How a proposal ends: it is applied, at the instant at which it may be, or it ends in another way.

An approval is bound to what the proposal does (the net change, the work it throws away, what it may cost): it is looked
at again at the instant of applying, and a proposal that would now do more than was voted on is voted on anew. That
instant may be later than the vote: an approved proposal can wait for a node, or for the wave that is worked on.
"""

from __future__ import annotations

from ..dag.changeset import Changeset
from ..dag.conflict import Conflict
from ..runs.run import SETTLED, NodeState, RunStatus
from ..votes.proposal import Check, Effect, Proposal, ProposalState, objection
from . import effects as ef
from . import events as ev
from .attempts import resume
from .checks import CHECKS, examine
from .counting import current_wave
from .effect import busy
from .state import RunState
from .steering import steer, steer_checks
from .step import Step

MOVED = "hexdag_lab"  #: who decided, where nobody had to: the graph had moved on, or a budget was raised


def land(step: Step) -> None:
    """Apply what is approved and need not wait any longer, in the order of the approvals."""
    while ready := [p for id_ in step.state.open if _may_land(step.state, p := step.state.proposals[id_])]:
        first = min(ready, key=lambda p: p.approved)
        apply(step, first.id, voters(first))


def _may_land(state: RunState, proposal: Proposal) -> bool:
    return proposal.state is ProposalState.APPROVED and not waiting(state, proposal)


def waits_of(state: RunState, proposal: Proposal) -> tuple[str, ...]:
    """The nodes after which a proposal is to be applied, at the moment of its approval."""
    if proposal.apply_from == "now":
        return ()
    if proposal.apply_from == "wave":
        wave = current_wave(state)
        names = sorted(name for name in state.nodes if state.dag.level(name) == wave)
    else:
        names = [proposal.apply_from.partition(":")[2]]
    return tuple(n for n in names if n in state.nodes and state.nodes[n].state not in SETTLED)


def waiting(state: RunState, proposal: Proposal) -> tuple[str, ...]:
    """Those that it still waits for. A node that was removed is not waited for; nor is one that waits itself, or whose
    upstream does, for this proposal."""
    held = [n for n in proposal.waits if n in state.nodes and state.nodes[n].state not in SETTLED]
    return tuple(n for n in held if not _waits_itself(state, proposal.id, n))


def _waits_itself(state: RunState, id_: str, node: str) -> bool:
    """Whether a node, or what it still needs, is suspended until this proposal is decided."""
    seen, stack = {node}, [node]
    while stack:
        name = stack.pop()
        rec = state.nodes[name]
        if rec.state is NodeState.SUSPENDED and rec.waits_for == id_:
            return True
        open_ = {up for up in state.dag.dependencies(name) if state.nodes[up].state not in SETTLED} - seen
        seen |= open_
        stack += open_
    return False


def voters(proposal: Proposal) -> str:
    """Who decided it."""
    return ", ".join(ballot.voter for ballot in proposal.ballots if ballot.present) or "the policy"


def apply(step: Step, id_: str, by: str) -> None:
    """Apply an approved proposal, if what it does now is what was voted on."""
    proposal = step.state.proposals[id_]
    if proposal.raises is not None:
        return _raise_budget(step, proposal, by)
    if proposal.steers is not None:
        return _steer(step, proposal, by)
    rebased = proposal.changeset.rebase(step.state.dag)
    if isinstance(rebased, Conflict):
        return conflict(step, proposal, rebased, by)
    if rebased.empty:
        return end(step, ev.ProposalSuperseded, id_, "the graph is like that already", by)
    assert proposal.effect is not None
    effect, checks = examine(step.state, rebased, id_, step.at, proposal.effect)
    broken = [check for check in checks if not check.ok]
    if broken:
        return end(step, ev.ProposalRejected, id_, f"since the vote, {said(broken[0])}", CHECKS)
    if why := objection((proposal.changeset, proposal.effect), (rebased, effect)):
        effect, _ = examine(step.state, rebased, id_, step.at)
        step.emit(ev.ProposalRevised, proposal=id_, changeset=rebased, effect=effect, why=why)
        ask(step, step.state.proposals[id_])
        return None
    _commit_version(step, proposal, rebased, effect, by)
    return None


def _steer(step: Step, proposal: Proposal, by: str) -> None:
    assert proposal.steers is not None
    broken = [check for check in steer_checks(step.state, proposal.steers) if not check.ok]
    if broken:
        return end(step, ev.ProposalRejected, proposal.id, f"since the vote, {said(broken[0])}", CHECKS)
    steer(step, proposal, by)
    if not step.state.over:
        resume(step, proposal.id, ProposalState.APPLIED)
    return None


def _raise_budget(step: Step, proposal: Proposal, by: str) -> None:
    assert proposal.raises is not None
    assert step.state.budget is not None
    why = step.state.proposals[proposal.id].why
    step.emit(ev.ProposalApplied, proposal=proposal.id, why=why, by=by)
    step.emit(ev.BudgetRaised, budget=step.state.budget.plus(proposal.raises), proposal=proposal.id, by=by)
    relieve(step, by, f"{proposal.id} raised the budget")
    resume(step, proposal.id, ProposalState.APPLIED)


def relieve(step: Step, by: str, why: str) -> None:
    """Let a run go on that paused for want of budget; what it asked itself is answered by that."""
    if step.state.status is RunStatus.PAUSED and step.state.short is not None:
        step.emit(ev.RunResumed, by=by)
    for id_ in step.state.open:
        asked = step.state.proposals[id_]
        if asked.raises is not None and asked.by == MOVED:
            end(step, ev.ProposalSuperseded, id_, why, by)


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


def conflict(step: Step, proposal: Proposal, found: Conflict, by: str) -> None:
    """It does not fit any more: that is told with both intents, and to both proposers."""
    other = _quicker(step.state, proposal, found)
    told = sorted({proposal.by, *([step.state.proposals[other].by] if other else ())})
    step.emit(
        ev.ProposalConflicted, proposal=proposal.id, why=str(found), by=by, conflict=found, other=other,
        told=tuple(told),
    )  # fmt: skip
    resume(step, proposal.id, ProposalState.CONFLICTED)


def _quicker(state: RunState, proposal: Proposal, found: Conflict) -> str:
    """The applied proposal that a conflict is with: the latest that touched what it is about."""
    names = {name for key in found.keys for name in key.split(" -> ")}
    for version in reversed(state.versions):
        if version.number <= proposal.base or version.proposal is None:
            break
        change = state.proposals[version.proposal].changeset
        if names & set(change.nodes) or any(names.issuperset(edge) for edge in change.edges):
            return version.proposal
    return ""


def end(step: Step, kind: type, id_: str, why: str, by: str, **more: str) -> None:
    """Write down how a proposal ended, and let those go on who waited for that."""
    step.emit(kind, proposal=id_, why=why, by=by, **more)
    resume(step, id_, step.state.proposals[id_].state)


def ask(step: Step, proposal: Proposal) -> None:
    """Ask the agents for their ballots."""
    assert proposal.electorate is not None
    for seat in proposal.electorate.seats:
        if seat.votes is not None and seat.id != proposal.by:
            step.act(ef.AskVote(proposal.id, seat.id))


def said(check: Check) -> str:
    """A check that failed, and what to do."""
    return f"{check.message}; {check.fix}"
