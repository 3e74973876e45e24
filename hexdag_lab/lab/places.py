"""Where a lab lives: what makes two stores the same, the directory beside one, who is at the keyboard, and the end of
the process, at which every lab is closed."""

from __future__ import annotations

import atexit
import getpass
import os
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ..runtime.stores import where

_CLOSERS: dict[int, Callable[[], None]] = {}
_REGISTERED: list[bool] = []


def key_of(store: Any) -> str:
    """What makes two stores the same within this process; "" for a private one."""
    if not isinstance(store, str):
        return f"{type(store).__name__} {id(store):x}"
    if store == "memory://":
        return ""
    if store.startswith("sqlite:///"):
        return f"sqlite:///{Path(store.removeprefix('sqlite:///')).resolve()}"
    return where(store)


def home_of(store: Any) -> tuple[Path, tempfile.TemporaryDirectory[str] | None]:
    """The directory beside the store: the key and, by default, the blobs are there. A private one has to go again.

    Beside a store on a server it is `.hexdag` here: whoever votes from another host needs a copy of the key."""
    if isinstance(store, str) and store.startswith("sqlite:///"):
        return Path(store.removeprefix("sqlite:///")).absolute().parent, None
    if isinstance(store, str) and not store.startswith("memory:"):
        return Path(".hexdag").absolute(), None
    temporary = tempfile.TemporaryDirectory(prefix="hexdag-lab-")
    return Path(temporary.name), temporary


def login() -> str:
    """The name of the user who runs this process; behind JupyterHub, where all may have one name, the hub's user."""
    if hub := os.environ.get("JUPYTERHUB_USER"):
        return hub
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "owner"


def close_at_exit(lab: Any) -> None:
    """Close what a script forgets to close, while its threads can still do so: plain `atexit` comes too late."""
    if not _REGISTERED:
        _REGISTERED.append(True)
        register = getattr(threading, "_register_atexit", atexit.register)
        register(_close_all)
    _CLOSERS[id(lab)] = lab.close


def closed(lab: Any) -> None:
    """This one needs no closing any more."""
    _CLOSERS.pop(id(lab), None)


def _close_all() -> None:
    for close in tuple(_CLOSERS.values()):
        close()
