"""The state of a run: an immutable value, the fold of its journal."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from typing import NamedTuple

from ..base.frozen import FrozenDict
from ..base.heap import Heap
from ..base.merkle import MerkleMap
from ..dag.catalog import Listed
from ..dag.dag import Dag
from ..runs.claim import Claim
from ..runs.rank import Ranks, ranked
from ..runs.region import Reach
from ..runs.run import OVER, NodeRecord, RunStatus
from ..runs.value import Kept
from ..votes.agent import Seat
from ..votes.budget import Budget
from ..votes.calls import Usage
from ..votes.policy import Electorate, Policy, Verdict
from ..votes.presets import solo as _solo
from ..votes.proposal import Proposal, ProposalState
from ..votes.trust import Trust


class Version(NamedTuple):
    """One version of a run's graph: who, why, by which proposal, and when (unix seconds)."""

    number: int
    dag: Dag
    by: str
    reason: str = ""
    proposal: str | None = None
    at: float = 0.0

    @property
    def digest(self) -> bytes:
        """The hash of its graph's content, 32 bytes."""
        return self.dag.digest


class Moving(NamedTuple):
    """A running node that is to move: where to (empty: anywhere), and by when at the latest (unix seconds)."""

    to: str
    due: float


_EMPTY = Dag.of()
_NO_RANKS = ranked(_EMPTY)


class Lane(NamedTuple):
    """Nodes of which only so many may be at work at once: those that wait, and those that were submitted; one that is
    not in the pool any more is no longer at work."""

    waiting: Heap = None
    at_work: tuple[str, ...] = ()


class RunState(NamedTuple):
    """Everything that is known of a run.

    nodes        name -> record, for the nodes of the head version;  gone  the same for nodes that were removed
    frontier     heap of nodes that may be submitted; entries that no longer hold are skipped when they come out
    lanes        name -> nodes of which only so many may be at work;  ranks  how long the longest chain below each is
    wave         with schedule="waves": how many waves are done
    outstanding  attempts in the pool;  left  nodes that are not settled yet
    dues         node -> unix seconds of its next try;  held  node -> a result that came early
    moves        node -> where it moves to, for those that are on their way to a safe point
    claims       node -> the lease that it claims, or holds, before it is submitted and until its attempt has ended
    regions      of a pool that has some: which of them answer
    counters     agent -> the counter of its last signature that was used
    budget       what it may use;  paid, begun, ran  what it has used: money, nodes, seconds up to `since`
    since        unix seconds since which it is running, None while it is not;  short  what it paused for the want of
    trust        what earlier runs had taught about voters when this one started
    hooks        agent -> seq up to which its `on_event` has returned;  hookable  seq of the last event it is called for
    operations   what the lab's catalogue had when the run started
    calls        agent -> what its calls of models come to;  failing  agent -> how often it has failed in a row
    suspended    agent -> why it is asked nothing more
    """

    run: str = ""
    status: RunStatus = RunStatus.RUNNING
    seq: int = 0
    at: float = 0.0
    owner: str = ""
    policy: Policy = _solo()
    seats: FrozenDict[Seat] = FrozenDict()
    schedule: str = "ready"
    budget: Budget | None = None
    paid: Fraction = Fraction(0)
    begun: int = 0
    ran: float = 0.0
    since: float | None = None
    short: Budget | None = None
    inputs: FrozenDict[Kept] = FrozenDict()
    versions: tuple[Version, ...] = ()
    dag: Dag = _EMPTY
    nodes: MerkleMap[NodeRecord] = MerkleMap()
    gone: MerkleMap[NodeRecord] = MerkleMap()
    proposals: MerkleMap[Proposal] = MerkleMap()
    open: tuple[str, ...] = ()
    frontier: Heap = None
    lanes: FrozenDict[Lane] = FrozenDict()
    ranks: Ranks = _NO_RANKS
    wave: int = 0
    outstanding: int = 0
    left: int = 0
    dues: FrozenDict[float] = FrozenDict()
    held: FrozenDict[tuple[int, float, Kept, str]] = FrozenDict()
    moves: FrozenDict[Moving] = FrozenDict()
    claims: FrozenDict[Claim] = FrozenDict()
    slots: int = 0
    lookahead: int = 0
    capabilities: tuple[frozenset[str], ...] | None = None
    regions: tuple[Reach, ...] = ()
    hooks: FrozenDict[int] = FrozenDict()
    hookable: int = 0
    counters: FrozenDict[int] = FrozenDict()
    trust: Trust = Trust()
    operations: FrozenDict[Listed] = FrozenDict()
    calls: FrozenDict[Usage] = FrozenDict()
    failing: FrozenDict[int] = FrozenDict()
    suspended: FrozenDict[str] = FrozenDict()

    @property
    def started(self) -> bool:
        return bool(self.versions)

    @property
    def over(self) -> bool:
        return self.status in OVER

    @property
    def version(self) -> int:
        return self.versions[-1].number if self.versions else 0

    def open_proposals(self) -> Iterator[Proposal]:
        """Proposals that are not decided, the most urgent first."""
        found = [self.proposals[id_] for id_ in self.open]
        return iter(sorted(found, key=lambda p: (-p.priority, p.at, p.id)))

    def version_of(self, digest: bytes) -> Version | None:
        """The latest version with this content."""
        return next((v for v in reversed(self.versions) if v.digest == digest), None)

    def next_due(self) -> float | None:
        """When the next `Tick` matters, in unix seconds: a retry or a deadline."""
        if self.over:
            return None
        times = [*self.dues.values(), *(moving.due for moving in self.moves.values())]
        if self.budget is not None and self.budget.seconds is not None and self.since is not None and self.left:
            times.append(self.since + self.budget.seconds - self.ran)
        for proposal in self.open_proposals():
            if proposal.state is ProposalState.OPEN and proposal.electorate is not None:
                times += self._deadline(proposal, proposal.electorate)
        return min(times, default=None)

    def _deadline(self, proposal: Proposal, electorate: Electorate) -> list[float]:
        """The next deadline of an open proposal; one that has passed counts only while it is not acted upon."""
        first = self.policy.deadline(electorate)
        if first is not None and first <= self.at:
            opinion = self.policy.evaluate(proposal.cast(), electorate, self.at)
            if opinion.verdict is Verdict.PENDING:
                first = self.policy.deadline(electorate, self.at)
        return [] if first is None else [first]

    def spent(self) -> Fraction:
        """What the attempts so far cost, by the nodes' own estimates."""
        return self.paid

    def used(self, at: float) -> Budget:
        """What it has used of time, money and nodes."""
        seconds = self.ran + (max(0.0, at - self.since) if self.since is not None else 0.0)
        return Budget(seconds, self.paid, self.begun)
