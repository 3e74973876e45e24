"""The suite that every store has to pass: one coroutine function for each promise of `ports.Store`.

Give it a function that makes a store which is not open yet; all that it makes must share one backing, as two
processes would. Run everything with `await check_store(make)`, or one check a test case:

    @pytest.mark.parametrize("check", STORE_CHECKS, ids=lambda check: check.__name__)
    def test_store(check):
        asyncio.run(check(lambda: MyStore("my://server")))

Each check uses names of its own, so a server that is in use will do. Speed is not measured, and what a killed
process or a power cut does to a store is not known here: that needs faults, not calls.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any, NoReturn

from ..ports import CommitRefused, Lease, Row, Store

MakeStore = Callable[[], Store]
Check = Callable[[MakeStore], Coroutine[Any, Any, None]]

PATIENCE = 30.0  # seconds after which what should happen soon counts as not happening
SHORT, LONG = 1.0, 60.0  # times to live of leases: one to wait out, and one that outlasts every check


async def check_store(make: MakeStore) -> list[str]:
    """Run all checks, one after another; their names. The first broken promise is an AssertionError."""
    for check in STORE_CHECKS:
        await check(make)
    return [check.__name__ for check in STORE_CHECKS]


# what the checks are written with ---------------------------------------------------------------------------


def _broken(promise: str) -> NoReturn:
    raise AssertionError(f"broken promise: {promise}")


def _expect(kept: bool, promise: str) -> None:
    if not kept:  # not an assert statement: the suite must not vanish under python -O
        _broken(promise)


@asynccontextmanager
async def _opened(make: MakeStore) -> AsyncIterator[Store]:
    store = make()
    await store.open()
    try:
        yield store
    finally:
        await store.close()


def _name(of: str) -> str:
    return f"check/{secrets.token_hex(6)}/{of}"


async def _done(
    store: Store,
    puts: Mapping[str, bytes | None] = {},
    append: Mapping[str, Sequence[bytes]] = {},
    guards: Mapping[str, int] = {},
    fence: Lease | None = None,
) -> int:
    """Commit what nothing speaks against; the revision."""
    answer = await store.commit(guards, puts, append, fence)
    if isinstance(answer, CommitRefused):
        _broken(f"a commit with nothing against it is done, not {answer}")
    return answer


def _expect_refused(answer: int | CommitRefused, kind: str, key: str, promise: str) -> None:
    _expect(isinstance(answer, CommitRefused), promise)
    _expect(answer == (kind, key), f"a refusal says what it is about: {kind} and {key}, not {answer}")


async def _data(store: Store, key: str) -> bytes | None:
    value = await store.get(key)
    return None if value is None else value.data


async def _lease(store: Store, name: str, owner: str, ttl: float = LONG) -> Lease:
    """A lease that is free, the owner's own, or about to end."""
    for _ in range(600):
        lease = await store.acquire(name, owner, ttl)
        if lease is not None:
            return lease
        await asyncio.sleep(PATIENCE / 600)
    _broken(f"{owner} gets a lease that is free, its own, or has ended")


async def _seen(store: Store, stream: str, count: int, after: int = 0) -> list[Row]:
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


# values and commits ---------------------------------------------------------------------------------------


async def a_value_is_kept_with_the_revision_of_its_commit(make: MakeStore) -> None:
    """What was put is read back, byte for byte, with the revision that the commit returned."""
    async with _opened(make) as store:
        key = _name("Wert/ä: 1")
        _expect(await store.get(key) is None, "an unknown key has no value")
        rev = await _done(store, puts={key: bytes(range(256))})
        _expect(await store.get(key) == (bytes(range(256)), rev), "bytes and revision come back as they were")
        await _done(store, puts={key: b""})
        _expect(await _data(store, key) == b"", "no bytes are a value, not an absence")


async def a_guard_holds_one_revision(make: MakeStore) -> None:
    """A guard passes with the current revision only: 0 while absent, and each put makes a new one."""
    async with _opened(make) as store:
        key, absent = _name("guarded"), _name("absent")
        first = await _done(store, guards={key: 0}, puts={key: b"same"})
        answer = await store.commit(guards={key: 0}, puts={key: b"late"})
        _expect_refused(answer, "guard", key, "a key that exists is not absent")
        second = await _done(store, guards={key: first}, puts={key: b"same"})
        _expect(first != second, "the same bytes put again have another revision")
        answer = await store.commit(guards={key: first}, puts={key: b"late"})
        _expect_refused(answer, "guard", key, "a revision that has passed is refused")
        answer = await store.commit(guards={key: second, absent: second})
        _expect_refused(answer, "guard", absent, "one guard of several that does not hold is enough")


