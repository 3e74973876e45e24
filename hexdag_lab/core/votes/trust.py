"""Trust that is earned: what the outcomes of past proposals say about those who voted on them. Pure, and exact.

A ballot is a hit if it approved what turned out well, or spoke against what did not; else it is a miss. An agent's
chance of being right is the mean of a Beta(1 + hits, 1 + misses), where older ones count less: who is new has 1/2,
whose log-odds are 0. Agents that err together are not many witnesses but one; how much two of them do is the
correlation of their errors, drawn towards what their families let expect. Proposing earns nothing: else an agent
could earn by proposing trifles. Sources: Shapley and Grofman, "Optimizing group judgmental accuracy in the presence of
interdependencies", Public Choice 43, 1984 (log-odds weights); Josang and Ismail, "The beta reputation system", 2002
(Beta posterior with forgetting).
"""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Context
from fractions import Fraction
from functools import lru_cache
from itertools import combinations
from math import isqrt
from typing import NamedTuple

from ..base.codec import record
from ..base.frozen import FrozenDict
from .agent import Seat
from .ballot import Ballot, Choice

UNIT = 10**6  #: of hits and misses, which are counted in millionths
FADES = (99, 100)  #: what is left of older hits and misses at each new one
STEADY = 20  #: joint lessons at which what was seen of a pair weighs as much as what its families let expect
SAME_MODEL, SAME_FAMILY, STRANGERS = 600, 300, 100  #: expected correlation of errors, in thousandths
_EXACT = Context(prec=40)


@lru_cache(maxsize=4096)
def milli_log(ratio: Fraction) -> int:
    """The natural logarithm of a positive fraction in thousandths, rounded to the nearest; the same everywhere.

    `decimal` computes logarithms correctly rounded to any precision, where `math.log` is as good as the platform's."""
    if ratio < 1:
        return -milli_log(1 / ratio)
    log = _EXACT.ln(_EXACT.divide(_EXACT.create_decimal(ratio.numerator), _EXACT.create_decimal(ratio.denominator)))
    return int(_EXACT.to_integral_value(_EXACT.multiply(log, _EXACT.create_decimal(1000))))


@record
class Lesson:
    """How a proposal turned out, in words as well, and who had spoken for it and against it: what there is to learn."""

    proposal: str
    good: bool
    why: str
    yes: tuple[str, ...] = ()
    no: tuple[str, ...] = ()

    @classmethod
    def of(cls, proposal: str, good: bool, why: str, ballots: Iterable[Ballot]) -> Lesson:
        """The lesson of some ballots; who abstained, was absent or silent learns nothing."""
        said = [(ballot.voter, ballot.choice) for ballot in ballots if ballot.present]
        yes = tuple(sorted(voter for voter, choice in said if choice == Choice.APPROVE))
        no = tuple(sorted(voter for voter, choice in said if choice in (Choice.REJECT, Choice.REQUEST_CHANGES)))
        return cls(proposal, good, why, yes, no)

    def ballots(self) -> list[tuple[str, bool]]:
        """(agent, whether its ballot was right), sorted by agent."""
        return sorted([*((name, self.good) for name in self.yes), *((name, not self.good) for name in self.no)])


@record
class Earned:
    """What an electorate takes from trust when voting opens, so that its tally never changes afterwards.

    logits  agent -> log-odds of being right, in thousandths; who has none is left out
    alike   (agent, agent, correlation of their errors in thousandths, above 0), sorted
    """

    logits: FrozenDict[int] = FrozenDict()
    alike: tuple[tuple[str, str, int], ...] = ()


