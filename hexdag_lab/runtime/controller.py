"""The controller: one loop that takes messages, decides, journals, publishes and acts, in this order.

A step drains the inbox: many messages, one commit, one small graph for the pool. Nothing is done or shown that is not
in the journal; a commit that is refused means that another process leads, and this one steps down. All decisions are in
the pure core; here is only the order of things.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

from ..core.base.errors import AlreadyDecided, HexdagError, Refused, SchemaError
from ..core.machine import messages as ms
from ..core.machine.state import RunState
from ..core.runs.region import Region
from ..core.runs.value import Kept
from ..core.runs.worker import Worker
from ..ports import Pool, Regional, Store
from ..worker.context import CodeBlob, Note, Notes
from . import wire
from .acting import Acting
from .admission import admit
from .batch import Batch
from .cache import Cache
from .chain import Link, last_link
from .compaction import Compaction, keep_compact
from .consumer import Consumer
from .desk import Desk, Door, Functions
from .feed import Feed
from .health import keep_health
from .history import Damaged, Journal
from .inbox import Inbox, Item, settle
from .keys import Keys
from .lead import GuardFailed, Lead
from .log import Log, keep_logs, kept_log
from .past import Past
from .regions import Census
from .requests import drained, serve
from .results import Results
from .sections import Sections, claims_of, results_of
from .shipping import Shipping
from .thread import cancelled
from .timers import Timers
from .view import RunView

COMPANY = 0.016  #: seconds that reports wait for others while the workers are busy anyway
LAST_STEP = 5.0  #: seconds that closing waits for the step that is going on
_log = logging.getLogger(__name__)


class Controller:
    """Leads one lab on the event loop that it is opened on. `put`, `command` and `feed` may be used from any thread."""

    desk_id = ""  #: of the desk that asks those whom no other process asks

    def __init__(
        self, store: Store, pool: Pool, shipping: Shipping, owner_id: str, keys: Keys | None = None,
        ttl: float | None = None,
    ) -> None:  # fmt: skip
        self._store, self._pool, self._shipping, self._keys = store, pool, shipping, keys or Keys()
        self._links: dict[str, Link] = {}
        self._journal = Journal(store, shipping.blobs, shipping.key)
        self._lead = Lead(store, owner_id, ttl)
        self._states: dict[str, RunState] = {}
        self._live: set[str] = set()
        self._feeds: dict[str, Feed] = {}
        self._timers = Timers()
        self._offered: ms.PoolChanged | None = None
        self._in_hand: list[Item] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._closing = False
        self._census: Census | None = None
        self._down: asyncio.Task[None] | None = None
        self._ended = asyncio.Event()
        self.broken: Exception | None = None

    # -- life

    async def open(self, wait_for_pool: bool) -> bool:
        """Take the lead; False if another live process has it. Raises `StoreUnavailable`, `PoolUnavailable`."""
        self._loop = asyncio.get_running_loop()
        self._inbox = Inbox(self._loop)
        self._consumer = Consumer(self._store, self._shipping.key, self._inbox.put, self._has)
        self.desk = Desk(Door(self.put, self.command, self.view, self._desk_lives), self._shipping)
        self._sections = Sections(self._store, self._lead.owner, self.put)
        self._results = Results(self._pool, self._shipping, self._loop, lambda run: self.feed(run).state)
        cache = Cache(self._store, self._journal, self._shipping)
        self._acting = Acting(self._pool, self.desk, self._shipping, cache, self.put)
        if not await self._lead.take():
            return False
        try:
            await self._consumer.open()
            self._task(self._keep_lead())
            if wait_for_pool:
                await self._pool.open(self.put)
            if self.broken is not None:
                raise self.broken
        except BaseException:
            await cancelled(self._tasks)
            await self._pool.close()
            await self._lead.give_back()
            raise
        self._stepping = self._task(self._steps())
        self._task(self._consumer.consume())
        self._task(keep_logs(self._store, self._logs, lambda: self._lead.lease))
        self._task(keep_health(self._store, self.workers, lambda: self._lead.lease))
        if isinstance(self._pool, Regional):
            self._census = Census(self._store, self._pool.regions, self.seqs)
            self._task(self._census.keep(lambda: self._lead.lease))
        self._task(keep_compact(Compaction(self._store, self._shipping.blobs, self._shipping.key), self._led))
        if not wait_for_pool:
            self._task(self._open_pool())
        return True

    def _task(self, work: Any) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _open_pool(self) -> None:
        try:
            await self._pool.open(self.put)
        except Exception as error:  # a pool is the edge of the world
            self._break(error)

    async def _keep_lead(self) -> None:
        try:
            await self._lead.keep()
        except HexdagError as error:
            self._break(error)

    async def ended(self) -> Exception:
        """Wait until it leads no more, and why."""
        await self._ended.wait()
        assert self.broken is not None
        return self.broken

    async def register(self, agent: str, functions: Functions) -> None:
        """These are the functions of an agent of this process."""
        self.desk.register(agent, functions)

    async def _desk_lives(self, desk: str) -> bool:
        return await self._store.holder(wire.desk(desk)) is not None

    async def close(self) -> None:
        """Stop leading; unfinished runs can be attached again."""
        self._closing = True
        self._inbox.wake()
        await asyncio.wait([self._stepping], timeout=LAST_STEP)
        self._break(HexdagError("the lab is closed; lab.attach(run_id) goes on with the run"))
        assert self._down is not None
        await self._down

    def _break(self, why: Exception) -> None:
        """Nothing goes on here: tell everybody who waits, and let somebody else lead."""
        self._closing = True
        self.broken = self.broken or why
        self._results.end(self.broken)
        for feed in list(self._feeds.values()):
            feed.end(self.broken)
        self._refuse_all()
        if self._down is None:
            self._down = asyncio.create_task(self._step_down())

    def _refuse_all(self) -> None:
        assert self.broken is not None
        for item in (*self._in_hand, *self._inbox.drain()):
            settle(item.reply, self.broken)

    async def _step_down(self) -> None:
        await cancelled(self._tasks)
        self.desk.close()
        try:
            await self._pool.close()
        except Exception:  # a pool is the edge of the world
            _log.exception("the pool could not be closed")
        await self._sections.close()
        await self._lead.give_back()
        self._ended.set()

    # -- the doors

    def put(self, run: str, message: Any) -> None:
        """Tell the controller something about a run ("": all runs); from any thread, returns at once."""
        self._inbox.put(Item(run, message))

    def command(self, run: str, message: Any) -> Future[Any]:
        """Ask for something; the future gets the answer: a value or a `Refused`."""
        reply: Future[Any] = Future()
        self._inbox.put(Item(run, message, reply))
        if self.broken is not None:
            self._refuse_all()
        return reply

    def feed(self, run: str) -> Feed:
        """The published states of a run."""
        feed = self._feeds.setdefault(run, Feed())
        if self.broken is not None:
            feed.end(self.broken)
        return feed

    def _has(self, run: str) -> bool:
        return run in self._states

    def _led(self) -> dict[str, RunState]:
        return {run: self._states[run] for run in sorted(self._live)}

    def _logs(self) -> dict[str, Log]:
        return {run: self.feed(run).log for run in sorted(self._live)}

    def view(self, run: str) -> RunView:
        """A run as it is now."""
        return RunView(self.feed(run).state, self.reader(run))

    def reader(self, run: str) -> Callable[[str, int, Kept], Any]:
        """How results of a run are read, from any thread but the controller's own."""
        return self._results.reader(run)

    def workers(self) -> list[Worker]:
        """The pool's workers."""
        return self._pool.workers()

    def regions(self) -> list[Region]:
        """The pool's regions, if it has any."""
        return [] if self._census is None else list(self._census.rows())

    def seqs(self) -> dict[str, int]:
        """How many events each run has that goes on here."""
        return {run: state.seq for run, state in self._led().items()}

    def drain(self, worker: str) -> Future[None]:
        """Let a worker leave; the future ends when it has, or with the `Refused` that says why it cannot."""
        return asyncio.run_coroutine_threadsafe(drained(self._pool, worker), self._loop)

    def runs(self) -> tuple[str, ...]:
        """The runs that are led here."""
        return tuple(sorted(self._live))

    @property
    def heard_at(self) -> float:
        """When another process has asked for something last, on the monotonic clock."""
        return self._consumer.heard_at

    # -- going on with a run

    async def adopt(self, run: str, by: str) -> None:
        """Go on with a run whose controller is gone, from its journal."""
        if run in self._states:
            return None
        state, past = await self._past(run)
        if not state.started:
            raise Refused(f"there is no run {run!r} in this store", rule="unknown-run", fix="see lab.runs()")
        link = await last_link(self._store, run, state.seq)
        log = await kept_log(self._store, run)
        absent = () if state.over else await asyncio.to_thread(self.desk.recall, state)
        if run in self._states:
            return None  # somebody else has asked for it meanwhile
        self._states[run], self._links[run] = state, link
        heard = self._consumer.heard
        self.feed(run).show_log(log)
        self.feed(run).begin(state, past)
        if state.over:
            return await self._consumer.catch_up(run, heard)
        hooks = {agent: seen for agent, seen in state.hooks.items() if agent not in absent}
        news = await asyncio.to_thread(lambda: past[min(hooks.values(), default=state.seq) :])
        self._live.add(run)
        reply: Future[Any] = Future()
        # What the pool offered to the controller before is gone with it.
        self._inbox.put(Item(run, self._offered or ms.PoolChanged(time.time(), 0, 0, None)))
        self._inbox.put(Item(run, ms.Attach(time.time(), by, absent), reply))
        self.desk.saw(run, hooks, news)
        await asyncio.wrap_future(reply)
        return await self._consumer.catch_up(run, heard)

    async def _past(self, run: str) -> tuple[RunState, Past]:
        """A run as its journal has it; of one that is damaged, what is before that can be looked at."""
        if (feed := self._feeds.get(run)) is not None and feed.broken is not None and self.broken is None:
            del self._feeds[run]  # it was damaged before, and may have been put right
        try:
            return await self._journal.state(run)
        except Damaged as damaged:
            self.feed(run).begin(damaged.state, Past(damaged.events))
            self.feed(run).end(damaged)
            raise

    # -- the loop

    async def _steps(self) -> None:
        while not self._closing:
            items = await self._inbox.take(self._timers.until_due(self._led()))
            if self._unhurried(items):
                await asyncio.sleep(COMPANY)
                items += await self._inbox.take(0)
            self._in_hand = items = items + self._timers.ticks(self._led())
            if not items:
                continue
            try:
                await self._step(items)
            except (HexdagError, OSError) as error:
                return self._break(error)
            except Exception as error:  # a bug: better an error for everybody than silence
                _log.exception("the controller stops")
                return self._break(error)
            self._in_hand = []
        return None

    def _unhurried(self, items: list[Item]) -> bool:
        """Whether nobody waits for these: reports of runs whose workers have more to do than slots. Then a few
        milliseconds of company make one commit of many."""
        if not items or not all(isinstance(item.message, ms.Started | ms.Succeeded) for item in items):
            return False
        runs = {item.run for item in items if item.run in self._states}
        return all(self._states[run].outstanding - len(items) > self._states[run].slots for run in runs)

    async def _step(self, items: list[Item]) -> None:
        """Decide all messages, journal in one commit, then publish and act."""
        batch = await self._decided(self._spread(items))
        try:
            await self._commit(batch)
        except GuardFailed as failed:  # a section was somebody else's meanwhile: what came of it does not count
            again = [item for item in items if not isinstance(item.message, Note)]
            await self._step([*self._lost_section(failed.key), *again])
        except SchemaError as error:
            if len(items) > 1:  # one of them cannot be journaled, as a graph that is too large: the others can
                for item in items:
                    await self._step([item])
            else:
                settle(items[0].reply, error)
        else:
            await self._done(batch)

    async def _done(self, batch: Batch) -> None:
        """The decisions are in the journal: publish them, and act."""
        self._states |= batch.states
        for run, events in batch.events.items():
            self.feed(run).publish(batch.state(run), events)
        for run, effect in batch.effects:
            await self._acting.perform(run, effect)
        for item, value in batch.replies:  # whoever cancels a run and is answered can rely on it
            self._answer(item, value)
        for run, events in batch.events.items():
            state = batch.state(run)
            (self._live.discard if state.over else self._live.add)(run)
            if state.over:
                self._timers.end(run)
            await self._acting.let_go(run, state, events)
            self.desk.saw(run, state.hooks, events)
            self._sections.follow(run, state)

    def _lost_section(self, key: str) -> list[Item]:
        now = time.time()
        return [
            Item(run, ms.LeaseLost(now, node, claim.seq))
            for run in sorted(self._live)
            for node, claim in claims_of(self._states[run], key)
        ]

    def _spread(self, items: list[Item]) -> list[Item]:
        """Messages for all runs become one for each; what the pool offers is remembered for runs to come."""
        spread = []
        for item in items:
            if item.run or item.command:
                spread.append(item)
                continue
            if isinstance(item.message, ms.PoolChanged):
                self._offered = item.message
            spread += [item._replace(run=run) for run in sorted(self._live)]
        return spread

    async def _decided(self, items: list[Item]) -> Batch:
        batch = Batch(self._states)
        for item in items:
            try:
                await self._decide(batch, item)
            except Exception as error:  # a bug in a decision must not stop all other runs
                _log.exception("a message could not be decided: %s", type(item.message).__name__)
                batch.replies.append((item, error))
            batch.offset = max(batch.offset, item.offset)
        for run in list(batch.touched):
            try:
                batch.apply(run, ms.Dispatch(time.time()), None)
            except Exception:  # the same: one run must not stop the others
                _log.exception("run %s: what to do next could not be decided", run)
        return batch

    async def _decide(self, batch: Batch, item: Item) -> None:
        message = item.message
        match message:
            case Note() | Notes():
                self.feed(item.run).note(message)
                return
            case CodeBlob():
                await asyncio.to_thread(self._shipping.accept, message.data)
                return
            case wire.Fetch() | wire.Drain():
                self._task(serve(item, self._pool, self._results, self._inbox.put))
                return
            case Refused() | bool():
                batch.replies.append((item, message))
                return
        message = admit(item, batch.state(item.run), self._shipping, self._keys)
        if isinstance(message, Refused):
            batch.replies.append((item, message))
            return
        batch.apply(item.run, message, item)
        if item.command and isinstance(message, ms.ANSWERS):
            batch.replies.append((item, True))  # nobody waits for it, but whoever adopts the run must not hear it again
        if isinstance(message, ms.StartRun) and self._offered is not None:
            batch.apply(item.run, self._offered, None)

    async def _commit(self, batch: Batch) -> None:
        puts, append = batch.writes(self._lead.owner, self._links, self._shipping.key)
        if batch.offset > self._consumer.offset:
            puts[wire.OFFSET] = str(batch.offset).encode()
        for run in batch.events:
            if batch.state(run).over:  # who sees the end of a run also sees the last that was said
                self.feed(run).log.write(wire.log(run), puts)
        if not append and not puts:
            return
        guards = dict[str, int]()
        for run, nodes in results_of(batch.events).items():
            if run in self._states:
                guards |= self._sections.guards(run, self._states[run], nodes)
        await self._lead.commit(puts, append, guards)
        self._consumer.offset = max(self._consumer.offset, batch.offset)
        self._links |= batch.links

    def _answer(self, item: Item, value: Any) -> None:
        settle(item.reply, value)
        late = isinstance(item.message, ms.CastBallot) and isinstance(value, AlreadyDecided)  # others were quicker
        if isinstance(value, Refused) and item.reply is None and not item.command and not late:
            _log.warning("run %s: %s was refused: %s", item.run, type(item.message).__name__, value)
