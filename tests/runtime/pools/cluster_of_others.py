"""A cluster that is not the lab's own, as somebody starts it from terminals: a scheduler and workers. Not a test."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.runtime.kit import until

BIN = Path(sys.executable).parent


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class Terminal:
    """A command that runs, and what it says."""

    def __init__(self, log: Path, *words: str) -> None:
        self.log = log
        with log.open("wb") as out:
            environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])}
            self.process = subprocess.Popen(
                words, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT, env=environment
            )

    def said(self) -> str:
        return self.log.read_text(errors="replace")

    def ended(self) -> int | None:
        """The exit code, once it has ended."""
        return self.process.poll()

    def says(self, words: str) -> Terminal:
        """Wait until it has said something; fails if it ends without."""
        until(lambda: words in self.said() or self.ended() is not None, words)
        assert words in self.said(), self.said()
        return self

    def end(self) -> None:
        self.process.terminate()
        try:
            self.process.wait(15)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


class Cluster:
    """Terminals around one scheduler. `tls`: options of both sides."""

    def __init__(self, folder: Path, tls: Sequence[str] = ()) -> None:
        self.folder, self.tls = folder, tuple(tls)
        self.address = f"{'tls' if tls else 'tcp'}://127.0.0.1:{free_port()}"
        self.terminals: list[Terminal] = []

    def open(self, *words: str) -> Terminal:
        terminal = Terminal(self.folder / f"{len(self.terminals)}.log", *words)
        self.terminals.append(terminal)
        return terminal

    def scheduler(self) -> Terminal:
        protocol, _, place = self.address.partition("://")
        host, port = place.split(":")
        words = ("--protocol", protocol, "--host", host, "--port", port, "--no-dashboard", *self.tls)
        return self.open(str(BIN / "dask"), "scheduler", *words).says("Scheduler at:")

    def worker(self, name: str, *words: str) -> Terminal:
        options = ("--name", name, "--wait", "10", *self.tls, *words)
        return self.open(str(BIN / "hexdag-lab"), "worker", self.address, *options)


@contextmanager
def cluster(folder: Path, tls: Sequence[str] = ()) -> Iterator[Cluster]:
    """A scheduler, to which workers can be added."""
    found = Cluster(folder, tls)
    try:
        found.scheduler()
        yield found
    finally:
        for terminal in reversed(found.terminals):
            terminal.end()
