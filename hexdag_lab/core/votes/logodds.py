"""`LogOdds`: ballots weigh what their voters have earned, as evidence does."""

from __future__ import annotations

from fractions import Fraction
from math import inf
from typing import Any

from ..base.codec import record
from .agent import weight_of
from .ballot import Choice
from .policy import Ballots, Electorate, Opinion, Policy, Verdict
from .trust import milli_log
from .weighing import ORCHESTRATORS, has_vote, roles


@record
class LogOdds(Policy):
    """Accepts if the evidence of the ballots is worth more than being wrong would cost.

    Each voter weighs log(p / (1 - p)), where p is the chance that its ballot is right, learned from outcomes: who is
    new weighs nothing. The sum of those for, less those against, and the log-odds of the prior, has to exceed
    log(cost_false_accept / cost_false_reject). This is the best rule there is for independent voters (Nitzan and
    Paroush, "Optimal decision rules in uncertain dichotomous choice situations", International Economic Review 23,
    1982; Shapley and Grofman, 1984). For those that err together, with `discount`, a voter's weight is divided by
    1 + the correlations of its errors with the others', each as far as the other has weight at all.

    prior                 the share of proposals that are good, above 0 and below 1
    cost_false_accept, cost_false_reject   of the two ways to be wrong, above 0; only their ratio counts
    floor, cap            bounds of a weight, in log-odds. A negative floor turns the ballots of who is mostly wrong
                          round, and lets whoever knows that steer by lying

    Everything is counted in whole thousandths, so that the result is the same everywhere. Where nobody has earned a
    weight yet it rejects: `LogOdds() | HumanApproval()` lets a person decide until somebody has.
    """

    prior: Fraction = Fraction(1, 2)
    cost_false_accept: Fraction = Fraction(1)
    cost_false_reject: Fraction = Fraction(1)
    floor: Fraction = Fraction(0)
    cap: Fraction = Fraction(4)
    voters: frozenset[str] = ORCHESTRATORS
    discount: bool = True
    sealed: bool = False

    def __post_init__(self) -> None:
        for name in ("prior", "cost_false_accept", "cost_false_reject", "cap"):
            object.__setattr__(self, name, _positive(getattr(self, name), name))
        object.__setattr__(self, "voters", roles(self.voters))
        if self.prior >= 1:
            raise ValueError(f"prior is a share, above 0 and below 1, not {self.prior}")
        if not -inf < self.floor <= 0:
            raise ValueError(f"floor is a finite number, 0 or less, not {self.floor!r}")
        object.__setattr__(self, "floor", -weight_of(-self.floor))

    def seals(self) -> bool:
        return self.sealed

    def learns(self) -> bool:
        return True

    @property
    def threshold(self) -> int:
        """What the weights for, less those against, must exceed, in thousandths."""
        return milli_log(self.cost_false_accept / self.cost_false_reject) - milli_log(self.prior / (1 - self.prior))

    def weights(self, electorate: Electorate) -> dict[str, Fraction]:
        return {name: Fraction(logit, 1000) for name, logit in self.logits(electorate).items()}

    def logits(self, electorate: Electorate) -> dict[str, int]:
        """The weight of each voter that has one, in thousandths."""
        low, high = int(self.floor * 1000), int(self.cap * 1000)
        earned, full = electorate.earned, dict[str, int]()
        for seat in electorate.seats:
            weight = max(low, min(high, earned.logits.get(seat.id, 0)))
            if weight and has_vote(seat, electorate, self.voters):
                full[seat.id] = weight
        shared = dict.fromkeys(full, 1000)
        for a, b, alike in earned.alike if self.discount else ():
            if a in full and b in full:
                shared[a] += alike * min(abs(full[a]), abs(full[b])) // abs(full[a])
                shared[b] += alike * min(abs(full[a]), abs(full[b])) // abs(full[b])
        return {name: _nearest(weight * 1000, shared[name]) for name, weight in full.items()}

    def evaluate(self, ballots: Ballots, electorate: Electorate, now: float) -> Opinion:
        if not any(has_vote(seat, electorate, self.voters) for seat in electorate.seats):
            return Opinion(Verdict.NO, "nobody may vote on this")
        weights, needed = self.logits(electorate), self.threshold
        if not weights:
            return Opinion(Verdict.NO, "nobody here has earned a weight yet")
        score = out_weight = abstained = voted = 0
        out = []
        for name, weight in weights.items():
            ballot = ballots.get(name)
            if ballot is None:
                out_weight += abs(weight)
                out.append((-abs(weight), name))
            elif ballot.choice in (Choice.APPROVE, Choice.REJECT, Choice.REQUEST_CHANGES):
                voted += 1
                score += weight if ballot.choice == Choice.APPROVE else -weight
            elif ballot.choice == Choice.ABSTAIN:
                abstained += abs(weight)
        text = f"log-odds {score / 1000:+.3f} of more than {needed / 1000:+.3f}"
        if voted and score - out_weight > needed:
            return Opinion(Verdict.YES, text)
        # Who abstained may still change her mind while others are asked: abstentions alone decide nothing early.
        if score + out_weight + (abstained if out else 0) <= needed:
            return Opinion(Verdict.NO, f"{text}, cannot be reached any more")
        if not out:
            return Opinion(Verdict.NO, "nobody voted yes or no")
        names = tuple(name for _, name in sorted(out))
        return Opinion(Verdict.PENDING, f"{text}, needs {' or '.join(names)}", names)


def _positive(value: Any, what: str) -> Fraction:
    exact = weight_of(value)
    if not exact:
        raise ValueError(f"{what} is above 0, not {value!r}")
    return exact


def _nearest(above: int, below: int) -> int:
    """A quotient rounded to the nearest whole number; halves away from 0, so that signs are alike."""
    size = (2 * abs(above) + below) // (2 * below)
    return size if above > 0 else -size
