"""New code for nodes of a graph: which nodes it is for, and what it may not change."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import BaseModel

import hexdag_lab as hx
from hexdag_lab.core.dag.reload import reloaded


@hx.node
def load(path: str = "x.csv") -> str:
    return path


@hx.node(retries=1)
def fit(load: str, depth: int = 3) -> str:
    return f"{load}@{depth}"


DAG = hx.Dag.of(load, fit, fit.as_node("fit_9", depth=9))


def new(body: Any = None, **options: Any) -> Any:
    """`fit` as a cell would define it anew."""

    def fit(load: str, depth: int = 3) -> str:
        return f"{load}:{depth}"

    fit.__qualname__ = "fit"
    return hx.node(**options)(fit) if options else fit


def test_new_code_is_for_the_node_of_the_functions_name_and_for_those_made_of_it() -> None:
    change = reloaded(DAG, new())
    assert change.changed == ("fit", "fit_9")
    assert change.target is not None
    after = change.target.nodes
    assert after["fit_9"].params == {"depth": 9}
    assert after["fit"].code.digest == after["fit_9"].code.digest != DAG.nodes["fit"].code.digest
    assert {(h.running, h.finished) for h in change.handling.values()} == {("finish_old", "keep")}


def test_a_plain_function_brings_its_code_only_and_a_node_its_options() -> None:
    target = reloaded(DAG, new()).target
    assert target is not None
    assert target.nodes["fit"].retries == 1
    target = reloaded(DAG, new(retries=5)).target
    assert target is not None
    assert (target.nodes["fit_9"].retries, target.nodes["fit_9"].params) == (5, {"depth": 9})


def test_a_spec_is_for_its_own_node() -> None:
    assert reloaded(DAG, hx.NodeSpec("fit_9", lambda load: load)).changed == ("fit_9",)


def test_the_wires_stay_or_it_is_no_reload() -> None:
    def fit(depth: int = 3) -> str:
        return str(depth)

    with pytest.raises(hx.UnboundParameter, match="load fills its parameter 'load', which the new code does not take"):
        reloaded(DAG, fit)

    def fit(data: str) -> str:  # type: ignore[no-redef]
        return data

    with pytest.raises(hx.UnboundParameter, match="put it back, or propose it as a change of the graph"):
        reloaded(DAG, fit)


def test_models_are_held_against_each_other_along_the_edges() -> None:
    class Row(BaseModel):
        x: int

    class Other(BaseModel):
        y: int

    def rows() -> dict[str, int]:
        return {"x": 1}

    def reads(rows: Any) -> int:
        return 1

    dag = hx.Dag.of(hx.NodeSpec("rows", rows, out_model=Row), hx.NodeSpec("reads", reads, in_model=Row))
    with pytest.raises(hx.TypeMismatch, match=r"Other has no field 'x', which .*Row requires"):
        reloaded(dag, hx.node(out_model=Other)(rows))


def test_what_is_not_in_the_graph_cannot_be_reloaded() -> None:
    with pytest.raises(hx.UnknownNode, match="there is no node 'plot', so there is nothing to reload"):
        reloaded(DAG, hx.NodeSpec("plot", lambda: 1))
