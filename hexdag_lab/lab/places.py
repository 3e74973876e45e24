"""Where a lab lives: what makes two stores the same, the directory beside one, and who is at the keyboard."""

from __future__ import annotations

import getpass
import os
import tempfile
from pathlib import Path
from typing import Any

from ..runtime.stores import where


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
