"""A lab's own Dask cluster: one scheduler process, some worker processes, all begun by this one.

The scheduler has a process of its own because one in the notebook's process shares its GIL: a busy cell would delay
every node. All processes start at the same time on a port picked beforehand; they end with this process, however it
ends. A worker that dies is started again; one that is frozen is ended, so that what it ran can run elsewhere.
"""

from __future__ import annotations

import os
import shutil
import socket
import tempfile
import threading
import time
from collections.abc import Iterable
from pathlib import Path

from ...worker.needs import offered
from .processes import Child, Processes

SHORT_LIFE = 10.0  #: seconds; workers that die sooner are started again slower and slower
LONGEST_PAUSE = 2.0  #: seconds


class OwnCluster:
    """Scheduler and workers on 127.0.0.1. `workers` processes (default: one a core) of `threads` slots each.

    `standby` further ones wait, until one of these fails, and take its place. `capabilities`: what every worker can do,
    as in `@node(requires={"gpu"})`.
    """

    def __init__(
        self, workers: int | None = None, threads: int = 1, capabilities: Iterable[str] = (), standby: int = 0
    ) -> None:
        self.count = (workers or _cores()) + standby
        self.threads, self.standby = threads, standby
        self.resources = offered(capabilities)
        self.address = ""
        self._processes: Processes | None = None
        self._scheduler: Child | None = None
        self._workers: dict[str, Child] = {}
        self._started = 0
        self._short_lives = 0
        self._not_before = 0.0
        self._directory: Path | None = None
        self._lock = threading.Lock()  # a worker is started on one thread while the cluster is stopped on another

    def start(self) -> None:
        """Start all processes, and return while they come up. Raises `OSError` if that cannot be, or if the cluster is
        stopped meanwhile."""
        with self._lock:
            self._directory = Path(tempfile.mkdtemp(prefix="hexdag-cluster-"))
            self.address = f"tcp://127.0.0.1:{_free_port()}"
            self._processes = processes = Processes(self._directory)
            self._scheduler = processes.begin("scheduler", {"port": int(self.address.rpartition(":")[2])})
            for number in range(self.count):
                self._start_worker(processes, standby=number >= self.count - self.standby)

    def _start_worker(self, processes: Processes, standby: bool) -> None:
        name = f"w{self._started}"
        self._started += 1
        self._workers[name] = processes.begin("worker", {
            "scheduler": self.address, "name": name, "nthreads": self.threads, "resources": self.resources,
            "standby": standby,
        })  # fmt: skip

    @property
    def folder(self) -> Path | None:
        """Where its processes write; None while there are none."""
        return self._directory

    def kill_workers(self) -> None:
        """End the workers at once: without a scheduler nobody hears of what they do."""
        with self._lock:
            for child in self._workers.values():
                child.kill()

    @property
    def scheduler_alive(self) -> bool:
        return self._scheduler is not None and self._scheduler.alive

    def pids(self) -> dict[str, int]:
        """Process ids by name: "scheduler", "w0", "w1", ..."""
        children = {"scheduler": self._scheduler, **self._workers}
        return {name: child.pid for name, child in children.items() if child is not None and child.alive}

    @property
    def short_of_workers(self) -> bool:
        """Whether a worker has died and can be started again now."""
        dead = any(not child.alive for child in list(self._workers.values()))
        return (dead or len(self._workers) < self.count) and time.monotonic() >= self._not_before

    def revive(self) -> None:
        """Start a new worker for each that died."""
        with self._lock:
            if (processes := self._processes) is None:
                return  # stopped meanwhile
            now = time.monotonic()
            for name, child in list(self._workers.items()):
                if not child.alive:
                    short = now - child.began < SHORT_LIFE
                    self._short_lives = self._short_lives + 1 if short else 0
                    del self._workers[name]
                    processes.reap(child)
            too_many = max(0, self._short_lives - self.count)
            self._not_before = now + min(LONGEST_PAUSE, 0.25 * too_many)
            while len(self._workers) < self.count:
                self._start_worker(processes, standby=self.standby > 0)  # a standby has the place of the one that died

    def end_if_frozen(self, name: str) -> None:
        """Kill a worker that is silent because its process is stopped; one that computes and cannot answer goes on."""
        with self._lock:
            child = self._workers.get(name)
            if child is not None and child.stopped:
                child.kill()

    def dismiss(self, name: str) -> None:
        """Go on without a worker that was asked to leave."""
        with self._lock:
            child = self._workers.pop(name, None)
            if child is not None and self._processes is not None:
                self.count -= 1
                self._processes.reap(child)

    def log_tail(self) -> str:
        """The last lines that the children wrote, to say why they did not come up."""
        if self._directory is None:
            return ""
        logs = sorted(self._directory.glob("*.log"))
        lines = [line for log in logs for line in log.read_text(errors="replace").splitlines()]
        return "\n".join(lines[-5:])

    def stop(self) -> None:
        """End all processes and remove their files."""
        if (processes := self._processes) is not None and self._scheduler is None:
            processes.close()  # so that `start` on another thread does not wait for it to come up
        with self._lock:
            if (processes := self._processes) is None:
                return
            children = [*self._workers.values(), *([self._scheduler] if self._scheduler is not None else ())]
            for child in children:
                child.kill()
            for child in children:
                processes.reap(child)
            processes.close()
            self._processes, self._workers, self._scheduler = None, {}, None
            if self._directory is not None:
                shutil.rmtree(self._directory, ignore_errors=True)
                self._directory = None


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
