"""One decision in the making: the state as it becomes, and the events and effects so far."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ..runs.run import NodeRecord
from . import effects as ef
from . import events as ev
from .evolve import evolve
from .state import RunState

LATE = 1.0  #: seconds after which an event says when it happened, too: it was told late, or by another clock


class Step:
    """A scratch pad for `decide`: `emit` records an event and evolves the state, `act` adds an effect."""

    def __init__(self, state: RunState, at: float) -> None:
        self.state, self.at = state, max(at, state.at)
        self.happened = at if self.at - at >= LATE else None
        self.events: list[Any] = []
        self.effects: list[ef.Effect] = []
        self.short = False  #: what should be submitted next is more than the budget takes

    def emit(self, kind: type, **fields: Any) -> None:
        event = kind(seq=self.state.seq + 1, at=self.at, happened=self.happened, **fields)
        self.state = evolve(self.state, event)
        self.events.append(event)

    def act(self, effect: ef.Effect) -> None:
        self.effects.append(effect)

    def reply(self, value: Any) -> None:
        self.effects.append(ef.Reply(value))

    def record(self, node: str) -> NodeRecord | None:
        return self.state.nodes.get(node)

    def current(self, report: Any) -> NodeRecord | None:
        """The record that a report is about, or None if the report is stale, or comes after the attempt's result."""
        rec = self.record(report.node)
        if rec is None or not rec.submitted or rec.fence != report.fence:
            return None
        return None if self.state.over or report.node in self.state.held else rec

    def submitted_below(self, names: Iterable[str]) -> tuple[str, ...]:
        """Everything downstream of some nodes that was submitted on the strength of them, wave by wave."""
        dag, nodes = self.state.dag, self.state.nodes
        found: set[str] = set()
        stack = [name for name in names if name in dag]
        while stack:
            for down in dag.dependents(stack.pop()):
                if down not in found and nodes[down].submitted:
                    found.add(down)
                    stack.append(down)
        return tuple(sorted(found, key=lambda name: (dag.level(name), name)))

    def recall(self, names: Iterable[str]) -> None:
        """Take submitted attempts back from the pool (the state is changed by the event that follows)."""
        attempts = tuple((n, rec.fence) for n in names if (rec := self.state.nodes[n]).submitted)
        if attempts:
            self.act(ef.Recall(attempts))

    def hold(self) -> None:
        """Keep what the pool was given from beginning, or beginning again; it is taken back as the pool says so."""
        given = sorted(n for n, rec in self.state.nodes.items() if rec.submitted and n not in self.state.held)
        attempts = tuple((n, self.state.nodes[n].fence) for n in given)
        if attempts:
            self.act(ef.Hold(attempts))

    def take_back_below(self, node: str, why: str) -> None:
        """Take back what was submitted on the strength of an attempt that gives nothing."""
        below = self.submitted_below([node])
        if below:
            self.recall(below)
            self.emit(ev.AttemptsWithdrawn, nodes=below, why=why)
