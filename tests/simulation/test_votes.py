"""Whole labs in which voters earn trust, own nodes and speak for each other, and people judge what was decided."""

from __future__ import annotations

from collections import Counter
from functools import cache

from hexdag_lab.core.machine.lessons import lessons
from hexdag_lab.core.votes.delegate import Delegate
from hexdag_lab.core.votes.logodds import LogOdds
from hexdag_lab.core.votes.people import HumanApproval, Owners
from hexdag_lab.core.votes.policy import Deadline, Policy
from hexdag_lab.core.votes.weighing import Majority
from hexdag_lab.testing.world import Outcome, World

SEEDS = range(1000, 1032)
POLICIES: tuple[Policy, ...] = (
    LogOdds() | HumanApproval(),
    LogOdds(prior=0.8) | Majority(sealed=True),  # type: ignore[arg-type]
    Owners({"n[0-4]": ("bea", "dan"), "n1*": "owner"}) & Majority(),
    Delegate(Majority(), {"bea": "cal", "cal": "dan", "dan": "bea"}),
)


@cache
def outcome(seed: int) -> Outcome:
    return World(seed, policy=POLICIES[seed % len(POLICIES)] & Deadline(30), judged=6).run()


def test_they_come_to_their_end_and_nothing_is_broken() -> None:
    total: Counter[str] = Counter()
    for seed in SEEDS:
        total += outcome(seed).counts  # a world that breaks raises
    for what in ("crashes", "ProposalJudged", "ProposalApplied", "ProposalRejected", "refused: person",
                 "refused: not-decided"):  # fmt: skip
        assert total[what] >= 3, f"{what}: {total[what]}"


def test_something_is_learned_from_most_of_them() -> None:
    taught = [lessons(outcome(seed).state) for seed in SEEDS]
    assert sum(map(bool, taught)) > len(SEEDS) / 2
    assert {lesson.good for found in taught for lesson in found} == {True, False}
