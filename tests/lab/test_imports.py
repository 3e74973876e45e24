"""Graphs from elsewhere compute here what they compute there, and what cannot be carried over is refused by name."""

from __future__ import annotations

import asyncio
import sys
import threading
from types import ModuleType
from typing import Any

import dask
import pytest
from pydantic import BaseModel

import hexdag_lab as hx

HEXDAG = "hexdag 0.8 is not installed: it needs Python 3.12, and is in the group `bench`"


def results(lab: hx.Lab, dag: hx.Dag, **inputs: Any) -> Any:
    return lab.start(dag, inputs=inputs).wait(30)


def last(lab: hx.Lab, dag: hx.Dag) -> Any:
    """The result of the one node that nothing depends on."""
    (end,) = [name for name in dag if not dag.dependents(name)]
    return results(lab, dag)[end]


# -- dask.delayed


def inc(x: int) -> int:
    return x + 1


def total(parts: list[int], scale: int = 1) -> int:
    return sum(parts) * scale


def words() -> Any:
    one, two = dask.delayed(inc)(1), dask.delayed(inc)(2)
    return dask.delayed(total)([one, two, inc(3)], scale=dask.delayed(inc)(one))


DELAYED = {
    "calls in lists and keywords": words,
    "operators": lambda: (dask.delayed(inc)(1) + 5) * 2,
    "attributes and methods": lambda: dask.delayed("a b").split(),
    "items": lambda: dask.delayed({"k": [1, 2]})["k"][1],
    "a value alone": lambda: dask.delayed(7),
    "several results": lambda: dask.delayed(divmod, nout=2)(7, 2)[1] + dask.delayed(inc)(1),
    "dicts with calls in them": lambda: dask.delayed(sorted)({"a": dask.delayed(inc)(1), "b": 2}),
    "names that are no names": lambda: dask.delayed(inc)(1, dask_key_name="1st, of ünusual name!"),
    "a keyword": lambda: dask.delayed(inc)(1, dask_key_name="class"),
    "the same call twice": lambda: dask.delayed(total)([dask.delayed(inc, pure=True)(1)] * 2),
    "an array of blocks": lambda: dask.delayed(float)(pytest.importorskip("dask.array").ones(8, chunks=4).sum()),
}


def _chain(length: int) -> Any:
    link = dask.delayed(inc)(0)
    for _ in range(length - 1):
        link = dask.delayed(inc)(link)
    return link


@pytest.mark.parametrize("make", [pytest.param(make, id=name) for name, make in DELAYED.items()])
def test_a_delayed_object_computes_what_it_computes_there(lab: hx.Lab, make: Any) -> None:
    source = make()
    assert last(lab, hx.from_delayed(source)) == source.compute()


def test_each_call_is_a_node_named_by_its_function() -> None:
    dag = hx.from_delayed(words())
    assert set(dag) == {"inc", "inc_2", "inc_3", "total"}
    assert dag.dependencies("total") == {"inc", "inc_2", "inc_3"}


def test_nodes_of_one_function_are_numbered_as_the_program_calls_it(lab: hx.Lab) -> None:
    source = dask.delayed(total)([dask.delayed(inc)(number) for number in range(6)])
    named = {"inc" if number == 0 else f"inc_{number + 1}": number + 1 for number in range(6)}
    assert results(lab, hx.from_delayed(source)) == {**named, "total": 21}


def test_a_long_chain_is_no_matter() -> None:
    assert len(hx.from_delayed(_chain(2000)).waves) == 2000


def test_what_the_result_does_not_need_is_left_out(lab: hx.Lab) -> None:
    from dask.delayed import Delayed
    from dask.highlevelgraph import HighLevelGraph

    layers = {"side": {"side": (inc, 8)}, "main": {"main": (inc, 1)}}
    source = Delayed("main", HighLevelGraph(layers, {"side": set(), "main": set()}))
    dag = hx.from_delayed(source)
    assert set(dag) == {"main"}
    assert last(lab, dag) == source.compute() == 2


def test_it_runs_on_dask_workers() -> None:
    source = words()
    with hx.Lab(pool="dask", store="memory://", workers=1) as lab:
        assert last(lab, hx.from_delayed(source)) == source.compute()


def test_what_cannot_be_shipped_is_named_with_its_call() -> None:
    with pytest.raises(hx.SchemaError, match=r"from_delayed: type \(.*cannot be shipped.*lock"):
        hx.from_delayed(dask.delayed(type)(threading.Lock()))


