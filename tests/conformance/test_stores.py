"""The stores that come with hexdag_lab keep every promise of the contract, and are found by their URLs."""

from __future__ import annotations

import asyncio
import secrets
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

import pytest

from hexdag_lab.core.base.errors import SchemaError, StoreUnavailable
from hexdag_lab.ports import CommitRefused, Durability, Lease, Limits, Row, Store
from hexdag_lab.runtime.stores import LARGEST, Bell, heard, owner_id, process_gone, store_of
from hexdag_lab.runtime.stores.memory import MemoryStore
from hexdag_lab.runtime.stores.sqlite import SqliteStore
from hexdag_lab.testing.conformance import STORE_CHECKS, Check, MakeStore, check_store

LOCAL, SERVERS = ("memory", "sqlite"), ("redis", "valkey", "etcd", "consul")
Outcomes = dict[Check, BaseException | None]


@pytest.fixture(params=LOCAL)
def make(request: pytest.FixtureRequest, tmp_path: Path) -> MakeStore:
    """Makes stores on one backing of each kind that needs no server."""
    url = f"memory://{secrets.token_hex(8)}" if request.param == "memory" else f"sqlite:///{tmp_path}/lab.db"
    return lambda: store_of(url)


@pytest.fixture(scope="module", params=LOCAL + SERVERS)
def outcomes(
    request: pytest.FixtureRequest, server_url: Callable[[str], str], tmp_path_factory: pytest.TempPathFactory
) -> Outcomes:
    """How each check ends on a kind of store. They run side by side: most only wait for a lease to end."""
    folder = tmp_path_factory.mktemp("checks")

    def url(check: Check) -> str:
        if request.param == "sqlite":
            return f"sqlite:///{folder}/{check.__name__}.db"  # so that writers do not wait for those of other checks
        return "memory://all-checks" if request.param == "memory" else server_url(request.param)

    async def all_checks() -> Outcomes:
        ends = [check(partial(store_of, url(check))) for check in STORE_CHECKS]
        return dict(zip(STORE_CHECKS, await asyncio.gather(*ends, return_exceptions=True), strict=True))

    with pytest.MonkeyPatch.context() as patch:  # a disk that others keep busy breaks no promise
        patch.setattr("hexdag_lab.runtime.stores.server.OPENING", 20.0)
        patch.setattr("hexdag_lab.runtime.stores.server.PATIENCE", 20.0)
        return asyncio.run(all_checks())


@pytest.mark.parametrize("check", STORE_CHECKS, ids=lambda check: check.__name__)
def test_a_store_keeps_its_promise(check: Check, outcomes: Outcomes) -> None:
    if outcomes[check] is not None:
        raise outcomes[check]


def test_every_check_says_in_a_sentence_what_it_checks() -> None:
    assert all((check.__doc__ or "").endswith(".") for check in STORE_CHECKS)
    assert len({check.__name__ for check in STORE_CHECKS}) == len(STORE_CHECKS)


class Forgetful(MemoryStore):
    """A store that does not look at the lease."""

    def _refusal(self, guards: Mapping[str, int], fence: Lease | None) -> CommitRefused | None:
        return super()._refusal(guards, None)


class Careless(MemoryStore):
    """A store that does not look at guards."""

    def _refusal(self, guards: Mapping[str, int], fence: Lease | None) -> CommitRefused | None:
        return super()._refusal({}, fence)


class Half(MemoryStore):
    """A store that puts although it refuses."""

    async def commit(
        self,
        guards: Mapping[str, int] = {},
        puts: Mapping[str, bytes | None] = {},
        append: Mapping[str, Sequence[bytes]] = {},
        fence: Lease | None = None,
    ) -> int | CommitRefused:
        answer = await super().commit(guards, puts, append, fence)
        if isinstance(answer, CommitRefused):
            await super().commit({}, puts)
        return answer


class Boundless(MemoryStore):
    """A store that takes more than it says."""

    limits = Limits(2**16)

    async def commit(
        self,
        guards: Mapping[str, int] = {},
        puts: Mapping[str, bytes | None] = {},
        append: Mapping[str, Sequence[bytes]] = {},
        fence: Lease | None = None,
    ) -> int | CommitRefused:
        self.limits = MemoryStore.limits
        try:
            return await super().commit(guards, puts, append, fence)
        finally:
            self.limits = Boundless.limits


