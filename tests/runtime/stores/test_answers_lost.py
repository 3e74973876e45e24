"""A commit is done once, though its answer is lost, comes late, or is waited for by nobody; on each kind of server."""

from __future__ import annotations

import asyncio
import logging
import subprocess
import sys
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

import pytest

from hexdag_lab.core.base.errors import StoreUnavailable
from hexdag_lab.ports import CommitRefused, StoreAway
from hexdag_lab.runtime.stores import owner_id, server, store_of, where
from hexdag_lab.runtime.stores.server import Address, ServerStore, Unanswered
from tests.runtime.stores.load import until
from tests.servers import free_ports

Scenario = Callable[[ServerStore, str], Coroutine[Any, Any, None]]


@pytest.fixture(params=["redis", "etcd", "consul"])
def play(
    request: pytest.FixtureRequest, server_url: Callable[[str], str], monkeypatch: pytest.MonkeyPatch
) -> Callable[[Scenario], None]:
    """Runs a scenario with an open store, and a prefix for names of its own."""
    url = server_url(request.param)
    monkeypatch.setattr(server, "OPENING", 20.0)  # others keep the machine busy
    monkeypatch.setattr(server, "PATIENCE", 20.0)

    async def played(scenario: Scenario) -> None:
        store = store_of(url)
        assert isinstance(store, ServerStore)
        await store.open()
        try:
            await scenario(store, f"{request.node.name}/")
        finally:
            await store.close()

    return lambda scenario: asyncio.run(played(scenario))


def losing(commit: Callable[..., Awaitable[Any]], times: int, arrives: bool) -> tuple[Any, list[Any]]:
    """A `_commit` whose first answers are lost; whether the requests arrive. And the requests."""
    sent: list[Any] = []

    async def lossy(*request: Any) -> Any:
        sent.append(request)
        if len(sent) > times:
            return await commit(*request)
        if arrives:
            await commit(*request)
        raise Unanswered("the wire was cut")

    return lossy, sent


@pytest.mark.parametrize("arrives", [True, False], ids=["after it was done", "before it was done"])
def test_a_commit_without_an_answer_is_done_once(play: Any, arrives: bool) -> None:
    async def scenario(store: ServerStore, mine: str) -> None:
        first = await store.commit({mine: 0}, {mine: b"0"}, {mine: [b"0"]})
        commit = store._commit
        store._commit, sent = losing(commit, 2, arrives)  # type: ignore[method-assign]
        second = await store.commit({mine: first}, {mine: b"1"}, {mine: [b"1", b"2"]})
        store._commit = commit  # type: ignore[method-assign]
        assert len(sent) == (1 if arrives else 3)  # the slot tells that the first one was done
        assert await store.get(mine) == (b"1", second)
        assert await store.read(mine) == [(1, b"0"), (2, b"1"), (3, b"2")]
        assert not isinstance(await store.commit({mine: second}, {mine: b"2"}), CommitRefused)

    play(scenario)


def test_a_request_that_arrives_after_it_was_sent_again_is_refused(play: Any) -> None:
    async def scenario(store: ServerStore, mine: str) -> None:
        commit = store._commit
        store._commit, sent = losing(commit, 1, arrives=False)  # type: ignore[method-assign]
        await store.commit(puts={mine: b"once"}, append={mine: [b"once"]})
        late = await commit(*sent[0])
        assert isinstance(late, CommitRefused)
        assert await store.read(mine) == [(1, b"once")]

    play(scenario)


def test_a_refusal_stays_a_refusal_when_its_answer_is_lost(play: Any) -> None:
    async def scenario(store: ServerStore, mine: str) -> None:
        await store.commit(puts={mine: b"there"})
        store._commit, _ = losing(store._commit, 1, arrives=True)  # type: ignore[method-assign]
        assert await store.commit({mine: 0}, {mine: b"late"}) == ("guard", mine)
        assert not isinstance(await store.commit(puts={mine: b"next"}), CommitRefused)

    play(scenario)


