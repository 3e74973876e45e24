"""A run's budget: what it has used, what is spoken for, and whether more fits in.

Whether something fits is asked before it is submitted, so a run stops short of its limit and never beyond it; that it
then pauses and asks is in `asking`.
"""

from __future__ import annotations

from fractions import Fraction

from ..dag.node import NodeSpec
from ..runs.run import SETTLED, NodeRecord, NodeState
from ..votes.budget import Budget
from .state import RunState


def clocked(state: RunState, stopped: float, since: float | None) -> RunState:
    """With the time that the run has been running until `stopped` written down, and running on since `since`."""
    ran = state.ran if state.since is None else state.ran + max(0.0, stopped - state.since)
    return state._replace(ran=ran, since=since)


def charged(state: RunState, name: str, rec: NodeRecord) -> RunState:
    """With one more attempt of a node paid for."""
    cost = state.dag.entries[name].spec.cost
    paid = state.paid + cost if cost else state.paid
    return state._replace(paid=paid, begun=state.begun + (not rec.started))


class Purse:
    """What a run has left of money and nodes, while attempts are being chosen."""

    def __init__(self, state: RunState, limits: Budget) -> None:
        self._limits = limits
        self._cost, self._nodes = state.paid, state.begun
        for name, rec in state.nodes.items():
            if rec.submitted and rec.state is not NodeState.RUNNING:
                self._cost += state.dag.entries[name].spec.cost
                self._nodes += not rec.started

    def takes(self, spec: NodeSpec, rec: NodeRecord) -> bool:
        """Whether another attempt fits in; if so, it is spoken for."""
        cost, nodes = self._cost + spec.cost, self._nodes + (not rec.started)
        if not Budget(None, cost, nodes).beyond(self._limits).empty:
            return False
        self._cost, self._nodes = cost, nodes
        return True


def purse(state: RunState) -> Purse | None:
    """The purse of a run; None if nothing limits what it submits."""
    limits = state.budget
    return None if limits is None or (limits.cost is None and limits.nodes is None) else Purse(state, limits)


def wanted(state: RunState) -> Budget:
    """What the run will have used of money and nodes when all that is left has run once."""
    cost, nodes = state.paid, state.begun
    for name, rec in state.nodes.items():
        if rec.state not in SETTLED and rec.state is not NodeState.RUNNING:
            cost += state.dag.entries[name].spec.cost
            nodes += not rec.started
    return Budget(None, cost, nodes)


def changed(used: Budget, more: Fraction, nodes: int) -> Budget:
    """These amounts, with what a change adds to them or takes away."""
    return Budget(used.seconds, max(Fraction(0), (used.cost or 0) + more), max(0, (used.nodes or 0) + nodes))
