"""The table of stores: does each keep its promises, also when it is killed and frozen, and what does a commit cost?

python -m tests.benchmarks.stores [kind ...]

Real servers on 127.0.0.1, data in a temporary directory; what is missing is said. "Killed" is kill -9 of the server (of
etcd's leader; of the writing process for SQLite) under three writers, twice; then the commits that were acknowledged,
and how many of them are lost and doubled. "Longest pause" is the longest time between two acknowledgements around a
kill, the 0.3 s that the server is down included; "frozen" the same while the server (etcd's leader) is stopped for 3 s.
"Taken over" is how long a lease of 2 s outlives its silent holder. Commits are timed one after another, a key and a row
of 200 bytes each, and the kinds take turns, so that what else the machine does falls on all of them. The second half of
the table is that of `failover`: whole labs under the same faults.
"""

from __future__ import annotations

import asyncio
import statistics
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from hexdag_lab.ports import Store
from hexdag_lab.runtime.stores import store_of
from hexdag_lab.testing.conformance import STORE_CHECKS
from tests import servers
from tests.benchmarks import failover
from tests.runtime.stores.load import Load
from tests.runtime.test_sqlite_faults import COMMIT_FOR_EVER, child, line_of

KINDS = ("sqlite", "redis", "valkey", "etcd", "consul")
COLUMNS = (
    "promises kept", "killed: acknowledged / lost / doubled", "longest pause", "frozen: longest pause", "taken over",
    "commit ms p50 / p95", "largest value", "survives: crash / power / failover",
)  # fmt: skip
ROUNDS, COMMITS = 5, 60


class Kind:
    """One kind of store, and what was found out about it."""

    def __init__(self, name: str, folder: Path) -> None:
        self.name, self.folder, self.found = name, folder, dict.fromkeys(COLUMNS, "")
        self.server: Any = None
        self.times: list[float] = []

    def start(self) -> None:
        self.folder.mkdir()
        if self.name == "etcd":
            self.server = servers.Etcd(self.folder, 3).start()
        elif self.name != "sqlite":
            self.server = servers.started(self.name, self.folder)
        self.url = self.server.url if self.server else f"sqlite:///{self.folder}/lab.db"

    def kill(self) -> None:
        if self.server is not None:
            self.server.kill()

    @property
    def leader(self) -> servers.Server:
        leader: servers.Server = self.server.leader() if self.name == "etcd" else self.server
        return leader

    async def with_store(self, work: Callable[[Store], Awaitable[None]]) -> None:
        store = store_of(self.url)
        await store.open()
        await work(store)
        await store.close()

    async def conformance(self) -> None:
        ends = [check(lambda: store_of(self.url)) for check in STORE_CHECKS]
        broken = [end for end in await asyncio.gather(*ends, return_exceptions=True) if end is not None]
        self.found["promises kept"] = f"{len(ends) - len(broken)} of {len(ends)}"
        for end in broken:
            print(f"{self.name}: {end!r}", file=sys.stderr)

    async def facts(self, store: Store) -> None:
        self.found["largest value"] = f"{store.limits.value:,} bytes"
        said = ("yes" if kept else "no" for kept in store.durability)
        self.found["survives: crash / power / failover"] = " / ".join(said)

    async def takeover(self, store: Store) -> None:
        assert await store.acquire("table", "silent", 2.0) is not None
        begun = time.monotonic()
        while await store.acquire("table", "next", 2.0) is None:  # noqa: ASYNC110 - time is what is waited for
            await asyncio.sleep(0.02)
        self.found["taken over"] = f"{time.monotonic() - begun:.1f} s"

    async def commits(self, store: Store) -> None:
        for _ in range(COMMITS):
            begun = time.perf_counter()
            await store.commit(puts={"timed": bytes(200)}, append={"timed": [bytes(200)]})
            self.times.append((time.perf_counter() - begun) * 1000)

    def timed(self) -> None:
        cuts = statistics.quantiles(self.times, n=20)
        self.found["commit ms p50 / p95"] = f"{statistics.median(self.times):.2f} / {cuts[18]:.2f}"

    async def killed(self) -> None:
        if self.server is None:
            said = await asyncio.to_thread(self._killed_writer)
        else:
            async with Load(self.url) as load:
                for _ in range(2):
                    await load.acknowledges(200)
                    victim = self.leader
                    victim.kill()
                    await asyncio.sleep(0.3)
                    if self.name == "etcd":
                        await load.acknowledges(50)  # two of three go on
                    victim.start()
                await load.acknowledges(200)
            self.found["longest pause"] = f"{load.longest_pause():.1f} s"
            said = counted([row.data for row in load.seen.rows], load.acknowledged)
        self.found["killed: acknowledged / lost / doubled"] = said

    def _killed_writer(self) -> str:
        acknowledged: list[bytes] = []
        for turn in range(2):
            with child(COMMIT_FOR_EVER, self.folder / "lab.db", f"w{turn}") as writer:
                acknowledged += [line_of(writer).encode() for _ in range(300)]
                writer.kill()
                acknowledged += [line.encode() for line in writer.communicate()[0].split()]
        rows: list[bytes] = []

        async def read(store: Store) -> None:
            rows.extend([row.data for row in await store.read("log", limit=10**6)])

        asyncio.run(self.with_store(read))
        return counted(rows, acknowledged)

    async def frozen(self) -> None:
        if self.server is None:
            return
        async with Load(f"{self.url}?lab=frozen") as load:
            await load.acknowledges(100)
            victim = self.leader
            victim.freeze()
            await asyncio.sleep(3)
            victim.freeze(False)
            await load.acknowledges(100)
        load.check()
        self.found["frozen: longest pause"] = f"{load.longest_pause():.1f} s"


def counted(rows: list[bytes], acknowledged: list[bytes]) -> str:
    times = Counter(rows)
    lost, doubled = sum(times[said] == 0 for said in acknowledged), sum(count > 1 for count in times.values())
    return f"{len(acknowledged)} / {lost} / {doubled}"


async def measure(kinds: list[Kind]) -> None:
    for kind in kinds:
        print(f"{kind.name} …", file=sys.stderr, flush=True)
        await kind.conformance()
        await kind.with_store(kind.facts)
        await kind.with_store(kind.takeover)
    for _ in range(ROUNDS):
        for kind in kinds:
            await kind.with_store(kind.commits)
    for kind in kinds:
        kind.timed()
        await kind.killed()
        await kind.frozen()


def main(names: list[str]) -> list[Kind]:
    kinds: list[Kind] = []
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        for name in names or KINDS:
            kind = Kind(name, Path(folder) / name)
            try:
                kind.start()
            except pytest.skip.Exception as reason:
                print(f"{name} is not measured: {reason}")
                continue
            stack.callback(kind.kill)
            kinds.append(kind)
        asyncio.run(measure(kinds))
    print(f"| | {' | '.join(kind.name for kind in kinds)} |\n|{' --- |' * (len(kinds) + 1)}")
    for column in COLUMNS:
        print(f"| {column} | {' | '.join(kind.found[column] for kind in kinds)} |")
    print()
    failover.main([kind.name for kind in kinds])
    return kinds


if __name__ == "__main__":
    main(sys.argv[1:])
