"""The lead over a store that is away now and then: each commit is done once, and under a lease that is ours."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hexdag_lab.core.base.errors import LabInUse, StoreUnavailable
from hexdag_lab.ports import StoreAway
from hexdag_lab.runtime import lead
from hexdag_lab.runtime.stores.memory import MemoryStore

LOST_BEFORE, LOST_AFTER, LEASE_GONE = "lost before it is done", "done, and the answer lost", "the lease ends first"


class Flaky(MemoryStore):
    """A store in which commits come to grief, one trouble after another."""

    def __init__(self) -> None:
        super().__init__()
        self.troubles: list[Any] = []
        self.troubled = asyncio.Event()
        self.lead: lead.Lead | None = None

    async def commit(self, *args: Any, **named: Any) -> Any:
        trouble = self.troubles.pop(0) if self.troubles else None
        if trouble == LEASE_GONE and self.lead is not None and self.lead.lease is not None:
            await self.release(self.lead.lease)
        done = None if trouble in (LOST_BEFORE, LEASE_GONE) else await super().commit(*args, **named)
        if trouble is not None:
            self.troubled.set()
            raise StoreAway("away")
        return done


def play(scenario: Callable[[Flaky, lead.Lead], Coroutine[Any, Any, None]]) -> None:
    async def played() -> None:
        store = Flaky()
        store.lead = lead.Lead(store, "here:1")
        assert await store.lead.take()
        await scenario(store, store.lead)

    asyncio.run(played())


@pytest.fixture(autouse=True, scope="module")
def _at_once() -> Any:
    before, lead.AGAIN = lead.AGAIN, 0.0
    yield
    lead.AGAIN = before


@given(st.lists(st.sampled_from([None, LOST_BEFORE, LOST_AFTER, LEASE_GONE]), max_size=8))
def test_whatever_is_lost_on_the_way_each_commit_is_done_once_and_in_order(troubles: list[str | None]) -> None:
    async def scenario(store: Flaky, leading: lead.Lead) -> None:
        store.troubles = list(troubles)
        for number in range(6):
            await leading.commit({"last": b"%d" % number}, {"log": [b"%d" % number]})
        assert [row.data for row in await store.read("log")] == [b"%d" % number for number in range(6)]

    play(scenario)


@pytest.mark.parametrize("trouble", [LOST_BEFORE, LOST_AFTER, LEASE_GONE])
def test_a_leader_whose_store_was_away_steps_down_if_another_one_has_led_meanwhile(trouble: str) -> None:
    async def scenario(store: Flaky, leading: lead.Lead) -> None:
        store.troubles = [trouble]
        late = asyncio.ensure_future(leading.commit({}, {"log": [b"ours"]}))
        await store.troubled.wait()
        assert leading.lease is not None
        await store.release(leading.lease)
        assert await lead.Lead(store, "elsewhere:1").take()
        with pytest.raises(LabInUse, match="another process leads this lab now"):
            await late
        assert [row.data for row in await store.read("log")] == ([b"ours"] if trouble == LOST_AFTER else [])

    play(scenario)


def test_a_commit_in_doubt_is_not_done_twice_though_the_lease_ends_and_is_taken_again_meanwhile(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(lead, "AGAIN", 0.2)  # the lease is looked after several times before the commit tries again

    async def scenario(store: Flaky, _: lead.Lead) -> None:
        assert store.lead is not None
        await store.lead.give_back()
        store.lead = leading = lead.Lead(store, "here:1", ttl=0.03)
        assert await leading.take()
        keeping = asyncio.ensure_future(leading.keep())
        store.troubles = [LOST_AFTER]
        committing = asyncio.ensure_future(leading.commit({}, {"log": [b"once"]}))
        await store.troubled.wait()
        assert leading.lease is not None
        await store.release(leading.lease)
        await committing
        keeping.cancel()
        assert [row.data for row in await store.read("log")] == [b"once"]

    play(scenario)


def test_what_a_store_refuses_is_not_tried_again() -> None:
    async def scenario(store: Flaky, leading: lead.Lead) -> None:
        async def full(*_: Any, **__: Any) -> Any:
            raise StoreUnavailable("the disk is full")

        store.commit = full  # type: ignore[method-assign]
        with pytest.raises(StoreUnavailable, match="the disk is full"):
            await leading.commit({}, {"log": [b"x"]})

    play(scenario)
