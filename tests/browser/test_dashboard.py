"""The served dashboard in a real browser: another process than the lab's, reading its store, voting through it."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

from .conftest import (
    Pages,
    Process,
    Start,
    approve_button,
    dashboard_of,
    lab_script,
    open_proposals,
    tab,
    without_token,
)

pytestmark = pytest.mark.timeout(180)


@pytest.fixture
def lab(start: Start, tmp_path: Path) -> Process:
    """A lab whose run waits for a decision on one proposal."""
    process = lab_script(start, tmp_path)
    process.line("ready")
    return process


def test_approve_by_click_and_see_the_new_node_succeed(lab: Process, address: str, pages: Pages) -> None:
    page = pages.open(address)
    open_proposals(page)
    page.get_by_text("one more look").locator("visible=true").first.wait_for()
    assert page.locator("b", has_text="one more look").count() == 0, "an agent's markup stays text"
    approve_button(page).click()
    assert "True APPLIED" in lab.line("ended")
    tab(page, "Events")
    page.get_by_text("extra succeeded").locator("visible=true").first.wait_for(timeout=15_000)
    tab(page, "Versions")
    page.get_by_text("v2").locator("visible=true").first.wait_for()
    assert pages.foreign() == []
    assert pages.errors == []


def test_reject_with_a_reason(lab: Process, address: str, pages: Pages) -> None:
    page = pages.open(address)
    open_proposals(page)
    page.get_by_placeholder("reason").locator("visible=true").first.fill("not worth the time")
    page.get_by_role("button", name="Reject").locator("visible=true").first.click()
    assert "False REJECTED" in lab.line("ended")
    page.get_by_text("not worth the time").locator("visible=true").first.wait_for(timeout=15_000)


def test_two_tabs_show_one_state_and_the_second_vote_is_told_it_is_late(
    lab: Process, address: str, pages: Pages
) -> None:
    first, second = pages.open(address), pages.open(address)
    for page in (first, second):
        open_proposals(page)
    approve_button(first).click()
    lab.line("ended")
    second.get_by_text("APPLIED").locator("visible=true").first.wait_for(timeout=15_000)
    second.get_by_text("Nothing waits for a decision").locator("visible=true").first.wait_for(timeout=15_000)


def test_a_page_without_a_token_looks_but_does_not_vote(lab: Process, address: str, pages: Pages) -> None:
    page = pages.open(without_token(address))
    page.get_by_text("nobody: you can look, not vote").wait_for(timeout=30_000)
    open_proposals(page)
    approve_button(page).click()
    page.get_by_text("this page cannot vote").locator("visible=true").first.wait_for(timeout=10_000)
    assert lab.child.poll() is None, "the run still waits"
    wrong = pages.open(without_token(address) + "?token=guess")
    wrong.get_by_text("nobody: you can look, not vote").wait_for(timeout=30_000)


def test_a_reload_in_mid_run_shows_the_same(lab: Process, address: str, pages: Pages) -> None:
    page = pages.open(address)
    open_proposals(page)
    page.reload()
    open_proposals(page)
    approve_button(page).click()
    assert "True APPLIED" in lab.line("ended")


def test_a_finished_and_an_orphaned_run_can_be_looked_at(lab: Process, address: str, pages: Pages) -> None:
    lab.kill()
    page = pages.open(address)
    page.locator(".bk-tab", has_text=re.compile(r"^Runs$")).click()
    page.get_by_text("orphaned").locator("visible=true").first.wait_for(timeout=30_000)
    tab(page, "Run")
    page.locator("canvas").wait_for()


def test_the_graph_is_drawn_and_walks_by_keyboard(lab: Process, address: str, pages: Pages) -> None:
    page = pages.open(address)
    canvas = page.locator("canvas")
    canvas.wait_for(timeout=30_000)
    page.wait_for_function(
        """() => { const find = (root) => { for (const el of root.querySelectorAll('*')) {
               if (el.hexdag) return el.hexdag;
               if (el.shadowRoot) { const f = find(el.shadowRoot); if (f) return f; } } };
             const s = find(document); return s && s.nodes >= 10 && s.frames > 0; }"""
    )
    canvas.focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    page.get_by_text("attempt").locator("visible=true").first.wait_for(timeout=10_000)
    assert pages.errors == []


def test_panels_own_server_serves_the_same_pages(lab: Process, start: Start, pages: Pages, port: int) -> None:
    script = Path(__file__).parents[2] / "notebooks" / "dashboard.py"
    served = start(sys.executable, "-m", "panel", "serve", str(script), f"--port={port}", "--address=127.0.0.1")
    served.line("Starting Bokeh server with process id")
    page = pages.open(f"http://127.0.0.1:{port}/dashboard")
    page.get_by_text("nobody: you can look, not vote").wait_for(timeout=60_000)
    token = served.line("token=").rpartition("token=")[2]
    page = pages.open(f"http://127.0.0.1:{port}/dashboard?token={token}")
    open_proposals(page)
    approve_button(page).click()
    assert "True APPLIED" in lab.line("ended")
    assert pages.foreign() == []


def test_what_happens_while_a_slow_browser_makes_the_page_is_on_it(start: Start, tmp_path: Path, pages: Pages) -> None:
    lab = lab_script(start, tmp_path, "9", "", "go")
    lab.line("open")
    page = pages.open("about:blank")
    slow = page.context.new_cdp_session(page)
    slow.send("Emulation.setCPUThrottlingRate", {"rate": 20})
    served = dashboard_of(start)
    with page.expect_websocket() as waiting:  # the page is sent over it, and long in the making
        page.goto(served, wait_until="commit")
    waiting.value.wait_for_event("framereceived")
    (tmp_path / "go").touch()
    lab.line("ready")
    page.wait_for_timeout(3000)  # the page is still in the making, and looks at the runs meanwhile
    slow.send("Emulation.setCPUThrottlingRate", {"rate": 1})
    approve_button(page).click(timeout=60_000)
    assert "True APPLIED" in lab.line("ended")


def test_the_person_in_the_demo_decides_on_the_address_that_it_prints(start: Start, pages: Pages) -> None:
    demo = start(sys.executable, "-u", "-m", "hexdag_lab", "demo", "--serve", "--pool", "inline")
    match = re.search(r"http://127\.0\.0\.1:\d+/\?token=\S+", demo.line("token="))
    assert match
    page = pages.open(match.group())
    approve_button(page).wait_for(timeout=90_000)
    approve_button(page).click()
    demo.line("the dashboard stays", timeout=90)
    page.get_by_text("SUCCEEDED").locator("visible=true").first.wait_for(timeout=30_000)
    text = demo.text()
    assert "fits" in text
    assert "accuracy" in text
    demo.stop()
    with pytest.raises(Exception, match="ERR_CONNECTION_REFUSED"):
        page.reload()
