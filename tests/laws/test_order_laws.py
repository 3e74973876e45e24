"""Laws of the one order of what happens in several places: it agrees with cause and effect, and with no arrival."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import given, settings
from hypothesis import strategies as st

from hexdag_lab.core.replica.clock import Clock, Dot
from hexdag_lab.core.replica.order import Happened, Place, merged

NAMES = ("eu", "us", "asia")
SKEWS = st.fixed_dictionaries({name: st.floats(-100, 100) for name in NAMES})
MOVES = st.lists(st.tuples(st.sampled_from(NAMES), st.none() | st.integers(0, 30)), max_size=30)
EXAMPLES = settings(max_examples=100)


@st.composite
def histories(draw: st.DrawFn) -> tuple[Happened, ...]:
    """What happens in three places with clocks of their own, which hear of each other now and then."""
    skews, places, found = draw(SKEWS), {name: Place(name) for name in NAMES}, list[Happened]()
    for now, (name, heard) in enumerate(draw(MOVES)):
        if heard is not None and heard < len(found):
            places[name] = places[name].hears(found[heard])
        places[name], one = places[name].does(now + skews[name], f"{name}: {now}")
        found.append(one)
    return tuple(found)


@st.composite
def arrivals(draw: st.DrawFn) -> tuple[Happened, ...]:
    """The same in any order, some of it more than once."""
    history = draw(histories())
    again = draw(st.lists(st.sampled_from(history), max_size=5)) if history else []
    return tuple(draw(st.permutations([*history, *again])))


def dots(happened: Sequence[Happened]) -> list[Dot]:
    return [placed.happened.dot for placed in merged(happened)]


@EXAMPLES
@given(histories(), st.data())
def test_the_order_is_the_same_however_things_come_in(history: tuple[Happened, ...], data: st.DataObject) -> None:
    assert dots(history) == dots(data.draw(st.permutations(history)))


@EXAMPLES
@given(arrivals())
def test_nothing_is_lost_and_nothing_is_there_twice(came: tuple[Happened, ...]) -> None:
    assert sorted(dots(came)) == sorted({one.dot for one in came})
    again = [placed.happened for placed in merged(came)]
    assert dots([*again, *came]) == dots(came)


@EXAMPLES
@given(arrivals())
def test_no_effect_stands_before_its_cause_whatever_the_clocks_say(came: tuple[Happened, ...]) -> None:
    order = [placed.happened for placed in merged(came)]
    for i, one in enumerate(order):
        assert not any(later.before(one) for later in order[i:])
        assert one.instant >= one.at


@EXAMPLES
@given(histories())
def test_one_thing_is_before_another_exactly_if_the_other_place_had_heard_of_it(history: tuple[Happened, ...]) -> None:
    for one in history:
        assert not one.before(one)
        for other in history:
            known = other.seen.covers(one.seen.after(one.dot))
            assert one.before(other) == known, "a clock names all that was known, and nothing else"


@EXAMPLES
@given(arrivals())
def test_what_came_after_something_that_stands_behind_it_is_late_and_nothing_else(came: tuple[Happened, ...]) -> None:
    first = list({one.dot: one for one in reversed(came)}.values())[::-1]
    first.sort(key=came.index)
    late = {placed.happened.dot: placed.late for placed in merged(came)}
    for i, one in enumerate(first):
        behind = [other.instant - one.instant for other in first[:i]]
        assert late[one.dot] == max([0.0, *behind])


def test_where_clocks_are_right_the_order_is_that_of_time() -> None:
    eu, a = Place("eu").does(1.0, "a")
    us, b = Place("us").does(2.0, "b")
    eu, c = eu.does(3.0, "c")
    assert [placed.happened.what for placed in merged([a, c, b])] == ["a", "b", "c"]
    assert [placed.late for placed in merged([a, c, b])] == [0.0, 1.0, 0.0]
    assert us.seen == Clock({"us": 1})


def test_what_is_heard_from_a_clock_that_runs_ahead_pulls_ours_along() -> None:
    _, ahead = Place("eu").does(100.0, "ahead")
    us, after = Place("us").hears(ahead).does(5.0, "after")
    assert (after.at, after.instant) == (5.0, 100.0)
    assert ahead.before(after)
    assert [placed.happened.what for placed in merged([after, ahead])] == ["ahead", "after"]
    assert us.does(101.0, "later")[1].instant == 101.0
