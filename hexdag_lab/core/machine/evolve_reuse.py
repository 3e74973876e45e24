"""How the events about results that are used again change the state: a part of `evolve`."""

from __future__ import annotations

from ..dag.keys import reusable
from ..runs.reuse import UNUSED, Reuse
from ..runs.run import NodeState
from . import events as ev
from .counting import recounted
from .lanes import queued
from .recipes import completed, recipe_of
from .state import RunState


def tried(state: RunState, name: str) -> Reuse:
    """A node is submitted: what goes into the attempt, if its result may be used again."""
    known, wanted = state.nodes[name].reuse, reusable(state.dag.entries[name].spec)
    if not wanted and known.recipe is None:
        return known
    return known._replace(recipe=recipe_of(state, name) if wanted else None)


def made(state: RunState, known: Reuse, seq: int) -> Reuse:
    """A node has succeeded: what its result was made from."""
    if known.recipe is None:
        return UNUSED._replace(why=known.why)
    return known._replace(made=completed(state, known.recipe), asked="", absent="", seq=seq)


def node_kept(state: RunState, e: ev.NodeKept) -> RunState:
    """A result has a digest now, which the recipes of those below it may have lacked."""
    rec = state.nodes[e.node]
    reuse = rec.reuse._replace(seq=e.seq) if rec.reuse.made else rec.reuse
    nodes = state.nodes.set(e.node, rec._replace(result=e.result, reuse=reuse))
    state = state._replace(nodes=nodes)
    for down in state.dag.dependents(e.node):
        known = nodes[down].reuse
        if known.made is not None and known.made.unknown:
            nodes = nodes.set(down, nodes[down]._replace(reuse=known._replace(made=completed(state, known.made))))
    return state._replace(nodes=nodes)


def results_sought(state: RunState, e: ev.ResultsSought) -> RunState:
    nodes = state.nodes
    for name, key in e.nodes:
        nodes = nodes.set(name, nodes[name]._replace(reuse=nodes[name].reuse._replace(asked=key)))
    return state._replace(nodes=nodes)


def results_missed(state: RunState, e: ev.ResultsMissed) -> RunState:
    """What was looked up in vain may be submitted; what was not looked up is about to be."""
    nodes, back = state.nodes, []
    for name, why in e.why.items():
        rec, known = nodes[name], nodes[name].reuse
        if why:
            known = known._replace(absent=known.asked, why=why)
        nodes = nodes.set(name, rec._replace(reuse=known._replace(asked="")))
        if known.asked and not rec.submitted and not rec.unsent:
            back.append(name)
    return queued(state._replace(nodes=nodes), back)


def node_reused(state: RunState, e: ev.NodeReused) -> RunState:
    done = state.nodes[e.node]._replace(
        state=NodeState.SUCCEEDED, result=e.made.result, seconds=e.made.seconds, why="", failure=None, saved=None,
        waits_for="", version=e.version, worker="", reuse=Reuse(made=recipe_of(state, e.node), origin=e.why),
    )  # fmt: skip
    state = state._replace(nodes=state.nodes.set(e.node, done), left=state.left - 1)
    return recounted(state, state.dag.dependents(e.node))
