"""A lab that is led here says so to its user's other programs, by a file in Jupyter's runtime directory that only this
user can read.

The JupyterLab extension finds labs by it. It names the store, and where and by which Python the lab can be opened; it
goes when the lab is closed, and whoever finds that its process is gone takes it away.
"""

from __future__ import annotations

import itertools
import json
import os
import sys
from pathlib import Path

from ..runtime.stores import where
from .places import home_of, key_of

FOLDER = "hexdag-lab"  #: in Jupyter's runtime directory; the JupyterLab extension knows it as well
_COUNT = itertools.count(1)


class Announcement:
    """The file of one lab. It tells nothing of a lab that no other process can open."""

    def __init__(self, store: object, owner: str) -> None:
        self._store, self._owner = store, owner
        self._file: Path | None = None

    def made(self, leads: bool) -> None:
        """Write it, if this process leads."""
        from jupyter_core.paths import jupyter_runtime_dir

        store = self._store
        if not leads or self._file is not None or not isinstance(store, str) or store.startswith("memory:"):
            return
        home = home_of(store)[0]
        url = key_of(store) if store.startswith("sqlite:") else store  # an address that holds in any directory
        about = {
            "store": url, "where": where(url), "owner": self._owner, "pid": os.getpid(), "python": sys.executable,
            "directory": str(home.parent if home.name == ".hexdag" else home),
        }  # fmt: skip
        file = Path(jupyter_runtime_dir(), FOLDER, f"{os.getpid()}-{next(_COUNT)}.json")
        try:
            file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            file.touch(0o600, exist_ok=False)
            file.write_text(json.dumps(about), "utf-8")
        except OSError:
            return  # a lab works as well where nothing can be written beside Jupyter's own files
        self._file = file

    def taken_back(self) -> None:
        """Take it away."""
        if self._file is not None:
            self._file.unlink(missing_ok=True)
            self._file = None
