"""Policies that look at who says something, whatever the weight: vetoes, owners, people."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase
from fractions import Fraction
from math import inf
from typing import Any

from ..base.codec import record
from ..base.frozen import FrozenDict
from .agent import weight_of
from .ballot import Choice
from .policy import Ballots, Deadline, Electorate, Opinion, Policy, Verdict, joined
from .weighing import ORCHESTRATORS, has_vote

OWNER = "owner"  #: stands for the lab's owner where an agent is named


@record
class Veto(Policy):
    """A no of this agent, or of anybody in this role, rejects. It holds nothing up: a veto must come before the
    others have decided. Where the holder is to be waited for, say `HumanApproval` or a `Quorum`. The holder "owner"
    is the lab's owner."""

    holder: str

    def evaluate(self, ballots: Ballots, electorate: Electorate, now: float) -> Opinion:
        holder = electorate.owner if self.holder == OWNER else self.holder
        for seat in electorate.seats:
            ballot = ballots.get(seat.id) if seat.id != electorate.proposer else None
            if holder in (seat.id, seat.role) and ballot and ballot.choice == Choice.REJECT:
                return Opinion(Verdict.NO, f"vetoed by {seat.id}")
        return Opinion(Verdict.NONE, "")


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


@record
class PersonForRisk(Policy):
    """A policy, but what it lets pass waits for a person's yes where the electorate has something risky.

    The lab puts it around a run's policy whose catalogue has operations of high risk; no combination, preset or
    deadline gets around it. A no of the policy is a no at once; a deadline that passes without a person is one, too."""

    policy: Policy

    def evaluate(self, ballots: Ballots, electorate: Electorate, now: float) -> Opinion:
        opinion = self.policy.evaluate(ballots, electorate, now)
        if not electorate.risky or opinion.verdict is Verdict.NO:
            return opinion
        person = _one_of(ballots, tuple(s.id for s in electorate.seats if s.human and s.id != electorate.proposer))
        risk = f"{', '.join(electorate.risky)}: high risk, {person.text}"
        if person.verdict is Verdict.YES:
            return joined(opinion.verdict, [opinion, person])
        if person.verdict is Verdict.PENDING and any(d.fired(electorate, now) for d in _deadlines(self.policy)):
            return Opinion(Verdict.NO, f"the deadline passed; {risk}", expired=True)
        pending = [opinion] if opinion.verdict is Verdict.PENDING else []
        return joined(person.verdict, [*pending, person._replace(text=risk)])

    def deadline(self, electorate: Electorate, after: float = -inf) -> float | None:
        return self.policy.deadline(electorate, after)

    def weights(self, electorate: Electorate) -> Mapping[str, Fraction]:
        return self.policy.weights(electorate)

    def seals(self) -> bool:
        return self.policy.seals()

    def learns(self) -> bool:
        return self.policy.learns()


def _deadlines(policy: Policy) -> list[Deadline]:
    """The deadlines in a policy, however it is combined."""
    if isinstance(policy, Deadline):
        return [policy]
    return [found for part in getattr(policy, "parts", ()) for found in _deadlines(part)]


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


@record
class Owners(Policy):
    """Who owns a node must approve what touches it: adds, removes, changes or wires it otherwise.

    of    name of a node, or a pattern ("gpu_*") -> who owns it: an agent, or several of whom one is enough; "owner" is
          the lab's owner. Every pattern that fits counts
    more  so many further voters must approve, whatever is touched

    Who proposes has approved. It has no opinion where nothing touched has an owner.
    """

    of: Mapping[str, Any] = FrozenDict()
    more: int = 0

    def __post_init__(self) -> None:
        object.__setattr__(self, "of", FrozenDict({pattern: _names(who, pattern) for pattern, who in _items(self.of)}))
        if type(self.more) is not int or self.more < 0:
            raise ValueError(f"more is a number of voters, 0 or more, not {self.more!r}")

    def evaluate(self, ballots: Ballots, electorate: Electorate, now: float) -> Opinion:
        owned = self._owned(electorate)
        opinions = [_owner_of(node, who, ballots, electorate) for node, who in owned.items()]
        opinions += self._further(frozenset(name for who in owned.values() for name in who), ballots, electorate)
        if against := [o for o in opinions if o.verdict is Verdict.NO]:
            return against[0]
        if pending := [o for o in opinions if o.verdict is Verdict.PENDING]:
            return joined(Verdict.PENDING, pending)
        return joined(Verdict.YES, opinions) if opinions else Opinion(Verdict.NONE, "")

    def _owned(self, electorate: Electorate) -> dict[str, tuple[str, ...]]:
        """Touched node -> owners of whom one must approve, for each pattern that fits; equal ones once."""
        found: dict[tuple[str, ...], str] = {}
        for node in electorate.touches:
            for pattern, who in self.of.items():
                if fnmatchcase(node, pattern):
                    names = tuple(electorate.owner if name == OWNER else name for name in who)
                    found.setdefault(names, node)
        return {f"{node} of {' or '.join(who)}": who for who, node in found.items()}

    def _further(self, owners: frozenset[str], ballots: Ballots, electorate: Electorate) -> list[Opinion]:
        if not self.more:
            return []
        others = [s.id for s in electorate.seats if s.id not in owners and has_vote(s, electorate, ORCHESTRATORS)]
        yes = [name for name in others if name in ballots and ballots[name].choice == Choice.APPROVE]
        out = tuple(name for name in others if name not in ballots)
        if len(yes) >= self.more:
            return [Opinion(Verdict.YES, f"{' and '.join(yes)} approved")]
        text = f"{len(yes)} of {self.more} further"
        if len(yes) + len(out) < self.more:
            return [Opinion(Verdict.NO, f"{text}, cannot be reached any more")]
        return [Opinion(Verdict.PENDING, f"{text}, needs {' or '.join(out)}", out)]


def _owner_of(what: str, who: tuple[str, ...], ballots: Ballots, electorate: Electorate) -> Opinion:
    """What the owners of a node say of a proposal that touches it."""
    if electorate.proposer in who:
        return Opinion(Verdict.YES, f"{electorate.proposer} owns {what.partition(' of ')[0]}")
    here = tuple(seat.id for seat in electorate.seats if seat.id in who)
    if not here:
        return Opinion(Verdict.NO, f"it touches {what}, who takes no part")
    return _one_of(ballots, here)


def _items(of: object) -> Iterable[tuple[str, object]]:
    if not isinstance(of, Mapping):
        raise TypeError(f"Owners takes {{node or pattern: agent or agents}}, not {type(of).__name__}")
    return of.items()


def _names(who: object, pattern: str) -> tuple[str, ...]:
    several = who if isinstance(who, Iterable) and not isinstance(who, str) else [who]
    names = {getattr(name, "id", name) for name in several}
    if not names or not all(isinstance(name, str) and name for name in names):
        raise ValueError(f"{pattern!r} needs the name of an owner, or several, not {who!r}")
    return tuple(sorted(map(str, names)))
