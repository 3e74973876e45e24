"""What nodes will take, from what the same code took in this run."""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction

from ..dag.dag import Dag
from ..dag.node import NodeSpec
from .run import NodeRecord, NodeState

UNKNOWN_SECONDS = 1.0  #: assumed for code that has never run here


def mean_seconds(dag: Dag, records: Iterable[tuple[str, NodeRecord]]) -> dict[bytes, float]:
    """Mean seconds of finished attempts by code hash."""
    sums: dict[bytes, tuple[int, float]] = {}
    for name, rec in records:
        entry = dag.entries.get(name)
        if entry is not None and rec.state is NodeState.SUCCEEDED:
            n, total = sums.get(entry.spec.code.digest, (0, 0.0))
            sums[entry.spec.code.digest] = (n + 1, total + rec.seconds)
    return {code: total / n for code, (n, total) in sums.items()}


def work(specs: Iterable[NodeSpec], means: dict[bytes, float]) -> tuple[float, Fraction]:
    """Seconds of work and cost of some nodes; code that never ran counts as the mean of all, or one second."""
    usual = sum(means.values()) / len(means) if means else UNKNOWN_SECONDS
    seconds, cost = 0.0, Fraction(0)
    for spec in specs:
        seconds += means.get(spec.code.digest, usual)
        cost += spec.cost
    return seconds, cost
