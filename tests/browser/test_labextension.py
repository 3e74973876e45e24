"""The JupyterLab extension in a real JupyterLab: it shows what the labs of this machine do, and decides there."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.runtime.kit import until

from .conftest import Pages, Process, Start

pytestmark = pytest.mark.timeout(240)
EXTENSION = Path(__file__).parents[2] / "extensions" / "jupyterlab"
SCRIPT = Path(__file__).parent / "lab_script.py"
BUSY = """
import time, hexdag_lab as hx
lab = hx.Lab(pool="inline", workers=2)
lab.add_agent(hx.Agent("critic", trust=0.8))
def hold():
    time.sleep(1)
def extra(hold):
    return "looked"
run = lab.start(hx.Dag.of(hold))
p = run.propose(hx.Changeset.on(run.dag).add_node(hx.NodeSpec("extra", extra).after("hold")), by="critic")
print("busy from now on")
while not p.state == "APPLIED":  # the cell never gives way
    pass
print("ended", run.wait(30)["extra"], p.tally.ballots[0].via)
"""


@pytest.fixture
def home(tmp_path: Path) -> dict[str, str]:
    """Where Jupyter finds the extension as its files lie in the repository, and folders of the test's own."""
    settings = tmp_path / "config" / "lab" / "user-settings"
    (settings / "@jupyterlab" / "apputils-extension").mkdir(parents=True)
    (settings / "@jupyterlab" / "apputils-extension" / "notification.jupyterlab-settings").write_text(
        '{"fetchNews": "false"}'
    )
    return {
        "JUPYTER_PATH": str(EXTENSION / "data" / "share" / "jupyter"),
        "JUPYTER_CONFIG_PATH": str(EXTENSION / "data" / "etc" / "jupyter"),
        "JUPYTER_CONFIG_DIR": str(tmp_path / "config"), "JUPYTER_DATA_DIR": str(tmp_path / "data"),
        "JUPYTER_RUNTIME_DIR": str(tmp_path / "runtime"), "IPYTHONDIR": str(tmp_path / "ipython"),
        "JUPYTERLAB_SETTINGS_DIR": str(settings), "PYTHONPATH": os.pathsep.join([str(EXTENSION), *sys.path]),
    }  # fmt: skip


@pytest.fixture
def jupyterlab(start: Start, port: int, home: dict[str, str], tmp_path: Path, pages: Pages) -> Any:
    def opened(where: str = "lab?reset", **options: Any) -> Any:
        server = start(
            sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root", f"--port={port}", "--ip=127.0.0.1",
            "--IdentityProvider.token=tok", f"--ServerApp.root_dir={tmp_path}", **home,
        )  # fmt: skip
        server.line("is running at")
        page = pages.open(f"http://127.0.0.1:{port}/{where}{'&' if '?' in where else '?'}token=tok", **options)
        page.locator("#jp-main-dock-panel").wait_for(timeout=90_000)
        return page

    return opened


def lab_in(start: Start, home: dict[str, str], nodes: int = 9) -> tuple[Process, str]:
    """A lab with an open proposal, and the proposal's id."""
    lab = start(sys.executable, str(SCRIPT), str(nodes), **home)
    return lab, lab.line("ready").split()[2]


def side_bar(page: Any) -> Any:
    page.locator('[data-id="hexdag-lab:sidebar"]').click()
    return page.locator(".hexdag-sidebar")


def test_a_proposal_is_toasted_reviewed_and_approved_in_the_side_bar(
    start: Start, home: dict[str, str], jupyterlab: Any, pages: Pages
) -> None:
    page = jupyterlab()
    side = side_bar(page)
    side.get_by_text("No lab is going on here").wait_for(timeout=30_000)
    lab, proposal = lab_in(start, home)
    page.get_by_role("button", name="Review").click(timeout=60_000)
    card = side.locator(f'[data-proposal="{proposal}"]')
    card.wait_for()
    assert "critic proposes +1 node, against v1" in card.inner_text()
    assert "<b>one more look</b> at n1" in card.inner_text()  # words of an agent are words
    assert re.search(r"rejects itself in 0\d:\d\d", card.inner_text())
    page.locator('[data-id="hexdag-lab:sidebar"][data-hexdag-waiting="1"]').wait_for()
    page.locator(".hexdag-status", has_text="1 running · 1 need you").wait_for()
    card.get_by_label("reason for your vote").fill("good catch")
    card.get_by_role("button", name="Approve").click()
    assert "ended SUCCEEDED True APPLIED" in lab.line("ended", 60)
    card.wait_for(state="detached")
    page.locator("[data-hexdag-waiting]").wait_for(state="detached")
    assert pages.foreign() == []
    assert pages.errors == []


