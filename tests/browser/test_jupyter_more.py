"""More of a real JupyterLab: the dashboard in a cell, what nodes print, and a kernel that is restarted in mid-run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from .conftest import Pages
from .test_jupyter import SHOW, open_notebook, run_cell

__all__ = ["open_notebook"]

pytestmark = pytest.mark.timeout(240)

DASHBOARD = SHOW.rstrip().removesuffix("run").rstrip() + "\nlab.dashboard()\n"

BEFORE = """
import time, hexdag_lab as hx
from pathlib import Path
lab = hx.Lab(pool="inline", workers=2)
def note(name):
    with open("witness", "a") as file:
        file.write(name + "\\n")
def first():
    note("first")
    print("first is done")
    return 1
def slow(first):
    note("slow")
    while not Path("go").exists():
        time.sleep(0.02)
    return first + 1
def broken(first):
    print("close to the edge")
    return [][first]
run = lab.start(hx.Dag.of(first, slow, broken), run_id="held")
run
"""
AFTER = """
import hexdag_lab as hx
lab = hx.Lab(pool="inline", workers=2)
again = lab.attach("held")
again
"""
WAIT = """
try:
    await again
except hx.RunFailed as failed:
    print("ended with", failed.results["slow"], again.nodes["broken"].state)
"""


def test_the_dashboard_in_a_cell_decides_and_asks_no_other_host(open_notebook: Any, pages: Pages) -> None:
    page = open_notebook(DASHBOARD)
    run_cell(page, 0)
    approve = page.get_by_role("button", name="Approve").locator("visible=true").first
    approve.wait_for(timeout=60_000)
    page.locator("canvas").wait_for()
    page.get_by_text("proposed").first.wait_for()
    approve.click()
    page.get_by_text("succeeded 10").first.wait_for(timeout=30_000)
    page.get_by_text("10/10 nodes").first.wait_for(timeout=10_000)
    assert pages.foreign() == []
    assert pages.errors == []


def test_a_kernel_restart_in_mid_run(open_notebook: Any, pages: Pages, tmp_path: Path) -> None:
    page = open_notebook(BEFORE, AFTER, WAIT)
    run_cell(page, 0)
    page.locator("canvas").wait_for(timeout=60_000)
    page.get_by_text("running 1").first.wait_for()
    before = page.locator(".jp-Cell").nth(0)
    before.get_by_text("first | first is done").wait_for()
    before.locator("pre.trace", has_text="return [][first]").wait_for()
    page.get_by_role("menuitem", name="Kernel").click()
    page.get_by_text("Restart Kernel…", exact=True).click()
    page.locator(".jp-Dialog .jp-mod-accept").click()
    before.get_by_text('lab.attach("held") in a new cell goes on with the run').wait_for(timeout=30_000)
    assert before.get_by_text("broken | close to the edge").is_visible(), "what it saw last stays"
    assert before.get_by_text("Traceback").count() == 0
    run_cell(page, 1)
    after = page.locator(".jp-Cell").nth(1)
    after.locator("canvas").wait_for(timeout=60_000)
    after.get_by_text("running 1").wait_for()
    (tmp_path / "go").touch()
    run_cell(page, 2)
    page.get_by_text("ended with 2 FAILED").wait_for(timeout=60_000)
    after.get_by_text("succeeded 2").wait_for()
    assert sorted((tmp_path / "witness").read_text().split()) == ["first", "slow", "slow"]
    assert pages.errors == []
