"""A run as one file: the same views, a slider, nothing asked of any server, and no word of theirs becomes markup."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import hexdag_lab as hx
from hexdag_lab.views import report
from tests.runtime.kit import open_gate, pass_gate

from .conftest import Pages

NASTY = "</script><script>alert(1)</script><img src=x onerror=alert(2)> one more look \u202e"


def first() -> int:
    print("<b>first</b> is here")
    return 1


def second(first: int, gate: str = "") -> int:
    if gate:
        pass_gate(gate)
    return first + 1


def breaks(first: int) -> int:
    return [1][first]


@pytest.fixture
def file(tmp_path: Path) -> Iterator[Path]:
    with hx.Lab(pool="inline", store="memory://", owner="dana") as lab:
        lab.add_agent(hx.Agent("critic"))
        held = hx.NodeSpec("second", second, params={"gate": str(tmp_path / "gate")})
        run = lab.start(hx.Dag.of(first, held, breaks), run_id="r1")
        third = hx.NodeSpec("third", lambda first: 3)
        p = run.propose(hx.Changeset.on(run.dag).add_node(third), by="critic", reason=NASTY)
        p.vote("dana", "approve", NASTY)
        open_gate(tmp_path / "gate")
        with pytest.raises(hx.RunFailed):
            run.wait(30)
        yield run.report(tmp_path / "run.html")


def slide(page: Any, to: str) -> None:
    page.locator("#slider").focus()
    page.keyboard.press(to)


def test_the_file_shows_the_run_and_any_earlier_moment_and_asks_nobody_for_anything(file: Path, pages: Pages) -> None:
    page = pages.open(file.as_uri())
    page.get_by_text("FAILED", exact=True).first.wait_for()
    page.locator("#head").get_by_text("4/4 nodes done").wait_for()
    page.locator("#graph").get_by_text("succeeded 3").wait_for()
    assert "third" in page.locator("#events").inner_text()
    slide(page, "Home")
    page.locator("#head").get_by_text("0/3 nodes done").wait_for()
    page.locator("#graph").get_by_text("ready 1").wait_for()
    assert page.locator("#head .status").inner_text() == "RUNNING"
    assert "third" not in page.locator("#events").inner_text()
    page.get_by_text("Nothing has been proposed yet").wait_for()
    slide(page, "End")
    page.get_by_text("critic proposes +1 node").first.wait_for()
    assert [url for url in pages.requests if not url.startswith(("file:", "data:", "blob:"))] == []
    assert pages.errors == []


def test_words_of_others_stay_words(file: Path, pages: Pages) -> None:
    said: list[str] = []
    context = pages.open("about:blank").context
    page = context.new_page()
    page.on("dialog", lambda dialog: said.append(dialog.message))
    page.goto(file.as_uri())
    page.get_by_text("one more look").first.wait_for()
    assert page.locator("img").count() == 0
    assert said == []
    assert "\u202e" not in file.read_text("utf-8")


def test_a_selected_node_shows_its_own_events_and_output(file: Path, pages: Pages) -> None:
    page = pages.open(file.as_uri())
    page.get_by_role("button", name="Table").click()
    page.get_by_role("button", name="first").click()
    page.get_by_text("Events of first").wait_for()
    lines = page.locator("#events").inner_text().splitlines()
    assert lines
    assert all(re.match(r"\s*\d+ first ", line) for line in lines)
    assert page.locator("#lines").inner_text() == "first | <b>first</b> is here"


def test_playing_goes_from_the_beginning_to_the_end(file: Path, pages: Pages) -> None:
    page = pages.open(file.as_uri())
    page.get_by_role("button", name="Play").click()
    page.locator("#head").get_by_text("0/3 nodes done").wait_for()
    page.get_by_role("button", name="Play").wait_for(timeout=30_000)
    assert page.locator("#slider").input_value() == page.locator("#slider").get_attribute("max")


def test_of_a_long_run_the_slider_stops_at_some_moments_and_at_the_last(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(report, "MOST_FRAMES", 4)
    with hx.Lab(pool="inline", store="memory://") as lab:
        run = lab.start(hx.Dag.of(first, second))
        run.wait(30)
        frames, state = report._frames(run.events(), "")
        assert len(frames) <= 5
        assert frames[-1]["seq"] == run.seq
        assert state == run.feed.state