@pytest.mark.slow
def test_asking_for_changes_takes_a_reason_and_a_rejection_ends_it(
    start: Start, home: dict[str, str], jupyterlab: Any
) -> None:
    lab, proposal = lab_in(start, home)
    side = side_bar(jupyterlab())
    card = side.locator(f'[data-proposal="{proposal}"]')
    card.get_by_role("button", name="Request changes").click(timeout=60_000)
    card.get_by_text("Say in the reason what should change.").wait_for()
    card.get_by_label("reason for your vote").fill("not now")
    card.get_by_role("button", name="Reject").click()
    assert "ended SUCCEEDED False REJECTED" in lab.line("ended", 60)


@pytest.mark.slow
def test_the_dashboard_opens_in_a_tab_votes_as_the_owner_and_is_there_after_a_reload(
    start: Start, home: dict[str, str], jupyterlab: Any, pages: Pages
) -> None:
    lab, _ = lab_in(start, home)
    page = jupyterlab()
    side = side_bar(page)
    side.get_by_role("button", name="Approve").wait_for(timeout=60_000)
    side.get_by_role("button", name="Dashboard").click()
    page.frame_locator("iframe").get_by_text("1 open proposal").first.wait_for(timeout=60_000)
    page.wait_for_timeout(1500)  # JupyterLab saves its layout a moment after each change, and says nothing of it
    page.goto(page.url.replace("reset", "").split("&token")[0])
    frame = page.frame_locator("iframe")
    frame.get_by_text("1 open proposal").first.wait_for(timeout=60_000)
    frame.locator(".bk-tab", has_text=re.compile("^Proposals$")).click()
    frame.get_by_role("button", name="Approve").locator("visible=true").first.click()
    assert "ended SUCCEEDED True APPLIED" in lab.line("ended", 60)
    assert pages.foreign() == []


def test_it_decides_while_the_kernel_that_leads_the_lab_is_busy(jupyterlab: Any, tmp_path: Path) -> None:
    from .test_jupyter import notebook, run_cell

    notebook(tmp_path / "busy.ipynb", BUSY)
    page = jupyterlab("lab/tree/busy.ipynb?reset")
    page.get_by_text(re.compile(r"Python 3.*\| Idle")).first.wait_for(timeout=90_000)
    run_cell(page, 0)
    page.get_by_text("busy from now on", exact=True).wait_for(timeout=60_000)
    side = side_bar(page)
    side.get_by_role("button", name="Approve").click(timeout=60_000)
    page.get_by_text("ended looked token").wait_for(timeout=60_000)


@pytest.mark.slow
def test_a_notebook_that_is_opened_without_its_kernel_shows_runs_as_pictures_and_is_not_changed(
    jupyterlab: Any, tmp_path: Path
) -> None:
    from .test_jupyter import SHOW, notebook, run_cell

    notebook(tmp_path / "saved.ipynb", SHOW)
    page = jupyterlab("lab/tree/saved.ipynb?reset")
    address = page.url.partition("?")[0] + "?token=tok&reset"
    page.get_by_text(re.compile(r"Python 3.*\| Idle")).first.wait_for(timeout=90_000)
    run_cell(page, 0)
    page.get_by_role("button", name="Approve").click(timeout=60_000)
    page.get_by_text("10/10 nodes").wait_for(timeout=60_000)
    page.keyboard.press("Control+s")
    until(lambda: "image/svg+xml" in (tmp_path / "saved.ipynb").read_text())
    page.goto(address)
    page.get_by_text("10/10 nodes").wait_for(timeout=90_000)  # its kernel lives: so does the view
    page.evaluate(
        """async () => {
            const headers = { Authorization: 'token tok' };
            for (const { id } of await (await fetch('/api/sessions', { headers })).json())
                await fetch(`/api/sessions/${id}`, { method: 'DELETE', headers });
        }"""
    )
    page.goto(address)
    page.locator(".jp-OutputArea-output[data-mime-type='image/svg+xml']").wait_for(timeout=90_000)
    assert page.get_by_text("model not found").count() == 0
    assert page.locator(".jp-mod-dirty").count() == 0


@pytest.mark.slow
def test_the_launcher_has_a_tile_that_opens_the_only_lab(start: Start, home: dict[str, str], jupyterlab: Any) -> None:
    lab_in(start, home, 300)
    page = jupyterlab()
    side_bar(page).get_by_role("button", name="Dashboard").wait_for(timeout=60_000)
    page.locator(".jp-LauncherCard", has_text="hexdag-lab dashboard").click()
    page.frame_locator("iframe").get_by_text("1 open proposal").first.wait_for(timeout=60_000)
