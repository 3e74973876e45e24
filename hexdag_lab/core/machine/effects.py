"""What the outside world has to do, after the events that caused it are in the journal."""

from __future__ import annotations

from typing import Any, NamedTuple

from ..dag.changeset import Changeset
from ..dag.dag import Dag
from ..runs.attempt import Task
from ..runs.reuse import Recipe


class Submit(NamedTuple):
    """Give attempts to the pool."""

    tasks: tuple[Task, ...]


class Recall(NamedTuple):
    """Take attempts (node, fence) back from the pool."""

    attempts: tuple[tuple[str, int], ...]


class Hold(NamedTuple):
    """Keep attempts (node, fence) from beginning, or beginning again if a worker dies. Each says whether it began."""

    attempts: tuple[tuple[str, int], ...]


class Answer(NamedTuple):
    """Tell an attempt that waits at its safe point of that number whether to go on; if not, its node is not its any
    more."""

    worker: str
    node: str
    fence: int
    number: int
    go_on: bool


class Forget(NamedTuple):
    """The pool may let go of these results (node, fence): they are kept elsewhere."""

    attempts: tuple[tuple[str, int], ...]


class Publish(NamedTuple):
    """Let workers see a version: the first as a graph, later ones as changesets."""

    version: int
    change: Dag | Changeset


class LookUp(NamedTuple):
    """Look for kept results by action key; `sought` are (node, key)."""

    sought: tuple[tuple[str, str], ...]


class Index(NamedTuple):
    """Let a result be found by its action key. Unlike all else, this belongs into the commit of the events.

    `seq` is the event that has the result; `recipe` what it was made from."""

    key: str
    node: str
    version: int
    seconds: float
    seq: int
    recipe: Recipe


class AskVote(NamedTuple):
    """Ask an agent for its ballot."""

    proposal: str
    agent: str


class Reply(NamedTuple):
    """Answer the command: an id or True, or a `Refused`."""

    value: Any


Effect = Submit | Recall | Hold | Answer | Forget | Publish | LookUp | Index | AskVote | Reply
