"""Does changing the graph while it runs pay? The demo against a static grid of as many fits, seeds 0-19.

    python -m tests.benchmarks.search [seeds]

Both use the same data, model and range (hexdag_lab.demo.digits); accuracy is on 1,000 held-out images that no choice
has looked at. The static grid takes its best fit, as people do; "top three" gives the grid the same averaging.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
from pathlib import Path

import hexdag_lab as hx
from hexdag_lab.demo import digits, first_graph, join, policy
from hexdag_lab.demo.search import outcome


def main(seeds: int = 20) -> float:
    rows = []
    with tempfile.TemporaryDirectory() as home, hx.Lab(store=f"sqlite:///{Path(home) / 'lab.db'}") as lab:
        join(lab, scripted=True)
        print("seed  fits  removed   demo    grid   top three")
        for seed in range(seeds):
            run = lab.start(first_graph(), inputs={"seed": seed}, policy=policy(), budget=digits.BUDGET)
            found = outcome(run.wait(300))
            static = digits.static_result(seed)
            removed = sum(len(p.changeset.removed) for p in run.proposals.values() if p.state == "APPLIED")
            rows.append((found.accuracy, static["accuracy"], static["ensemble"], found.fits))
            three = f"{found.accuracy:.4f}  {static['accuracy']:.4f}  {static['ensemble']:.4f}"
            print(f"{seed:4d}  {found.fits:4d}  {removed:7d}  {three}", flush=True)
    demo, grid, top3, fits = (statistics.fmean(column) for column in zip(*rows, strict=True))
    wins, losses = sum(d > g for d, g, *_ in rows), sum(d < g for d, g, *_ in rows)
    print(f"mean  {fits:4.1f}  {'':7s}  {demo:.4f}  {grid:.4f}  {top3:.4f}")
    print(f"demo against the grid's best fit: {wins} wins, {len(rows) - wins - losses} ties, {losses} losses")
    return demo - grid


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