async def a_deleted_key_is_absent(make: MakeStore) -> None:
    """None deletes; the key is absent to readers and guards, and can come back."""
    async with _opened(make) as store:
        key = _name("deleted")
        rev = await _done(store, puts={key: b"here", _name("never there"): None})
        await _done(store, guards={key: rev}, puts={key: None})
        _expect(await store.get(key) is None, "a deleted key has no value")
        answer = await store.commit(guards={key: rev}, puts={key: b"late"})
        _expect_refused(answer, "guard", key, "the revision of a deleted value is gone")
        again = await _done(store, guards={key: 0}, puts={key: b"again"})
        _expect(again != rev, "a value that comes back has a revision of its own")


async def a_portable_commit_fits(make: MakeStore) -> None:
    """32 keys in one commit, and a value and a row of 64 KiB, are taken by every store."""
    async with _opened(make) as store:
        keys, stream, big = [_name(f"key {i}") for i in range(32)], _name("rows"), secrets.token_bytes(2**16)
        await _done(store, guards=dict.fromkeys(keys, 0), puts=dict.fromkeys(keys, b"x"))
        _expect(all([await _data(store, key) == b"x" for key in keys]), "all 32 values are there")
        await _done(store, puts={keys[0]: big})
        await _done(store, append={stream: [big]})
        _expect(await _data(store, keys[0]) == big, "a value of 64 KiB comes back")
        _expect(await store.read(stream) == [(1, big)], "a row of 64 KiB comes back")


async def a_refused_commit_changes_nothing(make: MakeStore) -> None:
    """One guard that does not hold: no put, no deletion and no row of that commit is ever seen."""
    async with _opened(make) as store:
        kept, new, stream, other = _name("kept"), _name("new"), _name("rows"), _name("other rows")
        rev = await _done(store, puts={kept: b"kept"}, append={stream: [b"kept"]})
        puts: dict[str, bytes | None] = {kept: None, new: b"new"}
        for guards in ({kept: rev, new: rev}, {new: rev, kept: rev}):
            answer = await store.commit(guards, puts, {stream: [b"x"], other: [b"x", b"y"]})
            _expect_refused(answer, "guard", new, "a guard that does not hold refuses all")
        _expect(await store.get(kept) == (b"kept", rev), "the value is neither deleted nor newer")
        _expect(await store.get(new) is None, "nothing new is there")
        _expect(await store.read(stream) == [(1, b"kept")], "no row was added")
        _expect(await store.read(other) == [], "no stream was begun")
        await _done(store, append={stream: [b"next"]})
        _expect(await store.read(stream) == [(1, b"kept"), (2, b"next")], "no number was used up")


async def no_contended_increment_is_lost(make: MakeStore) -> None:
    """Four tasks on two stores count to 100 by read, add one, commit if unchanged, else again."""
    async with _opened(make) as here, _opened(make) as there:
        key = _name("counter")

        async def count(store: Store, times: int) -> None:
            while times:
                value = await store.get(key)
                number, rev = (int(value.data), value.rev) if value else (0, 0)
                await asyncio.sleep(0)  # let another one in between
                answer = await store.commit(guards={key: rev}, puts={key: b"%d" % (number + 1)})
                if isinstance(answer, CommitRefused):
                    _expect_refused(answer, "guard", key, "only the guard can refuse here")
                else:
                    times -= 1

        async with asyncio.timeout(4 * PATIENCE):
            await asyncio.gather(*(count(store, 25) for store in (here, there, here, there)))
        _expect(await _data(here, key) == b"100", "100 increments make 100")


async def of_rival_commits_one_wins(make: MakeStore) -> None:
    """Ten commits of one result, each with its event: one value, one event, both of the same commit."""
    async with _opened(make) as here, _opened(make) as there:
        key, stream = _name("result"), _name("events")
        names = [b"rival %d" % i for i in range(10)]
        rivals = [(here, there)[i % 2].commit({key: 0}, {key: n}, {stream: [n]}) for i, n in enumerate(names)]
        answers = zip(names, await asyncio.gather(*rivals), strict=True)
        winners = [name for name, answer in answers if not isinstance(answer, CommitRefused)]
        _expect(len(winners) == 1, "exactly one rival wins")
        _expect(await _data(here, key) == winners[0], "the value is the winner's")
        _expect(await there.read(stream) == [(1, winners[0])], "the event is the winner's")


