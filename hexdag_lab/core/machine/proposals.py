"""The life of a proposal: it is made and checked, voted on, and decided.

Checks are facts and come first (`checks`); no vote can overrule them. What a decision leads to is in `landing`. A
decision is written once.
"""

from __future__ import annotations

from dataclasses import fields, replace

from ..base.errors import AlreadyDecided, NotAllowed, Refused, StaleBase
from ..dag.conflict import Conflict
from ..votes.agent import Role, Seat
from ..votes.ballot import BY_DEFAULT, Ballot, Choice
from ..votes.budget import Budget
from ..votes.policy import Electorate, Verdict
from ..votes.proposal import Proposal, ProposalState
from ..votes.steer import End
from . import events as ev
from . import messages as ms
from . import signatures
from .checks import CHECKS, cap_checks, examine, landing_check
from .electorate import electorate_of
from .failing import suspend
from .landing import MOVED, apply, ask, conflict, end, said, voters, waiting, waits_of
from .state import RunState
from .steering import steer_checks
from .step import Step

HIGHEST_PRIORITY = {Role.ORCHESTRATOR: 100, Role.EXECUTOR: 10}


def propose(step: Step, m: ms.Propose) -> None:
    state = step.state
    seat = _may(state, m.by, "propose")
    if isinstance(m.steers, End) and isinstance(barred := may_steer(state, m.by), NotAllowed):
        return step.reply(barred)
    if isinstance(seat, Refused):
        return step.reply(seat)
    if (unsigned := signatures.refused(state, m, step.at)) is not None:
        return step.reply(unsigned)
    if m.id in state.proposals:
        other = Refused(f"proposal {m.id} is another change", rule="id-taken", fix="choose another id")
        return step.reply(m.id if _is_said_again(m, state.proposals[m.id]) else other)
    if state.over:
        return step.reply(_run_over(state))
    version = state.version_of(m.changeset.base)
    refused = _unfit(state, m) if version is not None else _STALE
    if version is None or refused is not None:
        return step.reply(refused)
    priority = max(-100, min(m.priority, HIGHEST_PRIORITY[seat.role]))
    proposal = Proposal(
        m.id, m.by, m.changeset, version.number, m.reason, priority, m.apply_from, step.at, ProposalState.CHECKING,
        raises=m.raises, in_reply_to=m.in_reply_to, depth=_depth(state, m), checked=state.version,
        proof=m.proof, steers=m.steers,
    )  # fmt: skip
    if proposal.changes_graph:
        _check_and_open(step, proposal, seat)
    else:
        facts = () if m.steers is None else (*steer_checks(state, m.steers), *cap_checks(state, seat, proposal))
        open_vote(step, replace(proposal, checks=facts))
    if m.in_reply_to and step.state.proposals[m.id].state in _STANDS:
        _take_place(step, m.in_reply_to, m.id, m.by)
    step.reply(m.id)
    return None


_STALE = StaleBase(
    "this change is not based on a version of this run", rule="stale-base", fix="make it anew: Changeset.on(run.dag)"
)
_STANDS = (ProposalState.OPEN, ProposalState.APPROVED, ProposalState.APPLIED)


def _unfit(state: RunState, m: ms.Propose) -> Refused | None:
    """Why this cannot be a proposal at all; None if it can."""
    where = landing_check(state, m.apply_from)
    if where is not None:
        return Refused(where.message, rule=where.rule, fix=where.fix)
    if m.in_reply_to:
        old = state.proposals.get(m.in_reply_to)
        if old is None:
            return _unknown(m.in_reply_to)
        if old.by != m.by:
            text = f"{old.id} is a proposal of {old.by}, so {m.by} cannot replace it"
            return NotAllowed(text, rule="not-yours", fix="propose without in_reply_to")
    if m.steers is not None and not (m.changeset.empty and m.raises is None):
        text = "to steer a run and to change its graph or its budget are two proposals"
        return Refused(text, rule="steer", fix="propose one after the other")
    return None if m.raises is None else _no_raise(state.budget or Budget(), m.raises, m.changeset.empty)


