"""Keeping a store small and a long run quick to attach: old rows of a journal move into blobs, and the state is saved.

It is done while a run goes on, by its leader or by a command, and at any moment it may stop: first the blobs, then one
guarded commit that says what is in them, then the rows go. Rows move as they are, with the links of the chain over
them, so that an audit finds in a segment what it would have found in the store. A segment ends where a commit ended.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from typing import NamedTuple

from ..core.base.errors import HexdagError, SchemaError
from ..core.machine.state import RunState
from ..ports import Blobs, CommitRefused, Row, Store
from . import chain, snapshot, wire
from .archive import Archive, Saved, Segment, packed_segment
from .history import Journal, rows_of, signed
from .seal import Seal

SEGMENT = 10_000  #: rows of a segment, or a little more
SEGMENT_BYTES = 16 * 2**20  #: or fewer rows, if they have so many bytes
KEEP = 2_000  #: rows that stay in the store
MOST_SEGMENTS = 400  #: of one run, so that an archive fits under one key of every store
LOOK_EVERY = 5.0  #: seconds between looks for runs that have grown
_log = logging.getLogger(__name__)


class Compacted(NamedTuple):
    """What a compaction has done: rows that moved into blobs, and the row of the new snapshot; 0: none."""

    rows: int
    saved: int


class Compaction:
    """Moves rows of one lab's runs into its blobs. `least`: of fewer rows no segment is made."""

    def __init__(self, store: Store, blobs: Blobs, seal: Seal, least: int = SEGMENT) -> None:
        self._store, self._blobs, self._seal, self._least = store, blobs, seal, least
        self._journal = Journal(store, blobs, seal)

    async def compact(self, run: str, state: RunState | None = None, keep: int = KEEP) -> Compacted:
        """Move what is old enough, and save the state; None: as the journal has it. Nothing is done where somebody else
        does the same at this moment."""
        archive, rev = await self._journal.archive(run)
        if state is None:
            state, _ = await self._journal.state(run)
        made = archive
        while len(made.segments) < MOST_SEGMENTS:
            segment = await self._segment(run, made, state.seq - keep)
            if segment is None:
                break
            made = made._replace(segments=(*made.segments, segment))
        if state.seq - _saved_at(made.saved) >= max(self._least, len(state.nodes)):  # as much as it costs to make
            made = made._replace(saved=await self._saved(run, state))
        if made != archive:
            key = wire.archive(run)
            if isinstance(await self._store.commit({key: rev}, {key: made.pack()}), CommitRefused):
                return Compacted(0, 0)
        if made.segments:  # again, if it was said before and not done
            await self._store.trim(wire.journal(run), made.seq)
            await self._store.trim(wire.chain(run), made.links)
        saved = made.saved.seq if made.saved is not None and made.saved != archive.saved else 0
        return Compacted(made.seq - archive.seq, saved)

    async def _segment(self, run: str, archive: Archive, upto: int) -> Segment | None:
        """The next segment, in a blob; None if there are not rows enough, or none that an audit would not miss here: a
        journal with a hole, or a damaged chain, stays where it is."""
        rows = await self._next_rows(run, archive.seq, upto)
        if len(rows) < self._least and sum(len(row.data) for row in rows) < SEGMENT_BYTES:
            return None
        try:
            found = [
                (row, chain.unpack(row.data)) for row in await rows_of(self._store, wire.chain(run), archive.links)
            ]
        except SchemaError:
            return None
        links = [row for row, link in found if link.seq <= rows[-1].seq]
        seq = found[len(links) - 1][1].seq if links else 0
        rows = [row for row in rows if row.seq <= seq]
        if not _whole(rows, archive.seq, seq) or not _whole(links, archive.links, archive.links + len(links)):
            return None
        data = packed_segment([row.data for row in rows], [row.data for row in links])
        return Segment(archive.seq, seq, links[-1].seq, await asyncio.to_thread(self._blobs.put, data))

    async def _next_rows(self, run: str, after: int, upto: int) -> list[Row]:
        """Rows for a segment: from the store, up to a row."""
        rows, size = list[Row](), 0
        while len(rows) < SEGMENT and size < SEGMENT_BYTES:
            page = await self._store.read(wire.journal(run), rows[-1].seq if rows else after)
            page = [row for row in page if row.seq <= upto]
            if not page:
                break
            rows += page
            size += sum(len(row.data) for row in page)
        return rows

    async def _saved(self, run: str, state: RunState) -> Saved:
        blob = await asyncio.to_thread(lambda: self._blobs.put(snapshot.packed(state)))
        saved = Saved(state.seq, blob, snapshot.code(), "")
        return saved._replace(mac=self._seal.mac("snapshot", signed(run, saved)))


def _saved_at(saved: Saved | None) -> int:
    """The row of a snapshot that can be used; 0: there is none."""
    return saved.seq if saved is not None and saved.code == snapshot.code() else 0


def _whole(rows: list[Row], after: int, seq: int) -> bool:
    return bool(rows) and [row.seq for row in rows] == [*range(after + 1, seq + 1)]


async def keep_compact(compaction: Compaction, states: Callable[[], Mapping[str, RunState]]) -> None:
    """Compact the runs that are led here as they grow, for ever."""
    done = dict[str, int]()
    while True:
        await asyncio.sleep(LOOK_EVERY)
        for run, state in states().items():
            if state.seq - done.get(run, 0) < SEGMENT + KEEP:
                continue
            done[run] = state.seq - KEEP
            try:
                await compaction.compact(run, state)
            except (HexdagError, OSError) as error:  # it is there, only larger; the next look is after as many rows
                _log.warning("the journal of run %s could not be compacted: %s", run, error)
