"""What earned trust buys: `LogOdds` against the fixed two-thirds rule, on drawn casts and on real data.

    python -m tests.benchmarks.votes [casts]      about a minute with 400

Drawn casts: 7 voters; four share a model (right in .55 to .70 of cases, with probability .8 they repeat its draw), the
others are right in .55 to .90. Declared trust is how often they are right, give or take .15. All decisions are those of
the policies (`hexdag_lab.testing.simulate`), from exact chances; the bounds are over casts.

Real data: voters are small decision trees on scikit-learn's digits. A proposal is an image, and a good one shows an
even number. Trust is learned on 400 images and judged on 797 others.
"""

from __future__ import annotations

import statistics
import sys
from collections.abc import Callable, Sequence
from fractions import Fraction
from random import Random
from typing import Any, NamedTuple

import numpy as np
from sklearn.datasets import load_digits
from sklearn.tree import DecisionTreeClassifier

from hexdag_lab.core.votes.logodds import LogOdds
from hexdag_lab.core.votes.policy import Policy
from hexdag_lab.core.votes.trust import Lesson, Trust
from hexdag_lab.core.votes.weighing import Majority, Supermajority
from hexdag_lab.testing.simulate import Voter, chances, decisions, electorate, errors, lessons

FIXED = Supermajority(Fraction(2, 3))
POLICIES: dict[str, Policy] = {"each alone": LogOdds(discount=False), "with discount": LogOdds()}
PASTS = (0, 10, 20, 50, 100, 400)


# -- drawn casts


def drawn(rng: Random) -> list[Voter]:
    """A cast of 7, as described above."""
    found = []
    for i in range(7):
        right = rng.uniform(0.55, 0.7 if i < 4 else 0.9)
        declared = min(0.99, max(0.05, right + rng.gauss(0, 0.15)))
        found.append(Voter(f"v{i}", right, declared, *(("model", 0.8) if i < 4 else ())))
    return found


def gains(casts: int, pasts: Sequence[int] = PASTS) -> dict[tuple[str, int], list[tuple[float, float]]]:
    """(policy, past proposals) -> accuracy of it and of the fixed rule, for each cast."""
    found: dict[tuple[str, int], list[tuple[float, float]]] = {}
    for seed in range(casts):
        rng = Random(seed)
        voters = drawn(rng)
        ways = chances(voters, rng)
        fixed = accuracy(FIXED, voters, Trust(), ways)
        learned = lessons(voters, max(pasts), 0.5, rng)
        for past in pasts:
            trust = Trust().after(learned[:past])
            for name, policy in POLICIES.items():
                found.setdefault((name, past), []).append((accuracy(policy, voters, trust, ways), fixed))
    return found


def accuracy(policy: Policy, voters: Sequence[Voter], trust: Trust, ways: Any) -> float:
    return 1 - sum(errors(decisions(policy, electorate(voters, trust)), ways)) / 2


def lower_bound(values: Sequence[float]) -> float:
    """The lower 95 % bound of a mean (two-sided, normal)."""
    return statistics.fmean(values) - 1.96 * statistics.stdev(values) / len(values) ** 0.5


# -- real data

IMAGES, DIGITS = load_digits(return_X_y=True)
EVEN = DIGITS % 2 == 0


class Panel(NamedTuple):
    """How a panel did on new images: its best voter (known afterwards, and by the past), and each rule."""

    best: float
    chosen: float
    rules: dict[str, float]


def panels(seed: int) -> dict[str, Panel]:
    """Panels of nine voters, by name."""
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(IMAGES))
    train, past, new = order[:600], order[600:1000], order[1000:]

    def voter(pixels: Any, depth: int, tree: int) -> Callable[[Any], Any]:
        some = np.random.default_rng(tree).choice(train, 300)
        model = DecisionTreeClassifier(max_depth=depth, random_state=tree).fit(IMAGES[some][:, pixels], EVEN[some])
        return lambda images: model.predict(IMAGES[images][:, pixels])

    few = rng.choice(64, 12, replace=False)
    everything = np.arange(64)
    good = [voter(everything, 8, s) for s in range(3)]
    poor = [voter(rng.choice(64, 4, replace=False), 1, 10 + s) for s in range(7)]
    casts = {
        "9 diverse": [voter(rng.choice(64, 12, replace=False), 4, s) for s in range(9)],
        "9 alike": [voter(few, 4, s) for s in range(9)],
        "2 good, 7 poor": good[:2] + poor,
        "3 good, 6 clones of a poor one": good + [voter(few[:6], 2, 7)] * 6,
    }
    return {name: panel([v(past) for v in cast], EVEN[past], [v(new) for v in cast], EVEN[new])
            for name, cast in casts.items()}  # fmt: skip


def panel(before: list[Any], truth: Any, after: list[Any], new: Any) -> Panel:
    """Learn from what voters said before, and judge by what they say of new proposals."""
    names = [f"v{i}" for i in range(len(before))]
    taught = []
    for i, good in enumerate(truth):
        said = [(name, bool(ballots[i])) for name, ballots in zip(names, before, strict=True)]
        yes, no = (tuple(n for n, approved in said if approved is wanted) for wanted in (True, False))
        taught.append(Lesson(f"p{i}", bool(good), "", yes, no))
    shares = [float((ballots == truth).mean()) for ballots in before]
    voters = [Voter(name, share, share) for name, share in zip(names, shares, strict=True)]
    trust = Trust().after(taught)
    rules = {"majority": Majority(), "trust-weighted": Majority(base="all"), **POLICIES}
    seen = list(zip(*(map(bool, ballots) for ballots in after), strict=True))
    found = {}
    for name, policy in rules.items():
        equal = [v._replace(trust=1.0) for v in voters] if name == "majority" else voters
        accepts = decisions(policy, electorate(equal, trust))
        found[name] = float(np.mean([accepts(yes) == good for yes, good in zip(seen, new, strict=True)]))
    own = [float((ballots == new).mean()) for ballots in after]
    return Panel(max(own), own[shares.index(max(shares))], found)


def main(casts: int = 400) -> None:
    print(f"{casts} drawn casts: accuracy, gain over the fixed two-thirds rule, lower 95 % bound")
    found = gains(casts)
    fixed = statistics.fmean(f for _, f in found["with discount", 0])
    print(f"fixed two thirds   {fixed:.3f}")
    for (name, past), pairs in sorted(found.items()):
        gain = [a - f for a, f in pairs]
        mean = statistics.fmean(a for a, _ in pairs)
        text = f"{mean:.3f}  {statistics.fmean(gain):+.3f}  {lower_bound(gain):+.3f}"
        print(f"{name:14} after {past:3d}  {text}", flush=True)
    print("\n20 draws of panels on digits: mean accuracy; the voter that is best on the new images, and by the past")
    drawn_panels = [panels(seed) for seed in range(20)]
    rules = list(drawn_panels[0]["9 alike"].rules)
    print(f"{'panel':31}  best  chosen  {'  '.join(rules)}   draws short of the best by .01")
    for name in drawn_panels[0]:
        own = [p[name] for p in drawn_panels]
        figures = "  ".join(f"{statistics.fmean(p.rules[rule] for p in own):{len(rule)}.3f}" for rule in rules)
        best, chosen = statistics.fmean(p.best for p in own), statistics.fmean(p.chosen for p in own)
        gaps = [p.rules["with discount"] - p.best for p in own]
        short = sum(gap < -0.01 for gap in gaps)
        print(f"{name:31} {best:.3f}  {chosen:6.3f}  {figures}   {short} of {len(gaps)}, {min(gaps):+.3f}", flush=True)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
