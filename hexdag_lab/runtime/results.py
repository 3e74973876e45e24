"""Results of the runs that are led here, as their users read them: kept ones, and those that only the workers have.

A process that follows cannot ask the pool, so for it a result is kept first. What a result is and where it lies is
decided elsewhere (`Kept` in a run's state); this only goes there.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

from ..core.base.errors import NotFinished, Refused
from ..core.machine.messages import ResultKept
from ..core.machine.state import RunState
from ..core.runs.value import Kept
from ..ports import Pool
from .shipping import Shipping

PATIENCE = 60  #: seconds for a worker to hand over a result


class Results:
    """Reads from a pool on its loop, and from what `shipping` has kept. `state`: of a run, as it was published last."""

    def __init__(
        self, pool: Pool, shipping: Shipping, loop: asyncio.AbstractEventLoop, state: Callable[[str], RunState]
    ) -> None:
        self._pool, self._shipping, self._loop, self._state = pool, shipping, loop, state
        self._ended: Exception | None = None

    def reader(self, run: str) -> Callable[[str, int, Kept], Any]:
        """How results of a run are read, from any thread but the loop's own."""

        def read(node: str, fence: int, kept: Kept) -> Any:
            if kept.where == "pool":
                try:
                    return self._in_pool(run, node, fence)
                except NotFinished:  # was it kept since this view was taken?
                    rec = self._state(run).nodes.get(node)
                    if rec is None or rec.result is None or rec.fence != fence or rec.result.where == "pool":
                        raise
                    kept = rec.result
            return self._shipping.read(kept, f"the result of {node}")

        return read

    def _in_pool(self, run: str, node: str, fence: int) -> Any:
        if self._ended is not None:
            raise NotFinished(f"the result of {node} was in the workers' memory only: {self._ended}")
        return asyncio.run_coroutine_threadsafe(self._pool.value(run, node, fence), self._loop).result(PATIENCE)

    async def keep(self, run: str, node: str, fence: int) -> ResultKept | Refused:
        """Keep a result that only the pool has: the report of it, or why it cannot be had."""
        try:
            value = await self._pool.value(run, node, fence)
            kept = await asyncio.to_thread(self._shipping.keep, value)
            return ResultKept(time.time(), node, fence, kept)
        except Exception as error:  # a pool is the edge of the world, and what a node returns is its user's own
            return Refused(f"the result of {node} cannot be had: {error}", rule="not-kept", fix="run the node again")

    def end(self, why: Exception) -> None:
        """The pool cannot be asked any more; what is kept can still be read."""
        self._ended = why
