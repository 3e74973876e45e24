"""Policies: pure functions from ballots, electorate and time to an opinion.

Each leaf says YES, NO, PENDING, or NONE (no opinion). `a & b` rejects if any says NO, is pending if any is pending,
else accepts; `a | b` accepts if any says YES, is pending if any is pending, else rejects; a leaf alone is like `&` of
one.
A fired `Deadline` settles what is pending. A decision falls as soon as no ballot still out could change it; only a
`Veto` holds nothing up. All weights and thresholds are exact fractions. Nothing here raises on any input that its
constructor let through.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from fractions import Fraction
from math import inf
from typing import NamedTuple

from ..base.codec import record
from .agent import Seat
from .ballot import Ballot
from .trust import Earned


class Verdict(StrEnum):
    """What one policy says: yes, no, not yet, or nothing either way."""

    YES = "yes"
    NO = "no"
    PENDING = "pending"
    NONE = "no opinion"


class Opinion(NamedTuple):
    """What a policy says, in one sentence; `needs`: whose ballot it waits for; `expired`: a deadline decided."""

    verdict: Verdict
    text: str
    needs: tuple[str, ...] = ()
    expired: bool = False


@record
class Electorate:
    """Who may vote on one proposal, frozen when voting opens, with the facts that policies look at.

    seats      everybody who may cast a ballot, sorted by id
    opened_at  unix seconds;  cost  of what the proposal starts;  additive  it only adds nodes
    touches    the nodes that it adds, removes, changes or wires otherwise, sorted
    earned     what the seats have earned, where the policy looks at that
    risky      the nodes for which a person has to vote, whatever the policy: operations of high risk, which no person
    proposes
    """

    seats: tuple[Seat, ...]
    proposer: str
    owner: str
    opened_at: float
    cost: Fraction = Fraction(0)
    additive: bool = True
    touches: tuple[str, ...] = ()
    earned: Earned = Earned()
    risky: tuple[str, ...] = ()


Ballots = dict[str, Ballot]


class Policy:
    """Base of all policies. A policy is a frozen value: it is journaled with the run."""

    __slots__ = ()

    def evaluate(self, ballots: Ballots, electorate: Electorate, now: float) -> Opinion:
        """What it says of the ballots (voter -> ballot) at `now`, in unix seconds. Pure: the same answer every time."""
        raise NotImplementedError  # abstract: every leaf below says its own

    def deadline(self, electorate: Electorate, after: float = -inf) -> float | None:
        """When, later than `after`, the opinion may change by itself, in unix seconds."""
        return None

    def weights(self, electorate: Electorate) -> Mapping[str, Fraction]:
        """Seat -> what its ballot weighs, where it `learns`; elsewhere that is the seat's own weight."""
        return {}

    def seals(self) -> bool:
        """Whether who has not voted sees who has, and not what."""
        return False

    def learns(self) -> bool:
        """Whether it weighs what voters have earned."""
        return False

    def __and__(self, other: Policy) -> Policy:
        return Both((*_parts(self, Both), *_parts(other, Both)))

    def __or__(self, other: Policy) -> Policy:
        return Either((*_parts(self, Either), *_parts(other, Either)))


def _parts(policy: Policy, kind: type[Both] | type[Either]) -> tuple[Policy, ...]:
    return policy.parts if isinstance(policy, kind) else (policy,)


class _Combined(Policy):
    __slots__ = ()
    parts: tuple[Policy, ...]

    def seals(self) -> bool:
        return any(part.seals() for part in self.parts)

    def learns(self) -> bool:
        return any(part.learns() for part in self.parts)

    def weights(self, electorate: Electorate) -> Mapping[str, Fraction]:
        return next((part.weights(electorate) for part in self.parts if part.learns()), {})

    def _opinions(self, ballots: Ballots, electorate: Electorate, now: float) -> list[Opinion]:
        return [p.evaluate(ballots, electorate, now) for p in self.parts if not isinstance(p, Deadline)]

    def deadline(self, electorate: Electorate, after: float = -inf) -> float | None:
        return min((t for part in self.parts if (t := part.deadline(electorate, after)) is not None), default=None)

    def _settled(self, electorate: Electorate, now: float) -> Opinion | None:
        """What a deadline says about what is still pending: the one that fired first."""
        fired = [p for p in self.parts if isinstance(p, Deadline) and p.fired(electorate, now)]
        return min(fired, key=lambda p: p.seconds).outcome() if fired else None


@record
class Both(_Combined):
    """`a & b`."""

    parts: tuple[Policy, ...]

    def evaluate(self, ballots: Ballots, electorate: Electorate, now: float) -> Opinion:
        opinions = self._opinions(ballots, electorate, now)
        if against := [o for o in opinions if o.verdict is Verdict.NO]:
            return against[0]
        if pending := [o for o in opinions if o.verdict is Verdict.PENDING]:
            return self._settled(electorate, now) or joined(Verdict.PENDING, pending)
        in_favour = [o for o in opinions if o.verdict is Verdict.YES]
        return joined(Verdict.YES, in_favour) if in_favour else Opinion(Verdict.YES, "nothing speaks against it")


@record
class Either(_Combined):
    """`a | b`."""

    parts: tuple[Policy, ...]

    def evaluate(self, ballots: Ballots, electorate: Electorate, now: float) -> Opinion:
        opinions = self._opinions(ballots, electorate, now)
        for wanted in (Verdict.YES, Verdict.PENDING, Verdict.NO):
            if found := [o for o in opinions if o.verdict is wanted]:
                settled = self._settled(electorate, now) if wanted is Verdict.PENDING else None
                return settled or joined(wanted, found, " or ")
        return Opinion(Verdict.NO, "nothing speaks for it")


def joined(verdict: Verdict, opinions: list[Opinion], word: str = "; ") -> Opinion:
    """Several opinions of one verdict as one."""
    needs = tuple(sorted({name for o in opinions for name in o.needs}))
    text = word.join(dict.fromkeys(o.text for o in opinions if o.text))
    return Opinion(verdict, text, needs, any(o.expired for o in opinions))


@record
class Deadline(Policy):
    """After `seconds`, what is still pending is settled: `otherwise` "reject" or "accept"."""

    seconds: float
    otherwise: str = "reject"

    def __post_init__(self) -> None:
        if not 0 < self.seconds < inf or self.otherwise not in ("reject", "accept"):
            raise ValueError('a deadline has seconds above 0, and otherwise="reject" or "accept"')

    def fired(self, electorate: Electorate, now: float) -> bool:
        """Whether its time is over at `now`, in unix seconds."""
        return now >= electorate.opened_at + self.seconds

    def outcome(self) -> Opinion:
        """What it says of what is still pending then."""
        verdict = Verdict.YES if self.otherwise == "accept" else Verdict.NO
        return Opinion(verdict, f"the deadline passed: {self.otherwise}", expired=True)

    def evaluate(self, ballots: Ballots, electorate: Electorate, now: float) -> Opinion:
        return self.outcome() if self.fired(electorate, now) else Opinion(Verdict.NONE, "")

    def deadline(self, electorate: Electorate, after: float = -inf) -> float | None:
        at = electorate.opened_at + self.seconds
        return at if at > after else None
