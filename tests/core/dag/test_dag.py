"""`Dag` as a value: what it shows, and what each edit gives."""

from typing import Any

import pytest

from hexdag_lab.core.base.errors import CycleError, DagError, DuplicateNode, InvalidName, SchemaError, UnknownNode
from hexdag_lab.core.dag.dag import Dag
from hexdag_lab.core.dag.node import NodeSpec, node


@node
def load(path: str = "data.csv") -> Any: ...


@node(retries=2)
def fit(load: Any, depth: int = 3) -> Any: ...


@node
def score(fit: Any) -> Any: ...


def render(result: Any) -> Any: ...


@pytest.fixture
def dag() -> Dag:
    return Dag.of(load, fit, score)


class TestMaking:
    def test_a_new_graph_is_version_1(self, dag: Dag) -> None:
        assert dag.version == 1

    def test_nodes_specs_and_functions_are_taken(self) -> None:
        def bell() -> None: ...

        assert set(Dag.of(load, NodeSpec("x", render).after(load), bell).nodes) == {"load", "x", "bell"}

    def test_a_graph_may_be_empty(self) -> None:
        empty = Dag.of()
        assert (len(empty), empty.waves, empty.edges, empty.inputs) == (0, (), frozenset(), ())

    def test_a_name_can_be_given_once(self) -> None:
        with pytest.raises(DuplicateNode, match="'fit'"):
            Dag.of(load, fit, fit.as_node("fit"))

    def test_after_an_unknown_node(self) -> None:
        with pytest.raises(UnknownNode, match="no node 'raed', but x is to run after it; the nodes are load, x"):
            Dag.of(load, NodeSpec("x", render).after("raed"))

    @pytest.mark.parametrize("name", ["", "1st", "a b", "a.b", "class", "a\n", "x" * 129, "ﬁt", "a/b", "*"])
    def test_a_name_must_be_one(self, name: str) -> None:
        with pytest.raises(InvalidName):
            NodeSpec(name, render)

    @pytest.mark.parametrize("name", ["a", "_a1", "fit-5", "größe", "x" * 128, "match"])
    def test_a_name_may_be(self, name: str) -> None:
        assert name in Dag.of(NodeSpec(name, lambda: 1))

    def test_a_lambda_has_no_name(self) -> None:
        with pytest.raises(InvalidName, match=r"NodeSpec\('name', lambda"):
            Dag.of(lambda: 1)

    def test_what_is_no_node_is_refused(self) -> None:
        with pytest.raises(SchemaError, match="expected a node"):
            Dag.of([load, fit])


class TestCycles:
    def test_a_cycle_is_named_first_and_last_the_same(self) -> None:
        a, b = NodeSpec("a", lambda b: b), NodeSpec("b", lambda a: a)
        with pytest.raises(CycleError) as caught:
            Dag.of(load, a, b, NodeSpec("c", lambda a: a))
        path = caught.value.path
        assert path[0] == path[-1]
        assert set(path) == {"a", "b"}
        assert len(path) == 3

    def test_the_path_follows_the_edges(self, dag: Dag) -> None:
        with pytest.raises(CycleError) as caught:
            dag.add_edge("score", "load")
        assert caught.value.path == ("score", "load", "fit", "score")

    def test_an_edge_to_itself_is_a_cycle(self, dag: Dag) -> None:
        with pytest.raises(CycleError) as caught:
            dag.add_edge("fit", "fit")
        assert caught.value.path == ("fit", "fit")

    def test_code_that_asks_for_what_is_downstream_closes_a_cycle(self, dag: Dag) -> None:
        with pytest.raises(CycleError):
            dag.replace_node("load", lambda score: score)


