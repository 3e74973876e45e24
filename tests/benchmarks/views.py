"""How the dashboard draws, in headless Chromium: one table, with what it should come to.

    python -m tests.benchmarks.views [SECONDS] [--write]

The dashboards are processes of their own. `frames with a change` counts only frames in which some node looks other than
before; beside it is how many frames an empty page gets on this machine at that moment, which is the most there can be.
Needs Debian's chromium.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import random
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from statistics import median, quantiles
from typing import Any

import psutil

import hexdag_lab as hx
from hexdag_lab.views.layout import layout

from .page import publish

FIND = """() => { const find = (root) => { for (const el of root.querySelectorAll('*')) {
  if (el.hexdag) return el.hexdag;
  if (el.shadowRoot) { const f = find(el.shadowRoot); if (f) return f; } } };
  return find(document) || null; }"""
CEILING = """(ms) => new Promise((done) => { let n = 0; const t = performance.now();
  const f = () => { n++; performance.now() - t > ms ? done(n / ms * 1000) : requestAnimationFrame(f); }; f(); })"""
WATCH = f"""(ms) => new Promise((done) => {{
  const {{ screen }} = ({FIND})(), plain = screen.paint.bind(screen), late = [], cost = []; let frames = 0;
  screen.paint = () => {{
    const items = [...screen.dirty], began = performance.now();
    plain();
    cost.push(performance.now() - began);
    if (!items.length) return;
    frames++;
    late.push(Date.now() - Math.min(...items.map((i) => screen.scene.graph.began[i.node])) * 1000);
  }};
  setTimeout(() => {{ screen.paint = plain; done({{ frames: frames / ms * 1000, late, cost }}); }}, ms);
}})"""
SEEN = """() => { window.seen = {}; const texts = function* (root) { for (const e of root.querySelectorAll('*')) {
  if (e.classList.contains('hx')) yield e.textContent; if (e.shadowRoot) yield* texts(e.shadowRoot); } };
  setInterval(() => { for (const text of texts(document)) for (const id of text.match(/run-\\d+\\/p\\d+/g) ?? [])
    window.seen[id] ??= Date.now(); }, 16); }"""


class Bench:
    """A browser, and what it has asked other hosts for."""

    def __init__(self, browser: Any) -> None:
        self.browser = browser
        self.foreign: list[str] = []

    def page(self, address: str = "about:blank") -> Any:
        page = self.browser.new_page(viewport={"width": 1400, "height": 900})
        page.set_default_timeout(120_000)
        page.on("request", lambda r: None if r.url.startswith(_OWN) else self.foreign.append(r.url))
        page.goto(address)
        return page


_OWN = ("http://127.0.0.1:", "ws://127.0.0.1:", "data:", "blob:", "about:")


@contextlib.contextmanager
def process(*command: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A child, and the address that it prints."""
    child = subprocess.Popen(
        [sys.executable, "-m", *command], stdout=subprocess.PIPE, stdin=subprocess.PIPE, text=True,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
    )  # fmt: skip
    assert child.stdout is not None
    try:
        yield child, next(m.group() for line in child.stdout if (m := re.search(r"http://\S+token=\S+", line)))
    finally:
        child.terminate()
        child.wait(20)


def drawn(page: Any, nodes: int) -> None:
    page.wait_for_function(f"() => {{ const s = ({FIND})(); return s && s.frames > 0 && s.nodes === {nodes}; }}")


def first_render(bench: Bench, nodes: int) -> float:
    """Seconds from navigation to the graph, median of three."""
    with process("tests.benchmarks.flood", str(nodes), "50") as (_, address):
        found = []
        for _ in range(3):
            began = time.perf_counter()
            page = bench.page(address)
            drawn(page, nodes)
            found.append(time.perf_counter() - began)
            page.close()
    return median(found)


def frames(bench: Bench, nodes: int, rate: int, seconds: float) -> tuple[float, float, float, float]:
    """Frames a second with a change; those of an empty page just before; p95 from a change to its pixel and of drawing,
    in milliseconds."""
    blank = bench.page()
    most = blank.evaluate(CEILING, 1500)
    blank.close()
    with process("tests.benchmarks.flood", str(nodes), str(rate)) as (_, address):
        page = bench.page(address)
        drawn(page, nodes)
        time.sleep(1)
        found = page.evaluate(WATCH, seconds * 1000)
        page.close()
    return found["frames"], most, _p95(found["late"]), _p95(found["cost"])


def _p95(values: list[float]) -> float:
    return quantiles(values, n=20)[-1] if len(values) > 1 else float("nan")


def work(seconds: float) -> None:
    time.sleep(seconds)


def cards(bench: Bench, apart: float, proposals: int = 20) -> float:
    """p95 milliseconds from proposing to a card on the slower of two pages, whose server is another process. So many
    seconds lie between a decision and the next proposal."""
    with (
        hx.Lab(pool="inline", workers=2) as lab,
        process("hexdag_lab", "serve", "--port", "0") as (_, address),
    ):
        lab.add_agent(hx.Agent("critic"))
        run = lab.start(hx.Dag.of(hx.NodeSpec("long", work, params={"seconds": 600})))
        pages = [bench.page(f"{address}&run={run.id}") for _ in range(2)]
        for page in pages:
            drawn(page, 1)
            page.evaluate(SEEN)
        late = []
        for number in range(proposals):
            spec = hx.NodeSpec(f"extra_{number}", work, params={"seconds": 0.0}).after("long")
            at = time.time() * 1000
            p = run.propose(hx.Changeset.on(run.dag).add_node(spec), by="critic")
            for page in pages:
                page.wait_for_function("(id) => window.seen[id]", arg=p.id)
            late.append(max(page.evaluate("(id) => window.seen[id]", p.id) for page in pages) - at)
            p.vote(lab.owner, "reject")
            time.sleep(apart)
        for page in pages:
            page.close()
        run.cancel()
    return _p95(late)


