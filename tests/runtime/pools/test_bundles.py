"""Short nodes of a wide front share a task of Dask's, and nothing but that: each has its own events, and its own end.

The witnesses are files that nodes write. In which task of Dask's a node runs, it asks Dask.
"""

from __future__ import annotations

import os
import signal
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from distributed import get_worker

import hexdag_lab as hx
from tests.runtime.kit import PATIENCE, executions, open_gate, pass_gate, pids, ran, until

pytestmark = pytest.mark.dask

MEASURED = 40  #: nodes of a kind that run before a test, so that bundles of so many are possible


def step(name: str, witness: str = "", gate: str = "", fails: str = "", dies: str = "") -> str:
    """A short node, unless it is to wait at a gate; its result is the key of the task that it ran in."""
    if witness:
        ran(witness, name)
    if dies and executions(Path(witness))[name] <= int(dies):
        os.kill(os.getpid(), signal.SIGKILL)
    if gate:
        pass_gate(gate)
    if fails and hx.context().attempt <= int(fails):
        raise RuntimeError(f"{name} does not like its attempt {hx.context().attempt}")
    return str(get_worker().get_current_task())


def spec(name: str, witness: Path | None = None, gate: Path | None = None, **options: Any) -> hx.NodeSpec:
    params = {"name": name, "fails": options.pop("fails", ""), "dies": options.pop("dies", "")}
    params |= {key: str(value) for key, value in (("witness", witness), ("gate", gate)) if value is not None}
    return hx.NodeSpec(name, step, params=params, **options)


def front(count: int, *others: hx.NodeSpec, **options: Any) -> hx.Dag:
    """Nodes n00, n01, ... beside each other, but for those that are given."""
    named = {other.name for other in others}
    names = [f"n{number:02}" for number in range(count)]
    return hx.Dag.of(*others, *(spec(name, **options) for name in names if name not in named))


@pytest.fixture(scope="module")
def lab() -> Iterator[hx.Lab]:
    with hx.Lab(pool="dask", store="memory://", workers=2) as lab:
        measure(lab)
        yield lab


