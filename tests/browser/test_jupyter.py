"""A run and the dashboard in cells of a real JupyterLab: live, with buttons that decide, and after a kernel restart."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

import pytest

from .conftest import Pages, Start, computed

pytestmark = pytest.mark.timeout(240)

SHOW = """
import time, hexdag_lab as hx
lab = hx.Lab(pool="inline", store="memory://", workers=2)
lab.add_agent(hx.Agent("critic", role="orchestrator", trust=0.8))
def work(seconds=0.1, **ups):
    time.sleep(seconds)
    return seconds
dag = hx.Dag.of(*[hx.NodeSpec(f"n{i}", work).after(*([f"n{i-3}"] if i >= 3 else [])) for i in range(9)])
run = lab.start(dag)
extra = hx.NodeSpec("extra", work, params={"seconds": 0.5}).after("n1")
p = run.propose(hx.Changeset.on(run.dag).add_node(extra), by="critic", reason="one more look")
run
"""
AWAIT = """
results = await run
print("ended", run.status, "extra" in results, p.state, [b.reason for b in p.tally.ballots])
"""
EDITED = """
import asyncio
while not p.requests:
    await asyncio.sleep(0.05)
if p.state == "OPEN":
    p.vote(lab.owner, "reject")
results = await run
print("ended", run.status, results["extra"], p.requests[0].text)
"""
COMPUTE = """
while p.state == "OPEN":  # the cell never gives way
    pass
print("ended", p.state, [b.reason for b in p.tally.ballots])
"""
BLOCK = """
try:
    run.wait(20)
except hx.WouldBlock as refused:
    print("refused:", refused.rule)
