"""Which nodes travel together: those that were measured to be short, evenly, and never more than have been measured."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from hexdag_lab.core.runs.bundle import EACH, FIRST, LENGTH, MEMORY, MOST, SHORT, SMALL, Measured, bundled

KINDS = st.builds(
    Measured, st.integers(0, 600), st.floats(0, 2 * SHORT), st.integers(0, 2 * SMALL)
)  # of both sides of each limit
FRONTS = st.lists(st.sampled_from("abcd"), max_size=400)


def cost(kind: Measured) -> float:
    return kind.mean + EACH


@given(FRONTS, st.dictionaries(st.sampled_from("abcd"), KINDS), st.integers(0, 64))
def test_each_node_is_in_one_task_and_those_of_a_kind_keep_their_order(
    front: list[str], known: dict[str, Measured], slots: int
) -> None:
    numbered = list(enumerate(front))
    made = bundled(numbered, lambda item: known.get(item[1]), slots)
    assert Counter(item for group in made for item in group) == Counter(numbered)
    for kind in "abcd":
        places = [number for group in made for number, name in group if name == kind]
        assert places == sorted(places)


@given(FRONTS, st.dictionaries(st.sampled_from("abcd"), KINDS), st.integers(1, 64))
def test_only_short_nodes_share_and_never_for_long(front: list[str], known: dict[str, Measured], slots: int) -> None:
    for group in bundled(front, known.get, slots):
        if len(group) > 1:
            kinds = [known[name] for name in group]
            assert all(kind.short for kind in kinds)
            assert sum(map(cost, kinds)) <= LENGTH * 1.001
            assert len(group) <= min(MOST, *(kind.known for kind in kinds))


@given(st.integers(1, 400), st.floats(0, SHORT, exclude_max=True), st.integers(1, 64))
def test_a_front_is_spread_evenly_over_the_slots(width: int, mean: float, slots: int) -> None:
    made = bundled(range(width), lambda _: Measured(10_000, mean), slots)
    assert len(made) >= min(slots, width), "no slot is idle for the sake of a bundle"
    assert max(map(len, made)) <= max(1, width / slots * 1.001), "and none has more than its share"


@given(st.integers(2, 400))
def test_a_kind_that_nobody_has_measured_goes_node_by_node(width: int) -> None:
    assert bundled(range(width), lambda _: Measured(FIRST - 1, 0.0), 1) == [(n,) for n in range(width)]
    assert bundled(range(width), lambda _: None, 1) == [(n,) for n in range(width)]


@given(st.lists(st.floats(0, 10), min_size=1, max_size=MEMORY))
def test_a_mean_is_that_of_what_was_measured(seconds: list[float]) -> None:
    kind = Measured()
    for took in seconds:
        kind = kind.and_also(took, 1)
    assert kind.known == len(seconds)
    assert abs(kind.mean - sum(seconds) / len(seconds)) < 1e-6


def test_a_kind_that_becomes_slow_shares_no_longer() -> None:
    kind = Measured(10_000, 0.0001)
    for _ in range(MEMORY):
        kind = kind.and_also(0.05, 1)
    assert not kind.short


def test_a_kind_with_a_large_result_goes_node_by_node_from_then_on() -> None:
    kind = Measured(10_000, 0.0001).and_also(0.0001, SMALL + 1).and_also(0.0001, 1)
    assert not kind.short
