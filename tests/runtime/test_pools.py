"""What every pool does, whether nodes run on threads of this process or on a Dask cluster."""

from __future__ import annotations

import asyncio
import secrets
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import hexdag_lab as hx
from hexdag_lab.core.base.errors import NotFinished, RunFailed
from hexdag_lab.runtime.pools.cluster import OwnCluster
from hexdag_lab.runtime.pools.dask import DaskPool
from hexdag_lab.runtime.pools.federation import Federation
from hexdag_lab.runtime.pools.inline import InlinePool
from hexdag_lab.worker.values import INLINE
from tests.runtime.kit import executions, open_gate, pass_gate, ran, until

DASK = pytest.param("dask", marks=pytest.mark.dask)
TWO_INLINE = pytest.param({"eu": "inline", "us": "inline"}, id="regions")


@pytest.fixture(scope="module", params=["inline", DASK, TWO_INLINE])
def lab(request: pytest.FixtureRequest) -> Iterator[hx.Lab]:
    """One lab on each kind of pool, with two slots, none of which has a gpu."""
    regions = isinstance(request.param, dict)
    pool = {"regions": request.param, "workers": 1} if regions else {"pool": request.param, "workers": 2}
    with hx.Lab(store="memory://", **pool) as lab:
        until(lambda: slots(lab) == 2, "both workers are there")
        yield lab
        until(lambda: held(lab) == 0, "the pool has let go of what it held for runs that are over")


def slots(lab: hx.Lab) -> int:
    return sum(row["slots"] for row in lab.workers())


def held(lab: hx.Lab) -> int:
    """Attempts that the pool still knows, but for results that are nowhere else."""
    return len([attempt for attempt in known_to(lab.doors._pool) if attempt[1] not in ("only_here", "dropped")])


def known_to(pool: Any) -> set[Any]:
    if isinstance(pool, Federation):
        theirs = (known_to(branch.pool) for branch in pool._branches.values())
        return set().union(pool._place, pool._held, pool._kept, *theirs)
    return set(pool._handed.held) if isinstance(pool, DaskPool) else set(pool._held)


# -- shapes


@hx.node
def one(witness: str = "") -> int:
    if witness:
        ran(witness, "one")
    return 1


@hx.node
def two(one: int) -> int:
    return one + 1


@hx.node
def three(two: int) -> int:
    return two + 1


def test_a_chain_passes_each_result_on(lab: hx.Lab) -> None:
    assert lab.start(hx.Dag.of(one, two, three)).wait(30) == {"one": 1, "two": 2, "three": 3}


@hx.node
def left(one: int) -> int:
    return one * 10


@hx.node
def right(one: int) -> int:
    return one * 100


@hx.node
def both(left: int, right: int) -> int:
    return left + right


def test_a_diamond_joins_again(lab: hx.Lab) -> None:
    assert lab.start(hx.Dag.of(one, left, right, both)).wait(30)["both"] == 110


def square(n: int) -> int:
    return n * n


def total(**squares: int) -> int:
    return sum(squares.values())


def test_thirty_results_come_together_in_one_node(lab: hx.Lab) -> None:
    squares = [hx.NodeSpec(f"s{n}", square, params={"n": n}) for n in range(30)]
    dag = hx.Dag.of(*squares, hx.NodeSpec("total", total).after(*(s.name for s in squares)))
    assert lab.start(dag).wait(30)["total"] == sum(n * n for n in range(30))


def test_a_node_may_only_come_after_another_one(lab: hx.Lab, tmp_path: Path) -> None:
    def write(path: str) -> None:
        Path(path).write_text("there")

    def read(path: str) -> str:
        return Path(path).read_text()

    params = {"path": str(tmp_path / "file")}
    dag = hx.Dag.of(hx.NodeSpec("write", write, params=params), hx.NodeSpec("read", read, params=params).after("write"))
    assert lab.start(dag).wait(30)["read"] == "there"


