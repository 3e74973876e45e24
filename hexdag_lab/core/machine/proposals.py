"""Decisions about proposals: checks, effect, electorate, ballots, and the moment of applying.

Checks are facts and come first; no vote can overrule them. An approval is bound to what the proposal does (the net
change, and the work it throws away): it is looked at again at the instant of applying, and a proposal that would now do
more than was voted on is voted on anew. A decision is written once.
"""

from __future__ import annotations

from dataclasses import replace

from ..base.errors import AlreadyDecided, NotAllowed, Refused, StaleBase
from ..dag.changeset import Changeset
from ..dag.conflict import Conflict
from ..dag.dag import unbound_params
from ..runs.estimate import mean_seconds, work
from ..runs.plan import Plan, plan
from ..runs.run import NodeState
from ..votes.agent import Role, Seat
from ..votes.ballot import Ballot, Choice
from ..votes.policy import Verdict
from ..votes.proposal import Check, Effect, Proposal, ProposalState, still_approved
from . import effects as ef
from . import events as ev
from . import messages as ms
from .attempts import capable, resume
from .electorate import electorate_of
from .state import RunState
from .step import Step

HIGHEST_PRIORITY = {Role.ORCHESTRATOR: 100, Role.EXECUTOR: 10}


def propose(step: Step, m: ms.Propose) -> None:
    state = step.state
    seat = _may(state, m.by, "propose")
    if isinstance(seat, Refused):
        return step.reply(seat)
    if m.id in state.proposals:
        other = Refused(f"proposal {m.id} is another change", rule="id-taken", fix="choose another id")
        return step.reply(m.id if _is_said_again(m, state.proposals[m.id]) else other)
    if state.over:
        return step.reply(_run_over(state))
    version = state.version_of(m.changeset.base)
    if version is None:
        return step.reply(
            StaleBase(
                "this change is not based on a version of this run",
                rule="stale-base",
                fix="make it anew: Changeset.on(run.dag)",
            )
        )
    priority = max(-100, min(m.priority, HIGHEST_PRIORITY[seat.role]))
    proposal = Proposal(
        m.id, m.by, m.changeset, version.number, m.reason, priority, m.apply_from, step.at, ProposalState.CHECKING
    )
    _check_and_open(step, proposal)
    step.reply(m.id)
    return None


def _is_said_again(m: ms.Propose, proposal: Proposal) -> bool:
    """Whether a message made this proposal. What the graph had already is not part of the proposal any more."""
    said, kept = m.changeset, proposal.changeset
    nodes = all(said.nodes.get(name) == change for name, change in kept.nodes.items())
    edges = all(said.edges.get(edge) == change for edge, change in kept.edges.items())
    return m.by == proposal.by and nodes and edges and said.handling == kept.handling


def _may(state: RunState, who: str, what: str) -> Seat | NotAllowed:
    seat = state.seats.get(who)
    if seat is None:
        return NotAllowed(
            f"{who!r} takes no part in this run, so may not {what}", rule="stranger", fix=f"lab.add_agent(… {who!r} …)"
        )
    if seat.role is Role.OBSERVER:
        return NotAllowed(f"{who} is an observer, so may not {what}", rule="observer", fix="ask an orchestrator")
    return seat


def _run_over(state: RunState) -> AlreadyDecided:
    return AlreadyDecided(
        f"run {state.run} is {state.status}", rule="run-over", fix=f"go on from it: run.fork(at={state.seq})"
    )


def _check_and_open(step: Step, proposal: Proposal) -> None:
    rebased = proposal.changeset.rebase(step.state.dag)
    if isinstance(rebased, Conflict):
        step.emit(ev.ProposalMade, proposal=proposal)
        return _end(step, ev.ProposalConflicted, proposal.id, str(rebased), "hexdag_lab")
    if rebased.empty:
        step.emit(ev.ProposalMade, proposal=proposal)
        return _end(step, ev.ProposalSuperseded, proposal.id, "the graph is like that already", "hexdag_lab")
    effect, checks = examine(step.state, rebased)
    electorate = electorate_of(step.state, proposal, effect, rebased)
    checked = replace(proposal, changeset=rebased, checks=checks, effect=effect, electorate=electorate)
    step.emit(ev.ProposalMade, proposal=checked)
    broken = [check for check in checks if not check.ok]
    if broken:
        return _end(step, ev.ProposalRejected, proposal.id, _said(broken[0]), "checks")
    step.emit(ev.ProposalOpened, proposal=proposal.id, by=proposal.by)
    settle(step, proposal.id)
    if step.state.proposals[proposal.id].state is ProposalState.OPEN:  # what is decided asks nobody
        _ask(step, checked)
    return None