@record
class Trust:
    """The sum of all lessons so far.

    hits, misses  agent -> millionths, with forgetting
    pairs         (agent, agent, joint lessons, misses of the one, of the other, of both), sorted; nothing is forgotten
    """

    hits: FrozenDict[int] = FrozenDict()
    misses: FrozenDict[int] = FrozenDict()
    pairs: tuple[tuple[str, str, int, int, int, int], ...] = ()

    def after(self, lessons: Iterable[Lesson]) -> Trust:
        """With these lessons added, in their order."""
        counts = {True: dict(self.hits), False: dict(self.misses)}
        pairs = {(a, b): seen for a, b, *seen in self.pairs}
        kept, of = FADES
        for lesson in lessons:
            ballots = lesson.ballots()
            for name, right in ballots:
                for count in counts.values():
                    count[name] = count.get(name, 0) * kept // of
                counts[right][name] += UNIT
            for (a, a_right), (b, b_right) in combinations(ballots, 2):
                seen = pairs.setdefault((a, b), [0, 0, 0, 0])
                seen[0] += 1
                seen[1] += not a_right
                seen[2] += not b_right
                seen[3] += not (a_right or b_right)
        rows = tuple((a, b, n, x, y, both) for (a, b), (n, x, y, both) in sorted(pairs.items()))
        return Trust(FrozenDict(counts[True]), FrozenDict(counts[False]), rows)

    def chance(self, agent: str) -> Fraction:
        """The chance that an agent's next ballot is right."""
        hits, misses = self.hits.get(agent, 0) + UNIT, self.misses.get(agent, 0) + UNIT
        return Fraction(hits, hits + misses)

    def logit(self, agent: str) -> int:
        """The log-odds of that, in thousandths."""
        return milli_log(Fraction(self.hits.get(agent, 0) + UNIT, self.misses.get(agent, 0) + UNIT))

    def earned(self, seats: Iterable[Seat]) -> Earned:
        """What these seats have earned."""
        known = {seat.id: seat for seat in seats}
        logits = FrozenDict({name: logit for name in known if (logit := self.logit(name))})
        seen = {(a, b): counts for a, b, *counts in self.pairs}
        alike = []
        for a, b in combinations(sorted(logits), 2):
            found = correlation(expected(known[a].family, known[b].family), *seen.get((a, b), (0, 0, 0, 0)))
            if found > 0:
                alike.append((a, b, found))
        return Earned(logits, tuple(alike))


def expected(a: str, b: str) -> int:
    """The correlation of errors that two families let expect, in thousandths. A family may name a model: "gpt/4o"."""
    if not a or not b:
        return STRANGERS
    if a == b:
        return SAME_MODEL
    return SAME_FAMILY if a.partition("/")[0] == b.partition("/")[0] else STRANGERS


def correlation(prior: int, joint: int, a: int, b: int, both: int) -> int:
    """The correlation of two agents' errors in thousandths: what was seen in `joint` lessons, drawn to the prior."""
    spread = a * (joint - a) * b * (joint - b)
    if not spread:
        return prior  # one of them has never erred, or always: that says nothing of errors made together
    seen = Fraction((joint * both - a * b) * UNIT, isqrt(spread * UNIT**2))
    return round((joint * seen * 1000 + STEADY * prior) / (joint + STEADY))


class Point(NamedTuple):
    """One piece of evidence: +1 for a ballot that was right, -1 for one that was not."""

    sign: int
    proposal: str
    why: str

    def __str__(self) -> str:
        return f"{self.sign:+d} {self.proposal}: {self.why}"


class Standing(NamedTuple):
    """What an agent has earned: the chance that its ballot is right, the log-odds of that, and the evidence in order.

    alike   other agents, with the correlation of their errors with this one's, the most alike first
    """

    agent: str
    chance: float
    logit: float
    evidence: tuple[Point, ...] = ()
    alike: tuple[tuple[str, float], ...] = ()

    def __str__(self) -> str:
        number = len(self.evidence)
        if not number:
            return f"{self.agent} 0.50: nothing is known yet"
        lines = [f"{self.agent} {self.chance:.2f} from {number} ballot{'s' * (number != 1)}"]
        lines += [f"  errs like {name}: {share:.2f}" for name, share in self.alike if share > STRANGERS / 1000]
        return "\n".join([*lines, *(f"  {point}" for point in self.evidence)])


def standing(lessons: Iterable[Lesson], seat: Seat, others: Iterable[Seat] = ()) -> Standing:
    """What lessons say about one agent."""
    given = tuple(lessons)
    trust = Trust().after(given)
    points = tuple(point for lesson in given if (point := _point(lesson, seat.id)) is not None)
    seats = {s.id: s for s in others} | {seat.id: seat}
    pairs = trust.earned(seats.values()).alike
    alike = [(b if a == seat.id else a, found / 1000) for a, b, found in pairs if seat.id in (a, b)]
    alike.sort(key=lambda pair: (-pair[1], pair[0]))
    return Standing(seat.id, float(trust.chance(seat.id)), trust.logit(seat.id) / 1000, points, tuple(alike))


def _point(lesson: Lesson, agent: str) -> Point | None:
    if agent not in (*lesson.yes, *lesson.no):
        return None
    approved = agent in lesson.yes
    right = approved == lesson.good
    said = "approved" if approved else "spoke against it"
    return Point(1 if right else -1, lesson.proposal, f"{said}, {'and' if right else 'but'} {lesson.why}")
