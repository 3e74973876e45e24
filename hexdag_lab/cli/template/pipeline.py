"""The graph: plain functions. A parameter named like another node gets that node's result.

    hexdag-lab run pipeline.py:dag

runs it; `notebook.ipynb` runs it and changes it while it runs.
"""

from __future__ import annotations

import statistics
from pathlib import Path

import hexdag_lab as hx


@hx.node
def load(path: str = "measurements.csv") -> list[float]:
    """The second column of a CSV file: one measurement an hour."""
    rows = [line.split(",") for line in Path(path).read_text("utf-8").splitlines()]
    return [float(value) for _, value in rows[1:]]


@hx.node
def clean(load: list[float], spread: float = 3.0) -> list[float]:
    """Without what lies more than `spread` standard deviations from the median."""
    middle, deviation = statistics.median(load), statistics.stdev(load)
    return [value for value in load if abs(value - middle) <= spread * deviation]


@hx.node
def summary(clean: list[float]) -> dict[str, float]:
    """What a reader wants to know first."""
    return {"count": len(clean), "mean": round(statistics.mean(clean), 3), "largest": max(clean)}


dag = hx.Dag.of(load, clean, summary)
