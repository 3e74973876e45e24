"""A run in words: what happened to a node, and why something does not move."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ..runs.run import NodeState, RunStatus
from ..votes.proposal import MEANING
from . import events as ev
from .attempts import capable
from .state import RunState


def story(events: Iterable[Any], node: str) -> list[str]:
    """One line for each event that concerns a node, in order."""
    lines = []
    for event in events:
        text = sentence(event, node)
        if text:
            lines.append(f"{event.seq:>4}  {text}")
    return lines


def sentence(event: Any, node: str | None = None) -> str:
    """An event in words; with `node`, empty unless it concerns that node."""
    match event:
        case ev.RunStarted():
            return f"run {event.run} started by {event.by}" if node is None or node in event.dag else ""
        case ev.AttemptsSubmitted():
            return _named(node, [name for name, _ in event.nodes], "submitted")
        case ev.AttemptsWithdrawn():
            return _named(node, event.nodes, f"taken back: {event.why}")
        case ev.NodesBlocked():
            return _named(node, (*event.nodes, event.node), f"blocked: upstream {event.node} failed")
        case ev.VersionCommitted():
            touched = {*event.changeset.nodes, *(name for edge in event.changeset.edges for name in edge)}
            return (
                ""
                if node and node not in touched
                else f"v{event.version} by {event.by}: {event.changeset.summary}"
            )
        case ev.RunAttached():
            return "another controller goes on with the run"
        case ev.RunFinished():
            return f"the run ended: {event.status}"
        case ev.ProposalMade():
            return "" if node else f"{event.proposal.by} proposes {event.proposal.changeset.summary}"
        case ev.BallotCast():
            ballot = event.ballot
            reason = f' "{ballot.reason}"' if ballot.reason else ""
            return "" if node else f"{ballot.voter}: {ballot.choice.value.replace('_', ' ')}{reason}"
        case ev.Event() if event.node is not None:
            return _about_node(event) if node in (None, event.node) else ""
        case ev.Event() if isinstance(event, ev._Moved):
            return (
                ""
                if node
                else f"{event.proposal}: {event.kind.removeprefix('Proposal').lower()} {event.why}".strip()
            )
    return "" if node else event.kind


def _about_node(event: Any) -> str:
    match event:
        case ev.NodeStarted():
            where = f" on {event.worker}" if event.worker else ""
            return f"{event.node} started{where}" + (f" ({event.why})" if event.why else "")
        case ev.NodeSucceeded():
            return f"{event.node} succeeded in {event.seconds:.2f} s"
        case ev.NodeRetrying():
            return f"{event.node}: {event.why}"
        case ev.NodeFailed():
            return f"{event.node} failed: {event.failure}"
        case ev.NodeSuspended():
            return f"{event.node} waits for {event.waits_for}"
        case ev.NodeResumed():
            return f"{event.node} goes on: the proposal is {event.decision}"
    return f"{event.node}: {event.kind}"


def _named(node: str | None, names: Iterable[str], text: str) -> str:
    names = list(names)
    if node is not None:
        return f"{node} {text}" if node in names else ""
    return f"{len(names)} nodes {text}" if len(names) != 1 else f"{names[0]} {text}"


def why(state: RunState, node: str) -> str | None:
    """Why a node does not move, in one sentence; None while it moves or is done."""
    rec = state.nodes.get(node)
    if rec is None:
        return (
            state.gone[node].why if node in state.gone else f"there is no node {node!r} in v{state.version}"
        )
    if rec.state in (NodeState.RUNNING, NodeState.SUCCEEDED):
        return None
    if rec.state in (NodeState.FAILED, NodeState.BLOCKED, NodeState.CANCELLED, NodeState.SKIPPED):
        return rec.why
    if rec.state is NodeState.SUSPENDED:
        proposal = state.proposals.get(rec.waits_for)
        if proposal is None or proposal.electorate is None:
            return f"waits for proposal {rec.waits_for}"
        opinion = state.policy.evaluate(proposal.cast(), proposal.electorate, state.at)
        return f"waits for proposal {rec.waits_for} ({MEANING[proposal.state]}: {opinion.text})"
    if state.status is RunStatus.PAUSED:
        return "the run is paused"
    if rec.due is not None:
        return f"{rec.why}; next try in {max(0.0, rec.due - state.at):.0f} s"
    requires = state.dag.entries[node].spec.requires
    if not capable(state, requires):
        return f"no worker has {', '.join(sorted(requires))}"
    if rec.unmet:
        ups = sorted(
            up for up in state.dag.dependencies(node) if state.nodes[up].state is not NodeState.SUCCEEDED
        )
        return f"waits for {', '.join(ups[:5])}{', …' if len(ups) > 5 else ''}"
    if not state.slots:
        return "there are no workers yet"
    return "waits for a free worker" if state.outstanding >= state.slots else None
