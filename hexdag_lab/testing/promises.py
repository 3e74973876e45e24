"""What the conformance checks of stores are written with: a promise that is kept or broken, and the calls around it."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import NoReturn

from ..core.base.errors import SchemaError
from ..ports import CommitRefused, Lease, Row, Store

MakeStore = Callable[[], Store]

PATIENCE = 30.0  # seconds after which what should happen soon counts as not happening
LONG = 60.0  # seconds: a lease that outlasts every check


def broken(promise: str) -> NoReturn:
    raise AssertionError(f"broken promise: {promise}")


def expect(kept: bool, promise: str) -> None:
    if not kept:  # not an assert statement: the suite must not vanish under python -O
        broken(promise)


@asynccontextmanager
async def opened(make: MakeStore) -> AsyncIterator[Store]:
    store = make()
    await store.open()
    try:
        yield store
    finally:
        await store.close()


def name_of(what: str) -> str:
    return f"check/{secrets.token_hex(6)}/{what}"


async def done(
    store: Store,
    puts: Mapping[str, bytes | None] = {},
    append: Mapping[str, Sequence[bytes]] = {},
    guards: Mapping[str, int] = {},
    fence: Lease | None = None,
) -> int:
    """Commit what nothing speaks against; the revision."""
    answer = await store.commit(guards, puts, append, fence)
    if isinstance(answer, CommitRefused):
        broken(f"a commit with nothing against it is done, not {answer}")
    return answer


def expect_refused(answer: int | CommitRefused, kind: str, key: str, promise: str) -> None:
    expect(isinstance(answer, CommitRefused), promise)
    expect(answer == (kind, key), f"a refusal says what it is about: {kind} and {key}, not {answer}")


async def data_of(store: Store, key: str) -> bytes | None:
    value = await store.get(key)
    return None if value is None else value.data


async def leased(store: Store, name: str, owner: str, ttl: float = LONG) -> Lease:
    """A lease that is free, the owner's own, or about to end."""
    for _ in range(600):
        lease = await store.acquire(name, owner, ttl)
        if lease is not None:
            return lease
        await asyncio.sleep(PATIENCE / 600)
    broken(f"{owner} gets a lease that is free, its own, or has ended")


async def seen(store: Store, stream: str, count: int, after: int = 0) -> list[Row]:
    """The first rows that a watcher sees."""
    rows: list[Row] = []
    watching = store.watch(stream, after)
    try:
        async with asyncio.timeout(PATIENCE):
            while len(rows) < count:
                rows.append(await anext(watching))
    finally:
        if hasattr(watching, "aclose"):  # a generator has it; an iterator may do without
            await watching.aclose()
    return rows


async def expect_too_large(
    store: Store, puts: Mapping[str, bytes | None], append: Mapping[str, Sequence[bytes]]
) -> None:
    try:
        await store.commit(puts=puts, append=append)
    except SchemaError as error:
        expect(any(ch.isdigit() for ch in str(error)), f"a refusal says how much is too much, not: {error}")
    else:
        broken("what is beyond the limits is refused")
