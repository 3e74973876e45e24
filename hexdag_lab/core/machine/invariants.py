"""What must hold in every state of a run. Checked after each message in the simulated world."""

from __future__ import annotations

from collections.abc import Iterator

from ..base.heap import items
from ..runs.run import SETTLED, NodeState, RunStatus
from ..votes.policy import Verdict
from ..votes.proposal import TERMINAL, ProposalState
from .attempts import capable
from .counting import lacks
from .endings import FAULTS
from .lanes import MAIN, lane_of
from .state import RunState


def violations(state: RunState) -> list[str]:
    """Sentences that say what does not hold; empty if all is well."""
    if not state.started:
        return []
    parts = (_nodes, _counts, _queues, _at_work, _order, _claims, _versions, _proposals)
    return [text for part in parts for text in part(state)]


def _nodes(state: RunState) -> Iterator[str]:
    if set(state.nodes) != set(state.dag.entries):
        yield "the nodes of the run are not the nodes of the head version"
    for name, rec in state.nodes.items():
        ups = state.dag.dependencies(name) if name in state.dag else ()
        above = [state.nodes[up] for up in ups]
        if rec.state is NodeState.SUCCEEDED and rec.result is None:
            yield f"{name} succeeded without a result"
        if rec.reuse.origin and (rec.state is not NodeState.SUCCEEDED or rec.submitted):
            yield f"{name} has a result that was taken over, but it is {rec.state}"
        if rec.reuse.origin and rec.result is not None and rec.result.where == "pool":
            yield f"{name} was given a result that is not kept"
        if rec.state is NodeState.READY and not all(up.passed for up in above):
            yield f"{name} is ready, but an upstream has not succeeded"
        if rec.state is NodeState.BLOCKED and not any(up.state in FAULTS and not up.excused for up in above):
            yield f"{name} is blocked, but no upstream failed"
        if rec.state is NodeState.SKIPPED and not (rec.declined or lacks(state.dag.entries[name], state.nodes)):
            yield f"{name} is skipped, but nothing that it needs has no result"
        if rec.state in (NodeState.READY, NodeState.RUNNING) and lacks(state.dag.entries[name], state.nodes):
            yield f"{name} is {rec.state}, though what it needs has no result"
        if rec.declined and (rec.state is not NodeState.SKIPPED or rec.unmet):
            yield f"{name} was skipped by its condition, but is {rec.state} or waits for something"
        if rec.excused and rec.state is not NodeState.FAILED:
            yield f"{name} is excused, but has not failed"
        if rec.submitted and rec.state in SETTLED:
            yield f"{name} is settled, but still submitted"
        if rec.submitted and not all(up.passed or up.submitted for up in above):
            yield f"{name} is submitted, but an upstream is neither done nor submitted"
        if name in state.moves and not (rec.state is NodeState.RUNNING and rec.movable):
            yield f"{name} is to move from its next safe point, but it has none: it is {rec.state}"
        if rec.state is NodeState.RUNNING and not rec.submitted:
            yield f"{name} runs, but is not submitted"


def _claims(state: RunState) -> Iterator[str]:
    held = [claim.name for claim in state.claims.values() if claim.held]
    if len(held) != len(set(held)):
        yield f"two nodes hold one lease: {sorted(held)}"
    for name, claim in state.claims.items():
        rec = state.nodes.get(name)
        if rec is None or rec.state in SETTLED:
            yield f"{name} claims the lease {claim.name!r}, but it is not about to run"
        elif not rec.submitted and state.dag.entries[name].spec.exclusive != claim.name:
            yield f"{name} claims the lease {claim.name!r}, which is not its own"
        elif rec.submitted and not claim.held:
            yield f"{name} is submitted without the lease {claim.name!r}"


