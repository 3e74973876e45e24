"""Bad input gets a clear error: what it is, where, and what to do instead; and nothing is lost."""

from __future__ import annotations

import socket
import threading
import time
from typing import Any

import pytest

import hexdag_lab as hx
from tests.lab import gates
from tests.lab.conftest import fit, load, report


def test_a_cycle_names_its_path() -> None:
    spec = hx.NodeSpec
    with pytest.raises(hx.CycleError, match=r"a -> b -> c -> a") as cycle:
        hx.Dag.of(spec("a", lambda c: c), spec("b", lambda a: a), spec("c", lambda b: b))
    assert cycle.value.path == ("a", "b", "c", "a")
    dag = hx.Dag.of(load, fit.after("load"), report.after("fit"))
    with pytest.raises(hx.CycleError) as later:
        dag.add_edge("report", "load")
    assert set(later.value.path) == {"load", "fit", "report"}
    assert later.value.path[0] == later.value.path[-1]
    assert isinstance(later.value, ValueError)


def test_an_unknown_upstream() -> None:
    with pytest.raises(hx.UnknownNode, match="'nope'"):
        hx.Dag.of(fit.after("nope"))
    dag = hx.Dag.of(load)
    with pytest.raises(hx.UnknownNode, match="'laod'"):
        dag.add_node(fit.after("laod"))
    with pytest.raises(hx.UnknownNode):
        dag.add_edge("load", "nope")


def test_a_duplicate_node_name() -> None:
    with pytest.raises(hx.DuplicateNode, match="load"):
        hx.Dag.of(load, load)
    with pytest.raises(hx.DuplicateNode, match="'load' is already a node"):
        hx.Dag.of(load).add_node(load)


@pytest.mark.parametrize("name", ["", "a b", "1st", "a.b", "a/b", "class", "x" * 129, "<lambda>"])
def test_an_unusable_node_name(name: str) -> None:
    with pytest.raises(hx.InvalidName, match="cannot name a node"):
        hx.NodeSpec(name, lambda: 1)


def test_a_parameter_that_matches_nothing() -> None:
    with pytest.raises(hx.UnboundParameter, match=r"'dept' matches nothing.*depth"):
        fit.as_node("fit_5", dept=5)


@pytest.mark.parametrize("key", ["pth", "fit.dept", "nope.depth", "load", "fit.load", ""])
def test_an_unknown_input(lab: hx.Lab, dag: hx.Dag, key: str) -> None:
    with pytest.raises(hx.UnboundParameter, match="matches no free parameter; what can be given: depth, path"):
        lab.start(dag, inputs={key: 1})
    assert lab.runs() == []


def test_an_input_whose_every_taker_has_a_value_of_its_own(lab: hx.Lab) -> None:
    with pytest.raises(hx.UnboundParameter, match="'depth' matches no free parameter"):
        lab.start(hx.Dag.of(load, fit.as_node("fit", depth=1).after("load")), inputs={"depth": 1})


def test_a_missing_input(lab: hx.Lab) -> None:
    dag = hx.Dag.of(hx.NodeSpec("a", lambda seed: seed), hx.NodeSpec("b", lambda a, size: a))
    assert dag.inputs == ("seed", "size")
    with pytest.raises(hx.UnboundParameter, match="input 'size' is missing: b needs it"):
        lab.start(dag, inputs={"seed": 1})
    assert lab.start(dag, inputs={"seed": 1, "b.size": 2}).wait(10) == {"a": 1, "b": 1}


def test_an_input_that_cannot_be_shipped(lab: hx.Lab, dag: hx.Dag) -> None:
    with pytest.raises(hx.SchemaError):
        lab.start(dag, inputs={"path": threading.Lock()})


def test_a_function_that_cannot_be_shipped(lab: hx.Lab, running: hx.Run) -> None:
    lock = threading.Lock()
    locked = hx.NodeSpec("locked", lambda: lock.acquire())
    with pytest.raises(hx.SchemaError, match="node 'locked' cannot be shipped to a worker"):
        lab.start(hx.Dag.of(locked))
    with pytest.raises(hx.SchemaError, match="node 'locked'"):
        running.propose(hx.Changeset.on(running.dag).add_node(locked))
    assert running.proposals == {}