@pytest.fixture
def gate(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path / "gate"
    open_gate(tmp_path / "gate")  # else a test that fails leaves its worker to the next one


def measure(lab: hx.Lab) -> None:
    """Let the pool see that these nodes are short: how long the first ones take is left to chance and this machine."""
    lab.start(front(MEASURED)).wait(PATIENCE)
    for kind in (known := lab.doors._pool._kinds._known):
        known[kind] = known[kind]._replace(mean=0.001)


@pytest.fixture(autouse=True)
def _whole(lab: hx.Lab) -> None:
    until(lambda: [row.state for row in lab.workers()] == ["idle", "idle"])
    for kind in (known := lab.doors._pool._kinds._known):
        known[kind] = known[kind]._replace(mean=0.001)


def events(run: hx.Run, kind: str, node: str) -> list[Any]:
    return [event for event in run.events() if event.kind == kind and event.node == node]


def test_a_wide_front_is_a_few_tasks_and_each_node_has_its_own_events(lab: hx.Lab, witness: Path) -> None:
    run = lab.start(front(30, witness=witness))
    tasks = Counter(run.wait(PATIENCE).values())
    assert sorted(tasks.values()) == [15, 15], "one for each worker"
    assert all(key.startswith("step_bundle-") for key in tasks)
    assert executions(witness) == dict.fromkeys(run.dag, 1)
    for name in run.dag:
        (started,), (succeeded,) = events(run, "NodeStarted", name), events(run, "NodeSucceeded", name)
        assert started.seq < succeeded.seq
        assert started.worker == succeeded.worker
        assert run.nodes[name].seconds > 0


def test_the_first_of_a_kind_and_those_that_ask_for_something_go_alone(lab: hx.Lab) -> None:
    alone = [spec("a", durable=True), spec("b", effects=True), spec("c", exclusive="door"), spec("d", concurrency=1)]
    found = lab.start(front(10, *alone, hx.NodeSpec("new", os.getpid))).wait(PATIENCE)
    assert {name for name, key in found.items() if "_bundle" not in str(key)} == {"a", "b", "c", "d", "new"}


def test_a_lab_that_was_told_not_to_puts_no_nodes_together(lab: hx.Lab) -> None:
    with hx.Lab(pool=lab.doors._pool.address, store="memory://", grouping=False) as other:
        other.start(front(MEASURED)).wait(PATIENCE)
        tasks = Counter(other.start(front(20)).wait(PATIENCE).values())
    assert set(tasks.values()) == {1}


def test_one_that_fails_fails_alone_and_is_tried_again_alone(lab: hx.Lab, witness: Path) -> None:
    run = lab.start(front(20, spec("n03", witness, fails="1", retries=1, backoff=0), witness=witness))
    tasks = run.wait(PATIENCE)
    assert executions(witness) == dict.fromkeys(run.dag, 1) | {"n03": 2}
    (retrying,) = events(run, "NodeRetrying", "n03")
    assert retrying.why == "attempt 1 of 2 failed: RuntimeError: n03 does not like its attempt 1"
    assert [name for name, key in tasks.items() if "_bundle" not in key] == ["n03"]


def test_what_is_below_a_bundle_gets_the_results_of_its_own_upstreams(lab: hx.Lab) -> None:
    def told(**given: str) -> dict[str, str]:
        return given

    ups = front(20)
    run = lab.start(hx.Dag.of(*(ups.nodes[name] for name in ups), hx.NodeSpec("told", told).after("n03", "n17")))
    found = run.wait(PATIENCE)
    assert found["told"] == {"n03": found["n03"], "n17": found["n17"]}


def test_a_change_takes_out_what_has_not_begun_and_leaves_the_rest_of_the_bundle(
    lab: hx.Lab, witness: Path, gate: Path
) -> None:
    held = [spec(name, witness, gate) for name in ("n00", "n10")]  # the first of each bundle
    run = lab.start(front(20, *held, witness=witness))
    until(lambda: set(executions(witness)) == {"n00", "n10"})
    change = hx.Changeset.on(run.dag).remove_node("n05").remove_node("n15")
    assert run.propose(change).wait(PATIENCE) == "APPLIED"
    until(lambda: not lab.doors._pool._orders.under_way, "the workers have heard what is not to begin")
    open_gate(gate)
    run.wait(PATIENCE)
    assert executions(witness) == dict.fromkeys(run.dag, 1)
    assert not {"n05", "n15"} & set(executions(witness))


def test_what_a_run_that_is_cancelled_has_not_begun_does_not_begin(lab: hx.Lab, witness: Path, gate: Path) -> None:
    held = [spec(name, witness, gate) for name in ("n00", "n10")]
    run = lab.start(front(20, *held, witness=witness))
    until(lambda: set(executions(witness)) == {"n00", "n10"})
    run.cancel()
    until(lambda: not lab.doors._pool._orders.under_way, "the workers have heard what is not to begin")
    open_gate(gate)
    until(lambda: [row.state for row in lab.workers()] == ["idle", "idle"])
    assert lab.start(front(4)).wait(PATIENCE)
    assert set(executions(witness)) == {"n00", "n10"}


def test_what_a_run_that_is_paused_has_not_begun_begins_when_it_goes_on(lab: hx.Lab, witness: Path, gate: Path) -> None:
    held = [spec(name, witness, gate) for name in ("n00", "n10")]
    run = lab.start(front(20, *held, witness=witness))
    until(lambda: set(executions(witness)) == {"n00", "n10"})
    run.pause()
    until(
        lambda: lab.doors._pool._orders.held and not lab.doors._pool._orders.under_way,
        "the workers know what is not to begin",
    )
    open_gate(gate)
    until(lambda: run.view.state.outstanding == 0)
    assert set(executions(witness)) == {"n00", "n10"}
    run.resume()
    run.wait(PATIENCE)
    assert executions(witness) == dict.fromkeys(run.dag, 1)
    assert {run.nodes[name].attempt for name in run.dag} == {1}


def test_a_worker_that_dies_costs_only_what_of_its_bundle_had_not_ended(lab: hx.Lab, witness: Path, gate: Path) -> None:
    run = lab.start(front(20, spec("n07", witness, gate), witness=witness))
    until(lambda: run.nodes["n07"].state == "RUNNING" and run.nodes["n19"].state == "SUCCEEDED")
    done = {name for name in run.dag if run.nodes[name].state == "SUCCEEDED"}
    assert {"n00", "n06"} <= done
    os.kill(pids(witness, "n07")[-1], signal.SIGKILL)
    until(lambda: executions(witness)["n07"] == 2)
    open_gate(gate)
    run.wait(PATIENCE)
    assert executions(witness) == dict.fromkeys(run.dag, 1) | {"n07": 2}
    (retrying,) = events(run, "NodeRetrying", "n07")
    assert retrying.why.startswith("worker w")
    assert retrying.why.endswith(" died with it")
    assert all(len(events(run, "NodeSucceeded", name)) == 1 for name in run.dag)
    assert run.nodes["n07"].attempt == 2
    assert {run.nodes[name].attempt for name in run.dag if name != "n07"} == {1}


def test_each_execution_is_counted_also_where_its_worker_dies_before_anybody_has_heard_of_it(
    lab: hx.Lab, witness: Path
) -> None:
    run = lab.start(front(20, spec("n07", witness, dies="1"), witness=witness))
    run.wait(PATIENCE)
    ran_ = executions(witness)
    assert ran_["n07"] == 2
    assert {name: len(events(run, "NodeStarted", name)) for name in run.dag} == dict(ran_)
    assert {name: run.nodes[name].attempt for name in run.dag} == dict(ran_)


def test_one_that_takes_long_does_not_hold_up_the_others_of_its_bundle(lab: hx.Lab, witness: Path, gate: Path) -> None:
    run = lab.start(front(20, spec("n00", witness, gate), witness=witness))
    until(lambda: [n for n in run.dag if run.nodes[n].state != "SUCCEEDED"] == ["n00"])
    open_gate(gate)
    run.wait(PATIENCE)
    assert executions(witness) == dict.fromkeys(run.dag, 1)
