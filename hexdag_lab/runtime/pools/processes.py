"""How the processes of a lab's own cluster begin and end, with whatever they start themselves.

Most of the second in which a process of Dask comes up is spent on imports. So one process imports, and forks the others
from there: they take a hundredth of that, also when one that died is replaced later. Only Linux is known to bear a fork
after imports; elsewhere each is an interpreter of its own. What they run is in `child`.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import psutil

FORKS = sys.platform == "linux"


class Child(NamedTuple):
    """A process that leads a group of its own, and when it began on the monotonic clock."""

    pid: int
    began: float

    @property
    def alive(self) -> bool:
        """Whether it runs; one that has ended keeps its number until it is reaped."""
        return self._status not in ("", psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD)

    @property
    def stopped(self) -> bool:
        """Whether the system has stopped it, as by SIGSTOP."""
        return self._status == psutil.STATUS_STOPPED

    @property
    def _status(self) -> str:
        with suppress(psutil.Error):
            return str(psutil.Process(self.pid).status())
        return ""

    def kill(self) -> None:
        """End it, and its own children with it."""
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)


class Processes:
    """The processes of one cluster, whose files are in `directory`. One thread at a time begins and reaps them."""

    def __init__(self, directory: Path) -> None:
        self._directory, self._forks = directory, FORKS
        self._server: subprocess.Popen[bytes] | None = None
        self._interpreters: dict[int, subprocess.Popen[bytes]] = {}
        self._closing = threading.Lock()
        self._closed = False

    def begin(self, role: str, options: dict[str, Any]) -> Child:
        """A new "scheduler" or "worker". Raises `OSError` if none comes of it."""
        line = json.dumps({"role": role, "path": import_paths(), **options})
        if self._forks:
            return Child(self._ask(line), time.monotonic())
        process = self._interpreter("once", f"dask-{role}")
        self._interpreters[process.pid] = process
        _write(process, line)
        return Child(process.pid, time.monotonic())

    def reap(self, child: Child) -> None:
        """End a process and forget it. They have nothing that is worth a farewell."""
        child.kill()
        if self._forks:
            with suppress(OSError):  # the one that forked it is gone, and so is this one
                self._ask(str(child.pid))
        elif (process := self._interpreters.pop(child.pid, None)) is not None:
            _end(process)

    def close(self) -> None:
        """Begin nothing more; from any thread, also while `begin` waits on another. What is to be reaped was before."""
        with self._closing:
            self._closed = True
            if self._server is not None:
                _end(self._server)

    def _ask(self, line: str) -> int:
        """The number that the process which forks the others answers with."""
        with self._closing:
            if self._closed:
                raise OSError("the cluster is being stopped")
            self._server = self._server or self._interpreter("fork")
        with suppress(BrokenPipeError):
            _write(self._server, line)
        assert self._server.stdout is not None
        if not (said := self._server.stdout.readline()):
            raise OSError("the process that begins the others has ended")
        return int(said)

    def _interpreter(self, *mode: str) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "hexdag_lab.runtime.pools.child", str(self._directory), *mode]
        with (self._directory / "begin.log").open("ab") as log:
            return subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE if self._forks else log, stderr=log,
                env=child_environment(), start_new_session=True,
            )  # fmt: skip


def _write(process: subprocess.Popen[bytes], line: str) -> None:
    assert process.stdin is not None
    process.stdin.write(line.encode() + b"\n")
    process.stdin.flush()


def _end(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    process.wait()
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            with suppress(OSError):  # what could not be written any more
                pipe.close()


def import_paths() -> list[str]:
    """Where this process finds modules; another one finds them there, too."""
    return [path or str(Path.cwd()) for path in sys.path]


def child_environment() -> dict[str, str]:
    """The environment of another Python that imports what this one does."""
    return {**os.environ, "PYTHONPATH": os.pathsep.join(import_paths())}
