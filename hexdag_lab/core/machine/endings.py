"""What becomes of a node, and of what is below it, when an attempt ends without a result.

It is tried again, `on_error` stands in, or it has failed. A node that failed blocks what is below it and fails its run;
one that is optional, or that was skipped, leaves those below to go on as far as they can without its result. What was
submitted on the strength of it is taken back in any case.
"""

from __future__ import annotations

from dataclasses import replace

from ..runs.run import SETTLED, Failure, NodeRecord, NodeState, backoff
from . import events as ev
from . import messages as ms
from .counting import lacks
from .state import RunState
from .step import Step

FAULTS = frozenset({NodeState.FAILED, NodeState.BLOCKED})  #: the run fails for these
MOST_LOST = 3  #: a node whose attempts are lost more often than this is held to kill its workers


def failed(step: Step, m: ms.Failed) -> None:
    rec = step.current(m)
    if rec is None:
        return
    spec = step.state.dag.entries[m.node].spec
    step.take_back_below(m.node, f"upstream {m.node} failed")
    if rec.failures < spec.retries and rec.rescue is None:
        wait = backoff(spec.backoff, rec.failures + 1)
        step.emit(
            ev.NodeRetrying, node=m.node, version=step.state.version, failure=m.failure,
            why=f"attempt {rec.failures + 1} of {spec.retries + 1} failed: {m.failure}",
            due=step.at + wait if wait > 0 else None,
        )  # fmt: skip
        return
    _give_up(step, m.node, m.failure, m.seconds)


def lost(step: Step, m: ms.Lost) -> None:
    rec = step.current(m)
    if rec is None:
        return _result_lost(step, m)
    step.take_back_below(m.node, f"upstream {m.node} runs again")
    if rec.lost >= MOST_LOST:
        failure = Failure("AttemptLost", f"{m.why}; given up after {rec.lost + 1} lost attempts")
        return _give_up(step, m.node, failure, 0.0)
    step.emit(ev.NodeRetrying, node=m.node, version=step.state.version, why=m.why)
    return None


def _result_lost(step: Step, m: ms.Lost) -> None:
    """An accepted result that was nowhere but in the pool is gone: its node runs again."""
    rec = step.record(m.node)
    if rec is None or rec.fence != m.fence or rec.result is None or step.state.over:
        return
    if rec.state is NodeState.SUCCEEDED and rec.result.where == "pool":
        step.take_back_below(m.node, f"upstream {m.node} runs again")
        step.emit(ev.NodeRetrying, node=m.node, version=step.state.version, why=f"its result was lost: {m.why}")


def _give_up(step: Step, node: str, failure: Failure, seconds: float) -> None:
    """No attempt is left: let `on_error` stand in, once, or let the node fail."""
    rec = step.state.nodes[node]
    if step.state.dag.entries[node].spec.on_error is not None and rec.rescue is None:
        why = f"{failure}: on_error stands in"
        step.emit(ev.NodeRetrying, node=node, version=step.state.version, why=why, failure=failure, rescue=True)
        return
    if rec.rescue is not None:
        failure = replace(failure, message=f"{failure.message} (in on_error, after {rec.rescue})")
    _fail(step, node, failure, seconds)


def _fail(step: Step, node: str, failure: Failure, seconds: float) -> None:
    optional, version = step.state.dag.entries[node].spec.optional, step.state.version
    starved = _starved(step.state, node) if optional else ()
    step.emit(ev.NodeFailed, node=node, version=version, failure=failure, seconds=seconds)
    if starved:
        step.emit(ev.NodesSkipped, node=node, version=version, nodes=starved)
    blocked = () if optional else tuple(sorted(_unsettled_below(step.state, node)))
    if blocked:
        step.recall(blocked)
        step.emit(ev.NodesBlocked, node=node, version=version, nodes=blocked)


def _unsettled_below(state: RunState, node: str) -> set[str]:
    """What waits for a node, however far; a node that has its result goes on to serve those below it."""
    found: set[str] = set()
    stack = [node]
    while stack:
        for down in state.dag.dependents(stack.pop()):
            if down not in found and state.nodes[down].state not in SETTLED:
                found.add(down)
                stack.append(down)
    return found


def skipped(step: Step, m: ms.Skipped) -> None:
    rec = step.current(m)
    if rec is None:
        return
    step.take_back_below(m.node, f"upstream {m.node} was skipped")
    if premature(step, m.node, rec, "it was skipped"):
        return
    starved, version = _starved(step.state, m.node), step.state.version
    step.emit(ev.NodeSkipped, node=m.node, version=version, fence=m.fence, why=m.why, seconds=m.seconds)
    if starved:
        step.emit(ev.NodesSkipped, node=m.node, version=version, nodes=starved)


def _starved(state: RunState, node: str) -> tuple[str, ...]:
    """What cannot go on without the result of a node, however far, wave by wave."""
    dag, found, stack = state.dag, {node}, [node]
    while stack:
        for down in dag.dependents(stack.pop()):
            if down in found or state.nodes[down].state in SETTLED:
                continue
            if lacks(dag.entries[down], state.nodes, found):
                found.add(down)
                stack.append(down)
    return tuple(sorted(found - {node}, key=lambda name: (dag.level(name), name)))


def premature(step: Step, node: str, rec: NodeRecord, what: str) -> bool:
    """Whether an attempt ended in a way that may rest on a result that never gets reported: it is called again."""
    if not rec.unmet:
        return False
    step.recall([node])
    step.emit(ev.AttemptsWithdrawn, nodes=(node,), why=f"{what} before its upstreams were reported")
    return True
