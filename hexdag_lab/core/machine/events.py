"""What is recorded, in the past tense. The journal of a run is a list of these; its state is their fold.

Each has `seq` (1, 2, 3, ... within the run), `at` (unix seconds) and `kind`; those about a node have `node` and the
`version` of the graph at that time, else these are None.
"""

from __future__ import annotations

from dataclasses import field
from fractions import Fraction
from typing import Any

from ..base.codec import record
from ..base.frozen import FrozenDict
from ..dag.catalog import Listed
from ..dag.changeset import Changeset
from ..dag.conflict import Conflict
from ..dag.dag import Dag
from ..runs.region import Reach
from ..runs.reuse import Made
from ..runs.run import Failure, RunStatus
from ..runs.value import Kept
from ..runs.worker import WorkerState
from ..votes.agent import Seat
from ..votes.ballot import Ballot
from ..votes.budget import Budget
from ..votes.calls import Call
from ..votes.policy import Policy
from ..votes.proposal import Effect, Judgement, Proposal
from ..votes.trust import Trust


class Base:
    """What all events have in common."""

    __slots__ = ()

    def __getattr__(self, name: str) -> Any:
        # What an event is not about is None, so that a hook can look at any event's node, version and proposal.
        if name in ("node", "version", "proposal"):
            return None
        raise AttributeError(f"{type(self).__name__} has no {name}")

    @property
    def kind(self) -> str:
        """The name of the event's class."""
        return type(self).__name__


@record
class Event(Base):
    """What every event has: its place in the run's journal, 1, 2, 3, …, and when it was, in unix seconds; of one that
    was heard of late, `happened` is when it was by the clock of whoever told."""

    seq: int
    at: float
    happened: float | None = field(default=None, kw_only=True)


@record
class RunStarted(Event):
    """A run begins, with all that it begins with. `done` are finished results that a fork takes over."""

    run: str
    dag: Dag
    inputs: FrozenDict[Kept]
    policy: Policy
    seats: tuple[Seat, ...]
    owner: str
    by: str
    schedule: str = "ready"
    budget: Budget | Fraction | None = None
    done: FrozenDict[Kept] = FrozenDict()
    trust: Trust = Trust()
    operations: FrozenDict[Listed] = FrozenDict()


@record
class RunAttached(Event):
    """Another controller goes on; `again` are finished nodes whose results were lost with the old one."""

    by: str
    again: tuple[str, ...] = ()
    absent: tuple[str, ...] = ()


@record
class RunPaused(Event):
    """`short`: what it lacks of its budget, if that is why."""

    by: str
    short: Budget | None = None


@record
class RunResumed(Event):
    """It goes on after a pause."""

    by: str


@record
class BudgetRaised(Event):
    """`budget` is what the run may use from now on."""

    budget: Budget
    proposal: str
    by: str


@record
class RunFinished(Event):
    """The run is over: every node is settled and no proposal open, or it was cancelled."""

    status: RunStatus
    by: str = ""


@record
class SeatTaken(Event):
    """An agent takes part, or takes part otherwise than before."""

    seat: Seat


@record
class PoolOffered(Event):
    """What the pool has room for: attempts at once, and beyond that; and what each worker can."""

    slots: int
    lookahead: int
    capabilities: tuple[frozenset[str], ...] | None = None
    regions: tuple[Reach, ...] = ()


@record
class WorkerChanged(Event):
    """A worker failed, was paused, took the place of another one, came back or left."""

    worker: str
    state: WorkerState
    why: str = ""


@record
class AttemptsSubmitted(Event):
    """The intent to run: journaled before the pool hears of it. `nodes` are (node, fence); `taken` entries left the
    frontier for it, and `from_lanes` of each lane."""

    nodes: tuple[tuple[str, int], ...]
    taken: int = 0
    from_lanes: FrozenDict[int] = FrozenDict()


@record
class AttemptsWithdrawn(Event):
    """Attempts were taken back: whatever they report no longer counts."""

    nodes: tuple[str, ...]
    why: str


@record
class NodeStarted(Event):
    """An attempt begins on a worker. `repeat`: how often the pool has begun this one before, and `why`."""

    node: str
    version: int
    fence: int
    worker: str = ""
    why: str = ""
    repeat: int = 0


@record
class NodeRepeated(Event):
    """The pool ran an attempt again by itself that has its result already: the first result stays."""

    node: str
    version: int
    fence: int
    worker: str
    why: str
    repeat: int


@record
class NodeSucceeded(Event):
    """The result of the current attempt counts from now on."""

    node: str
    version: int
    fence: int
    seconds: float
    result: Kept
    worker: str = ""


@record
class ResultHeld(Event):
    """A result came before its upstreams' own reports; it counts when they are in."""

    node: str
    version: int
    fence: int
    seconds: float
    result: Kept
    worker: str = ""


@record
class NodeKept(Event):
    """A result that was in workers' memory only is now in a blob."""

    node: str
    version: int
    result: Kept


@record
class NodeRetrying(Event):
    """An attempt failed or was lost, or its result was, and is tried again; `due` is when, None: at once. `rescue`: it
    is not: what the node's `on_error` gives will stand in for its result."""

    node: str
    version: int
    why: str
    due: float | None = None
    failure: Failure | None = None
    rescue: bool = False


@record
class RetryDue(Event):
    """The backoff of a node is over."""

    node: str
    version: int


@record
class NodeFailed(Event):
    """The last attempt failed: nothing of it is tried again."""

    node: str
    version: int
    failure: Failure
    seconds: float = 0.0


