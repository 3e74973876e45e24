"""`SqliteStore`: the store in one SQLite file, the default; several processes of one host may share it.

A commit is one `BEGIN IMMEDIATE` transaction in WAL mode with synchronous=FULL: about one fsync, and what is
acknowledged survives a killed process and a power cut. One thread owns the connection; every call goes
through it. Other processes' commits are noticed by polling `PRAGMA data_version`; commits of this process
ring a bell. WAL needs shared memory, so the file must lie on a local disk: it is no store for several hosts.
"""

from __future__ import annotations

import asyncio
import os
import sqlite3
import time
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import NamedTuple, TypeVar, TypeVarTuple

from ...core.base.errors import StoreUnavailable
from ...ports import CommitRefused, Durability, Lease, Limits, Row, Value
from . import LARGEST, Bell, boot_id, check_sizes, heard, host_clock, process_gone

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

APPLICATION = 0x68784C42  # "hxLB", in the file's header
SCHEMA = 1
PATIENCE = 4.5  # seconds that a writer waits for another process; the port promises an answer within 5
BUSY_POLL, IDLE_POLL = 0.01, 0.04  # seconds between looks for other processes' commits
BATCH = 1000
CHECKPOINT_AFTER = 256  # commits, or 4 MiB

TABLES = (
    "CREATE TABLE meta (rev INTEGER NOT NULL)",
    "CREATE TABLE kv (key TEXT PRIMARY KEY, rev INTEGER NOT NULL, data BLOB NOT NULL) WITHOUT ROWID",
    "CREATE TABLE log (stream TEXT NOT NULL, seq INTEGER NOT NULL, data BLOB NOT NULL,"
    " PRIMARY KEY (stream, seq)) WITHOUT ROWID",
    "CREATE TABLE lease (name TEXT PRIMARY KEY, owner TEXT NOT NULL, token INTEGER NOT NULL,"
    " boot TEXT NOT NULL, expires REAL NOT NULL, ttl REAL NOT NULL) WITHOUT ROWID",
    "INSERT INTO meta VALUES (0)",
    f"PRAGMA application_id = {APPLICATION}",
    f"PRAGMA user_version = {SCHEMA}",
)

ADVICE = (
    ("SQLITE_NOTADB", "the file is not a database; give another path, or move the file away"),
    ("SQLITE_CORRUPT", "the file is damaged; keep a copy, then try `sqlite3 FILE .recover` or a backup"),
    ("SQLITE_FULL", "the disk is full; free some space, then go on: nothing acknowledged is lost"),
    ("SQLITE_IOERR", "the disk refuses (full, over quota, or failing); nothing acknowledged is lost"),
    ("SQLITE_READONLY", "it cannot be written; give this user write access to the file and its directory"),
    ("SQLITE_CANTOPEN", "it cannot be opened; give this user write access to the file and its directory"),
    ("SQLITE_PERM", "it cannot be opened; give this user write access to the file and its directory"),
    (
        "SQLITE_BUSY",
        f"another process has been writing for {PATIENCE} s; find it by `lsof FILE`, or try again",
    ),
)


class _Held(NamedTuple):
    owner: str
    token: int