def may_steer(state: RunState, by: str) -> Refused | None:
    """Why somebody may not pause, resume or end a run; None if she may."""
    seat = state.seats.get(by)
    if seat is None or seat.role is not Role.ORCHESTRATOR:
        return NotAllowed(f"{by!r} may not steer this run", rule="steer", fix="ask an orchestrator")
    return (
        AlreadyDecided(f"run {state.run} is {state.status}", rule="run-over", fix="run.fork()") if state.over else None
    )


def _no_raise(limits: Budget, raises: Budget, alone: bool) -> Refused | None:
    """Why a budget cannot be raised like that; None if it can."""
    free = [f.name for f in fields(limits) if getattr(raises, f.name) and getattr(limits, f.name) is None]
    if alone and not free and not raises.empty:
        return None
    text = f"this run has no limit of {' or '.join(free)}" if free else "this asks to raise the budget by nothing"
    if not alone:
        text = "a change of the graph and a larger budget are two proposals"
    return Refused(text, rule="budget", fix="run.raise_budget(cost=…), for what start(…, budget=…) has limited")


def _depth(state: RunState, m: ms.Propose) -> int:
    """How many proposals led to this one, itself included."""
    causes = [m.in_reply_to, m.cause]
    causes += [v.proposal for v in state.versions if v.proposal and _added(state.proposals[v.proposal], m.cause)][-1:]
    return 1 + max(state.proposals[c].depth if c in state.proposals else 0 for c in causes)


def _added(proposal: Proposal, node: str) -> bool:
    change = proposal.changeset.nodes.get(node)
    return change is not None and change.old is None


def _take_place(step: Step, old: str, new: str, by: str) -> None:
    if not step.state.proposals[old].terminal:
        end(step, ev.ProposalSuperseded, old, f"{new} takes its place", by, other=new)


def _is_said_again(m: ms.Propose, proposal: Proposal) -> bool:
    """Whether a message made this proposal. What the graph had already is not part of the proposal any more."""
    said, kept = m.changeset, proposal.changeset
    nodes = all(said.nodes.get(name) == change for name, change in kept.nodes.items())
    edges = all(said.edges.get(edge) == change for edge, change in kept.edges.items())
    same = nodes and edges and said.handling == kept.handling
    return same and (m.by, m.raises, m.steers) == (proposal.by, proposal.raises, proposal.steers)


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


def _check_and_open(step: Step, proposal: Proposal, seat: Seat) -> None:
    rebased = proposal.changeset.rebase(step.state.dag)
    if isinstance(rebased, Conflict):
        step.emit(ev.ProposalMade, proposal=proposal)
        return conflict(step, proposal, rebased, MOVED)
    if rebased.empty:
        step.emit(ev.ProposalMade, proposal=proposal)
        return end(step, ev.ProposalSuperseded, proposal.id, "the graph is like that already", MOVED)
    capped = cap_checks(step.state, seat, replace(proposal, changeset=rebased))
    effect, checks = examine(step.state, rebased, proposal.id, step.at)
    sent = signatures.sent(proposal, rebased)
    return open_vote(step, replace(proposal, changeset=rebased, checks=(*checks, *capped), effect=effect, sent=sent))


def open_vote(step: Step, proposal: Proposal) -> None:
    """Open a proposal to votes, unless a check speaks against it."""
    electorate = electorate_of(step.state, proposal)
    step.emit(ev.ProposalMade, proposal=replace(proposal, electorate=electorate))
    broken = [check for check in proposal.checks if not check.ok]
    if broken:
        return end(step, ev.ProposalRejected, proposal.id, said(broken[0]), CHECKS)
    step.emit(ev.ProposalOpened, proposal=proposal.id, by=proposal.by)
    settle(step, proposal.id)
    opened = step.state.proposals[proposal.id]
    if opened.state is ProposalState.OPEN:  # what is decided asks nobody
        ask(step, opened)
    return None


# -- voting


