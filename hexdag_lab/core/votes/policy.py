"""Policies: pure functions from ballots, electorate and time to an opinion.

Each leaf says YES, NO, PENDING, or NONE (no opinion). `a & b` rejects if any says NO, is pending if any is pending,
else accepts; `a | b` accepts if any says YES, is pending if any is pending, else rejects; a leaf alone is like `&` of
one.
A fired `Deadline` settles what is pending. A decision falls as soon as no ballot still out could change it; only a
`Veto` holds nothing up. All weights and thresholds are exact fractions. Nothing here raises on any input that its
constructor let through.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum
from fractions import Fraction
from math import inf
from typing import Any, NamedTuple

from ..base.codec import record
from .agent import Role, Seat, weight_of
from .ballot import Ballot, Choice


class Verdict(StrEnum):
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
    """

    seats: tuple[Seat, ...]
    proposer: str
    owner: str
    opened_at: float
    cost: Fraction = Fraction(0)
    additive: bool = True


Ballots = dict[str, Ballot]


class Policy:
    """Base of all policies. A policy is a frozen value: it is journaled with the run."""

    __slots__ = ()

    def evaluate(self, ballots: Ballots, electorate: Electorate, now: float) -> Opinion:
        raise NotImplementedError  # abstract: every leaf below says its own

    def deadline(self, electorate: Electorate, after: float = -inf) -> float | None:
        """When, later than `after`, the opinion may change by itself, in unix seconds."""
        return None

    def __and__(self, other: Policy) -> Policy:
        return Both((*_parts(self, Both), *_parts(other, Both)))

    def __or__(self, other: Policy) -> Policy:
        return Either((*_parts(self, Either), *_parts(other, Either)))


def _parts(policy: Policy, kind: type[Both] | type[Either]) -> tuple[Policy, ...]:
    return policy.parts if isinstance(policy, kind) else (policy,)


class _Combined(Policy):
    __slots__ = ()
    parts: tuple[Policy, ...]

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
            return self._settled(electorate, now) or _joined(Verdict.PENDING, pending)
        in_favour = [o for o in opinions if o.verdict is Verdict.YES]
        return _joined(Verdict.YES, in_favour) if in_favour else Opinion(Verdict.YES, "nothing speaks against it")


@record
class Either(_Combined):
    """`a | b`."""

    parts: tuple[Policy, ...]

    def evaluate(self, ballots: Ballots, electorate: Electorate, now: float) -> Opinion:
        opinions = self._opinions(ballots, electorate, now)
        for wanted in (Verdict.YES, Verdict.PENDING, Verdict.NO):
            if found := [o for o in opinions if o.verdict is wanted]:
                settled = self._settled(electorate, now) if wanted is Verdict.PENDING else None
                return settled or _joined(wanted, found, " or ")
        return Opinion(Verdict.NO, "nothing speaks for it")


def _joined(verdict: Verdict, opinions: list[Opinion], word: str = "; ") -> Opinion:
    needs = tuple(sorted({name for o in opinions for name in o.needs}))
    text = word.join(dict.fromkeys(o.text for o in opinions if o.text))
    return Opinion(verdict, text, needs, any(o.expired for o in opinions))


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
            cast += 1
            if ballot.choice == Choice.APPROVE:
                yes += weight
            elif ballot.choice in (Choice.REJECT, Choice.REQUEST_CHANGES):
                no += weight
            else:
                abstained += weight
    return _Count(yes, no, total, abstained, out_weight, tuple(name for _, name in sorted(out)), cast)


def voting_weight(seat: Seat, electorate: Electorate, voters: frozenset[str]) -> Fraction:
    """The weight that a seat's ballot has; 0 means it is advice."""
    if seat.implicit or seat.role not in voters or seat.id == electorate.proposer:
        return Fraction(0)
    return seat.weight


