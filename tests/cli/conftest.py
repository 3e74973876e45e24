"""The command line as real processes, in a directory of their own; on a terminal where a test wants one."""

from __future__ import annotations

import os
import pty
import re
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

COMMAND = [sys.executable, "-m", "hexdag_lab"]
ANSI = re.compile(r"\x1b(\[[0-9;?]*[A-Za-z]|\][^\x07]*\x07)")


class Shell:
    """Runs `hexdag-lab` in one directory."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.environment = {**os.environ, "COLUMNS": "120", "PYTHONPATH": os.pathsep.join([*sys.path, ""])}
        self.environment.pop("HEXDAG_STORE", None)
        self._children: list[subprocess.Popen[Any]] = []
        self._terminals: list[int] = []

    def __call__(self, *arguments: str, code: int = 0, seconds: float = 60) -> str:
        """What a command prints; it must end with that exit code, and show no traceback of ours."""
        done = self.run(*arguments, seconds=seconds)
        text = done.stdout + done.stderr
        assert done.returncode == code, text
        assert "Traceback" not in text
        return text

    def run(self, *arguments: str, seconds: float = 60) -> subprocess.CompletedProcess[str]:
        """A command and how it ended; without a terminal."""
        return subprocess.run(
            [*COMMAND, *arguments], cwd=self.home, env=self.environment, stdin=subprocess.DEVNULL, capture_output=True,
            text=True, timeout=seconds, check=False,
        )  # fmt: skip

    def shows(self, text: str, *arguments: str, seconds: float = 40) -> None:
        """Repeat a command until it shows some text."""
        until(lambda: text in self.run(*arguments).stdout, seconds)

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """A command that goes on while the test does something else; without a terminal."""
        child = subprocess.Popen(
            [*COMMAND, *arguments], cwd=self.home, env=self.environment, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip
        self._children.append(child)
        return child

    def on_terminal(self, *arguments: str) -> Terminal:
        """A command on a terminal of its own."""
        ours, theirs = pty.openpty()
        child = subprocess.Popen(
            [*COMMAND, *arguments], cwd=self.home, env={**self.environment, "TERM": "xterm", "LINES": "40"},
            stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True,
        )  # fmt: skip
        os.close(theirs)
        self._children.append(child)
        self._terminals.append(ours)
        return Terminal(child, ours)

    def end(self) -> None:
        for child in self._children:
            if child.poll() is None:
                child.send_signal(signal.SIGKILL)
            child.wait()
            if child.stdout is not None:
                child.stdout.close()
        for terminal in self._terminals:
            os.close(terminal)


class Terminal:
    """A process on a pseudo-terminal: what it shows, and what a person types."""

    def __init__(self, child: subprocess.Popen[bytes], fd: int) -> None:
        self.child, self._fd, self.shown = child, fd, ""

    def wait_for(self, text: str, timeout: float = 40) -> None:
        """Read until some text has been shown."""
        give_up = time.monotonic() + timeout
        while text not in self.shown:
            assert time.monotonic() < give_up, f"{text!r} was not shown in:\n{self.shown[-3000:]}"
            assert self._read(), f"it ended without {text!r} in:\n{self.shown[-3000:]}"

    def type(self, text: str) -> None:
        os.write(self._fd, text.encode())

    def end(self, timeout: float = 40) -> int:
        """Read until the process has ended; its exit code."""
        give_up = time.monotonic() + timeout
        while self._read():
            assert time.monotonic() < give_up, f"it did not end:\n{self.shown[-3000:]}"
        return self.child.wait(10)

    def _read(self) -> bool:
        """Read what is there; False once the other end is closed."""
        if not select.select([self._fd], [], [], 0.1)[0]:
            return True
        try:
            data = os.read(self._fd, 65536)
        except OSError:
            return False
        self.shown += ANSI.sub("", data.decode("utf-8", "replace"))
        return bool(data)


@pytest.fixture
def shell(tmp_path: Path) -> Iterator[Shell]:
    made = Shell(tmp_path)
    yield made
    made.end()


def until(met: Callable[[], Any], seconds: float = 30) -> None:
    """Wait until something holds."""
    give_up = time.monotonic() + seconds
    while not met():
        assert time.monotonic() < give_up, "it did not come about"
        time.sleep(0.02)