class SqliteStore:
    """A store in one file. A relative path is resolved at once; missing directories are made by `open`."""

    durability: Durability = Durability(crash=True, power=True, failover=False)
    limits: Limits = Limits(LARGEST)

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path).absolute()
        self._thread: ThreadPoolExecutor | None = None
        self._bell = Bell()
        # what follows belongs to the worker thread
        self._db: sqlite3.Connection | None = None
        self._opened: tuple[int, int] | None = None
        self._boot = boot_id()
        self._own = 0
        self._unsaved = 0

    def __repr__(self) -> str:
        return f"SqliteStore({str(self.path)!r})"

    # life ---------------------------------------------------------------------------------------------------

    async def open(self) -> None:
        """Open the file, or make it."""
        if self._thread is None:
            self._thread = ThreadPoolExecutor(1, thread_name_prefix="hexdag-sqlite")
        opened = False
        try:
            await self._run(self._connect)  # a second opener waits here, too
            opened = True
        finally:
            if not opened:
                self._let_go()

    async def close(self) -> None:
        """Finish what was asked for, then close the file."""
        done = self._let_go()
        if done is not None:
            await asyncio.wrap_future(done)

    def _let_go(self) -> Future[None] | None:
        thread, self._thread = self._thread, None
        if thread is None:
            return None
        done = thread.submit(self._disconnect)
        thread.shutdown(wait=False)
        return done

    async def _run(self, call: Callable[[*Ts], T], *args: *Ts) -> T:
        """Call a function in the thread that owns the connection."""
        if self._thread is None:
            raise self._closed()
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, call, *args)
        except sqlite3.Error as error:
            raise self._unavailable(error) from error

    def _closed(self) -> StoreUnavailable:
        return StoreUnavailable(f"the store {self.path} is not open; `await store.open()` first")

    def _unavailable(self, error: sqlite3.Error) -> StoreUnavailable:
        name = getattr(error, "sqlite_errorname", "")
        advice = next((advice for start, advice in ADVICE if name.startswith(start)), "see the error above")
        return StoreUnavailable(f"the store {self.path} does not work: {error} ({name}): {advice}")

    # what callers see ---------------------------------------------------------------------------------------

    async def get(self, key: str) -> Value | None:
        """The value under a key, or None."""
        return await self._run(self._get, key)

    async def commit(
        self,
        guards: Mapping[str, int] = {},
        puts: Mapping[str, bytes | None] = {},
        append: Mapping[str, Sequence[bytes]] = {},
        fence: Lease | None = None,
    ) -> int | CommitRefused:
        """All of it in one transaction, or nothing and why."""
        check_sizes(self.limits, guards, puts, append)
        return await self._run(self._commit, guards, puts, append, fence)

    async def read(self, stream: str, after: int = 0, limit: int = 1000) -> list[Row]:
        """The rows after `after`, at most `limit`."""
        return await self._run(self._read, stream, after, limit)

    async def trim(self, stream: str, upto: int) -> None:
        """Let go of rows up to `upto`, but for the last one of all. Their room in the file is used again."""
        await self._run(self._trim, stream, upto)

    async def watch(self, stream: str, after: int = 0) -> AsyncGenerator[Row, None]:
        """The rows after `after`, for ever."""
        clock = asyncio.get_running_loop().time
        seen: tuple[int, int] | None = None
        look_by, pause = clock() + 1.0, BUSY_POLL
        with self._bell.listening(stream) as rung:
            while True:
                if clock() > look_by:  # look without a hint, should one be lost
                    seen, look_by = None, clock() + 1.0
                seen, rows = await self._run(self._news, stream, after, seen)
                for row in rows:
                    after = row.seq
                    yield row
                pause = BUSY_POLL if rows else min(pause * 1.1, IDLE_POLL)
                if len(rows) == BATCH:
                    seen = None
                else:
                    await heard(rung, pause)

    async def acquire(self, name: str, owner: str, ttl: float) -> Lease | None:
        """The lease, unless another holder is alive."""
        return await self._run(self._acquire, name, owner, ttl)

    async def renew(self, lease: Lease) -> bool:
        """Whether it was still held; then it is, for another ttl."""
        return await self._run(self._renew, lease)

    async def release(self, lease: Lease) -> None:
        """Give it back, if it is still this one."""
        await self._run(self._release, lease)

    async def holder(self, name: str) -> str | None:
        """Who holds the lease and is alive."""
        return await self._run(self._holder, name)

    # in the worker thread: the file -------------------------------------------------------------------------

    @property
    def _sql(self) -> sqlite3.Connection:
        if self._db is None:
            raise self._closed()
        if self._inode() != self._opened:  # SQLite would go on with a file that nobody can find any more
            raise StoreUnavailable(
                f"the store {self.path} is not there any more, or is another file than the one that was opened;"
                " put it back, or close the lab and open it anew"
            )
        return self._db

    def _inode(self) -> tuple[int, int] | None:
        """Which file is there under the path, if any."""
        with suppress(OSError):
            found = self.path.stat()
            return found.st_dev, found.st_ino
        return None

    def _connect(self) -> None:
        if self._db is not None:
            return
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StoreUnavailable(
                f"the store {self.path} has no directory and none can be made: {error.strerror};"
                " give another path, or make it writable"
            ) from error
        with ExitStack() as undo:
            db = sqlite3.connect(self.path, timeout=PATIENCE, isolation_level=None)
            undo.callback(db.close)
            self._prepare(db)
            self._db, self._opened = db, self._inode()
            undo.pop_all()

    def _disconnect(self) -> None:
        if self._db is not None:
            self._db.close()
            self._db = None

    def _prepare(self, db: sqlite3.Connection) -> None:
        db.execute("BEGIN")  # its parts are read at one moment: another process may be making the file just now
        try:
            self._version(db)  # first, so that a file of somebody else is left as it is
        finally:
            if db.in_transaction:
                db.execute("ROLLBACK")
        mode = _until_free(db, "PRAGMA journal_mode = WAL")
        if mode != "wal":
            raise StoreUnavailable(
                f"the store {self.path} cannot be shared safely: its file system does not support WAL"
                f" (mode {mode}); put it on a local disk"
            )
        db.execute("PRAGMA synchronous = FULL")
        db.execute("PRAGMA wal_autocheckpoint = 0")  # see `_checkpoint`
        with _transaction(db):
            if self._version(db) == 0:
                for statement in TABLES:
                    db.execute(statement)

    def _version(self, db: sqlite3.Connection) -> int:
        """The schema of the file, 0 if it is empty; complains if it is newer, or another program's."""
        version = _one(db, "PRAGMA user_version")
        if _one(db, "PRAGMA application_id") != APPLICATION:
            if version or _one(db, "SELECT count(*) FROM sqlite_master"):
                raise StoreUnavailable(f"the store {self.path} is another program's SQLite file; give another path")
        elif version > SCHEMA:
            raise StoreUnavailable(
                f"the store {self.path} has schema {version} and this hexdag_lab reads up to {SCHEMA};"
                " upgrade hexdag-lab, or give another path"
            )
        return int(version)

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        db = self._sql
        with _transaction(db):
            yield db
        self._own += 1
        self._unsaved += 1
        if self._unsaved >= CHECKPOINT_AFTER:
            self._checkpoint(db)

    def _checkpoint(self, db: sqlite3.Connection) -> None:
        """Move the write-ahead log into the file.

        Not left to SQLite, whose own checkpoints let others commit meanwhile: before 3.51.3 that could, very
        rarely, corrupt the file (sqlite.org/wal.html, "WAL-reset bug"). FULL keeps writers out.
        """
        self._unsaved = 0
        with suppress(sqlite3.Error):  # the commit before it is safe, and the next one tries again
            db.execute("PRAGMA busy_timeout = 250")  # a forgotten reader elsewhere must not stop us for long
            db.execute("PRAGMA wal_checkpoint(FULL)").fetchall()
        db.execute(f"PRAGMA busy_timeout = {int(PATIENCE * 1000)}")

    # in the worker thread: values and rows ------------------------------------------------------------------

    def _get(self, key: str) -> Value | None:
        row = self._sql.execute("SELECT data, rev FROM kv WHERE key = ?", (key,)).fetchone()
        return None if row is None else Value(*row)

    def _commit(
        self,
        guards: Mapping[str, int],
        puts: Mapping[str, bytes | None],
        append: Mapping[str, Sequence[bytes]],
        fence: Lease | None,
    ) -> int | CommitRefused:
        with self._writing() as db:
            refused = self._refusal(db, guards, fence)
            if refused is not None:
                return refused
            rev = _next_rev(db)
            gone = [(key,) for key, data in puts.items() if data is None]
            kept = [(key, rev, data) for key, data in puts.items() if data is not None]
            if gone:
                db.executemany("DELETE FROM kv WHERE key = ?", gone)
            if kept:
                db.executemany("INSERT OR REPLACE INTO kv VALUES (?, ?, ?)", kept)
            for stream, rows in append.items():
                head = _one(db, "SELECT max(seq) FROM log WHERE stream = ?", stream) or 0
                numbered = [(stream, seq, data) for seq, data in enumerate(rows, head + 1)]
                db.executemany("INSERT INTO log VALUES (?, ?, ?)", numbered)
                self._unsaved += sum(map(len, rows)) >> 14
        self._bell.ring(append)
        return rev

    def _refusal(self, db: sqlite3.Connection, guards: Mapping[str, int], fence: Lease | None) -> CommitRefused | None:
        if fence is not None and not self._holds(db, fence):
            return CommitRefused("fence", fence.name)
        for key, wanted in guards.items():
            if (_one(db, "SELECT rev FROM kv WHERE key = ?", key) or 0) != wanted:
                return CommitRefused("guard", key)
        return None

    def _read(self, stream: str, after: int, limit: int) -> list[Row]:
        query = "SELECT seq, CAST(data AS BLOB) FROM log WHERE stream = ? AND seq > ? ORDER BY seq LIMIT ?"
        return list(map(Row._make, self._sql.execute(query, (stream, after, limit))))

    def _trim(self, stream: str, upto: int) -> None:
        with self._writing() as db:
            last = _one(db, "SELECT max(seq) FROM log WHERE stream = ?", stream) or 0
            db.execute("DELETE FROM log WHERE stream = ? AND seq <= ?", (stream, min(upto, last - 1)))

    def _news(self, stream: str, after: int, seen: tuple[int, int] | None) -> tuple[tuple[int, int], list[Row]]:
        """The rows, if anybody has committed since `seen`; what is seen now is noted before it is read."""
        now = (_one(self._sql, "PRAGMA data_version"), self._own)
        return now, [] if now == seen else self._read(stream, after, BATCH)

    # in the worker thread: leases ---------------------------------------------------------------------------

    def _acquire(self, name: str, owner: str, ttl: float) -> Lease | None:
        with self._writing() as db:
            held = self._current(db, name)
            if held is not None and held.owner != owner and not process_gone(held.owner):
                return None
            token = _next_rev(db)  # tokens are revisions, so that they grow whatever becomes of a lease
            row = (name, owner, token, self._boot, host_clock() + ttl, ttl)
            db.execute("INSERT OR REPLACE INTO lease VALUES (?, ?, ?, ?, ?, ?)", row)
        return Lease(name, owner, token, ttl)

    def _renew(self, lease: Lease) -> bool:
        with self._writing() as db:
            if not self._holds(db, lease):
                return False
            row = (host_clock() + lease.ttl, lease.ttl, lease.name)
            db.execute("UPDATE lease SET expires = ?, ttl = ? WHERE name = ?", row)
        return True

    def _release(self, lease: Lease) -> None:
        with self._writing() as db:
            db.execute("DELETE FROM lease WHERE name = ? AND token = ?", (lease.name, lease.token))

    def _holder(self, name: str) -> str | None:
        held = self._current(self._sql, name)
        return None if held is None or process_gone(held.owner) else held.owner

    def _current(self, db: sqlite3.Connection, name: str) -> _Held | None:
        """The lease while it lasts; one from before a reboot does not, nor one that ends too late."""
        query = "SELECT owner, token, boot, expires, ttl FROM lease WHERE name = ?"
        row = db.execute(query, (name,)).fetchone()
        if row is None:
            return None
        owner, token, boot, expires, ttl = row
        return _Held(owner, token) if boot == self._boot and 0 < expires - host_clock() < ttl + 1 else None

    def _holds(self, db: sqlite3.Connection, lease: Lease) -> bool:
        held = self._current(db, lease.name)
        return held is not None and held.token == lease.token


@contextmanager
def _transaction(db: sqlite3.Connection) -> Iterator[None]:
    """All or nothing. One that changed nothing costs no fsync, so refusals need no roll-back."""
    db.execute("BEGIN IMMEDIATE")
    try:
        yield
        db.execute("COMMIT")
    finally:
        if db.in_transaction:
            db.execute("ROLLBACK")


def _until_free(db: sqlite3.Connection, statement: str) -> object:
    """Some statements fail at once, without waiting, while another process opens the same file."""
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            return db.execute(statement).fetchone()[0]
        except sqlite3.OperationalError as error:
            busy = getattr(error, "sqlite_errorname", "").startswith("SQLITE_BUSY")
            if not busy or time.monotonic() > deadline:
                raise
            time.sleep(0.01)


def _one(db: sqlite3.Connection, query: str, *args: str) -> int:
    row = db.execute(query, args).fetchone()
    return 0 if row is None else row[0]


def _next_rev(db: sqlite3.Connection) -> int:
    rev = _one(db, "SELECT rev FROM meta") + 1
    db.execute("UPDATE meta SET rev = ?", (rev,))
    return rev
