"""`Federation`: several regions, each with a pool of its own, as one pool.

Each attempt goes to the region that its node asks for, or else to where its inputs are, unless it would wait there for
twice as long. Within a region what is chained stays chained. Between regions nothing is: an attempt that needs what is
made elsewhere is *held* here until that is kept, and goes with it as bytes or as the name of a blob. A region that does
not answer is cut off: it gets nothing new, what runs there goes on, and nobody waits for it but who needs it.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple

from ...core.base.errors import HexdagError, NotFinished, Refused
from ...core.machine.effects import Answer
from ...core.machine.messages import (
    Failed,
    Lost,
    PoolChanged,
    ResultKept,
    Skipped,
    Started,
    Succeeded,
    Suspended,
    Unbegun,
    WorkerSeen,
)
from ...core.runs.attempt import Input, Task
from ...core.runs.region import LABEL, Region
from ...core.runs.value import Kept
from ...core.runs.worker import Worker
from ...ports import Blobs, Pool, Put
from ...worker import values
from ..thread import cancelled
from .branch import Branch, opened
from .load import Load
from .roster import Attempt

DETOUR = 2.0  #: how many times longer an attempt has to wait where its inputs are before it goes elsewhere
GRACE = 1.0  #: seconds in which a region's worker may keep a result by itself that another region needs
LOOK_EVERY = 0.25  #: seconds between looks whether regions answer
Code = Callable[[str], bytes]
_log = logging.getLogger(__name__)


class _Held(NamedTuple):
    """An attempt that waits here, the code that goes with it, and the region that it is for, if there is one now."""

    task: Task
    code: Code
    region: str | None = None


class Federation:
    """Pools by the names of their regions. `home`: the region in which this process is, "" if in none of them."""

    def __init__(self, pools: Mapping[str, Pool], home: str = "") -> None:
        self._branches = {name: Branch(name, pools[name]) for name in sorted(pools)}
        self.home = home
        self._blobs: Blobs | None = None
        self._place: dict[Attempt, str] = {}  # in which region an attempt, or its result, is
        self._load = Load()
        self._kept: dict[Attempt, Kept] = {}  # results that the controller may not have seen yet
        self._held: dict[Attempt, _Held] = {}
        self._trying = False
        self._bringing: dict[Attempt, asyncio.Task[None]] = {}
        self._offered: PoolChanged | None = None
        self._watching: asyncio.Task[None] | None = None

    @property
    def blobs(self) -> Blobs | None:
        """Where results are put that another region needs."""
        return self._blobs

    @blobs.setter
    def blobs(self, blobs: Blobs) -> None:
        self._blobs = blobs
        for branch in self._branches.values():
            if hasattr(branch.pool, "blobs"):
                branch.pool.blobs = blobs

    # -- life

    async def open(self, put: Put) -> None:
        self._put, self._loop = put, asyncio.get_running_loop()
        try:
            await opened(self._branches.values(), lambda branch: partial(self._heard, branch))
        except BaseException:
            await self.close()
            raise
        await asyncio.sleep(0)  # what regions have said while they were opened is heard
        self._look()
        self._offer()
        self._watching = asyncio.create_task(self._watch())

    async def close(self) -> None:
        await cancelled([*([self._watching] if self._watching else []), *self._bringing.values()])
        await asyncio.gather(*(branch.close() for branch in self._branches.values()))

    # -- what the controller asks for

    async def publish(self, run: str, version: int, data: bytes) -> None:
        for branch in self._branches.values():
            branch.ask(partial(branch.pool.publish, run, version, data))

    async def submit(self, tasks: Sequence[Task], code: Code) -> None:
        self._send(_Held(task, code) for task in tasks)

    def _send(self, wanted: Iterable[_Held]) -> None:
        """Let regions run what they can run now; what they cannot is held."""
        portions: dict[tuple[str, Code], list[Task]] = {}
        busy = self._load.of + Counter(held.region for held in self._held.values() if held.region)
        for task, code, _ in wanted:
            attempt = (task.run, task.node, task.fence)
            region = self._region_for(task, busy)
            busy[region or ""] += 1
            ready = None if region is None else self._localized(task, region)
            if region is None or ready is None:
                self._held[attempt] = _Held(task, code, region)
                continue
            self._place[attempt] = region
            self._load.sent(attempt, region)
            portions.setdefault((region, code), []).append(ready)
        for (region, code), portion in portions.items():
            branch = self._branches[region]
            branch.ask(partial(self._submit, branch, portion, code))

    async def _submit(self, branch: Branch, tasks: Sequence[Task], code: Code) -> None:
        wanted = [task for task in tasks if (task.run, task.node, task.fence) in self._place]
        try:
            await branch.pool.submit(wanted, code)
        except Exception as error:  # whatever Dask or a blob store says: these have to be tried again
            for task in wanted:
                why = f"region {branch.name} did not take it: {error}"
                self._heard(branch, task.run, Lost(time.time(), task.node, task.fence, why))

    async def withdraw(self, run: str, attempts: Sequence[tuple[str, int]]) -> None:
        for node, fence in attempts:
            self._held.pop((run, node, fence), None)
        self._ask_each(run, attempts, "withdraw", self._drop)

    async def hold(self, run: str, attempts: Sequence[tuple[str, int]]) -> None:
        for node, fence in attempts:
            if self._held.pop((run, node, fence), None) is not None:
                self._put(run, Unbegun(time.time(), node, fence))
        self._ask_each(run, attempts, "hold", self._place.get)

    async def forget(self, run: str, attempts: Sequence[tuple[str, int]]) -> None:
        self._ask_each(run, attempts, "forget", self._drop)

    def _ask_each(
        self, run: str, attempts: Iterable[tuple[str, int]], what: str, region_of: Callable[[Attempt], str | None]
    ) -> None:
        """Ask something of regions about attempts, each about its own."""
        theirs: dict[str, list[tuple[str, int]]] = {}
        for node, fence in attempts:
            region = region_of((run, node, fence))
            if region is not None:
                theirs.setdefault(region, []).append((node, fence))
        for region, own in theirs.items():
            branch = self._branches[region]
            branch.ask(partial(getattr(branch.pool, what), run, own))

    def _drop(self, attempt: Attempt) -> str | None:
        self._load.dropped(attempt)
        self._kept.pop(attempt, None)
        return self._place.pop(attempt, None)

    async def answer(self, run: str, answer: Answer) -> None:
        region, _, worker = answer.worker.partition("/")
        if not answer.go_on:
            self._load.ended((run, answer.node, answer.fence))  # it ends without a word
        if region in self._branches:
            branch = self._branches[region]
            branch.ask(partial(branch.pool.answer, run, answer._replace(worker=worker)))

    async def end(self, run: str, keep: Sequence[tuple[str, int]]) -> None:
        kept = {(run, node, fence) for node, fence in keep}
        for attempt in [a for a in (*self._place, *self._held) if a[0] == run and a not in kept]:
            self._held.pop(attempt, None)
            self._drop(attempt)
        for branch in self._branches.values():
            branch.ask(partial(branch.pool.end, run, keep))

    async def value(self, run: str, node: str, fence: int) -> Any:
        region = self._place.get((run, node, fence))
        if region is None:
            raise NotFinished(f"the result of {node} is not in the pool any more")
        branch = self._branches[region]
        if branch.since is not None:
            raise NotFinished(f"the result of {node} is in the memory of workers only, and {branch.reach}")
        return await branch.pool.value(run, node, fence)

    def workers(self) -> list[Worker]:
        return [row for branch in self._branches.values() for row in branch.workers()]

    def regions(self) -> list[Region]:
        """The regions as they are now, by name."""
        return [branch.seen(branch.name == self.home) for branch in self._branches.values()]

    async def drain(self, worker: str) -> None:
        region, _, name = worker.partition("/")
        if region not in self._branches:
            text, names = f"there is no worker {worker!r}", ", ".join(self._branches)
            raise Refused(text, rule="unknown-worker", fix=f"write REGION/NAME; the regions are: {names}")
        await self._branches[region].pool.drain(name)

    # -- where attempts go

    def _region_for(self, task: Task, busy: Mapping[str, int]) -> str | None:
        """The region that an attempt goes to; None if there is none for it now."""
        able = [name for name, branch in self._branches.items() if branch.takes(task.requires)]
        if (place := task.worker.partition("/")[0]) in able:
            return place
        if task.leaves:  # a region that has no other worker is one to go to only where there is no other region
            able = [name for name in able if self._branches[name].has_other(_within(task.leaves, name))] or able
        if len(able) < 2:
            return able[0] if able else None
        wait = {name: (busy[name] + 1) / self._branches[name].slots for name in able}
        best = min(able, key=lambda name: (wait[name], name != self.home, name))
        near = self._near(task, able)
        return near if near is not None and wait[near] <= DETOUR * wait[best] else best

    def _near(self, task: Task, able: Sequence[str]) -> str | None:
        """Where most of its inputs are made, or were and are only there."""
        made = [self._place.get((task.run, wanted.up, wanted.fence)) for wanted in task.inputs if wanted.from_pool]
        counts = {name: made.count(name) for name in able}
        near = max(able, key=lambda name: counts[name])
        return near if counts[near] else None

    def _localized(self, task: Task, region: str) -> Task | None:
        """An attempt as its region can run it; None while it needs what is not there, or not yet."""
        inputs = [self._input(task, wanted, region) for wanted in task.inputs]
        if not all(inputs):
            return None
        needs = frozenset(need for need in task.requires if not need.startswith(LABEL))
        found = tuple(wanted for wanted in inputs if wanted)
        worker, leaves = _within(task.worker, region), _within(task.leaves, region)
        return task._replace(inputs=found, requires=needs, worker=worker, leaves=leaves)

    def _input(self, task: Task, wanted: Input, region: str) -> Input | None:
        if not wanted.from_pool:
            return wanted
        attempt = (task.run, wanted.up, wanted.fence)
        kept, place = self._kept.get(attempt), self._place.get(attempt)
        if kept is not None and (kept.where != "pool" or wanted.param is None):
            return wanted._replace(kept=kept)
        chains = self._branches[region].offer.lookahead > 0
        if place == region and (chains or not self._load.has(attempt)):
            return wanted
        if place is None and attempt not in self._held:
            return wanted  # nobody has it: the region says that it is lost
        if place is not None and place != region and not self._load.has(attempt) and attempt not in self._bringing:
            self._bringing[attempt] = asyncio.create_task(self._bring(attempt, place))
        return None

    async def _bring(self, attempt: Attempt, region: str) -> None:
        """Keep a result that only the workers of a region have, so that another one can read it."""
        run, node, fence = attempt
        branch = self._branches[region]
        await asyncio.sleep(GRACE)  # mostly its worker does it by itself, at once
        try:
            while self._place.get(attempt) == region and not self._is_kept(attempt):
                if branch.since is None:
                    try:
                        self._heard(branch, run, await self._brought(branch, attempt))
                    except NotFinished as error:
                        if branch.since is None:
                            self._heard(branch, run, Lost(time.time(), node, fence, f"{error}"))
                            return
                    except (HexdagError, OSError) as error:
                        _log.warning("the result of %s cannot be brought from region %s: %s", node, region, error)
                await asyncio.sleep(LOOK_EVERY)
        finally:
            del self._bringing[attempt]

    def _is_kept(self, attempt: Attempt) -> bool:
        kept = self._kept.get(attempt)
        return kept is not None and kept.where != "pool"

    async def _brought(self, branch: Branch, attempt: Attempt) -> ResultKept:
        run, node, fence = attempt
        value = await branch.pool.value(run, node, fence)
        return ResultKept(time.time(), node, fence, await asyncio.to_thread(self._as_blob, value))

    def _as_blob(self, value: Any) -> Kept:
        kept = values.encode(value)
        if kept.size <= values.INLINE or self._blobs is None:
            return kept
        self._blobs.put(kept.inline or b"")
        return kept._replace(inline=None, where="blob")

    # -- what regions say

    def _heard(self, branch: Branch, run: str, message: Any) -> None:
        """From any thread. What it changes here is done on the loop, and before the controller hears of it."""
        with suppress(RuntimeError):  # the loop has ended, and with it whoever would hear
            self._loop.call_soon_threadsafe(self._noted, branch, run, message)

    def _noted(self, branch: Branch, run: str, message: Any) -> None:
        if isinstance(message, PoolChanged):
            branch.offer = message
            if not message.slots:
                self._load.fell(branch.name)
            self._offer()
            return
        if worker := getattr(message, "worker", ""):
            message = replace(message, worker=branch.named(worker))
        self._put(run, message)
        match message:
            case WorkerSeen() if not message.state.works:
                self._load.gone(message.worker)
            case Started():
                self._load.began((run, message.node, message.fence), branch.name, message.worker)
            case Succeeded() | ResultKept() | Failed() | Skipped() | Lost() | Unbegun() | Suspended():
                self._ended(branch, (run, message.node, message.fence), getattr(message, "result", None))

    def _ended(self, branch: Branch, attempt: Attempt, result: Kept | None) -> None:
        """An attempt has ended; without a result there is nothing to be had from it."""
        self._load.ended(attempt)
        if self._place.get(attempt) == branch.name:
            if result is None:
                self._drop(attempt)
            else:
                self._kept[attempt] = result
                self._give(attempt, result)
            self._try_held()

    def _give(self, attempt: Attempt, result: Kept) -> None:
        """What is held gets a result at once: its region may let go of it before all others are there."""
        for key, held in self._held.items():
            task = held.task
            inputs = tuple(
                wanted._replace(kept=result) if (task.run, wanted.up, wanted.fence) == attempt else wanted
                for wanted in task.inputs
            )
            if inputs != task.inputs:
                self._held[key] = held._replace(task=task._replace(inputs=inputs))

    def _try_held(self) -> None:
        """Look soon at what is held: reports come in company."""
        if self._held and not self._trying:
            self._trying = True
            self._loop.call_soon(self._again)

    def _again(self) -> None:
        """Send what is held and can go now."""
        self._trying = False
        held, self._held = self._held, {}
        self._send(held.values())

    def _offer(self) -> None:
        """Say what all regions that answer offer, if that has changed."""
        there = [branch for branch in self._branches.values() if branch.since is None]
        able = {has for branch in there for has in branch.capabilities}
        offer = PoolChanged(
            time.time(), sum(branch.slots for branch in there), sum(branch.offer.lookahead for branch in there),
            tuple(sorted(able, key=sorted)), tuple(branch.reach for branch in self._branches.values()),
        )  # fmt: skip
        if self._offered is None or replace(offer, at=self._offered.at) != self._offered:
            self._offered = offer
            self._put("", offer)
            self._try_held()

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(LOOK_EVERY)
            self._look()

    def _look(self) -> None:
        for branch in self._branches.values():
            if branch.look():
                _log.warning("%s", branch.reach)
                self._offer()


def _within(worker: str, region: str) -> str:
    """The name of a worker in its region; empty if it is in another one."""
    there, _, name = worker.partition("/")
    return name if there == region else ""
