"""How a worker that somebody starts by hand joins a scheduler: `hexdag-lab worker` in a notebook's words.

Whatever would make it fail later, or fail strangely, is asked of the scheduler first: is it there, has it the same
versions, is the name free. The worker is looked after by a Dask nanny, which starts it again when it dies.
"""

from __future__ import annotations

import asyncio
import os
import platform
import signal
import socket
import sys
from collections.abc import Callable
from contextlib import suppress
from importlib.metadata import version
from typing import Any, NamedTuple

from distributed import Nanny
from distributed.core import rpc
from distributed.security import Security

from ..core.base.errors import PoolUnavailable
from .needs import offered
from .process import LabWorker

SAME = ("dask", "distributed", "cloudpickle")  #: what both sides must have in the same version


class Joining(NamedTuple):
    """A worker that is to join: where, and as what. `capabilities` as "gpu", "gpu=2", "region:eu".

    threads   slots: how many nodes it runs at once;  memory  what it may use, as "4GB"; "auto": its share of the host's
    host      the address under which others reach it; default: the one that leads to the scheduler
    patience  seconds to wait for the scheduler
    """

    scheduler: str
    name: str
    capabilities: tuple[str, ...] = ()
    threads: int = 1
    memory: str = "auto"
    standby: bool = False
    security: Security = Security()
    host: str | None = None
    patience: float = 10.0


def default_name() -> str:
    """A name that no other worker is likely to have: the host's, with this process."""
    return f"{socket.gethostname()}-{os.getpid()}"


async def join(what: Joining, say: Callable[[str], None]) -> None:
    """Run a worker until it is asked to leave, by a signal or by whoever drains it. `say` gets a line when it is there.

    Raises `PoolUnavailable` if the scheduler is not there, has another version of what both need, or goes away;
    `ValueError` for a capability or address that is none."""
    resources = offered(what.capabilities)
    await check(what)
    nanny = Nanny(
        what.scheduler, name=what.name, nthreads=what.threads, resources=resources, memory_limit=what.memory,
        security=what.security, host=what.host, worker_class=LabWorker, standby=what.standby, dashboard=False,
        death_timeout=what.patience,
    )  # fmt: skip
    async with nanny:
        can = f", can {', '.join(what.capabilities)}" if what.capabilities else ""
        role = "stands by" if what.standby else f"takes {what.threads} node{'s' * (what.threads != 1)} at once"
        say(f"worker {what.name} joined {what.scheduler}: {role}{can}")
        await _until_it_leaves(nanny, what)


async def _until_it_leaves(nanny: Any, what: Joining) -> None:
    stop, loop = asyncio.Event(), asyncio.get_running_loop()
    with suppress(NotImplementedError):  # there are no signals on Windows
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, stop.set)
    ends = {asyncio.ensure_future(nanny.finished()), asyncio.ensure_future(stop.wait())}
    _, pending = await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
    for end in pending:
        end.cancel()
    if stop.is_set():
        with suppress(OSError, TimeoutError):  # what only it has goes to others; without a scheduler there is nobody
            async with asyncio.timeout(what.patience), _scheduler(what) as scheduler:
                await scheduler.retire_workers(workers=[nanny.worker_address], close_workers=True)
        return
    await _ask(what, "identity", n_workers=0)  # it left because it was asked to, or because nobody is there to ask


async def check(what: Joining) -> None:
    """Raise what speaks against joining."""
    theirs = (await _ask(what, "versions"))["packages"]
    ours = {"python": platform.python_version_tuple()[:2], **{name: version(name) for name in SAME}}
    found = {name: theirs.get(name) for name in SAME} | {"python": tuple(str(theirs["python"]).split(".")[:2])}
    for name, mine in ours.items():
        if found[name] != mine:
            here, there = (".".join(v) if isinstance(v, tuple) else v for v in (mine, found[name]))
            fix = f"`pip install {name}=={there}`" if name in SAME else f"a Python {there}"
            raise PoolUnavailable(
                f"the scheduler at {what.scheduler} has {name} {there}, and {sys.executable} has {here}: code that one "
                f"writes the other may not read; use {fix} here, or {here} there"
            )
    rows = (await _ask(what, "identity", n_workers=-1))["workers"].values()
    if what.name in {str(row["name"]) for row in rows}:
        raise PoolUnavailable(f"a worker named {what.name!r} is there already; choose another --name")


async def _ask(what: Joining, handler: str, **arguments: Any) -> Any:
    """What the scheduler says. Raises `PoolUnavailable` if nothing."""
    try:
        async with asyncio.timeout(what.patience), _scheduler(what) as scheduler:
            return await getattr(scheduler, handler)(**arguments)
    except (OSError, TimeoutError, TypeError, MemoryError) as error:  # MemoryError: what a web server says is long
        raise nobody_at(what.scheduler, error) from error


def _scheduler(what: Joining) -> Any:
    connection = what.security.get_connection_args("worker")
    return rpc(what.scheduler, connection_args=connection, timeout=what.patience)


def nobody_at(address: str, error: BaseException, instead: str = "") -> PoolUnavailable:
    """That no scheduler answers, and what to do."""
    if isinstance(error, TypeError) and address.startswith("tls:"):  # what Dask says of a context that is not there
        return PoolUnavailable(
            f"{address} is reached by TLS, and that takes certificates: give a lab a Client with its Security as pool, "
            "and a worker --tls-ca-file, --tls-cert and --tls-key"
        )
    said = str(error) or type(error).__name__
    return PoolUnavailable(f"no Dask scheduler answers at {address} ({said}); start one with `dask scheduler`{instead}")
