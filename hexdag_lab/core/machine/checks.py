"""Facts about a change of a running graph: what it does to the work, and the checks that no vote can overrule.

Each check that fails names the node, the rule and what to do. Nothing is decided here.
"""

from __future__ import annotations

from dataclasses import fields
from fractions import Fraction

from ..dag.catalog import operation_of
from ..dag.changeset import Changeset
from ..dag.dag import unbound_params
from ..runs.plan import Plan, plan
from ..runs.run import SETTLED
from ..votes.agent import Seat
from ..votes.budget import Budget
from ..votes.proposal import Check, Effect, Proposal, ProposalState
from .attempts import EXECUTOR, capable, cut_off
from .effect import effect_of, gains
from .limits import changed, wanted
from .state import RunState

CHECKS = "checks"  #: who decided, where a check did


def examine(
    state: RunState, rebased: Changeset, seed: str, at: float, voted: Effect | None = None
) -> tuple[Effect, tuple[Check, ...]]:
    """What a change does to the run as it is, and the facts that speak for or against it.

    `seed` is that of the estimate; `voted`: the effect that has been voted on, if it is looked at again."""
    assert rebased.target is not None
    made = plan(state.dag, rebased.target, rebased, state.nodes.get)
    checks = [Check("acyclic", True, "no cycle")]
    checks += [Check(r.rule, False, r.message, r.node, r.fix) for r in made.refusals]
    if not made.refusals:
        checks.append(Check("frozen", True, "touches nothing that runs or has finished, or says so"))
    checks += _unbound(state, rebased)
    checks += _capabilities(state, rebased)
    checks += _agents(state, rebased)
    effect = effect_of(state, rebased, made, seed, at, voted)
    return effect, (*checks, *_budget(state, rebased, made, effect, at, voted is None))


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
        if not capable(state, change.new.requires) and cut_off(state, change.new.requires) is None:
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


def cap_checks(state: RunState, seat: Seat, proposal: Proposal) -> list[Check]:
    """What an agent may propose at all, looked at once, when it proposes."""
    caps, found = seat.limits, []
    made = sum(p.by == seat.id for p in state.proposals.values())
    size = len(proposal.changeset.added) + len(proposal.changeset.changed)
    for name, what, count in (
        ("proposals", "proposals in a run", made + 1),
        ("nodes", "nodes in a proposal", size),
        ("depth", "proposals that cause one another", proposal.depth),
    ):
        most = getattr(caps, name)
        if most is not None and count > most:
            text = f"{seat.id} is capped at {most} {what}, and this would be {count}"
            found.append(Check("caps", False, text, "", f"hx.Agent({seat.id!r}, …, caps=hx.Caps({name}={count}))"))
    found += _listed(state, seat, proposal)
    if not seat.human and (twin := _same_plan(state, proposal)) is not None:
        text = f"{seat.id} has proposed the same before: {twin.id} is {twin.state}"
        found.append(Check("same-plan", False, text, "", "propose something else, or let a person propose it"))
    return found


def _listed(state: RunState, seat: Seat, proposal: Proposal) -> list[Check]:
    """Whether an agent that builds from the catalogue only has done so."""
    if not seat.catalogued:
        return []
    new = {name: change.new for name, change in proposal.changeset.nodes.items() if change.new is not None}
    found = []
    for name, spec in sorted(new.items()):
        if operation_of(state.operations, spec) is None:
            there = ", ".join(sorted(state.operations)[:8]) or "nothing"
            text = f"{name} is no operation of the catalogue, and {seat.id} may add nothing else; it has {there}"
            found.append(Check("operation", False, text, name, "hx.Lab(catalog=hx.Catalog(…)) before the run starts"))
    return found or [Check("operation", True, "built from the catalogue")]


def _same_plan(state: RunState, proposal: Proposal) -> Proposal | None:
    """An earlier proposal of the same change by the same agent that is open, was applied, or was voted down."""
    nodes, edges = set(proposal.changeset.nodes), set(proposal.changeset.edges)
    for old in state.proposals.values():
        if old.by != proposal.by or not (old.changes_graph and proposal.changes_graph):
            continue
        voted_down = old.state is ProposalState.REJECTED and old.decided_by != CHECKS
        undecided = not old.terminal and old.by != EXECUTOR  # it speaks for many nodes, which may think alike
        if not (voted_down or undecided or old.state is ProposalState.APPLIED):
            continue
        same = set(old.changeset.nodes) == nodes and set(old.changeset.edges) == edges
        if same and old.changeset.digest == proposal.changeset.digest:
            return old
    return None


def _budget(state: RunState, rebased: Changeset, made: Plan, effect: Effect, at: float, new: bool) -> list[Check]:
    """Whether what a change adds to the run is within what is left of its budget. One that adds nothing always is.

    `new`: it has not been voted on; afterwards the estimate of time is not made again."""
    limits = state.budget
    if limits is None:
        return []
    gained, spared = gains(state, rebased, made)
    more = sum((s.cost for s in gained), Fraction(0)) - sum((s.cost for s in spared), Fraction(0))
    nodes = len(rebased.added) - sum(_unbegun(state, name) for name in rebased.removed)
    lacks = changed(wanted(state), more, nodes).beyond(limits)
    late = _too_late(state, limits, effect, at) if new else None
    lacks = Budget(late, lacks.cost if more > 0 else None, lacks.nodes if nodes > 0 else None)
    if lacks.empty:
        return [Check("budget", True, f"within the budget of {limits}")]
    node = max(gained, key=lambda spec: (spec.cost, spec.name)).name if gained else ""
    asked = ", ".join(f"{f.name}={float(n):g}" for f in fields(lacks) if (n := getattr(lacks, f.name)) is not None)
    text = f"it needs {lacks} more than the budget of {limits}"
    return [Check("budget", False, text, node, f"run.raise_budget({asked}) first")]


def _too_late(state: RunState, limits: Budget, effect: Effect, at: float) -> float | None:
    """By how many seconds a change is likely (P50) to make the run exceed its time; None if it is not."""
    found = effect.estimate
    if limits.seconds is None or found is None or not found.known or found.later[0] <= 0:
        return None
    ends = (state.used(at).seconds or 0.0) + found.ends[0]
    return ends - limits.seconds if ends > limits.seconds else None


def _unbegun(state: RunState, name: str) -> bool:
    rec = state.nodes[name]
    return not rec.started and rec.state not in SETTLED


def landing_check(state: RunState, apply_from: str) -> Check | None:
    """Whether a change may be applied from there on; None if it may."""
    kind, _, node = apply_from.partition(":")
    if apply_from in ("now", "wave") or (kind == "after" and (node in state.nodes or node in state.gone)):
        return None
    known = ", ".join(sorted(state.nodes)[:5])
    text = f"there is no node {node!r} to wait for" if kind == "after" else f"{apply_from!r} is no moment to apply from"
    return Check("apply-from", False, text, node, f'say "now", "wave", or "after:NODE" with one of {known}, …')
