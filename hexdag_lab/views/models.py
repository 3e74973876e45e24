"""A run as rows, marks and cards: plain data, made of one state. No colours, no widgets, no clock of its own."""

from __future__ import annotations

import unicodedata
from typing import NamedTuple

from ..core.machine.state import RunState
from ..core.machine.story import why
from ..core.runs.run import SETTLED, NodeState
from ..core.votes.proposal import MEANING, Proposal

#: states by shape: readable without colour
MARKS: dict[NodeState, str] = {
    NodeState.WAITING: "○",
    NodeState.READY: "◌",
    NodeState.RUNNING: "▶",
    NodeState.SUSPENDED: "‖",
    NodeState.SUCCEEDED: "✓",
    NodeState.FAILED: "✕",
    NodeState.CANCELLED: "–",
    NodeState.SKIPPED: "»",
    NodeState.BLOCKED: "■",
}


class NodeRow(NamedTuple):
    """A node in its wave. `new`: it was added by the head version."""

    name: str
    state: NodeState
    mark: str
    note: str
    new: bool


class Header(NamedTuple):
    """The line above a run."""

    run: str
    status: str
    version: int
    done: int
    nodes: int
    running: int
    open: int


class Card(NamedTuple):
    """An open or decided proposal, as text in parts. Words of agents are cleaned, and never trusted."""

    id: str
    title: str
    reason: str
    changes: tuple[str, ...]
    effect: str
    estimate: str
    checks: tuple[tuple[bool, str], ...]
    votes: tuple[str, ...]
    tally: str
    state: str
    seconds_left: float | None


def header(state: RunState) -> Header:
    records = list(state.nodes.values())
    done = sum(rec.state in SETTLED for rec in records)
    running = sum(rec.state is NodeState.RUNNING for rec in records)
    return Header(state.run, state.status.value, state.version, done, len(records), running, len(state.open))


def waves(state: RunState) -> tuple[tuple[NodeRow, ...], ...]:
    """The nodes by wave, each wave sorted."""
    head = state.version
    before = state.versions[-2].dag if head > 1 else None
    found = []
    for wave in state.dag.waves:
        rows = []
        for name in wave:
            rec = state.nodes[name]
            note = f"{rec.seconds:.1f} s" if rec.state is NodeState.SUCCEEDED else why(state, name) or ""
            rows.append(
                NodeRow(name, rec.state, MARKS[rec.state], note, before is not None and name not in before)
            )
        found.append(tuple(rows))
    return tuple(found)


def card(state: RunState, proposal: Proposal, now: float) -> Card:
    """A proposal with everything that a decision needs."""
    tally = proposal.tally(state.policy, now)
    weights = dict(tally.weights)
    votes = tuple(
        f"{b.voter} {b.choice.value.replace('_', ' ')} ({float(weights.get(b.voter, 0)):.2f})"
        + (f' "{clean(b.reason, 120)}"' if b.reason else "")
        for b in proposal.ballots
    )
    deadline = (
        state.policy.deadline(proposal.electorate) if proposal.electorate and not proposal.terminal else None
    )
    effect = proposal.effect
    return Card(
        proposal.id,
        f"{proposal.by} proposes {proposal.changeset.summary}, against v{proposal.base}",
        clean(proposal.reason, 300),
        tuple(str(proposal.changeset).splitlines()[:12]),
        str(effect) if effect else "",
        f"{effect.seconds:.1f} s of work, cost {float(effect.cost):g}" if effect else "",
        tuple((check.ok, str(check)[4:]) for check in proposal.checks),
        votes,
        tally.text or MEANING[proposal.state],
        proposal.state.value,
        None if deadline is None else max(0.0, deadline - now),
    )


def clean(text: str, most: int) -> str:
    """Text of an agent for a screen: no control or bidirectional characters, cut with a mark."""
    plain = "".join(
        c if c == " " or unicodedata.category(c)[0] not in "CZ" else " " for c in text[: most * 4]
    )
    plain = " ".join(plain.split())
    return plain if len(plain) <= most and len(text) <= most * 4 else plain[: most - 1] + "…"


class VersionRow(NamedTuple):
    """A version in the table of what happened: who, what, why, on whose votes."""

    number: int
    by: str
    change: str
    reason: str
    votes: str


def versions(state: RunState) -> tuple[VersionRow, ...]:
    rows = []
    for version in state.versions:
        proposal = state.proposals.get(version.proposal) if version.proposal else None
        change = proposal.changeset.summary if proposal else f"{len(version.dag)} nodes"
        votes = ", ".join(f"{b.voter} {b.choice.value}" for b in proposal.ballots) if proposal else ""
        rows.append(VersionRow(version.number, version.by, change, clean(version.reason, 80), votes))
    return tuple(rows)
