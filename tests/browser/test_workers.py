"""Workers on a page of a process that does not lead: what the leader knows of them, and a button that drains one."""

from __future__ import annotations

import shutil
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.runtime.kit import executions, open_gate, pids, until

from .conftest import Pages, Process, Start, tab

pytestmark = [pytest.mark.timeout(300), pytest.mark.dask, pytest.mark.slow]
SOON = 60_000  #: milliseconds that anything on a page may take


@pytest.fixture
def lab(start: Start, tmp_path: Path) -> Process:
    """A lab of two workers, each of which has a node that waits."""
    shutil.copy(Path(__file__).parent / "workers_script.py", tmp_path)
    process = start(sys.executable, "workers_script.py")
    process.line("workers", timeout=120)  # or what it printed instead
    until(lambda: executions(tmp_path / "witness") == Counter(["left", "right"]), seconds=120)
    return process


def cells(page: Any, node: str, head: str) -> Any:
    """What a column says of the worker that runs a node now."""
    row = page.get_by_role("row").filter(has=page.locator("td[data-head='runs now']", has_text=node))
    return row.locator(f"td[data-head='{head}']")


def test_a_worker_is_drained_by_two_presses_on_a_page_of_another_process_and_no_node_runs_twice(
    lab: Process, address: str, pages: Pages, tmp_path: Path
) -> None:
    page = pages.open(address)
    page.set_default_timeout(SOON)
    tab(page, "Workers")
    leaves, stays = (cells(page, node, "worker").inner_text() for node in ("left", "right"))
    drain = page.get_by_role("button", name=f"Drain {leaves}")
    page.get_by_role("button", name=f"Drain {stays}").click()
    page.get_by_text(f"{stays} would finish what it runs, and leave. Press it again").wait_for()
    drain.click()
    drain.click()
    page.get_by_text(f"{leaves} gets nothing more, and leaves when it has finished what it runs").wait_for()
    cells(page, "left", "state").get_by_text("paused").wait_for()
    cells(page, "right", "state").get_by_text("busy").wait_for()
    lab.line(f"{leaves}:paused")

    open_gate(tmp_path / "left")
    drain.wait_for(state="detached")
    assert page.get_by_role("button", name="Drain").count() == 1
    until(lambda: lab.text().rstrip().endswith(f"workers {stays}:busy"), seconds=60)

    open_gate(tmp_path / "right")
    open_gate(tmp_path / "last")
    assert "SUCCEEDED" in lab.line("ended")
    witness = tmp_path / "witness"
    assert executions(witness) == Counter(["left", "right", "last"]), "no node was repeated"
    assert pids(witness, "last") == pids(witness, "right"), "it ran where a worker was left"
    assert pids(witness, "left") != pids(witness, "right")
    assert pages.errors == []
