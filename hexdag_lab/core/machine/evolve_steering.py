"""How safe points and moves change the state: a part of `evolve`."""

from __future__ import annotations

from ..base.frozen import FrozenDict
from ..runs.run import NodeRecord, NodeState
from . import events as ev
from .counting import recounted, with_downs
from .state import Moving, RunState


def node_checkpointed(state: RunState, e: ev.NodeCheckpointed) -> RunState:
    rec = state.nodes[e.node]
    rec = rec._replace(movable=True, checkpoints=e.number, saved=rec.saved if e.saved is None else e.saved)
    return state._replace(nodes=state.nodes.set(e.node, rec))


def node_moving(state: RunState, e: ev.NodeMoving) -> RunState:
    rec = _sent_away(state.nodes[e.node], e.to)  # also where its attempt ends in another way before that
    moves = FrozenDict({**state.moves, e.node: Moving(e.to, e.due)})
    return state._replace(nodes=state.nodes.set(e.node, rec), moves=moves)


def node_moved(state: RunState, e: ev.NodeMoved) -> RunState:
    old = state.nodes[e.node]
    rec = _sent_away(old, e.to)._replace(submitted=False, saved=None if e.afresh else old.saved)
    if old.submitted:
        rec = rec._replace(state=NodeState.WAITING, why=f"moves to {e.to or 'another worker'}")
    state = state._replace(nodes=state.nodes.set(e.node, rec), outstanding=state.outstanding - old.submitted)
    return recounted(state, with_downs(state.dag, [e.node]))


def _sent_away(rec: NodeRecord, to: str) -> NodeRecord:
    """A node that goes on on a worker, or on any but the one that has it."""
    return rec._replace(place=to, leaves="" if to else rec.worker)


def on_their_way(state: RunState) -> RunState:
    """Without the moves of nodes whose attempt has ended."""
    left = {name: moving for name, moving in state.moves.items() if _runs(state, name)}
    return state if len(left) == len(state.moves) else state._replace(moves=FrozenDict(left))


def _runs(state: RunState, name: str) -> bool:
    return name in state.nodes and state.nodes[name].submitted and state.nodes[name].state is NodeState.RUNNING
