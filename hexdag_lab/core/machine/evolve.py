"""`evolve(state, event) -> state`: how each event changes the state.

Nothing is decided here, and nothing can fail. What nodes wait for is counted in `counting`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from ..base.frozen import FrozenDict
from ..runs.rank import rank_changes, ranked
from ..runs.reuse import UNUSED, Reuse
from ..runs.run import SETTLED, NodeRecord, NodeState, RunStatus
from ..votes.budget import budget_of
from . import events as ev
from .counting import current_wave, lacks, recounted, with_downs
from .evolve_agents import AGENTS, seated
from .evolve_claims import lease_awaited, lease_held, leases_claimed, without_ended
from .evolve_proposals import PROPOSALS
from .evolve_reuse import made, node_kept, node_reused, results_missed, results_sought, tried
from .evolve_steering import node_checkpointed, node_moved, node_moving, on_their_way
from .lanes import counted_in, queued, taken_out
from .limits import charged, clocked
from .state import RunState, Version


def evolve(state: RunState, event: Any) -> RunState:
    """The state after an event."""
    changed = _EVOLVERS[type(event)](state, event)
    if changed.moves:
        changed = on_their_way(changed)
    if changed.claims:
        changed = without_ended(state, changed)
    hookable = state.hookable if type(event) in _UNHOOKED else event.seq
    return changed._replace(seq=event.seq, at=event.at, hookable=hookable)


# -- the run


def _run_started(state: RunState, e: ev.RunStarted) -> RunState:
    dag = e.dag.numbered(1)
    state = RunState(
        run=e.run, owner=e.owner, policy=e.policy, schedule=e.schedule, budget=budget_of(e.budget), inputs=e.inputs,
        dag=dag, since=e.at, trust=e.trust, ranks=ranked(dag), operations=e.operations,
        versions=(Version(1, dag, e.by, "started", None, e.at),), slots=state.slots, lookahead=state.lookahead,
        capabilities=state.capabilities,
    )  # fmt: skip
    for seat in e.seats:
        state = seated(state, seat, 0)
    records = {}
    for name, entry in dag.entries.items():
        kept = e.done.get(name)
        open_ups = sum(w.up not in e.done for w in entry.wires)
        node = NodeState.SUCCEEDED if kept else NodeState.WAITING if open_ups else NodeState.READY
        why = "taken over from the run it was forked from" if kept else ""
        records[name] = NodeRecord(node, why, unmet=open_ups, unsent=open_ups, result=kept)
    left = sum(rec.state not in SETTLED for rec in records.values())
    state = state._replace(nodes=type(state.nodes)(records), left=left)
    return queued(state, [name for name, rec in records.items() if not rec.unsent and not rec.result])


def _run_attached(state: RunState, e: ev.RunAttached) -> RunState:
    """All that the pool had is lost: submitted attempts and results that were only there."""
    nodes, left = state.nodes, state.left
    for name, rec in state.nodes.items():
        if rec.reuse.asked:
            rec = rec._replace(reuse=rec.reuse._replace(asked=""))
            nodes = nodes.set(name, rec)
        if rec.submitted:
            nodes = nodes.set(name, rec._replace(submitted=False, state=NodeState.READY, why="the controller changed"))
        elif name in e.again:
            nodes = nodes.set(name, rec._replace(state=NodeState.READY, result=None, why="its result was not kept"))
            left += 1
    hooks = FrozenDict({agent: seq for agent, seq in state.hooks.items() if agent not in e.absent})
    state = clocked(state, state.at, e.at if state.status is RunStatus.RUNNING else None)  # it did not run meanwhile
    state = state._replace(nodes=nodes, left=left, outstanding=0, frontier=None, lanes=FrozenDict(), hooks=hooks)
    state = state._replace(held=FrozenDict(), claims=FrozenDict())
    return _reopened(recounted(state, state.nodes), e.again)


def _paused(state: RunState, e: ev.RunPaused) -> RunState:
    return clocked(state, e.at, None)._replace(status=RunStatus.PAUSED, short=e.short)


def _resumed(state: RunState, e: ev.RunResumed) -> RunState:
    return clocked(state, e.at, e.at)._replace(status=RunStatus.RUNNING, short=None)


def _budget_raised(state: RunState, e: ev.BudgetRaised) -> RunState:
    return state._replace(budget=e.budget)


def _finished(state: RunState, e: ev.RunFinished) -> RunState:
    state = clocked(state, e.at, None)
    if e.status is not RunStatus.CANCELLED:
        return state._replace(status=e.status)
    nodes = state.nodes
    for name, rec in state.nodes.items():
        if rec.state not in SETTLED:
            why = f"cancelled by {e.by}"
            nodes = nodes.set(name, rec._replace(state=NodeState.CANCELLED, submitted=False, due=None, why=why))
    state = state._replace(status=e.status, nodes=nodes, left=0, outstanding=0, dues=FrozenDict(), held=FrozenDict())
    return recounted(state, nodes)._replace(frontier=None, lanes=FrozenDict())


def _pool_offered(state: RunState, e: ev.PoolOffered) -> RunState:
    state = state._replace(slots=e.slots, lookahead=e.lookahead, capabilities=e.capabilities, regions=e.regions)
    return queued(state, [name for name, rec in state.nodes.items() if not rec.submitted and not rec.unsent])


# -- attempts


def _submitted(state: RunState, e: ev.AttemptsSubmitted) -> RunState:
    nodes, freed = state.nodes, []
    for name, fence in e.nodes:
        code = state.dag.entries[name].spec.code.digest.hex()
        rec = nodes[name]._replace(
            submitted=True, fence=fence, due=None, repeats=0, reuse=tried(state, name), code=code, movable=False,
            checkpoints=0,
        )  # fmt: skip
        nodes = nodes.set(name, rec)
        for down in state.dag.dependents(name):
            rec = nodes[down]
            nodes = nodes.set(down, rec._replace(unsent=rec.unsent - 1))
            if rec.unsent == 1:
                freed.append(down)
    state = taken_out(state, e.taken, e.from_lanes, [name for name, _ in e.nodes])
    return queued(state._replace(nodes=nodes, outstanding=state.outstanding + len(e.nodes)), freed)


def _withdrawn(state: RunState, e: ev.AttemptsWithdrawn) -> RunState:
    nodes = state.nodes
    for name in e.nodes:
        nodes = nodes.set(name, nodes[name]._replace(submitted=False, state=NodeState.WAITING, why=e.why))
    held = FrozenDict({name: item for name, item in state.held.items() if name not in e.nodes})
    state = state._replace(nodes=nodes, outstanding=state.outstanding - len(e.nodes), held=held)
    return recounted(state, with_downs(state.dag, e.nodes))


def _node_started(state: RunState, e: ev.NodeStarted) -> RunState:
    rec = state.nodes[e.node]
    state = charged(state, e.node, rec)
    rec = rec._replace(
        state=NodeState.RUNNING, worker=e.worker, began=e.at, started=rec.started + 1, why=e.why, version=e.version,
        repeats=e.repeat,
    )  # fmt: skip
    return state._replace(nodes=state.nodes.set(e.node, rec))


def _node_repeated(state: RunState, e: ev.NodeRepeated) -> RunState:
    rec = state.nodes[e.node]
    state = charged(state, e.node, rec)
    rec = rec._replace(worker=e.worker, started=rec.started + 1, repeats=e.repeat)
    return state._replace(nodes=state.nodes.set(e.node, rec))


def _result_held(state: RunState, e: ev.ResultHeld) -> RunState:
    held = FrozenDict({**state.held, e.node: (e.fence, e.seconds, e.result, e.worker)})
    return state._replace(held=held)


def _node_succeeded(state: RunState, e: ev.NodeSucceeded) -> RunState:
    rec = state.nodes[e.node]
    if not rec.started:  # the report of its start was lost
        state = charged(state, e.node, rec)
    done = rec._replace(
        state=NodeState.SUCCEEDED, submitted=False, result=e.result, seconds=e.seconds, why="", failure=None,
        worker=e.worker or rec.worker, started=max(rec.started, 1), saved=None, waits_for="", version=e.version,
        reuse=made(state, rec.reuse, e.seq), place="",
    )  # fmt: skip
    nodes, met = state.nodes.set(e.node, done), []
    for down in state.dag.dependents(e.node):
        below = nodes[down]
        fewer = below._replace(unmet=below.unmet - 1)
        ready = below.unmet == 1 and below.state is NodeState.WAITING
        nodes = nodes.set(down, fewer._replace(state=NodeState.READY, why="") if ready else fewer)
        if below.unmet == 1 and not below.submitted:
            met.append(down)
    held = state.held
    if e.node in held:
        held = FrozenDict({name: item for name, item in held.items() if name != e.node})
    state = state._replace(nodes=nodes, outstanding=state.outstanding - 1, left=state.left - 1, held=held)
    return queued(state, met)


def _node_retrying(state: RunState, e: ev.NodeRetrying) -> RunState:
    rec = state.nodes[e.node]
    again = rec._replace(
        state=NodeState.READY, submitted=False, why=e.why, due=e.due, failure=e.failure or rec.failure,
        failures=rec.failures + (e.failure is not None), lost=rec.lost + (e.failure is None), result=None,
        rescue=e.failure if e.rescue else rec.rescue,
    )  # fmt: skip
    state = state._replace(
        nodes=state.nodes.set(e.node, again),
        outstanding=state.outstanding - rec.submitted,
        left=state.left + (rec.state in SETTLED),
    )
    if e.due is not None:
        state = state._replace(dues=FrozenDict({**state.dues, e.node: e.due}))
    return _reopened(recounted(state, with_downs(state.dag, [e.node])), [e.node])


def _reopened(state: RunState, names: Iterable[str]) -> RunState:
    """With the waves of nodes that have to run again not done."""
    return state._replace(wave=min([state.wave, *map(state.dag.level, names)])) if state.wave else state


def _retry_due(state: RunState, e: ev.RetryDue) -> RunState:
    dues = FrozenDict({name: due for name, due in state.dues.items() if name != e.node})
    state = state._replace(dues=dues, nodes=state.nodes.set(e.node, state.nodes[e.node]._replace(due=None)))
    return queued(state, [e.node])


def _node_failed(state: RunState, e: ev.NodeFailed) -> RunState:
    rec = state.nodes[e.node]
    failed = rec._replace(
        state=NodeState.FAILED, submitted=False, failure=e.failure, seconds=e.seconds, why=str(e.failure),
        failures=rec.failures + 1, version=e.version, excused=state.dag.entries[e.node].spec.optional,
    )  # fmt: skip
    nodes = state.nodes.set(e.node, failed)
    state = state._replace(outstanding=state.outstanding - rec.submitted, left=state.left - 1)
    if failed.excused:
        return recounted(state._replace(nodes=nodes), state.dag.dependents(e.node))
    for down in state.dag.dependents(e.node):
        nodes = nodes.set(down, nodes[down]._replace(unsent=nodes[down].unsent + rec.submitted))
    return state._replace(nodes=nodes)


def _node_skipped(state: RunState, e: ev.NodeSkipped) -> RunState:
    rec = state.nodes[e.node]
    skipped = rec._replace(
        state=NodeState.SKIPPED, submitted=False, why=e.why, seconds=e.seconds, version=e.version, result=None,
        failure=None, saved=None, waits_for="", declined=True, reuse=UNUSED,
    )  # fmt: skip
    nodes = state.nodes.set(e.node, skipped)
    state = state._replace(nodes=nodes, outstanding=state.outstanding - rec.submitted, left=state.left - 1)
    return recounted(state, state.dag.dependents(e.node))


def _nodes_skipped(state: RunState, e: ev.NodesSkipped) -> RunState:
    nodes, left = state.nodes, state.left
    for name in e.nodes:  # wave by wave; most of them are skipped already, since that follows from what is above
        rec = nodes[name]
        if rec.state not in SETTLED:
            why = lacks(state.dag.entries[name], nodes)
            nodes = nodes.set(name, rec._replace(state=NodeState.SKIPPED, due=None, waits_for="", why=why))
            left -= 1
    dues = FrozenDict({name: due for name, due in state.dues.items() if name not in e.nodes})
    return recounted(state._replace(nodes=nodes, left=left, dues=dues), with_downs(state.dag, e.nodes))


def _nodes_blocked(state: RunState, e: ev.NodesBlocked) -> RunState:
    nodes, outstanding = state.nodes, state.outstanding
    for name in e.nodes:
        rec = nodes[name]
        outstanding -= rec.submitted
        nodes = nodes.set(
            name, rec._replace(state=NodeState.BLOCKED, submitted=False, due=None, why=f"upstream {e.node} failed")
        )
    dues = FrozenDict({name: due for name, due in state.dues.items() if name not in e.nodes})
    state = state._replace(nodes=nodes, outstanding=outstanding, left=state.left - len(e.nodes), dues=dues)
    return recounted(state, with_downs(state.dag, e.nodes))


def _wave_completed(state: RunState, e: ev.WaveCompleted) -> RunState:
    return state._replace(wave=e.wave)


def _node_suspended(state: RunState, e: ev.NodeSuspended) -> RunState:
    old = state.nodes[e.node]
    rec = old._replace(
        state=NodeState.SUSPENDED, submitted=False, waits_for=e.waits_for, saved=e.saved,
        why=f"waits for {e.waits_for}", sees=old.sees or old.version,
    )  # fmt: skip
    state = state._replace(nodes=state.nodes.set(e.node, rec), outstanding=state.outstanding - 1)
    return recounted(state, state.dag.dependents(e.node))


def _node_resumed(state: RunState, e: ev.NodeResumed) -> RunState:
    old = state.nodes[e.node]
    decisions = FrozenDict({**old.decisions, old.waits_for: e.decision})
    rec = old._replace(
        state=NodeState.READY, decision=e.decision, decisions=decisions, waits_for="", why=f"{e.decision}: goes on"
    )
    state = state._replace(nodes=state.nodes.set(e.node, rec))
    return recounted(state, with_downs(state.dag, [e.node]))


# -- versions and proposals


def _version_committed(state: RunState, e: ev.VersionCommitted) -> RunState:
    dag = state.dag.apply(e.changeset).numbered(e.version)
    nodes, gone, outstanding = state.nodes, state.gone, state.outstanding
    left = state.left + len(e.changeset.added)
    for name in e.changeset.removed:
        rec = nodes[name]
        outstanding -= rec.submitted
        left -= rec.state not in SETTLED
        gone = gone.set(name, rec._replace(state=NodeState.CANCELLED, submitted=False, why=f"removed by {e.by}"))
        nodes = nodes.delete(name)
    for name in e.changeset.added:
        fence = state.gone[name].fence if name in state.gone else 0  # a name that comes back: fences only rise
        nodes = nodes.set(name, NodeRecord(version=e.version, fence=fence))
        gone = gone.delete(name) if name in gone else gone
    reopened = set(e.restarted) | set(e.rerun)
    for name in sorted(reopened):
        rec = nodes[name]
        outstanding -= rec.submitted
        left += rec.state in SETTLED
        fresh = _untried(rec)._replace(state=NodeState.WAITING, submitted=False, result=None, why=_why(name, e))
        fresh = fresh._replace(reuse=Reuse(made=rec.reuse.made), place="")
        nodes = nodes.set(name, fresh._replace(saved=None, waits_for="", decision=None, failure=None))
    for name in e.changeset.changed:
        if name not in reopened and nodes[name].state in (NodeState.WAITING, NodeState.READY, NodeState.BLOCKED):
            nodes = nodes.set(name, _untried(nodes[name]))
    version = Version(e.version, dag, e.by, e.reason, e.proposal, e.at)
    state = state._replace(
        dag=dag, nodes=nodes, gone=gone, outstanding=outstanding, left=left, versions=(*state.versions, version)
    )
    touched = {name for name in e.changeset.nodes if name in dag} | reopened
    touched |= {down for _, down in e.changeset.edges if down in dag}
    moved = rank_changes(state.ranks, dag, {up for up, _ in e.changeset.edges}.union(e.changeset.nodes))
    state = state._replace(ranks=state.ranks.update(moved))
    touched |= {name for name in moved if name in dag}  # they have another place in the queue
    if state.schedule == "waves":
        touched = set(dag.entries)  # the frontier is in the order of waves, and any of them may have moved
    state = _forgotten(state, {*e.changeset.removed, *e.changeset.changed, *reopened})
    state = recounted(state, with_downs(dag, touched))
    state = counted_in(state, [name for name in e.changeset.changed if state.nodes[name].submitted])
    return state._replace(wave=min(state.wave, current_wave(state._replace(wave=0)))) if state.wave else state


def _untried(rec: NodeRecord) -> NodeRecord:
    """Another definition has all its attempts before it, and need not sit out the backoff of the old one."""
    return rec._replace(
        failures=0, lost=0, due=None, sees=0, decisions=FrozenDict(), declined=False, excused=False, rescue=None
    )  # fmt: skip


def _why(name: str, e: ev.VersionCommitted) -> str:
    verb = "re-run" if name in e.rerun else "restarted"
    return f"{verb}: changed in v{e.version}" if name in e.changeset.nodes else f"{verb}: an upstream changed"


def _forgotten(state: RunState, names: set[str]) -> RunState:
    """Without the retries of some nodes, and without early results of those that are not in the pool any more."""
    return state._replace(
        dues=FrozenDict({name: due for name, due in state.dues.items() if name not in names}),
        held=FrozenDict({name: item for name, item in state.held.items() if _in_pool(state, name)}),
    )


def _in_pool(state: RunState, name: str) -> bool:
    return name in state.nodes and state.nodes[name].submitted


_EVOLVERS: dict[type, Callable[[RunState, Any], RunState]] = {
    ev.RunStarted: _run_started,
    ev.RunAttached: _run_attached,
    ev.RunPaused: _paused,
    ev.RunResumed: _resumed,
    ev.BudgetRaised: _budget_raised,
    ev.RunFinished: _finished,
    ev.PoolOffered: _pool_offered,
    ev.WorkerChanged: lambda state, e: state,
    ev.AttemptsSubmitted: _submitted,
    ev.AttemptsWithdrawn: _withdrawn,
    ev.NodeStarted: _node_started,
    ev.NodeRepeated: _node_repeated,
    ev.ResultHeld: _result_held,
    ev.NodeSucceeded: _node_succeeded,
    ev.NodeKept: node_kept,
    ev.ResultsSought: results_sought,
    ev.ResultsMissed: results_missed,
    ev.NodeReused: node_reused,
    ev.LeasesClaimed: leases_claimed,
    ev.LeaseHeld: lease_held,
    ev.LeaseAwaited: lease_awaited,
    ev.NodeRetrying: _node_retrying,
    ev.RetryDue: _retry_due,
    ev.NodeFailed: _node_failed,
    ev.NodesBlocked: _nodes_blocked,
    ev.NodeCheckpointed: node_checkpointed,
    ev.NodeMoving: node_moving,
    ev.NodeMoved: node_moved,
    ev.NodeSkipped: _node_skipped,
    ev.NodesSkipped: _nodes_skipped,
    ev.WaveCompleted: _wave_completed,
    ev.NodeSuspended: _node_suspended,
    ev.NodeResumed: _node_resumed,
    ev.VersionCommitted: _version_committed,
    **AGENTS,
    **PROPOSALS,
}
_UNHOOKED = frozenset(ev.UNHOOKED)
