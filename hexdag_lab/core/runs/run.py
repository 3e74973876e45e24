"""The states of a node and of a run, with what may follow what, and a node's record in a run."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import NamedTuple

from ..base.canon import digest
from ..base.codec import dumps, enum, record
from ..base.frozen import FrozenDict
from .reuse import UNUSED, Reuse
from .value import Kept


@enum
class NodeState(StrEnum):
    """Where a node of a run is. What may follow what: the tables on the page *Architecture*."""

    WAITING = "WAITING"
    READY = "READY"
    RUNNING = "RUNNING"
    SUSPENDED = "SUSPENDED"
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"
    SKIPPED = "SKIPPED"
    BLOCKED = "BLOCKED"


@enum
class RunStatus(StrEnum):
    """How a run is. RUNNING and PAUSED go on; the others are for good."""

    RUNNING = "RUNNING"
    PAUSED = "PAUSED"
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"


N = NodeState
R = RunStatus

#: what may follow what. A finished node is re-opened only by a change that says so, or because its result was lost.
NODE_TRANSITIONS: dict[NodeState, frozenset[NodeState]] = {
    N.WAITING: frozenset({N.READY, N.RUNNING, N.FAILED, N.BLOCKED, N.CANCELLED, N.SKIPPED}),
    N.READY: frozenset({N.WAITING, N.RUNNING, N.SUSPENDED, N.SUCCEEDED, N.FAILED, N.BLOCKED, N.CANCELLED, N.SKIPPED}),
    N.RUNNING: frozenset({N.READY, N.WAITING, N.SUSPENDED, N.SUCCEEDED, N.FAILED, N.BLOCKED, N.CANCELLED, N.SKIPPED}),
    N.SUSPENDED: frozenset({N.READY, N.WAITING, N.BLOCKED, N.CANCELLED, N.SKIPPED}),
    N.SUCCEEDED: frozenset({N.READY, N.WAITING, N.BLOCKED}),
    N.FAILED: frozenset({N.READY, N.WAITING, N.BLOCKED}),
    N.BLOCKED: frozenset({N.READY, N.WAITING, N.SKIPPED}),
    N.CANCELLED: frozenset(),
    N.SKIPPED: frozenset({N.READY, N.WAITING, N.BLOCKED}),
}

RUN_TRANSITIONS: dict[RunStatus, frozenset[RunStatus]] = {
    R.RUNNING: frozenset({R.PAUSED, R.SUCCEEDED, R.FAILED, R.CANCELLED}),
    R.PAUSED: frozenset({R.RUNNING, R.CANCELLED}),
    R.SUCCEEDED: frozenset(),
    R.FAILED: frozenset(),
    R.CANCELLED: frozenset(),
}

#: nothing more happens to these by itself
SETTLED = frozenset({N.SUCCEEDED, N.FAILED, N.CANCELLED, N.SKIPPED, N.BLOCKED})
#: work was spent on these, or is
STARTED = frozenset({N.RUNNING, N.SUSPENDED, N.SUCCEEDED, N.FAILED})
#: downstreams may go on
PASSED = frozenset({N.SUCCEEDED, N.SKIPPED})
OVER = frozenset(status for status, following in RUN_TRANSITIONS.items() if not following)


@record
class Failure:
    """What went wrong in an attempt: the error's type and text, and the traceback of the user's own lines."""

    kind: str
    message: str
    trace: str = ""

    def __str__(self) -> str:
        return f"{self.kind}: {self.message}" if self.message else self.kind


class NodeRecord(NamedTuple):
    """What a run knows of one node.

    fence      rises with each submission; only its result counts;  submitted  the pool has it
    unmet      upstreams that have not succeeded;  unsent  upstreams that have neither succeeded nor been submitted
    started    attempts that began;  failures  of these, how many raised;  lost  ended without an answer
    decisions  proposal -> what was decided, for all that the node waited for;  decision  the last one
    sees       the version that its first call saw, once it has waited; 0 before
    due        unix seconds before which it is not tried again;  began  when the current attempt did
    reuse      what is known of using its results again
    repeats    how often the pool has run its latest attempt again by itself
    code       hash of the code of the latest attempt, 64 hexadecimal digits; empty before the first
    movable    the attempt that runs has safe points;  checkpoints  how many of them it has passed
    place      the worker that it was moved to; empty: any;  leaves  the one that it was moved away from
    declined   its own condition has said no;  excused  it has failed, and is optional
    rescue     what `on_error` is to deal with, or has dealt with
    """

    state: NodeState = N.WAITING
    why: str = ""
    fence: int = 0
    submitted: bool = False
    unmet: int = 0
    unsent: int = 0
    version: int = 1
    started: int = 0
    failures: int = 0
    worker: str = ""
    began: float = 0.0
    seconds: float = 0.0
    result: Kept | None = None
    due: float | None = None
    saved: Kept | None = None
    waits_for: str = ""
    decision: str | None = None
    decisions: Mapping[str, str] = FrozenDict()
    failure: Failure | None = None
    sees: int = 0
    lost: int = 0
    reuse: Reuse = UNUSED
    repeats: int = 0
    code: str = ""
    movable: bool = False
    checkpoints: int = 0
    place: str = ""
    leaves: str = ""
    declined: bool = False
    excused: bool = False
    rescue: Failure | None = None

    @property
    def passed(self) -> bool:
        """Whether what depends on it may go on, as far as it can without its result."""
        return self.state in PASSED or self.excused

    @property
    def void(self) -> bool:
        """Whether what depends on it goes on without its result: it was skipped, or failed and is optional."""
        return self.state is N.SKIPPED or self.excused

    @property
    def digest(self) -> bytes:
        """Content hash, by which maps of records are compared: 32 bytes."""
        return digest(dumps(self))


def backoff(seconds: float, failures: int) -> float:
    """Seconds before the next try after so many failures: doubled each time, at most an hour."""
    return min(3600.0, seconds * 2.0 ** min(failures - 1, 30))
