"""`Roster`: the workers of a pool, made of what the scheduler says of them and of what they say of their nodes.

It asks nobody and does nothing: `look` is given the scheduler's rows, and answers with what has changed. It also counts
whose place is empty, so that a standby can take it.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping
from dataclasses import replace
from typing import Any, NamedTuple

from ...core.machine.messages import Started
from ...core.runs.attempt import Task
from ...core.runs.worker import Worker, WorkerState
from ...worker.process import ABOUT

LOOK = 1.0  #: seconds, the most that one look counts as silence: a scheduler that was stuck has heard nobody
MOST_NAMES = 20  #: that a sentence has
BEATS = 10  #: heartbeats that may be missing before a worker is held to have failed; Dask's own patience is the same
Attempt = tuple[str, str, int]
Rows = Mapping[str, Mapping[str, Any]]


class Change(NamedTuple):
    """A worker that is in another state, and why."""

    worker: str
    state: WorkerState
    why: str


class _Heard(NamedTuple):
    """A worker's last heartbeat by the scheduler's clock, and the seconds for which looks have seen no other since."""

    beat: float
    silent: float = 0.0


class Roster:
    """Workers by the address that Dask knows them by. `shared`: others may use them as well."""

    def __init__(self, shared: bool) -> None:
        self._shared = shared
        self.workers: dict[str, Worker] = {}
        self.vacant = 0  #: places of workers that have failed and that nobody has taken yet
        self._heard: dict[str, _Heard] = {}
        self._looked = 0.0
        self._runs: dict[Attempt, str] = {}  # what began and has not ended, on which worker
        self._made: dict[Attempt, str] = {}  # what has its result, from which worker
        self._repeats: dict[Attempt, int] = {}
        self._dropped: dict[Attempt, str] = {}  # what was given to a worker that died, and to which
        self._had: dict[str, list[Attempt]] = {}  # by address, what Dask had given to a worker that died
        self._leaving: dict[str, str] = {}  # by id, why

    # -- what workers say

    def began(self, attempt: Attempt, message: Started) -> Started:
        """An attempt has begun. If it had before, the message says so: the pool has run it again by itself."""
        before, made, dropped = self._runs.get(attempt), self._made.get(attempt), self._dropped.pop(attempt, None)
        self._runs[attempt] = message.worker
        if before is None and made is None:
            why = f"worker {dropped} died with it; nobody heard whether it had begun there" if dropped else ""
            return replace(message, why=why)
        repeat = self._repeats[attempt] = self._repeats.get(attempt, 0) + 1
        why = (
            f"its worker {before} is gone; the pool ran it again"
            if made is None
            else f"Dask lost its result with worker {made}, and something waits for it"
        )
        return replace(message, repeat=repeat, why=why)

    def ended(self, attempt: Attempt, made: str | None = None) -> None:
        """An attempt has ended; `made`: on which worker, if it has a result."""
        self._runs.pop(attempt, None)
        if made is not None:
            self._made[attempt] = made

    def had(self, attempt: Attempt) -> str:
        """The worker that an attempt was with last, as far as anybody has heard; empty if nobody has."""
        return self._dropped.get(attempt) or self._runs.get(attempt) or self._made.get(attempt, "")

    def unheard(self, attempt: Attempt, worker: str) -> bool:
        """Whether nobody has heard that an attempt began on a worker: neither that it runs there, nor that it ended."""
        return self._runs.get(attempt) != worker and self._made.get(attempt) != worker

    def where(self, attempts: Iterable[Attempt]) -> str:
        """The worker on which one of some attempts runs; empty if none does."""
        return next((self._runs[attempt] for attempt in attempts if attempt in self._runs), "")

    def has_begun(self, attempt: Attempt) -> bool:
        """Whether an attempt has said that it began; what has failed or was taken back is not known any more."""
        return attempt in self._runs or attempt in self._made

    def has_made(self, attempt: Attempt) -> bool:
        """Whether an attempt has said that it has its result."""
        return attempt in self._made

    def forget(self, live: Container[str], held: Container[Attempt]) -> None:
        """Keep only what is known of runs that go on, of results that are held, and of what runs on somebody here.

        A result that was let go of can still be made again by Dask, for what is chained to it."""
        here = {worker.id for worker in self.workers.values()}
        self._runs = {a: worker for a, worker in self._runs.items() if a[0] in live or worker in here}
        self._made = {a: worker for a, worker in self._made.items() if a[0] in live or a in held}
        self._repeats = {a: count for a, count in self._repeats.items() if a[0] in live or a in held}
        self._dropped = {a: worker for a, worker in self._dropped.items() if a[0] in live}

    def clear(self) -> None:
        """The scheduler is gone, and all that it knew."""
        self.workers, self._heard, self._runs, self._made, self._repeats = {}, {}, {}, {}, {}
        self._leaving, self._had, self._dropped, self.vacant = {}, {}, {}, 0

    # -- what the scheduler says

    def leaving(self, worker: str, why: str) -> None:
        """A worker is about to leave, as it was asked to: its place is not to be taken."""
        self._leaving[worker] = why

    def retired(self, address: str) -> None:
        """Somebody else has asked a worker to leave."""
        if (worker := self.workers.get(address)) is not None:
            self._leaving.setdefault(worker.id, "it was retired")

    def died(self, address: str, had: Iterable[Attempt]) -> None:
        """A worker is gone, and Dask gives what it had to others."""
        had = list(had)
        if address in self.workers:
            self._had[address] = had
        known = self.workers.get(address)  # one may die before the first look at it
        self._dropped |= dict.fromkeys(had, known.id if known is not None else address)

    def look(self, rows: Rows, now: float) -> list[Change]:
        """Take up the scheduler's rows; `now` is a clock that only rises. What has changed, but for nodes."""
        nodes: dict[str, list[str]] = {}
        for (_, node, _), worker in self._runs.items():
            nodes.setdefault(worker, []).append(node)
        rows = {address: row for address, row in rows.items() if row.get("status") != "init"}  # it is still joining
        since, self._looked = min(LOOK, now - self._looked), now
        self._heard = {address: _listened(self._heard.get(address), row, since) for address, row in rows.items()}
        patience = BEATS * _interval(len(rows))
        before, self.workers = (
            self.workers,
            {address: self._worker(address, row, nodes, patience) for address, row in sorted(rows.items())},
        )
        return [*self._gone(before), *self._moved(before)]

    def _worker(self, address: str, row: Mapping[str, Any], nodes: Mapping[str, list[str]], patience: float) -> Worker:
        id_, metrics, heard = str(row["name"]), row.get("metrics") or {}, self._heard[address]
        here = tuple(sorted(nodes.get(id_, ())))
        others = self._shared and bool((metrics.get("task_counts") or {}).get("executing"))
        state, why = WorkerState.BUSY if here or others else WorkerState.IDLE, ""
        if heard.silent > patience:
            state, why = WorkerState.FAILED, f"no heartbeat for {heard.silent:.0f} s"
        elif id_ in self._leaving:
            state, why = WorkerState.PAUSED, self._leaving[id_]
        elif row.get("status", "running") != "running":
            waits = (row.get(ABOUT) or {}).get("standby") and row.get("status") == "paused"
            state, why = (WorkerState.STANDBY, "") if waits else (WorkerState.PAUSED, f"Dask says {row.get('status')}")
        return Worker(
            id_, row.get("host") or address, state, here, row["nthreads"], tuple(sorted(row.get("resources") or ())),
            heard.beat, int(metrics.get("memory") or 0), row.get("memory_limit") or None, why,
        )  # fmt: skip

    def _gone(self, before: Mapping[str, Worker]) -> Iterable[Change]:
        for address, was in before.items():
            if address in self.workers:
                continue
            if was.id in self._leaving:
                yield Change(was.id, WorkerState.GONE, self._leaving.pop(was.id))
                continue
            self.vacant += was.state.works
            had = sorted({node for _, node, _ in self._had.pop(address, ())} | set(was.nodes))
            yield Change(was.id, WorkerState.FAILED, "its process is gone" + (f"; it had {_some(had)}" if had else ""))

    def _moved(self, before: Mapping[str, Worker]) -> Iterable[Change]:
        for address, worker in self.workers.items():
            was = before.get(address)
            if was is None:
                self.vacant = max(0, self.vacant - worker.state.works)
            elif was.state.works and worker.state is WorkerState.FAILED:
                self.vacant += 1
            elif worker.state.works and not was.state.works:
                self.vacant = max(0, self.vacant - 1)
            if was is not None and was.state is not worker.state and not (was.state.works and worker.state.works):
                yield Change(worker.id, worker.state, worker.why or _BACK.get(was.state, ""))

    def address(self, worker: str) -> str:
        """Where a worker is; empty if it is not there."""
        return next((address for address, row in self.workers.items() if row.id == worker), "")

    def places(self, task: Task) -> dict[str, str]:
        """The workers on which alone an attempt is to run, id by address; none: anywhere. A worker that is gone is no
        place, and where no other can run it, a node comes back to the one that it leaves."""
        if task.worker:
            return {address: row.id for address, row in self.workers.items() if row.id == task.worker}
        if not task.leaves:
            return {}
        others = {address: row for address, row in self.workers.items() if row.state.works and row.id != task.leaves}
        return {address: row.id for address, row in others.items() if task.requires <= set(row.capabilities)}

    def to_take_over(self) -> list[str]:
        """The addresses of the standbys whose turn it is."""
        waiting = [address for address, row in self.workers.items() if row.state is WorkerState.STANDBY]
        return sorted(waiting, key=lambda address: self.workers[address].id)[: self.vacant]

    @property
    def slots(self) -> int:
        """How many nodes can run at once."""
        return sum(worker.slots for worker in self.workers.values() if worker.state.works)

    @property
    def capabilities(self) -> tuple[frozenset[str], ...]:
        """What workers that take nodes can do, each set once, sorted."""
        found = {frozenset(worker.capabilities) for worker in self.workers.values() if worker.state.works}
        return tuple(sorted(found, key=sorted))


_BACK = {
    WorkerState.FAILED: "it is heard again",
    WorkerState.STANDBY: "it takes the place of one that failed",
    WorkerState.PAUSED: "Dask lets it go on",
}


def _some(names: list[str]) -> str:
    more = f" and {len(names) - MOST_NAMES} more" if len(names) > MOST_NAMES else ""
    return ", ".join(names[:MOST_NAMES]) + more


def _listened(heard: _Heard | None, row: Mapping[str, Any], since: float) -> _Heard:
    beat = float(row.get("last_seen") or 0)
    return _Heard(beat) if heard is None or heard.beat != beat else _Heard(beat, heard.silent + since)


def _interval(workers: int) -> float:
    """Seconds between the heartbeats of a worker, as Dask spaces them (distributed.scheduler.heartbeat_interval)."""
    for most, seconds in ((10, 0.5), (50, 1.0), (200, 2.0)):
        if workers < most:
            return seconds
    return workers / 200 + 1
