"""A proposal: a changeset put to the vote, and its life as a table."""

from __future__ import annotations

from enum import StrEnum
from fractions import Fraction
from typing import NamedTuple

from ..base.canon import digest, hash_of
from ..base.codec import dumps, enum, record
from ..dag.changeset import Changeset
from ..dag.conflict import Conflict
from .ballot import Ballot, Choice
from .budget import Budget
from .policy import Ballots, Electorate, Opinion, Policy, Verdict
from .signed import Proof
from .steer import End, Steer


@enum
class ProposalState(StrEnum):
    """Where a proposal is. What each means, and what may follow: the tables on the page *Architecture*."""

    DRAFT = "DRAFT"
    CHECKING = "CHECKING"
    OPEN = "OPEN"
    APPROVED = "APPROVED"
    APPLIED = "APPLIED"
    REJECTED = "REJECTED"
    EXPIRED = "EXPIRED"
    WITHDRAWN = "WITHDRAWN"
    CONFLICTED = "CONFLICTED"
    SUPERSEDED = "SUPERSEDED"


P = ProposalState

#: what may follow what; a state without followers is terminal and is written once
TRANSITIONS: dict[ProposalState, frozenset[ProposalState]] = {
    P.DRAFT: frozenset({P.CHECKING, P.WITHDRAWN}),
    P.CHECKING: frozenset({P.OPEN, P.REJECTED, P.CONFLICTED, P.SUPERSEDED}),
    P.OPEN: frozenset({P.APPROVED, P.REJECTED, P.EXPIRED, P.WITHDRAWN, P.CONFLICTED, P.SUPERSEDED}),
    P.APPROVED: frozenset({P.APPLIED, P.OPEN, P.REJECTED, P.WITHDRAWN, P.CONFLICTED, P.SUPERSEDED}),
    P.APPLIED: frozenset(),
    P.REJECTED: frozenset(),
    P.EXPIRED: frozenset(),
    P.WITHDRAWN: frozenset(),
    P.CONFLICTED: frozenset(),
    P.SUPERSEDED: frozenset(),
}

#: one line for each state, as screens show it
MEANING: dict[ProposalState, str] = {
    P.DRAFT: "being written",
    P.CHECKING: "its checks run",
    P.OPEN: "open to votes",
    P.APPROVED: "approved, and applied as soon as it may be",
    P.APPLIED: "applied: it is part of the graph",
    P.REJECTED: "rejected",
    P.EXPIRED: "nobody decided in time",
    P.WITHDRAWN: "withdrawn by its proposer",
    P.CONFLICTED: "the graph moved on and the change no longer fits",
    P.SUPERSEDED: "nothing left to do: the graph has it already, or another proposal takes its place",
}

TERMINAL = frozenset(state for state, following in TRANSITIONS.items() if not following)


@record
class Check:
    """One fact about a proposal, which no vote can overrule: `rule` held or not, for which node, and what to do."""

    rule: str
    ok: bool
    message: str = ""
    node: str = ""
    fix: str = ""

    def __str__(self) -> str:
        mark = "ok" if self.ok else "no"
        return f"{mark}  {self.message or self.rule}" + (f"; {self.fix}" if self.fix and not self.ok else "")


ENVELOPE = 1.25  #: an approval covers this many times the work and the cost (P90) that stood on the card


@record
class Estimate:
    """What a proposal changes, by Monte Carlo: pairs are P50 and P90.

    later   seconds by which the run ends later (negative: sooner)
    cost    what the run costs more (negative: less)
    work    seconds of work of what the proposal starts;  spend  the cost of that
    ends    seconds from the estimate until the run ends, with it
    usual   what was held for usual of code that had not run here: log seconds, variances between and within kinds
    known   all that it starts is code that has run here a few times; else an approval is bound by cost, and not by
            work: what nobody has measured binds nobody
    """

    later: tuple[float, float] = (0.0, 0.0)
    cost: tuple[float, float] = (0.0, 0.0)
    work: tuple[float, float] = (0.0, 0.0)
    spend: tuple[float, float] = (0.0, 0.0)
    ends: tuple[float, float] = (0.0, 0.0)
    usual: tuple[float, float, float] | None = None
    known: bool = True

    def objection(self, now: Estimate) -> str:
        """Why an approval of this estimate does not cover another one; empty if it does.

        What is likely now (P50) is held against the envelope of what was unlikely then (P90): estimates sway while they
        are learned, and swaying is no reason to vote again."""
        if now.spend[0] > ENVELOPE * self.spend[1]:
            return f"it is now likely to cost {now.spend[0]:.2f}, and {self.spend[1]:.2f} (P90) was voted on"
        if self.known and now.work[0] > ENVELOPE * self.work[1]:
            return f"it is now likely to take {now.work[0]:.1f} s of work, and {self.work[1]:.1f} (P90) was voted on"
        return ""


