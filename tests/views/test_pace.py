"""How often screens are shown what: pictures often, words less, nothing that nobody waits for."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

from hexdag_lab.core.machine.state import RunState
from hexdag_lab.core.runs.run import RunStatus
from hexdag_lab.runtime.feed import Feed
from hexdag_lab.views.follow import Follower
from hexdag_lab.views.pages.frame import Pending
from tests.runtime.kit import until

GOING = RunState(run="r", status=RunStatus.RUNNING)


def state(seq: int, status: RunStatus = RunStatus.RUNNING) -> RunState:
    return GOING._replace(seq=seq, status=status)


class Queue:
    """A document that does its work when it is told to."""

    def __init__(self) -> None:
        self.work: list[Callable[[], None]] = []

    def put(self, work: Callable[[], None]) -> None:
        self.work.append(work)

    def run(self) -> None:
        work, self.work = self.work, []
        for each in work:
            each()


def test_what_comes_while_one_waits_takes_its_place() -> None:
    queue, shown = Queue(), list[int]()
    pending = Pending(queue.put, lambda s: shown.append(s.seq))
    for seq in range(1, 100):
        pending(state(seq))
    assert len(queue.work) == 1
    queue.run()
    pending(state(100))
    queue.run()
    assert shown == [99, 100]


def test_the_end_is_shown_though_words_rest() -> None:
    queue, shown = Queue(), list[int]()

    def slow(s: RunState) -> None:
        time.sleep(0.02)
        shown.append(s.seq)

    pending = Pending(queue.put, slow, share=0.001)
    for seq in (1, 2, 3):
        pending(state(seq))
        queue.run()
    assert shown == [1], "it rests a thousand times as long as that took"
    pending(state(4, RunStatus.SUCCEEDED))
    queue.run()
    assert shown == [1, 4]


def test_a_follower_draws_often_tells_less_and_ends_with_the_run() -> None:
    feed, drawn, told = Feed(GOING), list[int](), list[int]()
    follower = Follower(feed, lambda s: drawn.append(s.seq), lambda s: told.append(s.seq))
    give_up = time.monotonic() + 1.0
    seq = 0
    while time.monotonic() < give_up:
        seq += 1
        feed.publish(state(seq), [seq])
        time.sleep(0.002)
    feed.publish(state(seq + 1, RunStatus.SUCCEEDED), [seq + 1])
    until(lambda: not any(t is follower._thread for t in threading.enumerate()))
    assert drawn[-1] == told[-1] == seq + 1
    assert len(told) <= 8, "words five a second, the first and the last"
    assert len(told) < len(drawn) < seq, "pictures more often, and not each state"


def test_a_question_is_told_at_once_and_before_its_picture_is_drawn() -> None:
    feed, seen = Feed(GOING), list[tuple[str, int]]()
    follower = Follower(feed, lambda s: seen.append(("drawn", s.seq)), lambda s: seen.append(("told", s.seq)))
    until(lambda: len(seen) == 2)
    feed.publish(state(1)._replace(open=("r/p1",)), [1])
    until(lambda: len(seen) >= 4)
    assert seen[:4] == [("drawn", 0), ("told", 0), ("told", 1), ("drawn", 1)]
    feed.publish(state(2), [2])
    until(lambda: seen.count(("told", 2)) == 2, "once more, when it has settled, though nothing goes on")
    follower.stop()


def test_a_follower_that_is_stopped_holds_on_to_nothing() -> None:
    feed: Any = Feed(GOING)
    follower = Follower(feed, lambda _: None, lambda _: None)
    follower.stop()
    until(lambda: not any(t is follower._thread for t in threading.enumerate()))
    assert not feed._readers
