"""Who did what when, from events alone: also attempts that were lost, tried again, or not wanted any more."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import hexdag_lab as hx
from hexdag_lab.core.machine import events as ev
from hexdag_lab.core.runs.run import Failure, RunStatus
from hexdag_lab.core.runs.value import Kept
from hexdag_lab.views.timeline import MOST_SPANS, Span, Spans, rows, spans_of, timeline

NOTHING = Kept("inline", 0, "")


def started(seq: int, at: float, node: str, worker: str = "w1") -> ev.NodeStarted:
    return ev.NodeStarted(seq, at, node, 1, seq, worker)


def succeeded(seq: int, at: float, node: str, seconds: float = 1.0) -> ev.NodeSucceeded:
    return ev.NodeSucceeded(seq, at, node, 1, seq, seconds, NOTHING, "w1")


def test_an_attempt_is_a_span_from_its_start_to_its_end() -> None:
    found = spans_of([started(1, 10.0, "a"), succeeded(2, 12.5, "a")])
    assert found == [Span("a", "w1", 1, 10.0, 12.5, "done")]


def test_one_whose_start_was_never_heard_of_began_as_long_before_as_it_took() -> None:
    assert spans_of([succeeded(1, 12.0, "a", 1.5)]) == [Span("a", "w1", 1, 10.5, 12.0, "done")]


@pytest.mark.parametrize(
    ("event", "how"),
    [
        (ev.NodeFailed(2, 11.0, "a", 1, Failure("E", "x")), "failed"),
        (ev.NodeRetrying(2, 11.0, "a", 1, "lost"), "again"),
        (ev.NodeSuspended(2, 11.0, "a", 1, "p1"), "waits"),
        (ev.AttemptsWithdrawn(2, 11.0, ("a",), "no"), "dropped"),
        (ev.RunFinished(2, 11.0, RunStatus.CANCELLED), "dropped"),
        (started(2, 11.0, "a"), "again"),
    ],
)
def test_each_way_to_end_is_told_apart(event: object, how: str) -> None:
    first = spans_of([started(1, 10.0, "a"), event])[0]
    assert (first.ended, first.how) == (11.0, how)


def test_attempts_count_and_one_that_runs_has_no_end() -> None:
    found = spans_of([started(1, 1.0, "a"), ev.NodeRetrying(2, 2.0, "a", 1, "lost"), started(3, 3.0, "a", "w2")])
    assert [(s.attempt, s.worker, s.ended) for s in found] == [(1, "w1", 2.0), (2, "w2", None)]


def test_what_was_taken_is_not_taken_twice() -> None:
    events = [started(1, 1.0, "a"), succeeded(2, 2.0, "a"), started(3, 2.0, "b"), succeeded(4, 4.0, "b")]
    found = Spans()
    for upto in range(5):
        found.take(events[:upto])
    assert found.all == spans_of(events)


def test_spans_of_one_worker_that_overlap_have_lanes_of_their_own() -> None:
    spans = [Span("a", "w", 1, 0, 4), Span("b", "w", 1, 1, 2), Span("c", "w", 1, 2, 3), Span("d", "v", 1, 0, 1)]
    assert {w: [[s.node for s in lane] for lane in lanes] for w, lanes in rows(spans, 5).items()} == {
        "v": [["d"]], "w": [["a"], ["b", "c"]],
    }  # fmt: skip


def test_all_bars_lie_within_the_picture_and_say_what_they_are_in_words() -> None:
    spans = [Span("<b>", "w", 1, 100.0, 101.0, "done"), Span("b", "w", 2, 101.0, None)]
    text = timeline(spans, now=110.0)
    assert "<b>" not in text
    assert 'title="b, attempt 2: running, 9.0 s"' in text
    for left, width in re.findall(r"left:([\d.]+)%;width:([\d.]+)%", text):
        assert 0 <= float(left) <= 100
        assert float(left) + float(width) <= 100.2


def test_of_very_many_the_latest_are_drawn_and_the_others_counted() -> None:
    spans = [Span(f"n{i}", "w", 1, i, i + 1.0, "done") for i in range(MOST_SPANS + 7)]
    text = timeline(spans, now=10_000.0)
    assert text.count("<i ") == MOST_SPANS
    assert "7 earlier attempts are left out" in text


def test_a_real_run_has_a_span_for_each_attempt(tmp_path: Path) -> None:
    def flaky(path: str) -> int:
        file = Path(path)
        file.write_text(file.read_text() + "x" if file.exists() else "x")
        if len(file.read_text()) < 3:
            raise ValueError("not yet")
        return 1

    with hx.Lab(pool="inline", store="memory://") as lab:
        spec = hx.NodeSpec("flaky", flaky, params={"path": str(tmp_path / "f")}).but(retries=5, backoff=0.01)
        run = lab.start(hx.Dag.of(spec))
        run.wait(30)
        ways = [span.how for span in spans_of(run.events())]
        assert ways[-1] == "done"
        assert all(span.ended is not None for span in spans_of(run.events()))
