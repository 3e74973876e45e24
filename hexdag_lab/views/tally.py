"""Where a vote stands as a picture has it: shares of the weight, where the threshold is, who is still needed; and what
a proposal risks, in one word with its reason.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from ..core.machine.state import RunState
from ..core.votes.policy import Policy
from ..core.votes.proposal import Proposal
from ..core.votes.weighing import Supermajority, count

LOW, MIDDLE, HIGH = "low", "middle", "high"


class Share(NamedTuple):
    """Shares of the weight that counts, 0 to 1: for, against, and how much is needed."""

    yes: float
    no: float
    needed: float


def share(state: RunState, proposal: Proposal, viewer: str = "") -> Share | None:
    """The shares of a vote by weight; None where the policy weighs nothing, or it is sealed to the viewer."""
    electorate = proposal.electorate
    if electorate is None or proposal.sealed_to(viewer, state.policy):
        return None
    for leaf in leaves(state.policy):
        if isinstance(leaf, Supermajority):
            c = count(proposal.cast(), electorate, leaf.voters)
            whole = c.all if leaf.base == "all" else c.yes + c.no + c.out_weight
            if whole:
                return Share(float(c.yes / whole), float(c.no / whole), float(leaf.q))
    return None


def leaves(policy: Policy) -> Iterator[Policy]:
    """The policies that a policy is made of."""
    parts = getattr(policy, "parts", None)
    if parts is None:
        yield policy
    for part in parts or ():
        yield from leaves(part)


def needed(state: RunState, proposal: Proposal, viewer: str = "") -> tuple[str, ...]:
    """Whose ballots could still decide, the viewer first, as "you"."""
    if proposal.terminal:
        return ()
    names = proposal.tally(state.policy, state.at, viewer).needs
    return tuple(["you"] * (viewer in names) + [name for name in names if name != viewer])


class Risk(NamedTuple):
    """How carefully a proposal is to be looked at, and why."""

    tier: str
    why: str


def risk(proposal: Proposal) -> Risk:
    """high: work is thrown away, or limits are lifted; middle: what is there changes; low: it only adds."""
    effect, change = proposal.effect, proposal.changeset
    if proposal.raises is not None:
        return Risk(HIGH, "lifts a limit")
    if effect is not None and effect.losses:
        return Risk(HIGH, "throws work away")
    if change.removed:
        return Risk(MIDDLE, "removes what is there")
    if change.changed or any(down not in change.added for _, down in change.edges):
        return Risk(MIDDLE, "changes what is there")
    if effect is not None and effect.cost:
        return Risk(MIDDLE, "costs money")
    return Risk(LOW, "only adds nodes")
