"""How the events about leases of critical sections change the state: a part of `evolve`.

A claim lasts from its event to the end of the attempt that it is for, however that ends. The lease itself is the
runtime's: it holds what the state claims, and gives back what it claims no more.
"""

from __future__ import annotations

from ..base.frozen import FrozenDict
from ..runs.claim import Claim
from ..runs.run import SETTLED, NodeState, RunStatus
from . import events as ev
from .lanes import queued
from .state import RunState


def leases_claimed(state: RunState, e: ev.LeasesClaimed) -> RunState:
    made = {node: Claim(name, e.seq) for node, name in e.nodes}
    return state._replace(claims=FrozenDict({**state.claims, **made}))


def lease_held(state: RunState, e: ev.LeaseHeld) -> RunState:
    held = state.claims[e.node]._replace(held=True, holder="")
    return queued(state._replace(claims=FrozenDict({**state.claims, e.node: held})), [e.node])


def lease_awaited(state: RunState, e: ev.LeaseAwaited) -> RunState:
    waiting = state.claims[e.node]._replace(holder=e.holder)
    return state._replace(claims=FrozenDict({**state.claims, e.node: waiting}))


def without_ended(before: RunState, after: RunState) -> RunState:
    """Without the claims of attempts that have ended, and of nodes that are not about to run any more."""
    kept = {node: claim for node, claim in after.claims.items() if _lasts(node, claim, before, after)}
    if len(kept) == len(after.claims):
        return after
    back = [node for node in after.claims if node not in kept and _may_claim_again(node, after)]
    return queued(after._replace(claims=FrozenDict(kept)), back)


def _lasts(node: str, claim: Claim, before: RunState, after: RunState) -> bool:
    rec, was = after.nodes.get(node), before.nodes.get(node)
    if rec is None or rec.state in SETTLED or after.over:
        return False
    if rec.submitted:
        return True
    if (was is not None and was.submitted) or after.dag.entries[node].spec.exclusive != claim.name:
        return False
    return rec.state is NodeState.READY and after.status is RunStatus.RUNNING


def _may_claim_again(node: str, state: RunState) -> bool:
    rec = state.nodes.get(node)
    return rec is not None and rec.state is NodeState.READY and not rec.submitted and rec.due is None