def test_other_collections_are_refused() -> None:
    with pytest.raises(hx.SchemaError, match=r"one dask.delayed object, not a builtins.list; wrap"):
        hx.from_delayed([dask.delayed(inc)(1)])


# -- functions


SOURCE = """
from math import sqrt

import hexdag_lab as hx

def rows(path): return [len(path), 9]
def _helper(x): return sqrt(x)
def roots(rows, digits=1): return [round(_helper(row), digits) for row in rows]
async def report(roots, title): return f"{title}: {roots}"
@hx.node(name="audit", retries=2)
def checked(rows): return len(rows)
again = roots
class Table: ...
"""


@pytest.fixture
def module(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    made = ModuleType("pipeline_of_functions")
    monkeypatch.setitem(sys.modules, made.__name__, made)
    exec(SOURCE, vars(made))
    return made


def test_a_module_of_functions_is_wired_by_the_names_of_parameters(lab: hx.Lab, module: ModuleType) -> None:
    dag = hx.from_functions(module)
    assert dag.edges == {("rows", "roots"), ("roots", "report"), ("rows", "audit")}
    assert dag.inputs == ("path", "title")
    assert dag.nodes["audit"].retries == 2
    rows = module.rows("four")
    assert results(lab, dag, path="four", title="Roots") == {
        "rows": rows, "roots": module.roots(rows), "audit": 2,
        "report": asyncio.run(module.report(module.roots(rows), "Roots")),
    }  # fmt: skip


def test_what_is_no_module_or_has_no_functions_is_refused() -> None:
    with pytest.raises(hx.SchemaError, match="takes a module"):
        hx.from_functions([inc])  # type: ignore[arg-type]
    with pytest.raises(hx.SchemaError, match="module empty has no functions of its own"):
        hx.from_functions(ModuleType("empty"))


# -- hexdag


class Row(BaseModel):
    n: int


def first(text: str) -> dict[str, int]:
    return {"n": len(text)}


async def second(row: Row) -> int:
    return row.n * 10


def both(found: dict[str, Any]) -> list[Any]:
    return [found["one"], found["two"], sorted(found)]


def graph(**options: Any) -> Any:
    dag = pytest.importorskip("hexdag.kernel.domain.dag", reason=HEXDAG)
    return dag.DirectedGraph([
        dag.NodeSpec("one", first),
        dag.NodeSpec("two", second, in_model=Row, **options).after("one"),
        dag.NodeSpec("three", both).after("one", "two"),
    ])  # fmt: skip


def test_a_graph_of_hexdag_computes_what_its_orchestrator_does(lab: hx.Lab) -> None:
    source = graph(timeout=30.0, max_retries=3, retry_delay=0.5)
    orchestrator = pytest.importorskip("hexdag.kernel.orchestration.orchestrator", reason=HEXDAG)
    there = asyncio.run(orchestrator.Orchestrator().run(source, "four"))
    dag = hx.from_hexdag(source)
    assert dag.inputs == ("initial_input",)
    assert there["three"] == [{"n": 4}, 40, ["one", "two"]]
    assert results(lab, dag, initial_input="four") == there
    two = dag.nodes["two"]
    assert (two.retries, two.backoff, two.timeout) == (2, 0.5, 30.0)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"when": "one.n > 3"}, "node 'two' has when='one.n > 3': it runs only where an expression"),
        ({"on_error": "one"}, "node 'two' has on_error='one'"),
        ({"required_inputs": ("n",)}, "node 'two' has required_inputs"),
        ({"params": {"input_mapping": {"n": "one.n"}}}, "node 'two' has an input_mapping"),
        ({"retry_backoff": 3.0}, "node 'two' has retry_backoff=3.0"),
        ({"factory_class": "hexdag.stdlib.nodes.LLMNode"}, "was made by a factory"),
    ],
)
def test_what_only_hexdag_can_run_is_refused_by_node_and_field(options: dict[str, Any], message: str) -> None:
    with pytest.raises(hx.SchemaError, match=message):
        hx.from_hexdag(graph(**options))


def test_something_else_than_a_graph_of_hexdag_is_refused() -> None:
    with pytest.raises(hx.SchemaError, match="takes a hexdag DirectedGraph, not dict"):
        hx.from_hexdag({})
