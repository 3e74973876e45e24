"""`Task`: everything that one attempt of one node needs, as data; what a pool is given."""

from __future__ import annotations

from typing import Any, NamedTuple

from .run import Failure
from .value import Kept


class Input(NamedTuple):
    """One value that a node gets: under `param` ("*": into its collector as `up`, None: order only).

    It is either kept (`kept`), or made by an attempt in the pool (`up`, `fence`).
    """

    param: str | None
    up: str
    fence: int
    kept: Kept | None = None

    @property
    def from_pool(self) -> bool:
        """Whether it is to be had in the pool's memory only, or has to be waited for there."""
        if not self.up:
            return False
        return self.kept is None or (self.kept.where == "pool" and self.param is not None)


class Task(NamedTuple):
    """One attempt. `fence` rises with each submission of a node in a run, and only the current one's result counts;
    `attempt` is what people count: 1, and one more after each attempt that ended without a result."""

    run: str
    node: str
    fence: int
    attempt: int
    version: int
    sees: int  # the version whose graph the node is shown: after a wait, that of its first call
    code: str  # the shipped pickle: "SHA-256.HMAC", hexadecimal
    params: Any  # FrozenDict of plain values
    inputs: tuple[Input, ...]
    requires: frozenset[str] = frozenset()
    timeout: float | None = None
    durable: bool | None = None
    priority: int = 0
    label: str = ""  # the function's name: a stable prefix for schedulers that learn durations by it
    saved: Kept | None = None
    decision: str | None = None
    decisions: Any = None  # FrozenDict: proposal -> what was decided
    proposer: str = ""  # the agent in whose name ctx.propose proposes
    positional: tuple[str, ...] = ()
    collector: str | None = None
    # the shipped function of the agent that the node is given to, which runs in place of its own
    runs: str | None = None
    worker: str = ""  # where it is to run, if it is there; empty: anywhere
    leaves: str = ""  # where it is not to run, if there is another that can
    effects: bool = False  # it acts on the outside world: the pool does not run it again by itself
    failure: Failure | None = None  # call `on_error` with it, in place of the function
    shares: bool = False  # the pool may run it in one task of its own with others
