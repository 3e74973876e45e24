"""Decisions about attempts: what to submit, and what a pool's reports mean.

A report counts only if it is about the current attempt (the fence) of a node that is still in the graph; anything else
is stale and changes nothing. What was submitted on the strength of an attempt that fails is taken back with it.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

from ..base.frozen import FrozenDict
from ..dag.dag import Entry
from ..dag.keys import reusable
from ..dag.node import NodeSpec
from ..runs.attempt import Input, Task
from ..runs.region import Reach, regions_of
from ..runs.run import NodeRecord, NodeState, RunStatus
from ..votes.proposal import ProposalState
from . import effects as ef
from . import events as ev
from . import messages as ms
from .claims import to_claim
from .counting import current_wave
from .endings import FAULTS, lost, premature
from .lanes import MAIN, Queue, Taken, lane_of
from .limits import Purse, purse
from .recipes import given
from .reuse import index, to_look_up
from .state import RunState
from .step import Step

EXECUTOR = "executor"  #: the lab's own agent: proposes for nodes that name nobody


def dispatch(step: Step, m: ms.Dispatch) -> None:
    """Submit what can run, as far as the pool's slots and lookahead go; end the run if all is done."""
    _complete_waves(step)
    if step.state.status is RunStatus.RUNNING:
        _submit(step)
    if _complete(step.state):
        failed = any(rec.state in FAULTS and not rec.excused for rec in step.state.nodes.values())
        step.emit(ev.RunFinished, status=RunStatus.FAILED if failed else RunStatus.SUCCEEDED)


def _complete_waves(step: Step) -> None:
    """Say which waves are done that were not; a change can open one again."""
    if step.state.schedule != "waves" or step.state.over:
        return
    for number in range(step.state.wave, current_wave(step.state)):
        waves = step.state.dag.waves
        step.emit(ev.WaveCompleted, wave=number + 1, waves=len(waves), nodes=len(waves[number]))


