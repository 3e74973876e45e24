"""What a run teaches about those who voted in it: how its proposals turned out, and what a person says of them.

It is a fold of the run's state, made anew whenever somebody asks: a proposal whose nodes completed may still be
reverted, and a person may always know better. Who proposed learns nothing from it; see `core.votes.trust`.
"""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction

from ..base.errors import NotAllowed, Refused
from ..dag.changeset import Changeset
from ..runs.run import NodeState, RunStatus
from ..votes.proposal import Judgement, Proposal, ProposalState
from ..votes.trust import Lesson, Trust
from . import events as ev
from . import messages as ms
from .state import RunState
from .step import Step

WATCHED = 5  #: a change that is undone within so many versions was none to approve
COSTLY = Fraction(3, 2)  #: nor was one that cost more than so many times its estimate


def trust_now(state: RunState) -> Trust:
    """What earlier runs had taught when this one started, and this one so far."""
    return state.trust.after(lessons(state))


def lessons(state: RunState) -> tuple[Lesson, ...]:
    """What the decided proposals teach, in the order in which they were decided."""
    decided = sorted((p for p in state.proposals.values() if p.terminal), key=lambda p: (p.decided_at or 0.0, p.id))
    applied = {p.version: p.changeset for p in decided if p.version is not None}
    found = []
    for proposal in decided:
        facts = _turned_out(state, proposal, applied) if proposal.ballots else None
        ballots, judged = proposal.ballots, proposal.judged
        if judged is not None:  # a person knows better, but for her own ballot the facts count
            others = [ballot for ballot in ballots if ballot.voter != judged.by]
            found.append(Lesson.of(proposal.id, judged.good, str(judged), others))
            ballots = tuple(ballot for ballot in ballots if ballot.voter == judged.by)
        if facts is not None:
            found.append(Lesson.of(proposal.id, *facts, ballots))
    return tuple(lesson for lesson in found if lesson.yes or lesson.no)


def _turned_out(state: RunState, proposal: Proposal, applied: Mapping[int, Changeset]) -> tuple[bool, str] | None:
    """Whether a proposal was good by the facts, and why; None while nothing says so."""
    if proposal.state is not ProposalState.APPLIED or proposal.version is None:
        return None
    for number in range(proposal.version + 1, proposal.version + WATCHED + 1):
        if number in applied and _undoes(applied[number], proposal.changeset):
            return False, f"reverted in v{number}"
    changed = {name: change.after for name, change in proposal.changeset.nodes.items() if change.new is not None}
    own = [n for n, digest in changed.items() if n in state.dag and state.dag.entries[n].spec.digest == digest]
    if failed := [name for name in own if state.nodes[name].state is NodeState.FAILED]:
        return False, f"{failed[0]} failed"
    cost = sum((state.dag.entries[name].spec.cost * state.nodes[name].started for name in own), Fraction(0))
    if proposal.effect is not None and 0 < proposal.effect.cost * COSTLY < cost:
        return False, f"it cost {float(cost):g}, not {float(proposal.effect.cost):g}"
    if own and all(state.nodes[name].state is NodeState.SUCCEEDED for name in own):
        return True, "its nodes completed"
    lasted = state.version >= proposal.version + WATCHED or state.status is RunStatus.SUCCEEDED
    return (True, "it has lasted") if lasted and not own else None


def _undoes(later: Changeset, change: Changeset) -> bool:
    """Whether a later change sets back all that one had changed: its nodes or, where it has none, its edges."""
    if change.nodes:
        return all(name in later.nodes and later.nodes[name].after == node.old for name, node in change.nodes.items())
    return all(edge in later.edges and later.edges[edge].new == wire.old for edge, wire in change.edges.items())


def judge(step: Step, m: ms.Judge) -> None:
    """A person says how a decided proposal has turned out, or would have."""
    seat, proposal = step.state.seats.get(m.by), step.state.proposals.get(m.proposal)
    if seat is None or not seat.human:
        text = f"{m.by!r} is no person of this run, so may not judge how a proposal turned out"
        return step.reply(NotAllowed(text, rule="person", fix="lab.add_agent(hx.HumanAgent(…))"))
    if proposal is None:
        text = f"there is no proposal {m.proposal!r} in this run"
        return step.reply(Refused(text, rule="unknown-proposal", fix="see run.proposals"))
    if not proposal.terminal:
        return step.reply(Refused(f"proposal {m.proposal} is not decided yet", rule="not-decided", fix="vote on it"))
    if m.by == proposal.by:
        text = f"{m.by} made proposal {m.proposal}, so may not judge it"
        return step.reply(NotAllowed(text, rule="own-proposal", fix="ask somebody else"))
    judged = Judgement(m.good, m.by, m.reason, step.at)
    old = proposal.judged
    if old is None or (old.good, old.by, old.reason) != (m.good, m.by, m.reason):
        step.emit(ev.ProposalJudged, proposal=m.proposal, judged=judged)
    return step.reply(True)
