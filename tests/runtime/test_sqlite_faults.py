"""What the SQLite store does when a process is killed, a file is not what it should be, or a disk is full."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

import hexdag_lab
from hexdag_lab.core.base.errors import StoreUnavailable
from hexdag_lab.ports import CommitRefused, Lease, Row
from hexdag_lab.runtime.stores import owner_id
from hexdag_lab.runtime.stores.sqlite import SqliteStore

needs_proc = pytest.mark.skipif(
    not Path("/proc/self/stat").exists(), reason="elsewhere a dead process is told by its ttl only"
)

COMMIT_FOR_EVER = """
    import asyncio, sys
    from hexdag_lab.runtime.stores.sqlite import SqliteStore

    async def main(path, name):
        store = SqliteStore(path)
        await store.open()
        number, rev = 0, 0
        while True:
            number += 1
            done = b"%s-%d" % (name.encode(), number)
            rev = await store.commit({name: rev}, {name: done}, {"log": [done]})
            print(done.decode(), flush=True)

    asyncio.run(main(*sys.argv[1:]))
"""

LEAD_FOR_EVER = """
    import asyncio, sys
    from hexdag_lab.runtime.stores import owner_id
    from hexdag_lab.runtime.stores.sqlite import SqliteStore

    async def main(path):
        store = SqliteStore(path)
        await store.open()
        print((await store.acquire("leader", owner_id(), 60.0)).token, flush=True)
        print(owner_id(), flush=True)
        await asyncio.sleep(3600)

    asyncio.run(main(*sys.argv[1:]))
"""

FILL_THE_DISK = """
    import asyncio, resource, sys
    from hexdag_lab.core.base.errors import StoreUnavailable
    from hexdag_lab.runtime.stores.sqlite import SqliteStore

    async def main(path):
        store = SqliteStore(path)
        await store.open()
        resource.setrlimit(resource.RLIMIT_FSIZE, (2**20, resource.RLIM_INFINITY))
        acknowledged = 0
        try:
            while True:
                await store.commit({}, {"last": b"%d" % acknowledged}, {"log": [bytes(30_000)]})
                acknowledged += 1
        except StoreUnavailable as error:
            print(error, flush=True)
        print(acknowledged, len(await store.read("log")), flush=True)
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        await store.commit(append={"log": [b"after"]})
        print((await store.read("log", after=acknowledged))[0].seq, flush=True)
        await store.close()

    asyncio.run(main(*sys.argv[1:]))