def layered(count: int, width: int, witness: Path) -> hx.Dag:
    """Layers of nodes, each with two upstreams in the layer before."""

    def counts(name: str, witness: str, **ups: int) -> int:
        ran(witness, name)
        return 1 + max(ups.values(), default=0)

    specs = []
    for i in range(count):
        layer, place = divmod(i, width)
        spec = hx.NodeSpec(f"n{i}", counts, params={"name": f"n{i}", "witness": str(witness)})
        ups = {(layer - 1) * width + (place + k) % width for k in (0, 1)} if layer else set()
        specs.append(spec.after(*(f"n{up}" for up in sorted(ups))))
    return hx.Dag.of(*specs)


def test_three_hundred_nodes_in_layers_run_once_each(lab: hx.Lab, witness: Path) -> None:
    results = lab.start(layered(300, 20, witness)).wait(60)
    assert {results[f"n{i}"] - 1 - i // 20 for i in range(300)} == {0}
    assert executions(witness) == {f"n{i}": 1 for i in range(300)}


def test_fifty_runs_at_once_do_not_get_mixed_up(lab: hx.Lab) -> None:
    def start(number: int) -> int:
        return number

    dag = hx.Dag.of(hx.NodeSpec("one", start), two, three)
    runs = [lab.start(dag, inputs={"number": 10 * n}) for n in range(50)]
    assert [run.wait(60)["three"] for run in runs] == [10 * n + 2 for n in range(50)]


# -- failure


def test_a_failure_blocks_what_depends_on_it_and_nothing_else(lab: hx.Lab) -> None:
    def fails() -> None:
        raise ValueError("no such file")

    dag = hx.Dag.of(
        one, two, hx.NodeSpec("fails", fails), hx.NodeSpec("below", square).after("fails"),
        hx.NodeSpec("far_below", square).after("below"),
    )  # fmt: skip
    run = lab.start(dag)
    with pytest.raises(RunFailed, match="fails: ValueError: no such file") as caught:
        run.wait(30)
    assert caught.value.results == {"one": 1, "two": 2}
    assert {name: node.state for name, node in run.nodes.items()} == {
        "one": "SUCCEEDED", "two": "SUCCEEDED", "fails": "FAILED", "below": "BLOCKED", "far_below": "BLOCKED",
    }  # fmt: skip
    assert run.why("far_below") == "upstream fails failed"
    assert 'raise ValueError("no such file")' in run.nodes["fails"].trace


def test_a_failure_is_tried_again_after_a_growing_while(lab: hx.Lab, witness: Path) -> None:
    def fails_twice(witness: str) -> str:
        ran(witness, "fails_twice")
        if executions(Path(witness))["fails_twice"] < 3:
            raise OSError("not yet")
        return "at last"

    spec = hx.NodeSpec("fails_twice", fails_twice, params={"witness": str(witness)}, retries=2, backoff=0.1)
    run = lab.start(hx.Dag.of(spec))
    assert run.wait(30) == {"fails_twice": "at last"}
    assert executions(witness) == {"fails_twice": 3}
    retrying = [e for e in run.events() if e.kind == "NodeRetrying"]
    assert [round(e.due - e.at, 3) for e in retrying] == [0.1, 0.2]
    assert retrying[0].why == "attempt 1 of 3 failed: OSError: not yet"


def test_a_node_that_keeps_failing_fails_in_the_end(lab: hx.Lab, witness: Path) -> None:
    def fails(witness: str) -> None:
        ran(witness, "fails")
        raise OSError("never")

    run = lab.start(hx.Dag.of(hx.NodeSpec("fails", fails, params={"witness": str(witness)}, retries=2, backoff=0)))
    with pytest.raises(RunFailed, match="OSError: never"):
        run.wait(30)
    assert executions(witness) == {"fails": 3}


def test_a_result_that_cannot_travel_is_a_clear_failure(lab: hx.Lab) -> None:
    def locks() -> Any:
        return threading.Lock()

    with pytest.raises(RunFailed, match=r"lock cannot be shipped .*return plain data"):
        lab.start(hx.Dag.of(hx.NodeSpec("locks", locks))).wait(30)


def test_a_node_that_takes_too_long_fails_and_frees_its_slot(lab: hx.Lab, gate: Path) -> None:
    run = lab.start(hx.Dag.of(hx.NodeSpec("slow", pass_gate, params={"gate": str(gate)}, timeout=0.1), one, two))
    with pytest.raises(RunFailed, match=r"slow: TimeoutError: no result after 0\.1 s"):
        run.wait(30)
    open_gate(gate)


# -- taking back


def test_a_cancelled_run_starts_nothing_more(lab: hx.Lab, witness: Path, gate: Path) -> None:
    def first(gate: str, witness: str) -> int:
        ran(witness, "first")
        pass_gate(gate)
        ran(witness, "first_ended")
        return 1

    def second(first: int, witness: str) -> int:
        ran(witness, "second")
        return first

    params = {"witness": str(witness)}
    specs = [
        hx.NodeSpec("first", first, params={**params, "gate": str(gate)}),
        hx.NodeSpec("second", second, params=params),
    ]
    run = lab.start(hx.Dag.of(*specs))
    until(lambda: executions(witness)["first"])
    run.cancel()
    assert run.status == "CANCELLED"
    assert lab.start(hx.Dag.of(one, two)).wait(30) == {"one": 1, "two": 2}
    open_gate(gate)
    until(lambda: executions(witness)["first_ended"])
    assert lab.start(hx.Dag.of(one, two)).wait(30) == {"one": 1, "two": 2}
    assert executions(witness) == {"first": 1, "first_ended": 1}
    until(lambda: held(lab) == 0)


def test_an_attempt_that_waits_for_a_slot_is_not_run_once_it_was_taken_back(witness: Path, gate: Path) -> None:
    def held(gate: str, witness: str, name: str) -> None:
        ran(witness, name)
        pass_gate(gate)

    def dag(*names: str) -> hx.Dag:
        params = {"gate": str(gate), "witness": str(witness)}
        return hx.Dag.of(*(hx.NodeSpec(name, held, params={**params, "name": name}) for name in names))

    with hx.Lab(pool="inline", store="memory://", workers=1) as lab:
        cancelled = lab.start(dag("zombie"))
        until(lambda: executions(witness)["zombie"])
        cancelled.cancel()  # its thread goes on
        run = lab.start(dag("a", "b"))
        until(lambda: [e.nodes for e in run.events() if e.kind == "AttemptsSubmitted"] == [(("a", 1), ("b", 1))])
        run.propose(hx.Changeset.on(run.dag).remove_node("a")).wait(30)
        open_gate(gate)
        assert run.wait(30).keys() == {"b"}
    assert executions(witness) == {"zombie": 1, "b": 1}


def test_nothing_is_held_for_attempts_that_failed(lab: hx.Lab, gate: Path) -> None:
    def fails() -> None:
        raise OSError("no")

    holds = hx.NodeSpec("holds", pass_gate, params={"gate": str(gate)})
    run = lab.start(hx.Dag.of(holds, hx.NodeSpec("fails", fails, retries=2, backoff=0)))
    until(lambda: run.nodes["fails"].state == "FAILED")
    until(lambda: held(lab) == 1, "only the node at the gate is in the pool", seconds=3)
    open_gate(gate)


def test_a_running_node_that_is_restarted_counts_with_its_new_code_only(lab: hx.Lab, witness: Path, gate: Path) -> None:
    def old(gate: str, witness: str) -> str:
        ran(witness, "old")
        pass_gate(gate)
        return "old"

    def new(gate: str, witness: str) -> str:
        ran(witness, "new")
        return "new"

    def below(word: str) -> str:
        return f"after {word}"

    params = {"gate": str(gate), "witness": str(witness)}
    dag = hx.Dag.of(hx.NodeSpec("word", old, params=params), hx.NodeSpec("below", below))
    run = lab.start(dag)
    until(lambda: executions(witness)["old"])
    change = hx.Changeset.on(run.dag).replace_node("word", hx.NodeSpec("word", new, params=params), running="restart")
    assert run.propose(change).wait(30) == "APPLIED"
    assert run.wait(30) == {"word": "new", "below": "after new"}
    open_gate(gate)
    assert executions(witness) == {"old": 1, "new": 1}


def test_a_node_added_while_another_runs_gets_its_result(lab: hx.Lab, gate: Path) -> None:
    def slow(gate: str) -> int:
        pass_gate(gate)
        return 7

    run = lab.start(hx.Dag.of(hx.NodeSpec("slow", slow, params={"gate": str(gate)})))
    until(lambda: run.nodes["slow"].state == "RUNNING")
    added = run.propose(hx.Changeset.on(run.dag).add_node(hx.NodeSpec("square", square).after("slow")))
    assert added.wait(30) == "APPLIED"
    open_gate(gate)
    assert run.wait(30) == {"slow": 7, "square": 49}


# -- large things


def ones(n: int = 1_000_000) -> Any:
    return np.ones(n, dtype=np.uint8)


def summed(**arrays: Any) -> int:
    return int(sum(array.sum() for array in arrays.values()))


def test_a_large_result_reaches_its_readers_and_is_kept(lab: hx.Lab) -> None:
    dag = hx.Dag.of(hx.NodeSpec("large", ones), hx.NodeSpec("summed", summed).after("large"))
    run = lab.start(dag)
    assert run.wait(30)["summed"] == 1_000_000
    until(lambda: run.nodes["large"].kept, "the array is in the blob store")
    assert run.result("large").sum() == 1_000_000
    until(lambda: held(lab) == 0, "the pool has let go of it")
    assert run.result("large").sum() == 1_000_000


def test_a_durable_result_is_kept_before_its_node_has_succeeded(lab: hx.Lab) -> None:
    run = lab.start(hx.Dag.of(hx.NodeSpec("large", ones, durable=True)))
    run.wait(30)
    (succeeded,) = [e for e in run.events() if e.kind == "NodeSucceeded"]
    assert succeeded.result.where == "blob"
    assert run.result("large").sum() == 1_000_000


def test_a_result_that_is_not_to_be_kept_stays_in_the_pool(lab: hx.Lab) -> None:
    dag = hx.Dag.of(hx.NodeSpec("only_here", ones, durable=False), hx.NodeSpec("summed", summed).after("only_here"))
    run = lab.start(dag)
    assert run.wait(30)["summed"] == 1_000_000
    assert not run.nodes["only_here"].kept
    assert run.result("only_here").sum() == 1_000_000


def test_a_result_that_was_kept_is_read_by_a_node_that_comes_later(lab: hx.Lab, gate: Path) -> None:
    run = lab.start(hx.Dag.of(hx.NodeSpec("large", ones), hx.NodeSpec("holds", pass_gate, params={"gate": str(gate)})))
    until(lambda: run.nodes["large"].state == "SUCCEEDED" and run.nodes["large"].kept)
    until(lambda: held(lab) == 1, "only the node at the gate is in the pool")
    run.propose(hx.Changeset.on(run.dag).add_node(hx.NodeSpec("summed", summed).after("large"))).wait(30)
    open_gate(gate)
    assert run.wait(30)["summed"] == 1_000_000


def test_a_result_is_there_as_soon_as_it_is_reported(lab: hx.Lab) -> None:
    run = lab.start(hx.Dag.of(*(hx.NodeSpec(f"n{n}", ones, params={"n": INLINE + n + 1}) for n in range(20))))
    missing: list[str] = []

    def look(event: Any) -> None:
        if event.kind == "NodeSucceeded":
            try:
                run.result(event.node)
            except NotFinished as error:
                missing.append(str(error))

    run.observe(look)
    run.wait(30)
    assert missing == []


def test_a_lost_result_is_made_again(lab: hx.Lab, witness: Path, gate: Path) -> None:
    def dropped(witness: str) -> Any:
        ran(witness, "dropped")
        return np.ones(1_000_000, dtype=np.uint8)

    spec = hx.NodeSpec("dropped", dropped, params={"witness": str(witness)}, durable=False)
    run = lab.start(hx.Dag.of(spec, hx.NodeSpec("holds", pass_gate, params={"gate": str(gate)})))
    until(lambda: run.nodes["dropped"].state == "SUCCEEDED")
    fence = run.view.state.nodes["dropped"].fence
    lab._session.run(lab.doors._pool.forget(run.id, [("dropped", fence)]))
    with pytest.raises(NotFinished, match="dropped is not in the pool any more"):
        run.result("dropped")
    run.propose(hx.Changeset.on(run.dag).add_node(hx.NodeSpec("summed", summed).after("dropped"))).wait(30)
    open_gate(gate)
    assert run.wait(30)["summed"] == 1_000_000
    assert executions(witness) == {"dropped": 2}
    assert any("its result was lost" in line for line in run.story("dropped"))


def test_large_code_reaches_its_worker(lab: hx.Lab) -> None:
    table = secrets.token_bytes(1_000_000)

    def looks_up(n: int) -> int:
        return table[n]

    specs = [hx.NodeSpec(f"n{n}", looks_up, params={"n": n}) for n in range(8)]
    assert lab.start(hx.Dag.of(*specs)).wait(30) == {f"n{n}": table[n] for n in range(8)}


def test_a_large_input_reaches_its_node(lab: hx.Lab) -> None:
    data = secrets.token_bytes(3 * INLINE)
    assert lab.start(hx.Dag.of(hx.NodeSpec("size", len)), inputs={"obj": data}).wait(30) == {"size": len(data)}


# -- capabilities


def test_a_node_that_needs_what_no_worker_has_waits_and_says_so(lab: hx.Lab) -> None:
    run = lab.start(hx.Dag.of(one, hx.NodeSpec("trains", square, params={"n": 2}, requires={"gpu"})))
    until(lambda: run.nodes["one"].state == "SUCCEEDED")
    assert run.why("trains") == 'no worker has "gpu"'
    assert run.nodes["trains"].state == "READY"
    run.cancel()


@pytest.mark.parametrize("kind", ["inline", DASK])
def test_a_node_that_needs_what_a_worker_has_runs(kind: str) -> None:
    pool = InlinePool(2, {"gpu", "db"}) if kind == "inline" else OwnCluster(1, capabilities={"gpu", "db"})
    with hx.Lab(pool=pool, store="memory://") as lab:
        chained = [
            hx.NodeSpec("plain", square, params={"n": 3}),
            hx.NodeSpec("trains", lambda n: n + 1, requires={"gpu"}).after("plain"),
            hx.NodeSpec("stores", lambda n: n + 1, requires={"gpu", "db"}).after("trains"),
            hx.NodeSpec("flies", lambda n: n, requires={"gpu", "wings"}).after("stores"),
        ]
        run = lab.start(hx.Dag.of(*chained))
        until(lambda: run.nodes["stores"].state == "SUCCEEDED")
        assert run.result("stores") == 11
        assert run.why("flies") == 'no worker has "wings"'


# -- context


def test_a_node_sees_its_graph_changes_it_and_waits(lab: hx.Lab) -> None:
    def researches() -> list[Any]:
        ctx = hx.context()
        if ctx.restored is None:
            ctx.checkpoint({"complexity": 0.9})
        deep = hx.NodeSpec("deep", square, params={"n": 3}).after("researches")
        state = ctx.wait_for(ctx.propose(ctx.dag.add_node(deep), "it is complex", key="deep"))
        return [state, ctx.version, ctx.restored, sorted(ctx.dag)]

    run = lab.start(hx.Dag.of(hx.NodeSpec("researches", researches)), policy="autopilot")
    results = run.wait(30)
    assert results["researches"] == ["APPLIED", 2, {"complexity": 0.9}, ["researches"]]
    assert results["deep"] == 9


def test_progress_is_shown_and_not_journaled(lab: hx.Lab, gate: Path) -> None:
    def tells(gate: str) -> None:
        hx.context().progress(0.5, "half")
        pass_gate(gate)

    run = lab.start(hx.Dag.of(hx.NodeSpec("tells", tells, params={"gate": str(gate)})))
    note = until(lambda: run.feed.notes.get("tells"))
    assert (note.fraction, note.text) == (0.5, "half")
    open_gate(gate)
    run.wait(30)
    assert not [e for e in run.events() if "half" in repr(e)]


def test_results_can_be_awaited(lab: hx.Lab) -> None:
    assert asyncio.run(asyncio.wait_for(_awaited(lab.start(hx.Dag.of(one))), 30)) == {"one": 1}


async def _awaited(run: Any) -> Any:
    return await run
