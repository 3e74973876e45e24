"""Who may vote on a proposal, and the facts that policies look at: frozen when voting opens."""

from __future__ import annotations

from fractions import Fraction

from ..dag.catalog import HIGH, operation_of
from ..votes.agent import Role
from ..votes.policy import Electorate
from ..votes.proposal import Proposal
from ..votes.steer import Move
from ..votes.trust import Earned
from .lessons import trust_now
from .state import RunState


def electorate_of(state: RunState, proposal: Proposal) -> Electorate:
    """All seats but observers and the proposer, with what they have earned where the policy weighs that."""
    seats = tuple(
        seat for name, seat in sorted(state.seats.items()) if seat.role is not Role.OBSERVER and name != proposal.by
    )
    earned = trust_now(state).earned(seats) if state.policy.learns() else Earned()
    changeset, effect, raises = proposal.changeset, proposal.effect, proposal.raises
    if not proposal.changes_graph:
        cost = raises.cost or Fraction(0) if raises is not None else Fraction(0)
        touches = (proposal.steers.node,) if isinstance(proposal.steers, Move) else ()
        return Electorate(seats, proposal.by, state.owner, proposal.at, cost, False, touches, earned)
    new = set(changeset.added)
    additive = new.issuperset(changeset.nodes) and all(down in new for _, down in changeset.edges)
    cost = effect.cost if effect is not None else Fraction(0)
    return Electorate(
        seats, proposal.by, state.owner, proposal.at, cost, additive, changeset.touches, earned,
        _risky(state, proposal),
    )  # fmt: skip


def _risky(state: RunState, proposal: Proposal) -> tuple[str, ...]:
    """The nodes for which a person has to vote: what a person proposes has her word already."""
    proposer = state.seats.get(proposal.by)
    if proposer is not None and proposer.human:
        return ()
    risky = {name: listed for name, listed in state.operations.items() if listed.risk == HIGH}
    new = {name: change.new for name, change in proposal.changeset.nodes.items() if change.new is not None}
    return tuple(sorted(name for name, spec in new.items() if operation_of(risky, spec) is not None))
