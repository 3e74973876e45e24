"""The worker's side of a Dask pool: run a task, and say what happens over Dask's event topics.

A report goes out before the task's own end does, on the same stream, so the controller hears of a node's success no
later than of its downstream's start. What is only nice to know (a start, progress) waits up to 5 ms for company.
"""

from __future__ import annotations

import pickle
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from typing import Any

from distributed import get_worker
from distributed.utils import sync

from ..core.base.codec import dumps
from ..core.dag.dag import Dag
from ..core.machine.messages import Started
from ..core.runs.attempt import Task

from .blobs import FileBlobs
from .context import Note
from .execute import NOTHING, Outcome, World, execute
from .versions import Versions

COMPANY = 0.005  #: seconds that unurgent reports wait for others


def run_task(topic: str, payload: bytes, code: bytes, upstream: list[Outcome]) -> Outcome:
    """One attempt on this Dask worker. `upstream` are the outcomes of the inputs made in the pool, in order."""
    task, blobs_url = pickle.loads(payload)
    desk = _desk(topic, blobs_url)
    names = [wanted.up for wanted in task.inputs if from_pool(wanted)]
    outcome = execute(task, code, dict(zip(names, upstream, strict=True)), desk.sayer(task), desk.world)
    desk.flush()
    return outcome


def from_pool(wanted: Any) -> bool:
    """Whether an input is to be had in the pool's memory only."""
    return bool(wanted.up) and (wanted.kept is None or wanted.kept.where == "pool")


def probe(url: str) -> bool:
    """Whether this worker can write to and read from a blob store."""
    try:
        blobs = FileBlobs(url)
        return blobs.get(blobs.put(b"probe")) == b"probe"
    except Exception:  # any failure at all means: not from here
        return False


class _Desk:
    """Reports of one lab from one worker process."""

    def __init__(self, topic: str, blobs_url: str | None) -> None:
        self._topic = topic
        self._worker = get_worker()
        self._out: deque[tuple[str, bytes]] = deque()
        self._flush_due = False
        self._lock = threading.Lock()
        self._versions = Versions(self._fetch_version)
        blobs = FileBlobs(blobs_url) if blobs_url else None
        later = ThreadPoolExecutor(1, thread_name_prefix="hexdag-keep")
        self.world = World(
            worker=str(self._worker.name),
            fetch=blobs.get if blobs else _nowhere,
            keep=blobs.put if blobs else None,
            dag=self._dag,
            later=lambda work: _ignore(later.submit(work)),
        )

    def sayer(self, task: Task) -> Callable[[Any], None]:
        def say(message: Any) -> None:
            self._out.append((task.run, dumps(message)))
            if isinstance(message, Started | Note):
                self._flush_soon()
            else:
                self.flush()

        return say

    def flush(self) -> None:
        """Send what there is, in order."""
        with self._lock:
            rows = []
            while self._out:
                rows.append(self._out.popleft())
            if rows:
                self._worker.log_event(self._topic, rows)

    def _flush_soon(self) -> None:
        if not self._flush_due:
            self._flush_due = True
            self._worker.loop.add_callback(self._worker.loop.call_later, COMPANY, self._flush_now)

    def _flush_now(self) -> None:
        self._flush_due = False
        self.flush()

    def _dag(self, run: str, version: int) -> Dag:
        return self._versions.dag(run, version)

    def _fetch_version(self, run: str, version: int) -> bytes:
        keys = version_keys(run, version)
        data = sync(self._worker.loop, self._worker.scheduler.get_metadata, keys=keys, default=None)
        if data is None:
            raise KeyError(f"version {version} of run {run} is not known to the scheduler")
        return bytes(data)


def version_keys(run: str, version: int) -> list[str]:
    """Where a version lies in the scheduler's metadata."""
    return ["hexdag", run, str(version)]


@lru_cache(maxsize=8)
def _desk(topic: str, blobs_url: str | None) -> _Desk:
    return _Desk(topic, blobs_url)


def _ignore(_: object) -> None:
    return None


def _nowhere(sha256: str) -> bytes:
    raise OSError(f"blob {sha256[:12]} cannot be read on this worker: it does not reach the lab's blob store")


__all__ = ["NOTHING", "probe", "run_task", "version_keys"]
