"""A store that may be out of reach: who may as well ask later does not wait for it."""

from __future__ import annotations

import asyncio

import pytest

from hexdag_lab.core.base.errors import StoreUnavailable
from hexdag_lab.ports import Store, StoreAway
from hexdag_lab.runtime import reach
from hexdag_lab.runtime.reach import Reach
from hexdag_lab.runtime.stores.memory import MemoryStore


class Flaky(MemoryStore):
    """Its server answers while `there`; `asked`: how often it was."""

    there, asked = True, 0

    async def get(self, key: str) -> None:
        self.asked += 1
        if not self.there:
            raise StoreAway("nobody answers")


async def key(store: Store) -> None:
    await store.get("key")


async def silence(store: Store) -> None:
    await asyncio.Event().wait()


async def forbidden(store: Store) -> None:
    raise StoreUnavailable("wrong password")


async def found_again(to: Reach) -> None:
    async with asyncio.timeout(30):
        while True:
            try:
                return await to.asked(key)
            except StoreAway:
                await asyncio.sleep(0)


def test_once_it_did_not_answer_it_is_asked_again_only_when_it_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    async def work() -> None:
        store = Flaky()
        to = Reach(store)
        store.there = False
        with pytest.raises(StoreAway, match="nobody answers"):
            await to.asked(key)
        asked = store.asked
        for _ in range(3):
            with pytest.raises(StoreAway, match="it is looked for"):
                await to.asked(key)
        assert store.asked == asked
        store.there = True
        await found_again(to)

    monkeypatch.setattr(reach, "LOOK_EVERY", 0.001)
    asyncio.run(work())


def test_who_has_no_patience_does_not_wait_for_an_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    async def work() -> None:
        to = Reach(Flaky(), patience=0.001)
        with pytest.raises(StoreAway, match="the store does not answer"):
            await to.asked(silence)
        await found_again(to)

    monkeypatch.setattr(reach, "LOOK_EVERY", 0.001)
    asyncio.run(work())


def test_a_store_that_refuses_is_not_away() -> None:
    async def work() -> None:
        store = Flaky()
        to = Reach(store)
        with pytest.raises(StoreUnavailable, match="wrong password"):
            await to.asked(forbidden)
        await to.asked(key)
        assert store.asked == 1

    asyncio.run(work())