class TestLooking:
    def test_nodes(self, dag: Dag) -> None:
        assert dag.nodes["fit"].name == "fit"
        assert dag.nodes[fit].retries == 2
        assert list(dag.nodes) == ["fit", "load", "score"]
        assert "fit" in dag.nodes
        assert dag.nodes.get("nope") is None
        with pytest.raises(UnknownNode, match="no node 'nope'; the nodes are fit, load, score"):
            dag.nodes["nope"]

    def test_it_contains_names(self, dag: Dag) -> None:
        assert "fit" in dag
        assert "nope" not in dag
        assert 7 not in dag
        assert len(dag) == 3
        assert list(dag) == ["fit", "load", "score"]

    def test_edges(self, dag: Dag) -> None:
        assert isinstance(dag.edges, frozenset)
        assert dag.edges == {("load", "fit"), ("fit", "score")}

    def test_neighbours_are_direct(self, dag: Dag) -> None:
        assert dag.dependencies("score") == frozenset({"fit"})
        assert dag.dependents(load) == frozenset({"fit"})
        assert isinstance(dag.dependents("score"), frozenset)
        for look in (dag.dependencies, dag.dependents):
            with pytest.raises(UnknownNode):
                look("nope")

    def test_below_is_everything_downstream(self, dag: Dag) -> None:
        assert dag.below("load") == {"fit", "score"}
        assert dag.below("fit", "score") == {"score"}

    def test_waves_are_sorted_generations(self) -> None:
        dag = Dag.of(load, NodeSpec("b", lambda load: 1), NodeSpec("a", lambda load: 1), NodeSpec("z", lambda a, b: 1))
        assert dag.waves == (("load",), ("a", "b"), ("z",))
        assert dag.level("z") == 2

    def test_waves_of_what_is_left(self, dag: Dag) -> None:
        assert dag.waves_after([]) == dag.waves
        assert dag.waves_after(["load"]) == (("fit",), ("score",))
        assert dag.waves_after({"fit"}) == (("load", "score"),)
        assert dag.waves_after([load, fit, score]) == ()
        with pytest.raises(UnknownNode):
            dag.waves_after(["nope"])

    def test_it_reads_well(self, dag: Dag) -> None:
        short = dag.digest.hex()[:8]
        assert repr(dag) == f"<Dag v1 {short}: 3 nodes in 3 waves>"
        assert str(dag) == f"Dag v1 {short}: 3 nodes in 3 waves\n  load\n  fit <- load\n  score <- fit"
        assert "1 node in 1 wave" in repr(Dag.of(load))

    def test_a_large_one_is_cut_short(self) -> None:
        text = str(Dag.of(*(NodeSpec(f"n{i}", lambda: 1) for i in range(100))))
        assert text.endswith("... and 60 more")


class TestEdits:
    def test_it_cannot_change(self, dag: Dag) -> None:
        for name in ("version", "entries", "digest", "anything"):
            with pytest.raises(AttributeError):
                setattr(dag, name, 7)

    def test_an_edit_gives_a_new_value(self, dag: Dag) -> None:
        before = (dag.digest, dag.version, dag.edges, dag.waves)
        after = dag.add_node(NodeSpec("report", render, params={}).after("score"))
        assert after.version == 2
        assert after.digest != dag.digest
        assert (dag.digest, dag.version, dag.edges, dag.waves) == before
        assert "report" not in dag

    def test_each_edit_counts(self, dag: Dag) -> None:
        dag = dag.add_node(NodeSpec("x", lambda: 1)).add_edge("x", "fit").remove_edge("x", "fit").remove_node("x")
        assert dag.version == 5

    def test_the_same_content_is_equal_whatever_its_history(self, dag: Dag) -> None:
        same = dag.add_node(NodeSpec("x", lambda: 1)).remove_node("x")
        assert same == dag
        assert hash(same) == hash(dag)
        assert same.digest == dag.digest
        assert same.version == 3

    def test_a_taken_name(self, dag: Dag) -> None:
        with pytest.raises(DuplicateNode, match="'fit' is already a node"):
            dag.add_node(fit.as_node("fit", depth=4))

    def test_a_node_after_an_unknown_one(self, dag: Dag) -> None:
        with pytest.raises(UnknownNode, match="'nope'"):
            dag.add_node(NodeSpec("x", render).after("nope"))

    def test_remove(self, dag: Dag) -> None:
        after = dag.remove_node("fit")
        assert after.edges == frozenset()
        assert after.waves == (("load", "score"),)
        assert after.inputs == ("fit",)
        with pytest.raises(UnknownNode):
            after.remove_node("fit")

    def test_removed_and_added_again(self, dag: Dag) -> None:
        again = dag.remove_node("fit").add_node(fit).add_edge("fit", "score")
        assert again == dag

    def test_replace_with_a_function_keeps_options_and_values(self) -> None:
        def better(load: Any, depth: int = 3) -> Any:
            return depth

        dag = Dag.of(load, fit.as_node("fit", depth=7)).replace_node("fit", better)
        spec = dag.nodes["fit"]
        assert (spec.fn, spec.retries, spec.params) == (better, 2, {"depth": 7})

    def test_replace_with_a_node_takes_its_options_and_keeps_values(self) -> None:
        @node(timeout=5)
        def better(load: Any, depth: int = 3) -> Any:
            return depth

        spec = Dag.of(load, fit.as_node("fit", depth=7)).replace_node("fit", better).nodes["fit"]
        assert (spec.name, spec.timeout, spec.retries, spec.params) == ("fit", 5, 0, {"depth": 7})

    def test_replace_with_a_spec_takes_it_whole_but_its_name(self, dag: Dag) -> None:
        spec = dag.replace_node("fit", NodeSpec("other", render)).nodes["fit"]
        assert (spec.name, spec.fn, spec.retries) == ("fit", render, 0)

    def test_replace_keeps_the_edges(self, dag: Dag) -> None:
        assert dag.replace_node("fit", lambda load, depth=1: 2).edges == dag.edges

    def test_replace_what_is_not_there(self, dag: Dag) -> None:
        with pytest.raises(UnknownNode):
            dag.replace_node("nope", render)

    def test_edges(self, dag: Dag) -> None:
        dag = dag.add_node(NodeSpec("x", lambda: 1))
        assert dag.add_edge("x", "load").waves == (("x",), ("load",), ("fit",), ("score",))
        assert dag.add_edge("x", "load").remove_edge("x", "load") == dag
        with pytest.raises(DagError, match="no edge x -> fit"):
            dag.remove_edge("x", "fit")
        for edit in (dag.add_edge, dag.remove_edge):
            with pytest.raises(UnknownNode):
                edit("nope", "fit")
            with pytest.raises(UnknownNode):
                edit("fit", "nope")

    def test_a_failed_edit_changes_nothing(self, dag: Dag) -> None:
        before = dag.digest
        with pytest.raises(DagError):
            dag.add_edge("score", "load")
        assert dag.digest == before
        assert dag.waves == (("load",), ("fit",), ("score",))


