"""`LabWorker`: a Dask worker as labs like them: short windows on its streams, and able to stand by.

A lab also runs on plain `dask worker` processes; what only this one can do is to wait, paused, until another fails.
"""

from __future__ import annotations

import os
from typing import Any

from distributed import Worker
from distributed.core import Status

WINDOW = 0.001  #: seconds that Dask's streams collect messages (5 ms from scheduler to worker as it comes)
ABOUT = "hexdag"  #: under which a scheduler's row of a worker has what this process says of itself


class LabWorker(Worker):
    """`standby`: it joins paused, and takes nothing until `take_over`; only its state says that it is there. `trails`:
    a folder for files that tell, should it die, which attempts had begun."""

    def __init__(self, *args: Any, standby: bool = False, trails: str = "", **options: Any) -> None:
        super().__init__(*args, **options)
        self._waits, self.trails = standby, trails
        if standby:
            self.memory_manager.memory_pause_fraction = False  # else the memory monitor lets it run
        self.startup_information[ABOUT] = lambda _: {"standby": standby, "pid": os.getpid()}

    @Worker.status.setter  # type: ignore[untyped-decorator]
    def status(self, value: Status) -> None:
        # Joining makes it "running": between that and a pause, nodes could be sent here that would wait for ever.
        if value is Status.running and self._waits:
            value = Status.paused
        Worker.status.fset(self, value)

    async def start_unsafe(self) -> LabWorker:
        await Worker.start_unsafe(self)
        shorten(self.batched_stream)
        return self

    def take_over(self) -> None:
        """End standing by."""
        self._waits = False
        self.status = Status.running


def take_over(dask_worker: LabWorker) -> None:
    """Put a standby to work: run on it."""
    dask_worker.take_over()


def pause(dask_worker: Worker) -> None:
    """Take nothing more; what runs goes on. Run on a worker, which stays paused also with memory to spare."""
    dask_worker.memory_manager.memory_pause_fraction = False
    dask_worker.status = Status.paused


def executing(dask_worker: Worker) -> int:
    """How many tasks run on a worker now, nodes or not."""
    return int(dask_worker.state.executing_count)


def shorten(stream: Any) -> None:
    """Shorten a batched stream's window. It is a private setting of Dask: where it is not there, nothing happens."""
    if isinstance(getattr(stream, "interval", None), int | float):
        stream.interval = WINDOW