def test_a_commit_that_nobody_waits_for_any_more_disturbs_no_later_one(play: Any) -> None:
    async def scenario(store: ServerStore, mine: str) -> None:
        for number in range(12):
            begun = asyncio.ensure_future(store.commit(append={mine: [b"%d" % number]}))
            for _ in range(2 * number):
                await asyncio.sleep(0)
            begun.cancel()
            await asyncio.wait([begun])
            assert not isinstance(await store.commit(append={mine: [b"whole"]}), CommitRefused)
        rows = await store.read(mine)
        assert [row.seq for row in rows] == [*range(1, len(rows) + 1)]
        assert sum(row.data == b"whole" for row in rows) == 12
        assert len(rows) == len({row.data for row in rows}) - 1 + 12

    play(scenario)


def test_a_store_that_stays_away_is_given_up_in_time(play: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "PATIENCE", 0.3)

    async def scenario(store: ServerStore, mine: str) -> None:
        commit = store._commit
        store._commit, _ = losing(commit, 10**6, arrives=True)  # type: ignore[method-assign]
        store._get, _ = losing(store._get, 10**6, arrives=False)  # type: ignore[method-assign]
        begun = asyncio.get_running_loop().time()
        with pytest.raises(StoreAway, match="does not answer: the wire was cut; is it running"):
            await store.commit(append={mine: [b"x"]})
        assert asyncio.get_running_loop().time() - begun < 2

    play(scenario)


def test_a_dead_process_of_this_host_loses_its_lease_at_once(play: Any) -> None:
    say_who = "from hexdag_lab.runtime.stores import owner_id; print(owner_id())"
    dead = subprocess.run([sys.executable, "-c", say_who], capture_output=True, text=True, check=True).stdout.strip()

    async def scenario(store: ServerStore, mine: str) -> None:
        old = await store.acquire(mine, dead, 60.0)
        assert old is not None
        assert await store.holder(mine) is None
        new = await store.acquire(mine, owner_id(), 60.0)
        assert new is not None
        assert new.token > old.token
        assert await store.commit(fence=old) == ("fence", mine)
        assert await store.acquire(mine, "elsewhere:1:1:1", 60.0) is None

    play(scenario)


# servers that are not there, or not for us -----------------------------------------------------------------


def test_a_server_that_is_down_is_said_within_5_seconds() -> None:
    async def down(scheme: str) -> str:
        (port,) = free_ports(1)
        url, clock = f"{scheme}://user:geheim@127.0.0.1:{port}", asyncio.get_running_loop().time
        store, begun = store_of(url), clock()
        with pytest.raises(StoreUnavailable) as said:
            await store.open()
        assert clock() - begun < 5
        assert f"{scheme}://127.0.0.1:{port}" in str(said.value)
        return str(said.value)

    async def all_down() -> list[str]:
        return await asyncio.gather(*map(down, ("redis", "etcd", "consul")))

    for message in asyncio.run(all_down()):
        assert "does not answer" in message
        assert "is it running, and the address right?" in message
        assert "geheim" not in message