def _counts(state: RunState) -> Iterator[str]:
    records = state.nodes.values()
    if state.outstanding != sum(rec.submitted for rec in records):
        yield f"outstanding is {state.outstanding}, but {sum(r.submitted for r in state.nodes.values())} are submitted"
    if state.left != sum(rec.state not in SETTLED for rec in state.nodes.values()):
        yield f"left is {state.left}, but {sum(r.state not in SETTLED for r in state.nodes.values())} are not settled"
    for name, rec in state.nodes.items():
        ups = [state.nodes[up] for up in state.dag.dependencies(name)]
        if rec.unmet != sum(not up.passed for up in ups):
            yield f"{name}: unmet is {rec.unmet}"
        if rec.unsent != sum(not up.passed and not up.submitted for up in ups):
            yield f"{name}: unsent is {rec.unsent}"
    if (state.since is None) == (state.status is RunStatus.RUNNING):
        yield "the clock of the run goes while the run does not, or stands while it does"
    if state.short is not None and state.status is RunStatus.RUNNING:
        yield "the run lacks budget, but is not paused"
    if state.status in (RunStatus.SUCCEEDED, RunStatus.FAILED) and (state.left or state.open):
        yield f"the run is {state.status}, but something is left"


def _queues(state: RunState) -> Iterator[str]:
    """Nothing is forgotten: what may go is in the frontier, what is to be tried again has its time."""
    if state.over:
        return
    heaps = (state.frontier, *(lane.waiting for lane in state.lanes.values()))
    waiting = {name for heap in heaps for name in items(heap)}
    for name, rec in state.nodes.items():
        if (rec.due is not None) != (name in state.dues):
            yield f"{name}: its record and the list of retries do not agree on when it is due"
        idle = rec.state is NodeState.READY and not rec.submitted and rec.due is None
        if (
            idle
            and not rec.reuse.asked
            and name not in waiting
            and (name not in state.claims or state.claims[name].held)
            and capable(state, state.dag.entries[name].spec.requires)
        ):
            yield f"{name} is ready, but not in the frontier"
        if name in state.held and not (rec.submitted and rec.unmet):
            yield f"{name}: a result is held that should have been accepted, or dropped"
    for name in {*state.dues, *state.held}:
        if name not in state.nodes:
            yield f"{name} is not in the graph, but something waits for it"


def _at_work(state: RunState) -> Iterator[str]:
    for name, rec in state.nodes.items():
        lane = lane_of(state.dag.entries[name].spec)
        if lane != MAIN and rec.submitted and not any(name in found.at_work for found in state.lanes.values()):
            yield f"{name} is in the pool, but does not count in its lane"


def _order(state: RunState) -> Iterator[str]:
    for name in state.nodes:
        if state.ranks.get(name) is None:
            yield f"{name} has no rank"
        below = [state.ranks.get(down) or 0 for down in state.dag.dependents(name)]
        if state.ranks.get(name) != max((rank + 1 for rank in below), default=0):
            yield f"{name} has rank {state.ranks.get(name)}, and those below it {sorted(below)}"
    if any(state.nodes[n].state not in SETTLED for names in state.dag.waves[: state.wave] for n in names):
        yield f"{state.wave} waves are done, but something is left in them"


def _versions(state: RunState) -> Iterator[str]:
    if [v.number for v in state.versions] != list(range(1, len(state.versions) + 1)):
        yield "version numbers are not 1, 2, 3, ..."
    if state.versions and state.versions[-1].dag != state.dag:
        yield "the head is not the last version"
    applied = [p.version for p in state.proposals.values() if p.state is ProposalState.APPLIED and p.changes_graph]
    if sorted(applied, key=lambda number: number or 0) != [v.number for v in state.versions[1:]]:
        yield "applied proposals and versions do not match one to one"


def _proposals(state: RunState) -> Iterator[str]:
    if set(state.open) != {p.id for p in state.proposals.values() if p.state not in TERMINAL}:
        yield "the list of open proposals is wrong"
    for proposal in state.proposals.values():
        if proposal.state is ProposalState.APPLIED and any(not check.ok for check in proposal.checks):
            yield f"{proposal.id} was applied against its checks"
        if proposal.state is ProposalState.APPLIED and proposal.electorate is not None:
            opinion = state.policy.evaluate(proposal.cast(), proposal.electorate, proposal.decided_at or 0.0)
            if opinion.verdict not in (Verdict.YES, Verdict.NONE):
                yield f"{proposal.id} was applied, but its ballots say {opinion.verdict}"
        if proposal.terminal and (proposal.decided_at is None or not proposal.decided_by):
            yield f"{proposal.id} is decided, but nobody did it"
        voters = [ballot.voter for ballot in proposal.ballots]
        if len(set(voters)) != len(voters):
            yield f"{proposal.id}: somebody is counted twice"