def moved(graphs: int = 30, nodes: int = 300) -> int:
    """Nodes that keep their wave in a new version and yet have another place, over so many random changes."""
    chance, count = random.Random(1), 0
    for _ in range(graphs):
        specs: list[hx.NodeSpec] = []
        for i in range(nodes):
            ups = chance.sample(range(i), min(i, chance.randint(0, 2)))
            specs.append(hx.NodeSpec(f"n{i}", work, params={"seconds": 0.0}).after(*(f"n{u}" for u in ups)))
        dag = hx.Dag.of(*specs)
        places = layout(dag)
        for step in range(10):
            name, waves = chance.choice(sorted(dag.nodes)), {n: w for w, wave in enumerate(dag.waves) for n in wave}
            if step % 2:
                dag = dag.remove_node(name)
            else:
                dag = dag.add_node(hx.NodeSpec(f"new{step}", work, params={"seconds": 0.0}).after(name))
            after = layout(dag, places)
            count += sum(places[n] != after[n] for w, wave in enumerate(dag.waves) for n in wave if waves.get(n) == w)
            places = after
    return count


def growth(bench: Bench, hours: float = 8, tabs: int = 20) -> tuple[float, float, float]:
    """By how much the server's memory and one page's heap grow, as shares, over the changes of so many hours while
    further tabs open and close; and the server's over as much again."""
    with process("tests.benchmarks.flood", "500", "0", str(hours)) as (child, address):
        page = bench.page(address)
        drawn(page, 500)
        for _ in range(3):  # what is made once is there
            other = bench.page(address)
            drawn(other, 500)
            other.close()
        session = page.context.new_cdp_session(page)
        before = _memory(child.pid), _heap(session)
        assert child.stdin is not None
        assert child.stdout is not None
        after = []
        for _ in range(2):
            child.stdin.write("\n")
            child.stdin.flush()
            for _ in range(tabs):
                other = bench.page(address)
                drawn(other, 500)
                other.close()
            next(line for line in child.stdout if "flooded" in line)
            time.sleep(20)  # sessions of closed tabs are let go of after a while
            after.append((_memory(child.pid), _heap(session)))
        page.close()
    (server, heap), (again, _) = after
    return server / before[0] - 1, heap / before[1] - 1, again / server - 1


def _memory(pid: int) -> float:
    return float(psutil.Process(pid).memory_info().rss)


def _heap(session: Any) -> float:
    session.send("HeapProfiler.collectGarbage")
    return float(session.send("Runtime.getHeapUsage")["usedSize"])


def table(bench: Bench, seconds: float) -> list[str]:
    """The rows, in Markdown."""
    small, large = first_render(bench, 100), first_render(bench, 5000)
    fps, most, late, cost = frames(bench, 5000, 2000, seconds)
    card, crowded = cards(bench, apart=1), cards(bench, apart=0)
    server, heap, again = growth(bench)
    rows = [
        ("first render after navigation, 100 / 5,000 nodes", f"{small:.2f} / {large:.2f} s", "1.5 / 2 s"),
        (
            "frames a second with a change: 5,000 nodes, 2,000 changes a second",
            f"{fps:.0f}, {fps / most:.0%} of the {most:.0f} that an empty page gets", "50",
        ),
        ("first change to its pixel, p95; of that, drawing", f"{late:.0f} ms; {cost:.1f} ms", "50 ms"),
        ("proposal to its card in two open pages, p95", f"{card:.0f} ms", "150 ms"),
        ("the same, if it comes at once after a decision", f"{crowded:.0f} ms", ""),
        ("nodes of an unchanged wave that a new version moved", str(moved()), "0"),
        ("requests to other hosts", str(len(bench.foreign)), "0"),
        ("growth over 8 h of changes and 20 tabs: server, a page's heap", f"{server:+.1%}, {heap:+.1%}", "10 %"),
        ("the server's over further 8 h and 20 tabs", f"{again:+.1%}", ""),
    ]  # fmt: skip
    return ["| what | figure | target |", "| --- | --- | --- |", *(f"| {' | '.join(row)} |" for row in rows)]


def main() -> None:
    from playwright.sync_api import sync_playwright

    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("seconds", type=float, nargs="?", default=6, help="to look at frames; default: %(default)s")
    parser.add_argument("--write", action="store_true", help="put the table into docs/benchmarks.md")
    options = parser.parse_args()
    before, root = os.getloadavg()[0], Path.cwd()
    with tempfile.TemporaryDirectory() as home, sync_playwright() as playwright:
        os.chdir(home)
        chromium = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox", "--disable-gpu"]
        )
        version = chromium.version.partition(".")[0]
        try:
            lines = table(Bench(chromium), options.seconds)
        finally:
            chromium.close()
            os.chdir(root)
    load = f"load {before:.1f} to {os.getloadavg()[0]:.1f}"
    about = f"{datetime.now(UTC):%Y-%m-%d}, Chromium {version} with software rendering, {os.cpu_count()} cores, {load}."
    found = "\n".join([about, "", *lines])
    print(found)
    if options.write:
        publish("views", found)


if __name__ == "__main__":
    main()
