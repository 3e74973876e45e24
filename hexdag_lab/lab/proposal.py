"""`ProposalHandle`: a proposal as its proposer and its voters hold it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Generator
from typing import Any

from ..core.machine import messages as ms
from ..core.machine.state import RunState
from ..core.votes.ballot import choice_of
from ..core.votes.proposal import ProposalState
from ..runtime.view import ProposalView
from .waiting import answer, needed, wait


class ProposalHandle:
    """A proposal of a run: look at it, vote on it, wait for it (`p.wait()`, or `await p`)."""

    def __init__(self, doors: Any, run: str, id_: str, owner: str) -> None:
        self._doors, self._run, self.id, self._owner = doors, run, id_, owner

    @property
    def view(self) -> ProposalView:
        """The proposal at this moment."""
        state = self._doors.feed(self._run).state
        return ProposalView(state.proposals[self.id], state)

    @property
    def state(self) -> ProposalState:
        return self.view.state

    def __getattr__(self, name: str) -> Any:
        # by, reason, why, tally, effect, checks, changeset, version, deadline, feedback: as the view has them
        if name.startswith("_"):
            raise AttributeError(name)
        return getattr(self.view, name)

    def vote(self, by: str, choice: Any, reason: str = "", via: str = "notebook") -> None:
        """Cast a ballot: "approve", "reject", "abstain" or "request_changes". Raises `NotAllowed`, `AlreadyDecided`."""
        message = ms.CastBallot(time.time(), self.id, by, choice_of(choice), reason, via)
        answer(self._doors.command(self._run, message))

    def withdraw(self, by: str | None = None) -> None:
        """Take the proposal back."""
        answer(self._doors.command(self._run, ms.Withdraw(time.time(), self.id, by or self.by)))

    def wait(self, timeout: float | None = None) -> ProposalState:
        """The final state. Raises TimeoutError, and `WouldBlock` in a cell when only a click could end it."""

        def stuck(state: RunState) -> str:
            return needed(state, state.proposals[self.id])

        wait(self._doors.feed(self._run), self._decided, timeout, stuck)
        return self.state

    def _decided(self, state: RunState) -> bool:
        proposal = state.proposals.get(self.id)
        return proposal is not None and proposal.terminal

    def __await__(self) -> Generator[Any, None, ProposalState]:
        return self._awaited().__await__()

    async def _awaited(self) -> ProposalState:
        await asyncio.wrap_future(self._doors.feed(self._run).until(self._decided))
        return self.state

    def __repr__(self) -> str:
        return repr(self.view)
