"""Facts about a change of a running graph: what it does to the work, and the checks that no vote can overrule.

Each check that fails names the node, the rule and what to do. Nothing is decided here.
"""

from __future__ import annotations

from ..dag.changeset import Changeset
from ..dag.dag import unbound_params
from ..runs.estimate import mean_seconds, work
from ..runs.plan import Plan, plan
from ..runs.run import NodeState
from ..votes.proposal import Check, Effect
from .attempts import capable
from .state import RunState


def examine(state: RunState, rebased: Changeset) -> tuple[Effect, tuple[Check, ...]]:
    """What a change does to the run as it is, and the facts that speak for or against it."""
    assert rebased.target is not None
    made = plan(state.dag, rebased.target, rebased, state.nodes.get)
    checks = [Check("acyclic", True, "no cycle")]
    checks += [Check(r.rule, False, r.message, r.node, r.fix) for r in made.refusals]
    if not made.refusals:
        checks.append(Check("frozen", True, "touches nothing that runs or has finished, or says so"))
    checks += _unbound(state, rebased)
    checks += _capabilities(state, rebased)
    checks += _agents(state, rebased)
    return _effect(state, rebased, made), tuple(checks)


def _unbound(state: RunState, rebased: Changeset) -> list[Check]:
    assert rebased.target is not None
    touched = {*rebased.added, *rebased.changed, *(down for _, down in rebased.edges)}
    found = []
    for name in sorted(touched):
        entry = rebased.target.entries.get(name)
        for param in unbound_params(entry) if entry else ():
            if param not in state.inputs and f"{name}.{param}" not in state.inputs:
                fix = f"add an edge that fills it, or params={{{param!r}: …}}"
                found.append(Check("inputs", False, f"{name}: nothing fills its parameter {param!r}", name, fix))
    return found or [Check("inputs", True, "every required parameter is filled")]


def _capabilities(state: RunState, rebased: Changeset) -> list[Check]:
    found = []
    for name in (*rebased.added, *rebased.changed):
        change = rebased.nodes[name]
        assert change.new is not None
        if not capable(state, change.new.requires):
            needs = ", ".join(sorted(change.new.requires))
            found.append(Check("capability", False, f"{name} needs {needs}, and no worker has it", name, "start one"))
    return found or [Check("capability", True, "workers can run it")]


def _agents(state: RunState, rebased: Changeset) -> list[Check]:
    found = []
    for name in (*rebased.added, *rebased.changed):
        change = rebased.nodes[name]
        agent = change.new.agent if change.new is not None else None
        if agent is not None and agent not in state.seats:
            found.append(
                Check("agent", False, f"{name} is given to {agent!r}, who takes no part", name, "add the agent")
            )
    return found


def _effect(state: RunState, rebased: Changeset, made: Plan) -> Effect:
    assert rebased.target is not None
    target = rebased.target
    means = mean_seconds(state.dag, state.nodes.items())
    again = {*made.rerun, *made.restart}
    names = sorted(again.union(rebased.added).intersection(target))  # sorted: sums of floats depend on the order
    seconds, cost = work([target.entries[n].spec for n in names], means)
    kept = sum(rec.state in (NodeState.SUCCEEDED, NodeState.RUNNING) for rec in state.nodes.values())
    kept -= len([n for n in (*made.rerun, *made.restart, *made.cancel) if busy(state, n)])
    return Effect(kept, made.start, made.restart, made.cancel, made.rerun, made.losses, cost, seconds)


def busy(state: RunState, name: str) -> bool:
    """Whether a node runs or has its result."""
    return state.nodes[name].state in (NodeState.SUCCEEDED, NodeState.RUNNING)
