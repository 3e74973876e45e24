"""What the fault tests of stores share: writers that note what was acknowledged, and a look at what is there after."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from contextlib import aclosing
from itertools import pairwise
from typing import Any, NamedTuple

from hexdag_lab.ports import CommitRefused, Row, Store, StoreAway
from hexdag_lab.runtime.stores import store_of

PATIENCE = 30.0  #: seconds that anything here may take


async def until(met: Callable[[], Any]) -> None:
    """Wait until something holds; fails after some seconds."""
    async with asyncio.timeout(PATIENCE):
        while not met():  # noqa: ASYNC110 - what is waited for is in other processes
            await asyncio.sleep(0.005)


class Seen(NamedTuple):
    """What is there in the end."""

    rows: list[Row]
    watched: list[Row]
    values: list[bytes | None]


class Load:
    """Writers, each on a store of its own, and a watcher on another. Each commit puts a key and adds a row."""

    def __init__(self, url: str, writers: int = 3) -> None:
        self.url, self.writers = url, writers
        self.acknowledged: list[bytes] = []
        self.unsure = 0
        self._at: list[float] = []
        self._stop = asyncio.Event()
        self._watched: list[Row] = []

    async def __aenter__(self) -> Load:
        self._stores = [store_of(self.url) for _ in range(self.writers + 1)]
        for store in self._stores:
            await store.open()
        self._watching = asyncio.ensure_future(self._watch(self._stores[-1]))
        self._writing = [asyncio.ensure_future(self._write(n, self._stores[n])) for n in range(self.writers)]
        return self

    async def _watch(self, store: Store) -> None:
        async with aclosing(store.watch("log")) as news:
            async for row in news:
                self._watched.append(row)

    async def _write(self, writer: int, store: Store) -> None:
        key, number, rev = f"writer {writer}", 0, 0
        while not self._stop.is_set():
            number += 1
            said = b"%d-%d" % (writer, number)
            rev = await self._surely(store, key, rev, said)
            self.acknowledged.append(said)
            self._at.append(asyncio.get_running_loop().time())

    async def _surely(self, store: Store, key: str, rev: int, said: bytes) -> int:
        """As the port says: guard, and after an unknown outcome read what is there."""
        while True:
            try:
                answer = await store.commit({key: rev}, {key: said}, {"log": [said]})
                if not isinstance(answer, CommitRefused):
                    return answer
                found = await store.get(key)
                assert found is not None
                assert found.data == said, "only our own earlier copy can refuse"
                return found.rev
            except StoreAway:
                self.unsure += 1

    def longest_pause(self) -> float:
        """The most seconds between two acknowledgements."""
        return max(later - earlier for earlier, later in pairwise(self._at))

    async def acknowledges(self, more: int) -> None:
        """Wait until so many more commits are acknowledged."""
        target = len(self.acknowledged) + more
        await until(lambda: len(self.acknowledged) >= target or any(task.done() for task in self._writing))

    async def __aexit__(self, *_: object) -> None:
        self._stop.set()
        await asyncio.wait_for(asyncio.gather(*self._writing), PATIENCE)
        store = self._stores[0]
        rows = [row async for row in _all(store)]
        await until(lambda: len(self._watched) >= len(rows))
        values = [await store.get(f"writer {n}") for n in range(self.writers)]
        self.seen = Seen(rows, self._watched, [value.data if value else None for value in values])
        self._watching.cancel()
        await asyncio.wait([self._watching])
        for store in self._stores:
            await store.close()

    def check(self) -> None:
        """Nothing acknowledged is lost or doubled; the watcher saw just that; value and row are of one commit."""
        rows, watched, values = self.seen
        times = Counter(row.data for row in rows)
        assert [said for said in self.acknowledged if times[said] == 0] == []
        assert [said for said, count in times.items() if count > 1] == []
        assert len(rows) == len(self.acknowledged)
        assert [row.seq for row in rows] == [*range(1, len(rows) + 1)]
        assert watched == rows
        last = {row.data.partition(b"-")[0]: row.data for row in rows}
        assert values == [last[b"%d" % n] for n in range(self.writers)]


async def _all(store: Store) -> Any:
    after = 0
    while rows := await store.read("log", after):
        for row in rows:
            yield row
        after = rows[-1].seq
