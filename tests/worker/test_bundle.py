"""What of a bundle can be taken back: what has not begun, before it comes and while it waits."""

from __future__ import annotations

import pytest

from hexdag_lab.worker import holding
from hexdag_lab.worker.bundle import Pending

A, B, C = ("run", "a", 1), ("run", "b", 1), ("run", "c", 1)


def test_what_has_begun_cannot_be_taken_back_and_what_waits_does_not_begin() -> None:
    pending = Pending()
    pending.arrive([A, B, C])
    assert pending.begins(A)
    assert pending.take_back([A, B]) == [B]
    assert [pending.begins(attempt) for attempt in (B, C)] == [False, True]


def test_what_is_taken_back_before_its_bundle_comes_does_not_begin_and_did_not_wait() -> None:
    pending = Pending()
    assert pending.take_back([A]) == []
    pending.arrive([A, B])
    assert [pending.begins(attempt) for attempt in (A, B)] == [False, True]


def test_it_is_said_back_once() -> None:
    pending = Pending()
    pending.arrive([A])
    assert pending.take_back([A]) == [A]
    assert pending.take_back([A]) == []


def test_what_never_comes_is_forgotten_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(holding, "REMEMBERED", 2)
    pending = Pending()
    pending.take_back([A, B, C])
    assert [pending.begins(attempt) for attempt in (A, B, C)] == [True, False, False]
