"""Several regions are one pool: attempts go where they belong, results cross as bytes, and one region's silence is its
own."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from hexdag_lab.core.base.errors import NotFinished, PoolUnavailable, Refused
from hexdag_lab.core.base.frozen import FrozenDict
from hexdag_lab.core.machine.effects import Answer
from hexdag_lab.core.machine.messages import Failed, Lost, PoolChanged, ResultKept, Started, Succeeded
from hexdag_lab.core.runs.attempt import Input, Task
from hexdag_lab.core.runs.run import Failure
from hexdag_lab.core.runs.value import Kept
from hexdag_lab.core.runs.worker import Worker
from hexdag_lab.runtime.pools import branch, federation
from hexdag_lab.runtime.pools.federation import Federation
from hexdag_lab.worker.values import decode, encode, in_pool

EU, US = frozenset({"region:eu"}), frozenset({"region:us"})


class FakePool:
    """A pool that writes down what it is asked for; a test says what becomes of it."""

    def __init__(self, slots: int = 2, lookahead: int = 10, able: frozenset[str] = frozenset()) -> None:
        self.slots, self.lookahead, self.able = slots, lookahead, able
        self.tasks: list[Task] = []
        self.asked: list[tuple[str, Any]] = []
        self.values: dict[str, Any] = {}
        self.there = True
        self.others: tuple[str, ...] = ()
        self.gate = asyncio.Event()
        self.gate.set()

    @property
    def answered(self) -> float:
        return time.monotonic() if self.there else 0.0

    async def open(self, put: Callable[[str, Any], None]) -> None:
        if not self.there:
            raise PoolUnavailable("nobody answers")
        self.put = put
        put("", PoolChanged(1.0, self.slots, self.lookahead, (self.able,)))

    async def close(self) -> None:
        self.asked.append(("close", None))

    async def publish(self, run: str, version: int, data: bytes) -> None:
        await self.gate.wait()
        self.asked.append(("publish", version))

    async def submit(self, tasks: Sequence[Task], code: Callable[[str], bytes]) -> None:
        self.tasks += tasks

    async def withdraw(self, run: str, attempts: Sequence[tuple[str, int]]) -> None:
        self.asked.append(("withdraw", list(attempts)))

    async def hold(self, run: str, attempts: Sequence[tuple[str, int]]) -> None:
        self.asked.append(("hold", list(attempts)))

    async def forget(self, run: str, attempts: Sequence[tuple[str, int]]) -> None:
        self.asked.append(("forget", list(attempts)))

    async def end(self, run: str, keep: Sequence[tuple[str, int]]) -> None:
        self.asked.append(("end", list(keep)))

    async def answer(self, run: str, answer: Answer) -> None:
        self.asked.append(("answer", answer.worker))

    async def value(self, run: str, node: str, fence: int) -> Any:
        if node not in self.values:
            raise NotFinished(f"{node} is gone")
        return self.values[node]

    def workers(self) -> list[Worker]:
        return [Worker(name, slots=self.slots) for name in ("tower", *self.others)]

    async def drain(self, worker: str) -> None:
        self.asked.append(("drain", worker))


class Blobs(dict[str, bytes]):
    def put(self, data: bytes) -> str:
        name = encode(data).sha256
        self[name] = data
        return name


class World:
    """A federation of two regions, and what it tells the controller."""

    def __init__(self, **pools: FakePool) -> None:
        self.pools = pools or {"eu": FakePool(), "us": FakePool()}
        self.federation = Federation(self.pools, home="eu")
        self.blobs = Blobs()
        self.federation.blobs = self.blobs  # type: ignore[assignment]
        self.heard: list[Any] = []

    async def __aenter__(self) -> World:
        await self.federation.open(lambda run, message: self.heard.append(message))
        await self.settle()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.federation.close()

    async def settle(self) -> None:
        """Let everything happen that happens at once."""
        for _ in range(20):
            await asyncio.sleep(0)

    async def until(self, met: Callable[[], Any]) -> None:
        async with asyncio.timeout(20):
            while not met():  # noqa: ASYNC110
                await asyncio.sleep(0.01)

    async def submit(self, *tasks: Task) -> None:
        await self.federation.submit(tasks, lambda reference: b"")
        await self.settle()

    async def say(self, region: str, message: Any) -> None:
        self.pools[region].put("r", message)
        await self.settle()

    def sent(self, region: str) -> list[str]:
        return [task.node for task in self.pools[region].tasks]

    @property
    def offer(self) -> PoolChanged:
        found = [message for message in self.heard if isinstance(message, PoolChanged)]
        return found[-1]


def task(node: str, *ups: Input, requires: frozenset[str] = frozenset(), **more: Any) -> Task:
    return Task("r", node, 1, 1, 1, 1, "code", FrozenDict(), ups, requires=requires, **more)


def of(up: str, kept: Kept | None = None) -> Input:
    return Input(up, up, 1, kept)


def done(node: str, kept: Kept) -> Succeeded:
    return Succeeded(1.0, node, 1, 0.1, kept, "tower")


def scenario(test: Callable[[], Any]) -> Callable[[], None]:
    """A test that runs on an event loop."""

    def run() -> None:
        asyncio.run(test())

    run.__name__, run.__doc__ = test.__name__, test.__doc__
    return run


# -- where attempts go


@scenario
async def test_a_node_runs_in_the_region_that_it_asks_for_where_the_region_is_no_need_any_more() -> None:
    async with World() as world:
        await world.submit(task("a", requires=EU), task("b", requires=US | {"gpu"}), task("c", requires=US))
        assert (world.sent("eu"), world.sent("us")) == (["a"], ["c"])
        assert world.pools["us"].tasks[0].requires == frozenset()


@scenario
async def test_what_is_chained_in_one_region_stays_chained_by_name() -> None:
    async with World() as world:
        await world.submit(task("a", requires=US), task("b", of("a")))
        assert world.sent("us") == ["a", "b"]
        assert world.pools["us"].tasks[1].inputs == (of("a"),)


@scenario
async def test_work_that_asks_for_nothing_is_spread_over_the_slots_of_all_regions() -> None:
    async with World(eu=FakePool(slots=1), us=FakePool(slots=3)) as world:
        await world.submit(*(task(f"n{i}") for i in range(8)))
        assert (len(world.sent("eu")), len(world.sent("us"))) == (2, 6)


@scenario
async def test_work_leaves_the_region_of_its_inputs_only_where_it_would_wait_there_for_twice_as_long() -> None:
    async with World() as world:
        await world.submit(task("root", requires=EU), *(task(f"n{i}", of("root")) for i in range(9)))
        assert len(world.sent("eu")) > 4, "most stay with their input"
        assert world.sent("us") == [], "and those that go elsewhere wait for it"
        await world.say("eu", done("root", encode(1)))
        assert len(world.sent("us")) >= 3


@scenario
async def test_a_move_goes_to_the_worker_that_it_names() -> None:
    async with World() as world:
        await world.submit(task("a", worker="us/tower"))
        assert [found.worker for found in world.pools["us"].tasks] == ["tower"]


@scenario
async def test_a_move_that_names_no_worker_leaves_a_region_that_has_no_other() -> None:
    async with World() as world:
        world.pools["us"].others = ("hall",)
        await world.submit(task("a", leaves="eu/tower"))
        await world.submit(task("b", leaves="us/hall", requires=frozenset({"region:us"})))
        assert [(found.node, found.leaves) for found in world.pools["us"].tasks] == [("a", ""), ("b", "hall")]
        assert world.pools["eu"].tasks == []


# -- results that cross


@scenario
async def test_an_attempt_waits_for_what_is_made_in_another_region_and_gets_it_as_bytes() -> None:
    async with World() as world:
        await world.submit(task("a", requires=EU), task("b", of("a"), requires=US), task("c", of("b")))
        assert (world.sent("eu"), world.sent("us")) == (["a"], []), "nothing is chained between regions"
        await world.say("eu", done("a", encode([1, 2])))
        assert world.sent("us") == ["b", "c"]
        (crossed,) = world.pools["us"].tasks[0].inputs
        assert crossed.kept is not None
        assert decode(crossed.kept, crossed.kept.inline or b"") == [1, 2]


@scenario
async def test_a_large_result_crosses_as_the_name_of_the_blob_that_its_worker_has_written() -> None:
    async with World() as world:
        await world.submit(task("a", requires=EU), task("b", of("a"), requires=US))
        await world.say("eu", done("a", in_pool(10**6)))
        assert world.sent("us") == [], "it is in the workers' memory only"
        blob = Kept("pickle", 10**6, "ab" * 32, where="blob")
        await world.say("eu", ResultKept(2.0, "a", 1, blob))
        assert world.pools["us"].tasks[0].inputs == (of("a", blob),)


def _brought(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(federation, "GRACE", 0.0)
    monkeypatch.setattr(federation, "LOOK_EVERY", 0.01)


def test_a_large_result_that_no_worker_keeps_is_brought_as_a_blob(monkeypatch: pytest.MonkeyPatch) -> None:
    _brought(monkeypatch)

    async def test() -> None:
        async with World() as world:
            world.pools["eu"].values["a"] = large = "x" * 100_000
            await world.submit(task("a", requires=EU), task("b", of("a", in_pool(1)), requires=US))
            await world.say("eu", done("a", in_pool(100_000)))
            await world.until(lambda: world.sent("us"))
            (crossed,) = world.pools["us"].tasks[0].inputs
            assert crossed.kept is not None
            assert crossed.kept.where == "blob"
            assert decode(crossed.kept, world.blobs[encode(encode(large).inline).sha256]) == large
            told = [message for message in world.heard if isinstance(message, ResultKept)]
            assert [message.result for message in told] == [crossed.kept], "the journal learns of it, too"

    asyncio.run(test())


def test_a_result_that_is_gone_when_another_region_needs_it_is_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    _brought(monkeypatch)

    async def test() -> None:
        async with World() as world:
            await world.submit(task("a", requires=EU), task("b", of("a"), requires=US))
            await world.say("eu", done("a", in_pool(100_000)))
            await world.until(lambda: any(isinstance(m, Lost) and m.node == "a" for m in world.heard))

    asyncio.run(test())


@scenario
async def test_what_only_comes_after_a_node_of_another_region_waits_for_its_end_and_needs_no_value() -> None:
    async with World() as world:
        await world.submit(task("a", requires=EU), task("b", Input(None, "a", 1), requires=US))
        assert world.sent("us") == []
        await world.say("eu", done("a", in_pool(10**6)))
        assert world.sent("us") == ["b"]


@scenario
async def test_an_attempt_that_waits_keeps_what_its_own_region_has_made_and_let_go_of_meanwhile() -> None:
    async with World() as world:
        await world.submit(task("a", requires=EU), task("b", requires=US), task("c", of("a"), of("b"), requires=EU))
        await world.say("eu", done("a", encode("mine")))
        await world.federation.forget("r", [("a", 1)])
        await world.say("us", done("b", encode("theirs")))
        got = [
            decode(wanted.kept, wanted.kept.inline or b"")
            for wanted in world.pools["eu"].tasks[-1].inputs
            if wanted.kept
        ]
        assert (world.sent("eu"), got) == (["a", "c"], ["mine", "theirs"])


@scenario
async def test_an_attempt_that_is_withdrawn_while_it_waits_is_never_sent() -> None:
    async with World() as world:
        await world.submit(task("a", requires=EU), task("b", of("a"), requires=US))
        await world.federation.withdraw("r", [("b", 1)])
        await world.say("eu", done("a", encode(1)))
        assert world.sent("us") == []


@scenario
async def test_a_region_that_chains_nothing_gets_an_attempt_when_all_its_inputs_are_there() -> None:
    async with World(eu=FakePool(lookahead=0)) as world:
        await world.submit(task("a"), task("b", of("a")))
        assert world.sent("eu") == ["a"]
        await world.say("eu", done("a", encode(1)))
        assert world.sent("eu") == ["a", "b"]


# -- regions that do not answer


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(branch, "SILENCE", 0.05)
    monkeypatch.setattr(branch, "AGAIN", 0.01)
    monkeypatch.setattr(federation, "LOOK_EVERY", 0.01)


@pytest.mark.usefixtures("quick")
def test_a_region_that_is_cut_off_offers_nothing_and_gets_what_waits_for_it_when_it_is_back() -> None:
    async def test() -> None:
        async with World() as world:
            assert world.offer.slots == 4
            assert set(world.offer.capabilities or ()) == {EU, US}
            await world.submit(task("running", requires=US))
            began, world.pools["us"].there = time.time(), False
            await world.until(lambda: world.offer.slots == 2)
            (_, reach) = world.offer.regions
            assert reach.since is not None
            assert abs(reach.since - began) < 5
            assert world.offer.capabilities == (EU,)
            assert str(reach).startswith("region us is cut off since ")
            (row,) = [row for row in world.federation.workers() if row.id == "us/tower"]
            assert (row.state, row.why) == ("failed", str(reach))
            await world.submit(task("later", requires=US), task("anywhere"))
            assert (world.sent("us"), world.sent("eu")) == (["running"], ["anywhere"])
            assert not any(isinstance(message, Lost) for message in world.heard), "what runs there goes on"
            with pytest.raises(NotFinished, match="region us is cut off since"):
                await world.federation.value("r", "running", 1)
            world.pools["us"].there = True
            await world.until(lambda: world.sent("us") == ["running", "later"])
            assert world.offer.slots == 4
            assert all(region.reachable for region in world.federation.regions())

    asyncio.run(test())


@pytest.mark.usefixtures("quick")
def test_a_region_that_is_not_there_at_the_start_is_waited_for_beside_the_others() -> None:
    async def test() -> None:
        far = FakePool()
        far.there = False
        async with World(eu=FakePool(), us=far) as world:
            assert [region.reachable for region in world.federation.regions()] == [True, False]
            await world.submit(task("a"), task("b", requires=US))
            assert world.sent("eu") == ["a"]
            far.there = True
            await world.until(lambda: world.sent("us") == ["b"])

    asyncio.run(test())


@scenario
async def test_where_no_region_answers_at_the_start_there_is_no_pool() -> None:
    far = FakePool()
    far.there = False
    with pytest.raises(PoolUnavailable):
        async with World(eu=far):
            pass


@scenario
async def test_a_region_that_takes_its_time_holds_up_no_other() -> None:
    async with World() as world:
        world.pools["us"].gate.clear()
        await world.federation.publish("r", 1, b"")
        await world.submit(task("a", requires=EU), task("b", requires=US))
        assert (world.sent("eu"), world.sent("us")) == (["a"], [])
        world.pools["us"].gate.set()
        await world.settle()
        assert world.sent("us") == ["b"], "after all that was asked for before"


# -- what passes through


@scenario
async def test_workers_are_known_by_their_region_and_carry_its_label() -> None:
    async with World() as world:
        assert [row.id for row in world.federation.workers()] == ["eu/tower", "us/tower"]
        assert [row.capabilities for row in world.federation.workers()] == [("region:eu",), ("region:us",)]
        await world.say("us", Started(1.0, "a", 1, "tower"))
        assert world.heard[-1].worker == "us/tower"
        await world.federation.answer("r", Answer("us/tower", "a", 1, 0, True))
        await world.federation.drain("eu/tower")
        await world.settle()
        assert world.pools["us"].asked == [("answer", "tower")]
        assert world.pools["eu"].asked == [("drain", "tower")]
        with pytest.raises(Refused, match="there is no worker 'tower'"):
            await world.federation.drain("tower")


@scenario
async def test_results_are_read_and_let_go_of_where_they_are() -> None:
    async with World() as world:
        await world.submit(task("a", requires=EU), task("b", requires=US))
        world.pools["us"].values["b"] = 7
        assert await world.federation.value("r", "b", 1) == 7
        await world.federation.forget("r", [("a", 1), ("b", 1)])
        await world.settle()
        assert world.pools["eu"].asked == [("forget", [("a", 1)])]
        assert world.pools["us"].asked == [("forget", [("b", 1)])]
        with pytest.raises(NotFinished):
            await world.federation.value("r", "b", 1)


@scenario
async def test_an_attempt_that_has_failed_makes_room_for_others() -> None:
    async with World(eu=FakePool(slots=1), us=FakePool(slots=1)) as world:
        await world.submit(task("a", requires=EU), task("b", requires=EU), task("c", requires=US))
        for node in ("a", "b"):
            await world.say("eu", Failed(1.0, node, 1, 0.1, Failure("ValueError", "no"), "tower"))
        await world.submit(task("d"))
        assert world.sent("eu") == ["a", "b", "d"]
