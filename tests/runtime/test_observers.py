"""Plain functions that are called with what happens: in order, at their own pace, and stalling nobody."""

from __future__ import annotations

import logging
import threading
import time
from typing import Any

import pytest

import hexdag_lab as hx
from hexdag_lab.core.machine import events as ev
from hexdag_lab.runtime import observers
from hexdag_lab.runtime.observers import Observer
from tests.runtime.kit import until


def note(number: int) -> hx.Note:
    return hx.Note(float(number), "n", 1, str(number))


def event(seq: int) -> ev.RunResumed:
    return ev.RunResumed(seq, 0.0, "ann")


def test_events_and_notes_come_in_the_order_in_which_they_were_told() -> None:
    seen: list[Any] = []
    observer = Observer(seen.append, notes=True)
    for number in range(100):
        observer.note([note(number)])
        observer.tell([event(number)])
    until(lambda: len(seen) == 200)
    assert seen[::2] == [note(number) for number in range(100)]
    assert [one.seq for one in seen[1::2]] == list(range(100))
    observer.end()


def test_what_a_slow_one_does_not_keep_up_with_is_left_out_last_first_and_counted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(observers, "MOST_NOTES", 5)
    seen, go_on = list[Any](), threading.Event()

    def slow(item: Any) -> None:
        seen.append(item)
        assert go_on.wait(20)

    observer = Observer(slow, notes=True)
    observer.tell([event(1)])
    until(lambda: seen)
    observer.note([note(number) for number in range(12)])
    observer.tell([event(2)])
    go_on.set()
    until(lambda: len(seen) == 8)
    assert [one.text for one in seen if isinstance(one, hx.Note)] == ["0", "1", "2", "3", "4", ""]
    assert [one.left_out for one in seen if isinstance(one, hx.Note)] == [0, 0, 0, 0, 0, 7]
    assert [one.seq for one in seen if not isinstance(one, hx.Note)] == [1, 2], "events are never left out"
    observer.end()


def test_one_that_fails_goes_on_and_its_error_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    seen: list[int] = []

    def fails(item: Any) -> None:
        seen.append(item.seq)
        raise ValueError("no")

    observer = Observer(fails)
    with caplog.at_level(logging.ERROR):
        observer.tell([event(1), event(2)])
        until(lambda: len(seen) == 2)
        until(lambda: "an observer failed" in caplog.text)
    observer.end()


def test_a_node_that_tells_much_is_not_kept_waiting_by_an_observer_that_is_stuck() -> None:
    def talks(count: int = 20_000) -> float:
        import time

        import hexdag_lab as hx

        began = time.perf_counter()
        for number in range(count):
            hx.context().log(str(number))
        return time.perf_counter() - began

    stuck, seen = threading.Event(), list[Any]()
    with hx.Lab(pool="inline", store="memory://") as lab:
        run = lab.start(hx.Dag.of(hx.NodeSpec("talks", talks)))
        run.observe(lambda item: stuck.wait(60), notes=True)
        run.observe(seen.append)
        began = time.perf_counter()
        run.wait(30)
        assert time.perf_counter() - began < 30
        assert not any(isinstance(item, hx.Note) for item in seen), "notes are for those who ask for them"
        stuck.set()
