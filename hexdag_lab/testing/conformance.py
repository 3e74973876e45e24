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
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from typing import Any

from ..ports import CommitRefused, Row, Store
from .promises import (
    LONG,
    PATIENCE,
    MakeStore,
    data_of,
    done,
    expect,
    expect_refused,
    expect_too_large,
    leased,
    name_of,
    opened,
    seen,
)

Check = Callable[[MakeStore], Coroutine[Any, Any, None]]

SHORT = 1.0  # seconds: a lease that a check can wait out


async def check_store(make: MakeStore) -> list[str]:
    """Run all checks, one after another; their names. The first broken promise is an AssertionError."""
    for check in STORE_CHECKS:
        await check(make)
    return [check.__name__ for check in STORE_CHECKS]


# values and commits ---------------------------------------------------------------------------------------


async def a_value_is_kept_with_the_revision_of_its_commit(make: MakeStore) -> None:
    """What was put is read back, byte for byte, with the revision that the commit returned."""
    async with opened(make) as store:
        key = name_of("Wert/ä: 1")
        expect(await store.get(key) is None, "an unknown key has no value")
        rev = await done(store, puts={key: bytes(range(256))})
        expect(await store.get(key) == (bytes(range(256)), rev), "bytes and revision come back as they were")
        await done(store, puts={key: b""})
        expect(await data_of(store, key) == b"", "no bytes are a value, not an absence")


async def a_guard_holds_one_revision(make: MakeStore) -> None:
    """A guard passes with the current revision only: 0 while absent, and each put makes a new one."""
    async with opened(make) as store:
        key, absent = name_of("guarded"), name_of("absent")
        first = await done(store, guards={key: 0}, puts={key: b"same"})
        answer = await store.commit(guards={key: 0}, puts={key: b"late"})
        expect_refused(answer, "guard", key, "a key that exists is not absent")
        second = await done(store, guards={key: first}, puts={key: b"same"})
        expect(first != second, "the same bytes put again have another revision")
        answer = await store.commit(guards={key: first}, puts={key: b"late"})
        expect_refused(answer, "guard", key, "a revision that has passed is refused")
        answer = await store.commit(guards={key: second, absent: second})
        expect_refused(answer, "guard", absent, "one guard of several that does not hold is enough")


async def a_deleted_key_is_absent(make: MakeStore) -> None:
    """None deletes; the key is absent to readers and guards, and can come back."""
    async with opened(make) as store:
        key = name_of("deleted")
        rev = await done(store, puts={key: b"here", name_of("never there"): None})
        await done(store, guards={key: rev}, puts={key: None})
        expect(await store.get(key) is None, "a deleted key has no value")
        answer = await store.commit(guards={key: rev}, puts={key: b"late"})
        expect_refused(answer, "guard", key, "the revision of a deleted value is gone")
        again = await done(store, guards={key: 0}, puts={key: b"again"})
        expect(again != rev, "a value that comes back has a revision of its own")


async def a_portable_commit_fits(make: MakeStore) -> None:
    """32 keys in one commit, and a value and a row of 64 KiB, are taken by every store."""
    async with opened(make) as store:
        keys, stream, big = [name_of(f"key {i}") for i in range(32)], name_of("rows"), secrets.token_bytes(2**16)
        await done(store, guards=dict.fromkeys(keys, 0), puts=dict.fromkeys(keys, b"x"))
        expect(all([await data_of(store, key) == b"x" for key in keys]), "all 32 values are there")
        await done(store, puts={keys[0]: big})
        await done(store, append={stream: [big]})
        expect(await data_of(store, keys[0]) == big, "a value of 64 KiB comes back")
        expect(await store.read(stream) == [(1, big)], "a row of 64 KiB comes back")


