"""Many runs at once in one lab, and one run of very many nodes; paused, resumed and cancelled in the middle.

The witness is a file that nodes write, in which each is counted however the run ends.
"""

from __future__ import annotations

from pathlib import Path

import pytest

import hexdag_lab as hx
from tests.runtime.kit import executions, open_gate, pass_gate, ran, until

RUNS, WIDTH, DEPTH = 50, 4, 3
NODES = 10_000


def first(seed: int, witness: str, gate: str = "") -> int:
    ran(witness, hx.context().run_id + ":" + hx.context().node)
    if gate:
        pass_gate(gate)
    return seed


def more(witness: str, **ups: int) -> int:
    ran(witness, hx.context().run_id + ":" + hx.context().node)
    return 1 + max(ups.values())


def attempts(*runs: hx.Run) -> dict[str, int]:
    """How often each node of some runs ran, by their journals."""
    return {f"{run.id}:{name}": node.attempt for run in runs for name, node in run.nodes.items() if node.attempt}


def layered(width: int, depth: int) -> hx.Dag:
    """`depth` layers of `width` nodes; each node hangs on two of the layer above."""
    nodes = [hx.NodeSpec(f"n0_{i}", first) for i in range(width)]
    for layer in range(1, depth):
        for i in range(width):
            ups = {f"n{layer - 1}_{i}", f"n{layer - 1}_{(i + 1) % width}"}
            nodes.append(hx.NodeSpec(f"n{layer}_{i}", more).after(*ups))
    return hx.Dag.of(*nodes)


@pytest.mark.parametrize("pool", ["inline", pytest.param("dask", marks=[pytest.mark.dask, pytest.mark.slow])])
def test_fifty_runs_at_once_in_one_lab_each_come_to_their_own_end(pool: str, tmp_path: Path) -> None:
    gate, witness = tmp_path / "gate", tmp_path / "witness"
    with hx.Lab(pool=pool, store="memory://", owner="dana", workers=2) as lab:
        dag = layered(WIDTH, DEPTH)
        given = {"gate": str(gate), "witness": str(witness)}
        runs = [lab.start(dag, inputs={"seed": number * 100, **given}) for number in range(RUNS)]
        assert {run.status for run in runs} == {"RUNNING"}
        cancelled, paused = runs[7], runs[11]
        cancelled.cancel()
        paused.pause()
        open_gate(gate)
        for number, run in enumerate(runs):
            if run is cancelled or run is paused:
                continue
            results = run.wait(120)
            assert len(results) == WIDTH * DEPTH
            assert results[f"n{DEPTH - 1}_0"] == number * 100 + DEPTH - 1
        assert (cancelled.status, paused.status) == ("CANCELLED", "PAUSED")
        paused.resume()
        assert paused.wait(60)[f"n{DEPTH - 1}_0"] == 11 * 100 + DEPTH - 1
        assert len(lab.runs()) == RUNS
        counted = executions(witness)
        ended = [run for run in runs if run is not cancelled]
        assert attempts(*ended) == {f"{run.id}:{name}": 1 for run in ended for name in dag}
        assert attempts(*ended) == {key: n for key, n in counted.items() if not key.startswith(f"{cancelled.id}:")}
        assert set(attempts(cancelled).values()) <= {1}
        assert {key for key in counted if key.startswith(f"{cancelled.id}:")} <= set(attempts(cancelled))


@pytest.mark.slow
@pytest.mark.parametrize("pool", ["inline", pytest.param("dask", marks=pytest.mark.dask)])
def test_a_run_of_ten_thousand_nodes_ends_and_can_be_paused_in_the_middle(pool: str, tmp_path: Path) -> None:
    witness = tmp_path / "witness"
    with hx.Lab(pool=pool, store="memory://", owner="dana", workers=2) as lab:
        run = lab.start(layered(100, NODES // 100), inputs={"seed": 1, "witness": str(witness)})
        until(lambda: run.view.state.left < NODES - 500, "some hundred nodes are done", 300)
        run.pause()
        until(lambda: run.view.state.outstanding == 0, "what was submitted is done", 300)
        left = run.view.state.left
        assert 0 < left < NODES
        assert executions(witness).total() == NODES - left, "what was submitted is done, and nothing more begins"
        assert run.why(f"n{NODES // 100 - 1}_0") == "the run is paused"
        run.resume()
        results = run.wait(600)
        assert len(results) == NODES
        assert {results[f"n{NODES // 100 - 1}_{i}"] for i in range(100)} == {NODES // 100}
        assert executions(witness) == attempts(run) == {f"{run.id}:{name}": 1 for name in run.dag}


@pytest.mark.slow
def test_a_run_of_ten_thousand_nodes_can_be_cancelled_in_the_middle(tmp_path: Path) -> None:
    witness = tmp_path / "witness"
    with hx.Lab(pool="inline", store="memory://", owner="dana") as lab:
        run = lab.start(layered(100, NODES // 100), inputs={"seed": 1, "witness": str(witness)})
        until(lambda: run.view.state.left < NODES - 500, "some hundred nodes are done", 300)
        run.cancel()
        with pytest.raises(hx.RunFailed):
            run.wait(60)
        states = {node.state for node in run.nodes.values()}
        assert states == {"SUCCEEDED", "CANCELLED"}
        counted = executions(witness)
        assert set(counted.values()) == {1}
        succeeded = {f"{run.id}:{name}" for name, node in run.nodes.items() if node.state == "SUCCEEDED"}
        assert succeeded <= set(counted) <= set(attempts(run))