async def an_unknown_outcome_is_resolved_by_reading(make: MakeStore) -> None:
    """A caller that lost the reply tries again under the same guard, and finds its write once."""
    async with _opened(make) as store:
        for turns in range(8):  # the reply is lost sooner or later
            key, stream = _name("ballot"), _name("events")
            commit = asyncio.ensure_future(store.commit({key: 0}, {key: b"mine"}, {stream: [b"mine"]}))
            for _ in range(turns):
                await asyncio.sleep(0)
            commit.cancel()
            with suppress(asyncio.CancelledError):
                await commit
            answer = await store.commit({key: 0}, {key: b"mine"}, {stream: [b"mine"]})
            if isinstance(answer, CommitRefused):
                _expect_refused(answer, "guard", key, "only the guard can refuse here")
            _expect(await _data(store, key) == b"mine", "the write is there")
            _expect(await store.read(stream) == [(1, b"mine")], "the write is there once")


async def two_stores_see_each_other(make: MakeStore) -> None:
    """What one store has committed, another on the same backing reads at once, and guards against."""
    async with _opened(make) as here, _opened(make) as there:
        key, stream = _name("shared"), _name("rows")
        rev = await _done(here, puts={key: b"from here"}, append={stream: [b"from here"]})
        _expect(await there.get(key) == (b"from here", rev), "the other store reads the value")
        await _done(there, guards={key: rev}, puts={key: b"from there"}, append={stream: [b"from there"]})
        _expect(await _data(here, key) == b"from there", "the first store reads the answer")
        _expect(await here.read(stream) == [(1, b"from here"), (2, b"from there")], "both rows, in order")


async def a_store_that_is_opened_again_goes_on(make: MakeStore) -> None:
    """Closing and opening forgets nothing: values, revisions and sequence numbers go on."""
    key, stream = _name("value"), _name("rows")
    async with _opened(make) as store:
        rev = await _done(store, puts={key: b"x"}, append={stream: [b"one"]})
    async with _opened(make) as store:
        _expect(await store.get(key) == (b"x", rev), "value and revision are as before")
        await _done(store, guards={key: rev}, puts={key: b"y"}, append={stream: [b"two"]})
        _expect(await store.read(stream) == [(1, b"one"), (2, b"two")], "rows go on")


# streams ----------------------------------------------------------------------------------------------------


async def rows_are_read_in_order_by_pages(make: MakeStore) -> None:
    """`read` gives what comes after a row, in order, at most so many; each stream counts for itself."""
    async with _opened(make) as store:
        stream, other = _name("rows"), _name("other")
        await _done(store, append={stream: [b"1", b"2", b"3"], other: [b"x"]})
        await _done(store, append={stream: [b"4", b"5"]})
        _expect(await store.read(stream, after=1, limit=2) == [(2, b"2"), (3, b"3")], "a page in the middle")
        _expect(await store.read(stream, after=3) == [(4, b"4"), (5, b"5")], "the rest")
        _expect(await store.read(stream, after=5) == [], "nothing comes after the last row")
        _expect(await store.read(other) == [(1, b"x")], "another stream counts for itself")
        _expect(await store.read(_name("unknown")) == [], "an unknown stream has no rows")
        _expect(await store.get(stream) is None, "a stream is not a key")


async def a_watcher_sees_every_row_once(make: MakeStore) -> None:
    """Four writers on two stores, 100 rows: a watcher on each sees all once, in order, without a gap."""
    async with _opened(make) as here, _opened(make) as there:
        stream = _name("log")

        async def write(writer: int) -> None:
            for i in range(25):
                await _done((here, there)[writer % 2], append={stream: [b"%d-%d" % (writer, i)]})

        watchers = [asyncio.ensure_future(_seen(store, stream, 100)) for store in (here, there)]
        await asyncio.gather(*map(write, range(4)))
        for rows in await asyncio.gather(*watchers):
            _expect([row.seq for row in rows] == [*range(1, 101)], "rows count 1, 2, 3, ... without gap or repeat")
            for writer in range(4):
                said = [int(row.data[2:]) for row in rows if row.data.startswith(b"%d-" % writer)]
                _expect(said == [*range(25)], "one writer's rows keep their order")


async def a_watcher_goes_on_where_it_is_told(make: MakeStore) -> None:
    """A watch from row 2 begins with row 3, and waits for rows that are still to come, from any store."""
    async with _opened(make) as here, _opened(make) as there:
        stream = _name("log")
        await _done(here, append={stream: [b"1", b"2", b"3"]})
        watching = asyncio.ensure_future(_seen(here, stream, 3, after=2))
        await asyncio.sleep(0.1)
        await _done(here, append={stream: [b"4"]})
        await asyncio.sleep(0.1)
        await _done(there, append={stream: [b"5"], _name("another"): [b"not this"]})
        _expect(await watching == [(3, b"3"), (4, b"4"), (5, b"5")], "rows 3, 4 and 5, as they come")


# leases -----------------------------------------------------------------------------------------------------


