"""Notices: which people a run needs now, and what they are told. Pure: from a run's state and the time."""

from __future__ import annotations

from collections.abc import Iterator
from enum import StrEnum
from typing import Any, NamedTuple

from ..core.machine.state import RunState
from ..core.votes.agent import Seat
from ..core.votes.policy import Electorate
from ..core.votes.proposal import Proposal, ProposalState

WORDS = 500  #: characters of the proposer's reason that go along


class Told(StrEnum):
    """Which notice it is: the first, or the one before the deadline."""

    NEEDED = "needed"
    REMINDER = "reminder"


class Notice(NamedTuple):
    """One thing to tell one person. `id` stays the same however often it is sent."""

    id: str
    body: dict[str, Any]


def notices(state: RunState, now: float) -> Iterator[Notice]:
    """All that people of a run are to be told at a time, in unix seconds; what they were told before is among it."""
    for proposal in state.open_proposals():
        electorate = proposal.electorate
        if proposal.state is not ProposalState.OPEN or electorate is None or state.over:
            continue
        due = state.policy.deadline(electorate, now)
        for seat in needed(state, proposal, electorate, now):
            yield _notice(Told.NEEDED, state, proposal, seat, now, due)
            if due is not None and now >= remind_at(seat, electorate.opened_at, due):
                yield _notice(Told.REMINDER, state, proposal, seat, now, due)


def needed(state: RunState, proposal: Proposal, electorate: Electorate, now: float) -> list[Seat]:
    """The people whose ballots could still decide; none while a function is asked that could decide as well."""
    wanted = set(proposal.tally(state.policy, now).needs)
    seats = [seat for seat in electorate.seats if seat.id in wanted]
    return [seat for seat in seats if seat.human] if all(seat.votes is None for seat in seats) else []


def remind_at(seat: Seat, opened: float, due: float) -> float:
    """When a person is told again: so long before the deadline as she wants, not before the middle of her time."""
    return due - min(seat.remind, (due - opened) / 2)


def _notice(told: Told, state: RunState, proposal: Proposal, seat: Seat, now: float, due: float | None) -> Notice:
    assert proposal.electorate is not None
    opened = proposal.electorate.opened_at
    id_ = f"{proposal.id}/{seat.id}/{told}/{opened:.3f}"  # a revised proposal is opened again, and so told again
    body = {
        "schema": 1,
        "id": id_,
        "type": told.value,
        "person": seat.id,
        "run": state.run,
        "proposal": proposal.id,
        "kind": proposal.kind,
        "summary": proposal.summary,
        "by": proposal.by,
        "reason": proposal.reason[:WORDS],
        "effect": None if proposal.effect is None else str(proposal.effect),
        "tally": proposal.tally(state.policy, now, seat.id).text,
        "opened_at": opened,
        "deadline": due,
        "otherwise": seat.otherwise and seat.otherwise.value,
    }
    return Notice(id_, body)