def _roles(voters: Iterable[str]) -> frozenset[str]:
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
    `strict`, of more than `q`."""

    q: Fraction = Fraction(2, 3)
    base: str = "all"
    voters: frozenset[str] = ORCHESTRATORS
    name: str = "supermajority"
    strict: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "q", _share(self.q, "the threshold"))
        object.__setattr__(self, "voters", _roles(self.voters))
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

    def _reached(self, yes: Fraction, needed: Fraction) -> bool:
        return yes > needed if self.strict else yes >= needed


def Majority(voters: Iterable[str] = ORCHESTRATORS, base: str = "cast") -> Policy:
    """More yes-weight than half."""
    return Supermajority(Fraction(1, 2), base, _roles(voters), "majority", strict=True)


def Unanimous(voters: Iterable[str] = ORCHESTRATORS) -> Policy:
    """Every voter says yes."""
    return Supermajority(Fraction(1), "all", _roles(voters), "unanimous")


@record
class Quorum(Policy):
    """At least so many voters, or such a share of the weight, must have cast a ballot; else nothing passes."""

    voters: int = 0
    share: Fraction = Fraction(0)
    roles: frozenset[str] = ORCHESTRATORS

    def __post_init__(self) -> None:
        object.__setattr__(self, "share", weight_of(self.share))
        object.__setattr__(self, "roles", _roles(self.roles))
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
        cast = ballot is not None and ballot.choice != Choice.ABSENT
        return cast and bool(voting_weight(seat, electorate, self.roles))


@record
class Veto(Policy):
    """A no of this agent, or of anybody in this role, rejects. It holds nothing up: a veto must come before the
    others have decided. Where the holder is to be waited for, say `HumanApproval` or a `Quorum`."""

    holder: str

    def evaluate(self, ballots: Ballots, electorate: Electorate, now: float) -> Opinion:
        for seat in electorate.seats:
            ballot = ballots.get(seat.id)
            if self.holder in (seat.id, seat.role) and ballot and ballot.choice == Choice.REJECT:
                return Opinion(Verdict.NO, f"vetoed by {seat.id}")
        return Opinion(Verdict.NONE, "")


@record
class Deadline(Policy):
    """After `seconds`, what is still pending is settled: `otherwise` "reject" or "accept"."""

    seconds: float
    otherwise: str = "reject"

    def __post_init__(self) -> None:
        if not 0 < self.seconds < inf or self.otherwise not in ("reject", "accept"):
            raise ValueError('a deadline has seconds above 0, and otherwise="reject" or "accept"')

    def fired(self, electorate: Electorate, now: float) -> bool:
        return now >= electorate.opened_at + self.seconds

    def outcome(self) -> Opinion:
        verdict = Verdict.YES if self.otherwise == "accept" else Verdict.NO
        return Opinion(verdict, f"the deadline passed: {self.otherwise}", expired=True)

    def evaluate(self, ballots: Ballots, electorate: Electorate, now: float) -> Opinion:
        return self.outcome() if self.fired(electorate, now) else Opinion(Verdict.NONE, "")

    def deadline(self, electorate: Electorate, after: float = -inf) -> float | None:
        at = electorate.opened_at + self.seconds
        return at if at > after else None


@record
class OwnerDecides(Policy):
    """The lab's owner: her own proposals pass at once, others need her yes."""

    def evaluate(self, ballots: Ballots, electorate: Electorate, now: float) -> Opinion:
        owner = electorate.owner
        if electorate.proposer == owner:
            return Opinion(Verdict.YES, f"{owner} is the owner")
        return _one_of(ballots, tuple(s.id for s in electorate.seats if s.id == owner))


@record
class HumanApproval(Policy):
    """A person other than the proposer must approve what costs more than `above`, or what changes existing nodes
    where `unless_additive`; anything else is none of its business. With `above` None: every proposal. Of several
    people, the first who says yes or no decides."""

    above: Fraction | None = None
    unless_additive: bool = False

    def __post_init__(self) -> None:
        if self.above is not None:
            object.__setattr__(self, "above", weight_of(self.above))

    def evaluate(self, ballots: Ballots, electorate: Electorate, now: float) -> Opinion:
        costly = self.above is None or electorate.cost > self.above
        if self.unless_additive and electorate.additive and (self.above is None or not costly):
            return Opinion(Verdict.YES, "only adds nodes")
        if not costly and not self.unless_additive:
            return Opinion(Verdict.NONE, "")
        return _one_of(ballots, tuple(s.id for s in electorate.seats if s.human and s.id != electorate.proposer))


def _one_of(ballots: Ballots, people: tuple[str, ...]) -> Opinion:
    if not people:
        return Opinion(Verdict.NO, "it needs a person, and nobody here is one")
    answers = [(b.at, name) for name in people if (b := ballots.get(name)) and b.choice in _ANSWERS]
    if answers:
        _, name = min(answers)
        choice = ballots[name].choice
        if choice == Choice.APPROVE:
            return Opinion(Verdict.YES, f"{name} approved")
        return Opinion(Verdict.NO, f"{name} said {choice.value.replace('_', ' ')}")
    out = tuple(name for name in people if name not in ballots)
    if not out:
        return Opinion(Verdict.NO, f"{' and '.join(people)} abstained")
    return Opinion(Verdict.PENDING, f"needs {' or '.join(out)}", out)


_ANSWERS = (Choice.APPROVE, Choice.REJECT, Choice.REQUEST_CHANGES)


def solo() -> Policy:
    """The owner's own changes pass after the checks, agents' changes need her; after ten minutes: reject."""
    return OwnerDecides() & Deadline(600)


def pair() -> Policy:
    """One person who is not the proposer; after ten minutes: reject."""
    return HumanApproval() & Deadline(600)


def committee() -> Policy:
    """Two thirds of the yes and no cast, 60 % of the weight present; after ten minutes: reject."""
    return Supermajority(Fraction(2, 3), "cast") & Quorum(share=Fraction(3, 5)) & Deadline(600)


def autopilot() -> Policy:
    """What only adds nodes passes after the checks; anything else needs a person; after ten minutes: reject."""
    return HumanApproval(unless_additive=True) & Deadline(600)


PRESETS = {"solo": solo, "pair": pair, "committee": committee, "autopilot": autopilot}


def policy_of(value: Policy | str) -> Policy:
    """A policy, or the preset of that name."""
    if isinstance(value, Policy):
        return value
    if value in PRESETS:
        return PRESETS[value]()
    raise ValueError(f"policy is a policy or one of {', '.join(PRESETS)}, not {value!r}")
