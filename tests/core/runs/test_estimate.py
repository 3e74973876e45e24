"""How long what is left will take, and how much longer a change makes it: held against plain simulations."""

from __future__ import annotations

from fractions import Fraction
from math import exp, log
from random import Random
from statistics import median
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hexdag_lab.core.base.rng import WIDTH, chance
from hexdag_lab.core.dag.code import Code, Param
from hexdag_lab.core.dag.dag import Dag
from hexdag_lab.core.dag.node import NodeSpec
from hexdag_lab.core.runs.estimate import (
    DRAWS,
    FEWEST,
    KNOWN,
    Draws,
    Pace,
    Usual,
    draws_for,
    load,
    makespans,
    spread,
)
from hexdag_lab.core.runs.run import NodeRecord, NodeState


def spec(name: str, kind: str = "fit", **options: Any) -> NodeSpec:
    return NodeSpec(
        name, code=Code(kind, "test", kind.encode().ljust(32, b"-"), (Param("kw", False, "many"),)), **options
    )


def done(seconds: float, **more: Any) -> NodeRecord:
    return NodeRecord(NodeState.SUCCEEDED, seconds=seconds, started=1, **more)


def pace_of(**seconds: list[float]) -> Pace:
    """What is known when nodes of these kinds took these seconds."""
    found = [(f"{kind}_{i}", kind, x) for kind, values in seconds.items() for i, x in enumerate(values)]
    dag = Dag.of(*(spec(name, kind) for name, kind, _ in found))
    return Pace(dag, [(name, done(x)) for name, _, x in found])


# -- chance


def test_chance_depends_on_seed_and_name_and_on_nothing_else() -> None:
    assert chance("s", "a") == chance("s", "a")
    assert len({chance("s", "a"), chance("s", "b"), chance("t", "a"), chance("s/a", "")}) == 4
    assert len(chance("s", "a")) == WIDTH


