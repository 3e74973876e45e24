"""What comes in: commands, which may be refused, and reports, which may be stale. All carry `at`, unix seconds."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

from ..base.codec import record
from ..base.frozen import FrozenDict
from ..dag.catalog import Listed
from ..dag.changeset import Changeset
from ..dag.dag import Dag
from ..runs.region import Reach
from ..runs.reuse import Found
from ..runs.run import Failure
from ..runs.value import Kept
from ..runs.worker import WorkerState
from ..votes.agent import Seat
from ..votes.ballot import Choice
from ..votes.budget import Budget
from ..votes.calls import Call
from ..votes.policy import Policy
from ..votes.signed import Proof
from ..votes.steer import Steer
from ..votes.trust import Trust

# -- commands


@record
class StartRun:
    """Begin: the first message of every run. `done` are results that a fork takes over, `trust` is what earlier runs
    have taught, `operations` is what the lab's catalogue has."""

    at: float
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
class Join:
    """An agent takes part from now on, or takes part in another way."""

    at: float
    seat: Seat


@record
class Propose:
    """Put a changeset to the vote. `id` is made by the proposer; the same id again is the same proposal.

    apply_from   "now", "after:NODE", or "wave": once the wave that is worked on when it is approved is done
    raises       ask for a larger budget instead; the changeset is empty then
    steers       ask that a node moves, or that the run ends, instead; the changeset is empty then
    in_reply_to  the proposal that this one takes the place of
    cause        the node or the proposal that moved its proposer
    """

    at: float
    id: str
    changeset: Changeset
    by: str
    reason: str = ""
    priority: int = 0
    apply_from: str = "now"
    raises: Budget | None = None
    in_reply_to: str = ""
    cause: str = ""
    proof: Proof | None = None
    steers: Steer | None = None


@record
class CastBallot:
    """Vote. `via` says how the voter was identified: "notebook", "token", "key", "rule".

    nodes   which ones a request for changes is about
    seen    the effect digest (hex) that the voter looked at; if it is another one by now, the ballot is refused
    """

    at: float
    proposal: str
    by: str
    choice: Choice
    reason: str = ""
    via: str = ""
    nodes: tuple[str, ...] = ()
    seen: str = ""
    proof: Proof | None = None


@record
class Judge:
    """Say how a decided proposal turned out, or would have: from this, voters earn their trust."""

    at: float
    proposal: str
    by: str
    good: bool
    reason: str = ""


@record
class Withdraw:
    """Take a proposal back."""

    at: float
    proposal: str
    by: str


@record
class Pause:
    """Start nothing more."""

    at: float
    by: str


@record
class Resume:
    """Go on after a pause."""

    at: float
    by: str


@record
class Attach:
    """A controller takes over a run whose controller is gone: what was in the pool is lost.

    `absent` are agents whose functions cannot be had in this process."""

    at: float
    by: str
    absent: tuple[str, ...] = ()


# -- reports


@record
class PoolChanged:
    """What the pool offers: slots, how many further attempts it likes to know beforehand, what workers can do, and, if
    it has regions, which of them answer."""

    at: float
    slots: int
    lookahead: int = 0
    capabilities: tuple[frozenset[str], ...] | None = None
    regions: tuple[Reach, ...] = ()


@record
class Started:
    """An attempt begins. `repeat`: how often the pool has run this same attempt by itself before; `why` it did."""

    at: float
    node: str
    fence: int
    worker: str = ""
    repeat: int = 0
    why: str = ""


@record
class Succeeded:
    at: float
    node: str
    fence: int
    seconds: float
    result: Kept
    worker: str = ""


@record
class Failed:
    at: float
    node: str
    fence: int
    seconds: float
    failure: Failure
    worker: str = ""


@record
class Skipped:
    """An attempt ended at once: the node's condition said no. `why` is a sentence."""

    at: float
    node: str
    fence: int
    seconds: float
    why: str


@record
class Lost:
    """An attempt ended without an answer: its worker died, or the pool forgot it. Of an attempt that has succeeded:
    its result is not in the pool any more."""

    at: float
    node: str
    fence: int
    why: str


@record
class Unbegun:
    """An attempt that was held did not begin, and will not; or it did not begin again, on another worker."""

    at: float
    node: str
    fence: int


@record
class WorkerSeen:
    """A worker is in another state, other than by beginning or ending a node; `why` says what happened."""

    at: float
    worker: str
    state: WorkerState
    why: str = ""


@record
class Suspended:
    """An attempt ended to wait for a proposal; `saved` is what it wants back when it is called again."""

    at: float
    node: str
    fence: int
    seconds: float
    proposal: str
    saved: Kept | None = None


@record
class Checkpointed:
    """A running attempt is at a safe point, and waits there to be told whether to go on.

    number  counts its safe points: 0 before its function is called, to say that it will have some
    saved   what it wants back if it goes on elsewhere; None: nothing new
    """

    at: float
    node: str
    fence: int
    number: int
    saved: Kept | None = None
    worker: str = ""


@record
class ResultKept:
    """A result that was only in workers' memory is now kept."""

    at: float
    node: str
    fence: int
    result: Kept


@record
class LookedUp:
    """What was found of results that were looked up."""

    at: float
    found: tuple[Found, ...]


@record
class LeaseTaken:
    """A node's lease is held for it; `claim` is the seq of the event that claimed it."""

    at: float
    node: str
    claim: int


@record
class LeaseBusy:
    """Somebody else holds the lease that a node claims: `holder`, in words."""

    at: float
    node: str
    claim: int
    holder: str


@record
class LeaseLost:
    """A lease that was held for a node may have been somebody else's meanwhile."""

    at: float
    node: str
    claim: int


@record
class VoterAbsent:
    """An agent was asked to vote and failed, or was too slow."""

    at: float
    proposal: str
    agent: str
    why: str


@record
class HooksReturned:
    """An agent's `on_event` has seen all events up to a seq. `broke`: the failure is its own, and not that what it
    proposed was refused."""

    at: float
    agent: str
    upto: int
    failure: str = ""
    broke: bool = False


@record
class Called:
    """An agent has put a question to a model."""

    at: float
    agent: str
    call: Call


@record
class Tick:
    """Time has passed."""

    at: float


@record
class Dispatch:
    """All messages of a step are decided: submit what can run, end the run if all is done."""

    at: float


Message = (
    StartRun | Join | Propose | CastBallot | Judge | Withdraw | Pause | Resume | Attach
    | PoolChanged | WorkerSeen | Started | Succeeded | Failed | Skipped | Lost | Unbegun | Suspended | Checkpointed
    | ResultKept | LookedUp | LeaseTaken | LeaseBusy | LeaseLost
    | VoterAbsent | HooksReturned | Called | Tick | Dispatch
)  # fmt: skip

#: reports of whoever asks agents, which may be another process
ANSWERS: tuple[Any, ...] = (VoterAbsent, HooksReturned, Called)
COMMANDS: tuple[Any, ...] = (StartRun, Join, Propose, CastBallot, Judge, Withdraw, Pause, Resume, Attach)
