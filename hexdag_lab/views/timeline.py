"""Who did what when: each attempt as a bar in the row of its worker. Made of events alone, so it shows attempts that
were lost or tried again, which the graph, whose nodes have one state each, does not.
"""

from __future__ import annotations

import bisect
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from html import escape
from math import floor, log10
from typing import Any

from ..core.machine import events as ev
from . import wording

MOST_SPANS = 500  #: that are drawn, the latest ones
NO_WORKER = "a worker"  #: where nobody has said which


@dataclass(slots=True)
class Span:
    """An attempt; times in unix seconds. `ended` is None while it runs; `how` is "running", "done", "failed", "again"
    (it was lost, or is tried once more), "waits" (for a decision), or "dropped" (nobody wants it any more)."""

    node: str
    worker: str
    attempt: int
    began: float
    ended: float | None = None
    how: str = "running"


@dataclass(slots=True)
class Spans:
    """All attempts so far, in the order they began: `take` events in order."""

    all: list[Span] = field(default_factory=list)
    taken: int = 0
    _open: dict[str, Span] = field(default_factory=dict)
    _attempts: dict[str, int] = field(default_factory=dict)

    def take(self, events: Sequence[Any]) -> None:
        """All events so far; those that were taken before are passed over."""
        for event in events[self.taken :]:
            self._one(event)
        self.taken = len(events)

    def _one(self, event: Any) -> None:
        match event:
            case ev.NodeStarted():
                self._close(event.node, event.at, "again")
                self._begin(event.node, event.worker, event.at)
            case ev.NodeSucceeded():
                if event.node not in self._open:  # its start was never heard of
                    self._begin(event.node, event.worker, event.at - event.seconds)
                self._close(event.node, event.at, "done")
            case ev.NodeFailed():
                self._close(event.node, event.at, "failed")
            case ev.NodeRetrying():
                self._close(event.node, event.at, "again")
            case ev.NodeSuspended():
                self._close(event.node, event.at, "waits")
            case ev.AttemptsWithdrawn():
                self._drop(event.nodes, event.at)
            case ev.VersionCommitted():
                self._drop((*event.restarted, *event.changeset.removed), event.at)
            case ev.RunFinished() | ev.RunAttached():
                self._drop(tuple(self._open), event.at)

    def _begin(self, node: str, worker: str, at: float) -> None:
        self._attempts[node] = attempt = self._attempts.get(node, 0) + 1
        span = self._open[node] = Span(node, worker or NO_WORKER, attempt, at)
        self.all.append(span)

    def _close(self, node: str, at: float, how: str) -> None:
        span = self._open.pop(node, None)
        if span is not None:
            span.ended, span.how = at, how

    def _drop(self, nodes: Iterable[str], at: float) -> None:
        for node in nodes:
            self._close(node, at, "dropped")


def spans_of(events: Sequence[Any]) -> list[Span]:
    """All attempts of a run, in the order they began."""
    found = Spans()
    found.take(events)
    return found.all


def rows(spans: Iterable[Span], now: float) -> dict[str, list[list[Span]]]:
    """Worker, sorted -> its lanes: spans that do not overlap, as few lanes as will do."""
    found: dict[str, list[list[Span]]] = {}
    for span in sorted(spans, key=lambda span: (span.began, span.node)):
        lanes = found.setdefault(span.worker, [])
        free = next((lane for lane in lanes if _end(lane[-1], now) <= span.began), None)
        if free is None:
            lanes.append(free := [])
        free.append(span)
    return dict(sorted(found.items()))


def _end(span: Span, now: float) -> float:
    return now if span.ended is None else span.ended


def timeline(spans: Sequence[Span], now: float, selected: str | None = None) -> str:
    """The latest attempts as HTML that fits any width."""
    if not spans:
        return '<p class="dim">No attempt has begun yet.</p>'
    shown = spans[-MOST_SPANS:]
    first = min(span.began for span in shown)
    last = max(max(_end(span, now) for span in shown), first + 0.1)
    scale = 100 / (last - first)
    body = []
    for worker, lanes in rows(shown, now).items():
        bars = "".join(
            f'<div class="lane">{"".join(_bar(span, first, now, scale, selected) for span in lane)}</div>'
            for lane in lanes
        )
        body.append(f'<div class="who" title="{escape(worker)}">{escape(_short(worker))}</div><div>{bars}</div>')
    ticks = "".join(
        f'<span style="left:{(at - first) * scale:.2f}%">{wording.seconds(at - first)}</span>'
        for at in _ticks(first, last)
    )
    more = f'<p class="dim">{len(spans) - len(shown):,} earlier attempts are left out.</p>' * (len(spans) > len(shown))
    return f'<div class="time"><div class="who"></div><div class="ticks">{ticks}</div>{"".join(body)}</div>{more}'


def _bar(span: Span, first: float, now: float, scale: float, selected: str | None) -> str:
    took = _end(span, now) - span.began
    again = f", attempt {span.attempt}" if span.attempt > 1 else ""
    title = f"{span.node}{again}: {WORDS[span.how]}, {wording.seconds(took)}"
    chosen = " on" if span.node == selected else ""
    return (
        f'<i class="{span.how}{chosen}" title="{escape(title)}" '
        f'style="left:{(span.began - first) * scale:.3f}%;width:{max(0.15, took * scale):.3f}%">'
        f"{SIGNS[span.how]} {escape(span.node)}</i>"
    )


WORDS = {
    "running": "running", "done": "succeeded", "failed": "failed", "again": "lost or to be tried again",
    "waits": "waits for a decision", "dropped": "not wanted any more",
}  # fmt: skip
SIGNS = {"running": "▶", "done": "✓", "failed": "✕", "again": "↻", "waits": "‖", "dropped": "–"}


def _short(worker: str) -> str:
    return worker if len(worker) <= 22 else "…" + worker[-21:]


def _ticks(first: float, last: float) -> list[float]:
    """At most eight round moments between two."""
    wanted = (last - first) / 6
    power = 10.0 ** floor(log10(wanted))
    step = power * (1, 2, 5, 10)[bisect.bisect_left((1, 2, 5), wanted / power)]
    return [first + number * step for number in range(int((last - first) / step) + 1)]
