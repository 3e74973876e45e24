"""What a policy would decide with a described cast of voters: how often it is right, before anything depends on it.

    cast = [Voter("ann", right=0.85), *Voter.several(4, "bot", right=0.65, family="gpt", together=0.8)]
    print(simulate_votes(cast))

Policies and trust are those of the lab, not models of them. Every way to vote is looked at (with many voters: 2,000
drawn ones), so the only chance in the figures is in what voters have earned before, and that follows from the seed.
It knows nothing of persuasion: voters say what they think, and think what they would have thought anyway.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from fractions import Fraction
from itertools import pairwise, product
from random import Random
from typing import Any, NamedTuple

from ..core.votes.agent import Seat, weight_of
from ..core.votes.ballot import Ballot, Choice
from ..core.votes.logodds import LogOdds
from ..core.votes.policy import Electorate, Policy, Verdict
from ..core.votes.presets import committee
from ..core.votes.trust import Lesson, Trust
from ..core.votes.weighing import Majority, Supermajority, Unanimous

MOST_LISTED = 10  #: voters, up to whose number every way to vote is looked at
DRAWN = 2_000  #: ways to vote, beyond that
HISTORIES = 20  #: pasts over which the figures of a policy that learns are averaged

Right = tuple[bool, ...]
"""Who is right about a proposal, in the order of the cast."""


class Voter(NamedTuple):
    """One voter. `right`: how likely its ballot is right; `trust`: as its user declares it; `family`: those that err
    together, which they do with probability `together`: then all of the family draw the same lot."""

    name: str
    right: float
    trust: float = 0.5
    family: str = ""
    together: float = 0.0

    @classmethod
    def several(cls, number: int, name: str, right: float, **more: Any) -> list[Voter]:
        """Voters that differ by their number only."""
        return [cls(f"{name}-{i}", right, **more) for i in range(1, number + 1)]


class Figures(NamedTuple):
    """How a policy does: the share of right decisions, of bad proposals accepted, and of good ones rejected."""

    policy: str
    accuracy: float
    false_accepts: float
    false_rejects: float


class Table(tuple[Figures, ...]):
    """The figures of several policies; its text is a table."""

    __slots__ = ()

    def __str__(self) -> str:
        width = max([6, *(len(row.policy) for row in self)])
        lines = [f"{'policy':{width}}  accuracy  false accepts  false rejects"]
        lines += [
            f"{row.policy:{width}}  {row.accuracy:8.3f}  {row.false_accepts:13.3f}  {row.false_rejects:13.3f}"
            for row in self
        ]
        return "\n".join(lines)


def policies(cost_false_accept: Any = 1, cost_false_reject: Any = 1, good: Any = 0.5) -> dict[str, Policy]:
    """The policies that the table compares unless told otherwise."""
    costs: dict[str, Any] = {"cost_false_accept": cost_false_accept, "cost_false_reject": cost_false_reject}
    return {
        "majority": Majority(),
        "two thirds": Supermajority(Fraction(2, 3)),
        "committee": committee(),
        "unanimous": Unanimous(),
        "log-odds, each alone": LogOdds(good, discount=False, **costs),
        "log-odds": LogOdds(good, **costs),
    }


def simulate_votes(
    cast: Iterable[Voter],
    compare: Mapping[str, Policy] | None = None,
    *,
    past: int = 100,
    good: float = 0.5,
    histories: int = HISTORIES,
    seed: int = 0,
) -> Table:
    """How policies do with a cast, from `past` earlier proposals whose outcome is known.

    good       the share of proposals that are good
    histories  so many different pasts are averaged, where a policy learns

    Raises ValueError for a cast that cannot be.
    """
    voters = checked(cast)
    if not 0 < good < 1 or past < 0 or histories < 1:
        raise ValueError("good is a share above 0 and below 1, past 0 or more, histories 1 or more")
    rng = Random(seed)
    ways = chances(voters, rng)
    pasts = [Trust().after(lessons(voters, past, good, rng)) for _ in range(histories)]
    found = []
    for name, policy in (policies(good=good) if compare is None else compare).items():
        known = pasts if policy.learns() else pasts[:1]
        wrong = [errors(decisions(policy, electorate(voters, trust)), ways) for trust in known]
        accepts, rejects = (sum(column) / len(wrong) for column in zip(*wrong, strict=True))
        found.append(Figures(name, 1 - (1 - good) * accepts - good * rejects, accepts, rejects))
    return Table(found)


def errors(accepted: Callable[[Right], bool], ways: Mapping[Right, float]) -> tuple[float, float]:
    """The shares of bad proposals accepted and of good ones rejected; `ways`: who is right -> how likely."""
    accepts = rejects = 0.0
    for right, chance in ways.items():
        rejects += chance * (not accepted(right))
        accepts += chance * accepted(tuple(not r for r in right))
    return accepts, rejects


def decisions(policy: Policy, seats: Electorate) -> Callable[[Right], bool]:
    """Whether a policy accepts, by who says yes; each way to vote is put to it once."""
    names, known = [seat.id for seat in seats.seats], dict[Right, bool]()

    def accepted(yes: Right) -> bool:
        if yes not in known:
            ballots = {name: _YES if said else _NO for name, said in zip(names, yes, strict=True)}
            known[yes] = policy.evaluate(ballots, seats, 0.0).verdict in (Verdict.YES, Verdict.NONE)
        return known[yes]

    return accepted


_YES, _NO = Ballot(Choice.APPROVE), Ballot(Choice.REJECT)


def electorate(voters: Sequence[Voter], trust: Trust) -> Electorate:
    """The electorate of a cast: its seats, in the cast's order, with what they have earned."""
    seats = tuple(Seat(v.name, weight=weight_of(v.trust), family=v.family) for v in voters)
    return Electorate(seats, "proposer", "owner", 0.0, earned=trust.earned(seats))


