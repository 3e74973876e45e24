"""What the processes of a lab's own cluster run: `python -m hexdag_lab.runtime.pools.child scheduler|worker ...`.

The parent holds the other end of standard input; when it is gone, however it went, the child sees the end of the
stream and leaves at once.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import threading
from typing import Any

WINDOW = 0.001  #: seconds that Dask's streams collect messages (5 ms from scheduler to worker as it comes)


def main() -> None:
    role, options = sys.argv[1], json.loads(sys.argv[2])
    sys.path[:0] = [path for path in options.pop("path") if path not in sys.path]
    threading.Thread(target=_leave_with_parent, daemon=True).start()
    asyncio.run(_scheduler(**options) if role == "scheduler" else _worker(**options))


def _leave_with_parent() -> None:
    while sys.stdin.buffer.read(4096):
        pass
    os._exit(0)


def _settings() -> None:
    import dask

    dask.config.set(
        {
            "distributed.scheduler.allowed-failures": 1,
            "distributed.admin.low-level-log-length": 500,
            "distributed.comm.timeouts.connect": "10s",
            "distributed.worker.memory.spill": False,
        }
    )


async def _scheduler(port: int) -> None:
    _settings()
    from distributed import Scheduler
    from distributed.diagnostics.plugin import SchedulerPlugin

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
    scheduler: str, name: str, nthreads: int, directory: str, resources: dict[str, float]
) -> None:
    _settings()
    from distributed import Worker

    worker = Worker(
        scheduler, name=name, nthreads=nthreads, local_directory=directory, resources=resources, host="127.0.0.1",
        dashboard=False, memory_limit=0, death_timeout=60,
    )  # fmt: skip
    async with worker:
        shorten(worker.batched_stream)
        await worker.finished()


def shorten(stream: Any) -> None:
    """Shorten a batched stream's window. It is a private setting of Dask: where it is not there, nothing happens."""
    if isinstance(getattr(stream, "interval", None), int | float):
        stream.interval = WINDOW


if __name__ == "__main__":
    main()
