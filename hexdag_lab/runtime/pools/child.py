"""What the processes of a lab's own cluster run: `python -m hexdag_lab.runtime.pools.child DIRECTORY fork`,
or `… once NAME`, where the name is for people who look at processes.

It imports what all of them need, and reads from its standard input what to become, as a line of JSON. To fork, it lets
a copy of itself become that, answers with the copy's process id, and reads on; an id tells it to reap that copy.

The parent holds the other end of standard input; when it is gone, however it went, all see the end of the stream and
leave at once, with whatever they have started themselves. Should another process hold that end too, as one that the
notebook has forked does, they see within a second that they have another parent.
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
import select
import shutil
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

LOOK = 1.0  #: seconds between looks at the parent


def main() -> None:
    directory, mode = sys.argv[1:3]
    _settings(directory)
    import distributed  # noqa: F401

    import hexdag_lab.worker.dask  # noqa: F401

    parent = os.getppid()
    lines = _lines(parent)
    if mode == "fork":
        _fork(lines, directory)
    elif line := next(lines, b""):
        _become(json.loads(line), directory, parent)


def _fork(lines: Iterator[bytes], directory: str) -> None:
    """Answer lines for as long as they come."""
    gc.freeze()  # so that a collection in a copy does not write to all the memory that it shares
    parent = os.getpid()
    for line in lines:
        if line.strip().isdigit():
            copy, _ = os.waitpid(int(line), 0)
        else:
            copy = os.fork()
            os.setpgid(copy, copy)  # by both, so that whoever hears of it can end all of its group
            if not copy:
                return _become(json.loads(line), directory, parent)
        os.write(1, b"%d\n" % copy)
    return None


def _lines(parent: int) -> Iterator[bytes]:
    """What the parent asks for, until it is gone. It waits for each answer, so no two lines come at once."""
    while os.getppid() == parent:
        if select.select([0], [], [], LOOK)[0]:
            line = sys.stdin.buffer.readline()
            if not line:
                return
            yield line


def _become(options: dict[str, Any], directory: str, parent: int) -> None:
    role = options.pop("role")
    with suppress(OSError):  # what `ps` and `top` show, where a process may say it
        Path("/proc/self/comm").write_text(f"dask-{role}")
    sys.path[:0] = [path for path in options.pop("path") if path not in sys.path]
    asked, (nothing, end) = os.dup(0), os.pipe()
    os.close(end)
    said = os.open(f"{directory}/{role}.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    for handle, number in ((nothing, 0), (said, 1), (said, 2)):  # a node that reads has no business with the parent
        os.dup2(handle, number)
    own = directory if role == "scheduler" else None
    for watch in (lambda: _end_of_input(asked), lambda: _end_of(parent)):
        threading.Thread(target=_leave_after, args=(watch, own), daemon=True).start()
    asyncio.run(_scheduler(**options) if role == "scheduler" else _worker(**options, directory=directory))


def _leave_after(end: Callable[[], None], directory: str | None) -> None:
    """Wait for the end, and leave; the scheduler takes the files of the cluster along, a moment after the workers."""
    end()
    if directory is not None:
        time.sleep(0.5)
        shutil.rmtree(directory, ignore_errors=True)
    if os.getpgrp() == os.getpid():
        os.killpg(os.getpid(), signal.SIGKILL)
    os._exit(0)


def _end_of_input(asked: int) -> None:
    """Wait until nobody holds the other end. What is written there is not for this process, and is not read."""
    hung_up = select.poll()
    hung_up.register(asked, 0)
    hung_up.poll()


def _end_of(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(LOOK)


def _settings(directory: str) -> None:
    import dask

    dask.config.set(
        {
            "temporary-directory": directory,
            "distributed.scheduler.allowed-failures": 1,
            "distributed.admin.low-level-log-length": 500,
            "distributed.comm.timeouts.connect": "10s",
            "distributed.worker.memory.spill": False,
        }
    )


async def _scheduler(port: int) -> None:
    from distributed import Scheduler
    from distributed.diagnostics.plugin import SchedulerPlugin

    from hexdag_lab.worker.process import shorten

    class ShortWindows(SchedulerPlugin):
        """Messages wait 1 ms for company: a chain of nodes is two to three times as fast."""

        def add_worker(self, scheduler: Any, worker: str) -> None:
            shorten(scheduler.stream_comms.get(worker))

        def add_client(self, scheduler: Any, client: str) -> None:
            shorten(scheduler.client_comms.get(client))

    scheduler = Scheduler(host="127.0.0.1", port=port, dashboard=False)
    scheduler.add_plugin(ShortWindows(), name="hexdag-windows")
    async with scheduler:
        await scheduler.finished()


async def _worker(
    scheduler: str, name: str, nthreads: int, resources: dict[str, float], standby: bool, directory: str
) -> None:
    from distributed import Worker

    from hexdag_lab.worker.process import LabWorker

    worker: Worker = LabWorker(
        scheduler, name=name, nthreads=nthreads, local_directory=directory, resources=resources, host="127.0.0.1",
        dashboard=False, memory_limit=0, death_timeout=60, standby=standby, trails=directory,
    )  # fmt: skip
    async with worker:
        await worker.finished()


if __name__ == "__main__":
    main()
