"""Gates that hold nodes of an inline pool until a test lets them go. A node imports this where it runs."""

from __future__ import annotations

import threading
from collections import defaultdict

_open: defaultdict[str, threading.Event] = defaultdict(threading.Event)
_reached: defaultdict[str, threading.Event] = defaultdict(threading.Event)
calls: list[str] = []


def pass_through(name: str) -> None:
    """What a node calls: says that it is here, and waits until it may go on."""
    calls.append(name)
    _reached[name].set()
    assert _open[name].wait(20), f"nobody opened gate {name}"


def called(name: str) -> None:
    """Count a call."""
    calls.append(name)


def reached(name: str) -> None:
    """Wait until a node is at the gate."""
    assert _reached[name].wait(10), f"no node came to gate {name}"


def open_gate(name: str) -> None:
    _open[name].set()


def reset() -> None:
    """Let everybody go, and forget."""
    for event in [*_open.values()]:
        event.set()
    _open.clear()
    _reached.clear()
    calls.clear()
