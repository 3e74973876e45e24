"""`Journal`: what a store and its blobs remember of runs: rows, events, states. It reads, and changes nothing.

Where the rows of a long run are, in the store or in segments (`archive.py`), is known here alone.
"""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import Any, NamedTuple

from ..core.base.codec import loads
from ..core.base.errors import SchemaError, StoreUnavailable
from ..core.machine.events import Base
from ..core.machine.evolve import evolve
from ..core.machine.state import RunState
from ..ports import Blobs, Row, Store
from . import snapshot, wire
from .archive import Archive, Saved, Segment, unpacked_segment
from .past import Past
from .seal import Seal

TRIES = 50  #: to read a run that somebody leads
AT_HAND = 4  #: segments that are kept in memory
_log = logging.getLogger(__name__)


class Stored(NamedTuple):
    """A value of the store that was read, and its revision, for a guard."""

    archive: Archive
    rev: int


class Whole(NamedTuple):
    """A run as it lies in a store: rows of its journal, links of the chain over them, and its summary, if any."""

    rows: list[Row]
    links: list[bytes]
    summary: bytes | None


class Damaged(SchemaError):
    """A row of a journal is not what it should be. What is before it can be read: `state` and `events`."""

    def __init__(self, run: str, seq: int, why: object, state: RunState, events: Sequence[Base]) -> None:
        readable = f"rows 1 to {seq - 1} can be read: lab.attached({run!r})" if seq > 1 else "it is the first one"
        super().__init__(
            f"the journal of run {run} is damaged at row {seq}: {why}; {readable}, and `hexdag-lab audit {run}` "
            "says more"
        )
        self.state, self.events = state, events


class Journal:
    """Reads the journals of one lab. Without blobs, or without the lab's key, it reads what it can: rows that are still
    in the store; states by folding all rows. Raises `StoreUnavailable` for what cannot be had."""

    def __init__(self, store: Store, blobs: Blobs | None = None, seal: Seal | None = None) -> None:
        self._store, self._blobs, self._seal = store, blobs, seal
        self._at_hand: OrderedDict[str, tuple[list[Row], list[Row]]] = OrderedDict()

    # -- rows

    async def archive(self, run: str) -> Stored:
        """What of a run is in blobs."""
        value = await self._store.get(wire.archive(run))
        return Stored(Archive(), 0) if value is None else Stored(Archive.unpack(value.data), value.rev)

    async def rows(self, run: str, after: int = 0) -> list[Row]:
        """The rows of a run's journal with seq > after, as they are, whatever became of them."""
        return await self._read(run, after, chained=False)

    async def links(self, run: str) -> list[Row]:
        """All rows of the chain over a run's journal, as they are."""
        return await self._read(run, 0, chained=True)

    async def whole(self, run: str) -> Whole:
        """All that is journaled of a run, of one moment though somebody may lead it: each commit puts a new summary."""
        for _ in range(TRIES):
            before = await self._store.get(wire.summary(run))
            links, rows = await self.links(run), await self.rows(run)
            if await self._store.get(wire.summary(run)) == before:
                return Whole(rows, [row.data for row in links], before and before.data)
        raise StoreUnavailable(
            f"run {run} goes on too fast to be read as a whole now; pause it for a moment: run.pause()"
        )

    async def row(self, run: str, seq: int) -> Row | None:
        """One row of a run's journal, or None."""
        found = await self._store.read(wire.journal(run), seq - 1, 1)
        if found and found[0].seq == seq:
            return found[0]
        for segment in (await self.archive(run)).archive.segments:
            if segment.after < seq <= segment.seq:
                return (await self._segment(segment))[0][seq - segment.after - 1]
        return None

    async def _read(self, run: str, after: int, chained: bool) -> list[Row]:
        stream = wire.chain(run) if chained else wire.journal(run)
        seen: Stored | None = None
        while True:
            stored = await self.archive(run)
            rows = list[Row]()
            for segment in stored.archive.segments:
                if (segment.links if chained else segment.seq) > after:
                    rows += (await self._segment(segment))[1 if chained else 0]
            end = max(after, stored.archive.links if chained else stored.archive.seq)
            rows += (rest := await rows_of(self._store, stream, end))
            if not rest or rest[0].seq == end + 1 or stored == seen:
                return [row for row in rows if row.seq > after]
            seen = stored  # what is missing may have gone into a segment since: look once more

    async def _segment(self, segment: Segment) -> tuple[list[Row], list[Row]]:
        if segment.blob not in self._at_hand:
            if self._blobs is None:
                text = f"rows {segment.after + 1} to {segment.seq} are in blob {segment.blob}; say where the blobs are"
                raise StoreUnavailable(text)
            data = await asyncio.to_thread(self._blobs.get, segment.blob)
            self._at_hand[segment.blob] = await asyncio.to_thread(unpacked_segment, segment, data)
            while len(self._at_hand) > AT_HAND:
                self._at_hand.popitem(last=False)
        self._at_hand.move_to_end(segment.blob)
        return self._at_hand[segment.blob]

    async def follow(self, run: str, after: int) -> AsyncGenerator[Row, None]:
        """The rows of a run's journal with seq > after, for ever, also those that go into a segment meanwhile."""
        while True:
            async with aclosing(self._store.watch(wire.journal(run), after)) as news:
                async for row in news:
                    found = [row] if row.seq == after + 1 else await self.rows(run, after)
                    for older in found:
                        after = older.seq
                        yield older
                    if found[-1] != row:
                        break  # those that came meanwhile are read, too: watch from there

    # -- what the rows say

    async def state(self, run: str) -> tuple[RunState, Past]:
        """A run's state, and its events. Raises `Damaged` for a row that is missing, out of place, or not readable."""
        saved = (await self.archive(run)).archive.saved
        state = await self._snapshot(run, saved) if saved is not None else RunState()
        unread, loop = state.seq, asyncio.get_running_loop()
        rows = await self.rows(run, state.seq)
        state, events = await asyncio.to_thread(folded, run, state, rows)

        def read() -> list[Base]:
            return asyncio.run_coroutine_threadsafe(self.events(run, unread), loop).result()

        return state, Past(events, unread, read)

    async def events(self, run: str, upto: int) -> list[Base]:
        """The first events of a run."""
        rows = (await self.rows(run))[:upto]
        return await asyncio.to_thread(lambda: folded(run, None, rows)[1])

    async def _snapshot(self, run: str, saved: Saved) -> RunState:
        """The state at a row, or that before the first one, if the snapshot is not ours or cannot be used."""
        if self._blobs is None or self._seal is None or saved.code != snapshot.code():
            return RunState()
        if not self._seal.good(saved.mac, "snapshot", signed(run, saved)):
            _log.warning("the snapshot of run %s does not carry the lab's key, so its journal is read instead", run)
            return RunState()
        try:
            data = await asyncio.to_thread(self._blobs.get, saved.blob)
            return await asyncio.to_thread(snapshot.unpacked, data)
        except Exception as error:  # whatever it is: the journal has it all
            _log.warning("the snapshot of run %s cannot be used, so its journal is read instead: %s", run, error)
            return RunState()


