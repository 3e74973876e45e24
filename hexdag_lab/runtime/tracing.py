"""`Spans`: a run as OpenTelemetry spans: the run, each attempt of each node, each proposal, each vote.

It is an observer: it reads events and decides nothing. Times are those of the events, so a run can be traced while it
goes on or long after. It makes spans with the tracer provider that it is given, or the process's own; where they go is
that one's business, and no exporter comes along.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from ..core.base.errors import HexdagError
from ..core.machine import events as ev
from ..core.runs.run import RunStatus
from ..core.votes.proposal import TERMINAL, ProposalState

Events = Callable[[int], Iterable[Any]]
NAME = "hexdag_lab"

#: the events after which a proposal is decided, and its state then
_DECIDED: Mapping[type, ProposalState] = {
    ev.ProposalApplied: ProposalState.APPLIED,
    ev.ProposalRejected: ProposalState.REJECTED,
    ev.ProposalExpired: ProposalState.EXPIRED,
    ev.ProposalWithdrawn: ProposalState.WITHDRAWN,
    ev.ProposalConflicted: ProposalState.CONFLICTED,
    ev.ProposalSuperseded: ProposalState.SUPERSEDED,
}
assert set(_DECIDED.values()) == TERMINAL


class Spans:
    """Call it with each event. `events(after)` gives those that it has missed."""

    def __init__(self, events: Events, provider: Any = None) -> None:
        try:
            from opentelemetry import trace
        except ImportError as error:
            raise HexdagError("spans need OpenTelemetry: pip install 'hexdag-lab[otel]'") from error
        self._api, self._tracer = trace, trace.get_tracer(NAME, tracer_provider=provider)
        self._events, self._seq = events, 0
        self._lock = threading.Lock()  # what happens meanwhile comes on the observer's own thread
        self._run: Any = None
        self._nodes: dict[str, Any] = {}
        self._attempts: dict[str, int] = {}
        self._proposals: dict[str, Any] = {}
        self._opened: dict[str, float] = {}

    def __call__(self, event: Any) -> None:
        """An event has happened; so have those since the last one."""
        with self._lock:
            if event.seq > self._seq + 1:
                self._take_missed()
            self._take(event)

    def catch_up(self) -> None:
        """Take up all that has happened so far."""
        with self._lock:
            self._take_missed()

    def _take_missed(self) -> None:
        for event in self._events(self._seq):
            self._take(event)

    def _take(self, event: Any) -> None:
        if event.seq != self._seq + 1:
            return
        self._seq = event.seq
        match event:
            case ev.RunStarted():
                about = {"run": event.run, "by": event.by, "nodes": len(event.dag), "schedule": event.schedule}
                self._run = self._begun(f"run {event.run}", event.at, None, about)
            case ev.RunFinished():
                self._finish(event)
            case ev.NodeStarted():
                self._node_started(event)
            case ev.ProposalMade():
                self._proposal_made(event)
            case ev.BallotCast():
                self._voted(event)
            case _ if type(event) in _DECIDED:
                span = self._proposals.pop(event.proposal, None)
                self._end(span, event.at, state=_DECIDED[type(event)].value, why=event.why, decided_by=event.by)
            case _:
                self._about_nodes(event)

    # -- nodes

    def _node_started(self, event: ev.NodeStarted) -> None:
        self._node_ended(event.node, event.at, event.why or "it began again")
        attempt = self._attempts[event.node] = self._attempts.get(event.node, 0) + 1
        about = {"node": event.node, "attempt": attempt, "worker": event.worker, "version": event.version}
        self._nodes[event.node] = self._begun(f"node {event.node}", event.at, self._run, about)

    def _about_nodes(self, event: Any) -> None:
        match event:
            case ev.NodeSucceeded():
                kept = {"state": "SUCCEEDED", "bytes": event.result.size, "kept": event.result.where}
                self._end(self._nodes.pop(event.node, None), event.at, **kept)
            case ev.NodeFailed():
                self._node_ended(event.node, event.at, str(event.failure), "FAILED")
            case ev.NodeRetrying():
                self._node_ended(event.node, event.at, event.why, "READY")
            case ev.NodeSuspended():
                self._end(self._nodes.pop(event.node, None), event.at, state="SUSPENDED", waits_for=event.waits_for)
            case ev.NodeMoved():
                self._end(self._nodes.pop(event.node, None), event.at, state="MOVED", to=event.to, why=event.why)
            case ev.NodeCheckpointed() if event.node in self._nodes:
                self._nodes[event.node].add_event("safe point", {"number": event.number}, _nanoseconds(event.at))
            case ev.AttemptsWithdrawn():
                for name in event.nodes:
                    self._end(self._nodes.pop(name, None), event.at, state="WITHDRAWN", why=event.why)
            case ev.VersionCommitted():
                for name in (*event.restarted, *event.rerun, *event.changeset.removed):
                    self._end(self._nodes.pop(name, None), event.at, state="WITHDRAWN", why=event.reason)
            case ev.RunAttached():
                for name in list(self._nodes):
                    self._node_ended(name, event.at, "its controller is gone")

    def _node_ended(self, name: str, at: float, why: str, state: str = "LOST") -> None:
        """An attempt ended badly."""
        span = self._nodes.pop(name, None)
        if span is not None:
            span.set_status(self._api.StatusCode.ERROR, why)
            self._end(span, at, state=state, why=why)

    # -- deciding

    def _proposal_made(self, event: ev.ProposalMade) -> None:
        p = event.proposal
        about = {"proposal": p.id, "by": p.by, "kind": p.kind, "summary": p.summary, "reason": p.reason}
        self._proposals[p.id] = self._begun(f"proposal {p.kind}", event.at, self._run, about)
        self._opened[p.id] = event.at

    def _voted(self, event: ev.BallotCast) -> None:
        ballot, opened = event.ballot, self._opened.get(event.proposal, event.at)
        about = {"proposal": event.proposal, "voter": ballot.voter, "choice": ballot.choice.value, "via": ballot.via}
        span = self._begun(f"vote {ballot.voter}", opened, self._proposals.get(event.proposal), about)
        self._end(span, event.at)

    # -- spans

    def _finish(self, event: ev.RunFinished) -> None:
        for span in (*self._nodes.values(), *self._proposals.values()):
            self._end(span, event.at, state=event.status.value)
        self._nodes, self._proposals = {}, {}
        if event.status is RunStatus.FAILED and self._run is not None:
            self._run.set_status(self._api.StatusCode.ERROR, "a node failed")
        self._end(self._run, event.at, state=event.status.value)

    def _begun(self, name: str, at: float, parent: Any, about: Mapping[str, Any]) -> Any:
        context = None if parent is None else self._api.set_span_in_context(parent)
        return self._tracer.start_span(name, context, attributes=_attributes(about), start_time=_nanoseconds(at))

    def _end(self, span: Any, at: float, **about: Any) -> None:
        if span is not None:
            span.set_attributes(_attributes(about))
            span.end(_nanoseconds(at))


def _attributes(about: Mapping[str, Any]) -> dict[str, Any]:
    """Under names of our own; what is empty is left out."""
    return {f"hexdag.{name}": value for name, value in about.items() if value not in ("", None)}


def _nanoseconds(at: float) -> int:
    return int(at * 1e9)
