"""What became of a run's graph, as rows: its versions, and the proposals that have not become one."""

from __future__ import annotations

from typing import NamedTuple

from ..core.machine.state import RunState
from ..core.votes.ballot import Choice
from ..core.votes.proposal import Proposal
from .wording import clean


class VersionRow(NamedTuple):
    """A version in the table of what happened: who, what, why, on whose votes."""

    number: int
    by: str
    change: str
    reason: str
    votes: str


def versions(state: RunState) -> tuple[VersionRow, ...]:
    """All versions, the first one first."""
    rows = []
    for version in state.versions:
        proposal = state.proposals.get(version.proposal) if version.proposal else None
        change = proposal.summary if proposal else f"{len(version.dag)} nodes"
        votes = _votes(proposal, state) if proposal else ""
        rows.append(VersionRow(version.number, clean(version.by, 40), change, clean(version.reason, 80), votes))
    return tuple(rows)


class AsideRow(NamedTuple):
    """A proposal that has not become a version: who, what, why, and what became of it."""

    id: str
    by: str
    change: str
    reason: str
    votes: str
    state: str
    why: str

    @property
    def told(self) -> str:
        """Its reason, and what became of it: "one more look — REJECTED: not worth the time"."""
        outcome = f"{self.state}: {self.why}" if self.why else self.state
        return f"{self.reason} — {outcome}" if self.reason else outcome


def set_aside(state: RunState) -> tuple[AsideRow, ...]:
    """The proposals that have not become versions, in the order they were made."""
    found = sorted((p for p in state.proposals.values() if p.version is None), key=lambda p: (p.at, p.id))
    return tuple(
        AsideRow(
            p.id, clean(p.by, 40), p.summary, clean(p.reason, 80), _votes(p, state), p.state.value, clean(p.why, 120)
        )
        for p in found
    )


def _votes(proposal: Proposal, state: RunState) -> str:
    """Who said what; who kept out of it is left out."""
    said = [b for b in proposal.seen_by("", state.policy) if b.choice not in (Choice.ABSTAIN, Choice.ABSENT)]
    return ", ".join(f"{clean(b.voter, 40)} {b.choice.value.replace('_', ' ')}" for b in said)
