"""How the events about proposals and ballots change the state: a part of `evolve`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace as _replace
from typing import Any

from ..base.frozen import FrozenDict
from ..votes.ballot import Ballot
from ..votes.proposal import TERMINAL, Proposal, ProposalState
from ..votes.signed import Proof
from . import events as ev
from .evolve_agents import voted
from .state import RunState


def proposal_made(state: RunState, e: ev.ProposalMade) -> RunState:
    proposal = e.proposal
    state = _signed(state, proposal.by, proposal.proof)
    return state._replace(
        proposals=state.proposals.set(proposal.id, proposal), open=tuple(sorted((*state.open, proposal.id)))
    )


def moved(to: ProposalState) -> Callable[[RunState, Any], RunState]:
    def move(state: RunState, e: Any) -> RunState:
        changes: dict[str, Any] = {"state": to, "why": e.why}
        if to in TERMINAL:
            changes |= {"decided_at": e.at, "decided_by": e.by}
        match e:
            case ev.ProposalApplied():
                changes["version"] = e.version or None
            case ev.ProposalApproved():
                changes |= {"approved": e.seq, "waits": e.waits}
            case ev.ProposalConflicted():
                changes |= {"conflict": e.conflict, "other": e.other}
            case ev.ProposalSuperseded():
                changes["other"] = e.other
        state = _with_proposal(state, e.proposal, **changes)
        if to in TERMINAL:
            state = state._replace(open=tuple(id_ for id_ in state.open if id_ != e.proposal))
        return state

    return move


def revised(state: RunState, e: ev.ProposalRevised) -> RunState:
    """Another effect is another question: ballots are cast anew, and the time to answer it starts again."""
    old = state.proposals[e.proposal]
    electorate = old.electorate and _replace(
        old.electorate, opened_at=e.at, cost=e.effect.cost, touches=e.changeset.touches
    )
    return _with_proposal(
        state, e.proposal, changeset=e.changeset, effect=e.effect, why=e.why, ballots=(), state=ProposalState.OPEN,
        electorate=electorate, checked=state.version, approved=0, waits=(),
    )  # fmt: skip


def ballot_cast(state: RunState, e: ev.BallotCast) -> RunState:
    old = state.proposals[e.proposal]
    state = voted(_signed(state, e.ballot.voter, e.ballot.proof), e.ballot)
    others = [ballot for ballot in old.ballots if ballot.voter != e.ballot.voter]
    ballots: tuple[Ballot, ...] = tuple(sorted((*others, e.ballot), key=lambda ballot: ballot.voter))
    return _with_proposal(state, e.proposal, ballots=ballots)


def _signed(state: RunState, who: str, proof: Proof | None) -> RunState:
    """A signature is used once: nothing of its signer counts any more whose counter is not higher."""
    return state if proof is None else state._replace(counters=FrozenDict({**state.counters, who: proof.counter}))


def judged(state: RunState, e: ev.ProposalJudged) -> RunState:
    return _with_proposal(state, e.proposal, judged=e.judged)


def _with_proposal(run: RunState, id_: str, /, **changes: Any) -> RunState:
    changed: Proposal = _replace(run.proposals[id_], **changes)
    return run._replace(proposals=run.proposals.set(id_, changed))


PROPOSALS: dict[type, Callable[[RunState, Any], RunState]] = {
    ev.ProposalMade: proposal_made,
    ev.ProposalOpened: moved(ProposalState.OPEN),
    ev.ProposalApproved: moved(ProposalState.APPROVED),
    ev.ProposalApplied: moved(ProposalState.APPLIED),
    ev.ProposalRejected: moved(ProposalState.REJECTED),
    ev.ProposalExpired: moved(ProposalState.EXPIRED),
    ev.ProposalWithdrawn: moved(ProposalState.WITHDRAWN),
    ev.ProposalConflicted: moved(ProposalState.CONFLICTED),
    ev.ProposalSuperseded: moved(ProposalState.SUPERSEDED),
    ev.ProposalRevised: revised,
    ev.BallotCast: ballot_cast,
    ev.ProposalJudged: judged,
}
