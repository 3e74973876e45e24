"""A lab's own Dask cluster: one scheduler process, some worker processes, all children of this one.

The scheduler has a process of its own because one in the notebook's process shares its GIL: a busy cell would delay
every node. All processes start at the same time on a port picked beforehand; they end with this process, however it
ends. A worker that dies is started again.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any


class OwnCluster:
    """Scheduler and workers on 127.0.0.1. `workers` processes (default: one a core) of `threads` slots each.

    `capabilities`: what every worker can do, as in `@node(requires={"gpu"})`.
    """

    def __init__(
        self, workers: int | None = None, threads: int = 1, capabilities: Iterable[str] = ()
    ) -> None:
        self.count = (
            workers or len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else workers or 2
        )
        self.threads = threads
        self.resources = dict.fromkeys(capabilities, 1000.0)
        self.address = ""
        self._scheduler: subprocess.Popen[bytes] | None = None
        self._workers: dict[str, subprocess.Popen[bytes]] = {}
        self._started = 0
        self._directory: Path | None = None

    def start(self) -> None:
        """Start all processes; returns at once, while they come up."""
        self._directory = Path(tempfile.mkdtemp(prefix="hexdag-cluster-"))
        self.address = f"tcp://127.0.0.1:{_free_port()}"
        self._scheduler = self._child("scheduler", {"port": int(self.address.rpartition(":")[2])})
        for _ in range(self.count):
            self._start_worker()

    def _start_worker(self) -> None:
        name = f"w{self._started}"
        self._started += 1
        options = {
            "scheduler": self.address, "name": name, "nthreads": self.threads,
            "directory": str(self._directory), "resources": self.resources,
        }  # fmt: skip
        self._workers[name] = self._child("worker", options)

    def _child(self, role: str, options: dict[str, Any]) -> subprocess.Popen[bytes]:
        assert self._directory is not None
        options["path"] = [path or str(Path.cwd()) for path in sys.path]
        command = [sys.executable, "-m", "hexdag_lab.runtime.pools.child", role, json.dumps(options)]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(options["path"])}
        with (self._directory / f"{role}.log").open("ab") as log:
            return subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                env=environment,
                start_new_session=True,
            )

    @property
    def scheduler_alive(self) -> bool:
        return self._scheduler is not None and self._scheduler.poll() is None

    def pids(self) -> dict[str, int]:
        """Process ids by name: "scheduler", "w0", "w1", ..."""
        found = {name: child.pid for name, child in self._workers.items() if child.poll() is None}
        return {"scheduler": self._scheduler.pid, **found} if self._scheduler else found

    def revive(self) -> list[str]:
        """Start a new worker for each that died; names of the dead."""
        dead = [name for name, child in self._workers.items() if child.poll() is not None]
        for name in dead:
            del self._workers[name]
            self._start_worker()
        return dead

    def log_tail(self) -> str:
        """The last lines that the children wrote, to say why they did not come up."""
        if self._directory is None:
            return ""
        lines = [
            line for log in sorted(self._directory.glob("*.log")) for line in log.read_text().splitlines()
        ]
        return "\n".join(lines[-5:])

    def stop(self) -> None:
        """End all processes and remove their files."""
        children = [*self._workers.values(), *([self._scheduler] if self._scheduler else [])]
        for child in children:
            if child.stdin:
                child.stdin.close()  # the child sees the end of its input and leaves
        for child in children:
            try:
                child.wait(5)
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait(5)
        self._workers, self._scheduler = {}, None
        if self._directory is not None:
            shutil.rmtree(self._directory, ignore_errors=True)
            self._directory = None


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
