"""`Delegate`: who does not vote is spoken for by somebody she trusts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from fractions import Fraction
from math import inf
from typing import Any

from ..base.codec import record
from ..base.frozen import FrozenDict
from .agent import Seat, weight_of
from .ballot import Ballot, Choice
from .policy import Ballots, Electorate, Opinion, Policy
from .weighing import ORCHESTRATORS, roles, voting_weight

LONGEST = 3  #: links from a voter to the one who speaks for her


@record
class Delegate(Policy):
    """Another policy, in which the ballot of a voter who has not voted is that of her delegate, or of her delegate's.

    policy  the one that decides;  to  voter -> her delegate
    most    the share of all weight that one delegate speaks with at most, her own included; the rest abstains

    Whoever votes speaks for herself. A chain of more than three links, or one that comes back to itself, counts as an
    abstention until she votes; one that ends with somebody who has not voted leaves her ballot open. Under `LogOdds` a
    delegate's ballot is one piece of evidence, whoever else it stands for: there those spoken for abstain.
    """

    policy: Policy
    to: Mapping[str, str] = FrozenDict()
    most: Fraction = Fraction(2, 5)
    voters: frozenset[str] = ORCHESTRATORS

    def __post_init__(self) -> None:
        if not hasattr(self.policy, "evaluate") or not hasattr(self.to, "items"):
            raise TypeError("Delegate takes a policy and {voter: delegate}")
        named = {_name(voter): _name(delegate) for voter, delegate in self.to.items()}
        object.__setattr__(self, "to", FrozenDict(named))
        object.__setattr__(self, "most", weight_of(self.most))
        object.__setattr__(self, "voters", roles(self.voters))
        if not 0 < self.most <= 1:
            raise ValueError(f"most is a share above 0 and at most 1, not {self.most}")

    def seals(self) -> bool:
        return self.policy.seals()

    def learns(self) -> bool:
        return self.policy.learns()

    def weights(self, electorate: Electorate) -> Mapping[str, Fraction]:
        return self.policy.weights(electorate)

    def deadline(self, electorate: Electorate, after: float = -inf) -> float | None:
        return self.policy.deadline(electorate, after)

    def evaluate(self, ballots: Ballots, electorate: Electorate, now: float) -> Opinion:
        return self.policy.evaluate(*self.represented(ballots, electorate), now)

    def represented(self, ballots: Ballots, electorate: Electorate) -> tuple[Ballots, Electorate]:
        """Ballots and electorate with those who have not voted spoken for."""
        ballots = {s.id: ballots[s.id] for s in electorate.seats if s.id in ballots and s.id != electorate.proposer}
        speaks = {seat.id: self.speaker(seat.id, ballots) for seat in electorate.seats if not _voted(ballots, seat.id)}
        spoken = {voter: name for voter, name in speaks.items() if name is not None}
        if not spoken:
            return ballots, electorate
        share = self._shares(spoken, electorate)
        cast, seats = dict(ballots), list[Seat]()
        for seat in electorate.seats:
            name = spoken.get(seat.id)
            if name is None:
                seats.append(seat)
                continue
            cast[seat.id] = replace(ballots[name], voter=seat.id) if name else Ballot(Choice.ABSTAIN, voter=seat.id)
            part = share.get(name, Fraction(1))
            seats.append(replace(seat, weight=seat.weight * part))
            if part < 1:  # what is beyond the delegate's share is there, and says nothing
                rest = f"{seat.id} beyond {name}'s share"
                seats.append(replace(seat, id=rest, weight=seat.weight * (1 - part)))
                cast[rest] = Ballot(Choice.ABSTAIN, voter=rest)
        logits = FrozenDict({n: logit for n, logit in electorate.earned.logits.items() if n not in spoken})
        earned = replace(electorate.earned, logits=logits)
        return cast, replace(electorate, seats=tuple(seats), earned=earned)

    def speaker(self, voter: str, ballots: Ballots) -> str | None:
        """Who speaks for a voter who has not voted: "" if nobody ever can, None if nobody does so far."""
        name, seen = voter, {voter}
        while (name := self.to.get(name, "")) and name not in seen and len(seen) <= LONGEST:
            if _voted(ballots, name):
                return name
            seen.add(name)
        return "" if name else None

    def _shares(self, spoken: Mapping[str, str], electorate: Electorate) -> dict[str, Fraction]:
        """Delegate -> the part of the weight given to her that she can speak with."""
        weights = {seat.id: voting_weight(seat, electorate, self.voters) for seat in electorate.seats}
        given: dict[str, Fraction] = {}
        for voter, name in spoken.items():
            if name:
                given[name] = given.get(name, Fraction(0)) + weights[voter]
        room = self.most * sum(weights.values(), Fraction(0))
        return {
            name: min(Fraction(1), max(Fraction(0), room - weights.get(name, Fraction(0))) / weight)
            for name, weight in given.items()
            if weight
        }


def _name(agent: Any) -> str:
    name = getattr(agent, "id", agent)
    if not isinstance(name, str) or not name:
        raise ValueError(f"a voter and her delegate are agents, or names of some, not {agent!r}")
    return name


def _voted(ballots: Ballots, name: str) -> bool:
    return name in ballots and ballots[name].present
