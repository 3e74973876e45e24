"""What faults cost: an attempt may be executed more than once, and is counted; its result is committed once.

The witnesses are files that nodes write and that know nothing of the journal. Each execution writes a token of its own
and returns it, and each node writes down the tokens that it was given: so a second commit would be seen below.
"""

from __future__ import annotations

import json
import os
import re
import signal
import textwrap
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pytest
from jupyter_client.manager import start_new_kernel

import hexdag_lab as hx
from tests.runtime.kit import PATIENCE, alive, open_gate, pass_gate, until

pytestmark = pytest.mark.dask


AGAIN = ("NodeStarted", "NodeRepeated", "NodeRetrying")  #: events that say why a node runs again


class Witness:
    """What nodes have written down."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def rows(self) -> list[dict[str, Any]]:
        lines = self.file.read_text().splitlines() if self.file.exists() else []
        return [json.loads(line) for line in lines]

    @property
    def executions(self) -> Counter[str]:
        return Counter(row["node"] for row in self.rows())

    def tokens(self, node: str) -> set[str]:
        """What its executions have made."""
        return {row["token"] for row in self.rows() if row["node"] == node}

    def seen(self) -> dict[str, set[str]]:
        """For each node, what others were given as its result."""
        found = defaultdict(set)
        for row in self.rows():
            for up, token in row["given"].items():
                found[up].add(token)
        return found

    def pid(self, node: str) -> int:
        """The process of its latest execution."""
        pid: int = [row["pid"] for row in self.rows() if row["node"] == node][-1]
        return pid


def writes(name: str, witness: str, given: dict[str, Any]) -> str:
    """One execution: a line that is whole however the process ends; its token."""
    token = f"{name}-{os.getpid()}-{time.monotonic_ns()}"
    row = {"node": name, "token": token, "given": given, "pid": os.getpid()}
    handle = os.open(witness, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    try:
        os.write(handle, json.dumps(row).encode() + b"\n")
    finally:
        os.close(handle)
    return token


def works(name: str, witness: str, **given: Any) -> str:
    return writes(name, witness, given)


def held(name: str, witness: str, gate: str, **given: Any) -> str:
    token = writes(name, witness, given)
    pass_gate(gate)
    return token


def fails_once(name: str, witness: str, gate: str, **given: Any) -> str:
    token = held(name, witness, gate, **given)
    if hx.context().attempt == 1:
        raise RuntimeError("not at the first try")
    return token


def fails(name: str, witness: str, gate: str, **given: Any) -> str:
    held(name, witness, gate, **given)
    raise RuntimeError("never")


def large(name: str, witness: str, **given: Any) -> Any:
    writes(name, witness, given)
    return np.ones(1_000_000, dtype=np.uint8)


def size(name: str, witness: str, gate: str, **arrays: Any) -> int:
    writes(name, witness, {})
    pass_gate(gate)
    return sum(len(array) for array in arrays.values())


@pytest.fixture(scope="module")
def lab() -> Iterator[hx.Lab]:
    with hx.Lab(pool="dask", store="memory://", workers=2) as lab:
        yield lab


@pytest.fixture(autouse=True)
def _whole(lab: hx.Lab) -> None:
    """Each test begins with two workers that do nothing."""
    until(lambda: [row.state for row in lab.workers()] == ["idle", "idle"])


@pytest.fixture
def witness(tmp_path: Path) -> Witness:
    return Witness(tmp_path / "witness")


@pytest.fixture
def node(witness: Witness, gate: Path) -> Any:
    def make(name: str, fn: Any, *ups: str, **options: Any) -> hx.NodeSpec:
        params = {"name": name, "witness": str(witness.file)}
        params |= {"gate": str(gate)} if "gate" in fn.__code__.co_varnames else {}
        return hx.NodeSpec(name, fn, params=params, **options).after(*ups)

    return make


def pids(lab: hx.Lab) -> dict[str, int]:
    own: dict[str, int] = lab.doors._pool._link._own.pids()
    return own


def kinds(run: hx.Run, kind: str, node: str) -> list[Any]:
    return [event for event in run.events() if event.kind == kind and event.node == node]


def committed_once(run: hx.Run, witness: Witness) -> None:
    """Each result is one that an execution has made, and nobody below was given another one."""
    seen = witness.seen()
    for name, result in run.results().items():
        assert result in witness.tokens(name), f"{name} has a result that none of its executions has made"
        assert seen.get(name, {result}) == {result}, f"others saw another result of {name} than the journal has"


# -- what acts on the outside world


def test_a_node_with_effects_is_not_run_again_by_dask_but_by_the_lab_with_a_reason(
    lab: hx.Lab, witness: Witness, gate: Path, node: Any
) -> None:
    run = lab.start(hx.Dag.of(node("pays", held, effects=True), node("after", works, "pays")))
    until(lambda: run.nodes["pays"].state == "RUNNING")
    os.kill(witness.pid("pays"), signal.SIGKILL)
    until(lambda: witness.executions["pays"] == 2)
    open_gate(gate)
    run.wait(PATIENCE)
    assert [(e.fence, e.repeat) for e in kinds(run, "NodeStarted", "pays")] == [(1, 0), (2, 0)], "two submissions"
    (retrying,) = kinds(run, "NodeRetrying", "pays")
    assert (
        retrying.why
        == "its worker died while it ran; what acts on the outside world is not run again by the pool itself"
    )
    assert witness.executions == {"pays": 2, "after": 1}
    committed_once(run, witness)


def test_a_large_result_of_a_node_with_effects_is_kept_before_it_counts(
    lab: hx.Lab, witness: Witness, gate: Path, node: Any
) -> None:
    run = lab.start(hx.Dag.of(node("pays", large, effects=True), node("size", size, "pays")))
    until(lambda: witness.executions["size"])
    assert run.nodes["pays"].kept
    for pid in {witness.pid("pays"), witness.pid("size")}:
        os.kill(pid, signal.SIGKILL)
    until(lambda: witness.executions["size"] == 2)
    open_gate(gate)
    assert run.wait(PATIENCE)["size"] == 1_000_000
    assert witness.executions["pays"] == 1


def test_one_whose_result_is_never_kept_is_still_not_repeated_by_dask(
    lab: hx.Lab, witness: Witness, gate: Path, node: Any
) -> None:
    run = lab.start(hx.Dag.of(node("pays", large, effects=True, durable=False), node("size", size, "pays")))
    until(lambda: witness.executions["size"])
    for pid in {witness.pid("pays"), witness.pid("size")}:
        os.kill(pid, signal.SIGKILL)
    until(lambda: witness.executions["size"] == 2)
    open_gate(gate)
    assert run.wait(PATIENCE)["size"] == 1_000_000
    assert kinds(run, "NodeRepeated", "pays") == []
    assert witness.executions["pays"] == 2
    (retrying,) = kinds(run, "NodeRetrying", "pays")
    assert retrying.why.startswith("its result was lost: ")


# -- in the middle of what was submitted


def test_an_error_in_the_middle_of_a_cone_runs_nothing_below_and_everything_beside(
    lab: hx.Lab, witness: Witness, gate: Path, node: Any
) -> None:
    dag = hx.Dag.of(
        node("top", works), node("middle", fails, "top"), node("below", works, "middle"), node("last", works, "below"),
        node("beside", works, "top"), node("end", works, "beside"),
    )  # fmt: skip
    run = lab.start(dag)
    until(lambda: witness.executions["middle"] and run.nodes["end"].state == "SUCCEEDED")
    assert any(name == "last" for e in run.events() if e.kind == "AttemptsSubmitted" for name, _ in e.nodes)
    open_gate(gate)
    with pytest.raises(hx.RunFailed, match="middle: RuntimeError: never"):
        run.wait(PATIENCE)
    assert witness.executions == {"top": 1, "middle": 1, "beside": 1, "end": 1}
    assert [run.nodes[name].state for name in ("below", "last")] == ["BLOCKED", "BLOCKED"]
    committed_once(run, witness)


def test_a_retry_in_the_middle_of_a_cone_runs_what_is_below_once(
    lab: hx.Lab, witness: Witness, gate: Path, node: Any
) -> None:
    dag = hx.Dag.of(
        node("top", works), node("middle", fails_once, "top", retries=1, backoff=0), node("below", works, "middle"),
        node("last", works, "below"), node("beside", works, "top"),
    )  # fmt: skip
    run = lab.start(dag)
    open_gate(gate)
    run.wait(PATIENCE)
    assert witness.executions == {"top": 1, "middle": 2, "below": 1, "last": 1, "beside": 1}
    (retrying,) = kinds(run, "NodeRetrying", "middle")
    assert retrying.why == "attempt 1 of 2 failed: RuntimeError: not at the first try"
    committed_once(run, witness)


def test_a_change_withdraws_what_it_touches_and_leaves_the_rest_of_the_cone(
    lab: hx.Lab, witness: Witness, gate: Path, node: Any
) -> None:
    dag = hx.Dag.of(
        node("top", held), node("old", works, "top"), node("below", works, "old"), node("beside", works, "top"),
        node("end", works, "beside"),
    )  # fmt: skip
    run = lab.start(dag)
    until(lambda: witness.executions["top"])
    change = hx.Changeset.on(run.dag).remove_node("old").add_node(node("new", works, "top"))
    assert run.propose(change.add_edge("new", "below")).wait(PATIENCE) == "APPLIED"
    open_gate(gate)
    run.wait(PATIENCE)
    assert witness.executions == {"top": 1, "new": 1, "below": 1, "beside": 1, "end": 1}
    sent = Counter(name for e in run.events() if e.kind == "AttemptsSubmitted" for name, _ in e.nodes)
    assert (sent["beside"], sent["end"], sent["old"], sent["below"]) == (1, 1, 1, 2)
    (below,) = [row for row in witness.rows() if row["node"] == "below"]
    assert set(below["given"]) == {"new"}
    committed_once(run, witness)


# -- before anybody has heard of it


def dies_once(name: str, witness: str, **given: Any) -> str:
    token = writes(name, witness, given)
    if len(Path(witness).read_text().splitlines()) == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    return token


def test_an_execution_that_kills_its_worker_at_once_is_counted_with_its_worker(
    lab: hx.Lab, witness: Witness, node: Any
) -> None:
    run = lab.start(hx.Dag.of(node("n", dies_once)))
    run.wait(PATIENCE)
    assert witness.executions == {"n": 2}
    first, second = kinds(run, "NodeStarted", "n")
    assert (first.repeat, second.repeat) == (0, 1)
    assert second.why == f"its worker {first.worker} is gone; the pool ran it again"
    assert run.nodes["n"].attempt == 2
    committed_once(run, witness)


# -- all at once


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
def test_workers_and_schedulers_that_die_all_the_time_cost_executions_and_no_result(
    seed: int, lab: hx.Lab, witness: Witness, node: Any
) -> None:
    width, layers, draw = 6, 6, Random(seed)

    def slow(name: str, witness: str, seconds: float, **given: Any) -> str:
        token = writes(name, witness, given)
        time.sleep(seconds)
        return token

    specs = []
    for i in range(width * layers):
        layer, place = divmod(i, width)
        ups = [f"n{(layer - 1) * width + (place + k) % width}" for k in (0, 1)] if layer else []
        params = {"name": f"n{i}", "witness": str(witness.file), "seconds": draw.uniform(0, 0.2)}
        specs.append(hx.NodeSpec(f"n{i}", slow, params=params, effects=i % 9 == 4).after(*ups))
    run = lab.start(hx.Dag.of(*specs))
    for fault in ("worker", "worker", "frozen", "scheduler", "worker"):
        done = sum(witness.executions.values())
        until(lambda done=done: sum(witness.executions.values()) >= done + 3 or run.status != "RUNNING")  # type: ignore[misc]
        found = pids(lab)
        workers = sorted(found.keys() - {"scheduler"})
        if workers:
            victim = found["scheduler" if fault == "scheduler" else draw.choice(workers)]
            os.kill(victim, signal.SIGSTOP if fault == "frozen" else signal.SIGKILL)
    run.wait(90)
    committed_once(run, witness)
    for name, times in witness.executions.items():
        assert len(kinds(run, "NodeSucceeded", name)) == 1
        reasons = [e.why for e in run.events() if e.kind in AGAIN and e.node == name and e.why]
        reasons += [e.why for e in run.events() if e.kind == "AttemptsWithdrawn" and name in e.nodes]
        reasons += [e.why for e in run.events() if e.kind == "WorkerChanged" and re.search(rf"\b{name}\b", e.why)]
        assert len(reasons) >= times - 1, f"{name} ran {times} times, and the journal has {reasons}"


# -- the notebook


CELL = """
    import sys
    sys.path.insert(0, {root!r})
    import hexdag_lab as hx
    from tests.runtime.pools.test_faults import held, works

    def spec(name, fn, *ups, **params):
        return hx.NodeSpec(name, fn, params=dict(name=name, witness={witness!r}, **params)).after(*ups)

    def here(name, witness, **given):  # defined in the notebook
        return works(name, witness, **given)

    lab = hx.Lab(store={url!r}, workers=2)
    run = lab.start(hx.Dag.of(
        spec("first", here), spec("train", held, "first", gate={gate!r}), spec("last", here, "train"),
    ), run_id="cell")
    pids = lab.doors._pool._link._own.pids
