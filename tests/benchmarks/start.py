"""From `hx.Lab()` to the first node green, against a bare `LocalCluster` and its first result.

    python -m tests.benchmarks.start [rounds] [--write]

Ours has a scheduler in a process of its own, two workers of one thread, and SQLite at full durability; the bare cluster
has its scheduler in the script's process, and two workers of one thread under nannies, as it comes. Each start is in a
fresh process, after its imports; interleaved, medians. `--write` puts the table into docs/benchmarks.md.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path

from tests.benchmarks.page import command

OURS = """
import time
import hexdag_lab as hx, hexdag_lab.lab, distributed, tempfile
home = tempfile.mkdtemp()
began = time.perf_counter()
lab = hx.Lab(store=f"sqlite:///{home}/lab.db", workers=2)
run = lab.start(hx.Dag.of(hx.NodeSpec("one", lambda: 1)))
run.wait(60)
print(time.perf_counter() - began)
lab.close()
"""

BARE = """
import time
from distributed import Client, LocalCluster
if __name__ == "__main__":
    began = time.perf_counter()
    with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster, Client(cluster) as client:
        client.submit(lambda: 1).result(60)
        print(time.perf_counter() - began)
"""


def starts(rounds: int) -> dict[str, list[float]]:
    """Seconds of ours and of a bare cluster, for each round."""
    found: dict[str, list[float]] = {"ours": [], "bare": []}
    with tempfile.TemporaryDirectory() as folder:
        scripts = {}
        for name, text in (("ours", OURS), ("bare", BARE)):
            scripts[name] = Path(folder) / f"{name}.py"
            scripts[name].write_text(text)
        for round_ in range(rounds):
            for name in ("ours", "bare") if round_ % 2 else ("bare", "ours"):
                found[name].append(_timed(scripts[name]))
    return found


def _timed(script: Path) -> float:
    done = subprocess.run([sys.executable, script], check=True, capture_output=True, text=True, timeout=120)
    return float(done.stdout.split()[-1])


def table(rounds: int) -> str:
    """The table, in Markdown, and how busy the machine was."""
    before, found = os.getloadavg()[0], starts(rounds)
    ratios = [ours / bare for ours, bare in zip(found["ours"], found["bare"], strict=True)]
    load = f"load {before:.1f} to {os.getloadavg()[0]:.1f}"
    return "\n".join([
        f"{datetime.now(UTC):%Y-%m-%d}, {os.cpu_count()} cores, {load}, {rounds} rounds.", "",
        "| what | median [min-max] | target |", "| --- | --- | --- |",
        f"| a bare `LocalCluster` to its first result | {_spread(found['bare'])} s | |",
        f"| `hx.Lab()` to the first node green | {_spread(found['ours'])} s | |",
        f"| the second over the first, round by round | {_spread(ratios)}x | <= 1.5x |",
    ])  # fmt: skip


def _spread(values: list[float]) -> str:
    return f"{statistics.median(values):.2f} [{min(values):.2f}-{max(values):.2f}]"


if __name__ == "__main__":
    command("start", __doc__ or "", table, 9)
