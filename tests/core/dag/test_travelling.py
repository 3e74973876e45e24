"""Graphs between processes: pickled by reference from modules, by value from notebooks."""

import pickle
from typing import Any

import cloudpickle
from pydantic import BaseModel

from hexdag_lab.core.base.codec import dumps, loads
from hexdag_lab.core.dag.dag import Dag
from hexdag_lab.core.dag.node import Node, NodeSpec, node
from tests.core.processes import output_of


class Rows(BaseModel):
    rows: list[int]


@node(out_model=Rows)
def load(path: str = "data.csv") -> Any:
    return {"rows": [len(path)]}


@node(retries=3, in_model=Rows)
def fit(load: Any, depth: int = 3) -> int:
    return depth if depth < 1 else fit(load, depth - 1)


def render(result: Any) -> Any:
    return result


def graph() -> Dag:
    return Dag.of(load, fit, fit.as_node("fit_5", depth=5), NodeSpec("report", render).after("fit")).remove_node(
        "fit_5"
    )


def test_a_graph_can_be_pickled() -> None:
    dag = graph()
    again = pickle.loads(pickle.dumps(dag))
    assert again == dag
    assert again.version == dag.version == 2
    assert again.edges == dag.edges
    assert again.waves == dag.waves
    assert again.descends_from(dag._ancestry[0])  # type: ignore[index]
    assert again.nodes["fit"] == dag.nodes["fit"]


def test_functions_of_a_module_are_found_again() -> None:
    again = pickle.loads(pickle.dumps(graph()))
    assert again.nodes["fit"].fn is fit.__hexdag_fn__
    assert again.nodes["report"].fn is render
    assert again.nodes["load"].out_model.cls is Rows


def test_a_node_of_a_module_is_itself() -> None:
    assert pickle.loads(pickle.dumps(fit)) is fit
    assert cloudpickle.loads(cloudpickle.dumps(fit)) is fit


def test_functions_within_functions_travel_by_value() -> None:
    @node(timeout=3)
    def local(x: int = 1) -> int:
        return x + 1

    again = cloudpickle.loads(cloudpickle.dumps([local, Dag.of(local)]))
    assert isinstance(again[0], Node)
    assert (again[0].name, again[0](4)) == ("local", 5)
    assert again[0].spec.timeout == 3
    assert again[1] == Dag.of(local)


def test_a_graph_of_a_notebook_keeps_its_digest() -> None:
    """On the other side there is no source: the code hash comes along."""
    script = """
import cloudpickle, pickle, sys
from hexdag_lab.core.dag.dag import Dag
from hexdag_lab.core.dag.node import node

@node
def helper(x): return x + 1

@node(retries=2)
def count(n=3): return 0 if n < 1 else helper(count(n - 1))

dag = Dag.of(count)
data = cloudpickle.dumps((dag, count))
del count, helper
again, node_again = pickle.loads(data)
assert again == dag and again.nodes["count"].fn(3) == 3 and node_again(2) == 2, again
assert node_again._made is None
print(len(again))
"""
    assert output_of(script) == "1\n"


def test_a_graph_can_be_written_to_the_journal() -> None:
    again = loads(dumps(graph()))
    assert again == graph()
    assert again.nodes["fit"].fn is None
    assert again.nodes["fit"].code == graph().nodes["fit"].code


def test_plain_functions_that_a_decorator_has_replaced() -> None:
    """`render` in the module is the function; a spec whose function has no such name goes by value."""

    def inner(x: int) -> int:
        return x

    inner.__qualname__ = "render"
    spec = cloudpickle.loads(cloudpickle.dumps(NodeSpec("x", inner)))
    assert spec.fn(3) == 3
