"""The pages on a phone: nothing is wider than the screen, buttons can be hit with a thumb, and they decide."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from hexdag_lab.views.pages.frame import PAGES

from .conftest import PHONE, Pages, Process, Start, approve_button, lab_script, tab

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]
THUMB = 44  #: pixels that a button is high, at least
DECIDING = {"Run": ("Approve", "Reject", "Request changes", "Edit first"), "Inbox": ("Approve", "Reject", "Look at it")}
DECIDING["Proposals"] = DECIDING["Run"]


@pytest.fixture
def lab(start: Start, tmp_path: Path) -> Process:
    """A lab whose run waits for a decision on one proposal."""
    process = lab_script(start, tmp_path)
    process.line("ready")
    return process


@pytest.mark.parametrize("name", DECIDING)
def test_a_thumb_decides_and_the_page_does_not_scroll_sideways(
    lab: Process, address: str, pages: Pages, name: str
) -> None:
    page = pages.open(address, **PHONE)
    approve_button(page).wait_for(timeout=60_000)
    page.get_by_text("proposed").locator("visible=true").first.wait_for()
    tab(page, name)
    approve_button(page).wait_for()
    assert sideways(page) <= 0
    for label in DECIDING[name]:
        button = page.get_by_role("button", name=label, exact=True).locator("visible=true").first
        box = button.bounding_box()
        assert box is not None
        assert box["height"] >= THUMB, label
        assert 0 <= box["x"] <= box["x"] + box["width"] <= PHONE["viewport"]["width"], label
    approve_button(page).tap()
    assert "True APPLIED" in lab.line("ended")


def test_every_page_fits_and_whatever_can_be_pressed_is_large_enough(lab: Process, address: str, pages: Pages) -> None:
    page = pages.open(address, **PHONE)
    approve_button(page).wait_for(timeout=60_000)
    for name in reversed(PAGES):
        tab(page, name)
        page.wait_for_url(re.compile(rf"page={name}$"))  # the server has turned to it, and has sent what is on it
        if name in ("Versions", "Agents", "Workers", "Runs"):
            page.locator("table.rows").locator("visible=true").first.wait_for()
        assert sideways(page) <= 0, name
        small = [each for each in seen(page, "button, select, input, .bk-tab") if each["high"] < THUMB]
        cut_off = [each for each in seen(page, ".wide:has(table)") if each["wide"] > 0]
        assert (small, cut_off) == ([], []), name


SEEN = """(selector) => { const deep = function* (root) { for (const e of root.querySelectorAll("*")) { yield e;
    if (e.shadowRoot) yield* deep(e.shadowRoot); } };
  return [...deep(document)].filter((e) => e.matches(selector) && e.checkVisibility({ visibilityProperty: true }))
    .map((e) => ({ text: e.textContent || e.placeholder || e.type, high: e.offsetHeight,
                   wide: e.scrollWidth - e.clientWidth })); }"""


def seen(page: Any, selector: str) -> list[dict[str, Any]]:
    """What is seen of a kind: its words, its height, and how much of its width is hidden; in pixels."""
    found: list[dict[str, Any]] = page.evaluate(SEEN, selector)
    return found


def sideways(page: Any) -> int:
    """Pixels by which the page is wider than the screen."""
    found: int = page.evaluate("document.scrollingElement.scrollWidth - document.documentElement.clientWidth")
    return found
