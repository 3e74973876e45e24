"""`hx.context()`: what a node can ask and say while it runs.

One small frozen-in-spirit object per attempt, in a ContextVar: it names the attempt, shows the graph as it was when the
attempt began, and lets the node propose changes, wait for decisions, and tell how far it is. Waiting ends the attempt
and frees the slot; the function is called again, with `restored` and `decision`, when the decision is there.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any, NoReturn

from ..core.base.codec import record
from ..core.base.errors import DagError, HexdagError
from ..core.dag.changeset import Changeset, NodeChange
from ..core.dag.dag import Dag
from ..core.machine.messages import Called, Propose
from ..core.runs.attempt import Task
from ..core.votes.calls import Call
from .ship import pack

Say = Callable[[Any], None]
"""How a worker tells the controller something: a message of the core, or one of the records below."""


@record
class CodeBlob:
    """Code that a message sent after it refers to by its SHA-256."""

    sha256: str
    data: bytes


@record
class Note:
    """Progress (0 to 1), a line of log, or lines that it printed, from a running attempt: shown, not journaled.

    stream  "stdout" or "stderr" if it was printed;  left_out  how many lines before these were too many to be told
    passing  another line will be written over this one;  attempt  1, 2, ...; 0 if it is not the attempt that says it
    """

    at: float
    node: str
    fence: int
    text: str = ""
    fraction: float | None = None
    attempt: int = 0
    stream: str = ""
    left_out: int = 0
    passing: bool = False


@record
class Notes:
    """Several notes of one attempt, in order, as they travel: rows of what differs from one to the next."""

    node: str
    fence: int
    attempt: int
    rows: tuple[tuple[Any, ...], ...]

    @classmethod
    def of(cls, notes: Sequence[Note]) -> Notes:
        """The notes of one attempt, without what they all have in common."""
        first = notes[0]
        rows = tuple((n.at, n.text, n.fraction, n.stream, n.left_out, n.passing) for n in notes)
        return cls(first.node, first.fence, first.attempt, rows)

    def each(self) -> Iterator[Note]:
        """The notes, one by one."""
        for at, text, fraction, stream, left_out, passing in self.rows:
            yield Note(at, self.node, self.fence, text, fraction, self.attempt, stream, left_out, passing)


UNCHANGED: Any = object()  #: of a checkpoint: nothing new is to be saved


class Suspend(BaseException):
    """Ends an attempt that waits for a proposal. No Exception, so that `except Exception` in a node lets it pass."""

    def __init__(self, proposal: str) -> None:
        self.proposal = proposal
        super().__init__(proposal)


class Skip(BaseException):
    """Ends an attempt without a result: the node is skipped. No Exception, for the same reason."""

    def __init__(self, why: str) -> None:
        self.why = why
        super().__init__(why)


@dataclass(frozen=True, slots=True)
class Proposed:
    """A proposal made from inside a node; `decision` is its final state once the node was called again with it."""

    id: str
    decision: str | None = None


@dataclass(slots=True)
class RunContext:
    """The attempt that is running.

    run_id, node, attempt, version, worker   which it is, of which version of the graph, where
    values    the values of the node's parameters
    restored  what was last given to `checkpoint`, or yielded, by the attempt that this one goes on from, or None
    decision  the final state of the last proposal waited for ("APPLIED", "REJECTED", ...), or None
    asked     of a node that is given to an agent: its own function, which says what is wanted
    returns   the pydantic model of its result, if it has one
    """

    task: Task
    worker: str
    values: Mapping[str, Any]
    restored: Any
    _say: Say
    _dag: Callable[[str, int], Dag]
    _save: Callable[[Any], None]
    _proposed: int = 0
    asked: Any = None
    returns: Any = None
    saved: list[Any] = field(default_factory=list, repr=False)  # at most one: what this attempt gave to `checkpoint`

    @property
    def run_id(self) -> str:
        """The id of the run."""
        return self.task.run

    @property
    def node(self) -> str:
        """The node's name."""
        return self.task.node

    @property
    def attempt(self) -> int:
        """Which attempt of the node this is: 1, 2, 3."""
        return self.task.attempt

    @property
    def version(self) -> int:
        """The version of the graph that it was submitted from."""
        return self.task.version

    @property
    def decision(self) -> str | None:
        """The final state of the proposal that the node has waited for last; None if it has not."""
        return self.task.decision

    @property
    def dag(self) -> Dag:
        """The graph as it was when this attempt was submitted; after a wait, as the node's first call saw it, so that
        the same lines make the same proposals."""
        return self._dag(self.task.run, self.task.sees)

    def propose(
        self, change: Changeset | Dag, reason: str = "", *, key: str | None = None, priority: int = 0
    ) -> Proposed:
        """Put a change to the vote. `key` names it within the node: the same key again, also in a later attempt, is
        the same proposal; without one, the first proposal of an attempt is "1", and so on."""
        changeset = Changeset.between(self.dag, change) if isinstance(change, Dag) else change
        if not isinstance(changeset, Changeset):
            raise DagError(f"propose a Changeset or a Dag, not {type(change).__name__}")
        self._proposed += 1
        id_ = f"{self.task.run}/{self.task.node}-{key or self._proposed}"
        decided = (self.task.decisions or {}).get(id_)
        if decided is None:
            shipped, why = self._shipped(changeset), reason or changeset.reason
            self._say(Propose(time.time(), id_, shipped, self.task.proposer, why, priority, cause=self.task.node))
        return Proposed(id_, decided)

    def _shipped(self, changeset: Changeset) -> Changeset:
        """The changeset with its new code sent ahead."""
        nodes = {}
        for name, change in changeset.nodes.items():
            if change.new is not None and change.new.fn is not None:
                data = pack(change.new)
                digest = sha256(data).hexdigest()
                self._say(CodeBlob(digest, data))
                change = NodeChange(change.old, change.new.but(blob=digest))
            nodes[name] = change
        return Changeset(changeset.base, nodes, changeset.edges, changeset.handling)

    def wait_for(self, proposal: Proposed | str) -> str:
        """The final state of a proposal. Ends this attempt and frees its slot until it is decided; then the function
        is called again."""
        id_ = proposal if isinstance(proposal, str) else proposal.id
        decided = (self.task.decisions or {}).get(id_)
        if decided is None:
            raise Suspend(id_)
        return str(decided)

    def skip(self, why: str) -> NoReturn:
        """End this attempt: the node is skipped, with this reason, and has no result."""
        raise Skip(str(why) or "it skipped itself")

    def checkpoint(self, state: Any = UNCHANGED) -> None:
        """Save what the node has so far, at a safe point: whoever goes on with the node finds it in `restored`.

        Returns when it is in the journal, which takes some milliseconds. From here the node can be moved, and goes on
        after its worker has died; an attempt whose node goes on elsewhere ends here. Without a state it only asks
        whether the node is still this attempt's: right before it does something outside that must not be done twice."""
        self._save(state)
        if state is not UNCHANGED:
            self.saved[:] = [state]

    def progress(self, fraction: float, text: str = "") -> None:
        """Tell how far the node is, 0 to 1."""
        self._note(str(text), min(1.0, max(0.0, float(fraction))))

    def log(self, text: str) -> None:
        """Tell something."""
        self._note(str(text))

    def called(self, call: Call) -> None:
        """Record a question that this node has put to a model: it is journaled, and its cost is the run's."""
        self._say(Called(time.time(), self.task.proposer, call))

    def _note(self, text: str, fraction: float | None = None) -> None:
        self._say(Note(time.time(), self.task.node, self.task.fence, text, fraction, self.attempt))


_current: ContextVar[RunContext] = ContextVar("hexdag_lab_context")


def context() -> RunContext:
    """The `RunContext` of the node that is running here. Raises `HexdagError` outside of a node."""
    try:
        return _current.get()
    except LookupError:
        raise HexdagError("hx.context() is there only inside a node that a run is executing") from None


def enter(ctx: RunContext) -> None:
    """Make `ctx` the context of the code that is called from here."""
    _current.set(ctx)
