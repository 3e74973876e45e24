"""`RunView`: a run at one moment, to be read: what people, agents and screens see. It changes nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from fractions import Fraction
from types import MappingProxyType
from typing import Any, NamedTuple

from ..core.base.errors import NotFinished, UnknownNode
from ..core.dag.conflict import Conflict
from ..core.dag.dag import Dag
from ..core.dag.diff import Diff, diff
from ..core.machine.landing import waiting
from ..core.machine.state import RunState, Version
from ..core.machine.why import why
from ..core.runs.run import SETTLED, NodeRecord, NodeState, RunStatus
from ..core.runs.value import Kept
from ..core.votes.agent import Seat
from ..core.votes.budget import Budget
from ..core.votes.proposal import Check, Effect, Judgement, Proposal, ProposalState, Request, Tally

Read = Callable[[str, int, Kept], Any]
"""`read(node, fence, kept)`: the value of a result."""


class NodeView(NamedTuple):
    """A node in a run. `attempt` counts 1, 2, ...; `seconds` is how long the last attempt took.

    code_hash      of the code that the head version has, with which its next attempt runs
    ran_code_hash  of the code that its latest attempt has run with: after a reload, another one; empty before the first
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
    ran_code_hash: str = ""


class ProposalView:
    """A proposal at one moment, as a `viewer` may see it; None sees all."""

    def __init__(self, proposal: Proposal, state: RunState, viewer: str | None = None) -> None:
        self._proposal, self._state, self._viewer = proposal, state, viewer

    @property
    def id(self) -> str:
        """Its id, as "run-1/p2"."""
        return self._proposal.id

    @property
    def state(self) -> ProposalState:
        """Where it is: OPEN, APPLIED, REJECTED, …"""
        return self._proposal.state

    @property
    def by(self) -> str:
        """The id of the agent who proposes."""
        return self._proposal.by

    @property
    def reason(self) -> str:
        """Why, in the proposer's words: text that nobody vouches for."""
        return self._proposal.reason

    @property
    def why(self) -> str:
        """Why it is in its state."""
        return self._proposal.why

    @property
    def base(self) -> int:
        """The number of the version that it was made on."""
        return self._proposal.base

    @property
    def changeset(self) -> Any:
        """What it changes: a `Changeset`, empty where it asks for a budget, a move or the end of the run."""
        return self._proposal.changeset

    @property
    def kind(self) -> str:
        """add_node, add_subgraph, replace_node, remove, rewire, composite, or budget."""
        return self._proposal.kind

    @property
    def summary(self) -> str:
        """What it changes in one line, as "+1 node"."""
        return self._proposal.summary

    @property
    def raises(self) -> Budget | None:
        """What it asks to raise the budget by, instead of a change of the graph."""
        return self._proposal.raises

    @property
    def apply_from(self) -> str:
        """When it is applied once it is approved: "now", "wave" or "after:NODE"."""
        return self._proposal.apply_from

    @property
    def in_reply_to(self) -> str:
        """The proposal that it takes the place of."""
        return self._proposal.in_reply_to

    @property
    def depth(self) -> int:
        """How many proposals led to it, itself included."""
        return self._proposal.depth

    @property
    def waits(self) -> tuple[str, ...]:
        """Approved, but applied only when these nodes are done."""
        return waiting(self._state, self._proposal)

    @property
    def conflict(self) -> Conflict | None:
        """Why it no longer fits, with both intents."""
        return self._proposal.conflict

    @property
    def other(self) -> str:
        """The proposal that was quicker, or that takes its place."""
        return self._proposal.other

    @property
    def requests(self) -> tuple[Request, ...]:
        """The changes that its voters ask for: by, text, nodes."""
        return self._proposal.requests

    @property
    def preview(self) -> dict[str, str]:
        """What becomes of each node with work in it, or touched: keep, start, restart, cancel or re-run."""
        busy = (NodeState.RUNNING, NodeState.SUSPENDED, NodeState.SUCCEEDED)
        kept = {name: "keep" for name, rec in self._state.nodes.items() if rec.state in busy}
        effect = self._proposal.effect
        return dict(sorted({**kept, **(effect.verbs() if effect else {})}.items()))

    @property
    def waves(self) -> tuple[tuple[str, ...], ...]:
        """The waves of what is left once it is applied to the graph as it is; empty if it does not fit."""
        rebased = self._proposal.changeset.rebase(self._state.dag)
        if isinstance(rebased, Conflict) or rebased.target is None:
            return ()
        again = self._proposal.effect.verbs() if self._proposal.effect else {}
        done = [n for n, rec in self._state.nodes.items() if rec.state in SETTLED and n not in again]
        return rebased.target.waves_after(name for name in done if name in rebased.target)

    @property
    def checks(self) -> tuple[Check, ...]:
        """The facts that no vote can overrule, each with rule, node and fix."""
        return self._proposal.checks

    @property
    def effect(self) -> Effect | None:
        """What applying it does to the work; None until it has been examined."""
        return self._proposal.effect

    @property
    def effect_digest(self) -> str | None:
        """What an approval is bound to: the net change with the code that ships, and the work it throws away (hex)."""
        return self._proposal.seen or None

    @property
    def version(self) -> int | None:
        """The version that it became, once applied."""
        return self._proposal.version

    @property
    def tally(self) -> Tally:
        """Where the vote stands: who, with which weight, and what is still needed."""
        return self._proposal.tally(self._state.policy, self._state.at, self._viewer)

    @property
    def deadline(self) -> float | None:
        """When it settles by itself, in unix seconds."""
        electorate = self._proposal.electorate
        return None if electorate is None else self._state.policy.deadline(electorate)

    @property
    def at(self) -> float:
        """When it was made, in unix seconds."""
        return self._proposal.at

    @property
    def decided_by(self) -> str:
        """Who or what decided it; empty while it is open."""
        return self._proposal.decided_by

    @property
    def feedback(self) -> tuple[tuple[str, str], ...]:
        """(voter, reason) of those who asked for changes."""
        seen = self._proposal.seen_by(self._viewer, self._state.policy)
        return tuple((b.voter, b.reason) for b in seen if b.choice == "request_changes")

    @property
    def judged(self) -> Judgement | None:
        """What a person has said of it since it was decided."""
        return self._proposal.judged

    @property
    def terminal(self) -> bool:
        """Whether it is decided for good."""
        return self._proposal.terminal

    def __repr__(self) -> str:
        return f"<Proposal {self.id} by {self.by}: {self.state}, {self.summary}>"


