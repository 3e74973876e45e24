"""What a change of the graph means for work in progress: keep, start, restart, cancel, re-run, or refuse.

`plan` looks at each node and edge that a changeset touches and at the state of the node in the run. The default is to
refuse whatever would throw work away or rewrite the past; a change must say that it means it (`running=`, `finished=`).
Each refusal names node, rule and fix.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ..dag.changeset import Changeset, Handling
from ..dag.dag import Dag
from .run import PASSED, SETTLED, NodeRecord, NodeState

Look = Callable[[str], NodeRecord | None]


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a change may not be made: which node, which rule, and what to do."""

    node: str
    rule: str
    message: str
    fix: str


@dataclass(frozen=True, slots=True)
class Plan:
    """Names of nodes, sorted. `losses` are the attempts (node, fence) that are thrown away."""

    start: tuple[str, ...] = ()
    restart: tuple[str, ...] = ()
    cancel: tuple[str, ...] = ()
    rerun: tuple[str, ...] = ()
    losses: tuple[tuple[str, int], ...] = ()
    refusals: tuple[Refusal, ...] = ()


def plan(old: Dag, new: Dag, changeset: Changeset, look: Look) -> Plan:
    """What applying `changeset` (old -> new) does to the work; `look(name)` gives a node's record."""
    start, restart, cancel, rerun = set(changeset.added), set[str](), set[str](), set[str]()
    refusals: list[Refusal] = []
    reopened: set[str] = set()
    for name in (*changeset.changed, *changeset.removed):
        rec, removed = look(name), name in changeset.removed
        handling = changeset.handling.get(name, Handling())
        if rec is None or rec.state in (NodeState.WAITING, NodeState.READY, NodeState.BLOCKED, NodeState.CANCELLED):
            (cancel if removed else start).add(name)
        elif rec.state in (NodeState.RUNNING, NodeState.SUSPENDED):
            if handling.running == "refuse":
                refusals.append(_running(name, removed))
            elif handling.running == "restart":
                (cancel if removed else restart).add(name)
                reopened.add(name)
        elif handling.finished == "refuse":
            refusals.append(_finished(name, removed))
        elif handling.finished == "rerun" and not removed:
            rerun.add(name)
            reopened.add(name)
    for name in _stale(new, reopened, look):
        (rerun if _finished_state(look(name)) else restart).add(name)
        reopened.add(name)
    refusals += _edge_refusals(changeset, new, look, reopened | start)
    losses = tuple(sorted((n, rec.fence) for n in restart | cancel | rerun if (rec := look(n)) and _lost(rec)))
    return Plan(
        tuple(sorted(start)),
        tuple(sorted(restart)),
        tuple(sorted(cancel)),
        tuple(sorted(rerun)),
        losses,
        tuple(refusals),
    )


def _lost(rec: NodeRecord) -> bool:
    return rec.state in (NodeState.RUNNING, NodeState.SUSPENDED, *PASSED, NodeState.FAILED)


def _finished_state(rec: NodeRecord | None) -> bool:
    return rec is not None and rec.state in SETTLED


def _stale(new: Dag, reopened: set[str], look: Look) -> set[str]:
    """Started nodes downstream of re-opened ones: what they made, or make, rests on a result that is withdrawn."""
    below = new.below(*(name for name in reopened if name in new))
    return {n for n in below if n not in reopened and (rec := look(n)) is not None and _lost(rec)}


def _edge_refusals(changeset: Changeset, new: Dag, look: Look, free: set[str]) -> list[Refusal]:
    found = []
    for (up, down), change in changeset.edges.items():
        rec = look(down)
        if down not in new or down in free or rec is None or not _lost(rec):
            continue
        if change.new is None and up not in new:
            continue  # the upstream is removed: its own rule decides
        verb = "runs" if rec.state in (NodeState.RUNNING, NodeState.SUSPENDED) else "has finished"
        found.append(
            Refusal(
                down,
                "frozen-input",
                f"{down} {verb}, so its inputs cannot change (edge {up} -> {down})",
                f'add a new node after {up} instead, or replace {down} with finished="rerun" or running="restart"',
            )
        )
    return found


def _running(name: str, removed: bool) -> Refusal:
    if removed:
        return Refusal(name, "running", f"{name} runs", 'remove_node(…, running="restart") cancels it')
    return Refusal(
        name, "running", f"{name} runs", 'replace_node(…, running="finish_old") lets it end, "restart" starts it again'
    )


def _finished(name: str, removed: bool) -> Refusal:
    fix = 'say finished="keep" to drop it from the graph' if removed else 'say finished="keep" or finished="rerun"'
    return Refusal(name, "finished", f"{name} has finished", fix)
