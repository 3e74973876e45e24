"""A lab from another process than the one that leads it: it reads the journal and sends commands through the store.

Agents that this process has added are asked here, by a desk of its own. A lease says that it lives; the leader asks
them only when that has ended.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextlib import AsyncExitStack, aclosing, suppress
from typing import Any

from ..core.base.errors import HexdagError, NotFinished, Refused, StoreUnavailable
from ..core.machine.decide import unasked
from ..core.machine.state import RunState
from ..core.runs.value import Kept
from ..core.runs.worker import Worker
from ..ports import CommitRefused, Store, StoreAway
from . import wire
from .desk import Desk, Door, Functions
from .feed import Feed
from .health import health
from .history import Damaged, Journal, folded
from .keys import Keys
from .lead import LEASE_SECONDS, holding
from .log import kept_log
from .past import Past
from .shipping import Shipping
from .view import RunView

PATIENCE = 20.0  #: seconds for the leader to answer a command
SOONEST, LOOK_EVERY = 0.003, 0.05  #: seconds between looks for an answer, at first and then
LOG_EVERY = 0.5  #: seconds between looks at what nodes say
_log = logging.getLogger(__name__)


class Remote:
    """Watches and commands a lab through its store. The same doors as `Controller`."""

    def __init__(
        self, store: Store, shipping: Shipping, keys: Keys, owner_id: str, loop: asyncio.AbstractEventLoop
    ) -> None:
        self._store, self._shipping, self._keys, self._loop = store, shipping, keys, loop
        self._journal = Journal(store, shipping.blobs, shipping.key)
        self.desk_id = secrets.token_hex(8)
        self._owner = f"{owner_id}:{self.desk_id}"
        self.desk = Desk(Door(self.put, self.command, self.view, self._lives), shipping, self.desk_id)
        self._presence = AsyncExitStack()
        self._present = False
        self._asked: set[tuple[str, str, str]] = set()
        self._feeds: dict[str, Feed] = {}
        self._following: dict[str, Future[None]] = {}
        self._lock = threading.Lock()
        self.broken: Exception | None = None

    def command(self, run: str, message: Any) -> Future[Any]:
        """Ask the leader for something; the future gets its answer."""
        if self.broken is not None:
            refused: Future[Any] = Future()
            refused.set_exception(self.broken)
            return refused
        return asyncio.run_coroutine_threadsafe(self._command(run, message), self._loop)

    def put(self, run: str, message: Any) -> None:
        """Tell the leader what an agent has said; from any thread, returns at once."""
        asyncio.run_coroutine_threadsafe(self._put(run, message), self._loop)

    async def _put(self, run: str, message: Any) -> None:
        data = self._packed(run, message)[1]
        while self.broken is None:
            with suppress(StoreAway):  # the same answer twice counts once
                await self._store.commit(append={wire.INBOX: [data]})
                return
            await asyncio.sleep(LOG_EVERY)

    def _packed(self, run: str, message: Any) -> tuple[str, bytes]:
        if getattr(message, "proof", message) is None:  # an agent of ours has said it
            message = self._keys.signed(self.feed(run).state, message)
        return wire.pack_command(run, message, self._shipping.key)

    async def _command(self, run: str, message: Any) -> Any:
        id_ = await self._sent(run, message)
        give_up, pause = time.monotonic() + PATIENCE, SOONEST
        while time.monotonic() < give_up:
            with suppress(StoreAway):  # the command is in the inbox, and the answer there when the store is back
                if (answer := await self._answer(id_)) is not None:
                    return answer
            await asyncio.sleep(pause)
            pause = min(2 * pause, LOOK_EVERY)
        raise StoreUnavailable(
            f"nobody has answered within {PATIENCE:.0f} s: the process that leads this lab is gone or stuck, or does "
            f"not go on with this run; the command is in the inbox and counts when somebody attaches the run "
            f"(hexdag-lab attach {run})"
        )

    async def _sent(self, run: str, message: Any) -> str:
        """The id of a command that is in the inbox now."""
        id_, data = self._packed(run, message)
        outcome = await self._store.commit(append={wire.INBOX: [data]})
        assert not isinstance(outcome, CommitRefused)
        return id_

    async def _answer(self, command: str) -> Any:
        """The answer to a command; None if there is none yet."""
        answer = await self._store.get(wire.reply_key(command))
        return None if answer is None else wire.unpack_reply(answer.data)

    def feed(self, run: str) -> Feed:
        """The published states of a run, followed from its journal; anew, if the store did not answer once."""
        with self._lock:
            feed = self._feeds.get(run)
            if feed is None or (isinstance(feed.broken, StoreUnavailable) and self.broken is None):
                self._feeds[run] = Feed()
                self._following[run] = asyncio.run_coroutine_threadsafe(self._follow(run), self._loop)
            return self._feeds[run]

    def again(self, run: str) -> None:
        """Read a run anew whose journal was damaged: it may have been put right."""
        with self._lock:
            if self.broken is None and run in self._feeds and self._feeds[run].broken is not None:
                del self._feeds[run]

    async def _follow(self, run: str) -> None:
        feed = self._feeds[run]
        listening = asyncio.create_task(self._read_log(run, feed))
        try:
            await self._read_and_watch(run, feed)
        except HexdagError as error:
            feed.end(error)
        except Exception as error:  # a bug here must not leave anybody waiting
            _log.exception("run %s cannot be followed", run)
            feed.end(error)
        finally:
            listening.cancel()

    async def _read_and_watch(self, run: str, feed: Feed) -> None:
        try:
            state, past = await self._journal.state(run)
        except Damaged as damaged:
            feed.begin(damaged.state, Past(damaged.events))
            raise
        feed.show_log(await kept_log(self._store, run))
        feed.begin(state, past)
        await self._ask(run, state, past)
        async with aclosing(self._journal.follow(run, state.seq)) as news:
            async for row in news:
                state, events = folded(run, state, [row])
                if state.over:
                    feed.show_log(await kept_log(self._store, run))
                feed.publish(state, events)
                await self._ask(run, state, events)

    # -- agents of this process

    async def register(self, agent: str, functions: Functions) -> None:
        """These are the functions of an agent here; its seat names this desk, which others can see from now on."""
        self.desk.register(agent, functions)
        if not self._present:
            self._present = True
            here = holding(self._store, wire.desk(self.desk_id), self._owner, LEASE_SECONDS)
            await self._presence.enter_async_context(here)

    async def _lives(self, desk: str) -> bool:
        return desk == self.desk_id

    async def _ask(self, run: str, state: RunState, events: Sequence[Any]) -> None:
        """Ask our agents what the journal says that they are to be asked."""
        own = [seat for seat in state.seats.values() if seat.desk == self.desk_id]
        if not own or state.over:
            return
        names = {seat.id for seat in own}
        for ask in unasked(state):
            asked = (ask.proposal, ask.agent, state.proposals[ask.proposal].seen)  # revised, it is another question
            if ask.agent in names and asked not in self._asked:
                self._asked.add(asked)
                self.desk.ask(run, ask.proposal, ask.agent)
        hooks = {name: seen for name, seen in state.hooks.items() if name in names}
        if isinstance(events, Past):  # what they have not seen; older events may have to be read for it
            past = events
            events = await asyncio.to_thread(lambda: past[min(hooks.values(), default=state.seq) :])
        self.desk.saw(run, hooks, events)

    async def _read_log(self, run: str, feed: Feed) -> None:
        """Show what nodes say, while the run goes on. A store that does not answer is told by who reads the journal."""
        with suppress(HexdagError):
            while not feed.state.over:
                await asyncio.sleep(LOG_EVERY)
                log = await kept_log(self._store, run)
                if log.seq > feed.log.seq:
                    feed.show_log(log)

    def view(self, run: str) -> RunView:
        """A run as it was at the last event that was seen."""
        return RunView(self.feed(run).state, self.reader(run))

    def reader(self, run: str) -> Callable[[str, int, Kept], Any]:
        """How results of a run are read."""

        def read(node: str, fence: int, kept: Kept) -> Any:
            if kept.where == "pool":
                kept = self._fetched(run, node, fence)
            return self._shipping.read(kept, f"the result of {node}")

        return read

    def _fetched(self, run: str, node: str, fence: int) -> Kept:
        """Where a result is that was in the workers' memory only, once the leader has kept it; not on our own loop."""

        def kept(state: RunState) -> Kept | None:
            rec = state.nodes.get(node) or state.gone.get(node)
            there = rec is not None and rec.fence == fence and rec.result is not None and rec.result.where != "pool"
            return rec.result if there and rec is not None else None

        if (now := kept(self.feed(run).state)) is not None:
            return now
        gone = f"the result of {node} was only in the memory of workers whose leader is gone"
        if asyncio.run_coroutine_threadsafe(self._store.holder(wire.LEADER), self._loop).result(PATIENCE) is None:
            raise NotFinished(gone)
        try:
            answer = self.command(run, wire.Fetch(node, fence)).result(2 * PATIENCE)
        except StoreUnavailable as error:
            raise NotFinished(gone) from error
        if isinstance(answer, Refused):
            raise NotFinished(str(answer))
        found = kept(self.feed(run).until(lambda state: kept(state) is not None).result(PATIENCE))
        assert found is not None
        return found

    def workers(self) -> list[Worker]:
        """The leader's workers, as it has last written them down; not on our own loop."""
        return asyncio.run_coroutine_threadsafe(health(self._store), self._loop).result(PATIENCE)

    def drain(self, worker: str) -> Future[Any]:
        """Ask the leader to let a worker leave; the future ends when it has, or with a `Refused` as its result."""
        return asyncio.run_coroutine_threadsafe(self._drain(worker), self._loop)

    async def _drain(self, worker: str) -> Any:
        """A node may take hours to end: the answer is waited for as long as the leader leads that has heard of it."""
        id_, leader = await self._sent("", wire.Drain(worker)), None
        give_up, pause = time.monotonic() + PATIENCE, SOONEST
        while True:
            with suppress(StoreAway):
                now = await self._store.holder(wire.LEADER)  # asked first: a leader's last words count
                leader = leader or now
                if (answer := await self._answer(id_)) is not None:
                    return answer
                if now != leader or (now is None and time.monotonic() > give_up):
                    break
            await asyncio.sleep(pause)
            pause = min(2 * pause, LOG_EVERY)
        text = f"the process that was to drain worker {worker} leads no more"
        return Refused(text, rule="not-left", fix="if lab.workers() still has it, drain it again")

    def runs(self) -> tuple[str, ...]:
        """None is led here."""
        return ()

    def seqs(self) -> dict[str, int]:
        """How many events have been seen here of each run that goes on, and that somebody looks at."""
        with self._lock:
            states = {run: feed.state for run, feed in self._feeds.items()}
        return {run: state.seq for run, state in states.items() if state.started and not state.over}

    def fail(self, why: Exception) -> None:
        """Nobody leads, and nobody will: whoever waits is told why."""
        self.broken = self.broken or why
        for feed in list(self._feeds.values()):
            feed.end(self.broken)

    async def close(self) -> None:
        """Stop following; whoever waits is told."""
        self.fail(HexdagError("the lab is closed; hx.Lab(...) opens it again"))
        self.desk.close()
        await self._presence.aclose()
        with self._lock:
            for following in self._following.values():
                following.cancel()
