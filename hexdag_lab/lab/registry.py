"""The registry of this process's open labs: one for each store, so that `Lab(...)` twice gives the same one.

Cells, magics and agents' benches ask it which labs and runs there are, and at the end of the process it closes what a
script has left open. It says nothing of labs that other processes have: those are seen through their stores.
"""

from __future__ import annotations

import atexit
import threading
from typing import TYPE_CHECKING

from ..core.machine.state import RunState

if TYPE_CHECKING:
    from .lab import Lab

LOCK = threading.RLock()  #: held while a lab is looked for, opened and added, so that nobody opens it twice
_LIVE: dict[str, Lab] = {}
_REGISTERED: list[bool] = []


def live(store: str) -> Lab | None:
    """The open lab of a store, by the store's key."""
    return _LIVE.get(store)


def opened(lab: Lab, store: str) -> None:
    """Add a lab under its store's key ("": of a store that nobody else can mean); at the latest, the end closes it."""
    _LIVE[store or f"private {id(lab):x}"] = lab
    if not _REGISTERED:
        _REGISTERED.append(True)
        register = getattr(threading, "_register_atexit", atexit.register)
        register(_close_all)  # while a lab's threads can still do so: plain `atexit` comes too late


def closed(lab: Lab) -> None:
    """Forget a lab."""
    for key in [key for key, known in _LIVE.items() if known is lab]:
        del _LIVE[key]


def open_labs() -> list[Lab]:
    """The labs of this process that are not closed, the one that was opened last at the end."""
    return list(_LIVE.values())


def going_on() -> dict[str, RunState]:
    """The runs that were started or attached in this process and have not ended, in all its labs."""
    return {run: lab.feed(run).state for lab in open_labs() for run in lab.going_on()}


def _close_all() -> None:
    for lab in open_labs():
        lab.close()
