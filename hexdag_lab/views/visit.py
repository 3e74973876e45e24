"""Who sits at a screen, how that is known, and what she does there: the same for a page and for a notebook's cell."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

from ..core.base.errors import HexdagError
from ..ports import Durability

SOON = 0.5  #: seconds in which a drain that cannot be is refused; a longer one goes on by itself
NOBODY = "Nobody is known here, so this page cannot {}: open the address that `serve` printed, or log in."


class Identity(NamedTuple):
    """Who votes from a session, and how that is known: "token", "login" or "notebook"."""

    agent: str
    via: str


class Lab(Protocol):
    """What the dashboard needs of a lab."""

    @property
    def durability(self) -> Durability: ...
    def runs(self) -> list[Any]: ...
    def attached(self, run_id: str, /) -> Any: ...
    def inbox(self) -> list[Any]: ...
    def drafts(self) -> list[Any]: ...
    def trust(self, agent: str, /) -> Any: ...
    def workers(self) -> list[Any]: ...
    def regions(self) -> list[Any]: ...
    def drain(self, worker: str, timeout: float | None = None, /) -> None: ...
    def vote(self, proposal: str, by: str, choice: Any, reason: str = "", via: str = "", *, seen: str = "") -> None: ...


class Visit:
    """A session at a lab: who it is, and what it does there. Each act answers with what is to be said about it: empty
    if there is nothing to say."""

    def __init__(self, lab: Lab, identity: Identity | None) -> None:
        self.lab, self.identity = lab, identity

    @property
    def viewer(self) -> str:
        """Whose eyes see the pages; empty if nobody's."""
        return self.identity.agent if self.identity is not None else ""

    @property
    def who(self) -> str:
        """Who this is, in words."""
        found = self.identity
        return f"You are {found.agent} ({found.via})" if found else "You are nobody: you can look, not vote"

    def vote(self, proposal: str, choice: str, reason: str, seen: str) -> str:
        """Cast a ballot on what was seen."""
        found = self.identity
        if found is None:
            return NOBODY.format("vote")
        return self._done(lambda: self.lab.vote(proposal, found.agent, choice, reason, found.via, seen=seen))

    def propose(self, run: Any, changeset: Callable[[], Any], reason: str) -> str:
        """Propose a change to a run; `changeset()` makes it, and may raise what is wrong with it."""
        found = self.identity
        if found is None:
            return NOBODY.format("propose")
        return self._done(lambda: run.propose(changeset(), by=found.agent, reason=reason))

    def steer(self, run: Any, verb: str) -> str:
        """Pause, resume or cancel a run."""
        found = self.identity
        if found is None:
            return NOBODY.format(f"{verb} a run")
        return self._done(lambda: getattr(run, verb)(by=found.agent))

    def choose(self, draft: Any, choice: Any) -> str:
        """Settle a conflict of a draft."""
        found = self.identity
        if found is None:
            return NOBODY.format("settle a conflict")
        return self._done(lambda: draft.choose(choice, found.agent))

    def drain(self, worker: str) -> str:
        """Let a worker finish what it runs and leave."""
        if self.identity is None:
            return NOBODY.format("drain a worker")
        try:
            return self._done(lambda: self.lab.drain(worker, SOON))
        except TimeoutError:
            return f"{worker} gets nothing more, and leaves when it has finished what it runs."

    @staticmethod
    def _done(act: Callable[[], Any]) -> str:
        try:
            act()
        except HexdagError as error:
            return str(error)
        return ""
