"""Policies that look at who says something, whatever the weight: vetoes, owners, people."""

from __future__ import annotations

from fractions import Fraction

from ..base.codec import record
from .agent import weight_of
from .ballot import Choice
from .policy import Ballots, Electorate, Opinion, Policy, Verdict


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