def _said(check: Check) -> str:
    return f"{check.message}; {check.fix}"


def _ask(step: Step, proposal: Proposal) -> None:
    assert proposal.electorate is not None
    for seat in proposal.electorate.seats:
        if seat.votes is not None and seat.id != proposal.by:
            step.act(ef.AskVote(proposal.id, seat.id))


def examine(state: RunState, rebased: Changeset) -> tuple[Effect, tuple[Check, ...]]:
    """What a change does to the run as it is, and the facts that speak for or against it."""
    assert rebased.target is not None
    made = plan(state.dag, rebased.target, rebased, state.nodes.get)
    checks = [Check("acyclic", True, "no cycle")]
    checks += [Check(r.rule, False, r.message, r.node, r.fix) for r in made.refusals]
    if not made.refusals:
        checks.append(Check("frozen", True, "touches nothing that runs or has finished, or says so"))
    checks += _unbound(state, rebased)
    checks += _capabilities(state, rebased)
    checks += _agents(state, rebased)
    return _effect(state, rebased, made), tuple(checks)


def _unbound(state: RunState, rebased: Changeset) -> list[Check]:
    assert rebased.target is not None
    touched = {*rebased.added, *rebased.changed, *(down for _, down in rebased.edges)}
    found = []
    for name in sorted(touched):
        entry = rebased.target.entries.get(name)
        for param in unbound_params(entry) if entry else ():
            if param not in state.inputs and f"{name}.{param}" not in state.inputs:
                fix = f"add an edge that fills it, or params={{{param!r}: …}}"
                found.append(Check("inputs", False, f"{name}: nothing fills its parameter {param!r}", name, fix))
    return found or [Check("inputs", True, "every required parameter is filled")]


def _capabilities(state: RunState, rebased: Changeset) -> list[Check]:
    found = []
    for name in (*rebased.added, *rebased.changed):
        change = rebased.nodes[name]
        assert change.new is not None
        if not capable(state, change.new.requires):
            needs = ", ".join(sorted(change.new.requires))
            found.append(Check("capability", False, f"{name} needs {needs}, and no worker has it", name, "start one"))
    return found or [Check("capability", True, "workers can run it")]


def _agents(state: RunState, rebased: Changeset) -> list[Check]:
    found = []
    for name in (*rebased.added, *rebased.changed):
        change = rebased.nodes[name]
        agent = change.new.agent if change.new is not None else None
        if agent is not None and agent not in state.seats:
            found.append(
                Check("agent", False, f"{name} is given to {agent!r}, who takes no part", name, "add the agent")
            )
    return found


def _effect(state: RunState, rebased: Changeset, made: Plan) -> Effect:
    assert rebased.target is not None
    target = rebased.target
    means = mean_seconds(state.dag, state.nodes.items())
    again = {*made.rerun, *made.restart}
    names = sorted(again.union(rebased.added).intersection(target))  # sorted: sums of floats depend on the order
    seconds, cost = work([target.entries[n].spec for n in names], means)
    kept = sum(rec.state in (NodeState.SUCCEEDED, NodeState.RUNNING) for rec in state.nodes.values())
    kept -= len([n for n in (*made.rerun, *made.restart, *made.cancel) if _busy(state, n)])
    return Effect(kept, made.start, made.restart, made.cancel, made.rerun, made.losses, cost, seconds)


def _busy(state: RunState, name: str) -> bool:
    return state.nodes[name].state in (NodeState.SUCCEEDED, NodeState.RUNNING)


# -- voting


def cast_ballot(step: Step, m: ms.CastBallot) -> None:
    state = step.state
    seat = _may(state, m.by, "vote")
    if isinstance(seat, Refused):
        return step.reply(seat)
    if m.proposal in state.proposals:
        settle(step, m.proposal)  # the deadline may have passed: then it decides, not this ballot
    proposal = step.state.proposals.get(m.proposal)
    if proposal is None:
        return step.reply(_unknown(m.proposal))
    if proposal.terminal:
        when = f"{proposal.state} by {proposal.decided_by}" if proposal.decided_by else proposal.state
        text = f"proposal {proposal.id} is {when}: {proposal.why}"
        return step.reply(AlreadyDecided(text, rule="decided", fix="propose it anew"))
    refused = _not_in(proposal, m.by)
    if refused is not None:
        return step.reply(refused)
    old = proposal.cast().get(m.by)
    if old is None or (old.choice, old.reason) != (m.choice, m.reason):
        step.emit(ev.BallotCast, proposal=m.proposal, ballot=Ballot(m.choice, m.reason, m.by, step.at, m.via))
        settle(step, m.proposal)
    step.reply(True)
    return None


def _unknown(id_: str) -> Refused:
    return Refused(f"there is no proposal {id_!r} in this run", rule="unknown-proposal", fix="see run.proposals")