def signed(run: str, saved: Saved) -> str:
    """What the lab's mark on a snapshot says."""
    return f"{run}\0{saved.seq}\0{saved.code}\0{saved.blob}"


def folded(run: str, state: RunState | None, rows: Sequence[Row]) -> tuple[RunState, list[Base]]:
    """The state after some more rows, and their events; None: only the events, from the first one on. Raises
    `Damaged` for the first row that is not what it should be."""
    after, seq, events = state or RunState(), state.seq if state else 0, list[Base]()
    for row in rows:
        seq += 1
        try:
            event: Any = loads(row.data)
            if not row.seq == event.seq == seq:
                raise SchemaError("it is missing, or another row")
            if state is not None:
                after = evolve(after, event)
        except Exception as error:  # a damaged row may break the fold anywhere
            why = error if isinstance(error, SchemaError) else f"it does not follow from what is before it ({error!r})"
            raise Damaged(run, seq, why, after, events) from error
        events.append(event)
    return after, events


async def rows_of(store: Store, stream: str, after: int = 0) -> list[Row]:
    """All rows of a stream after one, as they are, whatever became of them."""
    found = list[Row]()
    while rows := await store.read(stream, found[-1].seq if found else after):
        found += rows
    return found


async def drafts_of(store: Store) -> list[str]:
    """The names of all drafts, sorted. Raises `SchemaError` if the list of them is damaged."""
    found = set[str]()
    for row in await rows_of(store, wire.DRAFTS):
        try:
            found.add(row.data.decode())
        except UnicodeDecodeError as error:
            raise SchemaError(
                f"row {row.seq} of the list of drafts is damaged ({error}); lab.draft(name) still opens one by its name"
            ) from error
    return sorted(found)


async def unanswered(store: Store, seal: Seal, run: str, upto: int) -> list[wire.Command]:
    """Commands for a run that came from other processes while nobody led it, up to a row of the inbox."""
    found, after = list[wire.Command](), 0
    while after < upto and (rows := await store.read(wire.INBOX, after, min(1000, upto - after))):
        for row in rows:
            after = row.seq
            command = wire.unpack_command(row.data, seal)
            if command.run == run and await store.get(wire.reply_key(command.id)) is None:
                found.append(command)
    return found