class Muddled(MemoryStore):
    """A store that keeps the rows of streams together whose names begin alike."""

    async def commit(
        self,
        guards: Mapping[str, int] = {},
        puts: Mapping[str, bytes | None] = {},
        append: Mapping[str, Sequence[bytes]] = {},
        fence: Lease | None = None,
    ) -> int | CommitRefused:
        return await super().commit(guards, puts, {short(stream): rows for stream, rows in append.items()}, fence)

    async def read(self, stream: str, after: int = 0, limit: int = 1000) -> list[Row]:
        return await super().read(short(stream), after, limit)


class Hasty(MemoryStore):
    """A store whose pages of a long commit leave out its last rows."""

    async def read(self, stream: str, after: int = 0, limit: int = 1000) -> list[Row]:
        return (await super().read(stream, after, limit))[:200]


class Shredder(MemoryStore):
    """A store that begins to count anew when all rows of a stream were trimmed."""

    async def trim(self, stream: str, upto: int) -> None:
        self._streams[stream] = [row for row in self._streams.get(stream, []) if row.seq > upto]


def short(stream: str) -> str:
    return "/".join(stream.split("/")[:3])


@pytest.mark.parametrize("broken", [Forgetful, Careless, Half, Boundless, Muddled, Hasty, Shredder])
def test_the_suite_finds_a_store_that_breaks_a_promise(broken: type[MemoryStore]) -> None:
    store = broken()
    with pytest.raises(AssertionError, match="broken promise"):
        asyncio.run(check_store(lambda: store))


# URLs -------------------------------------------------------------------------------------------------------


def test_a_url_names_a_sqlite_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    near, far = store_of("sqlite:///near/lab.db"), store_of("sqlite:////far/lab.db")
    assert isinstance(near, SqliteStore)
    assert near.path == tmp_path / "near" / "lab.db"
    assert isinstance(far, SqliteStore)
    assert far.path == Path("/far/lab.db")


def test_memory_is_shared_by_name_and_private_without() -> None:
    name = f"memory://{secrets.token_hex(8)}"
    assert store_of(name) is store_of(name)
    assert store_of(name) is not store_of(name + "-other")
    assert store_of("memory://") is not store_of("memory://")


def test_a_store_passes_through() -> None:
    store = MemoryStore()
    assert store_of(store) is store
    for candidate in (store, SqliteStore("x.db")):
        assert isinstance(candidate, Store)


@pytest.mark.parametrize("url", ["mysql://host/db", "lab.db", "", "://x", "memory:name"])
def test_an_unknown_url_says_what_is_known(url: str) -> None:
    with pytest.raises(ValueError, match=r"sqlite:///relative\.db.*memory://"):
        store_of(url)


@pytest.mark.parametrize("url", ["sqlite://lab.db", "sqlite://", "sqlite:///", "sqlite:///:memory:"])
def test_a_sqlite_url_without_a_file_says_how_to_write_it(url: str) -> None:
    with pytest.raises(ValueError, match=r"write sqlite:///"):
        store_of(url)


def test_a_store_says_what_it_survives(tmp_path: Path) -> None:
    assert MemoryStore().durability == (False, False, False)
    assert SqliteStore(tmp_path / "lab.db").durability == (True, True, False)


# what these stores promise beyond the contract --------------------------------------------------------------


def test_what_a_store_survives_is_said_in_words() -> None:
    words = [Durability(*faults).words for faults in ((True, True, True), (True, True, False), (False, False, False))]
    assert words == [
        "a killed process and a power cut and the loss of its leading server",
        "a killed process and a power cut, but not the loss of its leading server",
        "no fault",
    ]


def test_what_is_too_large_is_refused_before_anything_is_done(make: MakeStore) -> None:
    async def scenario() -> None:
        store = make()
        await store.open()
        big = bytes(LARGEST + 1)
        with pytest.raises(SchemaError, match=r"value of 'k' has 16,777,217 bytes.*as a blob"):
            await store.commit(puts={"small": b"x", "k": big})
        with pytest.raises(SchemaError, match=r"row for stream 's' has .*as a blob"):
            await store.commit(puts={"small": b"x"}, append={"s": [b"x", big]})
        assert await store.get("small") is None
        assert not isinstance(await store.commit(puts={"k": big[:LARGEST]}), CommitRefused)
        await store.close()

    asyncio.run(scenario())