async def what_is_too_large_is_refused(make: MakeStore) -> None:
    """A value, row or commit at the store's limits is taken; one beyond is a `SchemaError`, and nothing is done."""
    async with opened(make) as store:
        most, key, stream, small = store.limits, name_of("big"), name_of("rows"), name_of("small")
        expect(most.value >= 2**16 and (most.keys or 32) >= 32, "the limits leave room for what is portable")
        await done(store, puts={key: bytes(most.value)})
        expect(await data_of(store, key) == bytes(most.value), "a value of the largest size comes back")
        beyond: list[tuple[dict[str, bytes | None], dict[str, Sequence[bytes]]]] = [
            ({small: b"x", key: bytes(most.value + 1)}, {}),
            ({small: b"x"}, {stream: [b"x", bytes(most.value + 1)]}),
        ]
        if most.commit is not None:
            half = bytes(most.commit // 2 + 1)
            beyond += [({small: b"x", key: half}, {stream: [half]}), ({small: b"x"}, {stream: [half, half]})]
        if most.keys is not None:
            await done(
                store, puts={name_of(f"key {i}"): b"x" for i in range(most.keys - 2)}, append={name_of("row"): [b"x"]}
            )
            many: dict[str, bytes | None] = {name_of(f"key {i}"): b"x" for i in range(most.keys)}
            beyond.append((many | {small: b"x"}, {}))
        for puts, append in beyond:
            await expect_too_large(store, puts, append)
        expect(await data_of(store, small) is None, "nothing of a commit that is too large is put")
        expect(await store.read(stream) == [], "nothing of a commit that is too large is appended")


async def a_refused_commit_changes_nothing(make: MakeStore) -> None:
    """One guard that does not hold: no put, no deletion and no row of that commit is ever seen."""
    async with opened(make) as store:
        kept, new, stream, other = name_of("kept"), name_of("new"), name_of("rows"), name_of("other rows")
        rev = await done(store, puts={kept: b"kept"}, append={stream: [b"kept"]})
        puts: dict[str, bytes | None] = {kept: None, new: b"new"}
        for guards in ({kept: rev, new: rev}, {new: rev, kept: rev}):
            answer = await store.commit(guards, puts, {stream: [b"x"], other: [b"x", b"y"]})
            expect_refused(answer, "guard", new, "a guard that does not hold refuses all")
        expect(await store.get(kept) == (b"kept", rev), "the value is neither deleted nor newer")
        expect(await store.get(new) is None, "nothing new is there")
        expect(await store.read(stream) == [(1, b"kept")], "no row was added")
        expect(await store.read(other) == [], "no stream was begun")
        await done(store, append={stream: [b"next"]})
        expect(await store.read(stream) == [(1, b"kept"), (2, b"next")], "no number was used up")


async def no_contended_increment_is_lost(make: MakeStore) -> None:
    """Four tasks on two stores count to 100 by read, add one, commit if unchanged, else again."""
    async with opened(make) as here, opened(make) as there:
        key = name_of("counter")

        async def count(store: Store, times: int) -> None:
            while times:
                value = await store.get(key)
                number, rev = (int(value.data), value.rev) if value else (0, 0)
                await asyncio.sleep(0)  # let another one in between
                answer = await store.commit(guards={key: rev}, puts={key: b"%d" % (number + 1)})
                if isinstance(answer, CommitRefused):
                    expect_refused(answer, "guard", key, "only the guard can refuse here")
                else:
                    times -= 1

        async with asyncio.timeout(4 * PATIENCE):
            await asyncio.gather(*(count(store, 25) for store in (here, there, here, there)))
        expect(await data_of(here, key) == b"100", "100 increments make 100")


async def of_rival_commits_one_wins(make: MakeStore) -> None:
    """Ten commits of one result, each with its event: one value, one event, both of the same commit."""
    async with opened(make) as here, opened(make) as there:
        key, stream = name_of("result"), name_of("events")
        names = [b"rival %d" % i for i in range(10)]
        rivals = [(here, there)[i % 2].commit({key: 0}, {key: n}, {stream: [n]}) for i, n in enumerate(names)]
        answers = zip(names, await asyncio.gather(*rivals), strict=True)
        winners = [name for name, answer in answers if not isinstance(answer, CommitRefused)]
        expect(len(winners) == 1, "exactly one rival wins")
        expect(await data_of(here, key) == winners[0], "the value is the winner's")
        expect(await there.read(stream) == [(1, winners[0])], "the event is the winner's")


async def an_unknown_outcome_is_resolved_by_reading(make: MakeStore) -> None:
    """A caller that lost the reply tries again under the same guard, and finds its write once."""
    async with opened(make) as store:
        for turns in range(8):  # the reply is lost sooner or later
            key, stream = name_of("ballot"), name_of("events")
            commit = asyncio.ensure_future(store.commit({key: 0}, {key: b"mine"}, {stream: [b"mine"]}))
            for _ in range(turns):
                await asyncio.sleep(0)
            commit.cancel()
            with suppress(asyncio.CancelledError):
                await commit
            answer = await store.commit({key: 0}, {key: b"mine"}, {stream: [b"mine"]})
            if isinstance(answer, CommitRefused):
                expect_refused(answer, "guard", key, "only the guard can refuse here")
            expect(await data_of(store, key) == b"mine", "the write is there")
            expect(await store.read(stream) == [(1, b"mine")], "the write is there once")


async def two_stores_see_each_other(make: MakeStore) -> None:
    """What one store has committed, another on the same backing reads at once, and guards against."""
    async with opened(make) as here, opened(make) as there:
        key, stream = name_of("shared"), name_of("rows")
        rev = await done(here, puts={key: b"from here"}, append={stream: [b"from here"]})
        expect(await there.get(key) == (b"from here", rev), "the other store reads the value")
        await done(there, guards={key: rev}, puts={key: b"from there"}, append={stream: [b"from there"]})
        expect(await data_of(here, key) == b"from there", "the first store reads the answer")
        expect(await here.read(stream) == [(1, b"from here"), (2, b"from there")], "both rows, in order")


async def a_store_that_is_opened_again_goes_on(make: MakeStore) -> None:
    """Closing and opening forgets nothing: values, revisions and sequence numbers go on."""
    key, stream = name_of("value"), name_of("rows")
    async with opened(make) as store:
        rev = await done(store, puts={key: b"x"}, append={stream: [b"one"]})
    async with opened(make) as store:
        expect(await store.get(key) == (b"x", rev), "value and revision are as before")
        await done(store, guards={key: rev}, puts={key: b"y"}, append={stream: [b"two"]})
        expect(await store.read(stream) == [(1, b"one"), (2, b"two")], "rows go on")


# streams ----------------------------------------------------------------------------------------------------


async def rows_are_read_in_order_by_pages(make: MakeStore) -> None:
    """`read` gives what comes after a row, in order, at most so many; each stream counts for itself."""
    async with opened(make) as store:
        stream, other = name_of("rows"), name_of("other")
        await done(store, append={stream: [b"1", b"2", b"3"], other: [b"x"]})
        await done(store, append={stream: [b"4", b"5"]})
        expect(await store.read(stream, after=1, limit=2) == [(2, b"2"), (3, b"3")], "a page in the middle")
        expect(await store.read(stream, after=3) == [(4, b"4"), (5, b"5")], "the rest")
        expect(await store.read(stream, after=5) == [], "nothing comes after the last row")
        expect(await store.read(other) == [(1, b"x")], "another stream counts for itself")
        expect(await store.read(name_of("unknown")) == [], "an unknown stream has no rows")
        expect(await store.get(stream) is None, "a stream is not a key")


async def many_rows_are_one_commit(make: MakeStore) -> None:
    """300 rows of one commit count on from the rows before; pages may begin and end anywhere among them."""
    async with opened(make) as here, opened(make) as there:
        stream, rows = name_of("rows"), [b"%d" % seq for seq in range(1, 304)]
        await done(here, append={stream: rows[:2]})
        await done(there, append={stream: rows[2:302], name_of("other"): []})
        await done(here, append={stream: rows[302:]})
        whole = [Row(seq, data) for seq, data in enumerate(rows, 1)]
        expect(await here.read(stream) == whole, "rows keep the order of their commit")
        for after, limit in ((0, 1), (1, 3), (2, 1), (127, 2), (150, 100), (301, 5), (302, 5)):
            page = await there.read(stream, after, limit)
            expect(page == whole[after : after + limit], f"a page of {limit} after row {after}")


async def a_stream_has_its_own_rows_only(make: MakeStore) -> None:
    """Names that begin alike, or like a number, are names of different streams."""
    async with opened(make) as store:
        name = name_of("run")
        streams = [name, f"{name}/", f"{name}/1", f"{name}/0000000000000001", f"{name}1", f"{name} ä%2F"]
        for stream in streams:
            await done(store, append={stream: [stream.encode()]})
        for stream in streams:
            expect(await store.read(stream) == [(1, stream.encode())], f"the rows of {stream!r} are its own")


async def a_watcher_sees_every_row_once(make: MakeStore) -> None:
    """Four writers on two stores, 100 rows: a watcher on each sees all once, in order, without a gap."""
    async with opened(make) as here, opened(make) as there:
        stream = name_of("log")

        async def write(writer: int) -> None:
            for i in range(25):
                await done((here, there)[writer % 2], append={stream: [b"%d-%d" % (writer, i)]})

        watchers = [asyncio.ensure_future(seen(store, stream, 100)) for store in (here, there)]
        await asyncio.gather(*map(write, range(4)))
        for rows in await asyncio.gather(*watchers):
            expect([row.seq for row in rows] == [*range(1, 101)], "rows count 1, 2, 3, ... without gap or repeat")
            for writer in range(4):
                said = [int(row.data[2:]) for row in rows if row.data.startswith(b"%d-" % writer)]
                expect(said == [*range(25)], "one writer's rows keep their order")


async def a_watcher_goes_on_where_it_is_told(make: MakeStore) -> None:
    """A watch from row 2 begins with row 3, and waits for rows that are still to come, from any store."""
    async with opened(make) as here, opened(make) as there:
        stream = name_of("log")
        await done(here, append={stream: [b"1", b"2", b"3"]})
        watching = asyncio.ensure_future(seen(here, stream, 3, after=2))
        await asyncio.sleep(0.1)
        await done(here, append={stream: [b"4"]})
        await asyncio.sleep(0.1)
        await done(there, append={stream: [b"5"], name_of("another"): [b"not this"]})
        expect(await watching == [(3, b"3"), (4, b"4"), (5, b"5")], "rows 3, 4 and 5, as they come")


async def rows_that_were_trimmed_are_gone_and_the_others_stay(make: MakeStore) -> None:
    """After a trim what comes later is as it was, for readers and watchers, and rows count on; the last one stays."""
    async with opened(make) as here, opened(make) as there:
        stream, other, rows = name_of("log"), name_of("log of another"), [b"%d" % seq for seq in range(1, 401)]
        for batch in (rows[:1], rows[1:100], rows[100:300], rows[300:]):
            await done(here, append={stream: batch, other: batch})
        whole = [Row(seq, data) for seq, data in enumerate(rows, 1)]
        await there.trim(stream, 300)
        left = await here.read(stream)
        expect(len(left) < 400 and left == whole[400 - len(left) :], "the first rows go, without a gap in the rest")
        expect(await here.read(stream, after=300) == whole[300:], "rows after the trimmed ones stay")
        expect(await here.read(other) == whole, "another stream keeps its rows")
        await there.trim(stream, 250)
        expect(await here.read(stream) == left, "to trim less than before does nothing")
        await there.trim(stream, 10_000)
        expect(await here.read(stream, after=399) == whole[399:], "the last row stays")
        await done(there, append={stream: [b"401"]})
        expect(await here.read(stream, after=399) == [*whole[399:], Row(401, b"401")], "rows count on")
        expect(await seen(here, stream, 2, after=399) == [*whole[399:], Row(401, b"401")], "a watcher sees the rest")
        await there.trim(name_of("never there"), 5)


# leases -----------------------------------------------------------------------------------------------------


async def a_lease_has_one_holder(make: MakeStore) -> None:
    """While one owner holds a lease no other gets it, and everybody can see who it is."""
    async with opened(make) as here, opened(make) as there:
        name = name_of("leader")
        expect(await there.holder(name) is None, "a lease that nobody took has no holder")
        lease = await leased(here, name, "anna")
        expect(lease == (name, "anna", lease.token, LONG), "a lease says what was asked for")
        expect(await there.acquire(name, "bert", LONG) is None, "a second owner does not get it")
        expect(await there.holder(name) == "anna", "the holder is known everywhere")
        await here.release(lease)
        expect(await there.holder(name) is None, "after a release there is no holder")
        await leased(there, name, "bert")
        expect(await here.holder(name) == "bert", "after a release another owner gets it")


async def tokens_only_grow(make: MakeStore) -> None:
    """Each acquisition has a greater token: by the same owner, after a release, an end, a re-opening."""
    name = name_of("leader")
    async with opened(make) as store:
        leases = [await leased(store, name, "anna"), await leased(store, name, "anna")]
        await store.release(leases[-1])
        leases += [await leased(store, name, "bert", SHORT), await leased(store, name, "anna")]
    async with opened(make) as store:
        leases.append(await leased(store, name, "anna"))
    tokens = [lease.token for lease in leases]
    expect(tokens == sorted(set(tokens)), f"tokens only grow, not {tokens}")


async def a_stale_lease_is_refused_in_the_same_commit(make: MakeStore) -> None:
    """A commit under a lease that was taken over does nothing; one under the current lease is done."""
    async with opened(make) as here, opened(make) as there:
        name, key, stream = name_of("leader"), name_of("chain"), name_of("events")
        old = await leased(here, name, "anna")
        rev = await done(here, puts={key: b"1"}, append={stream: [b"1"]}, fence=old)
        new = await leased(there, name, "anna")
        answer = await here.commit({key: rev}, {key: b"late"}, {stream: [b"late"]}, old)
        expect_refused(answer, "fence", name, "an earlier holder's commit is refused")
        expect(await here.get(key) == (b"1", rev), "it has put nothing")
        expect(await here.read(stream) == [(1, b"1")], "it has appended nothing")
        await done(there, guards={key: rev}, puts={key: b"2"}, fence=new)
        await there.release(new)
        expect_refused(await there.commit(fence=new), "fence", name, "a lease that was given back is gone")


async def a_lease_ends_by_itself(make: MakeStore) -> None:
    """A holder that falls silent loses the lease after its ttl, and cannot commit or renew afterwards."""
    async with opened(make) as here, opened(make) as there:
        name = name_of("leader")
        old = await leased(here, name, "anna", SHORT)
        new = await leased(there, name, "bert")
        expect(new.token > old.token, "the next holder has a greater token")
        expect(await here.holder(name) == "bert", "the next holder is seen")
        expect(not await here.renew(old), "a lease that is lost cannot be renewed")
        expect_refused(await here.commit(fence=old), "fence", name, "nor be committed under")
        await here.release(old)
        expect(await there.holder(name) == "bert", "giving back a lost lease does not harm the next holder")
        expect(await there.renew(new), "the next holder can renew")


async def a_renewed_lease_lasts(make: MakeStore) -> None:
    """Renewing in time keeps a lease beyond its ttl, with the same token."""
    async with opened(make) as here, opened(make) as there:
        name = name_of("leader")
        lease = await leased(here, name, "anna", 2 * SHORT)
        for _ in range(6):
            await asyncio.sleep(SHORT / 2)
            expect(await here.renew(lease), "a lease that is held can be renewed")
            expect(await there.acquire(name, "bert", LONG) is None, "nobody else gets it meanwhile")
        await done(here, fence=lease)


STORE_CHECKS: tuple[Check, ...] = (
    a_value_is_kept_with_the_revision_of_its_commit,
    a_guard_holds_one_revision,
    a_deleted_key_is_absent,
    a_portable_commit_fits,
    what_is_too_large_is_refused,
    a_refused_commit_changes_nothing,
    no_contended_increment_is_lost,
    of_rival_commits_one_wins,
    an_unknown_outcome_is_resolved_by_reading,
    two_stores_see_each_other,
    a_store_that_is_opened_again_goes_on,
    rows_are_read_in_order_by_pages,
    many_rows_are_one_commit,
    a_stream_has_its_own_rows_only,
    a_watcher_sees_every_row_once,
    a_watcher_goes_on_where_it_is_told,
    rows_that_were_trimmed_are_gone_and_the_others_stay,
    a_lease_has_one_holder,
    tokens_only_grow,
    a_stale_lease_is_refused_in_the_same_commit,
    a_lease_ends_by_itself,
    a_renewed_lease_lasts,
)
