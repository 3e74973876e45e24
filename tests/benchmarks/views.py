"""How the dashboard draws: first render after navigation, and frames while a run changes 50 times a second.

    python -m tests.benchmarks.views [nodes]

A lab runs in this process, the dashboard in another one (it follows the store), the page in headless Chromium. Needs
Debian's chromium.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import hexdag_lab as hx

CHANGES = 50  #: state changes a second
FIND = """() => { const find = (root) => { for (const el of root.querySelectorAll('*')) {
  if (el.hexdag) return el.hexdag;
  if (el.shadowRoot) { const f = find(el.shadowRoot); if (f) return f; } } };
  return find(document) || null; }"""


def tick(seconds: float, **ups: object) -> None:
    time.sleep(seconds)


def graph(nodes: int) -> hx.Dag:
    """Chains side by side: four nodes run at a time, and each start and end is a change."""
    seconds = 4 * 2 / CHANGES
    specs = [
        hx.NodeSpec(f"n{i:04d}", tick, params={"seconds": seconds}).after(*([f"n{i - 25:04d}"] if i >= 25 else []))
        for i in range(nodes)
    ]
    return hx.Dag.of(*specs)


def measure(page: Any, address: str, nodes: int) -> tuple[float, float, float]:
    """Seconds to the first render, frames a second, changes a second that came in."""
    began = time.perf_counter()
    page.goto(address)
    page.wait_for_function(f"() => {{ const s = ({FIND})(); return s && s.frames > 0 && s.nodes === {nodes}; }}")
    first = time.perf_counter() - began
    before = page.evaluate(FIND)
    time.sleep(2)
    after = page.evaluate(FIND)
    # an idle page asks for frames as fast as it can: how many it gets says how much room the drawing leaves
    rate = page.evaluate(
        "() => new Promise(done => { let n = 0; const t = performance.now();"
        " const f = () => { n++; performance.now() - t > 1500 ? done(n / 1.5) : requestAnimationFrame(f); }; f(); })"
    )
    return first, rate, (after["deltas"] - before["deltas"]) / 2


def main(nodes: int = 500) -> None:
    from playwright.sync_api import sync_playwright

    with tempfile.TemporaryDirectory() as home:
        os.chdir(home)
        with hx.Lab(pool="inline", workers=4) as lab:
            run = lab.start(graph(nodes))
            served = subprocess.Popen(
                [sys.executable, "-m", "hexdag_lab", "serve", "--port", "0"], stdout=subprocess.PIPE, text=True
            )
            assert served.stdout is not None
            address = next(m.group() for line in served.stdout if (m := re.search(r"http://\S+token=\S+", line)))
            with sync_playwright() as playwright:
                browser = playwright.chromium.launch(
                    executable_path=shutil.which("chromium"), args=["--no-sandbox", "--disable-gpu"]
                )
                rows = []
                for _ in range(3):
                    page = browser.new_page(viewport={"width": 1400, "height": 900})
                    rows.append(measure(page, f"{address}&run={run.id}", nodes))
                    page.close()
                browser.close()
            served.terminate()
            served.wait(10)
            with suppress(hx.AlreadyDecided):
                run.cancel()
    first, rate, deltas = (sorted(column)[1] for column in zip(*rows, strict=True))
    print(f"{nodes} nodes, {CHANGES} state changes a second, headless Chromium, median of 3 page loads")
    print(f"  first render after navigation   {first:5.2f} s   (target < 2)")
    print(f"  frames a second meanwhile       {rate:5.0f}")
    print(f"  messages drawn a second         {deltas:5.1f}   (at most 30: changes are put together)")


if __name__ == "__main__":
    sys.path.insert(0, str(Path.cwd()))
    main(*map(int, sys.argv[1:]))
