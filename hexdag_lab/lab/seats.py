"""The seats of a lab's agents: what a run has to know of them, their shipped functions and public keys with it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..agents import Agent, HumanAgent
from ..core.base.errors import SchemaError
from ..core.votes.agent import Role, Seat, weight_of
from ..core.votes.ballot import Choice
from ..runtime.keys import Keys
from ..runtime.shipping import Shipping

EXECUTOR = "executor"  #: the lab's own agent, who proposes for nodes that name nobody


def seats_of(
    owner: Agent, agents: Mapping[str, Agent], shipping: Shipping, keys: Keys, desk: str = ""
) -> tuple[Seat, ...]:
    """All seats by name: the owner's, though nobody has added her, the executor's, and those of the agents.

    `desk`: where the agents' functions are called, see `Seat`."""
    seats = {
        owner.id: Seat(owner.id, human=True, implicit=True, key=keys.public(owner.id)),
        EXECUTOR: Seat(EXECUTOR, Role.EXECUTOR, key=keys.public(EXECUTOR)),
    }
    seats |= {name: seat_of(agent, shipping, keys, desk) for name, agent in agents.items()}
    return tuple(seats[name] for name in sorted(seats))


def seat_of(agent: Agent, shipping: Shipping, keys: Keys, desk: str = "") -> Seat:
    """The seat of an agent that somebody has added."""
    return Seat(
        agent.id, Role(agent.role), weight_of(agent.trust), agent.family, frozenset(agent.capabilities), agent.human,
        votes=_reference(agent.vote, agent.id, shipping), hooks=_reference(agent.on_event, agent.id, shipping),
        key=agent.public_key or keys.public(agent.id), caps=agent.caps, runs=_shipped(agent.run, agent.id, shipping),
        seconds=agent.seconds, catalogued=agent.catalogued,
        desk=desk if agent.vote or agent.on_event else "", **_silence(agent),
    )  # fmt: skip


def _silence(agent: Agent) -> dict[str, Any]:
    """What a person has said of the time in which she does not answer."""
    if not isinstance(agent, HumanAgent):
        return {}
    return {"remind": float(agent.remind), "otherwise": agent.otherwise and Choice(agent.otherwise)}


def _shipped(run: Any, agent: str, shipping: Shipping) -> str | None:
    """A function for workers, which cannot stay here. Raises `SchemaError` if it cannot be shipped."""
    return None if run is None else shipping.function(run, f"the run function of agent {agent}")


def _reference(function: Any, agent: str, shipping: Shipping) -> str | None:
    if function is None:
        return None
    try:
        return shipping.function(function, f"a function of agent {agent}")
    except SchemaError:
        return "here"  # it closes over something that lives here only: it answers while this process does