"""


@pytest.mark.slow
def test_a_notebook_whose_kernel_is_killed_loses_the_attempt_that_ran_and_nothing_else(
    tmp_path: Path, witness: Witness, gate: Path
) -> None:
    url = f"sqlite:///{tmp_path}/lab.db"
    root = str(Path(__file__).parents[3])
    cell = textwrap.dedent(CELL).format(root=root, witness=str(witness.file), url=url, gate=str(gate))
    manager, client = start_new_kernel(kernel_name="python3", env=dict(os.environ), cwd=str(tmp_path))
    try:
        client.execute(cell)
        until(lambda: witness.executions["train"])
        with hx.Lab(store=url, leader=False) as looks:  # that it runs is in the journal, and so is what was before it
            run = looks.attach("cell")
            until(lambda: run.nodes["train"].state == "RUNNING")
        worker = witness.pid("train")
        os.kill(manager.provisioner.pid, signal.SIGKILL)
        until(lambda: not alive(worker), "its workers end with it")
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)
    open_gate(gate)
    with hx.Lab(store=url, workers=2) as lab:
        run = lab.attach("cell")
        run.wait(PATIENCE)
        assert witness.executions == {"first": 1, "train": 2, "last": 1}
        assert any("another controller goes on with the run" in line for line in run.story("train"))
        committed_once(run, witness)