def test_this_process_is_alive_and_so_is_any_owner_that_nobody_can_tell_about() -> None:
    host, pid, _, space = owner_id().split(":")
    assert not process_gone(owner_id())
    assert not process_gone(owner_id() + ":standby")
    for stranger in (
        f"other-host:{pid}:1:{space}",
        f"{host}:{pid}:1:another-space",
        "marie",
        "",
        ":::",
        "a:b:c:d",
    ):
        assert not process_gone(stranger)


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="start times are read from /proc")
def test_a_process_id_that_was_given_again_is_another_process() -> None:
    host, pid, started, space = owner_id().split(":")
    assert process_gone(f"{host}:{pid}:{int(started) - 1}:{space}")


def test_one_store_serves_several_event_loops_at_once(make: MakeStore) -> None:
    store = make()

    async def watch() -> list[bytes]:
        rows: list[bytes] = []
        async with asyncio.timeout(30):
            async for row in store.watch("log"):
                rows.append(row.data)
                if len(rows) == 20:
                    break
        return rows

    async def scenario() -> None:
        await store.open()
        watching = asyncio.create_task(asyncio.to_thread(asyncio.run, watch()))
        for i in range(20):
            await store.commit(append={"log": [b"%d" % i]})
        assert await watching == [b"%d" % i for i in range(20)]
        await store.close()

    asyncio.run(scenario())


async def there_and_back(writer: Store, watcher: Store, times: int) -> None:
    """Commit a row, wait until it is seen, and so on."""
    watching = watcher.watch("log")
    async with asyncio.timeout(times / 2):  # by the look without a hint, once a second, it takes twice that
        for i in range(times):
            seen = asyncio.ensure_future(anext(watching))
            await asyncio.sleep(0.02)  # it has looked, and waits
            await writer.commit(append={"log": [b"%d" % i]})
            assert (await seen).data == b"%d" % i


def test_a_watcher_is_told_of_commits_of_its_own_store(make: MakeStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hexdag_lab.runtime.stores.sqlite.BUSY_POLL", 1.0)  # the bell alone has to do
    monkeypatch.setattr("hexdag_lab.runtime.stores.sqlite.IDLE_POLL", 1.0)

    async def scenario() -> None:
        store = make()
        await store.open()
        await there_and_back(store, store, 20)
        await store.close()

    asyncio.run(scenario())


def test_a_watcher_soon_finds_commits_of_others(make: MakeStore) -> None:
    async def scenario() -> None:
        here, there = make(), make()
        await here.open()
        await there.open()
        await there_and_back(here, there, 20)
        await there.close()
        await here.close()

    asyncio.run(scenario())


def test_a_ring_between_two_looks_is_not_missed() -> None:
    async def scenario() -> None:
        bell = Bell()
        with bell.listening("log") as rung:
            bell.ring(["other"])
            bell.ring(["log"])
            async with asyncio.timeout(10):
                await heard(rung, 3600)
            assert not rung.is_set()
        bell.ring(["log"])  # nobody listens: nothing happens

    asyncio.run(scenario())


def test_a_store_that_is_not_open_says_so(tmp_path: Path) -> None:
    async def scenario() -> None:
        store = SqliteStore(tmp_path / "lab.db")
        with pytest.raises(StoreUnavailable, match="not open"):
            await store.get("x")
        await store.open()
        await store.open()  # twice does no harm
        await store.close()
        await store.close()
        with pytest.raises(StoreUnavailable, match="not open"):
            await store.commit(puts={"x": b""})
        await store.open()
        assert await store.get("x") is None
        await store.close()

    asyncio.run(scenario())


def test_the_write_ahead_log_stays_small(tmp_path: Path) -> None:
    async def scenario() -> None:
        store = SqliteStore(tmp_path / "lab.db")
        await store.open()
        for i in range(1500):
            await store.commit(puts={"k": b"%d" % i}, append={"log": [bytes(300)]})
        assert (tmp_path / "lab.db-wal").stat().st_size < 8 * 2**20
        await store.close()

    asyncio.run(scenario())
    with sqlite3.connect(tmp_path / "lab.db") as db:
        assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    db.close()
