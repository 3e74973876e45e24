"""A proposal: a changeset put to the vote, and its life as a table."""

from __future__ import annotations

from enum import StrEnum
from fractions import Fraction
from typing import NamedTuple

from ..base.canon import digest, hash_of
from ..base.codec import dumps, enum, record
from ..dag.changeset import Changeset
from .ballot import Ballot, Choice
from .policy import Ballots, Electorate, Opinion, Policy, Verdict


@enum
class ProposalState(StrEnum):
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
    P.APPROVED: frozenset({P.APPLIED, P.OPEN, P.REJECTED, P.CONFLICTED, P.SUPERSEDED}),
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
    P.APPROVED: "approved, about to be applied",
    P.APPLIED: "applied: it is part of the graph",
    P.REJECTED: "rejected",
    P.EXPIRED: "nobody decided in time",
    P.WITHDRAWN: "withdrawn by its proposer",
    P.CONFLICTED: "the graph moved on and the change no longer fits",
    P.SUPERSEDED: "nothing left to do: the graph has it already",
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


@record
class Effect:
    """What applying a proposal does to the work: names of nodes, sorted.

    keep      finished or running nodes that go on untouched: how many
    start     nodes that will run because of it;  restart, cancel, rerun  work that is thrown away
    losses    the attempts (node, fence) that are thrown away
    cost      of what starts;  seconds  of work added, from measured durations
    """

    keep: int = 0
    start: tuple[str, ...] = ()
    restart: tuple[str, ...] = ()
    cancel: tuple[str, ...] = ()
    rerun: tuple[str, ...] = ()
    losses: tuple[tuple[str, int], ...] = ()
    cost: Fraction = Fraction(0)
    seconds: float = 0.0

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
        return self.opinion.verdict.value

    @property
    def text(self) -> str:
        return self.opinion.text

    @property
    def needs(self) -> tuple[str, ...]:
        return self.opinion.needs

    def __str__(self) -> str:
        return self.text


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
    """A changeset put to the vote. `base`: the number of the version it was made on; times are unix seconds."""

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
    judged: Judgement | None = None

    @property
    def digest(self) -> bytes:
        """Content hash, by which maps of proposals are compared: 32 bytes."""
        return digest(dumps(self))

    @property
    def terminal(self) -> bool:
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
    """Whether an approval of one effect covers another: the same change, and no further work thrown away."""
    same = voted[0].digest == now[0].digest
    return same and set(now[1].losses) <= set(voted[1].losses)
