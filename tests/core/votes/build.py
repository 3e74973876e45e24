"""Short ways to write electorates and ballots in tests. Not a test."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from hexdag_lab.core.votes.agent import Role, Seat, weight_of
from hexdag_lab.core.votes.ballot import Ballot, Choice
from hexdag_lab.core.votes.policy import Ballots, Electorate, Opinion, Policy, Verdict

YES, NO, PENDING, NONE = Verdict.YES, Verdict.NO, Verdict.PENDING, Verdict.NONE
WORDS = {
    "+": Choice.APPROVE,
    "-": Choice.REJECT,
    "0": Choice.ABSTAIN,
    "?": Choice.REQUEST_CHANGES,
    "x": Choice.ABSENT,
}


def house(
    *, proposer: str = "pat", owner: str = "olga", extra: Iterable[Seat] = (), facts: Any = None, **trust: Any
) -> Electorate:
    """An electorate that opened at 100: `house(marie=1, critic=0.8)` are orchestrators with these weights."""
    seats = [Seat(name, weight=weight_of(weight)) for name, weight in trust.items()]
    return Electorate(tuple(sorted([*seats, *extra], key=lambda s: s.id)), proposer, owner, 100.0, **(facts or {}))


def person(name: str, role: Role = Role.ORCHESTRATOR) -> Seat:
    return Seat(name, role, human=True)


def cast(**votes: str) -> Ballots:
    """Ballots: `cast(marie="+", critic="-")`; "+1" and "-2" also say the order in time."""
    return {name: Ballot(WORDS[v[0]], voter=name, at=101.0 + float(v[1:] or 0)) for name, v in votes.items()}


def says(policy: Policy, electorate: Electorate, now: float = 101.0, /, **votes: str) -> Opinion:
    """What a policy says about some ballots."""
    return policy.evaluate(cast(**votes), electorate, now)