def test_what_is_no_graph_and_no_schedule(lab: hx.Lab, dag: hx.Dag) -> None:
    with pytest.raises(TypeError, match="start takes a Dag, not list"):
        lab.start([load])  # type: ignore[arg-type]
    with pytest.raises(ValueError, match='schedule is "ready" or "waves"'):
        lab.start(dag, schedule="sometimes")
    with pytest.raises(hx.SchemaError, match="budget is a number"):
        lab.start(dag, budget="much")
    with pytest.raises(ValueError, match="policy is a policy or one of"):
        lab.start(dag, policy="anarchy")


@pytest.mark.dask
@pytest.mark.timeout(20)
@pytest.mark.parametrize("silent", [False, True], ids=["nobody is there", "somebody who never says a word"])
def test_a_scheduler_where_nobody_answers_fails_within_five_seconds(silent: bool) -> None:
    with socket.socket() as somebody:
        somebody.bind(("127.0.0.1", 0))
        if silent:
            somebody.listen()
        address = f"tcp://127.0.0.1:{somebody.getsockname()[1]}"
        began = time.monotonic()
        with pytest.raises(hx.PoolUnavailable, match=address):
            hx.Lab(pool=address, store="memory://")
        assert time.monotonic() - began < 5.5
    with hx.Lab(pool="inline", store="memory://") as lab:
        assert lab.leads, "a lab that failed to open leaves nothing behind"


@pytest.mark.parametrize("pool", ["nope", "", 7])
def test_what_is_no_pool(pool: Any) -> None:
    with pytest.raises((ValueError, TypeError, hx.PoolUnavailable)):
        hx.Lab(pool=pool, store="memory://")


@pytest.mark.parametrize("store", ["nope", "oracle://x", "sqlite://x", "sqlite:///"])
def test_what_is_no_store(store: str) -> None:
    with pytest.raises(ValueError, match="sqlite"):
        hx.Lab(pool="inline", store=store)


def test_a_store_that_cannot_be_written(tmp_path: Any) -> None:
    (tmp_path / "lab.db").write_text("this is no database, but a letter to a friend" * 40)
    with pytest.raises(hx.StoreUnavailable):
        hx.Lab(pool="inline", store=f"sqlite:///{tmp_path}/lab.db")


def test_unknown_nodes_of_a_run(running: hx.Run) -> None:
    for look in (running.result, running.why, running.story, running.inputs):
        with pytest.raises(hx.UnknownNode, match="no node 'nope' in v1 of run run-1"):
            look("nope")
    with pytest.raises(hx.UnknownNode, match="no node 'nope', so there is nothing to reload; there is fit, held, load"):
        running.reload(hx.NodeSpec("nope", lambda: 1))
    with pytest.raises(hx.UnknownNode, match="versions 1 to 1, and no 2"):
        running.diff(1, 2)


@pytest.mark.parametrize("bad", [{"id": ""}, {"id": 7}, {"id": "x", "role": "boss"}])
def test_agents_that_cannot_be(bad: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"an agent needs a name|role is one of"):
        hx.Agent(**bad)


def test_agents_with_wrong_functions(lab: hx.Lab) -> None:
    with pytest.raises(TypeError, match="vote is a function"):
        hx.Agent("x", vote="yes")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="add_agent takes an Agent"):
        lab.add_agent("marie")  # type: ignore[arg-type]


def test_nothing_is_lost_by_any_of_it(lab: hx.Lab, running: hx.Run) -> None:
    for bad in (lambda: running.result("nope"), lambda: running.propose("x"), lambda: lab.attach("no")):  # type: ignore[arg-type]
        with pytest.raises((hx.HexdagError, TypeError)):
            bad()
    gates.open_gate("held")
    assert set(running.wait(10)) == {"load", "fit", "held"}
