"""Why a node does not move, in one sentence; None while it does.

The first that holds counts, in this order: it has ended or waits for a decision; the run is paused; a retry has its
time; something upstream, a wave, the workers or a limit keeps it from being submitted.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import islice

from ..dag.node import NodeSpec
from ..runs.region import LABEL, regions_of
from ..runs.run import SETTLED, NodeRecord, NodeState, RunStatus
from ..votes.proposal import MEANING
from .asking import paused
from .attempts import capable, cut_off
from .counting import current_wave
from .lanes import MAIN, at_work, lane_of, limit_of
from .state import RunState

MOST_NAMES = 5  #: that a sentence lists
ENDED = frozenset({NodeState.FAILED, NodeState.BLOCKED, NodeState.CANCELLED, NodeState.SKIPPED})


def why(state: RunState, node: str) -> str | None:
    """Why a node does not move; None while it moves or is done. Of a result that its code has not made in this run:
    where it is from."""
    rec = state.nodes.get(node)
    if rec is None:
        return state.gone[node].why if node in state.gone else f"there is no node {node!r} in v{state.version}"
    if rec.state is NodeState.SUCCEEDED and rec.rescue is not None:
        return f"on_error stands in for its result: {rec.rescue}"
    if rec.state is NodeState.RUNNING and (away := cut_off(state, [LABEL + rec.worker.partition("/")[0]])):
        return f"{away}; what runs there goes on"
    if rec.state in (NodeState.RUNNING, NodeState.SUCCEEDED):
        return rec.reuse.origin or None
    if rec.state in ENDED:
        return rec.why
    if rec.state is NodeState.SUSPENDED:
        return _undecided(state, rec.waits_for)
    if state.status is RunStatus.PAUSED:
        return paused(state)
    if rec.due is not None:
        return f"{rec.why}; next try in {max(0.0, rec.due - state.at):.0f} s"
    return _held_up(state, node, rec)


def _held_up(state: RunState, node: str, rec: NodeRecord) -> str | None:
    spec = state.dag.entries[node].spec
    if said := _in_no_region(state, spec.requires):
        return said
    if not capable(state, spec.requires):
        return _no_worker(state, spec.requires)
    if rec.unmet:
        return _upstream(state, node)
    if rec.submitted:
        return None if state.slots else "there are no workers yet"
    if state.schedule == "waves" and state.dag.level(node) > (wave := current_wave(state)):
        left = (name for name in state.dag.waves[wave] if state.nodes[name].state not in SETTLED)
        return f"waits for wave {wave + 1} to be done: {_names(tuple(islice(left, MOST_NAMES + 1)))}"
    claim = state.claims.get(node)
    if claim is not None and not claim.held:
        return str(claim)
    if not state.slots:
        return "there are no workers yet"
    return _in_its_lane(state, spec) or ("waits for a free worker" if state.outstanding >= state.slots else None)


def _undecided(state: RunState, id_: str) -> str:
    """Of a node that waits for a decision: who has to decide."""
    proposal = state.proposals.get(id_)
    if proposal is None or proposal.electorate is None:
        return f"waits for proposal {id_}"
    tally = proposal.tally(state.policy, state.at)
    unnamed = [name for name in tally.needs if name not in tally.text]  # mostly the text has them
    parts = [tally.text, f"needs {' or '.join(unnamed)}" if unnamed else ""]
    said = ", ".join(part for part in parts if part)
    return f"waits for proposal {id_} ({MEANING[proposal.state]}{': ' if said else ''}{said})"


def _no_worker(state: RunState, requires: Iterable[str]) -> str:
    """Which capability no worker has, or which no worker has together."""
    there = frozenset[str]().union(*(state.capabilities or ()))
    missing = sorted(frozenset(requires) - there)
    if missing:
        return "no worker has " + " or ".join(f'"{name}"' for name in missing)
    return "no worker has all of " + ", ".join(f'"{name}"' for name in sorted(requires))


def _in_no_region(state: RunState, requires: Iterable[str]) -> str | None:
    """Of a node that asks for a region: that there is none of that name, or that it is cut off."""
    wanted = regions_of(requires)
    if not wanted or not state.regions:
        return None
    names = [region.name for region in state.regions]
    if len(wanted) > 1:
        return f"asks for regions {' and '.join(wanted)}, and no worker is in two"
    if wanted[0] not in names:
        return f'there is no region "{wanted[0]}"; the regions are {", ".join(names)}'
    away = cut_off(state, requires)
    return None if away is None else str(away)


def _upstream(state: RunState, node: str) -> str:
    """The upstreams that have not ended, and what keeps the first of those named here that does not move."""
    ups = sorted(up for up in state.dag.dependencies(node) if not state.nodes[up].passed)
    stuck = next(
        (up for up in ups[:MOST_NAMES] if not state.nodes[up].unmet and (why(state, up) or "") not in BUSY), None
    )
    return f"waits for {_names(ups)}" + (f" ({stuck}: {why(state, stuck)})" if stuck is not None else "")


#: of an upstream, nothing that would have to be said
BUSY = ("", "waits for a free worker", "there are no workers yet")


def _in_its_lane(state: RunState, spec: NodeSpec) -> str | None:
    lane = lane_of(spec)
    busy = at_work(state, lane) if lane != MAIN else ()
    if len(busy) < limit_of(spec):
        return None
    most = f"{len(busy)} of at most {limit_of(spec)}"
    return f"waits for its turn: {most} of {spec.code.name.rpartition('.')[2]}() are at work ({_names(busy)})"


def _names(names: Sequence[str]) -> str:
    return ", ".join(names[:MOST_NAMES]) + (", …" if len(names) > MOST_NAMES else "")