"""

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


def notebook(path: Path, *cells: str) -> None:
    made = [
        {"cell_type": "code", "id": f"c{n}", "metadata": {}, "execution_count": None, "outputs": [], "source": text}
        for n, text in enumerate(cells)
    ]
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    path.write_text(json.dumps({"cells": made, "metadata": {"kernelspec": kernel}, "nbformat": 4, "nbformat_minor": 5}))


@pytest.fixture
def open_notebook(start: Start, port: int, tmp_path: Path, pages: Pages) -> Any:
    def opened(*cells: str, theme: str = "JupyterLab Light") -> Any:
        notebook(tmp_path / "live.ipynb", *cells)
        config = tmp_path / "config"
        settings = config / "lab" / "user-settings" / "@jupyterlab" / "apputils-extension"
        settings.mkdir(parents=True)
        (settings / "notification.jupyterlab-settings").write_text('{"fetchNews": "false"}')
        (settings / "themes.jupyterlab-settings").write_text(json.dumps({"theme": theme}))
        server = start(
            sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root", f"--port={port}", "--ip=127.0.0.1",
            "--IdentityProvider.token=tok", f"--ServerApp.root_dir={tmp_path}",
            f"--LabApp.user_settings_dir={config / 'lab' / 'user-settings'}",
            JUPYTER_CONFIG_DIR=str(config), JUPYTER_DATA_DIR=str(tmp_path / "data"),
            JUPYTER_RUNTIME_DIR=str(tmp_path / "runtime"), IPYTHONDIR=str(tmp_path / "ipython"),
        )  # fmt: skip
        server.line("is running at")
        page = pages.open(f"http://127.0.0.1:{port}/lab/tree/live.ipynb?token=tok&reset")
        page.locator(".jp-NotebookPanel .jp-Cell").first.wait_for(timeout=90_000)
        page.get_by_text(re.compile(r"Python 3.*\| Idle")).first.wait_for(timeout=60_000)
        return page

    return opened


def run_cell(page: Any, number: int) -> None:
    page.locator(".jp-Cell").nth(number).click()
    page.keyboard.press("Shift+Enter")


def test_approve_in_a_cell_while_another_cell_waits(open_notebook: Any, pages: Pages) -> None:
    page = open_notebook(SHOW, AWAIT)
    run_cell(page, 0)
    page.get_by_role("button", name="Approve").wait_for(timeout=60_000)
    page.locator("canvas").wait_for()
    run_cell(page, 1)  # an awaiting cell: the button below another cell must still work
    page.get_by_placeholder("reason").fill("good catch")
    page.get_by_role("button", name="Approve").click()
    page.get_by_text("ended SUCCEEDED True APPLIED ['good catch']").wait_for(timeout=60_000)
    page.get_by_text("10/10 nodes").wait_for(timeout=10_000)
    page.get_by_role("button", name="Approve").wait_for(state="detached")  # a decided proposal has no buttons
    assert pages.foreign() == []
    assert pages.errors == []


@pytest.mark.slow
def test_approve_in_a_cell_while_another_cell_never_gives_way(open_notebook: Any, pages: Pages) -> None:
    page = open_notebook(SHOW, COMPUTE)
    run_cell(page, 0)
    page.get_by_role("button", name="Approve").wait_for(timeout=60_000)
    run_cell(page, 1)
    page.locator(".jp-Cell").nth(1).get_by_text("[*]:").wait_for()
    page.get_by_placeholder("reason").fill("good catch")
    page.get_by_role("button", name="Approve").click()
    page.get_by_text("ended APPLIED ['good catch']").wait_for(timeout=60_000)
    assert pages.errors == []


@pytest.mark.slow
def test_the_card_in_a_cell_is_edited_and_decided_by_keyboard_alone(open_notebook: Any, pages: Pages) -> None:
    page = open_notebook(SHOW, EDITED)
    run_cell(page, 0)
    approve = page.get_by_role("button", name="Approve")
    approve.wait_for(timeout=60_000)
    approve.focus()
    order = []
    for _ in range(4):
        order.append(focused(page))
        page.keyboard.press("Tab")
    assert order == ["Approve", "Reject", "Request changes", "Edit first"], "none is more than three keys away"
    assert focused(page).startswith("reason")
    page.keyboard.press("Shift+Tab")
    page.keyboard.press("Enter")
    page.get_by_label("seconds").wait_for()
    page.get_by_label("seconds").fill("0.25")
    propose = page.get_by_role("button", name="Propose it so")
    propose.focus()
    page.keyboard.press("Enter")
    run_cell(page, 1)
    page.get_by_text("ended SUCCEEDED 0.25 edited by root: see the newer proposal").wait_for(timeout=60_000)
    assert pages.errors == []


def focused(page: Any) -> str:
    """The name of what has the focus: what a button says, what a field asks for."""
    name: str = page.evaluate("(document.activeElement.placeholder || document.activeElement.innerText || '').trim()")
    return name


def test_a_cell_that_would_wait_for_a_click_for_ever_refuses(open_notebook: Any) -> None:
    page = open_notebook(SHOW, BLOCK, AWAIT)
    run_cell(page, 0)
    page.get_by_role("button", name="Reject").wait_for(timeout=60_000)
    run_cell(page, 1)
    page.get_by_text("refused: would-block").wait_for(timeout=60_000)
    page.get_by_role("button", name="Reject").click()
    run_cell(page, 2)
    page.get_by_text("ended SUCCEEDED False REJECTED").wait_for(timeout=60_000)


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


@pytest.mark.slow
def test_a_run_and_the_dashboard_are_dark_where_jupyterlab_is(open_notebook: Any) -> None:
    page = open_notebook(SHOW, "lab.dashboard()", theme="JupyterLab Dark")
    for number in (0, 1):
        run_cell(page, number)
        cell = page.locator(".jp-Cell").nth(number)
        for place in ("b.status", "[role=toolbar] button"):
            each = cell.locator(place).locator("visible=true").first
            each.wait_for(timeout=60_000)
            colour = computed(each, "color")
            bright = sum(float(part) for part in re.findall(r"[\d.]+", colour)[:3]) > 3 * 128
            assert bright, f"{place} of cell {number} is written in {colour}"


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