class RunView:
    """A run at one moment, as a `viewer` may see it; None sees all. `read` gives the values of results."""

    def __init__(self, state: RunState, read: Read, viewer: str | None = None) -> None:
        self.state, self._read, self._viewer = state, read, viewer

    def seen_by(self, viewer: str) -> RunView:
        """The same moment as an agent may see it: where ballots are sealed, those of others only once it has voted."""
        return RunView(self.state, self._read, viewer)

    @property
    def id(self) -> str:
        """The run's id."""
        return self.state.run

    @property
    def status(self) -> RunStatus:
        """How the run is: RUNNING, PAUSED, SUCCEEDED, FAILED, CANCELLED."""
        return self.state.status

    @property
    def seq(self) -> int:
        """The `seq` of the last event that it has seen."""
        return self.state.seq

    @property
    def dag(self) -> Dag:
        """The graph of the head version."""
        return self.state.dag

    @property
    def versions(self) -> tuple[Version, ...]:
        """The versions, first to last: number, dag, digest, by, reason, proposal, at."""
        return self.state.versions

    @property
    def agents(self) -> Mapping[str, Seat]:
        """The seats of the run by agent."""
        return MappingProxyType(self.state.seats)

    @property
    def nodes(self) -> Mapping[str, NodeView]:
        """The nodes of the head version by name, sorted."""
        return {name: self.node(name) for name in sorted(self.state.nodes)}

    def node(self, name: str) -> NodeView:
        """One node of any version, as it is. Raises `UnknownNode`."""
        rec = self._record(name)
        entry = self.state.dag.entries.get(name)
        return NodeView(
            name, rec.state, why(self.state, name), max(1, rec.started), rec.version, rec.worker, rec.seconds,
            entry.spec.code.digest.hex() if entry else "", str(rec.failure or ""),
            rec.failure.trace if rec.failure else "", rec.result is None or rec.result.where != "pool",
            rec.reuse.origin or None, rec.reuse.why or None, rec.code,
        )  # fmt: skip

    @property
    def proposals(self) -> Mapping[str, ProposalView]:
        """All proposals by id, in the order they were made."""
        found = sorted(self.state.proposals.values(), key=lambda p: (p.at, p.id))
        return {p.id: ProposalView(p, self.state, self._viewer) for p in found}

    def diff(self, old: int, new: int) -> Diff:
        """What differs between two versions."""
        return diff(self.version(old).dag, self.version(new).dag)

    def version(self, number: int) -> Version:
        """The version of that number, 1 for the first. Raises `UnknownNode`."""
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
        """What it may cost; None: no limit. `limits` has those of time and nodes as well."""
        return None if self.state.budget is None else self.state.budget.cost

    @property
    def limits(self) -> Budget | None:
        """What it may use of time, money and nodes."""
        return self.state.budget

    @property
    def used(self) -> Budget:
        """What it has used of time, money and nodes, as of its last event."""
        return self.state.used(self.state.at)

    def _record(self, name: str) -> NodeRecord:
        rec = self.state.nodes.get(name) or self.state.gone.get(name)
        if rec is None:
            raise UnknownNode(f"there is no node {name!r} in v{self.state.version} of run {self.id}")
        return rec
