"""What keeps a region busy: attempts that were sent, and those that run on though nobody wants them."""

from __future__ import annotations

from hexdag_lab.runtime.pools.load import Load

A, B = ("r", "a", 1), ("r", "b", 1)


def test_an_attempt_counts_until_it_has_ended() -> None:
    load = Load()
    load.sent(A, "eu")
    load.sent(B, "us")
    assert (load.of["eu"], load.of["us"], load.has(A)) == (1, 1, True)
    load.began(A, "eu", "eu/w")
    load.ended(A)
    load.ended(A)
    assert (load.of["eu"], load.of["us"], load.has(A)) == (0, 1, False)


def test_one_that_is_withdrawn_before_it_begins_counts_no_more() -> None:
    load = Load()
    load.sent(A, "eu")
    load.dropped(A)
    assert load.of["eu"] == 0


def test_one_that_is_withdrawn_while_it_runs_counts_until_it_ends_or_its_worker_is_gone() -> None:
    for ends in (lambda load: load.ended(A), lambda load: load.gone("eu/w"), lambda load: load.fell("eu")):
        load = Load()
        load.sent(A, "eu")
        load.began(A, "eu", "eu/w")
        load.dropped(A)
        load.dropped(A)
        assert (load.of["eu"], load.has(A)) == (1, False)
        ends(load)
        assert load.of["eu"] == 0


def test_one_that_is_withdrawn_before_anybody_has_heard_that_it_began_counts_as_well() -> None:
    load = Load()
    load.sent(A, "eu")
    load.dropped(A)
    load.began(A, "eu", "eu/w")
    assert load.of["eu"] == 1
    load.ended(A)
    assert load.of["eu"] == 0