class TestSubgraphs:
    def test_the_roots_come_after_the_parent(self, dag: Dag) -> None:
        sub = Dag.of(NodeSpec("a", lambda model: 1), NodeSpec("b", lambda: 2), NodeSpec("c", lambda a, b: 3))
        merged = dag.merge_subgraph("fit", sub)
        assert merged.version == dag.version + 1
        assert merged.edges - dag.edges == {("fit", "a"), ("fit", "b"), ("a", "c"), ("b", "c")}
        assert [(w.up, w.param) for w in merged.wires("a")] == [("fit", "model")]
        assert [(w.up, w.param) for w in merged.wires("b")] == [("fit", None)]

    def test_a_subgraph_keeps_its_own_wiring(self, dag: Dag) -> None:
        sub = Dag.of(NodeSpec("a", lambda: 1), NodeSpec("b", lambda a, score: 2))
        merged = dag.merge_subgraph("fit", sub)
        assert ("score", "b") not in merged.edges
        assert merged.inputs == ("score",)

    def test_names_must_be_free_and_the_parent_known(self, dag: Dag) -> None:
        with pytest.raises(DuplicateNode):
            dag.merge_subgraph("fit", Dag.of(load))
        with pytest.raises(UnknownNode):
            dag.merge_subgraph("nope", Dag.of(NodeSpec("a", lambda: 1)))

    def test_an_empty_one(self, dag: Dag) -> None:
        assert dag.merge_subgraph("fit", Dag.of()) == dag


class TestDigest:
    def test_it_is_32_bytes(self, dag: Dag) -> None:
        assert isinstance(dag.digest, bytes)
        assert len(dag.digest) == 32

    def test_version_cost_and_layout_are_no_content(self, dag: Dag) -> None:
        assert dag.numbered(9).digest == dag.digest
        assert Dag.of(load, fit.spec.but(cost=5), score).digest == dag.digest

    @pytest.mark.parametrize(
        "changes",
        [
            {"retries": 3}, {"backoff": 2}, {"timeout": 9}, {"version": "2"}, {"agent": "ann"}, {"cache": False},
            {"cache": True},
            {"effects": True}, {"durable": True}, {"exclusive": "db"}, {"requires": {"gpu"}}, {"params": {"depth": 4}},
            {"fn": lambda load, depth=3: 0},
        ],
    )  # fmt: skip
    def test_everything_else_is(self, dag: Dag, changes: dict[str, Any]) -> None:
        assert Dag.of(load, fit.spec.but(**changes), score).digest != dag.digest

    def test_edges_and_what_they_fill_are_content(self) -> None:
        a, b = NodeSpec("a", lambda: 1), NodeSpec("b", lambda x=0, y=0: x)
        plain, ordered = Dag.of(a, b), Dag.of(a, b.after("a"))
        named = Dag.of(NodeSpec("x", lambda: 1), b)
        assert len({plain.digest, ordered.digest, named.digest}) == 3

    def test_a_graph_knows_what_it_comes_from(self, dag: Dag) -> None:
        later = dag.add_node(NodeSpec("x", lambda: 1)).remove_node("load")
        assert later.descends_from(dag.digest)
        assert later.descends_from(later.digest)
        assert not dag.descends_from(later.digest)
        assert not later.descends_from(Dag.of(load).digest)
