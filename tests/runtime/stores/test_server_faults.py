"""Servers that are killed under load, frozen, or set up badly: nothing acknowledged is lost or doubled, and what cannot
be relied on is said."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hexdag_lab.core.base.errors import StoreUnavailable
from hexdag_lab.ports import Store
from hexdag_lab.runtime.stores import store_of
from tests import servers
from tests.runtime.stores.load import Load, until
from tests.servers import Etcd, Server


async def opened(url: str) -> Store:
    store = store_of(url)
    await store.open()
    return store


def refusal(url: str) -> str:
    """What opening a store says."""
    with pytest.raises(StoreUnavailable) as said:
        asyncio.run(opened(url))
    return str(said.value)


# killed and frozen under load -------------------------------------------------------------------------------


@pytest.mark.parametrize("program", [servers.redis_program, servers.valkey_program], ids=["redis", "valkey"])
def test_kill_9_of_a_redis_loses_and_doubles_nothing(program: Any, tmp_path: Path) -> None:
    server = servers.redis(program(), tmp_path / "redis")
    try:
        asyncio.run(killed_and_started_again(server, rounds=2))
    finally:
        server.kill()


def test_kill_9_of_a_consul_loses_and_doubles_nothing(tmp_path: Path) -> None:
    server = servers.consul(servers.consul_program(), tmp_path / "consul")
    try:
        asyncio.run(killed_and_started_again(server, rounds=1))
    finally:
        server.kill()


async def killed_and_started_again(server: Server, rounds: int) -> None:
    async with Load(server.url) as load:
        for _ in range(rounds):
            await load.acknowledges(150)
            server.kill()
            await asyncio.sleep(0.3)
            server.start()
        await load.acknowledges(100)
    load.check()


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Etcd]:
    """Three members of etcd, for this test alone."""
    etcd = Etcd(tmp_path / "etcd", 3).start()
    yield etcd
    etcd.kill()


def test_kill_9_of_etcds_leader_and_then_of_another_member_loses_and_doubles_nothing(cluster: Etcd) -> None:
    async def scenario() -> None:
        async with Load(cluster.url) as load:
            await load.acknowledges(100)
            leader = cluster.leader()
            leader.kill()
            await load.acknowledges(100)  # two of three go on
            leader.start()
            other = next(member for member in cluster.members if member not in (leader, cluster.leader()))
            other.kill()
            await load.acknowledges(100)
        load.check()

    asyncio.run(scenario())


def test_while_the_leader_of_etcd_is_frozen_the_others_go_on(cluster: Etcd) -> None:
    async def scenario() -> None:
        async with Load(cluster.url) as load:
            await load.acknowledges(50)
            leader = cluster.leader()
            leader.freeze()
            try:
                await load.acknowledges(50)  # how long they were held up is in the benchmark of stores
            finally:
                leader.freeze(False)
            await load.acknowledges(50)
        load.check()

    asyncio.run(scenario())


def test_a_watcher_goes_on_after_etcd_has_compacted_what_it_watched(tmp_path: Path) -> None:
    etcd = Etcd(tmp_path / "etcd", 1).start()

    async def scenario() -> None:
        store = await opened(etcd.url)
        seen: list[bytes] = []

        async def watch() -> None:
            async for row in store.watch("log"):
                seen.append(row.data)

        watching, member = asyncio.ensure_future(watch()), etcd.members[0]
        await store.commit(append={"log": [b"1"]})
        await until(lambda: len(seen) == 1)
        member.kill()  # with a watch under way
        member.start()
        for number in (2, 3):
            rev = await store.commit(append={"log": [b"%d" % number, b"more"]})
            await asyncio.to_thread(member.post, "kv/compaction", {"revision": str(rev), "physical": True})
        await until(lambda: len(seen) == 5)
        assert seen == [b"1", b"2", b"more", b"3", b"more"]
        watching.cancel()
        await store.close()

    try:
        asyncio.run(scenario())
    finally:
        etcd.kill()


# Redis behind the promotion of a replica --------------------------------------------------------------------


def test_redis_behind_a_promoted_replica_loses_what_it_has_acknowledged(tmp_path: Path) -> None:
    """Why `durability.failover` is False, and why no approval belongs behind Sentinel or a cluster."""
    primary = servers.redis(servers.redis_program(), tmp_path / "primary", "--repl-diskless-sync-delay", "0")
    replica = servers.redis(
        servers.redis_program(), tmp_path / "replica", "--replicaof", "127.0.0.1", str(primary.port)
    )

    async def scenario() -> None:
        import redis.asyncio

        store, first = await opened(primary.url), redis.asyncio.Redis(port=primary.port)
        other = redis.asyncio.Redis(port=replica.port)
        assert not store.durability.failover
        lease = await store.acquire("leader", "anna", 60.0)
        await store.commit(append={"log": [b"before"]}, fence=lease)
        assert await first.wait(1, 4000) == 1
        await first.aclose()
        await other.replicaof("127.0.0.1", servers.free_ports(1)[0])  # its link is cut
        for _ in range(50):
            assert isinstance(await store.commit(append={"log": [b"acknowledged"]}, fence=lease), int)
        await store.close()
        primary.kill()
        await other.replicaof("NO", "ONE")
        await other.aclose()
        promoted = await opened(replica.url)
        assert await promoted.read("log") == [(1, b"before")], "50 acknowledged commits are gone"
        later = await promoted.acquire("another", "bert", 60.0)
        assert later is not None
        assert lease is not None
        assert later.token < lease.token + 50, "tokens count back over those that were given"
        await promoted.close()

    try:
        asyncio.run(scenario())
    finally:
        primary.kill()
        replica.kill()


# servers that are set up badly, or do not know us -----------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "survives"),
    [
        (("--appendfsync", "always"), (True, True, False)),
        (("--appendfsync", "everysec"), (True, False, False)),
        (("--appendonly", "no"), (False, False, False)),
    ],
    ids=["always", "everysec", "no log"],
)
def test_durability_is_what_the_server_is_set_to(
    options: tuple[str, ...], survives: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    server = servers.redis(servers.redis_program(), tmp_path, *options)

    async def durability() -> Any:
        store = await opened(server.url)
        await store.close()
        return store.durability

    try:
        with caplog.at_level(logging.WARNING):
            assert asyncio.run(durability()) == survives
    finally:
        server.kill()
    assert ("--appendonly yes --appendfsync always" in caplog.text) == (not survives[1])


def test_a_redis_that_is_a_replica_or_in_a_cluster_or_forgets_keys_is_refused(tmp_path: Path) -> None:
    replica = servers.redis(servers.redis_program(), tmp_path / "a", "--replicaof", "127.0.0.1", "1")
    small = ("--maxmemory", "100mb", "--maxmemory-policy", "allkeys-lru")
    forgetful = servers.redis(servers.redis_program(), tmp_path / "b", *small)
    cluster = servers.redis(servers.redis_program(), tmp_path / "c", "--cluster-enabled", "yes")
    try:
        assert "is a replica; name a single primary" in refusal(replica.url)
        assert "is a part of a cluster; name a single primary" in refusal(cluster.url)
        assert "throws keys away when memory is short; CONFIG SET maxmemory-policy noeviction" in refusal(forgetful.url)
    finally:
        for server in (replica, cluster, forgetful):
            server.kill()


def test_a_redis_user_needs_scripts_and_may_lack_the_settings(tmp_path: Path) -> None:
    settings, scripts = ("user anna on >geheim ~* &* +@all -config", "user bert on >geheim ~* &* +@all -@scripting")
    (tmp_path / "users").write_text(f"user default off\n{settings}\n{scripts}\n")
    server = servers.redis(servers.redis_program(), tmp_path, "--aclfile", str(tmp_path / "users"))

    async def scenario() -> None:
        store = await opened(f"redis://anna:geheim@127.0.0.1:{server.port}")
        assert isinstance(await store.commit(puts={"k": b"v"}), int)
        assert store.durability == (True, False, False), "what cannot be known is not claimed"
        await store.close()
        store = await opened(f"redis://bert:geheim@127.0.0.1:{server.port}")
        with pytest.raises(StoreUnavailable, match="let this user run scripts and all commands on keys of the lab"):
            await store.commit(puts={"k": b"v"})
        await store.close()

    try:
        asyncio.run(scenario())
    finally:
        server.kill()


def test_a_redis_without_memory_refuses_whole_commits(tmp_path: Path) -> None:
    server = servers.redis(servers.redis_program(), tmp_path, "--maxmemory", "8mb")

    async def scenario() -> None:
        store = await opened(server.url)
        done = 0

        async def fill() -> None:
            nonlocal done
            while done < 100:
                await store.commit(puts={"n": b"%d" % done, f"big {done}": bytes(300_000)}, append={"log": [b"x"]})
                done += 1

        with pytest.raises(StoreUnavailable, match=r"give it more memory .*; nothing acknowledged is lost"):
            await fill()
        value = await store.get("n")
        assert value is not None
        assert int(value.data) == done - 1 > 0
        assert len(await store.read("log")) == done
        await store.close()

    try:
        asyncio.run(scenario())
    finally:
        server.kill()


def test_wrong_credentials_for_redis_are_said(tmp_path: Path) -> None:
    server = servers.redis(servers.redis_program(), tmp_path, "--requirepass", "geheim")
    address = f"127.0.0.1:{server.port}"
    try:
        for url in (f"redis://{address}", f"redis://:falsch@{address}", f"redis://anna:falsch@{address}"):
            message = refusal(url)
            assert f"the store redis://{address}/0 refuses to let us in" in message
            assert "give the right user and password: redis://user:password@host" in message
            assert "falsch" not in message
        asyncio.run(closed_again(f"redis://:geheim@{address}"))
    finally:
        server.kill()


def test_wrong_credentials_for_etcd_are_said(tmp_path: Path) -> None:
    etcd = Etcd(tmp_path / "etcd", 1).start()
    address = f"127.0.0.1:{etcd.members[0].port}"
    try:
        asyncio.run(closed_again(etcd.url))  # it has elected itself
        for path, body in (
            ("user/add", {"name": "root", "password": "geheim"}),
            ("role/add", {"name": "root"}),
            ("user/grant", {"user": "root", "role": "root"}),
            ("user/add", {"name": "anna", "password": "geheim"}),
            ("enable", {}),
        ):
            etcd.members[0].post(f"auth/{path}", body)
        for login, said in (
            ("", "give user and password: etcd://user:password@host:2379"),
            ("root:falsch@", "give the right user and password"),
            ("anna:geheim@", "let this user read and write the keys of the lab"),
        ):
            message = refusal(f"etcd://{login}{address}")
            assert f"the store etcd://{address} refuses" in message
            assert said in message
        asyncio.run(closed_again(f"etcd://root:geheim@{address}"))
        asyncio.run(restarted_meanwhile(f"etcd://root:geheim@{address}", etcd.members[0]))
    finally:
        etcd.kill()


async def restarted_meanwhile(url: str, member: Server) -> None:
    """A server that has started again knows none of the tokens that it gave; the store logs in anew."""
    store = await opened(url)
    member.kill()
    member.start()
    assert isinstance(await store.commit(puts={"k": b"after"}), int)
    await store.close()


def test_wrong_credentials_for_consul_are_said(server_url: Any) -> None:
    address = server_url("consul").removeprefix("consul://")
    message = refusal(f"consul://:falsch@{address}")
    assert f"the store consul://{address} refuses to let us in" in message
    assert "give a token that may read and write keys and sessions" in message


@pytest.mark.parametrize("kind", ["rediss", "etcds", "consuls"])
def test_over_tls_a_server_has_to_prove_who_it_is(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cert, key = map(str, servers.certificate(tmp_path / "tls"))
    (port,) = servers.free_ports(1)
    server: Any
    if kind == "rediss":
        tls = ("--tls-port", str(port), "--tls-cert-file", cert, "--tls-key-file", key, "--tls-auth-clients", "no")
        server = servers.redis(servers.redis_program(), tmp_path / "redis", *tls, "--tls-ca-cert-file", cert)
    elif kind == "etcds":
        tls = ("--cert-file", cert, "--key-file", key, "--listen-client-urls", f"https://127.0.0.1:{port}")
        server = Etcd(tmp_path / "etcd", 1, *tls, "--advertise-client-urls", f"https://127.0.0.1:{port}")
        server.members[0].port = port
        server.start()
    else:
        settings = {"cert_file": cert, "key_file": key, "ports": {"https": port}}
        server = servers.consul(servers.consul_program(), tmp_path / "consul", **settings)
    monkeypatch.setattr("hexdag_lab.runtime.stores.server.OPENING", 15.0)
    try:
        monkeypatch.setenv("SSL_CERT_FILE", cert)
        asyncio.run(closed_again(f"{kind}://127.0.0.1:{port}"))
        monkeypatch.setattr("hexdag_lab.runtime.stores.server.OPENING", 0.1)
        monkeypatch.setenv("SSL_CERT_FILE", "/dev/null")
        assert "certificate" in refusal(f"{kind}://127.0.0.1:{port}").lower()
    finally:
        server.kill()


def test_a_lease_that_is_too_short_for_consul_is_as_short_as_consul_allows(server_url: Any) -> None:
    async def scenario() -> None:
        store = await opened(server_url("consul"))
        lease = await store.acquire("short", "anna", 0.1)
        assert lease is not None
        assert await store.acquire("short", "bert", 0.1) is None
        assert await store.renew(lease)
        await store.release(lease)
        await store.close()

    asyncio.run(scenario())


async def closed_again(url: str) -> None:
    store = await opened(url)
    await store.commit(puts={"k": b"v"})
    await store.close()
