"""What a change does to a run as it is: the work that starts and the work that is lost, and the estimate of both.

At the instant of applying only what an approval is bound to is measured again, against what was held for usual at the
vote: so nothing but new measurements of the very code that starts can move it.
"""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

from ..dag.changeset import Changeset
from ..dag.dag import Dag
from ..dag.node import NodeSpec
from ..runs.estimate import Draws, Pace, Usual, draws_for, load, makespans, spread
from ..runs.plan import Plan
from ..runs.run import NodeRecord, NodeState
from ..votes.proposal import Effect, Estimate
from .state import RunState


def effect_of(state: RunState, rebased: Changeset, made: Plan, seed: str, at: float, voted: Effect | None) -> Effect:
    """The effect of a change, with `voted`: as it is bound by a vote on an earlier one. `seed`: of the estimate."""
    assert rebased.target is not None
    target = rebased.target
    gained, spared = gains(state, rebased, made)
    before = voted.estimate if voted is not None else None
    held = Usual(*before.usual) if before is not None and before.usual is not None else None
    pace = Pace(state.dag, state.nodes.items(), held)
    draws = Draws(pace, seed, draws_for(len(target)))
    seconds, spend = load(gained, draws)
    estimate = replace(
        before or _difference(state, rebased, made, draws, at, spend, spared),
        work=spread(seconds), spend=spread(spend), usual=pace.usual,
        known=before.known if before is not None else all(pace.known(spec) for spec in gained),
    )  # fmt: skip
    kept = sum(rec.state in (NodeState.SUCCEEDED, NodeState.RUNNING) for rec in state.nodes.values())
    kept -= len([n for n in (*made.rerun, *made.restart, *made.cancel) if busy(state, n)])
    waves = voted.waves if voted is not None else (len(state.dag.waves), len(target.waves))
    return Effect(
        kept, made.start, made.restart, made.cancel, made.rerun, made.losses, _cost(rebased, made), estimate.work[0],
        sum(_spent(state.nodes[name], at) for name, _ in made.losses), waves, estimate,
    )  # fmt: skip


def busy(state: RunState, name: str) -> bool:
    """Whether a node runs or has its result."""
    return state.nodes[name].state in (NodeState.SUCCEEDED, NodeState.RUNNING)


def _cost(rebased: Changeset, made: Plan) -> Fraction:
    """Of one attempt of each node that runs more often than it would have."""
    assert rebased.target is not None
    more = {*made.rerun, *made.restart, *rebased.added}.intersection(rebased.target)
    return sum((rebased.target.entries[name].spec.cost for name in more), Fraction(0))


def _spent(rec: NodeRecord, at: float) -> float:
    """Seconds of work that are lost with an attempt."""
    return max(0.0, at - rec.began) if rec.state is NodeState.RUNNING else rec.seconds


def _difference(
    state: RunState, rebased: Changeset, made: Plan, draws: Draws, at: float, more: list[float], spared: list[NodeSpec]
) -> Estimate:
    """How much later the run ends and how much more it costs, on equal luck with and without the change."""
    assert rebased.target is not None
    look, slots = state.nodes.get, max(1, state.slots)
    again = reopened(state, rebased.target, made)
    without = makespans(state.dag, look, (), slots, at, draws)
    then = makespans(rebased.target, look, again, slots, at, draws)
    _, less = load(spared, draws)
    return Estimate(
        spread(b - a for a, b in zip(without, then, strict=True)),
        spread(b - a for a, b in zip(less, more, strict=True)),
        ends=spread(then),
    )


def reopened(state: RunState, target: Dag, made: Plan) -> set[str]:
    """Nodes of a run that will run in the next version, though they were settled, or from their beginning."""
    again = {name for name in (*made.start, *made.restart, *made.rerun) if name in target}
    freed = [name for name in target.below(*again) if _blocked(state.nodes.get(name))]
    return again.union(freed)


def _blocked(rec: NodeRecord | None) -> bool:
    return rec is not None and rec.state is NodeState.BLOCKED


def gains(state: RunState, rebased: Changeset, made: Plan) -> tuple[list[NodeSpec], list[NodeSpec]]:
    """What will run because of a change, and what would have run without it."""
    assert rebased.target is not None
    new, old = rebased.target.entries, state.dag.entries
    starts = sorted({*made.start, *made.restart, *made.rerun}.intersection(rebased.target))
    idle = (NodeState.WAITING, NodeState.READY)
    spared = [name for name in sorted({*made.start, *made.cancel}) if name in old and state.nodes[name].state in idle]
    return [new[name].spec for name in starts], [old[name].spec for name in spared]
