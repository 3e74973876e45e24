"""Results that are used again, in a whole lab: two runs, versions of one, a lab that is opened again, both pools."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import hexdag_lab as hx
from hexdag_lab.runtime import wire
from tests.lab.conftest import until
from tests.runtime.kit import executions, open_gate, pass_gate, ran

POOLS = ["inline", pytest.param("dask", marks=pytest.mark.dask)]
FROM_V1 = "reused from v1: same code, same inputs"


def load(witness: str, rows: int = 3) -> list[int]:
    ran(witness, "load")
    return list(range(rows))


def total(load: list[int], witness: str) -> int:
    ran(witness, "total")
    return sum(load)


def large(load: list[int], witness: str) -> bytes:
    ran(witness, "large")
    return bytes(200_000) + bytes(load)


def held(gate: str) -> None:
    """The run goes on until the test opens the gate."""
    pass_gate(gate)


def all_but_held(run: hx.Run) -> bool:
    """Whether all else is done, so that it can be used again."""
    left = {name: node.state for name, node in run.nodes.items() if node.state != "SUCCEEDED"}
    return left == {"held": "RUNNING"}


def graph(witness: Path, **options: Any) -> hx.Dag:
    """load > total, load > large; all of them ask for it."""
    params = {"witness": str(witness)}
    return hx.Dag.of(
        hx.NodeSpec("load", load, params=params, cache=True),
        hx.NodeSpec("total", total, params=params, cache=True),
        hx.NodeSpec("large", large, params=params, cache=True, durable=True),
    )


def lab_at(home: Path, pool: str) -> hx.Lab:
    return hx.Lab(pool=pool, store=f"sqlite:///{home}/lab.db", owner="dana", workers=2)


@pytest.fixture
def witness(tmp_path: Path) -> Path:
    return tmp_path / "witness"


@pytest.mark.parametrize("pool", POOLS)
def test_a_second_run_and_a_lab_that_is_opened_again_run_nothing(tmp_path: Path, witness: Path, pool: str) -> None:
    with lab_at(tmp_path, pool) as lab:
        first = lab.start(graph(witness), run_id="first")
        results = first.wait(40)
        second = lab.start(graph(witness), run_id="second")
        assert second.wait(20) == results
        assert {second.why(name) for name in second.dag} == {"reused from first: same code, same inputs"}
        assert second.nodes["total"].reused == "reused from first: same code, same inputs"
        assert first.nodes["total"].reused is None
        assert first.nodes["total"].missed == "no cached result"
    with lab_at(tmp_path, pool) as again:
        third = again.start(graph(witness))
        assert third.wait(20) == results
        assert again.attach("second").why("large") == "reused from first: same code, same inputs"
    assert executions(witness) == {"load": 1, "total": 1, "large": 1}


@pytest.mark.parametrize("pool", POOLS)
def test_a_rerun_that_gives_an_equal_value_runs_nothing_below_it(tmp_path: Path, witness: Path, pool: str) -> None:
    gate = tmp_path / "gate"
    with lab_at(tmp_path, pool) as lab:
        dag = graph(witness).add_node(hx.NodeSpec("held", held, params={"gate": str(gate)}))
        run = lab.start(dag)
        until(lambda: all_but_held(run), 40)

        def load(witness: str, rows: int = 3) -> list[int]:
            ran(witness, "load")
            return [*range(rows)]

        change = hx.Changeset.on(run.dag).replace_node("load", load, finished="rerun", running="restart")
        assert run.propose(change).wait(40) == "APPLIED"
        until(lambda: run.nodes["total"].state == "SUCCEEDED", 40)
        assert run.why("total") == FROM_V1 == run.nodes["total"].reused
        assert run.nodes["load"].missed == "re-run: its code changed"
        told = run.story("total")
        assert told[-1].endswith(f"total {FROM_V1}")
        open_gate(gate)
        assert run.wait(20)["total"] == 3
    assert executions(witness) == {"load": 2, "total": 1, "large": 1}


def test_a_changed_parameter_is_a_miss_that_says_so(lab: hx.Lab, witness: Path, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    run = lab.start(graph(witness).add_node(hx.NodeSpec("held", held, params={"gate": str(gate)})))
    until(lambda: all_but_held(run))
    spec = run.dag.nodes["load"].but(params={"witness": str(witness), "rows": 4})
    run.propose(hx.Changeset.on(run.dag).replace_node("load", spec, finished="rerun", running="restart"))
    open_gate(gate)
    assert run.wait(20)["total"] == 6
    assert run.nodes["load"].missed == "re-run: params changed: rows"
    assert run.nodes["total"].missed == "re-run: upstream load changed"
    assert any("total: re-run: upstream load changed" in line for line in run.story("total"))


def test_a_fork_takes_over_what_had_finished_and_finds_the_rest(lab: hx.Lab, witness: Path) -> None:
    run = lab.start(graph(witness), run_id="one")
    run.wait(20)
    before = next(e.seq for e in run.events() if e.kind == "NodeSucceeded" and e.node == "load")
    fork = run.fork(at=before)
    assert fork.wait(20) == run.results()
    assert fork.why("total") == "reused from one: same code, same inputs"
    assert executions(witness)["total"] == 1


def test_who_does_not_ask_runs_each_time(lab: hx.Lab, witness: Path) -> None:
    dag = hx.Dag.of(hx.NodeSpec("load", load, params={"witness": str(witness)}))
    for _ in range(2):
        run = lab.start(dag)
        run.wait(20)
        assert (run.why("load"), run.nodes["load"].missed) == (None, None)
    assert executions(witness) == {"load": 2}


def test_another_run_that_differs_says_from_which(lab: hx.Lab, witness: Path) -> None:
    lab.start(graph(witness), run_id="one").wait(20)
    dag = graph(witness)
    run = lab.start(dag.replace_node("load", dag.nodes["load"].but(params={"witness": str(witness), "rows": 4})))
    run.wait(20)
    assert run.nodes["load"].missed == "not as in one: params changed: rows"
    assert run.nodes["total"].missed == "not as in one: upstream load changed"


def test_two_stores_know_nothing_of_each_other(lab: hx.Lab, witness: Path, tmp_path: Path) -> None:
    lab.start(graph(witness)).wait(20)
    with lab_at(tmp_path, "inline") as other:
        other.start(graph(witness)).wait(20)
    assert executions(witness)["load"] == 2


def test_a_result_that_differs_each_time_is_a_miss_below_and_no_error(lab: hx.Lab, witness: Path) -> None:
    class Odd:
        """Its pickle has a number that counts up."""

        made = 0

        def __reduce__(self) -> Any:
            Odd.made += 1
            return int, (Odd.made,)

    def odd(witness: str) -> Any:
        ran(witness, "odd")
        return Odd()

    def use(odd: Any, witness: str) -> str:
        ran(witness, "use")
        return str(odd)

    params = {"witness": str(witness)}
    dag = hx.Dag.of(hx.NodeSpec("odd", odd, params=params), hx.NodeSpec("use", use, params=params, cache=True))
    for _ in range(2):
        run = lab.start(dag)
        run.wait(20)
    assert run.nodes["use"].missed == "not as in run-1: upstream odd changed"
    assert executions(witness)["use"] == 2


def test_blobs_that_are_gone_are_a_miss(tmp_path: Path, witness: Path) -> None:
    with lab_at(tmp_path, "inline") as lab:
        lab.start(graph(witness)).wait(20)
        for blob in (tmp_path / "blobs").glob("*/*"):
            if blob.stat().st_size > 200_000:
                blob.unlink()
        run = lab.start(graph(witness))
        assert run.wait(20)["large"] == bytes(200_000) + bytes([0, 1, 2])
        assert run.nodes["large"].reused is None
        assert run.nodes["total"].reused
    assert executions(witness) == {"load": 1, "total": 1, "large": 2}


@pytest.fixture
def keys(tmp_path: Path, witness: Path) -> Iterator[tuple[hx.Lab, Any, list[str]]]:
    """A lab whose first run is over, its store, and the keys under which results are found."""
    with lab_at(tmp_path, "inline") as lab:
        run = lab.start(graph(witness), run_id="first")
        run.wait(20)
        found = [rec.reuse.made.key for _, rec in sorted(run.view.state.nodes.items())]
        yield lab, lab._store, [wire.cached(key) for key in found]


def put(lab: hx.Lab, store: Any, key: str, data: bytes) -> None:
    lab._session.run(store.commit(puts={key: data}))


def test_the_index_names_a_row_of_the_journal(keys: tuple[hx.Lab, Any, list[str]]) -> None:
    lab, store, (_, loaded, _) = keys
    row = json.loads(lab._session.run(store.get(loaded)).data)
    event = lab.attach("first").events()[row["seq"] - 1]
    assert (row["run"], row["node"], event.node, event.result.where) == ("first", "load", "load", "inline")


@pytest.mark.parametrize(
    "damage",
    [b"nonsense", b"{}", b'{"run": "first", "seq": 99999, "node": "load", "version": 1, "seconds": 0}',
     b'{"run": "first", "seq": 1, "node": "load", "version": 1, "seconds": 0}'],
    ids=["no JSON", "no fields", "no such row", "another event"],
)  # fmt: skip
def test_an_entry_that_cannot_be_read_is_a_miss(
    keys: tuple[hx.Lab, Any, list[str]], damage: bytes, witness: Path
) -> None:
    lab, store, (_, loaded, _) = keys
    put(lab, store, loaded, damage)
    run = lab.start(graph(witness))
    assert run.wait(20)["load"] == [0, 1, 2]
    assert run.nodes["load"].missed == "no cached result"
    assert run.why("total") == "reused from first: same code, same inputs", "its input is equal again"
