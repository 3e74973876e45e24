"""Nothing on the main pages that axe-core calls serious or critical. axe is fetched by npm when this runs, and is no
part of the package; without npm or its registry the test is left out, and says so.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from hexdag_lab.views.pages.frame import PAGES

from .conftest import PHONE, Pages, Process, Start, approve_button, lab_script, packed, tab

AXE = "axe-core@4.10.3"
pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]


@pytest.fixture(scope="module")
def axe(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The text of axe-core."""
    return packed(AXE, "axe.min.js", tmp_path_factory.mktemp("axe"))


@pytest.fixture
def lab(start: Start, tmp_path: Path) -> Process:
    """A lab whose run waits for a decision on one proposal."""
    process = lab_script(start, tmp_path)
    process.line("ready")
    return process


def faults(page: Any, axe: str) -> list[str]:
    """What axe calls serious or critical on the page as it is."""
    page.evaluate(axe)
    found = page.evaluate("axe.run(document, {resultTypes: ['violations']})")
    return [
        f"{fault['impact']} {fault['id']}: {node['html'][:160]} {node.get('failureSummary', '')[:200]}"
        for fault in found["violations"]
        if fault["impact"] in ("serious", "critical")
        for node in fault["nodes"]
    ]


@pytest.mark.parametrize("screen", [{}, PHONE], ids=["desktop", "phone"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_pages_of_the_dashboard_have_no_serious_fault(
    lab: Process, address: str, pages: Pages, axe: str, scheme: str, screen: dict[str, Any]
) -> None:
    page = pages.open(address, color_scheme=scheme, **screen)
    approve_button(page).wait_for(timeout=60_000)
    page.get_by_role("button", name="Table").click()
    found: dict[str, list[str]] = {}
    for name in PAGES:
        tab(page, name)
        page.wait_for_timeout(1000)
        if wrong := faults(page, axe):
            found[name] = wrong
    assert found == {}


def test_a_report_has_no_serious_fault(lab: Process, pages: Pages, axe: str, tmp_path: Path) -> None:
    import hexdag_lab as hx

    with hx.Lab(store=f"sqlite:///{tmp_path}/.hexdag/lab.db", leader=False) as watching:
        file = watching.attached("run-1").report(tmp_path / "run.html")
    page = pages.open(file.as_uri(), bypass_csp=True)
    page.get_by_text(re.compile("proposes")).first.wait_for()
    assert faults(page, axe) == []
