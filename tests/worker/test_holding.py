"""What is not to begin in a worker: also what comes later, once, and not what another lab calls the same."""

from __future__ import annotations

import pytest

from hexdag_lab.worker import holding
from hexdag_lab.worker.holding import Holding

A, B, C = ("lab", "run", "a", 1), ("lab", "run", "b", 1), ("lab", "run", "c", 1)


def test_what_is_held_does_not_begin_and_all_else_does() -> None:
    held = Holding()
    held.hold([A])
    assert [held.holds(attempt) for attempt in (A, B)] == [True, False]


def test_another_attempt_and_another_lab_are_something_else() -> None:
    held = Holding()
    held.hold([A])
    assert not held.holds(("lab", "run", "a", 2))
    assert not held.holds(("another", "run", "a", 1))


def test_what_never_comes_is_forgotten_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(holding, "REMEMBERED", 2)
    held = Holding()
    held.hold([A, B, C])
    assert [held.holds(attempt) for attempt in (A, B, C)] == [False, True, True]
