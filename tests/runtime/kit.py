"""What the tests of the runtime share: witnesses that nodes leave, gates that they wait at, and waiting with an end."""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

PATIENCE = 30.0  #: seconds that anything in a test may take


def ran(witness: str, name: str) -> None:
    """Called by a node: write down that it ran. Independent of the journal, and whole however the process ends."""
    handle = os.open(witness, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    try:
        os.write(handle, f"{name} {os.getpid()}\n".encode())
    finally:
        os.close(handle)


def executions(witness: Path) -> Counter[str]:
    """How often each node ran."""
    return Counter(line.split()[0] for line in _lines(witness))


def pids(witness: Path, name: str) -> list[int]:
    """The processes in which a node ran, in order."""
    return [int(line.split()[1]) for line in _lines(witness) if line.split()[0] == name]


def _lines(witness: Path) -> list[str]:
    return witness.read_text().splitlines() if witness.exists() else []


def pass_gate(gate: str) -> None:
    """Called by a node: wait until the test opens a gate."""
    give_up = time.monotonic() + PATIENCE
    while not os.path.exists(gate):  # noqa: PTH110
        if time.monotonic() > give_up:
            raise TimeoutError(f"the gate {gate} stays shut")
        time.sleep(0.002)


def open_gate(gate: Path) -> None:
    gate.touch()


def until(met: Callable[[], Any], what: str = "", seconds: float = PATIENCE) -> Any:
    """The first true value of `met`; fails after some seconds."""
    give_up = time.monotonic() + seconds
    while not (found := met()):
        assert time.monotonic() < give_up, f"not within {seconds:g} s: {what or met}"
        time.sleep(0.005)
    return found


def alive(pid: int) -> bool:
    """Whether a process runs; one that only waits to be reaped does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()[0] not in (b"Z", b"X")
    except OSError:
        return False
