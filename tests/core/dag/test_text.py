"""Graphs as text: what goes in comes out again, and nothing else is taken."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from hexdag_lab.core.base.errors import CycleError, DagError, DuplicateNode, InvalidName, SchemaError, UnboundParameter
from hexdag_lab.core.dag import text
from hexdag_lab.core.dag.catalog import Catalog
from hexdag_lab.core.dag.dag import Dag
from hexdag_lab.core.dag.node import NodeSpec, node


@node
def load(path: str = "data.csv") -> Any: ...


@node(requires={"gpu"}, retries=2, timeout=9.5, version="3", agent="ann", effects=True, durable=True, cost=0.1)
def fit(load: Any, depth: int = 3) -> Any: ...


def render(result: Any) -> Any: ...


VALUES = {"a": [1, (2, b"x")], "n": float("inf"), "big": 2**80, 3: {4}}


@pytest.fixture
def dag() -> Dag:
    report = NodeSpec("report", render, exclusive="printer", cache=False).after("fit_5", "load")
    return Dag.of(
        load, fit, fit.as_node("fit_5", depth=5), report, NodeSpec("x", lambda v=None: v, params={"v": VALUES})
    )


class TestRoundTrip:
    def test_without_a_catalog_a_graph_can_be_looked_at(self, dag: Dag) -> None:
        again = Dag.from_json(dag.to_json())
        assert again == dag
        assert again.version == dag.version
        assert [again.wires(name) for name in again] == [dag.wires(name) for name in dag]
        assert again.nodes["x"].params == {"v": VALUES}
        assert type(again.nodes["x"].params["v"]["a"][1]) is tuple
        assert again.nodes["fit"].cost == dag.nodes["fit"].cost
        assert again.nodes["fit"].fn is None

    def test_the_text_is_what_json_would_write(self, dag: Dag) -> None:
        written = dag.to_json()
        assert json.dumps(json.loads(written), indent=1, ensure_ascii=False) == written

    def test_with_a_catalog_it_has_its_functions(self, dag: Dag) -> None:
        again = Dag.from_json(dag.to_json(), Catalog(load, fit, render, x=dag.nodes["x"]))
        assert again == dag
        assert again.nodes["fit_5"].fn is fit.__hexdag_fn__
        assert again.nodes["report"].fn is render

    def test_a_dict_of_functions_will_do(self, dag: Dag) -> None:
        functions = {"load": load, "fit": fit, "render": render, "x": dag.nodes["x"]}
        assert Dag.from_json(dag.to_json(), functions) == dag

    def test_functions_in_functions_are_found(self) -> None:
        def inner(load: Any) -> Any: ...

        dag = Dag.of(load, NodeSpec("a", inner), NodeSpec("b", inner))
        assert Dag.from_json(dag.to_json(), Catalog(load, inner)) == dag

    def test_the_same_code_is_found_under_any_name(self, dag: Dag) -> None:
        catalog = Catalog(one=load, two=fit.as_node("two", depth=9), three=render, four=dag.nodes["x"])
        again = Dag.from_json(dag.to_json(), catalog)
        assert again == dag
        assert again.nodes["fit_5"].params == {"depth": 5}

    def test_other_code_under_the_name_is_a_change(self, dag: Dag) -> None:
        def other(load: Any, depth: int = 3) -> Any:
            return depth

        catalog = Catalog(load, render, fit=other, x=dag.nodes["x"])
        assert Dag.from_json(Dag.of(load, fit.spec.but(version=None)).to_json(), catalog).nodes["fit"].fn is other

    def test_text_is_the_same_for_equal_graphs(self) -> None:
        assert Dag.of(fit, load).to_json() == Dag.of(load, fit).to_json()

    def test_it_goes_on_counting(self, dag: Dag) -> None:
        assert Dag.from_json(dag.add_node(NodeSpec("y", render)).to_json()).version == 2

    def test_a_cut_off_description_is_readable(self, dag: Dag) -> None:
        data = json.loads(dag.to_json())
        assert data["schema"] == 1
        assert ["load", "fit", "load"] in data["edges"]
        assert data["nodes"][0]["name"] == "fit"


Edit = Callable[[dict[str, Any]], Any]


class TestRefused:
    """Text may come from an agent or from anybody."""

    @pytest.mark.parametrize(
        ("text", "why"),
        [
            ("", "not JSON"),
            ("[1, 2", "not JSON"),
            ("7", "not a graph"),
            ("[]", "not a graph"),
            ('{"nodes": 7}', "not a graph"),
            ('{"nodes": [], "nodes": []}', "key 'nodes' stands twice"),
            ('{"schema": 1, "nodes": [], "x": NaN}', "NaN is not a finite number"),
            ('{"schema": 1, "nodes": [], "x": -Infinity}', "-Infinity is not a finite number"),
            ('{"schema": 2, "nodes": []}', "has schema 2, but this hexdag_lab reads schema 1: upgrade it"),
            ('{"nodes": []}', "has schema None"),
            ('{"schema": "1", "nodes": []}', "has schema '1'"),
            ('{"schema": true, "nodes": []}', "has schema True"),
            ('{"schema": 1, "nodes": [], "x": 1e999}', "1e999 is not a finite number"),
            ('{"schema": 1, "nodes": [], "edgse": []}', "a graph has no field 'edgse'; it has schema, version, nodes"),
            ('{"schema": 1, "nodes": [], "version": "x"}', "version of a graph is a number"),
            ('{"schema": 1, "nodes": [], "version": 0}', "version of a graph is a number"),
            ('{"schema": 1, "nodes": [7]}', "node 7 cannot be read"),
            ('{"schema": 1, "nodes": [], "edges": 7}', "'edges' is a list"),
        ],
    )
    def test_text(self, text: str, why: str) -> None:
        with pytest.raises(SchemaError, match=why):
            Dag.from_json(text)

    @pytest.mark.parametrize(
        ("edit", "why"),
        [
            (lambda d: d["edges"].append(["nope", "fit", None]), r"\['nope', 'fit', None\] does not lead from node"),
            (lambda d: d["edges"].append(["fit", "nope", None]), "does not lead from node to node"),
            (lambda d: d["edges"].append(["fit", "nope", None]), "there is no node 'nope'; add it, or drop the edge"),
            (lambda d: d["nodes"][0].update(retrys=3), "node 'fit': there is no field 'retrys'; a node has after, "),
            (lambda d: d["edges"].append(["load", "fit"]), "does not lead from node to node"),
            (lambda d: d["edges"].append([["load"], "fit", None]), "does not lead from node to node"),
            (lambda d: d["edges"].append(["load", "fit", 7]), "does not lead from node to node"),
            (lambda d: d["edges"].append(["load", "fit", None]), "edge load -> fit stands twice"),
            (lambda d: d["nodes"].append(d["nodes"][0]), "node name stands twice: 'fit'"),
            (lambda d: d["nodes"][0].pop("code"), "node 'fit' cannot be read"),
            (lambda d: d["nodes"][0]["code"].update(digest="xy"), "node 'fit' cannot be read"),
            (lambda d: d["nodes"][0]["code"].update(digest="ab"), "32 bytes"),
            (lambda d: d["nodes"][0]["code"].update(params=[["x"]]), "node 'fit' cannot be read"),
            (lambda d: d["nodes"][0].update(requires="gpu"), "'requires' is a list"),
            (lambda d: d["nodes"][0].update(after=[7]), "'after' is a list"),
            (lambda d: d["nodes"][0].update(cost="1e999999999"), "cost is a number"),
            (lambda d: d["nodes"][0].update(cost="1/0"), "node 'fit' cannot be read"),
            (lambda d: d["nodes"][0].update(retries="3"), "retries is a number"),
            (lambda d: d["nodes"][0].update(cache="no"), "cache is True or False"),
            (lambda d: d["nodes"][0].update(in_model={"name": 7}), "node 'fit' cannot be read"),
            (lambda d: d["nodes"][0].update(params={"depth": {"!": "Dag"}}), "'Dag' is no kind of plain data"),
            (lambda d: d["nodes"][0].update(params={"depth": {"!": "q", "v": "x"}}), "cannot read a q"),
            (lambda d: d["nodes"][0].update(params={"depth": {"!": "tuple"}}), "node 'fit' cannot be read"),
            (lambda d: d["nodes"][0].update(params=7), "params is a dict"),
        ],
    )
    def test_data(self, edit: Edit, why: str) -> None:
        data = json.loads(Dag.of(load, fit).to_json())
        edit(data)
        with pytest.raises(SchemaError, match=why):
            Dag.from_json(json.dumps(data))

    @pytest.mark.parametrize(
        ("edit", "kind"),
        [
            (lambda d: d["edges"].append(["fit", "load", None]), CycleError),
            (lambda d: d["edges"].append(["fit", "fit", None]), CycleError),
            (lambda d: d["nodes"][1].update(name="a b"), InvalidName),
            (lambda d: d["nodes"][0].update(params={"colour": 7}), UnboundParameter),
            (lambda d: d["edges"][0].__setitem__(2, "colour"), UnboundParameter),
            (lambda d: d["nodes"][0].update(params={"load": 7}), UnboundParameter),
        ],
    )
    def test_graphs_that_cannot_be(self, edit: Edit, kind: type[DagError]) -> None:
        data = json.loads(Dag.of(load, fit).to_json())
        edit(data)
        with pytest.raises(kind):
            Dag.from_json(json.dumps(data))

    def test_an_operation_that_the_catalog_does_not_have(self) -> None:
        with pytest.raises(SchemaError, match="node 'fit': the catalog has no operation 'fit'; it has load"):
            Dag.from_json(Dag.of(load, fit).to_json(), Catalog(load))

    @pytest.mark.parametrize(("start", "end"), [("[", "]"), ('{"a":', "}")])
    def test_ten_megabytes_of_nesting(self, start: str, end: str) -> None:
        times = 10**7 // (len(start) + len(end))
        with pytest.raises(SchemaError):
            Dag.from_json(start * times + "0" + end * times)
        with pytest.raises(SchemaError):
            Dag.from_json(start * 10**7)

    def test_nesting_within_the_limit_comes_back(self) -> None:
        value: Any = 0
        for _ in range(63):
            value = [value]
        dag = Dag.of(load, fit.as_node("fit", depth=value))
        assert Dag.from_json(dag.to_json()) == dag

    @pytest.mark.parametrize("depth", [65, 150, 400, 900])
    def test_nesting_that_json_would_still_read(self, depth: int) -> None:
        data = json.loads(Dag.of(load, fit).to_json())
        value: Any = 0
        for _ in range(depth):
            value = [value]
        data["nodes"][0]["params"] = {"depth": value}
        with pytest.raises(SchemaError, match=r"nested deeper than 64|not JSON"):
            Dag.from_json(json.dumps(data))


class TestOtherForms:
    def test_yaml_holds_the_same(self, dag: Dag) -> None:
        import yaml  # type: ignore[import-untyped]

        assert yaml.safe_load(dag.to_yaml()) == json.loads(dag.to_json())
        assert dag.to_yaml().startswith("schema: 1\nversion: 1\nnodes:\n- name: fit\n")

    def test_yaml_comes_back(self, dag: Dag) -> None:
        assert Dag.from_yaml(dag.to_yaml()) == dag
        again = Dag.from_yaml(dag.to_yaml().encode(), Catalog(load, fit, render, x=dag.nodes["x"]))
        assert again == dag
        assert again.nodes["report"].fn is render

    def test_yaml_may_be_written_by_hand(self) -> None:
        text = Dag.of(load, fit).to_yaml()
        by_hand = "# the graph of May\n" + text.replace("backoff: 1.5", "backoff: +1.50e+0  # seconds")
        assert Dag.from_yaml(by_hand) == Dag.of(load, fit)

    @pytest.mark.parametrize(
        ("text", "why"),
        [
            ("nodes: [", "not YAML: while parsing"),
            ("\x00", "not YAML: unacceptable character"),
            ("", "not a graph"),
            ("nodes: 1\nnodes: 2", "line 2: the key 'nodes' stands twice"),
            ("schema: 1\nnodes: &all []\nedges: *all", r"line 3: a graph has no references \(\*all\)"),
            ("schema: 1\nnodes: []\nversion: .inf", "line 3: .inf is not a finite number"),
            ("schema: 1\nnodes: []\nversion: 1.0e+999", "line 3: 1.0e[+]999 is not a finite number"),
            ("schema: 1\nnodes: []\nversion: 0x1F", "line 3: 0x1F is not a finite number as JSON has them"),
            ("schema: 1\nnodes: []\n1: 2", "line 3: a key is text, not '1': put it in quotes"),
            ("schema: 1\nnodes: []\n[a]: 2", "line 3: a key is text"),
            (
                "schema: 1\nnodes: !!python/object/apply:os.system [ls]",
                r"line 2: a graph has no tags \(tag:yaml.org,2002:python/obj",
            ),
            ("schema: 1\nnodes: !mine x", r"line 2: a graph has no tags \(!mine\)"),
            ("a: 1\n---\nb: 2", "not YAML: expected a single document"),
            ("[" * 10**6, "not YAML"),
        ],
    )
    def test_yaml_that_is_refused(self, text: str, why: str) -> None:
        with pytest.raises(SchemaError, match=why):
            Dag.from_yaml(text)

    def test_what_is_no_text_is_refused(self) -> None:
        for read in (Dag.from_json, Dag.from_yaml):
            with pytest.raises(SchemaError, match="a graph is read from text, not from int"):
                read(7)  # type: ignore[arg-type]

    def test_dot(self) -> None:
        text = Dag.of(load, fit).to_dot()
        assert text.startswith("digraph hexdag {\n")
        assert '  {rank=same; "load";}\n  {rank=same; "fit";}\n  "load" -> "fit";\n}\n' in text


class TestOlderAndNewer:
    def test_a_text_of_an_older_schema_is_brought_up_step_by_step(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """There is one schema yet: this is how the next ones will find the texts of today."""

        def renamed(data: dict[str, Any]) -> dict[str, Any]:
            return {**{key: value for key, value in data.items() if key != "steps"}, "nodes": data["steps"]}

        monkeypatch.setattr(text, "SCHEMA", 3)
        monkeypatch.setattr(text, "UPGRADES", {1: renamed, 2: lambda data: data})
        data = json.loads(Dag.of(load, fit).to_json())
        older = {"schema": 1, "steps": data["nodes"], "edges": data["edges"]}
        assert Dag.from_json(json.dumps(older)) == Dag.of(load, fit)
        with pytest.raises(SchemaError, match="has schema 4, but this hexdag_lab reads schema 3: upgrade it"):
            Dag.from_json(json.dumps({**data, "schema": 4}))


class TestCatalog:
    def test_it_gives_specs_by_name(self) -> None:
        catalog = Catalog(load, fit, show=render)
        assert list(catalog) == ["fit", "load", "show"]
        assert len(catalog) == 3
        assert catalog["show"].fn is render
        assert catalog.get("nope") is None

    def test_names_are_taken_once(self) -> None:
        with pytest.raises(DuplicateNode, match="'load' already"):
            Catalog(load, load)