def _not_in(proposal: Proposal, who: str) -> NotAllowed | None:
    electorate = proposal.electorate
    if electorate is None or all(seat.id != who for seat in electorate.seats):
        if who == proposal.by:
            return NotAllowed(f"{who} made this proposal, so may not vote on it", rule="own-proposal", fix="withdraw()")
        return NotAllowed(
            f"{who} joined after voting on {proposal.id} opened", rule="late-voter", fix="propose it anew"
        )
    return None


def voter_absent(step: Step, m: ms.VoterAbsent) -> None:
    proposal = step.state.proposals.get(m.proposal)
    if proposal is None or proposal.terminal or m.agent in proposal.cast() or _not_in(proposal, m.agent):
        return
    step.emit(ev.BallotCast, proposal=m.proposal, ballot=Ballot(Choice.ABSENT, m.why, m.agent, step.at, "lab"))
    settle(step, m.proposal)


def settle(step: Step, id_: str) -> None:
    """See whether a proposal is decided, and do what was decided."""
    proposal = step.state.proposals[id_]
    if proposal.state is not ProposalState.OPEN or proposal.electorate is None:
        return
    opinion = step.state.policy.evaluate(proposal.cast(), proposal.electorate, step.at)
    by = ", ".join(ballot.voter for ballot in proposal.ballots if ballot.choice != Choice.ABSENT) or "the policy"
    if opinion.verdict in (Verdict.YES, Verdict.NONE):  # no rule of a policy that binds is no objection
        step.emit(ev.ProposalApproved, proposal=id_, why=opinion.text, by=by)
        _apply(step, id_, by)
    elif opinion.verdict is Verdict.NO:
        kind = ev.ProposalExpired if opinion.expired else ev.ProposalRejected
        _end(step, kind, id_, opinion.text, "the deadline" if opinion.expired else by)


def _end(step: Step, kind: type, id_: str, why: str, by: str) -> None:
    step.emit(kind, proposal=id_, why=why, by=by)
    resume(step, id_, step.state.proposals[id_].state)


def _apply(step: Step, id_: str, by: str) -> None:
    proposal = step.state.proposals[id_]
    rebased = proposal.changeset.rebase(step.state.dag)
    if isinstance(rebased, Conflict):
        return _end(step, ev.ProposalConflicted, id_, str(rebased), by)
    if rebased.empty:
        return _end(step, ev.ProposalSuperseded, id_, "the graph is like that already", by)
    effect, checks = examine(step.state, rebased)
    assert proposal.effect is not None
    broken = [check for check in checks if not check.ok]
    if broken:
        return _end(step, ev.ProposalRejected, id_, f"since the vote, {_said(broken[0])}", "checks")
    if not still_approved((proposal.changeset, proposal.effect), (rebased, effect)):
        same = rebased.digest == proposal.changeset.digest
        why = "it now throws away other work than was voted on" if same else "part of it is in the graph already"
        step.emit(ev.ProposalRevised, proposal=id_, changeset=rebased, effect=effect, why=why)
        _ask(step, step.state.proposals[id_])
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
    waiting = [n for n in touched if nodes[n].submitted and not _busy(step.state, n)]
    # One that runs already, though an upstream is not accepted, was chained to what it may be losing here.
    waiting += [n for n in rewired if nodes[n].submitted and _busy(step.state, n) and nodes[n].unmet]
    below = {*step.submitted_below([*lost, *waiting]), *waiting} - set(lost)
    if below:
        step.recall(sorted(below))
        step.emit(ev.AttemptsWithdrawn, nodes=tuple(sorted(below)), why=f"changed in v{step.state.version + 1}")
    step.recall(lost)


def withdraw(step: Step, m: ms.Withdraw) -> None:
    if m.proposal in step.state.proposals:
        settle(step, m.proposal)  # as for a ballot: what the deadline has decided is decided
    proposal = step.state.proposals.get(m.proposal)
    if proposal is None:
        return step.reply(_unknown(m.proposal))
    if m.by not in (proposal.by, step.state.owner):
        return step.reply(NotAllowed(f"{m.by} did not make {proposal.id}", rule="not-yours", fix="vote against it"))
    if proposal.terminal:
        return step.reply(
            AlreadyDecided(f"proposal {proposal.id} is {proposal.state}", rule="decided", fix="propose it anew")
        )
    _end(step, ev.ProposalWithdrawn, m.proposal, f"withdrawn by {m.by}", m.by)
    step.reply(True)
    return None


def deadlines(step: Step) -> None:
    """Settle what time has decided."""
    for id_ in step.state.open:
        if id_ in step.state.open:
            settle(step, id_)
