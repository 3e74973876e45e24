"""Policies that add up weights: shares of it, and how much of it must have been cast.

All weights and thresholds are exact fractions, so that no result depends on the order of adding.
"""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction
from typing import Any, NamedTuple

from ..base.codec import record
from .agent import Role, Seat, weight_of
from .ballot import Choice
from .policy import Ballots, Electorate, Opinion, Policy, Verdict


class _Count(NamedTuple):
    """Weights by what was cast. `out` are the seats whose ballot is still to come, the heaviest first."""

    yes: Fraction
    no: Fraction
    all: Fraction
    abstained: Fraction
    out_weight: Fraction
    out: tuple[str, ...]
    cast: int


def count(ballots: Ballots, electorate: Electorate, voters: frozenset[str]) -> _Count:
    """Add up the weights of the seats with a role in `voters`, the proposer left out."""
    yes = no = total = abstained = out_weight = Fraction(0)
    out: list[tuple[Fraction, str]] = []
    cast = 0
    for seat in electorate.seats:
        weight = voting_weight(seat, electorate, voters)
        if not weight:
            continue
        total += weight
        ballot = ballots.get(seat.id)
        if ballot is None:
            out_weight += weight
            out.append((-weight, seat.id))
        elif ballot.choice != Choice.ABSENT:
            cast += ballot.present
            if ballot.choice == Choice.APPROVE:
                yes += weight
            elif ballot.choice in (Choice.REJECT, Choice.REQUEST_CHANGES):
                no += weight
            else:
                abstained += weight
    return _Count(yes, no, total, abstained, out_weight, tuple(name for _, name in sorted(out)), cast)


def voting_weight(seat: Seat, electorate: Electorate, voters: frozenset[str]) -> Fraction:
    """The weight that a seat's ballot has; 0 means it is advice."""
    return seat.weight if has_vote(seat, electorate, voters) else Fraction(0)


def has_vote(seat: Seat, electorate: Electorate, voters: frozenset[str]) -> bool:
    """Whether a seat is one of the voters: not the proposer, nor an owner whom nobody added by hand."""
    return not seat.implicit and seat.role in voters and seat.id != electorate.proposer


def roles(voters: Iterable[str]) -> frozenset[str]:
    """Roles by their names, or by the name of one. Raises ValueError for one that does not exist."""
    return frozenset(Role(v).value for v in ([voters] if isinstance(voters, str) else voters))


def _share(value: Any, what: str) -> Fraction:
    share = weight_of(value)
    if not 0 < share <= 1:
        raise ValueError(f"{what} is above 0 and at most 1, not {value!r}")
    return share


ORCHESTRATORS: frozenset[str] = frozenset({"orchestrator"})


def _shown(share: Fraction) -> str:
    # Rounded down: what falls short of two thirds must not read as if it did not.
    return f"{share.numerator * 100 // share.denominator / 100:.2f}"


@record
class Supermajority(Policy):
    """Yes-weight of at least `q` of all weight (`base="all"`) or of the yes and no cast (`base="cast"`); with
    `strict`, of more than `q`. With `sealed`, voters see who has voted and not what, until they have voted."""

    q: Fraction = Fraction(2, 3)
    base: str = "all"
    voters: frozenset[str] = ORCHESTRATORS
    name: str = "supermajority"
    strict: bool = False
    sealed: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "q", _share(self.q, "the threshold"))
        object.__setattr__(self, "voters", roles(self.voters))
        if self.base not in ("all", "cast"):
            raise ValueError(f'base is "all" or "cast", not {self.base!r}')

    def evaluate(self, ballots: Ballots, electorate: Electorate, now: float) -> Opinion:
        c = count(ballots, electorate, self.voters)
        if not c.all:
            return Opinion(Verdict.NO, "nobody may vote on this")
        base = c.all if self.base == "all" else c.yes + c.no + c.out_weight
        if not base:
            return Opinion(Verdict.NO, "nobody voted yes or no")
        needed = self.q * base
        text = f"{_shown(c.yes / base)} of {'more than ' * self.strict}{_shown(self.q)}"
        if self._reached(c.yes, needed):
            return Opinion(Verdict.YES, text)
        # Who abstained may still change her mind while others are asked: abstentions alone decide nothing early.
        open_weight = c.out_weight + (c.abstained if c.out else 0)
        most = c.all if self.base == "all" else c.yes + c.no + open_weight
        if not self._reached(c.yes + open_weight, self.q * most):
            return Opinion(Verdict.NO, f"{text}, cannot be reached any more")
        return Opinion(Verdict.PENDING, f"{text}, needs {' or '.join(c.out)}", c.out)

    def seals(self) -> bool:
        return self.sealed

    def _reached(self, yes: Fraction, needed: Fraction) -> bool:
        return yes > needed if self.strict else yes >= needed


def Majority(voters: Iterable[str] = ORCHESTRATORS, base: str = "cast", sealed: bool = False) -> Policy:
    """More yes-weight than half."""
    return Supermajority(Fraction(1, 2), base, roles(voters), "majority", True, sealed)


def Unanimous(voters: Iterable[str] = ORCHESTRATORS, sealed: bool = False) -> Policy:
    """Every voter says yes."""
    return Supermajority(Fraction(1), "all", roles(voters), "unanimous", sealed=sealed)


@record
class Quorum(Policy):
    """At least so many voters, or such a share of the weight, must have cast a ballot; else nothing passes."""

    voters: int = 0
    share: Fraction = Fraction(0)
    roles: frozenset[str] = ORCHESTRATORS

    def __post_init__(self) -> None:
        object.__setattr__(self, "share", weight_of(self.share))
        object.__setattr__(self, "roles", roles(self.roles))
        if type(self.voters) is not int or self.voters < 0 or self.share > 1:
            raise ValueError("a quorum is a number of voters, 0 or more, or a share of the weight, at most 1")

    def evaluate(self, ballots: Ballots, electorate: Electorate, now: float) -> Opinion:
        c = count(ballots, electorate, self.roles)
        if not c.all and (self.voters or self.share):
            return Opinion(Verdict.NO, "nobody may vote on this")
        turnout = sum((s.weight for s in electorate.seats if self._counts(s, ballots, electorate)), Fraction(0))
        if c.cast >= self.voters and turnout >= self.share * c.all:
            return Opinion(Verdict.NONE, "")
        text = f"quorum {c.cast} of {self.voters} voters" if self.voters else f"quorum {float(self.share):.0%}"
        if c.cast + len(c.out) < self.voters or turnout + c.out_weight < self.share * c.all:
            return Opinion(Verdict.NO, f"{text} cannot be reached")
        return Opinion(Verdict.PENDING, f"{text}, needs {' or '.join(c.out)}", c.out)

    def _counts(self, seat: Seat, ballots: Ballots, electorate: Electorate) -> bool:
        ballot = ballots.get(seat.id)
        return ballot is not None and ballot.present and bool(voting_weight(seat, electorate, self.roles))
