"""Regions with real schedulers: results cross as blobs, and a scheduler that is frozen or killed troubles its own
region alone."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import hexdag_lab as hx
from tests.runtime.kit import executions, open_gate, pass_gate, ran, until

pytestmark = pytest.mark.dask


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[hx.Lab]:
    """A lab with a scheduler and a worker of its own in each of two regions."""
    store = f"sqlite:///{tmp_path_factory.mktemp('regions')}/lab.db"
    with hx.Lab(regions={"eu": "dask", "us": "dask"}, region="eu", store=store, workers=1) as lab:
        until(lambda: [region.workers for region in lab.regions()] == [1, 1], "a worker in each region", 60)
        yield lab


def pids(lab: hx.Lab, region: str) -> dict[str, int]:
    """The processes of a region's cluster."""
    found: dict[str, int] = lab.doors._pool._branches[region].pool._link._own.pids()
    return found


@hx.node(requires={"region:eu"})
def large() -> Any:
    return np.arange(100_000)


@hx.node(requires={"region:eu"}, durable=False)
def unkept() -> Any:
    return np.arange(200_000)


@hx.node(requires={"region:us"})
def total(large: Any, unkept: Any) -> int:
    return int(large.sum() + unkept.sum())


@hx.node(requires={"region:eu"})
def back(total: int) -> int:
    return -total


def test_large_results_cross_as_blobs_whether_their_nodes_keep_them_or_not(lab: hx.Lab) -> None:
    run = lab.start(hx.Dag.of(large, unkept, total, back))
    assert run.wait(60)["back"] == -(np.arange(100_000).sum() + np.arange(200_000).sum())
    kept = {name: run.view.state.nodes[name].result for name in ("large", "unkept")}
    assert {name: found.where for name, found in kept.items()} == {"large": "blob", "unkept": "blob"}
    assert [run.nodes[name].worker.partition("/")[0] for name in ("large", "total", "back")] == ["eu", "us", "eu"]


LAYERS, WIDTH = 5, 8


def counts(name: str, witness: str, **ups: int) -> int:
    ran(witness, name)
    return 1 + max(ups.values(), default=0)


def test_layers_that_cross_again_and_again_run_each_node_once_where_it_asks_to(lab: hx.Lab, witness: Path) -> None:
    asked = [frozenset({"region:eu"}), frozenset({"region:us"}), frozenset[str]()]
    specs = []
    for number in range(LAYERS * WIDTH):
        layer, place = divmod(number, WIDTH)
        params = {"name": f"n{number}", "witness": str(witness)}
        ups = {(layer - 1) * WIDTH + (place + k) % WIDTH for k in (0, 1)} if layer else set()
        spec = hx.NodeSpec(f"n{number}", counts, params=params, requires=asked[number % 3])
        specs.append(spec.after(*(f"n{up}" for up in sorted(ups))))
    run = lab.start(hx.Dag.of(*specs))
    results = run.wait(60)
    assert results[f"n{LAYERS * WIDTH - 1}"] == LAYERS
    assert set(executions(witness).values()) == {1}
    assert len(executions(witness)) == len(specs)
    assert {event.kind for event in run.events()} & {"NodeRetrying", "NodeRepeated", "AttemptsWithdrawn"} == set()
    regions = [run.nodes[f"n{number}"].worker.partition("/")[0] for number in range(len(specs))]
    assert set(regions[0::3]) == {"eu"}
    assert set(regions[1::3]) == {"us"}


@hx.node(requires={"region:us"})
def far(witness: str, gate: str) -> int:
    ran(witness, "far")
    pass_gate(gate)
    return 7


@hx.node(requires={"region:eu"})
def near(far: int) -> int:
    return far + 1


@hx.node(requires={"region:eu"})
def beside() -> int:
    return 1


@pytest.mark.slow
def test_a_region_whose_scheduler_is_silent_for_a_while_goes_on_and_nothing_runs_twice(
    lab: hx.Lab, witness: Path, gate: Path
) -> None:
    run = lab.start(hx.Dag.of(far, near, beside), inputs={"witness": str(witness), "gate": str(gate)})
    until(lambda: run.nodes["far"].state == "RUNNING")
    scheduler = pids(lab, "us")["scheduler"]
    os.kill(scheduler, signal.SIGSTOP)
    try:
        until(lambda: "region us is cut off since" in (run.why("far") or ""))
        open_gate(gate)
        second = lab.start(hx.Dag.of(beside))
        assert second.wait(30) == {"beside": 1}, "the other region goes on"
        assert run.nodes["far"].state == "RUNNING", "what runs there is not lost"
    finally:
        os.kill(scheduler, signal.SIGCONT)
    assert run.wait(60)["near"] == 8
    assert executions(witness) == {"far": 1}
    until(lambda: all(region.reachable for region in lab.regions()))


@pytest.mark.slow
def test_a_region_whose_scheduler_dies_comes_back_and_only_what_it_had_runs_again(
    lab: hx.Lab, witness: Path, gate: Path
) -> None:
    run = lab.start(hx.Dag.of(far, near, beside), inputs={"witness": str(witness), "gate": str(gate)})
    until(lambda: run.nodes["far"].state == "RUNNING" and run.nodes["beside"].state == "SUCCEEDED")
    os.kill(pids(lab, "us")["scheduler"], signal.SIGKILL)
    until(lambda: executions(witness)["far"] == 2, "it is tried again on a new cluster", 60)
    open_gate(gate)
    assert run.wait(60)["near"] == 8
    assert executions(witness) == {"far": 2}
    assert [event.node for event in run.events() if event.kind == "NodeStarted"].count("beside") == 1
