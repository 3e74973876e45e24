"""`Acting`: what is done in the world after a step is in the journal. It decides nothing.

An effect that fails stops nobody: an attempt that the pool did not take is reported as lost, one whose code or inputs
may not be used as failed, and the rest is logged.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterable
from typing import Any

from ..core.base.codec import dumps
from ..core.base.errors import HexdagError
from ..core.machine import effects as ef
from ..core.machine import messages as ms
from ..core.machine.events import NodeKept
from ..core.machine.state import RunState
from ..core.runs.attempt import Task
from ..core.runs.run import NodeRecord, NodeState
from ..ports import Pool
from ..worker.failures import failure_of
from .cache import Cache
from .desk import Desk
from .shipping import Shipping

_log = logging.getLogger(__name__)


class Acting:
    """Performs effects with a pool and a desk; `put` tells the controller what came of it."""

    def __init__(
        self, pool: Pool, desk: Desk, shipping: Shipping, cache: Cache, put: Callable[[str, Any], None]
    ) -> None:
        self._pool, self._desk, self._shipping, self._cache, self._put = pool, desk, shipping, cache, put

    async def perform(self, run: str, effect: ef.Effect) -> None:
        """Do one thing."""
        try:
            match effect:
                case ef.Publish():
                    await self._pool.publish(run, effect.version, dumps(effect.change))
                case ef.Submit():
                    await self._submit(run, effect.tasks)
                case ef.Recall():
                    await self._pool.withdraw(run, effect.attempts)
                case ef.Hold():
                    await self._pool.hold(run, effect.attempts)
                case ef.Answer():
                    await self._pool.answer(run, effect)
                case ef.Forget():
                    await self._pool.forget(run, effect.attempts)
                case ef.LookUp():
                    await self._look_up(run, effect.sought)
                case ef.AskVote():
                    self._desk.ask(run, effect.proposal, effect.agent)
        except Exception:  # a pool is the edge of the world
            _log.exception("run %s: %s could not be done", run, type(effect).__name__)

    async def _look_up(self, run: str, sought: Iterable[tuple[str, str]]) -> None:
        found = await asyncio.gather(*(self._cache.find(node, key) for node, key in sought))
        self._put(run, ms.LookedUp(time.time(), tuple(found)))

    async def _submit(self, run: str, tasks: Iterable[Task]) -> None:
        fit = [made for task in tasks if (made := await self._fit(run, task)) is not None]
        try:
            await self._pool.submit(fit, self._shipping.code)
        except Exception as error:  # a pool is the edge of the world
            _log.exception("run %s: the pool did not take %s attempts", run, len(fit))
            for task in fit:
                why = f"the pool did not take it: {error}"
                self._put(run, ms.Lost(time.time(), task.node, task.fence, why))

    async def _fit(self, run: str, task: Task) -> Task | None:
        """An attempt whose code and inputs carry the lab's key and are at hand; if they do not, it has failed."""
        try:
            self._shipping.check(task)
            if not self._shipping.at_hand(task.code):
                await asyncio.to_thread(self._shipping.code, task.code)
            if task.runs is not None:
                code = await asyncio.to_thread(self._shipping.given, task.code, task.runs)
                return task._replace(code=code, runs=None)
        except HexdagError as error:
            self._put(run, ms.Failed(time.time(), task.node, task.fence, 0.0, failure_of(error)))
            return None
        return task

    async def let_go(self, run: str, state: RunState, events: Iterable[Any]) -> None:
        """Have the pool forget what it holds for nothing: results that were kept, and nearly all of an ended run."""
        try:
            if state.over:
                await self._pool.end(run, only_in_pool(state))
                return
            kept = [e.node for e in events if isinstance(e, NodeKept)]
            attempts = [(name, rec.fence) for name in kept if (rec := state.nodes.get(name)) and _kept_elsewhere(rec)]
            if attempts:
                await self._pool.forget(run, attempts)
        except Exception:  # a pool is the edge of the world
            _log.exception("run %s: the pool could not be told what is over", run)


def only_in_pool(state: RunState) -> list[tuple[str, int]]:
    """The attempts whose results are nowhere else."""
    return [
        (name, rec.fence)
        for name, rec in (*state.nodes.items(), *state.gone.items())
        if rec.result is not None and rec.result.where == "pool"
    ]


def _kept_elsewhere(rec: NodeRecord) -> bool:
    return rec.state is NodeState.SUCCEEDED and rec.result is not None and rec.result.where != "pool"
