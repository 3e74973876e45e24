"""Take the pictures in README from a run of the demo: `python docs/make_screenshots.py`. Needs chromium.

`python docs/make_screenshots.py diff` draws only that of a difference, and needs nothing. Else it also starts
`hexdag-lab demo --serve` in a temporary directory, looks at the dashboard as a person would when a costly proposal
waits, in the light and in the dark, approves it there, and looks around when the search has ended.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

IMAGES = Path(__file__).parent / "images"
SIZE = {"width": 1280, "height": 800}


def main() -> None:
    IMAGES.mkdir(exist_ok=True)
    draw_difference()
    if sys.argv[1:] == ["diff"]:
        return
    from playwright.sync_api import sync_playwright

    chromium = shutil.which("chromium")
    if chromium is None:
        sys.exit("there is no chromium here (Debian: apt-get install chromium)")
    with tempfile.TemporaryDirectory() as home, sync_playwright() as playwright:
        demo = subprocess.Popen(
            [sys.executable, "-m", "hexdag_lab", "demo", "--serve", "--owner", "marie"],
            cwd=home, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True,
        )  # fmt: skip
        assert demo.stdout is not None
        address = next(found.group() for line in demo.stdout if (found := re.search(r"http://\S+token=\S+", line)))
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
        try:
            shoot(browser.new_page(viewport=SIZE), address)
        finally:
            browser.close()
            demo.terminate()
            demo.wait(20)


def draw_difference() -> None:
    """What a cell shows of a difference, as SVG."""
    import hexdag_lab as hx

    def load() -> Any: ...
    def clean(load: Any) -> Any: ...
    def check(load: Any) -> Any: ...
    def fit(clean: Any, depth: int = 3) -> Any: ...
    def report(fit: Any) -> Any: ...

    dag = hx.Dag.of(load, clean, check, fit)
    deeper = hx.NodeSpec("fit", fit, params={"depth": 5})
    new = dag.replace_node("fit", deeper).remove_node("check").add_node(report)
    (IMAGES / "diff.svg").write_text(hx.diff(dag, new)._repr_mimebundle_()["image/svg+xml"] + "\n", "utf-8")


def shoot(page: Any, address: str) -> None:
    page.goto(address)
    approve = page.get_by_role("button", name="Approve").locator("visible=true").first
    approve.wait_for(timeout=120_000)
    page.wait_for_timeout(1500)
    page.screenshot(path=IMAGES / "proposal.png")
    page.emulate_media(color_scheme="dark")
    page.wait_for_timeout(1000)
    page.screenshot(path=IMAGES / "dark.png")
    page.emulate_media(color_scheme="light")
    approve.click()
    page.get_by_text("SUCCEEDED").first.wait_for(timeout=120_000)
    for name in ("Versions", "Agents"):
        page.locator(".bk-tab", has_text=re.compile(f"^{name}$")).click()
        page.wait_for_timeout(1500)
        page.screenshot(path=IMAGES / f"{name.lower()}.png")
    page.locator(".bk-tab", has_text=re.compile("^Run$")).click()
    page.wait_for_timeout(13_000)  # the cards that were decided linger for eight seconds, and are looked at each two
    page.evaluate("scrollTo(0, 0)")
    page.screenshot(path=IMAGES / "run.png")


if __name__ == "__main__":
    main()
