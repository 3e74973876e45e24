"""Decisions about results that exist already: what to look up, what to use again, and what others may find.

A node that wants it (`cache=True`) is looked up by its action key when its upstreams have finished, and before it is
submitted. It is found in the store, whichever run and version made it. The answer counts only if the node would still
be made of the same.
"""

from __future__ import annotations

from collections.abc import Iterable

from ..base.frozen import FrozenDict
from ..dag.keys import never_reused, reusable
from ..runs import reuse
from ..runs.run import NodeRecord, NodeState
from . import effects as ef
from . import events as ev
from . import messages as ms
from .recipes import recipe_of
from .state import RunState
from .step import Step


def to_look_up(state: RunState, name: str) -> tuple[str, str]:
    """The key by which a node's result is looked up before it is submitted; or "", and why there is none."""
    spec, known = state.dag.entries[name].spec, state.nodes[name].reuse
    if not spec.cache:
        return "", ""
    if never := never_reused(spec):
        return "", f"never reused: {never}"
    recipe = recipe_of(state, name)
    if not (key := recipe.key):
        return "", reuse.unknown(recipe)
    return ("", known.why) if key == known.absent else (key, "")


def looked_up(step: Step, m: ms.LookedUp) -> None:
    """Use what was found; what was not found has to run."""
    missed = {}
    for name, key, made, before, run in m.found:
        rec = step.record(name)
        if rec is None or rec.reuse.asked != key or step.state.over:
            continue
        if not _still(step.state, name, rec, key):
            missed[name] = ""
        elif made is None:
            last, where = (rec.reuse.made, "") if rec.reuse.made else (before, run)
            missed[name] = reuse.why_run(last, recipe_of(step.state, name), where)
        else:
            why = reuse.origin(made, step.state.run, name)
            step.emit(ev.NodeReused, node=name, version=step.state.version, made=made, why=why)
    if missed:
        step.emit(ev.ResultsMissed, why=FrozenDict(missed))


def _still(state: RunState, name: str, rec: NodeRecord, key: str) -> bool:
    """Whether a node waits for nothing but the answer, and would still be made of the same."""
    if rec.state is not NodeState.READY or rec.submitted or rec.unmet or not reusable(state.dag.entries[name].spec):
        return False
    return recipe_of(state, name).key == key


def index(step: Step, names: Iterable[str]) -> None:
    """Let the results of some nodes be found: those that are kept, and whose recipes are complete."""
    for name in names:
        rec = step.state.nodes[name]
        made, result = rec.reuse.made, rec.result
        if rec.state is not NodeState.SUCCEEDED or made is None or result is None or result.where == "pool":
            continue
        if rec.decisions or rec.reuse.origin or rec.rescue:  # it is not of code and inputs alone; or is found already
            continue
        if key := made.key:
            step.act(ef.Index(key, name, rec.version, rec.seconds, rec.reuse.seq, made))