def test_chance_is_uniform_enough() -> None:
    counts = [0] * 8
    for i in range(2000):
        for byte in chance("seed", f"n{i}"):
            counts[byte // 32] += 1
    expected = 2000 * WIDTH / 8
    assert all(abs(count - expected) < 5 * expected**0.5 for count in counts)


# -- what is known of a kind


def test_few_measurements_count_little_and_many_count_alone() -> None:
    fast = [0.1] * 30
    one, many = pace_of(fit=[8.0], fast=fast), pace_of(fit=[8.0] * 50, fast=fast)
    seconds = [exp(pace.kind(spec("x")).mean) for pace in (one, many)]
    assert 0.1 < seconds[0] < seconds[1] == pytest.approx(8.0, rel=0.02)
    assert one.kind(spec("x")).error > 10 * many.kind(spec("x")).error


def test_code_that_never_ran_counts_as_usual_and_is_not_known() -> None:
    pace = pace_of(fit=[4.0] * KNOWN, load=[1.0] * (KNOWN - 1))
    never = pace.kind(spec("x", "never"))
    assert never.mean == pytest.approx((log(4) + log(1)) / 2)
    assert [pace.known(spec("x", kind)) for kind in ("fit", "load", "never")] == [True, False, False]
    assert Pace(Dag.of(), []).kind(spec("x")).mean == 0.0


def test_what_was_held_for_usual_can_be_held_on_to() -> None:
    early = pace_of(fit=[4.0])
    dag = Dag.of(spec("a"), spec("b", "load"))
    records = [("a", done(4.0)), ("b", done(5000.0))]
    assert Pace(dag, records, early.usual).kind(spec("x")) == early.kind(spec("x"))
    assert Pace(dag, records).kind(spec("x")) != early.kind(spec("x"))


def test_what_was_reused_or_taken_over_says_nothing_about_time() -> None:
    dag = Dag.of(spec("a"), spec("b"))
    reused = [("a", NodeRecord(NodeState.SUCCEEDED)), ("b", NodeRecord(NodeState.SUCCEEDED, started=1))]
    assert Pace(dag, reused).usual == Usual()


@pytest.mark.parametrize("sigma", [0.3, 1.0])
def test_nine_in_ten_new_nodes_take_at_most_p90(sigma: float) -> None:
    """Over many runs: seconds of a kind are drawn, twelve are measured, one more is predicted."""
    below = {0.5: 0, 0.9: 0}
    runs = 400
    for number in range(runs):
        rng = Random(number)
        pace = pace_of(fit=[exp(rng.gauss(1, sigma)) for _ in range(12)])
        found = spread(Draws(pace, str(number)).seconds(spec("new")))
        actual = exp(rng.gauss(1, sigma))
        below[0.5] += actual <= found.p50
        below[0.9] += actual <= found.p90
    assert 0.42 <= below[0.5] / runs <= 0.60
    assert 0.84 <= below[0.9] / runs <= 0.97


# -- attempts and cost


def test_cost_counts_the_attempts_that_are_likely_to_fail() -> None:
    dag = Dag.of(*(spec(f"n{i}", retries=3) for i in range(20)))
    lucky = Pace(dag, [(name, done(1.0)) for name in dag])
    unlucky = Pace(dag, [(name, done(1.0, failures=1)) for name in dag])
    new = [spec(f"x{i}", retries=3, cost=2) for i in range(10)]
    for pace, most in ((lucky, 20.0), (unlucky, 50.0)):
        seconds, cost = load(new, Draws(pace, "s"))
        assert len(seconds) == len(cost) == DRAWS
        assert min(cost) >= 20.0
        assert spread(cost).p90 <= most
    assert spread(load(new, Draws(unlucky, "s"))[1]).p50 > 20.0
    no_retries = [spec("x", cost=Fraction(2))]
    assert set(load(no_retries, Draws(unlucky, "s"))[1]) == {2.0}


# -- the schedule


def layered(rng: Random, layers: int, width: int) -> Dag:
    specs: list[NodeSpec] = []
    for i in range(layers * width):
        layer = i // width
        ups = [f"n{(layer - 1) * width + rng.randrange(width)}" for _ in range(2)] if layer else []
        specs.append(spec(f"n{i}", f"kind{i % 3}").after(*sorted(set(ups))))
    return Dag.of(*specs)


@given(rng=st.randoms(use_true_random=False), slots=st.integers(1, 6))
@settings(max_examples=60, deadline=None)
def test_a_schedule_lies_between_its_bounds(rng: Random, slots: int) -> None:
    """At least the critical path and the work over the slots; at most Graham's bound: the sum of both."""
    dag = layered(rng, rng.randrange(1, 6), rng.randrange(1, 6))
    draws = Draws(Pace(dag, []), "s", 8)
    ends = makespans(dag, lambda name: NodeRecord(), (), slots, 0.0, draws)
    for k, end in enumerate(ends):
        seconds = {name: draws.seconds(dag.nodes[name])[k] for name in dag}
        longest: dict[str, float] = {}
        for wave in dag.waves:
            for name in wave:
                longest[name] = seconds[name] + max((longest[up] for up in dag.dependencies(name)), default=0.0)
        path, work = max(longest.values()), sum(seconds.values()) / slots
        assert max(path, work) <= end * (1 + 1e-9)
        assert end <= (path + work) * (1 + 1e-9)


def test_only_what_is_left_counts_and_what_runs_counts_for_the_rest() -> None:
    dag = Dag.of(spec("a"), spec("b").after("a"), spec("c").after("b"))
    pace = pace_of(fit=[10.0] * 50)
    records = {"a": done(10.0), "b": NodeRecord(NodeState.RUNNING, began=100.0, started=1), "c": NodeRecord()}

    def ends(at: float, again: tuple[str, ...] = ()) -> float:
        return spread(makespans(dag, records.get, again, 1, at, Draws(pace, "s"))).p50

    assert ends(100.0) == pytest.approx(20.0, rel=0.1)
    assert ends(108.0) < ends(104.0) < ends(100.0)
    assert ends(100.0, ("a",)) == pytest.approx(30.0, rel=0.1)
    assert ends(500.0) >= 400.0, "an attempt beyond all expectation takes as long again"
    assert makespans(Dag.of(), records.get, (), 1, 0.0, Draws(pace, "s")) == [0.0] * DRAWS


def test_means_alone_promise_too_little_and_the_draws_do_not() -> None:
    """60 nodes side by side and one after all, sigma 1: predicted over actual, median of 30 runs."""
    dag = Dag.of(*(spec(f"n{i}") for i in range(60)), spec("end").after(*(f"n{i}" for i in range(60))))
    drawn, means = [], []
    for seed in range(30):
        rng = Random(seed)
        pace = pace_of(fit=[exp(rng.gauss(0, 1)) for _ in range(40)])
        seconds = {name: exp(rng.gauss(0, 1)) for name in dag}
        actual = max(seconds[f"n{i}"] for i in range(60)) + seconds["end"]
        predicted = spread(makespans(dag, lambda name: NodeRecord(), (), 64, 0.0, Draws(pace, str(seed)))).p50
        drawn.append(predicted / actual)
        means.append(2 * exp(0.5) / actual)
    assert 0.75 <= median(drawn) <= 1.35
    assert median(means) < 0.5


def test_the_same_luck_on_both_sides_makes_a_small_difference_visible() -> None:
    rng = Random(4)
    dag = layered(rng, 8, 10)
    more = dag.add_node(spec("last", "tiny").after(*dag.waves[-1]))
    pace = pace_of(kind0=[1.0, 3.0] * 9, kind1=[2.0, 9.0] * 9, kind2=[1.0, 20.0] * 9, tiny=[0.5] * 30)
    draws = Draws(pace, "s")
    before, after = (makespans(d, lambda name: NodeRecord(), (), 4, 0.0, draws) for d in (dag, more))
    later = spread(b - a for a, b in zip(before, after, strict=True))
    assert later.p50 == pytest.approx(0.5, rel=0.1)
    assert spread(before).p90 - spread(before).p50 > 10 * later.p50


def test_large_graphs_get_fewer_draws() -> None:
    assert (draws_for(10), draws_for(625), draws_for(1250), draws_for(10**6)) == (DRAWS, DRAWS, 16, FEWEST)


def test_spread_of_nothing_and_of_little() -> None:
    assert spread([]) == (0.0, 0.0)
    assert spread([3.0]) == (3.0, 3.0)
    assert spread(range(10)) == (5, 9)
