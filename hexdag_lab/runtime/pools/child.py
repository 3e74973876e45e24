"""What the processes of a lab's own cluster run: `python -m hexdag_lab.runtime.pools.child scheduler|worker ...`.

The parent holds the other end of standard input; when it is gone, however it went, the child sees the end of the
stream and leaves at once, with whatever it has started itself. Should another process hold that end too, as one that
the notebook has forked does, the child sees within a second that it has another parent.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import sys
import threading
import time
from typing import Any


def main() -> None:
    role, options = sys.argv[1], json.loads(sys.argv[2])
    sys.path[:0] = [path for path in options.pop("path") if path not in sys.path]
    parent, directory = options.pop("parent"), options.pop("directory")
    own = directory if role == "scheduler" else None
    for watch in (_end_of_input, lambda: _end_of(parent)):
        threading.Thread(target=_leave_after, args=(watch, own), daemon=True).start()
    _settings(directory)
    asyncio.run(_scheduler(**options) if role == "scheduler" else _worker(**options, directory=directory))


def _leave_after(end: Any, directory: str | None) -> None:
    """Wait for the end, and leave; the scheduler takes the files of the cluster along, a moment after the workers."""
    end()
    if directory is not None:
        time.sleep(0.5)
        shutil.rmtree(directory, ignore_errors=True)
    if os.name == "posix" and os.getpgrp() == os.getpid():
        os.killpg(os.getpid(), signal.SIGKILL)
    os._exit(0)


def _end_of_input() -> None:
    while sys.stdin.buffer.read(4096):
        pass


def _end_of(parent: int) -> None:
    while os.getppid() == parent or os.name != "posix":
        time.sleep(1.0)


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
