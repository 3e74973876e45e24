"""The pages on a phone: nothing is wider than the screen, buttons can be hit with a thumb, and they decide."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import Any

import pytest

from .conftest import Pages, Process, Start, approve_button, tab

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]
PHONE = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True}
THUMB = 40  #: pixels that a button is high, at least
DECIDING = {"Run": ("Approve", "Reject", "Request changes", "Edit first"), "Inbox": ("Approve", "Reject", "Look at it")}
DECIDING["Proposals"] = DECIDING["Run"]


@pytest.fixture
def lab(start: Start, tmp_path: Path) -> Process:
    """A lab whose run waits for a decision on one proposal."""
    shutil.copy(Path(__file__).parent / "lab_script.py", tmp_path / "lab_script.py")
    process = start(sys.executable, "lab_script.py")
    process.line("ready")
    return process


@pytest.mark.parametrize("name", DECIDING)
def test_a_thumb_decides_and_the_page_does_not_scroll_sideways(
    lab: Process, address: str, pages: Pages, name: str, tmp_path: Path
) -> None:
    page = pages.open(address, **PHONE)
    approve_button(page).wait_for(timeout=60_000)
    page.get_by_text("proposed").locator("visible=true").first.wait_for()
    tab(page, name)
    approve_button(page).wait_for()
    page.screenshot(path=tmp_path / "phone.png", full_page=True)
    assert sideways(page) <= 0
    for label in DECIDING[name]:
        button = page.get_by_role("button", name=label, exact=True).locator("visible=true").first
        box = button.bounding_box()
        assert box is not None
        assert box["height"] >= THUMB, label
        assert 0 <= box["x"] <= box["x"] + box["width"] <= PHONE["viewport"]["width"], label
    approve_button(page).tap()
    assert "True APPLIED" in lab.line("ended")


def sideways(page: Any) -> int:
    """Pixels by which the page is wider than the screen."""
    found: int = page.evaluate("document.scrollingElement.scrollWidth - document.documentElement.clientWidth")
    return found
