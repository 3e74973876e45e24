"""The page Drafts: who has a copy and who is behind, a conflict with both intents, and its buttons."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

import hexdag_lab as hx

from .conftest import PHONE, Pages, Process, Start, lab_script, tab, without_token

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]


@pytest.fixture
def lab(start: Start, tmp_path: Path) -> Process:
    """A lab with a draft in which lea and the owner disagree about the node `look`."""
    process = lab_script(start, tmp_path, "9", "marie")
    process.line("ready")
    return process


def opened(pages: Pages, address: str, **screen: Any) -> Any:
    page = pages.open(address, **screen)
    page.get_by_text("You are").first.wait_for(timeout=60_000)
    tab(page, "Drafts")
    page.get_by_text("weekend").locator("visible=true").first.wait_for(timeout=60_000)
    return page


def conflicts(tmp_path: Path) -> list[str]:
    """The conflicts of the draft, as another process reads them."""
    with hx.Lab(store=f"sqlite:///{tmp_path}/.hexdag/lab.db", owner="watcher", leader=False) as watching:
        (draft,) = watching.drafts()
        return [str(conflict) for conflict in draft.conflicts] + [str(draft.dag.nodes["look"].params["seconds"])]


@pytest.mark.parametrize("screen", [{}, PHONE], ids=["desktop", "phone"])
def test_a_conflict_shows_both_intents_and_a_button_settles_it_for_all(
    lab: Process, address: str, pages: Pages, tmp_path: Path, screen: dict[str, Any]
) -> None:
    page = opened(pages, address, **screen)
    for words in ("2 changes behind", "up to date", r"seconds=0\.2", r"seconds=0\.3"):
        page.get_by_text(re.compile(words)).locator("visible=true").first.wait_for()
    button = page.get_by_role("button", name="Keep marie's").locator("visible=true")
    button.tap() if screen else button.click()
    button.wait_for(state="detached")
    assert conflicts(tmp_path) == ["0.3"]
    assert pages.foreign() == []
    assert pages.errors == []


def test_who_has_no_token_may_look_and_settles_nothing(
    lab: Process, address: str, pages: Pages, tmp_path: Path
) -> None:
    page = opened(pages, without_token(address))
    page.get_by_role("button", name="Keep lea's").locator("visible=true").click()
    page.get_by_text("cannot settle a conflict").locator("visible=true").first.wait_for()
    assert len(conflicts(tmp_path)) == 2
