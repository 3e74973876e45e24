"""`Packing`: attempts as Dask tasks: under which key, and with what code."""

from __future__ import annotations

import pickle
import re
from collections.abc import Callable, Sequence
from typing import Any

from ...core.runs.attempt import Task
from ...worker.dask import run_bundle, run_task
from .link import Link

LARGE_CODE = 16 * 1024  #: bytes; larger code is sent once per worker, not once per task
MOST_CODE = 64  #: pieces of large code that stay on the cluster

Code = Callable[[str], bytes]
"""The bytes of code by its reference."""


class Packing:
    """For one lab, known by its topic."""

    def __init__(self, topic: str, link: Link) -> None:
        self._topic, self._link = topic, link
        self._code: dict[str, Any] = {}

    def key(self, group: Sequence[Task]) -> str:
        """A Dask key with a stable prefix: the scheduler learns durations by it."""
        task = group[0]
        label = re.sub(r"\W", "_", task.label.rpartition(".")[2]) or "node"
        return f"{label}{'_bundle' if len(group) > 1 else ''}-{self._topic}_{task.run}_{task.node}_{task.fence}"

    def alone(self, task: Task, upstream: list[Any], code: Code) -> tuple[Any, ...]:
        """One attempt; `upstream` are the keys or futures of the inputs that are in the pool."""
        payload = pickle.dumps((task, self._link.blobs), protocol=5)
        return run_task, self._topic, payload, self._shipped(code(task.code), task.code), *upstream

    def together(self, key: str, group: Sequence[Task], code: Code) -> tuple[Any, ...]:
        """A bundle, under its key. Code is in it once for each kind of node."""
        kinds = {reference: number for number, reference in enumerate(dict.fromkeys(task.code for task in group))}
        tasks = tuple((task, kinds[task.code]) for task in group)
        payload = pickle.dumps((key, tasks, self._link.blobs), protocol=5)  # a key beside it would be a dependency
        return run_bundle, self._topic, payload, [self._shipped(code(kind), kind) for kind in kinds]

    def _shipped(self, data: bytes, reference: str) -> Any:
        """Small code goes with each task; large code is one more key that workers fetch once."""
        if len(data) <= LARGE_CODE:
            return data
        future = self._code.pop(reference, None)
        if future is None:
            key = f"hexdag_code-{self._topic}_{reference.partition('.')[0]}"
            future = self._link.get({key: (bytes, data)}, None)[key]
        self._code[reference] = future  # the last that is let go
        while len(self._code) > MOST_CODE:
            self._code.pop(next(iter(self._code))).release()
        return future

    def release(self) -> None:
        """Let go of what is on the cluster."""
        for future in self._code.values():
            future.release()

    def clear(self) -> None:
        """What was on the cluster is gone with it."""
        self._code.clear()