def _submit(step: Step) -> None:
    # Refill in larger portions: while the pool has work beyond its slots, half of the lookahead may run down first.
    if step.state.outstanding > max(step.state.slots, step.state.slots + step.state.lookahead // 2 - 1):
        return
    tasks: list[Task] = []
    left = purse(step.state)
    last_wave = current_wave(step.state) if step.state.schedule == "waves" else None
    while (room := step.state.slots + step.state.lookahead - step.state.outstanding) > 0:
        portion = _portion(step, room, left, last_wave)
        if portion.taken == Taken():
            break
        if portion.missed:
            step.emit(ev.ResultsMissed, why=FrozenDict(portion.missed))
        step.emit(ev.AttemptsSubmitted, nodes=tuple(portion.batch.items()), **portion.taken._asdict())
        tasks += [_task(step.state, name) for name in portion.batch]
        if portion.claimed:  # the runtime takes them, and says so
            step.emit(ev.LeasesClaimed, nodes=tuple(portion.claimed.items()))
        if portion.sought:  # the answers come as a message, and with it the next portion
            step.emit(ev.ResultsSought, nodes=tuple(portion.sought.items()))
            step.act(ef.LookUp(tuple(portion.sought.items())))
            break
    if tasks:
        step.act(ef.Submit(tuple(tasks)))


class _Portion(NamedTuple):
    """Out of the queue: name -> fence of what is submitted, name -> key of the results to look up, name -> why one was
    not found, name -> the lease that it has to claim first, and how many came out."""

    batch: dict[str, int]
    sought: dict[str, str]
    missed: dict[str, str]
    claimed: dict[str, str]
    taken: Taken


def _portion(step: Step, room: int, left: Purse | None, last_wave: int | None) -> _Portion:
    """The next nodes, as many as there is room for; the first one that the budget has no room for stays."""
    batch: dict[str, int] = {}
    sought: dict[str, str] = {}
    missed: dict[str, str] = {}
    claimed: dict[str, str] = {}
    queue = Queue(step.state, last_wave)
    while len(batch) < room and (head := queue.head()) is not None:
        (name, lane), goes = head, False
        fresh = name not in batch and name not in sought and _may_go(step.state, name, last_wave)
        if fresh and lane_of(step.state.dag.entries[name].spec) == lane:  # else it waits in another one by now
            rec, spec = step.state.nodes[name], step.state.dag.entries[name].spec
            key, why = to_look_up(step.state, name)
            if key and key != rec.reuse.asked:
                sought[name] = key
            elif not key and capable(step.state, spec.requires):
                free, lease = to_claim(step.state, name)
                if not free:
                    claimed |= {name: lease} if lease else {}
                elif left and not left.takes(spec, rec):
                    step.short = True
                    break
                else:
                    goes, batch[name] = True, rec.fence + 1
                    missed |= {name: why} if why != rec.reuse.why else {}
        queue.take(lane, goes)
    return _Portion(batch, sought, missed, claimed, queue.taken)


def _may_go(state: RunState, name: str, last_wave: int | None) -> bool:
    """Whether it is a node's turn when it comes out of the frontier. If not, it comes back when it is."""
    rec = state.nodes.get(name)
    if rec is None or rec.submitted or rec.unsent or rec.due is not None:
        return False
    if rec.state not in (NodeState.WAITING, NodeState.READY):
        return False
    spec = state.dag.entries[name].spec
    if rec.unmet and (not state.lookahead or _is_gate(spec) or _hangs_on_effects(state, name)):
        return False
    return last_wave is None or not (rec.unmet or state.dag.level(name) > last_wave)


def _is_gate(spec: NodeSpec) -> bool:
    """Whether a node goes only when all its upstreams are done: it acts on the world, may have its result already, or
    would hold a lease, or a place in its lane, that others could use."""
    return spec.effects or reusable(spec) or spec.exclusive is not None or lane_of(spec) != MAIN


def _hangs_on_effects(state: RunState, name: str) -> bool:
    """Whether an unfinished upstream acts on the outside world. What is chained to it in the pool would make the pool
    run it again where a worker dies, so it is not chained."""
    entries, nodes = state.dag.entries, state.nodes
    return any(entries[w.up].spec.effects and not nodes[w.up].passed for w in entries[name].wires)


def capable(state: RunState, requires: Iterable[str]) -> bool:
    """Whether some worker has everything that a node requires; True while the pool has not said."""
    wanted = frozenset(requires)
    return not wanted or state.capabilities is None or any(wanted <= has for has in state.capabilities)


def cut_off(state: RunState, requires: Iterable[str]) -> Reach | None:
    """The region that a node asks for, if it is cut off: it is waited for."""
    wanted = regions_of(requires)
    return next((reach for reach in state.regions if reach.since is not None and (reach.name,) == wanted), None)


def _task(state: RunState, name: str) -> Task:
    entry, rec = state.dag.entries[name], state.nodes[name]
    spec = entry.spec
    return Task(
        run=state.run, node=name, fence=rec.fence, attempt=rec.started + 1, version=state.version,
        sees=rec.sees or state.version, code=spec.blob or "",
        params=spec.params, inputs=(*_given(state, name), *_from_upstream(state, entry)),
        requires=frozenset(spec.requires), timeout=spec.timeout, durable=spec.durable, priority=state.ranks[name],
        label=spec.code.name, proposer=spec.agent or EXECUTOR, saved=rec.saved,
        decision=rec.decision, decisions=rec.decisions, worker=rec.place, leaves=rec.leaves,
        positional=tuple(p.name for p in spec.code.params if p.kind == "positional"), collector=spec.code.collector,
        runs=_runner(state, spec.agent),
        effects=spec.effects,
        failure=rec.rescue,
        shares=_shares(spec, rec),
    )  # fmt: skip


def _shares(spec: NodeSpec, rec: NodeRecord) -> bool:
    """Whether an attempt may share a task with others: the first one of a node that asks for nothing. What others wait
    behind it for is then only its own work."""
    asks = spec.requires or spec.effects or spec.durable or spec.exclusive or spec.timeout is not None
    return not (asks or spec.concurrency or rec.place or rec.started or rec.lost or rec.saved)


def _runner(state: RunState, agent: str | None) -> str | None:
    """The function of the agent that a node is given to, if that agent runs its nodes itself."""
    seat = state.seats.get(agent) if agent is not None else None
    return None if seat is None else seat.runs


def _from_upstream(state: RunState, entry: Entry) -> list[Input]:
    found = []
    for w in entry.wires:
        up = state.nodes[w.up]
        if not up.void:
            found.append(Input(w.param, w.up, up.fence, up.result if up.passed else None))
    return found


def _given(state: RunState, name: str) -> list[Input]:
    return [Input(param, "", 0, kept) for param, kept in given(state, name)]


def _complete(state: RunState) -> bool:
    if state.left or state.open or not state.started or state.status is not RunStatus.RUNNING:
        return False
    return all(upto >= state.hookable for upto in state.hooks.values())


# -- reports


def started(step: Step, m: ms.Started) -> None:
    rec = step.current(m)
    if rec is None:
        return _repeated(step, m)
    why = m.why
    if rec.state is NodeState.RUNNING:
        if m.repeat <= rec.repeats and (rec.repeats or rec.worker == m.worker):
            return None  # said twice, or late
        if rec.movable:  # what the pool runs again does not know what was saved since
            return lost(step, ms.Lost(m.at, m.node, m.fence, f"its worker {rec.worker} is gone"))
        why = why or f"its worker {rec.worker} is gone; the pool ran it again"
    where = {"node": m.node, "version": step.state.version, "fence": m.fence, "worker": m.worker}
    return step.emit(ev.NodeStarted, **where, why=why, repeat=m.repeat)


def _repeated(step: Step, m: ms.Started) -> None:
    """The pool runs an attempt again whose result is in: it has lost it with a worker, and something needs it there."""
    rec = step.record(m.node)
    if rec is None or rec.fence != m.fence or m.repeat <= rec.repeats or step.state.over:
        return
    if rec.state is NodeState.SUCCEEDED or m.node in step.state.held:
        if rec.result is None or rec.result.where != "pool":
            # What is chained to it would get its second result, which may be another one than the journal has.
            step.take_back_below(m.node, f"{m.node} runs again, and they are to have its first result")
        where = {"node": m.node, "version": step.state.version, "fence": m.fence, "worker": m.worker}
        step.emit(ev.NodeRepeated, **where, why=m.why, repeat=m.repeat)


def succeeded(step: Step, m: ms.Succeeded) -> None:
    rec = step.current(m)
    if rec is None:
        return
    result = {"fence": m.fence, "seconds": m.seconds, "result": m.result, "worker": m.worker}
    if rec.unmet:  # its upstream's own report is still on the way
        step.emit(ev.ResultHeld, node=m.node, version=step.state.version, **result)
        return
    _accept(step, m.node, **result)


def _accept(step: Step, node: str, **result: Any) -> None:
    accepted = [(node, result)]
    while accepted:
        name, values = accepted.pop()
        step.emit(ev.NodeSucceeded, node=name, version=step.state.version, **values)
        if values["result"].where != "pool":
            step.act(ef.Forget(((name, values["fence"]),)))
            index(step, [name])
        for down in sorted(step.state.dag.dependents(name)):
            held = step.state.held.get(down)
            if held is not None and not step.state.nodes[down].unmet:
                keys = ("fence", "seconds", "result", "worker")
                accepted.append((down, dict(zip(keys, held, strict=True))))


def result_kept(step: Step, m: ms.ResultKept) -> None:
    rec = step.record(m.node)
    if rec is None or rec.fence != m.fence or rec.state is not NodeState.SUCCEEDED or rec.result == m.result:
        return
    if rec.result is not None and rec.result.where == "pool":
        step.emit(ev.NodeKept, node=m.node, version=step.state.version, result=m.result)
        index(step, [m.node, *sorted(step.state.dag.dependents(m.node))])


def suspended(step: Step, m: ms.Suspended) -> None:
    rec = step.current(m)
    if rec is None:
        return
    step.take_back_below(m.node, f"upstream {m.node} waits for a decision")
    if premature(step, m.node, rec, "it suspended"):
        return
    step.emit(ev.NodeSuspended, node=m.node, version=step.state.version, waits_for=m.proposal, saved=m.saved)
    proposal = step.state.proposals.get(m.proposal)
    if proposal is None:
        resume(step, m.proposal, ProposalState.REJECTED)
    elif proposal.terminal:
        resume(step, m.proposal, proposal.state)


def resume(step: Step, proposal: str, decision: ProposalState) -> None:
    """Let the nodes that wait for a proposal go on."""
    suspended = [name for name, rec in step.state.nodes.items() if rec.state is NodeState.SUSPENDED]
    for name in sorted(suspended):
        if step.state.nodes[name].waits_for == proposal:
            step.emit(ev.NodeResumed, node=name, version=step.state.version, decision=decision.value)


def pool_changed(step: Step, m: ms.PoolChanged) -> None:
    now = (step.state.slots, step.state.lookahead, step.state.capabilities, step.state.regions)
    offer = (m.slots, m.lookahead, m.capabilities, m.regions)
    if offer != now and not step.state.over:
        slots, lookahead, capabilities, regions = offer
        step.emit(ev.PoolOffered, slots=slots, lookahead=lookahead, capabilities=capabilities, regions=regions)


def worker_seen(step: Step, m: ms.WorkerSeen) -> None:
    if not step.state.over:
        step.emit(ev.WorkerChanged, worker=m.worker, state=m.state, why=m.why)


def retries_due(step: Step) -> None:
    for name, due in step.state.dues.items():
        if due <= step.at:
            step.emit(ev.RetryDue, node=name, version=step.state.version)
