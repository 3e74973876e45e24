"""The ways in and out: the inbox, the feed, threads, and commands from other processes."""

from __future__ import annotations

import asyncio
import sys
import threading
import time
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pytest

import hexdag_lab as hx
from hexdag_lab.core.base.errors import HexdagError, Refused, SchemaError, StoreUnavailable
from hexdag_lab.core.machine import messages as ms
from hexdag_lab.core.machine.state import RunState
from hexdag_lab.runtime import remote, wire
from hexdag_lab.runtime.feed import Feed
from hexdag_lab.runtime.inbox import Inbox, Item, settle
from hexdag_lab.runtime.thread import TURN, LoopThread, cancelled, on_thread
from tests.runtime.kit import open_gate, pass_gate, until

# -- the inbox


def test_the_inbox_gives_all_that_came_from_any_thread_in_order() -> None:
    async def main() -> list[Any]:
        inbox, found = Inbox(asyncio.get_running_loop()), list[Any]()
        threads = [threading.Thread(target=lambda: [inbox.put(Item("", n)) for n in range(500)]) for _ in range(4)]
        for thread in threads:
            thread.start()
        while len(found) < 2000:
            found += [item.message for item in await inbox.take(5)]
        return found

    found = asyncio.run(main())
    assert sorted(found) == sorted([*range(500)] * 4)


def test_the_inbox_waits_as_long_as_it_is_told_and_can_be_woken() -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        inbox = Inbox(loop)
        assert await inbox.take(0.01) == []
        loop.call_soon(inbox.wake)
        assert await asyncio.wait_for(inbox.take(None), 5) == []

    asyncio.run(main())


def test_a_message_after_the_end_is_no_error() -> None:
    loop = asyncio.new_event_loop()
    inbox = Inbox(loop)
    loop.close()
    inbox.put(Item("", "late"))
    assert [item.message for item in inbox.drain()] == ["late"]


def test_an_answer_is_given_once() -> None:
    reply: Future[Any] = Future()
    settle(reply, "first")
    settle(reply, "second")
    settle(None, "nobody")
    assert reply.result(0) == "first"
    cancelled: Future[Any] = Future()
    cancelled.cancel()
    settle(cancelled, "too late")
    refused: Future[Any] = Future()
    settle(refused, Refused("no"))
    assert isinstance(refused.result(0), Refused)  # a refusal is an answer, an error is raised
    failed: Future[Any] = Future()
    settle(failed, ValueError("a bug"))
    with pytest.raises(ValueError, match="a bug"):
        failed.result(0)


# -- the feed


def test_who_waits_gets_the_first_state_that_will_do() -> None:
    feed = Feed()
    later = feed.until(lambda state: state.seq >= 2)
    for seq in (1, 2, 3):
        feed.publish(RunState(seq=seq), [])
    assert later.result(0).seq == 2
    assert feed.until(lambda state: state.seq >= 2).result(0).seq == 3


def test_a_feed_that_ended_tells_why_but_gives_what_is_there() -> None:
    feed = Feed()
    feed.publish(RunState(seq=5), [])
    waiting = feed.until(lambda state: state.seq > 5)
    feed.end(HexdagError("the end"))
    feed.end(HexdagError("another end"))
    assert str(waiting.exception(0)) == "the end"
    assert str(feed.until(lambda state: state.seq > 5).exception(0)) == "the end"
    assert feed.until(lambda state: state.seq == 5).result(0).seq == 5


def test_the_threads_of_observers_end_with_the_feed() -> None:
    feed, seen = Feed(), list[Any]()
    before = threading.active_count()
    feed.observe(seen.append)
    feed.publish(RunState(seq=1), ["event"])
    feed.end(HexdagError("the end"))
    until(lambda: threading.active_count() <= before)
    assert seen == ["event"]
    feed.observe(seen.append)()
    assert threading.active_count() <= before


# -- threads


def test_a_call_on_a_thread_gives_its_result_or_its_error() -> None:
    def fails() -> None:
        raise ValueError("no")

    async def main() -> None:
        assert await on_thread(lambda: threading.current_thread().name, "mine") == "mine"
        with pytest.raises(ValueError, match="no"):
            await on_thread(fails, "mine")
        with pytest.raises(RuntimeError, match="SystemExit: 2"):
            await on_thread(lambda: sys.exit(2), "mine")

    asyncio.run(main())


def test_a_call_that_never_ends_can_be_left_alone() -> None:
    stuck = threading.Event()

    async def main() -> None:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(on_thread(lambda: stuck.wait(60), "mine"), 0.01)

    asyncio.run(main())
    stuck.set()


def test_a_loop_ends_though_a_call_hangs() -> None:
    thread, ended = LoopThread("a loop"), threading.Event()
    thread.start()

    async def sleeps() -> None:
        try:
            await asyncio.sleep(600)
        finally:
            ended.set()

    thread.submit(sleeps())
    thread.stop()
    thread.stop()
    assert ended.wait(5)
    assert thread.loop.is_closed()