def lessons(voters: Sequence[Voter], number: int, good: float, rng: Random) -> list[Lesson]:
    """What earlier proposals have taught, drawn by chance."""
    found = []
    for i in range(number):
        is_good, right = rng.random() < good, draw(voters, rng)
        said = [(v.name, r == is_good) for v, r in zip(voters, right, strict=True)]
        yes, no = (tuple(name for name, approved in said if approved is wanted) for wanted in (True, False))
        found.append(Lesson(f"p{i}", is_good, "", yes, no))
    return found


def draw(voters: Sequence[Voter], rng: Random) -> Right:
    """Who is right about one proposal, drawn by chance."""
    lots = {family: rng.random() for family in sorted({v.family for v in voters})}
    found = []
    for v in voters:
        own, shared = rng.random(), rng.random() < v.together
        found.append((lots[v.family] if shared else own) < v.right)
    return tuple(found)


def chances(voters: Sequence[Voter], rng: Random) -> dict[Right, float]:
    """Who is right -> how likely that is."""
    if len(voters) > MOST_LISTED:
        found: dict[Right, float] = {}
        for _ in range(DRAWN):
            right = draw(voters, rng)
            found[right] = found.get(right, 0.0) + 1 / DRAWN
        return found
    ways: dict[Right, float] = {(): 1.0}
    order: list[int] = []
    for family in dict.fromkeys(v.family for v in voters):
        places = [i for i, v in enumerate(voters) if v.family == family]
        own = _family([voters[i] for i in places])
        ways = {(*before, *right): p * q for before, p in ways.items() for right, q in own.items()}
        order += places
    back = [order.index(i) for i in range(len(order))]
    return {tuple(right[i] for i in back): chance for right, chance in ways.items()}


def _family(members: Sequence[Voter]) -> dict[Right, float]:
    """Who of a family is right -> how likely: the lot that they share falls between two of their `right`s."""
    cuts = sorted({0.0, 1.0, *(v.right for v in members)})
    found = dict.fromkeys(product((True, False), repeat=len(members)), 0.0)
    for low, high in pairwise(cuts):
        each = [v.together * (low < v.right) + (1 - v.together) * v.right for v in members]
        for right in found:
            chance = high - low
            for r, p in zip(right, each, strict=True):
                chance *= p if r else 1 - p
            found[right] += chance
    return found


# -- a cast as people describe it


def checked(cast: Iterable[Voter]) -> tuple[Voter, ...]:
    """A cast that can be. Raises ValueError."""
    voters = tuple(cast)
    if not voters:
        raise ValueError("a cast has at least one voter, who is right=0.8 or so")
    names = [v.name for v in voters]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise ValueError(f"two voters are called {twice[0]!r}; give them other names, or a count")
    for v in voters:
        for what in ("right", "together"):
            value = getattr(v, what)
            if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
                raise ValueError(f"{v.name}: {what} is a share from 0 to 1, not {value!r}")
        weight_of(v.trust)
        if v.together and not v.family:
            raise ValueError(f"{v.name}: together is for voters of one family; family=NAME says which")
    return voters


def cast_of(rows: Any) -> list[Voter]:
    """A cast from plain data: a list of mappings with `right`, and perhaps `name`, `count`, `trust`, `family`,
    `together`. Raises ValueError."""
    if type(rows) is not list:
        raise ValueError(f"a cast is a list of voters, not {rows!r}")
    found: list[Voter] = []
    for row in rows:
        if not isinstance(row, Mapping) or "right" not in row:
            raise ValueError(f"a voter says at least how often it is right: {{right: 0.8}}, not {row!r}")
        if unknown := sorted(set(map(str, row)) - {"count", *Voter._fields}):
            raise ValueError(f"a voter has {', '.join(Voter._fields)} and count, and no {unknown[0]}")
        facts = dict(row)
        count, name = facts.pop("count", 1), facts.pop("name", f"voter-{len(found) + 1}")
        if type(count) is not int or count < 1:
            raise ValueError(f"{name}: count is a whole number, 1 or more, not {count!r}")
        found += [Voter(name, **facts)] if count == 1 else Voter.several(count, name, **facts)
    return found
