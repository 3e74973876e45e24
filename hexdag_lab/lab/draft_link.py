"""Where a draft meets the others: a stream with everybody's writes, and a key with what each copy has seen.

What the store has not taken yet waits here. A copy that is looked at tells of itself: within a second when it has seen
something new (what it writes says so at once), else now and then. One that has been silent for long is no longer named,
and names itself again when it is back.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any

from ..core.base.errors import SchemaError, StoreUnavailable
from ..core.replica.clock import Clock
from ..core.replica.copies import Told
from ..core.replica.packing import clock_from_data, moment, pack, reading, unpack, writes_from_data, writes_to_data
from ..core.replica.replica import Write
from ..ports import CommitRefused, Row, Store
from ..runtime import wire
from ..runtime.reach import Asked

ROW = 48 * 1024  #: bytes of a row of the store; larger edits take more rows
PAGE = 1000  #: rows that are read at a time
TELL_SOON, TELL_EVERY = 1.0, 10.0  #: seconds between two words of a copy, and of one that has seen nothing new
SILENT_FOR = 7 * 86_400_000  #: milliseconds after which a copy is not named any more
REPLACED_AFTER = 600_000  #: the same, for one whose owner has a newer one
MOST_COPIES = 200  #: that are named, the latest
TRIES = 5  #: at telling while others do the same; the next look tries again


class Link:
    """A copy's way to the store of its lab. All methods but `send_apart` raise `StoreUnavailable`."""

    def __init__(self, lab: Any, name: str) -> None:
        self._lab, self._name, self._read = lab, name, 0
        self._listed = False  #: that this draft is in the list of drafts
        self._told, self._told_at = Clock(), float("-inf")
        self.unsent = list[Write]()
        self._sending, self._sends = asyncio.Lock(), False

    def fresh(self) -> Iterator[list[Write]]:
        """What others wrote since the last look, many rows at a time. Raises `SchemaError` for one that is damaged."""
        stream, more = wire.draft(self._name), True
        while more:  # a page that is not full is the last: one question to the store a look
            rows = self._lab.in_store(lambda store: store.read(stream, self._read, PAGE))
            writes: list[Write] = []
            for row in rows:
                writes += self._writes_of(row)
            yield writes
            self._read = rows[-1].seq if rows else self._read
            more = len(rows) == PAGE

    def _writes_of(self, row: Row) -> tuple[Write, ...]:
        try:
            writes: tuple[Write, ...] = reading("it", writes_from_data, unpack(row.data))
        except SchemaError as error:
            raise SchemaError(
                f"row {row.seq} of draft {self._name} is damaged, or of a newer hexdag_lab: {error}. draft.save(path)"
                " writes what a notebook has read of it, and lab.draft(another_name).merge(path) goes on from there"
            ) from error
        return writes

    def send(self, writes: Sequence[Write] = ()) -> None:
        """Send these, after what waits."""
        self.unsent += writes
        while self.unsent:
            self._lab.in_store(self._send_row)

    def send_apart(self, writes: Sequence[Write]) -> None:
        """Have these sent, together with what comes until it is their turn, and wait for nothing. What the store does
        not take goes with the next look."""
        self.unsent += writes
        self._lab.in_store_apart(self._send_all)

    async def _send_all(self, asked: Asked) -> None:
        if self._sends:  # whoever does so takes along what has come
            return
        self._sends = True
        try:
            with suppress(StoreUnavailable):
                while self.unsent:
                    await asked(self._send_row)
        finally:
            self._sends = False

    async def _send_row(self, store: Store) -> None:
        """Send as much of what waits as one row takes: one at a time, so that all goes once, and in its order."""
        async with self._sending:
            if not self.unsent:
                return
            count, data = _row(self.unsent)
            rows = {wire.draft(self._name): [data]}
            rows |= {} if self._listed else {wire.DRAFTS: [self._name.encode()]}
            said = await store.commit(append=rows)
            assert not isinstance(said, CommitRefused)  # nothing guards it
            self._listed = True
            del self.unsent[:count]

    def tell(self, replica: str, by: str, seen: Clock) -> None:
        """Let the others know what this copy has seen."""
        if time.monotonic() < self._told_at + (TELL_EVERY if seen == self._told else TELL_SOON):
            return
        word = Told(by, seen, int(time.time() * 1000))
        if self._lab.in_store(lambda store: _tell(store, self._name, replica, word)):
            self._told, self._told_at = seen, time.monotonic()

    def told(self) -> Mapping[str, Told]:
        """What copies have told of themselves, by replica."""
        found = self._lab.in_store(lambda store: store.get(wire.copies(self._name)))
        return {} if found is None else _told(found.data)


async def _tell(store: Store, name: str, replica: str, word: Told) -> bool:
    """Whether it was told: not if others told again and again meanwhile."""
    key = wire.copies(name)
    for _ in range(TRIES):
        found = await store.get(key)
        known = {**({} if found is None else _told(found.data)), replica: word}
        data = pack({"copies": {id_: [*told] for id_, told in _named(known, replica).items()}})
        said = await store.commit(guards={key: 0 if found is None else found.rev}, puts={key: data})
        if not isinstance(said, CommitRefused):
            return True
    return False


def _told(data: bytes) -> dict[str, Told]:
    """What is under the key; nothing if it cannot be read, since all copies soon tell again."""

    def read(found: Any) -> dict[str, Told]:
        return {
            str(id_): Told(str(by), clock_from_data(seen), moment(at))
            for id_, (by, seen, at) in found["copies"].items()
        }

    try:
        told: dict[str, Told] = reading("what copies told", read, unpack(data))
    except SchemaError:
        return {}
    return told


def _named(known: Mapping[str, Told], teller: str) -> dict[str, Told]:
    """Those that go on being named, seen from one that tells now."""
    now = known[teller]

    def lasts(id_: str, told: Told) -> bool:
        return now.at - told.at < (REPLACED_AFTER if told.by == now.by else SILENT_FOR) or id_ == teller

    latest = sorted(known.items(), key=lambda one: (-one[1].at, one[0]))[:MOST_COPIES]
    return {id_: told for id_, told in sorted(latest) if lasts(id_, told)}


def _row(writes: Sequence[Write]) -> tuple[int, bytes]:
    """As many of the writes as one row takes."""
    count = len(writes)
    while True:
        data = pack(writes_to_data(writes[:count]))
        if len(data) <= ROW or count == 1:
            return count, data
        count = max(1, count // 2)
