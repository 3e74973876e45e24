"""Starting `hexdag-lab up` from another process: a service of its own, which outlives the one that started it.

It takes the store's URL from its environment, where no list of processes shows the password.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, NamedTuple

from ..core.base.errors import HexdagError, PoolUnavailable
from ..ports import Store
from ..runtime.pools import pool_text
from ..runtime.pools.processes import child_environment
from .places import home_of

LEADS = "leads"  #: what the service says once it leads, with its pool
PATIENCE = 20.0  #: seconds until it has to lead
LOOK_EVERY = 0.05  #: seconds
IDLE = 300.0  #: seconds without a run and without a command, after which it ends by itself
_STARTED: list[subprocess.Popen[bytes]] = []  # kept, so that those that end are reaped


class Launch(NamedTuple):
    """How the service of one lab is started."""

    store: str
    pool: str
    options: tuple[str, ...]

    @classmethod
    def of(
        cls, pool: Any, store: str | Store, blobs: Any, workers: int | None, threads: int, standby: int, owner: str,
        region: str = "",
        grouping: bool = True,
    ) -> Launch:  # fmt: skip
        """From what `Lab` was given. Raises `ValueError`, `TypeError` for what no other process could reach."""
        if not isinstance(store, str) or store.startswith("memory:"):
            raise ValueError(
                f'controller="process" needs a store that other processes reach, as sqlite:///…; not {store}'
            )
        url = getattr(blobs, "url", blobs)
        if url is not None and not isinstance(url, str | os.PathLike):
            raise TypeError(f'controller="process" takes blobs by their URL, not {blobs!r}')
        options = ["--threads", str(threads), "--standby-workers", str(standby), "--owner", owner]
        options += ["--workers", str(workers)] if workers else []
        options += [] if grouping else ["--no-grouping"]
        options += ["--blobs", os.fspath(url)] if url is not None else []
        options += ["--region", region] if region else []
        return cls(store, pool_text(pool), tuple(options))

    @property
    def log(self) -> Path:
        """Where the service writes what it has to say."""
        return home_of(self.store)[0] / "up.log"

    async def until(self, led: Callable[[], Awaitable[bool]]) -> None:
        """Start it, and wait until it says that it leads. Raises `HexdagError` with its last words if it ends before,
        unless somebody else was quicker."""
        began = self.log.stat().st_size if self.log.exists() else 0
        process, said = self._start(), ""
        for _ in range(int(PATIENCE / LOOK_EVERY)):
            ended = process.poll() is not None
            said = self.log.read_bytes()[began:].decode(errors="replace").strip()
            if f": {LEADS}" in said or (ended and await led()):
                return
            if ended:
                break
            await asyncio.sleep(LOOK_EVERY)
        else:
            process.kill()
        said = said.rpartition("\n")[2]
        kind = PoolUnavailable if "://" in self.pool else HexdagError
        raise kind(f"the controller's process has ended: {said.removeprefix('hexdag-lab: ')} (its log: {self.log})")

    def _start(self) -> subprocess.Popen[bytes]:
        self.log.parent.mkdir(parents=True, exist_ok=True)
        command = [sys.executable, "-m", "hexdag_lab", "up", "--pool", self.pool, "--idle", f"{IDLE:g}", *self.options]
        environment = child_environment() | {"HEXDAG_STORE": self.store}
        with self.log.open("ab") as log:
            process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment, start_new_session=True
            )
        _STARTED[:] = [process, *(other for other in _STARTED if other.poll() is None)]
        return process
