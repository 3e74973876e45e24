"""The controller: one loop that takes messages, decides, journals, acts, and publishes, in this order.

A step drains the inbox: many messages, one commit, one small graph for the pool. Nothing is done or shown that is not
in the journal; a commit that is refused means that another process leads, and this one steps down. All decisions are in
the pure core; here is only the order of things.
"""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import replace
from typing import Any

from ..core.base.codec import dumps, loads
from ..core.base.errors import HexdagError, LabInUse, Refused, StoreUnavailable
from ..core.machine import effects as ef
from ..core.machine import messages as ms
from ..core.machine.decide import apply
from ..core.machine.evolve import evolve
from ..core.machine.events import Base
from ..core.machine.state import RunState
from ..core.runs.run import SETTLED
from ..core.runs.value import Kept
from ..ports import CommitRefused, Lease, Pool, Store
from ..worker.context import CodeBlob, Note
from . import wire
from .desk import Desk
from .feed import Feed
from .inbox import Inbox, Item
from .shipping import Shipping
from .view import RunView

LEASE_SECONDS = 15.0
COMPANY = 0.008  #: seconds that reports wait for others while the workers are busy anyway
_log = logging.getLogger(__name__)


class Controller:
    """Leads one lab on the event loop that it is opened on. `put`, `command` and `feed` may be used from any thread."""

    def __init__(self, store: Store, pool: Pool, shipping: Shipping, owner_id: str) -> None:
        self._store, self._pool, self._shipping, self._owner_id = store, pool, shipping, owner_id
        self._states: dict[str, RunState] = {}
        self._live: set[str] = set()
        self._feeds: dict[str, Feed] = {}
        self._offered: ms.PoolChanged | None = None
        self._offset = 0
        self._lease: Lease | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._closing = False
        self.broken: Exception | None = None

    # -- life

    async def open(self, wait_for_pool: bool) -> bool:
        """Take the lead; False if another live process has it. Raises `StoreUnavailable`, `PoolUnavailable`."""
        self._loop = asyncio.get_running_loop()
        self._inbox = Inbox(self._loop)
        self.desk = Desk(self.put, self.view, self._shipping)
        self._lease = await self._store.acquire(wire.LEADER, self._owner_id, LEASE_SECONDS)
        if self._lease is None:
            return False
        offset = await self._store.get(wire.OFFSET)
        self._offset = int(offset.data) if offset else 0
        opening = self._pool.open(self.put)
        if wait_for_pool:
            try:
                await opening
            except HexdagError:
                await self._store.release(self._lease)
                raise
        else:
            self._task(self._open_pool(opening))
        self._task(self._lead())
        self._task(self._keep_lease())
        self._task(self._read_inbox())
        return True

    def _task(self, work: Any) -> None:
        self._tasks.append(asyncio.create_task(work))

    async def _open_pool(self, opening: Any) -> None:
        try:
            await opening
        except HexdagError as error:
            self._break(error)

    async def close(self) -> None:
        """Stop leading; unfinished runs can be attached again."""
        self._closing = True
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self.desk.close()
        await self._pool.close()
        if self._lease is not None and self.broken is None:
            await self._store.release(self._lease)
        self._break(HexdagError("the lab is closed; lab.attach(run_id) goes on with the run"))

    def _break(self, why: Exception) -> None:
        """Nothing goes on here: tell everybody who waits."""
        self.broken = self.broken or why
        for feed in self._feeds.values():
            if not feed.state.over:
                feed.end(self.broken)

    # -- the doors

    def put(self, run: str, message: Any) -> None:
        """Tell the controller something about a run ("": all runs); from any thread, returns at once."""
        self._inbox.put(Item(run, message))

    def command(self, run: str, message: Any) -> Future[Any]:
        """Ask for something; the future gets the answer: a value or a `Refused`."""
        reply: Future[Any] = Future()
        if self.broken is not None:
            reply.set_exception(self.broken)
        else:
            self._inbox.put(Item(run, message, reply))
        return reply

    def feed(self, run: str) -> Feed:
        """The published states of a run."""
        return self._feeds.setdefault(run, Feed())

    def view(self, run: str) -> RunView:
        """A run as it is now."""
        return RunView(self.feed(run).state, self.reader(run))

    def reader(self, run: str) -> Callable[[str, int, Kept], Any]:
        """How results of a run are read, from any thread but the controller's own."""

        def read(node: str, fence: int, kept: Kept) -> Any:
            if kept.where != "pool":
                return self._shipping.read(kept)
            return asyncio.run_coroutine_threadsafe(self._pool.value(run, node, fence), self._loop).result(60)

        return read

    def workers(self) -> list[Any]:
        """The pool's workers, one row each."""
        return list(self._pool.workers())

    def runs(self) -> tuple[str, ...]:
        """The runs that are led here."""
        return tuple(sorted(self._live))

    async def adopt(self, run: str, by: str) -> None:
        """Go on with a run whose controller is gone, from its journal."""
        if run in self._states:
            return
        state, events = await self.history(run)
        if not state.started:
            raise Refused(f"there is no run {run!r} in this store", rule="unknown-run", fix="see lab.runs()")
        self._states[run] = state
        self.feed(run).publish(state, events)
        if state.over:
            return
        self._live.add(run)
        absent = self.desk.recall(state)
        reply: Future[Any] = Future()
        self._inbox.put(Item(run, ms.Attach(time.time(), by, absent), reply))
        if self._offered is not None:
            self._inbox.put(Item(run, self._offered))
        await asyncio.wrap_future(reply)
        for agent, seen in state.hooks.items():
            if agent not in absent:
                self.desk.saw(state._replace(hooks={agent: seen}), [e for e in events if e.seq > seen])  # type: ignore[arg-type]

    async def history(self, run: str) -> tuple[RunState, list[Base]]:
        """A run's state and events, folded from its journal."""
        state, events = RunState(), list[Base]()
        while rows := await self._store.read(wire.journal(run), len(events)):
            for row in rows:
                event = loads(row.data)
                state = evolve(state, event)
                events.append(event)
        return state, events

    # -- the loop

    async def _lead(self) -> None:
        while True:
            items = await self._inbox.take(self._until_due())
            if self._unhurried(items):
                await asyncio.sleep(COMPANY)
                items += await self._inbox.take(0)
            items += self._ticks()
            if not items:
                continue
            try:
                await self._step(items)
            except StoreUnavailable as error:
                self._break(error)
                return
            except LabInUse as error:
                self._break(error)
                return

    def _unhurried(self, items: list[Item]) -> bool:
        """Whether nobody waits for these: reports of runs whose workers have more to do than slots. Then a few
        milliseconds of company make one commit of many."""
        if not items or not all(isinstance(item.message, ms.Started | ms.Succeeded) for item in items):
            return False
        runs = {item.run for item in items if item.run in self._states}
        return all(self._states[run].outstanding - len(items) > self._states[run].slots for run in runs)

    def _until_due(self) -> float | None:
        dues = [due for run in self._live if (due := self._states[run].next_due()) is not None]
        return max(0.0, min(dues) - time.time()) if dues else None

    def _ticks(self) -> list[Item]:
        now = time.time()
        dues = [(run, self._states[run].next_due()) for run in sorted(self._live)]
        return [Item(run, ms.Tick(now)) for run, due in dues if due is not None and due <= now]

    async def _step(self, items: list[Item]) -> None:
        """Decide all messages, journal in one commit, then act and publish."""
        step = _Step(dict(self._states))
        for item in self._spread(items):
            try:
                await self._decide(step, item)
            except Exception as error:  # a bug in a decision must not stop all other runs
                _log.exception("a message could not be decided: %s", type(item.message).__name__)
                step.replies.append((item, error))
        now = time.time()
        for run in step.touched:
            step.apply(run, ms.Dispatch(now), None)
        await self._commit(step)
        self._states |= {run: step.states[run] for run in step.touched}
        for run, events in step.events.items():
            self.feed(run).publish(step.states[run], events)
        self._answer(step)
        await self._act(step)
        for run, events in step.events.items():
            self.desk.saw(step.states[run], events)
        for run in step.touched:
            (self._live.discard if step.states[run].over else self._live.add)(run)

    def _spread(self, items: list[Item]) -> list[Item]:
        """Messages for all runs become one for each; what the pool offers is remembered for runs to come."""
        spread = []
        for item in items:
            if item.run:
                spread.append(item)
                continue
            if isinstance(item.message, ms.PoolChanged):
                self._offered = item.message
            spread += [item._replace(run=run) for run in sorted(self._live)]
        return spread

    async def _decide(self, step: _Step, item: Item) -> None:
        message = item.message
        match message:
            case Note():
                self.feed(item.run).note(message)
                return
            case CodeBlob():
                await asyncio.to_thread(self._shipping.accept, message.data)
                return
            case Refused():
                step.replies.append((item, message))
            case ms.Succeeded() | ms.ResultKept():
                step.apply(item.run, _with(message, result=self._shipping.seal(message.result)), item)
            case ms.Suspended() if message.saved is not None:
                step.apply(item.run, _with(message, saved=self._shipping.seal(message.saved)), item)
            case ms.Propose() if item.reply is None and not item.command:
                step.apply(item.run, _with(message, changeset=self._shipping.sign(message.changeset)), item)
            case _:
                step.apply(item.run, message, item)
        if isinstance(message, ms.StartRun) and self._offered is not None:
            step.apply(item.run, self._offered, None)
        step.offset = max(step.offset, item.offset)

    async def _commit(self, step: _Step) -> None:
        append = {
            wire.journal(run): [dumps(event) for event in events] for run, events in step.events.items()
        }
        puts: dict[str, bytes | None] = {
            wire.summary(run): _summary(step.states[run]) for run in step.events if step.states[run].started
        }
        started = [run.encode() for run in step.started]
        if started:
            append[wire.RUNS] = started
        for item, value in step.replies:
            if item.command:
                puts[wire.reply_key(item.command)] = wire.pack_reply(_plain(value))
        if step.offset > self._offset:
            puts[wire.OFFSET] = str(step.offset).encode()
        if not append and not puts:
            return
        revision = await self._store.commit(puts=puts, append=append, fence=self._lease)
        if isinstance(revision, CommitRefused):
            raise LabInUse(
                "another process leads this lab now; this one has stepped down. Lab() gives a remote handle"
            )
        self._offset = max(self._offset, step.offset)

    def _answer(self, step: _Step) -> None:
        for item, value in step.replies:
            if item.reply is None or not item.reply.set_running_or_notify_cancel():
                continue
            if isinstance(value, Exception) and not isinstance(value, Refused):
                item.reply.set_exception(value)
            else:
                item.reply.set_result(value)

    async def _act(self, step: _Step) -> None:
        for run, effect in step.effects:
            match effect:
                case ef.Publish():
                    await self._pool.publish(run, effect.version, dumps(effect.change))
                case ef.Submit():
                    await self._pool.submit(effect.tasks, self._shipping.code)
                case ef.Recall():
                    await self._pool.withdraw(run, effect.attempts)
                case ef.Forget():
                    await self._pool.forget(run, effect.attempts)
                case ef.AskVote():
                    self.desk.ask(run, effect.proposal, effect.agent)

    # -- the lease and other processes

    async def _keep_lease(self) -> None:
        assert self._lease is not None
        while True:
            await asyncio.sleep(LEASE_SECONDS / 3)
            try:
                if not await self._store.renew(self._lease):
                    self._break(LabInUse("this process was away too long, and another one leads the lab now"))
                    return
            except StoreUnavailable as error:
                _log.warning("the lease could not be renewed: %s", error)

    async def _read_inbox(self) -> None:
        async for row in self._store.watch(wire.INBOX, self._offset):
            command = wire.unpack_command(row.data, self._shipping.key)
            if isinstance(command, Refused):
                self._inbox.put(Item("?", command, offset=row.seq))
            else:
                self._inbox.put(Item(command.run, command.message, command=command.id, offset=row.seq))


