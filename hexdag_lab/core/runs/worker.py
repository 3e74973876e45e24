"""A worker as people see it: who it is, how it is, what it runs. Plain data, of which a pool knows the source."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from enum import StrEnum
from typing import Any

from ..base.codec import enum, record


@enum
class WorkerState(StrEnum):
    """idle, busy    it takes nodes; runs none, or some
    paused        it finishes what it runs and takes nothing more
    failed        it is silent, or its process died
    standby       it waits, paused, to take the place of one that fails
    gone          it has left, as it was asked to
    """

    IDLE = "idle"
    BUSY = "busy"
    PAUSED = "paused"
    FAILED = "failed"
    STANDBY = "standby"
    GONE = "gone"

    @property
    def works(self) -> bool:
        """Whether it takes nodes."""
        return self in (WorkerState.IDLE, WorkerState.BUSY)

    @property
    def meaning(self) -> str:
        """The state as the end of a sentence that begins with the worker."""
        return "takes nodes" if self.works else {"failed": "failed", "gone": "left"}.get(self.value, f"is {self.value}")


@record
class Worker(Mapping[str, Any]):
    """One worker. Also a mapping of plain data, so that `dict(worker)` is a row of a table.

    nodes      what it runs now, `node` is the first of them;  slots  how many it can run at once
    heartbeat  unix seconds, by its scheduler's clock, at which it was last heard of; None: it is this very process
    memory     bytes that its process uses;  limit  bytes that it may use, None: no limit
    why        why it is paused or failed
    """

    id: str
    host: str = ""
    state: WorkerState = WorkerState.IDLE
    nodes: tuple[str, ...] = ()
    slots: int = 1
    capabilities: tuple[str, ...] = ()
    heartbeat: float | None = None
    memory: int = 0
    limit: int | None = None
    why: str = ""

    @property
    def node(self) -> str:
        """The first of the nodes that it runs; empty while it runs none."""
        return self.nodes[0] if self.nodes else ""

    def __getitem__(self, key: str) -> Any:
        if key not in COLUMNS:
            raise KeyError(key)
        value = getattr(self, key)
        return list(value) if isinstance(value, tuple) else value

    def __iter__(self) -> Iterator[str]:
        return iter(COLUMNS)

    def __len__(self) -> int:
        return len(COLUMNS)


COLUMNS = (
    "id", "host", "state", "node", "nodes", "slots", "capabilities", "heartbeat", "memory", "limit", "why",
)  # fmt: skip