@pytest.mark.parametrize("theirs", [0.002, 0.0001])
def test_threads_take_turns_sooner_while_a_loop_runs_and_as_before_afterwards(theirs: float) -> None:
    before = sys.getswitchinterval()
    sys.setswitchinterval(theirs)
    try:
        first, second = LoopThread("first"), LoopThread("second")
        first.start()
        second.start()
        first.stop()
        first.stop()
        assert sys.getswitchinterval() == pytest.approx(min(theirs, TURN), abs=2e-6)
        second.stop()
        assert sys.getswitchinterval() == pytest.approx(theirs, abs=2e-6)
    finally:
        sys.setswitchinterval(before)


def test_how_threads_take_turns_is_left_alone_if_somebody_sets_it_meanwhile() -> None:
    before = sys.getswitchinterval()
    thread = LoopThread("a loop")
    thread.start()
    try:
        sys.setswitchinterval(0.003)
        thread.stop()
        assert sys.getswitchinterval() == pytest.approx(0.003, abs=2e-6)
    finally:
        sys.setswitchinterval(before)


def test_a_task_that_swallows_a_cancellation_is_ended_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hexdag_lab.runtime.thread.AGAIN", 0.01)
    swallowed = []

    async def stubborn() -> None:
        while len(swallowed) < 3:
            try:
                await asyncio.sleep(600)
            except asyncio.CancelledError:
                swallowed.append(1)

    async def fails() -> None:
        raise OSError("gone")

    async def main() -> None:
        tasks = [asyncio.create_task(work) for work in (stubborn(), asyncio.sleep(600), fails())]
        await asyncio.sleep(0)
        await asyncio.wait_for(cancelled(tasks), 5)
        assert all(task.done() for task in tasks)

    asyncio.run(main())
    assert len(swallowed) == 3


# -- other processes


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/lab.db"


def held(gate: str) -> int:
    pass_gate(gate)
    return 1


def apart(url: str) -> hx.Lab:
    """The lab as another process sees it: it follows the journal and sends commands."""
    from hexdag_lab.lab import registry

    live, registry._LIVE = registry._LIVE, {}
    try:
        return hx.Lab(store=url, leader=False)
    finally:
        registry._LIVE = live


def test_another_process_follows_and_commands(url: str, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    with hx.Lab(pool="inline", store=url) as lab:
        run = lab.start(hx.Dag.of(hx.NodeSpec("held", held, params={"gate": str(gate)})))
        with apart(url) as other:
            theirs = other.attach(run.id)
            theirs.pause()
            assert run.status == "PAUSED"
            theirs.resume()
            open_gate(gate)
            assert theirs.wait(30) == {"held": 1}
            assert [e.seq for e in theirs.events()] == [e.seq for e in run.events()]


def test_a_command_for_a_run_that_nobody_leads_counts_when_somebody_does(url: str, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    with hx.Lab(pool="inline", store=url) as lab:
        lab.start(hx.Dag.of(hx.NodeSpec("held", held, params={"gate": str(gate)})), run_id="left")
    with hx.Lab(pool="inline", store=url) as lab:  # leads, but not that run
        id_, row = wire.pack_command("left", ms.Pause(time.time(), lab.owner.id), lab.shipping.key)
        lab._session.run(lab._store.commit(append={wire.INBOX: [row]}))
        until(lambda: lab.doors._consumer.heard == 1)
        assert lab._session.run(lab._store.get(wire.reply_key(id_))) is None
        run = lab.attach("left")
        until(lambda: run.status == "PAUSED")
        assert wire.unpack_reply(lab._session.run(lab._store.get(wire.reply_key(id_))).data) is True
        run.resume()
    with hx.Lab(pool="inline", store=url) as lab:
        run = lab.attach("left")
        open_gate(gate)
        assert run.wait(30) == {"held": 1}
        assert len([e for e in run.events() if e.kind == "RunPaused"]) == 1, "it does not count twice"


def test_a_command_that_nobody_answers_says_so(url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(remote, "PATIENCE", 0.2)
    with hx.Lab(pool="inline", store=url) as lab:
        lab.start(hx.Dag.of(hx.NodeSpec("held", held, params={"gate": str(tmp_path / "gate")})), run_id="left")
    with hx.Lab(pool="inline", store=url), apart(url) as other:
        answer = other.doors.command("left", ms.Pause(time.time(), other.owner.id))
        with pytest.raises(StoreUnavailable, match=r"nobody has answered .*counts when somebody attaches the run"):
            answer.result(30)
    open_gate(tmp_path / "gate")


def test_a_journal_that_cannot_be_read_is_told_to_who_waits(url: str) -> None:
    with hx.Lab(pool="inline", store=url) as lab, apart(url) as other:
        lab._session.run(lab._store.commit(append={wire.journal("odd"): [b'{"!": "FromTheFuture"}']}))
        with pytest.raises(SchemaError, match="FromTheFuture"):
            other.doors.feed("odd").until(lambda state: state.over).result(30)


def test_who_follows_is_told_when_the_lab_is_closed(url: str, tmp_path: Path) -> None:
    with hx.Lab(pool="inline", store=url) as lab:
        run = lab.start(hx.Dag.of(hx.NodeSpec("held", held, params={"gate": str(tmp_path / "gate")})))
        other = apart(url)
        waiting = other.attach(run.id).feed.until(lambda state: state.over)
        doors = other.doors
        other.close()
        assert "the lab is closed" in str(waiting.exception(30))
        assert "the lab is closed" in str(doors.command(run.id, ms.Pause(time.time(), "me")).exception(30))
        open_gate(tmp_path / "gate")
