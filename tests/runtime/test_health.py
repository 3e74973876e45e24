"""The record of a lab's workers counts for as long as the lease of the leader that has written it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from hexdag_lab.core.runs.worker import Worker, WorkerState
from hexdag_lab.ports import Lease, Store
from hexdag_lab.runtime import health, wire
from hexdag_lab.runtime.stores import store_of
from hexdag_lab.runtime.thread import cancelled


def played(work: Callable[[Store], Any]) -> Any:
    async def play() -> Any:
        store = store_of("memory://")
        await store.open()
        return await work(store)

    return asyncio.run(play())


async def told(store: Store, lease: Lease | None, rows: list[Worker]) -> None:
    """A leader tells of its workers, once."""
    keeping = asyncio.create_task(health.keep_health(store, lambda: rows, lambda: lease))
    await asyncio.sleep(0.05)
    await cancelled([keeping])


async def lead(store: Store, owner: str, ttl: float = 30.0) -> Lease:
    lease = await store.acquire(wire.LEADER, owner, ttl)
    assert lease is not None
    return lease


def test_other_processes_see_the_workers_of_the_leader() -> None:
    async def work(store: Store) -> list[Worker]:
        await told(
            store, await lead(store, "anna"), [Worker("w1"), Worker("w2", state=WorkerState.FAILED, why="it died")]
        )
        return await health.health(store)

    assert [(w.id, w.state, w.why) for w in played(work)] == [("w1", "idle", ""), ("w2", "failed", "it died")]


def test_with_its_lease_the_record_of_a_leader_ends() -> None:
    async def work(store: Store) -> list[Worker]:
        lease = await lead(store, "anna")
        await told(store, lease, [Worker("w1")])
        await store.release(lease)
        return await health.health(store)

    assert played(work) == []


def test_the_workers_of_the_leader_before_are_not_those_of_the_new_one() -> None:
    async def work(store: Store) -> list[list[Worker]]:
        old = await lead(store, "anna")
        await told(store, old, [Worker("w1")])
        await store.release(old)
        new = await lead(store, "bert")
        between = await health.health(store)
        await told(store, old, [Worker("w1")])
        late = await health.health(store)
        await told(store, new, [Worker("w9")])
        return [between, late, await health.health(store)]

    between, late, now = played(work)
    assert (between, late) == ([], []), "also what the old one says too late is refused"
    assert [worker.id for worker in now] == ["w9"]


@pytest.mark.parametrize("rows", [[], [Worker("w1")]])
def test_who_does_not_lead_tells_nothing(rows: list[Worker]) -> None:
    async def work(store: Store) -> Any:
        await told(store, None, rows)
        return await store.get(wire.WORKERS)

    assert played(work) is None
