"""Ballots: one agent's answer to one proposal."""

from __future__ import annotations

from enum import StrEnum

from ..base.codec import enum, record
from .signed import Proof


@enum
class Choice(StrEnum):
    """What a ballot says. `request_changes` counts as a no and sends its reason back to the proposer."""

    APPROVE = "approve"
    REJECT = "reject"
    ABSTAIN = "abstain"
    REQUEST_CHANGES = "request_changes"
    ABSENT = "absent"  # set by the lab: the agent failed or was too slow; not a vote
    SEALED = "sealed"  # shown instead of what was cast, to who has not voted yet; never cast


BY_DEFAULT = "default"  #: via: the deadline has cast it, as its voter has said before that her silence counts
CHOICES = (Choice.APPROVE, Choice.REJECT, Choice.ABSTAIN, Choice.REQUEST_CHANGES)


@record
class Ballot:
    """`Ballot("approve", "cheap")`. The lab fills in who cast it, when (unix seconds), and by which proof of identity:
    "notebook", "token", "key", "rule", "default". `nodes`: which ones a request for changes is about.
    `proof`: what its voter signed, where the seat has a key."""

    choice: Choice
    reason: str = ""
    voter: str = ""
    at: float = 0.0
    via: str = ""
    nodes: tuple[str, ...] = ()
    proof: Proof | None = None

    @property
    def present(self) -> bool:
        """Whether its voter has answered this proposal: not who was absent, nor whose silence counts as a ballot."""
        return self.choice != Choice.ABSENT and self.via != BY_DEFAULT

    @property
    def sealed(self) -> Ballot:
        """That it was cast, by whom and when, and not what."""
        return Ballot(self.choice if self.choice is Choice.ABSENT else Choice.SEALED, "", self.voter, self.at)


def choice_of(value: object) -> Choice:
    """The choice that a bool or a word stands for; ValueError for anything else."""
    if isinstance(value, bool):
        return Choice.APPROVE if value else Choice.REJECT
    if isinstance(value, str) and value in CHOICES:
        return Choice(value)
    raise ValueError(f"a vote is one of {', '.join(CHOICES)}, not {value!r}")