@record
class NodesBlocked(Event):
    """These will not run because `node` failed."""

    node: str
    version: int
    nodes: tuple[str, ...]


@record
class NodeCheckpointed(Event):
    """A running node is at its safe point of that `number`, 0 before it begins; `saved`: None, nothing new."""

    node: str
    version: int
    fence: int
    number: int
    saved: Kept | None = None


@record
class NodeMoving(Event):
    """A running node is to move at its next safe point, and at `due` (unix seconds) in any case."""

    node: str
    version: int
    to: str
    due: float
    proposal: str = ""


@record
class NodeMoved(Event):
    """A node runs from now on on the worker `to` (empty: on any), with what it saved last; `why` it could."""

    node: str
    version: int
    to: str
    why: str
    afresh: bool = False


@record
class NodeSkipped(Event):
    """Its own condition said no, or it said so itself: it has no result, and what depends on it goes on without."""

    node: str
    version: int
    fence: int
    why: str
    seconds: float = 0.0


@record
class NodesSkipped(Event):
    """These have no result because they need that of `node`, which was skipped, or failed and is optional."""

    node: str
    version: int
    nodes: tuple[str, ...]


@record
class NodeSuspended(Event):
    """A node waits for a decision. Its attempt has ended; it is called again with what it has saved."""

    node: str
    version: int
    waits_for: str
    saved: Kept | None = None


@record
class NodeResumed(Event):
    """The decision that it waited for is there: "APPLIED", "REJECTED", …"""

    node: str
    version: int
    decision: str


@record
class WaveCompleted(Event):
    """With `schedule="waves"`: all nodes of a wave are settled; `wave` counts 1, 2, ... of `waves`. A change that opens
    a wave again lets it be completed again."""

    wave: int
    waves: int
    nodes: int


# -- leases of critical sections


@record
class LeasesClaimed(Event):
    """The intent to take leases before running; `nodes` are (node, the lease's name)."""

    nodes: tuple[tuple[str, str], ...]


@record
class LeaseHeld(Event):
    """The node holds the lease that it claimed."""

    node: str
    version: int


@record
class LeaseAwaited(Event):
    """Somebody else holds the lease."""

    node: str
    version: int
    holder: str


# -- results that are used again


@record
class ResultsSought(Event):
    """The intent to look results up by their action keys; `nodes` are (node, key)."""

    nodes: tuple[tuple[str, str], ...]


@record
class ResultsMissed(Event):
    """These have to run: node -> why. An empty `why`: what was found does not matter any more."""

    why: FrozenDict[str]


@record
class NodeReused(Event):
    """A node has a result without having run: one of the same code and the same inputs."""

    node: str
    version: int
    made: Made
    why: str


# -- versions and proposals


@record
class VersionCommitted(Event):
    """The graph changed. `restarted` and `rerun` nodes lose what they had."""

    version: int
    changeset: Changeset
    proposal: str
    by: str
    reason: str = ""
    restarted: tuple[str, ...] = ()
    rerun: tuple[str, ...] = ()


@record
class ProposalMade(Event):
    """Somebody proposes; `proposal` has checks, effect and electorate."""

    proposal: Proposal


@record
class _Moved(Event):
    proposal: str
    why: str = ""
    by: str = ""


@record
class ProposalOpened(_Moved):
    """The vote begins."""


@record
class ProposalApproved(_Moved):
    """`waits`: it is applied when these nodes are done."""

    waits: tuple[str, ...] = ()


@record
class ProposalApplied(_Moved):
    """It is part of the graph, as that version."""

    version: int = 0


@record
class ProposalRejected(_Moved):
    """By its checks or by its voters: `why` says which."""


@record
class ProposalExpired(_Moved):
    """The deadline passed while the vote was pending, which its policy counts as a no."""


@record
class ProposalWithdrawn(_Moved):
    """Its proposer took it back."""


@record
class ProposalConflicted(_Moved):
    """`conflict` has both intents, `other` is the proposal that was quicker; `told` are the two proposers."""

    conflict: Conflict | None = None
    other: str = ""
    told: tuple[str, ...] = ()


@record
class ProposalSuperseded(_Moved):
    """`other`: the proposal that takes its place, if it is not the graph that has it already."""

    other: str = ""


@record
class ProposalRevised(Event):
    """The graph moved on and with it what the proposal does: it is voted on anew. `why` says what changed."""

    proposal: str
    changeset: Changeset
    effect: Effect
    why: str


@record
class BallotCast(Event):
    """A voter has voted. The last ballot of each counts."""

    proposal: str
    ballot: Ballot


@record
class ProposalJudged(Event):
    """A person has said how a decided proposal turned out; this may come after the end of the run."""

    proposal: str
    judged: Judgement


@record
class HooksSeen(Event):
    """`broke`: the failure is the agent's own, and not that what it proposed was refused."""

    agent: str
    upto: int
    failure: str = ""
    broke: bool = False


@record
class AgentCalled(Event):
    """An agent has put a question to a model, whatever came of it; this may come after the end of the run."""

    agent: str
    call: Call


@record
class AgentSuspended(Event):
    """An agent has failed several times in a row: it is asked nothing more until it is added anew."""

    agent: str
    why: str


#: internal bookkeeping: agents' hooks are not called for these
UNHOOKED = (
    AttemptsSubmitted, AttemptsWithdrawn, HooksSeen, PoolOffered, SeatTaken, ResultHeld, NodeKept, ProposalJudged,
    ResultsSought, ResultsMissed, LeasesClaimed, LeaseHeld, LeaseAwaited, AgentCalled, WorkerChanged, NodeRepeated,
    NodeCheckpointed,
)  # fmt: skip
