"""Decisions about leases of critical sections: `@node(exclusive="warehouse")` runs only while it holds that lease.

The runtime takes leases in the store, where every lab of that store takes them, and says what came of it. An answer
counts only for the claim that it is about.
"""

from __future__ import annotations

from ..runs.claim import Claim
from . import events as ev
from . import messages as ms
from .state import RunState
from .step import Step


def to_claim(state: RunState, name: str) -> tuple[bool, str]:
    """Whether a node may be submitted as far as leases go; and the lease that it has to claim first, or ""."""
    lease, claim = state.dag.entries[name].spec.exclusive, state.claims.get(name)
    if lease is None or (claim is not None and claim.held):
        return True, ""
    return False, "" if claim is not None else lease


def taken(step: Step, m: ms.LeaseTaken) -> None:
    claim = _claim(step, m.node, m.claim)
    if claim is not None and not claim.held:
        step.emit(ev.LeaseHeld, node=m.node, version=step.state.version)


def busy(step: Step, m: ms.LeaseBusy) -> None:
    claim = _claim(step, m.node, m.claim)
    if claim is not None and not claim.held and claim.holder != m.holder:
        step.emit(ev.LeaseAwaited, node=m.node, version=step.state.version, holder=m.holder)


def lost(step: Step, m: ms.LeaseLost) -> None:
    """Somebody else may be in the section: what the attempt would give does not count, and it has to run again."""
    claim = _claim(step, m.node, m.claim)
    if claim is None or not claim.held:
        return
    if not step.state.nodes[m.node].submitted:
        step.emit(ev.LeasesClaimed, nodes=((m.node, claim.name),))
        return
    step.take_back_below(m.node, f"upstream {m.node} runs again")
    step.recall([m.node])
    why = f"the lease {claim.name!r} was lost while it ran, so its result does not count"
    step.emit(ev.NodeRetrying, node=m.node, version=step.state.version, why=why)


def _claim(step: Step, node: str, seq: int) -> Claim | None:
    claim = step.state.claims.get(node)
    return None if claim is None or claim.seq != seq else claim
