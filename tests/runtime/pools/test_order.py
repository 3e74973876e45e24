"""In which order Dask takes what it was given: the longest chain of each run first, and no run before all others."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from distributed import Client

import hexdag_lab as hx
from tests.runtime.kit import PATIENCE, open_gate, pass_gate, until

pytestmark = pytest.mark.dask


def held(gate: str, **ups: Any) -> None:
    pass_gate(gate)


def chained(gate: Path, *chains: str) -> hx.Dag:
    """Chains of nodes, as "a b c", all of which wait at the gate."""
    specs = []
    for chain in chains:
        names = chain.split()
        for up, name in zip(["", *names], names, strict=False):
            specs.append(hx.NodeSpec(name, held, params={"gate": str(gate)}).after(*([up] if up else [])))
    return hx.Dag.of(*specs)


@pytest.fixture
def lab() -> Iterator[hx.Lab]:
    with hx.Lab(pool="dask", store="memory://", workers=1) as lab:
        until(lambda: lab.workers())
        yield lab


def places(lab: hx.Lab) -> dict[str, tuple[float, ...]]:
    """The priority that Dask's scheduler has for each node, the lowest first."""

    def look(dask_scheduler: Any) -> dict[str, tuple[float, ...]]:
        return {key: task.priority for key, task in dask_scheduler.tasks.items() if "hexdag-" in key}

    with Client(lab.doors._pool.address) as client:
        found = client.run_on_scheduler(look)
    return {key.split("_")[-2]: priority for key, priority in found.items()}


def test_the_longest_chain_goes_first_and_no_run_waits_for_the_chains_of_another(lab: hx.Lab, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    long = lab.start(chained(gate, "a1 a2 a3 a4 a5", "b1 b2", "c1"))
    short = lab.start(chained(gate, "d1 d2 d3"))
    try:
        until(lambda: len(places(lab)) == 11)
        found = places(lab)
    finally:
        open_gate(gate)
    long.wait(PATIENCE)
    short.wait(PATIENCE)
    assert len({priority[:2] for priority in found.values()}) == 1, "it is no priority over others' work"
    share = {name: priority[2] for name, priority in found.items()}
    assert sorted(long.dag, key=lambda name: (share[name], name)) == ["a1", "a2", "a3", "a4", "b1", "a5", "b2", "c1"]
    assert share["a1"] == share["d1"] < share["d2"] < share["a4"] < share["d3"] == share["a5"]
