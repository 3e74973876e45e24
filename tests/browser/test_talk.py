"""What nodes print, how they fail and what agents write, on the served dashboard; and a page that is reloaded."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from .conftest import Pages, Process, Start, approve_button, open_proposals, tab

pytestmark = pytest.mark.timeout(180)


@pytest.fixture
def lab(request: pytest.FixtureRequest, start: Start, tmp_path: Path) -> Process:
    """A lab whose run prints, fails in one node, and waits for a decision on a proposal with some words of reasons."""
    shutil.copy(Path(__file__).parent / "talk_script.py", tmp_path / "talk_script.py")
    process = start(sys.executable, "talk_script.py", str(getattr(request, "param", 9)))
    process.line("ready")
    return process


def shows(page: Any, pattern: str) -> None:
    """Wait until the page shows it, also inside of shadow roots."""
    page.get_by_text(re.compile(pattern)).locator("visible=true").first.wait_for(timeout=30_000)


def test_prints_and_tracebacks_are_on_the_run_page_with_the_nodes_names(
    lab: Process, address: str, pages: Pages, tmp_path: Path
) -> None:
    page = pages.open(address)
    shows(page, r"fit \| epoch \d+")
    shows(page, r"load \| load: 5 rows of 8 columns, <b>none</b> missing")  # markup stays text
    shows(page, r"check \| looking for rows of 9 columns")
    shows(page, "IndexError: list index out of range")
    shows(page, r"return load\[len\(load\)\]")
    shows(page, "^failed 1$")  # the graph is drawn: there is something to walk over
    page.locator("canvas").focus()
    for name in ("load", "check"):
        page.keyboard.press("ArrowRight")
        shows(page, f"^{name}$")
    approve_button(page).click()
    (tmp_path / "go").touch()
    lab.line("ended FAILED APPLIED")
    shows(page, r"fit_5 \| last epoch")
    assert pages.foreign() == []
    assert pages.errors == []


def test_a_reload_keeps_the_run_the_page_and_what_is_live(lab: Process, address: str, pages: Pages) -> None:
    page = pages.open(address)
    shows(page, r"fit \| epoch \d+")
    page.get_by_role("combobox").first.select_option("earlier")
    shows(page, "SUCCEEDED")
    tab(page, "Versions")
    page.wait_for_url(re.compile("run=earlier.*page=Versions"))
    page.reload()
    shows(page, "SUCCEEDED")
    shows(page, "^version$")
    page.get_by_text("You are").wait_for()
    assert page.get_by_text("nobody: you can look").count() == 0, "it is still the same person's"
    tab(page, "Runs")
    page.get_by_role("link", name=re.compile(r"^run-\d$")).click()
    shows(page, r"fit \| epoch \d+")
    page.reload()
    shows(page, r"fit \| epoch \d+")
    before = epoch_of(page)
    page.wait_for_timeout(50)
    while epoch_of(page) <= before:  # the time limit of the test is the bound
        page.wait_for_timeout(100)
    open_proposals(page)
    approve_button(page).wait_for()


def epoch_of(page: Any) -> int:
    text = page.get_by_text(re.compile(r"fit \| epoch")).locator("visible=true").first.inner_text()
    return int(re.findall(r"fit \| epoch (\d+)", text)[-1])


@pytest.mark.parametrize("lab", [130_000], indirect=True, ids=["1 MB"])
def test_a_megabyte_of_an_agents_words_is_cut_and_can_be_seen_whole(
    lab: Process, address: str, pages: Pages, tmp_path: Path
) -> None:
    page = pages.open(address)
    said: list[str] = []
    page.on("dialog", lambda dialog: said.append(dialog.message))
    tab(page, "Proposals")
    page.locator("q").last.wait_for()  # text locators would search the megabyte again and again
    assert page.locator("q").last.inner_text().startswith("fit leads by 2 points")
    assert len(page.locator("q").last.inner_text()) < 310
    assert page.locator("details[open]").count() == 0
    assert re.fullmatch(r"Show all words \(1,040,\d+ characters\)", page.locator("summary").last.inner_text())
    page.locator("summary").last.click()
    page.wait_for_timeout(1500)  # the card counts down meanwhile, and what is open stays open
    whole = page.locator("details[open] pre").last
    assert whole.is_visible()
    words = whole.text_content()
    assert words.endswith("because the end")
    assert not set(words) & set("\u202e\u202c\x07\x1b\u200b")
    assert page.locator("img").count() == 0
    assert said == [], "no script of theirs has run"
    hexdag = str(Path(sys.executable).parent / "hexdag-lab")
    short, full = (
        subprocess.run([hexdag, "inbox", *more], cwd=tmp_path, capture_output=True, text=True, timeout=60).stdout
        for more in ([], ["--full"])
    )
    assert "the end" not in short
    assert "inbox --full shows all" in short
    assert "because the end" in full
    assert not set(full) & set("\u202e\u202c\x07\x1b\u200b")
