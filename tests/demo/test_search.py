"""The search itself: where it looks next, what its agents answer, and what it found."""

from __future__ import annotations

from fractions import Fraction
from types import SimpleNamespace
from typing import Any

import pytest

import hexdag_lab as hx
from hexdag_lab.core.votes.proposal import Effect
from hexdag_lab.demo import digits, first_graph, policy, search


def test_the_first_graph_is_nine_fits_between_a_split_and_a_board() -> None:
    dag = first_graph()
    assert [len(wave) for wave in dag.waves] == [1, 9, 1]
    assert dag.inputs == ()
    assert sum(spec.cost for spec in dag.nodes.values()) == 9
    assert set(digits.coarse_grid()) <= set(digits.static_grid()), "both search the same range"
    assert len(digits.static_grid()) == digits.BUDGET


def test_the_first_round_is_dear_enough_for_a_person_and_later_ones_are_not() -> None:
    assert search.FIRST_ROUND > Fraction(digits.BUDGET, 5) >= digits.ROUND
    assert policy().deadline(SimpleNamespace(opened_at=0)) == search.PERSON_SECONDS  # type: ignore[arg-type]


@pytest.mark.parametrize("step", [1, 0.5, 0.25])
def test_refined_points_are_new_in_range_and_near_the_best(step: float) -> None:
    done = [(C, gamma, 1 - 0.01 * number) for number, (C, gamma) in enumerate(digits.coarse_grid())]
    known = {(C, gamma) for C, gamma, _ in done}
    points = digits.refine(done, known, step, 6)
    assert 0 < len(points) <= 6
    assert len(set(points)) == len(points)
    assert not set(points) & known
    corners = digits.static_grid()
    low, high = min(corners), max(corners)
    assert all(low[0] <= C <= high[0] and low[1] <= gamma <= high[1] for C, gamma in points)
    assert digits.refine(done, known, step, 6) == points, "the same each time"


def asked(cost: int, fits: int = 9) -> Any:
    """What an agent sees of a proposal that costs so much, in a run with so many fits."""
    nodes = {
        f"fit_{n:02d}": hx.NodeSpec(f"fit_{n:02d}", digits.fit, params={"C": 1.0, "gamma": 1.0}) for n in range(fits)
    }
    run = SimpleNamespace(
        nodes={name: SimpleNamespace(state=hx.NodeState.WAITING) for name in nodes},
        dag=SimpleNamespace(nodes=nodes), proposals={},
    )  # fmt: skip
    return SimpleNamespace(run=run, proposal=SimpleNamespace(effect=Effect(cost=Fraction(cost))))


def test_the_budgeteer_says_yes_within_the_budget_and_no_beyond() -> None:
    yes, no = search.weigh_cost(asked(16)), search.weigh_cost(asked(17))
    assert (yes.choice, yes.reason) == ("approve", "25 of 25 fits")
    assert (no.choice, no.reason) == ("reject", "17 more fits would be over the budget of 25")


def test_the_scripted_person_decides_only_what_needs_a_person() -> None:
    assert search.say_yes(asked(6)).choice == "approve"
    assert search.say_yes(asked(5)).choice == "abstain"


def test_a_search_without_an_ensemble_counts_its_best_fit() -> None:
    results: dict[str, Any] = {"split": digits.split(0)}
    results["fit_01"] = digits.fit(results["split"], 4.0, 0.02)
    found = search.outcome(results)
    assert found.fits == 1
    assert 0.9 < found.accuracy <= 1
    assert search.outcome({**results, "stack": {"accuracy": 0.5}}) == (1, 0.5)