@record
class Effect:
    """What applying a proposal does to the work: names of nodes, sorted.

    keep      finished or running nodes that go on untouched: how many
    start     nodes that will run because of it;  restart, cancel, rerun  work that is thrown away
    losses    the attempts (node, fence) that are thrown away
    cost      of what runs more often than without it, one attempt each
    seconds   of work that starts, P50
    lost      seconds of work thrown away
    waves     how many waves the graph has before and after
    estimate  what it changes, as P50 and P90; None in journals of before
    """

    keep: int = 0
    start: tuple[str, ...] = ()
    restart: tuple[str, ...] = ()
    cancel: tuple[str, ...] = ()
    rerun: tuple[str, ...] = ()
    losses: tuple[tuple[str, int], ...] = ()
    cost: Fraction = Fraction(0)
    seconds: float = 0.0
    lost: float = 0.0
    waves: tuple[int, int] | None = None
    estimate: Estimate | None = None

    def verbs(self) -> dict[str, str]:
        """What becomes of each node that it touches: node -> start, restart, cancel or re-run."""
        named = (("start", self.start), ("restart", self.restart), ("cancel", self.cancel), ("re-run", self.rerun))
        return {name: verb for verb, names in named for name in names}

    def __str__(self) -> str:
        parts = [f"keeps {self.keep}"]
        named = (("starts", self.start), ("restarts", self.restart), ("cancels", self.cancel), ("re-runs", self.rerun))
        parts += [f"{verb} {', '.join(names)}" for verb, names in named if names]
        if not (self.restart or self.cancel or self.rerun):
            parts.append("nothing cancelled")
        return " · ".join(parts)


class Tally(NamedTuple):
    """Where a vote stands. `text` explains it: "0.41 of 0.66, needs marie or critic"."""

    opinion: Opinion
    ballots: tuple[Ballot, ...]
    weights: tuple[tuple[str, Fraction], ...]

    @property
    def verdict(self) -> str:
        """Whether it is a yes or a no by now, or pending."""
        return self.opinion.verdict.value

    @property
    def text(self) -> str:
        """Who is for it, with which weight, and what is still needed, in a sentence."""
        return self.opinion.text

    @property
    def needs(self) -> tuple[str, ...]:
        """The voters whose ballots could still decide it, sorted."""
        return self.opinion.needs

    def __str__(self) -> str:
        return self.text


class Request(NamedTuple):
    """What a voter wants changed: who, in which words, on which nodes (none: on the whole)."""

    by: str
    text: str
    nodes: tuple[str, ...]


@record
class Judgement:
    """What a person says of a proposal that is decided: that it was good, or would have been, or not."""

    good: bool
    by: str
    reason: str = ""
    at: float = 0.0

    def __str__(self) -> str:
        said = f"{self.by} calls it {'good' if self.good else 'bad'}"
        return said + (f": {self.reason}" if self.reason else "")


