"""Lines typed while a screen is drawn: the terminal neither echoes nor holds them back, so the screen can show them."""

from __future__ import annotations

import os
import select
import sys
import termios
import time
from types import TracebackType
from typing import Any


class Keys:
    """A context in which `read()` gives what was typed; Ctrl-C still interrupts. `line` is what is typed so far."""

    def __init__(self) -> None:
        self.line = ""
        self._ended = False
        self._before: list[Any] | None = None

    def __enter__(self) -> Keys:
        self._fd = sys.stdin.fileno()
        self._before = termios.tcgetattr(self._fd)
        modes = termios.tcgetattr(self._fd)
        modes[3] &= ~(termios.ICANON | termios.ECHO)
        termios.tcsetattr(self._fd, termios.TCSADRAIN, modes)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._before is not None
        termios.tcsetattr(self._fd, termios.TCSADRAIN, self._before)

    def read(self, seconds: float) -> str | None:
        """A finished line, or None if there is none after so many seconds; an empty one is no answer."""
        if self._ended or not select.select([self._fd], [], [], seconds)[0]:
            time.sleep(seconds if self._ended else 0)
            return None
        for character in self._typed():
            if character in "\r\n":
                line, self.line = self.line.strip(), ""
                if line:
                    return line
            elif character in "\x7f\b":
                self.line = self.line[:-1]
            elif character.isprintable():
                self.line += character
        return None

    def _typed(self) -> str:
        try:
            data = os.read(self._fd, 1024)
        except OSError:  # the terminal is gone
            data = b""
        self._ended = not data
        return data.decode("utf-8", "replace")

    def forget(self) -> None:
        """Drop what was typed before anybody was asked."""
        self.line = ""
