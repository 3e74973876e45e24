"""A run in words: what happened to it, or to one node. Why a node does not move is in `why`."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import replace
from typing import Any

from . import events as ev
from .state import RunState

SHORT = 8  #: hexadecimal digits of a code hash in a sentence
MOST_NAMES = 3  #: a sentence names so many nodes and counts more


def story(events: Iterable[Any], node: str) -> list[str]:
    """One line for each event that concerns a node, in order. If its code has changed, attempts say which they have."""
    events = tuple(events)
    codes, told = _codes(events, node), [(event, sentence(event, node)) for event in events]
    return [f"{event.seq:>4}  {text}{codes.get(event.seq, '')}" for event, text in told if text]


def _codes(events: Iterable[Any], node: str) -> dict[int, str]:
    """By seq, what to add about the code of a node to its attempts and changes; nothing if it never changed."""
    code, found, seen = "", dict[int, str](), set[str]()
    for event in events:
        match event:
            case ev.RunStarted() if node in event.dag:
                code = event.dag.nodes[node].code.digest.hex()[:SHORT]
            case ev.VersionCommitted() if (change := event.changeset.nodes.get(node)) is not None and change.new:
                code, before = change.new.code.digest.hex()[:SHORT], code
                found[event.seq] = f" (code {before} -> {code})" if before not in ("", code) else ""
            case ev.AttemptsSubmitted() if any(name == node for name, _ in event.nodes):
                found[event.seq] = f" with code {code}"
        seen.add(code)
    return found if len(seen - {""}) > 1 else {}


def sentence(event: Any, node: str | None = None) -> str:
    """An event in words; with `node`, empty unless it concerns that node. Empty where nothing happened to see."""
    if node is not None and not _concerns(event, node):
        return ""
    if event.node is not None:
        return _about_node(event)
    return _about_proposal(event) if event.proposal is not None else _about_run(event, node)


def seen_by(event: Any, viewer: str, state: RunState) -> Any:
    """An event as somebody may see it now: of a ballot that is sealed to her, only that it was cast."""
    proposal = state.proposals.get(event.proposal) if isinstance(event, ev.BallotCast) else None
    if proposal is None or not proposal.sealed_to(viewer, state.policy):
        return event
    return replace(event, ballot=event.ballot.sealed)


def _concerns(event: Any, node: str) -> bool:
    match event:
        case ev.RunStarted():
            return node in event.dag
        case ev.AttemptsSubmitted() | ev.LeasesClaimed():
            return any(name == node for name, _ in event.nodes)
        case ev.AttemptsWithdrawn():
            return node in event.nodes
        case ev.VersionCommitted():
            ends = {name for edge in event.changeset.edges for name in edge}
            return node in ends.union(event.changeset.nodes, event.restarted, event.rerun)
        case ev.NodesBlocked() | ev.NodesSkipped():
            return node in event.nodes
        case ev.ResultsMissed():
            return bool(event.why.get(node))
        case ev.RunAttached() | ev.RunPaused() | ev.RunResumed() | ev.RunFinished():
            return True
    return bool(event.node == node)


def _about_run(event: Any, node: str | None) -> str:
    match event:
        case ev.RunStarted():
            return f"run {event.run} started by {event.by}"
        case ev.RunAttached():
            lost = "; its result was not kept" if node in event.again else ""
            return f"another controller goes on with the run{lost}"
        case ev.RunPaused():
            return f"paused by {event.by}" + (f": its budget lacks {event.short}" if event.short is not None else "")
        case ev.RunResumed():
            return f"{event.by} lets the run go on"
        case ev.RunFinished():
            return f"the run ended: {event.status}" + (f", by {event.by}" if event.by else "")
        case ev.WaveCompleted():
            return f"wave {event.wave} of {event.waves} is done ({event.nodes} node{'s' * (event.nodes != 1)})"
        case ev.SeatTaken():
            return f"{event.seat.id} takes part as {event.seat.role}"
        case ev.PoolOffered():
            away = "".join(f"; {reach}" for reach in event.regions if reach.since is not None)
            return f"the pool offers {event.slots} slot{'s' * (event.slots != 1)}{away}"
        case ev.WorkerChanged():
            return f"worker {event.worker} {event.state.meaning}" + (f": {event.why}" if event.why else "")
        case ev.AttemptsSubmitted():
            return _named(node, [name for name, _ in event.nodes], "submitted")
        case ev.LeasesClaimed():
            return _named(node, [name for name, _ in event.nodes], "claimed a lease")
        case ev.AttemptsWithdrawn():
            return _named(node, event.nodes, f"taken back: {event.why}")
        case ev.ResultsMissed():
            told = {name: why for name, why in event.why.items() if why and node in (None, name)}
            return "; ".join(f"{name}: {why}" for name, why in told.items())
        case ev.ResultsSought():
            return ""
        case ev.HooksSeen():
            return f"{event.agent} looked at what happened" + (f": {event.failure}" if event.failure else "")
        case ev.AgentCalled():
            call = event.call
            return (
                f"{event.agent} asked {call.model} ({call.purpose} {call.about}): {call.outcome}, {call.seconds:.1f} s"
            )
        case ev.AgentSuspended():
            return f"{event.agent} is asked no more: {event.why}; add it anew once that is put right"
    return str(event.kind)


def _about_node(event: Any) -> str:
    name = event.node
    match event:
        case ev.NodeStarted():
            where = f" on {event.worker}" if event.worker else ""
            return f"{name} started{where}" + (f" ({event.why})" if event.why else "")
        case ev.NodeRepeated():
            return f"{name} runs again on {event.worker}, and keeps its result ({event.why})"
        case ev.NodeSucceeded():
            return f"{name} succeeded in {event.seconds:.2f} s"
        case ev.NodeReused():
            return f"{name} {event.why}"
        case ev.ResultHeld():
            return f"{name} has a result, which waits for its upstreams' reports"
        case ev.NodeKept():
            return f"the result of {name} is kept"
        case ev.LeaseHeld():
            return f"{name} holds its lease"
        case ev.LeaseAwaited():
            return f"{name} waits for its lease, which {event.holder} holds"
        case ev.NodeRetrying():
            return f"{name}: {event.why}"
        case ev.RetryDue():
            return f"{name} may be tried again"
        case ev.NodeFailed():
            return f"{name} failed: {event.failure}"
        case ev.NodesBlocked():
            return f"{_names(event.nodes)} blocked: upstream {name} failed"
        case ev.NodeCheckpointed() if event.saved is not None:
            return f"{name} saved what it has, at its safe point {event.number}"
        case ev.NodeCheckpointed():
            return f"{name} has safe points: it can be moved"
        case ev.NodeMoving():
            return f"{name} is to go on on {event.to or 'another worker'} from its next safe point"
        case ev.NodeMoved():
            verb = "begins anew" if event.afresh else "goes on"
            return f"{name} {verb} on {event.to or 'another worker'}: {event.why}"
        case ev.NodeSkipped():
            return f"{name} skipped: {event.why}"
        case ev.NodesSkipped():
            need = "it needs" if len(event.nodes) == 1 else "they need"
            return f"{_names(event.nodes)} skipped: {need} {name}, which has no result"
        case ev.NodeSuspended():
            return f"{name} waits for {event.waits_for}"
        case ev.NodeResumed():
            return f"{name} goes on: the proposal is {event.decision}"
    return f"{name}: {event.kind}"


def _about_proposal(event: Any) -> str:
    match event:
        case ev.ProposalMade():
            proposal = event.proposal
            return f"{proposal.by} proposes {proposal.id}: {proposal.summary}"
        case ev.BudgetRaised():
            return f"the budget is {event.budget} from now on"
        case ev.ProposalApproved() if event.waits:
            return f"{event.proposal} approved: {event.why}; it waits for {_names(event.waits)}"
        case ev.BallotCast():
            ballot = event.ballot
            reason = f' "{ballot.reason}"' if ballot.reason else ""
            return f"{ballot.voter} on {event.proposal}: {ballot.choice.value.replace('_', ' ')}{reason}"
        case ev.ProposalJudged():
            return f"{event.proposal}: {event.judged}"
        case ev.ProposalRevised():
            return f"{event.proposal} is voted on anew: {event.why}"
        case ev.VersionCommitted():
            what = [f"v{event.version} by {event.by}: {event.changeset.summary}"]
            what += [f"restarts {_names(event.restarted)}"] if event.restarted else []
            what += [f"re-runs {_names(event.rerun)}"] if event.rerun else []
            return ", ".join(what)
    verb = event.kind.removeprefix("Proposal").lower()
    return f"{event.proposal} {verb}" + (f": {event.why}" if event.why else "")


def _named(node: str | None, names: Collection[str], text: str) -> str:
    if not names:
        return ""
    return f"{_names(names) if node is None else node} {text}"


def _names(names: Collection[str]) -> str:
    return ", ".join(names) if len(names) <= MOST_NAMES else f"{len(names)} nodes"