@record
class Proposal:
    """A changeset put to the vote; times are unix seconds.

    base         the number of the version it was made on;  checked  of the version it was last examined on
    raises       what it asks to raise the budget by, instead of a change of the graph
    steers       the node that it asks to move, or that the run ends, instead of a change of the graph
    in_reply_to  the proposal that it takes the place of, after its voters asked for changes
    depth        how many proposals led to it, one causing the next: 1 for a first one
    approved     seq of its approval, 0 before;  waits  the nodes after which it is applied
    conflict     why it no longer fits, as a value;  other  the proposal that was quicker
    proof  what its proposer signed, where the seat has a key;  sent  the changeset that was signed, where parts of it
    were in the graph already and so are not put to the vote
    """

    id: str
    by: str
    changeset: Changeset
    base: int
    reason: str = ""
    priority: int = 0
    apply_from: str = "now"
    at: float = 0.0
    state: ProposalState = ProposalState.CHECKING
    why: str = ""
    checks: tuple[Check, ...] = ()
    effect: Effect | None = None
    electorate: Electorate | None = None
    ballots: tuple[Ballot, ...] = ()
    decided_at: float | None = None
    decided_by: str = ""
    version: int | None = None
    proof: Proof | None = None
    sent: Changeset | None = None
    raises: Budget | None = None
    in_reply_to: str = ""
    depth: int = 1
    checked: int = 0
    approved: int = 0
    waits: tuple[str, ...] = ()
    conflict: Conflict | None = None
    other: str = ""
    judged: Judgement | None = None
    steers: Steer | None = None

    @property
    def changes_graph(self) -> bool:
        """Whether it becomes a version of the graph once it is applied."""
        return self.raises is None and self.steers is None

    @property
    def kind(self) -> str:
        """What it is about: see `kind_of`; "budget" for a raise, "move" and "cancel" for what steers a run."""
        if self.steers is not None:
            return "cancel" if isinstance(self.steers, End) else "move"
        return "budget" if self.raises is not None else kind_of(self.changeset)

    @property
    def summary(self) -> str:
        """One line: "+3 nodes, +1 edge", "the budget raised by 3.00", "train moves to w1"."""
        if self.steers is not None:
            return str(self.steers)
        return self.changeset.summary if self.raises is None else f"the budget raised by {self.raises}"

    @property
    def seen(self) -> str:
        """The effect digest (hex) that a ballot on it is for; empty where it changes no graph."""
        return "" if self.effect is None else effect_digest(self.changeset, self.effect).hex()

    @property
    def requests(self) -> tuple[Request, ...]:
        """The changes that its voters ask for."""
        asked = (b for b in self.ballots if b.choice == Choice.REQUEST_CHANGES)
        return tuple(Request(b.voter, b.reason, b.nodes) for b in asked)

    @property
    def digest(self) -> bytes:
        """Content hash, by which maps of proposals are compared: 32 bytes."""
        return digest(dumps(self))

    @property
    def terminal(self) -> bool:
        """Whether it is decided for good."""
        return self.state in TERMINAL

    def cast(self) -> Ballots:
        """The ballots by voter."""
        return {ballot.voter: ballot for ballot in self.ballots}

    def tally(self, policy: Policy, now: float, viewer: str | None = None) -> Tally:
        """Where the vote stands at a time, as a `viewer` may see it; None sees all."""
        if self.electorate is None:
            return Tally(Opinion(Verdict.NO, self.why), (), ())
        at = now if self.decided_at is None else self.decided_at
        opinion = policy.evaluate(self.cast(), self.electorate, at)
        earned = policy.weights(self.electorate) if policy.learns() else {s.id: s.weight for s in self.electorate.seats}
        weights = tuple((seat.id, earned.get(seat.id, Fraction(0))) for seat in self.electorate.seats)
        if viewer is not None and self.sealed_to(viewer, policy):
            text = f"{len(self.ballots)} of {len(self.electorate.seats)} have answered; sealed until you vote"
            opinion = Opinion(opinion.verdict, text, opinion.needs)
        return Tally(opinion, self.seen_by(viewer, policy), weights)

    def sealed_to(self, viewer: str, policy: Policy) -> bool:
        """Whether somebody sees that others have voted, and not what: until she has voted, or it is decided."""
        ballot = self.cast().get(viewer)
        return policy.seals() and not self.terminal and (ballot is None or ballot.choice is Choice.ABSENT)

    def seen_by(self, viewer: str | None, policy: Policy) -> tuple[Ballot, ...]:
        """The ballots as somebody may see them; None sees all."""
        if viewer is None or not self.sealed_to(viewer, policy):
            return self.ballots
        return tuple(ballot.sealed for ballot in self.ballots)


def effect_digest(changeset: Changeset, effect: Effect) -> bytes:
    """What an approval is bound to: the net change with the code that ships, and the work it throws away."""
    return hash_of((changeset.digest, effect.losses))


def still_approved(voted: tuple[Changeset, Effect], now: tuple[Changeset, Effect]) -> bool:
    """Whether an approval of one effect covers another: the same change, no further work thrown away, and work and
    cost within the envelope."""
    return not objection(voted, now)


def objection(voted: tuple[Changeset, Effect], now: tuple[Changeset, Effect]) -> str:
    """Why an approval of one effect does not cover another; empty if it does."""
    before, after = voted[1], now[1]
    if voted[0].digest != now[0].digest:
        return "part of it is in the graph already"
    if not set(after.losses) <= set(before.losses):
        return "it now throws away other work than was voted on"
    was, will = before.estimate, after.estimate
    return "" if was is None or will is None else was.objection(will)


def kind_of(changeset: Changeset) -> str:
    """What a change is: add_node, add_subgraph, replace_node, remove, rewire, or several of these: composite."""
    added, removed, changed = changeset.added, changeset.removed, changeset.changed
    if added and not removed and not changed and all(down in added for _, down in changeset.edges):
        return "add_node" if len(added) == 1 else "add_subgraph"
    if len(changed) == 1 and not added and not removed and all(down in changed for _, down in changeset.edges):
        return "replace_node"
    if removed and not added and not changed and all(set(edge) & set(removed) for edge in changeset.edges):
        return "remove"
    return "rewire" if not changeset.nodes else "composite"