def cast_ballot(step: Step, m: ms.CastBallot) -> None:
    state = step.state
    seat = _may(state, m.by, "vote")
    if isinstance(seat, Refused):
        return step.reply(seat)
    if m.via == BY_DEFAULT:
        return step.reply(_ONLY_THE_DEADLINE)
    if m.proposal in state.proposals:
        settle(step, m.proposal)  # the deadline may have passed: then it decides, not this ballot
    proposal = step.state.proposals.get(m.proposal)
    if proposal is None:
        return step.reply(_unknown(m.proposal))
    if proposal.state is not ProposalState.OPEN:
        when = f"{proposal.state} by {proposal.decided_by}" if proposal.decided_by else proposal.state
        text = f"proposal {proposal.id} is {when}: {proposal.why}"
        return step.reply(AlreadyDecided(text, rule="decided", fix="propose it anew"))
    refused = _not_in(proposal, m.by) or _looked_at_another(proposal, m.seen)
    refused = refused or signatures.refused(step.state, m, step.at)
    if refused is not None:
        return step.reply(refused)
    old = proposal.cast().get(m.by)
    if old is None or (old.choice, old.reason, old.nodes) != (m.choice, m.reason, m.nodes):
        ballot = Ballot(m.choice, m.reason, m.by, step.at, m.via, m.nodes, m.proof)
        step.emit(ev.BallotCast, proposal=m.proposal, ballot=ballot)
        settle(step, m.proposal)
    step.reply(True)
    return None


_ONLY_THE_DEADLINE = NotAllowed(
    f"a ballot via {BY_DEFAULT!r} is cast by the deadline only", rule="by-default", fix="say how the vote came: via=…"
)


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


def _looked_at_another(proposal: Proposal, seen: str) -> Refused | None:
    if not seen or seen == proposal.seen:
        return None
    text = f"{proposal.id} does something else by now than what was looked at: {proposal.why}"
    return Refused(text, rule="moved-on", fix="look at it again, then vote")


def voter_absent(step: Step, m: ms.VoterAbsent) -> None:
    proposal = step.state.proposals.get(m.proposal)
    if (
        proposal is None
        or proposal.state is not ProposalState.OPEN
        or m.agent in proposal.cast()
        or _not_in(proposal, m.agent)
    ):
        return
    step.emit(ev.BallotCast, proposal=m.proposal, ballot=Ballot(Choice.ABSENT, m.why, m.agent, step.at, "lab"))
    suspend(step, m.agent, m.why)
    settle(step, m.proposal)


def settle(step: Step, id_: str) -> None:
    """See whether a proposal is decided, and do what was decided."""
    proposal = step.state.proposals[id_]
    if proposal.state is not ProposalState.OPEN or proposal.electorate is None:
        return
    electorate = proposal.electorate
    for ballot in _silent(step, proposal, electorate):
        step.emit(ev.BallotCast, proposal=id_, ballot=ballot)
    proposal = step.state.proposals[id_]
    opinion = step.state.policy.evaluate(proposal.cast(), electorate, step.at)
    by = voters(proposal)
    if opinion.verdict in (Verdict.YES, Verdict.NONE):  # no rule of a policy that binds is no objection
        waits = waits_of(step.state, proposal)
        step.emit(ev.ProposalApproved, proposal=id_, why=opinion.text, by=by, waits=waits)
        if not waiting(step.state, step.state.proposals[id_]):
            apply(step, id_, by)
    elif opinion.verdict is Verdict.NO:
        kind = ev.ProposalExpired if opinion.expired else ev.ProposalRejected
        end(step, kind, id_, opinion.text, "the deadline" if opinion.expired else by)


def _silent(step: Step, proposal: Proposal, electorate: Electorate) -> list[Ballot]:
    """The ballots of those who have not voted when a deadline passes, and have said what that counts as.

    They come before the deadline itself, which settles what is pending even so."""
    due = step.state.policy.deadline(electorate)
    if due is None or step.at < due:
        return []
    cast = proposal.cast()
    silent = {seat.id: seat.otherwise for seat in electorate.seats if seat.id not in cast}
    return [
        Ballot(choice, "no vote by the deadline", name, step.at, BY_DEFAULT)
        for name, choice in silent.items()
        if choice is not None
    ]


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
    end(step, ev.ProposalWithdrawn, m.proposal, f"withdrawn by {m.by}", m.by)
    step.reply(True)
    return None


def deadlines(step: Step) -> None:
    """Settle what time has decided."""
    for id_ in step.state.open:
        if id_ in step.state.open:
            settle(step, id_)
