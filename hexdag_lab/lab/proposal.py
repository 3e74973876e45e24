"""`ProposalHandle`: a proposal as its proposer and its voters hold it."""

from __future__ import annotations

import time
from collections.abc import Generator, Iterable
from typing import Any

from ..agents import Agent, name_of
from ..core.dag.node import name_of as node_name
from ..core.machine import messages as ms
from ..core.machine.state import RunState
from ..core.votes.ballot import choice_of
from ..core.votes.proposal import ProposalState
from ..runtime.view import ProposalView
from .waiting import awaited, needed, wait


class ProposalHandle:
    """A proposal of a run: look at it, vote on it, wait for it (`p.wait()`, or `await p`).

    It has all that a `ProposalView` has, as it is at this moment:

    state, why, version, decided_by      where it is and why, the version it became, who decided
    by, reason, changeset, base, at      who wants what, why, against which version, since when
    kind, summary, apply_from, waits     what it is; when it is applied, and what it still waits for
    checks, effect                       facts, each with rule, node and fix; what it does to the work
    preview, waves                       what becomes of each node; the waves that would be left
    tally, feedback, deadline            who voted how, what is still needed; asked changes; when it settles by itself
    requests, in_reply_to                changes asked for, with their nodes; the proposal that it takes the place of
    conflict, other                      why it no longer fits; the proposal that was quicker, or takes its place
    judged                               what a person has said of it since
    """

    def __init__(self, lab: Any, run: str, id_: str) -> None:
        self._lab, self._run, self.id = lab, run, id_

    @property
    def view(self) -> ProposalView:
        """The proposal at this moment."""
        state = self.run_state
        return ProposalView(state.proposals[self.id], state, self._lab.owner.id)

    @property
    def run_state(self) -> RunState:
        """The state of its run at this moment."""
        state: RunState = self._lab.feed(self._run).state
        return state

    @property
    def state(self) -> ProposalState:
        """Where it is: OPEN, APPLIED, REJECTED, …"""
        return self.view.state

    @property
    def why(self) -> str:
        """Why it is where it is; while it is open and this region is cut off: that, and since when."""
        view = self.view
        return view.why if view.terminal else self._lab.cut_off or view.why

    @property
    def priority(self) -> int:
        """The order in queue and inbox, higher first."""
        return int(self.run_state.proposals[self.id].priority)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        return getattr(self.view, name)

    def __dir__(self) -> list[str]:
        return sorted({*super().__dir__(), *(name for name in dir(ProposalView) if not name.startswith("_"))})

    def vote(
        self, by: Agent | str, choice: Any, reason: str = "", via: str = "notebook", *, nodes: Iterable[Any] = (),
        seen: str = "",
    ) -> None:  # fmt: skip
        """Cast a ballot: "approve", "reject", "abstain" or "request_changes". Raises `NotAllowed`, `AlreadyDecided`.

        `nodes`: what a request for changes is about; `seen`: the `effect_digest` that was looked at, so that a ballot
        for what the proposal did before it was revised is refused."""
        about = tuple(node_name(node) for node in nodes)
        message = ms.CastBallot(time.time(), self.id, name_of(by), choice_of(choice), reason or "", via, about, seen)
        self._lab.command(self._run, message)

    def judge(self, good: bool, by: Agent | str | None = None, reason: str = "") -> None:
        """Say how it turned out, or would have: `lab.judge`."""
        self._lab.judge(self.id, good, by, reason)

    def withdraw(self, by: Agent | str | None = None) -> None:
        """Take the proposal back."""
        self._lab.command(self._run, ms.Withdraw(time.time(), self.id, name_of(by or self.by)))

    def wait(self, timeout: float | None = None) -> ProposalState:
        """The final state. Raises TimeoutError, and `WouldBlock` in a cell when only a click could end it."""

        wait(self._lab.feed(self._run), self._decided, timeout, self._needed)
        return self.state

    def _needed(self, state: RunState) -> str:
        return needed(state, state.proposals[self.id])

    def _decided(self, state: RunState) -> bool:
        proposal = state.proposals.get(self.id)
        return proposal is not None and proposal.terminal

    def __await__(self) -> Generator[Any, None, ProposalState]:
        return self._awaited().__await__()

    async def _awaited(self) -> ProposalState:
        await awaited(self._lab.feed(self._run), self._decided, self._needed)
        return self.state

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ProposalHandle) and (self._lab, self.id) == (other._lab, other.id)

    def __hash__(self) -> int:
        return hash(self.id)

    def __repr__(self) -> str:
        return repr(self.view)