"""


@contextmanager
def child(code: str, *args: str | Path) -> Iterator[subprocess.Popen[str]]:
    """A process that runs some code; it is gone afterwards."""
    lines = [line.removeprefix("    ") for line in code.splitlines()]
    package = str(Path(hexdag_lab.__file__).parents[1])
    with subprocess.Popen(
        [sys.executable, "-c", "\n".join(lines), *map(str, args)],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([package, *sys.path])},
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def line_of(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def kill_9(process: subprocess.Popen[str], reap: bool) -> None:
    process.send_signal(signal.SIGKILL)
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)  # it has ended, and stays a zombie
    if reap:
        process.wait()


async def opened(path: Path) -> SqliteStore:
    store = SqliteStore(path)
    await store.open()
    return store


# killed processes -------------------------------------------------------------------------------------------


def test_kill_9_loses_nothing_that_was_acknowledged_and_doubles_nothing(tmp_path: Path) -> None:
    """Eight writers, two at a time, are killed in the middle of their work."""
    path, acknowledged = tmp_path / "lab.db", list[str]()
    for turn in range(4):
        with (
            child(COMMIT_FOR_EVER, path, f"a{turn}") as one,
            child(COMMIT_FOR_EVER, path, f"b{turn}") as other,
        ):
            acknowledged += [line_of(one) for _ in range(40 + 17 * turn)]
            for process in (one, other):
                process.send_signal(signal.SIGKILL)
            for process in (one, other):
                acknowledged += process.communicate()[0].split()

    async def look() -> tuple[list[Row], list[bytes]]:
        store = await opened(path)
        rows = await store.read("log", limit=10**6)
        values = [await store.get(f"{side}{turn}") for side in "ab" for turn in range(4)]
        await store.close()
        return rows, [value.data for value in values if value]

    rows, values = asyncio.run(look())
    times = Counter(row.data.decode() for row in rows)
    assert [name for name in acknowledged if times[name] == 0] == []
    assert [name for name, count in times.items() if count > 1] == []
    assert [row.seq for row in rows] == list(range(1, len(rows) + 1))
    assert len(rows) <= len(acknowledged) + 8  # each may have died between its commit and its word
    last = {row.data.partition(b"-")[0]: row.data for row in rows}
    assert sorted(values) == sorted(last.values())  # value and row are of one commit
    with closing(sqlite3.connect(path)) as db:
        assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def test_many_processes_may_make_the_same_store_at_once(tmp_path: Path) -> None:
    path = tmp_path / "new" / "lab.db"
    with (
        child(COMMIT_FOR_EVER, path, "a") as a,
        child(COMMIT_FOR_EVER, path, "b") as b,
        child(COMMIT_FOR_EVER, path, "c") as c,
    ):
        assert [line_of(process) for process in (a, b, c)] == ["a-1", "b-1", "c-1"]


@needs_proc
@pytest.mark.parametrize("reaped", [False, True], ids=["while it is a zombie", "after it is reaped"])
def test_a_dead_leader_loses_its_lease_at_once(tmp_path: Path, reaped: bool) -> None:
    async def scenario() -> None:
        with child(LEAD_FOR_EVER, tmp_path / "lab.db") as leader:
            token, owner = int(line_of(leader)), line_of(leader)
            store = await opened(tmp_path / "lab.db")
            assert await store.holder("leader") == owner
            kill_9(leader, reaped)
            begun = time.monotonic()
            assert await store.holder("leader") is None
            lease = await store.acquire("leader", owner_id(), 60.0)
            assert time.monotonic() - begun < 1.0  # its ttl is 60 s
            assert lease is not None
            assert lease.token > token
            assert await store.commit(fence=Lease("leader", owner, token, 60.0)) == ("fence", "leader")
            assert not isinstance(await store.commit(fence=lease), CommitRefused)
            await store.close()

    asyncio.run(scenario())


def test_a_live_leader_in_another_process_keeps_its_lease(tmp_path: Path) -> None:
    async def scenario() -> None:
        with child(LEAD_FOR_EVER, tmp_path / "lab.db") as leader:
            _, owner = line_of(leader), line_of(leader)
            store = await opened(tmp_path / "lab.db")
            assert await store.acquire("leader", owner_id(), 60.0) is None
            assert await store.holder("leader") == owner
            await store.close()

    asyncio.run(scenario())


@pytest.mark.parametrize(
    "change",
    ["boot = 'another start of this host'", "expires = expires + 3600"],
    ids=["its boot id is another", "its end is later than its ttl allows"],
)
def test_a_lease_from_before_a_reboot_holds_nobody_up(tmp_path: Path, change: str) -> None:
    async def scenario() -> None:
        store = await opened(tmp_path / "lab.db")
        lease = await store.acquire("leader", "anna", 60.0)
        assert lease is not None
        with closing(sqlite3.connect(tmp_path / "lab.db", isolation_level=None)) as db:
            db.execute(f"UPDATE lease SET {change}")
        assert await store.holder("leader") is None
        assert not await store.renew(lease)
        assert await store.commit(fence=lease) == ("fence", "leader")
        newer = await store.acquire("leader", "bert", 60.0)
        assert newer is not None
        assert newer.token > lease.token
        await store.close()

    asyncio.run(scenario())


# files that are not what they should be ---------------------------------------------------------------------


def refusal(path: Path) -> str:
    """What opening a store says."""
    with pytest.raises(StoreUnavailable) as caught:
        asyncio.run(opened(path))
    return str(caught.value)


def test_a_newer_schema_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "lab.db"
    asyncio.run(closed_again(path))
    with closing(sqlite3.connect(path)) as db:
        db.execute("PRAGMA user_version = 99")
    message = refusal(path)
    assert str(path) in message
    assert "schema 99" in message
    assert "upgrade hexdag-lab" in message


async def closed_again(path: Path) -> None:
    await (await opened(path)).close()


def test_a_file_that_is_no_database_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("these are my notes, not a database\n" * 100)
    before = path.read_bytes()
    message = refusal(path)
    assert str(path) in message
    assert "not a database" in message
    assert "another path" in message
    assert path.read_bytes() == before


def test_another_programs_database_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "history.sqlite"
    with closing(sqlite3.connect(path)) as db:
        db.execute("CREATE TABLE history (line TEXT)")
    before = path.read_bytes()
    message = refusal(path)
    assert str(path) in message
    assert "another program's" in message
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_missing_directories_are_made(tmp_path: Path) -> None:
    path = tmp_path / "not" / "yet" / "there" / "lab.db"
    asyncio.run(closed_again(path))
    assert path.exists()


def test_a_path_below_a_file_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    message = refusal(tmp_path / "file" / "lab.db")
    assert str(tmp_path / "file" / "lab.db") in message
    assert "give another path" in message


def test_a_directory_is_no_store(tmp_path: Path) -> None:
    message = refusal(tmp_path)
    assert str(tmp_path) in message
    assert "cannot be opened" in message


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write everywhere")
def test_a_directory_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    try:
        assert str(tmp_path / "lab.db") in refusal(tmp_path / "lab.db")
    finally:
        tmp_path.chmod(0o700)


# a disk that takes no more, a writer that does not end ------------------------------------------------------


@pytest.mark.skipif(sys.platform == "win32", reason="the limit of a file's size stands for a full disk")
def test_a_full_disk_refuses_whole_commits_and_the_store_goes_on_afterwards(tmp_path: Path) -> None:
    with child(FILL_THE_DISK, tmp_path / "lab.db") as process:
        said = process.communicate(timeout=60)[0].splitlines()
    message, counts, next_seq = said
    assert str(tmp_path / "lab.db") in message
    assert "disk" in message
    assert "nothing acknowledged is lost" in message
    acknowledged, rows = map(int, counts.split())
    assert acknowledged == rows > 0
    assert int(next_seq) == acknowledged + 1


def test_a_commit_that_fails_half_way_leaves_nothing_behind(tmp_path: Path) -> None:
    async def scenario() -> None:
        store = await opened(tmp_path / "lab.db")
        with closing(sqlite3.connect(tmp_path / "lab.db", isolation_level=None)) as other:
            other.execute("CREATE TRIGGER t BEFORE INSERT ON log BEGIN SELECT RAISE(ABORT, 'no rows'); END")
            with pytest.raises(StoreUnavailable, match=r"lab\.db does not work: no rows"):
                await store.commit(puts={"k": b"v"}, append={"log": [b"row"]})
            other.execute("DROP TRIGGER t")
        assert await store.get("k") is None
        assert not isinstance(await store.commit({"k": 0}, {"k": b"v"}, {"log": [b"row"]}), CommitRefused)
        assert await store.read("log") == [(1, b"row")]
        await store.close()

    asyncio.run(scenario())


def test_a_writer_that_does_not_end_is_reported_and_not_waited_for_for_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hexdag_lab.runtime.stores.sqlite.PATIENCE", 0.2)

    async def scenario() -> None:
        store = await opened(tmp_path / "lab.db")
        with closing(sqlite3.connect(tmp_path / "lab.db", isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            with pytest.raises(StoreUnavailable, match=r"lab\.db does not work: database is locked.*lsof"):
                await store.commit(puts={"k": b"v"})
            assert await store.get("k") is None  # readers go on meanwhile
        assert not isinstance(await store.commit(puts={"k": b"v"}), CommitRefused)
        await store.close()

    asyncio.run(scenario())


def test_a_file_that_is_moved_away_or_replaced_is_not_written_to_and_works_again_when_it_is_back(
    tmp_path: Path,
) -> None:
    async def scenario() -> None:
        (tmp_path / "home").mkdir()
        store = await opened(tmp_path / "home" / "lab.db")
        await store.commit(puts={"k": b"v"})
        (tmp_path / "home").rename(tmp_path / "away")
        with pytest.raises(StoreUnavailable, match=r"lab\.db is not there any more"):
            await store.commit(puts={"k": b"lost"})
        other = await opened(tmp_path / "home" / "lab.db")
        with pytest.raises(StoreUnavailable, match="or is another file than the one that was opened; put it back"):
            await store.get("k")
        await other.close()
        shutil.rmtree(tmp_path / "home")
        (tmp_path / "away").rename(tmp_path / "home")
        found = await store.get("k")
        assert found is not None
        assert found.data == b"v"
        await store.close()

    asyncio.run(scenario())


def test_a_forgotten_reader_elsewhere_stops_nobody(tmp_path: Path) -> None:
    async def scenario() -> None:
        store = await opened(tmp_path / "lab.db")
        await store.commit(append={"log": [b"first"]})
        with closing(sqlite3.connect(tmp_path / "lab.db", isolation_level=None)) as other:
            other.execute("BEGIN")
            assert other.execute("SELECT count(*) FROM log").fetchone() == (1,)
            for _ in range(600):
                await store.commit(append={"log": [b"more"]})
            assert other.execute("SELECT count(*) FROM log").fetchone() == (1,)
        assert len(await store.read("log")) == 601
        await store.close()

    asyncio.run(scenario())