async def a_lease_has_one_holder(make: MakeStore) -> None:
    """While one owner holds a lease no other gets it, and everybody can see who it is."""
    async with _opened(make) as here, _opened(make) as there:
        name = _name("leader")
        _expect(await there.holder(name) is None, "a lease that nobody took has no holder")
        lease = await _lease(here, name, "anna")
        _expect(lease == (name, "anna", lease.token, LONG), "a lease says what was asked for")
        _expect(await there.acquire(name, "bert", LONG) is None, "a second owner does not get it")
        _expect(await there.holder(name) == "anna", "the holder is known everywhere")
        await here.release(lease)
        _expect(await there.holder(name) is None, "after a release there is no holder")
        await _lease(there, name, "bert")
        _expect(await here.holder(name) == "bert", "after a release another owner gets it")


async def tokens_only_grow(make: MakeStore) -> None:
    """Each acquisition has a greater token: by the same owner, after a release, an end, a re-opening."""
    name = _name("leader")
    async with _opened(make) as store:
        leases = [await _lease(store, name, "anna"), await _lease(store, name, "anna")]
        await store.release(leases[-1])
        leases += [await _lease(store, name, "bert", SHORT), await _lease(store, name, "anna")]
    async with _opened(make) as store:
        leases.append(await _lease(store, name, "anna"))
    tokens = [lease.token for lease in leases]
    _expect(tokens == sorted(set(tokens)), f"tokens only grow, not {tokens}")


async def a_stale_lease_is_refused_in_the_same_commit(make: MakeStore) -> None:
    """A commit under a lease that was taken over does nothing; one under the current lease is done."""
    async with _opened(make) as here, _opened(make) as there:
        name, key, stream = _name("leader"), _name("chain"), _name("events")
        old = await _lease(here, name, "anna")
        rev = await _done(here, puts={key: b"1"}, append={stream: [b"1"]}, fence=old)
        new = await _lease(there, name, "anna")
        answer = await here.commit({key: rev}, {key: b"late"}, {stream: [b"late"]}, old)
        _expect_refused(answer, "fence", name, "an earlier holder's commit is refused")
        _expect(await here.get(key) == (b"1", rev), "it has put nothing")
        _expect(await here.read(stream) == [(1, b"1")], "it has appended nothing")
        await _done(there, guards={key: rev}, puts={key: b"2"}, fence=new)
        await there.release(new)
        _expect_refused(await there.commit(fence=new), "fence", name, "a lease that was given back is gone")


async def a_lease_ends_by_itself(make: MakeStore) -> None:
    """A holder that falls silent loses the lease after its ttl, and cannot commit or renew afterwards."""
    async with _opened(make) as here, _opened(make) as there:
        name = _name("leader")
        old = await _lease(here, name, "anna", SHORT)
        new = await _lease(there, name, "bert")
        _expect(new.token > old.token, "the next holder has a greater token")
        _expect(await here.holder(name) == "bert", "the next holder is seen")
        _expect(not await here.renew(old), "a lease that is lost cannot be renewed")
        _expect_refused(await here.commit(fence=old), "fence", name, "nor be committed under")
        await here.release(old)
        _expect(await there.holder(name) == "bert", "giving back a lost lease does not harm the next holder")
        _expect(await there.renew(new), "the next holder can renew")


async def a_renewed_lease_lasts(make: MakeStore) -> None:
    """Renewing in time keeps a lease beyond its ttl, with the same token."""
    async with _opened(make) as here, _opened(make) as there:
        name = _name("leader")
        lease = await _lease(here, name, "anna", 3 * SHORT)
        for _ in range(8):
            await asyncio.sleep(SHORT / 2)
            _expect(await here.renew(lease), "a lease that is held can be renewed")
            _expect(await there.acquire(name, "bert", LONG) is None, "nobody else gets it meanwhile")
        await _done(here, fence=lease)


STORE_CHECKS: tuple[Check, ...] = (
    a_value_is_kept_with_the_revision_of_its_commit,
    a_guard_holds_one_revision,
    a_deleted_key_is_absent,
    a_portable_commit_fits,
    a_refused_commit_changes_nothing,
    no_contended_increment_is_lost,
    of_rival_commits_one_wins,
    an_unknown_outcome_is_resolved_by_reading,
    two_stores_see_each_other,
    a_store_that_is_opened_again_goes_on,
    rows_are_read_in_order_by_pages,
    a_watcher_sees_every_row_once,
    a_watcher_goes_on_where_it_is_told,
    a_lease_has_one_holder,
    tokens_only_grow,
    a_stale_lease_is_refused_in_the_same_commit,
    a_lease_ends_by_itself,
    a_renewed_lease_lasts,
)