class _Step:
    """What one step has decided so far."""

    def __init__(self, states: dict[str, RunState]) -> None:
        self.states = states
        self.touched: dict[str, None] = {}
        self.started: list[str] = []
        self.events: dict[str, list[Any]] = {}
        self.effects: list[tuple[str, ef.Effect]] = []
        self.replies: list[tuple[Item, Any]] = []
        self.offset = 0

    def apply(self, run: str, message: Any, item: Item | None) -> None:
        before = self.states.get(run, RunState())
        state, events, effects = apply(before, message)
        if not before.started and state.started:
            self.started.append(run)
        if events:
            self.states[run] = state
            self.events.setdefault(run, []).extend(events)
        if state.started:
            self.touched[run] = None
        for effect in effects:
            if isinstance(effect, ef.Reply):
                if item is not None:
                    self.replies.append((item, effect.value))
            else:
                self.effects.append((run, effect))


def _with(message: Any, **changes: Any) -> Any:
    return replace(message, **changes)


def _plain(value: Any) -> Any:
    return value if isinstance(value, Refused) or not isinstance(value, Exception) else Refused(str(value))


def _summary(state: RunState) -> bytes:
    done = (
        sum(rec.state in SETTLED for rec in state.nodes.values())
        if state.over
        else len(state.nodes) - state.left
    )
    row = {
        "status": state.status.value, "version": state.version, "done": done, "nodes": len(state.nodes),
        "open": len(state.open), "seq": state.seq, "at": state.at, "by": state.versions[0].by,
        "started": state.versions[0].at,
    }  # fmt: skip
    return json.dumps(row).encode()
