"""The served dashboard when things go wrong: a store that is away or locked, two votes at once, tabs that close."""

from __future__ import annotations

import asyncio
import gc
import logging
import re
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

import hexdag_lab as hx
from hexdag_lab.views.pages import Dashboard
from hexdag_lab.views.visit import Identity, Visit
from hexdag_lab.views.widget import RunWidget
from tests.runtime.kit import open_gate, until

from .conftest import Pages, Process, Serving, Start, approve_button, lab_script, open_proposals, tab

pytestmark = [
    pytest.mark.timeout(180),
    pytest.mark.filterwarnings("ignore:Widget.name is deprecated"),  # its successor is not in every Panel we allow
]


@pytest.fixture
def lab(start: Start, tmp_path: Path) -> Process:
    """A lab whose run waits for a decision on one proposal."""
    process = lab_script(start, tmp_path)
    process.line("ready")
    return process


def test_a_store_that_is_away_is_told_and_the_page_goes_on_when_it_is_back(
    lab: Process, address: str, pages: Pages, tmp_path: Path
) -> None:
    page = pages.open(address)
    open_proposals(page)
    (tmp_path / ".hexdag").rename(tmp_path / "away")
    page.get_by_text("The store does not answer").wait_for(timeout=15_000)
    page.get_by_text("is not there any more").locator("visible=true").first.wait_for()
    approve_button(page).click()
    page.get_by_text(re.compile("is not there any more")).nth(1).wait_for(timeout=10_000)
    (tmp_path / "away").rename(tmp_path / ".hexdag")
    page.get_by_text("The store does not answer").wait_for(state="detached", timeout=15_000)
    approve_button(page).click()
    assert "True APPLIED" in lab.line("ended"), "the lab itself has lived through it"
    tab(page, "Events")
    page.get_by_text("extra succeeded").locator("visible=true").first.wait_for(timeout=15_000)
    assert pages.errors == []


def test_a_vote_while_another_process_locks_the_store_is_answered_in_a_sentence(
    lab: Process, address: str, pages: Pages, tmp_path: Path
) -> None:
    page = pages.open(address)
    open_proposals(page)
    with closing(sqlite3.connect(tmp_path / ".hexdag" / "lab.db", isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        approve_button(page).click()
        page.get_by_text("database is locked").locator("visible=true").first.wait_for(timeout=20_000)
        other.execute("ROLLBACK")
    approve_button(page).click()
    assert "True APPLIED" in lab.line("ended")


def test_of_two_votes_at_once_one_counts_and_the_other_is_told(lab: Process, address: str, pages: Pages) -> None:
    both = [pages.open(address), pages.open(address)]
    for page in both:
        open_proposals(page)
    at = time.time() * 1000 + 1500
    for page, name in zip(both, ("Approve", "Reject"), strict=True):
        button = page.get_by_role("button", name=name).locator("visible=true").last
        button.evaluate("(button, at) => void setTimeout(() => button.click(), at - Date.now())", at)
    lab.line("ended")
    for page in both:  # both see the decision
        page.get_by_text(re.compile(r"APPLIED|REJECTED")).locator("visible=true").first.wait_for(timeout=15_000)
    late = re.compile(r"proposal run-1/p1 (is|was) .*propose it anew|run run-1 is .*run\.fork")
    give_up = time.monotonic() + 10
    while not any(page.get_by_text(late).count() for page in both) and time.monotonic() < give_up:
        both[0].wait_for_timeout(100)
    told = [page.get_by_text(late).locator("visible=true").count() > 0 for page in both]
    assert sorted(told) == [False, True], "exactly one of them was too late, and reads so"


# -- tabs that close


def waits(gate: str) -> None:
    while not Path(gate).exists():
        time.sleep(0.02)


class Served:
    """A lab in this process whose dashboard is served from a thread of its own."""

    def __init__(self, home: Path) -> None:
        self.gate = home / "gate"
        self.lab = hx.Lab(pool="inline", store=f"sqlite:///{home}/lab.db", workers=2)
        self.run = self.lab.start(hx.Dag.of(hx.NodeSpec("waits", waits, params={"gate": str(self.gate)})))
        soon = {"unused_session_lifetime_milliseconds": 300, "check_unused_sessions_milliseconds": 100}
        self.serving = Serving(self.lab, {"t": "dana"}, **soon)

    def held(self) -> dict[str, int]:
        """What views hold on to."""
        gc.collect()
        feed = self.run.feed
        names = [thread.name for thread in threading.enumerate()]
        return {
            "views": sum(name == "hexdag-view" for name in names),
            "observers": sum(name == "hexdag-observer" for name in names),
            "observing": len(feed._observers),
            "listening": len(feed._readers),
            "sessions": len(self.serving.server.get_sessions("/")),
            "pages": sum(isinstance(thing, Dashboard) and thing.visit.lab is self.lab for thing in gc.get_objects()),
            "tasks": len(asyncio.all_tasks(self.serving.loop)),
            "timers": sum(type(timer).__name__ == "PeriodicCallback" for timer in gc.get_objects()),
        }

    def close(self) -> None:
        open_gate(self.gate)
        self.run.wait(20)
        self.serving.close()
        self.lab.close()


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    found = Served(tmp_path)
    yield found
    found.close()


def nothing(held: dict[str, int]) -> dict[str, int]:
    """What is held, if no page is; else nothing."""
    return {} if any(held[what] for what in ("views", "observers", "sessions", "pages")) else held


def left(before: dict[str, int], held: Callable[[], dict[str, int]]) -> dict[str, int]:
    """What is held beyond what was before, once that is nothing; after a while, what it is then. It may be less: what
    began the server, or an earlier test, ends meanwhile."""
    give_up = time.monotonic() + 20
    while True:
        now = held()
        more = {what: count for what, count in now.items() if count > before[what]}
        if not more or time.monotonic() > give_up:
            return more
        time.sleep(0.2)


@pytest.fixture
def unlogged() -> Iterator[None]:
    """pytest's records of what is logged hold on to pages."""
    logging.disable()
    yield
    logging.disable(logging.NOTSET)


@pytest.mark.usefixtures("unlogged")
def test_closed_tabs_leave_nothing_behind(served: Served, pages: Pages) -> None:
    url = f"{served.serving.address}?token=t"
    first = pages.open(url)  # what is made once stays
    first.locator("canvas").wait_for(timeout=30_000)
    first.context.close()
    before = until(lambda: nothing(served.held()))
    tabs = [pages.open(url) for _ in range(4)]
    for page in tabs:
        page.locator("canvas").wait_for(timeout=30_000)
    during = served.held()
    assert (during["sessions"], during["views"], during["listening"]) == (4, 4, 4), "they were there"
    for page in tabs:
        page.context.close()
    assert left(before, served.held) == {}


def test_a_closed_cell_leaves_nothing_behind(served: Served) -> None:
    before, here = served.held(), Visit(served.run._lab, Identity("dana", "notebook"))
    cells = [RunWidget(served.run, here) for _ in range(5)]
    assert served.held()["listening"] == before["listening"] + 5, "they were there"
    for cell in cells:
        cell.close()
    del cells
    assert left(before, served.held) == {}
