"""A lab's own Dask cluster: one scheduler process, some worker processes, all children of this one.

The scheduler has a process of its own because one in the notebook's process shares its GIL: a busy cell would delay
every node. All processes start at the same time on a port picked beforehand; they end with this process, however it
ends. A worker that dies is started again; one that is frozen is ended, so that what it ran can run elsewhere.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import psutil

from ...worker.needs import offered

SHORT_LIFE = 10.0  #: seconds; workers that die sooner are started again slower and slower
LONGEST_PAUSE = 2.0  #: seconds


class _Child(NamedTuple):
    process: subprocess.Popen[bytes]
    began: float

    @property
    def alive(self) -> bool:
        return self.process.poll() is None


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
        self._scheduler: _Child | None = None
        self._workers: dict[str, _Child] = {}
        self._started = 0
        self._short_lives = 0
        self._not_before = 0.0
        self._directory: Path | None = None
        self._lock = threading.Lock()  # a worker is started on one thread while the cluster is stopped on another

    def start(self) -> None:
        """Start all processes; returns at once, while they come up."""
        with self._lock:
            self._directory = Path(tempfile.mkdtemp(prefix="hexdag-cluster-"))
            self.address = f"tcp://127.0.0.1:{_free_port()}"
            self._scheduler = self._child("scheduler", {"port": int(self.address.rpartition(":")[2])})
            for number in range(self.count):
                self._start_worker(standby=number >= self.count - self.standby)

    def _start_worker(self, standby: bool) -> None:
        name = f"w{self._started}"
        self._started += 1
        self._workers[name] = self._child("worker", {
            "scheduler": self.address, "name": name, "nthreads": self.threads, "resources": self.resources,
            "standby": standby,
        })  # fmt: skip

    def _child(self, role: str, options: dict[str, Any]) -> _Child:
        assert self._directory is not None
        options |= {"path": import_paths(), "parent": os.getpid(), "directory": str(self._directory)}
        command = [sys.executable, "-m", "hexdag_lab.runtime.pools.child", role, json.dumps(options)]
        with (self._directory / f"{role}.log").open("ab") as log:
            process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=log, stderr=log, env=child_environment(), start_new_session=True
            )
        return _Child(process, time.monotonic())

    @property
    def folder(self) -> Path | None:
        """Where its processes write; None while there are none."""
        return self._directory

    def kill_workers(self) -> None:
        """End the workers at once: without a scheduler nobody hears of what they do."""
        with self._lock:
            for child in self._workers.values():
                _kill(child.process)

    @property
    def scheduler_alive(self) -> bool:
        return self._scheduler is not None and self._scheduler.alive

    def pids(self) -> dict[str, int]:
        """Process ids by name: "scheduler", "w0", "w1", ..."""
        children = {"scheduler": self._scheduler, **self._workers}
        return {name: child.process.pid for name, child in children.items() if child is not None and child.alive}

    @property
    def short_of_workers(self) -> bool:
        """Whether a worker has died and can be started again now."""
        dead = any(not child.alive for child in list(self._workers.values()))
        return (dead or len(self._workers) < self.count) and time.monotonic() >= self._not_before

    def revive(self) -> None:
        """Start a new worker for each that died."""
        with self._lock:
            if self._directory is None:
                return  # stopped meanwhile
            now = time.monotonic()
            for name, child in list(self._workers.items()):
                if not child.alive:
                    short = now - child.began < SHORT_LIFE
                    self._short_lives = self._short_lives + 1 if short else 0
                    del self._workers[name]
                    _reap(child)
            too_many = max(0, self._short_lives - self.count)
            self._not_before = now + min(LONGEST_PAUSE, 0.25 * too_many)
            while len(self._workers) < self.count:
                self._start_worker(standby=self.standby > 0)  # a standby has the place of the one that died

    def end_if_frozen(self, name: str) -> None:
        """Kill a worker that is silent because its process is stopped; one that computes and cannot answer goes on."""
        with self._lock:
            child = self._workers.get(name)
            if child is not None and _stopped(child.process.pid):
                _kill(child.process)

    def dismiss(self, name: str) -> None:
        """Go on without a worker that was asked to leave."""
        with self._lock:
            child = self._workers.pop(name, None)
            if child is not None:
                self.count -= 1
                _reap(child)

    def log_tail(self) -> str:
        """The last lines that the children wrote, to say why they did not come up."""
        if self._directory is None:
            return ""
        logs = sorted(self._directory.glob("*.log"))
        lines = [line for log in logs for line in log.read_text(errors="replace").splitlines()]
        return "\n".join(lines[-5:])

    def stop(self) -> None:
        """End all processes and remove their files."""
        with self._lock:
            for child in self._workers.values():
                _reap(child)
            if self._scheduler is not None:
                _reap(self._scheduler)
            self._workers, self._scheduler = {}, None
            if self._directory is not None:
                shutil.rmtree(self._directory, ignore_errors=True)
                self._directory = None


def import_paths() -> list[str]:
    """Where this process finds modules; another one finds them there, too."""
    return [path or str(Path.cwd()) for path in sys.path]


def child_environment() -> dict[str, str]:
    """The environment of another Python that imports what this one does."""
    return {**os.environ, "PYTHONPATH": os.pathsep.join(import_paths())}


def _reap(child: _Child) -> None:
    """End a child, its own children with it, and forget it. They have nothing that is worth a farewell."""
    if child.process.stdin is not None:
        child.process.stdin.close()
    _kill(child.process)
    child.process.wait()


def _kill(process: subprocess.Popen[bytes]) -> None:
    if hasattr(os, "killpg"):
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)  # it leads a session of its own
    else:
        process.kill()


def _stopped(pid: int) -> bool:
    with suppress(psutil.Error):
        return bool(psutil.Process(pid).status() == psutil.STATUS_STOPPED)
    return False


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
