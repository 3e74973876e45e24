"""`RunView`: a run at one moment, to be read: what people, agents and screens see. It changes nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from fractions import Fraction
from types import MappingProxyType
from typing import Any, NamedTuple

from ..core.base.errors import NotFinished, UnknownNode
from ..core.dag.dag import Dag
from ..core.dag.diff import Diff, diff
from ..core.machine.state import RunState, Version
from ..core.machine.story import why
from ..core.runs.run import NodeRecord, NodeState, RunStatus
from ..core.runs.value import Kept
from ..core.votes.agent import Seat
from ..core.votes.proposal import Check, Effect, Proposal, ProposalState, Tally, effect_digest

Read = Callable[[str, int, Kept], Any]
"""`read(node, fence, kept)`: the value of a result."""


class NodeView(NamedTuple):
    """A node in a run. `attempt` counts 1, 2, ...; `seconds` is how long the last attempt took.

    reused   where its result was taken from, if it did not run;  missed  with `cache=True`: why it had to run
    """

    name: str
    state: NodeState
    why: str | None
    attempt: int
    version: int
    worker: str
    seconds: float
    code_hash: str
    failure: str = ""
    trace: str = ""
    kept: bool = True
    reused: str | None = None
    missed: str | None = None


class ProposalView:
    """A proposal at one moment."""

    def __init__(self, proposal: Proposal, state: RunState) -> None:
        self._proposal, self._state = proposal, state

    @property
    def id(self) -> str:
        return self._proposal.id

    @property
    def state(self) -> ProposalState:
        return self._proposal.state

    @property
    def by(self) -> str:
        return self._proposal.by

    @property
    def reason(self) -> str:
        return self._proposal.reason

    @property
    def why(self) -> str:
        """Why it is in its state."""
        return self._proposal.why

    @property
    def base(self) -> int:
        return self._proposal.base

    @property
    def changeset(self) -> Any:
        return self._proposal.changeset

    @property
    def checks(self) -> tuple[Check, ...]:
        return self._proposal.checks

    @property
    def effect(self) -> Effect | None:
        return self._proposal.effect

    @property
    def effect_digest(self) -> str | None:
        """What an approval is bound to: the net change with the code that ships, and the work it throws away (hex)."""
        effect = self._proposal.effect
        return None if effect is None else effect_digest(self._proposal.changeset, effect).hex()

    @property
    def version(self) -> int | None:
        """The version that it became, once applied."""
        return self._proposal.version

    @property
    def tally(self) -> Tally:
        return self._proposal.tally(self._state.policy, self._state.at)

    @property
    def deadline(self) -> float | None:
        """When it settles by itself, in unix seconds."""
        electorate = self._proposal.electorate
        return None if electorate is None else self._state.policy.deadline(electorate)

    @property
    def at(self) -> float:
        return self._proposal.at

    @property
    def decided_by(self) -> str:
        return self._proposal.decided_by

    @property
    def feedback(self) -> tuple[tuple[str, str], ...]:
        """(voter, reason) of those who asked for changes."""
        return tuple((b.voter, b.reason) for b in self._proposal.ballots if b.choice == "request_changes")

    @property
    def terminal(self) -> bool:
        return self._proposal.terminal

    def __repr__(self) -> str:
        return f"<Proposal {self.id} by {self.by}: {self.state}, {self.changeset.summary}>"


class RunView:
    """A run at one moment. `read` gives the values of results."""

    def __init__(self, state: RunState, read: Read) -> None:
        self.state, self._read = state, read

    @property
    def id(self) -> str:
        return self.state.run

    @property
    def status(self) -> RunStatus:
        return self.state.status

    @property
    def seq(self) -> int:
        return self.state.seq

    @property
    def dag(self) -> Dag:
        return self.state.dag

    @property
    def versions(self) -> tuple[Version, ...]:
        return self.state.versions

    @property
    def agents(self) -> Mapping[str, Seat]:
        return MappingProxyType(self.state.seats)

    @property
    def nodes(self) -> Mapping[str, NodeView]:
        """The nodes of the head version by name, sorted."""
        return {name: self.node(name) for name in sorted(self.state.nodes)}

    def node(self, name: str) -> NodeView:
        rec = self._record(name)
        entry = self.state.dag.entries.get(name)
        return NodeView(
            name, rec.state, why(self.state, name), max(1, rec.started), rec.version, rec.worker, rec.seconds,
            entry.spec.code.digest.hex() if entry else "", str(rec.failure or ""),
            rec.failure.trace if rec.failure else "", rec.result is None or rec.result.where != "pool",
            rec.reuse.origin or None, rec.reuse.why or None,
        )  # fmt: skip

    @property
    def proposals(self) -> Mapping[str, ProposalView]:
        """All proposals by id, in the order they were made."""
        found = sorted(self.state.proposals.values(), key=lambda p: (p.at, p.id))
        return {p.id: ProposalView(p, self.state) for p in found}

    def diff(self, old: int, new: int) -> Diff:
        """What differs between two versions."""
        return diff(self.version(old).dag, self.version(new).dag)

    def version(self, number: int) -> Version:
        if not 1 <= number <= len(self.state.versions):
            raise UnknownNode(f"run {self.id} has versions 1 to {len(self.state.versions)}, and no {number}")
        return self.state.versions[number - 1]

    def why(self, name: str) -> str | None:
        """Why a node does not move, in one sentence; None while it moves or is done."""
        return why(self.state, name)

    def result(self, name: str) -> Any:
        """A node's result. Never waits: raises `NotFinished` while there is none."""
        rec = self._record(name)
        if rec.result is None or rec.state is not NodeState.SUCCEEDED:
            reason = why(self.state, name)
            raise NotFinished(f"{name} has no result: it is {rec.state}" + (f" ({reason})" if reason else ""))
        return self._read(name, rec.fence, rec.result)

    def results(self) -> dict[str, Any]:
        """The results so far, by node."""
        done = sorted(name for name, rec in self.state.nodes.items() if rec.state is NodeState.SUCCEEDED)
        return {name: self.result(name) for name in done}

    @property
    def spent(self) -> Fraction:
        """What the attempts so far cost, by the nodes' own estimates."""
        return self.state.spent()

    @property
    def budget(self) -> Fraction | None:
        return self.state.budget

    def _record(self, name: str) -> NodeRecord:
        rec = self.state.nodes.get(name) or self.state.gone.get(name)
        if rec is None:
            raise UnknownNode(f"there is no node {name!r} in v{self.state.version} of run {self.id}")
        return rec