def test_a_server_that_is_no_store_is_said(server_url: Callable[[str], str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "OPENING", 0.2)

    async def opened(url: str) -> None:
        await store_of(url).open()

    for is_one, is_named in (("redis", "etcd"), ("redis", "consul"), ("consul", "etcd"), ("etcd", "consul")):
        url = server_url(is_one).replace(is_one, is_named)
        with pytest.raises(StoreUnavailable, match=f"the store {url} "):
            asyncio.run(opened(url))


def test_a_store_that_is_not_open_says_so(server_url: Callable[[str], str]) -> None:
    async def scenario() -> None:
        for url in ("redis://127.0.0.1", "etcd://127.0.0.1", "consul://127.0.0.1"):
            store = store_of(url)
            for call in (store.get("x"), store.commit(append={"s": [b"x"]}), store.acquire("x", "anna", 1.0)):
                with pytest.raises(StoreUnavailable, match="is not open"):
                    await call
            await store.close()

    asyncio.run(scenario())


# URLs ------------------------------------------------------------------------------------------------------


def test_a_url_tells_hosts_login_and_lab() -> None:
    address = Address.of("etcd://anna:geheim@one,two:4000?lab=team", 2379)
    assert address == ("etcd", ("one:2379", "two:4000"), "anna", "geheim", "", "team")
    assert Address.of("etcd://a%40b:p%3Aw@h", 1)[2:4] == ("a@b", "p:w")
    assert Address.of("redis://host:1/3", 6379) == ("redis", ("host:1",), "", "", "3", "hexdag")


@pytest.mark.parametrize(
    "url", ["redis://", "etcd://", "consul://:tok@", "redis://h?labb=x", "redis://h/x", "redis://a,b"]
)
def test_a_url_that_says_too_little_or_too_much_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match=r"is no store: write (redis|etcd|consul)://host:\d+"):
        store_of(url)


def test_no_password_is_shown() -> None:
    for url in ("redis://anna:geheim@h/0", "etcd://anna:geheim@h", "consul://:geheim@h"):
        assert "geheim" not in repr(store_of(url))
        assert "geheim" not in where(url)


def test_different_urls_of_one_lab_are_one() -> None:
    assert where("redis://:x@h?lab=a") == where("redis://h:6379/0?lab=a") == "redis://h:6379/0?lab=a"
    assert where("etcd://h?lab=hexdag") == where("etcd://h:2379") != where("etcd://h?lab=other")
    assert where("memory://a") == "memory://a"


@pytest.mark.parametrize(("scheme", "client"), [("redis", "redis"), ("etcd", "httpx"), ("consul", "httpx")])
def test_a_client_that_is_not_installed_is_named_with_the_line_that_installs_it(
    scheme: str, client: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [name for name in sys.modules if name.startswith(("hexdag_lab.runtime.stores.", f"{client}."))]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, client, None)
    with pytest.raises(StoreUnavailable, match=rf"needs the package {client}: pip install 'hexdag-lab\[{scheme}\]'"):
        store_of(f"{scheme}://127.0.0.1")


def test_labs_of_different_names_on_one_server_do_not_meet(server_url: Callable[[str], str]) -> None:
    async def scenario(url: str) -> None:
        one, other = store_of(f"{url}?lab=one"), store_of(f"{url}?lab=other")
        for store in (one, other):
            await store.open()
        await one.commit(puts={"k": b"one"}, append={"s": [b"one"]})
        assert await one.acquire("leader", "anna", 5) is not None
        assert await other.get("k") is None
        assert await other.read("s") == []
        assert await other.acquire("leader", "bert", 5) is not None
        for store in (one, other):
            await store.close()

    for kind in ("redis", "etcd", "consul"):
        asyncio.run(scenario(server_url(kind)))


def test_an_outage_is_logged_once_by_a_watcher(
    server_url: Callable[[str], str], caplog: pytest.LogCaptureFixture
) -> None:
    async def scenario() -> None:
        store = store_of(server_url("redis"))
        assert isinstance(store, ServerStore)
        await store.open()
        read = store._read
        store._read, sent = losing(read, 6, arrives=False)  # type: ignore[method-assign]
        watching = store.watch("outage")
        seen = asyncio.ensure_future(anext(watching))
        await until(lambda: len(sent) == 7)
        await store.commit(append={"outage": [b"after"]})
        assert (await seen).data == b"after"
        await watching.aclose()
        await store.close()

    with caplog.at_level(logging.WARNING):
        asyncio.run(scenario())
    assert [record.message for record in caplog.records].count(caplog.records[0].message) == 1
    assert "its watchers wait" in caplog.text
