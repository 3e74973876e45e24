"""Wiring: which upstream fills which parameter, decided once, when a node enters a graph."""

from typing import Any

import pytest

from hexdag_lab.core.base.errors import DagError, UnboundParameter
from hexdag_lab.core.dag.dag import Dag
from hexdag_lab.core.dag.node import NodeSpec, node


@node
def load(path: str = "data.csv") -> list[int]:
    return [1, 2]


@node
def clean(load: list[int]) -> list[int]:
    return load


@node
def fit(load: list[int], depth: int = 3) -> int:
    return depth


def summarise(rows: list[int]) -> int:
    return len(rows)


def wires(dag: Dag, name: str) -> dict[str, str | None]:
    return {wire.up: wire.param for wire in dag.wires(name)}


class TestByName:
    def test_a_node_named_like_a_parameter_fills_it(self) -> None:
        dag = Dag.of(load, fit)
        assert dag.edges == {("load", "fit")}
        assert wires(dag, "fit") == {"load": "load"}

    def test_the_order_in_which_nodes_are_given_does_not_matter(self) -> None:
        assert Dag.of(fit, load) == Dag.of(load, fit)

    def test_a_parameter_with_a_default_is_filled_too(self) -> None:
        dag = Dag.of(load, fit, NodeSpec("depth", lambda: 5))
        assert wires(dag, "fit") == {"load": "load", "depth": "depth"}

    def test_a_parameter_with_a_default_may_stay_alone(self) -> None:
        assert Dag.of(load, fit).inputs == ()

    def test_a_value_in_params_is_not_overridden(self) -> None:
        dag = Dag.of(load, fit.as_node("fit", depth=5), NodeSpec("depth", lambda: 7))
        assert wires(dag, "fit") == {"load": "load"}

    def test_a_positional_only_parameter_has_a_name_as_well(self) -> None:
        def total(load: list[int], /) -> int:
            return sum(load)

        assert wires(Dag.of(load, total), "total") == {"load": "load"}

    def test_a_keyword_only_parameter_is_filled(self) -> None:
        def total(*, load: list[int]) -> int:
            return sum(load)

        assert wires(Dag.of(load, total), "total") == {"load": "load"}

    def test_star_args_take_nothing(self) -> None:
        def total(*load: int) -> int:
            return sum(load)

        assert Dag.of(load, total).edges == frozenset()

    def test_a_node_does_not_feed_itself(self) -> None:
        def step(load: list[int], step: int = 0) -> list[int]:
            return load

        assert wires(Dag.of(load, step), "step") == {"load": "load"}

    def test_a_node_added_later_finds_what_is_there(self) -> None:
        assert Dag.of(load).add_node(fit).edges == {("load", "fit")}


class TestTheLastTwo:
    def test_one_upstream_and_one_required_parameter_bind_whatever_they_are_called(self) -> None:
        dag = Dag.of(load, NodeSpec("report", summarise).after("load"))
        assert wires(dag, "report") == {"load": "rows"}

    def test_they_bind_when_all_others_are_bound_by_name(self) -> None:
        def compare(load: list[int], other: list[int]) -> bool:
            return load == other

        dag = Dag.of(load, clean, NodeSpec("compare", compare).after("clean"))
        assert wires(dag, "compare") == {"load": "load", "clean": "other"}

    def test_a_value_in_params_leaves_the_other_parameter(self) -> None:
        def compare(old: Any, new: Any) -> bool:
            return bool(old == new)

        dag = Dag.of(load, NodeSpec("compare", compare, params={"old": [1]}).after("load"))
        assert wires(dag, "compare") == {"load": "new"}

    def test_two_upstreams_and_one_parameter_do_not_bind(self) -> None:
        dag = Dag.of(load, clean, NodeSpec("report", summarise).after("load", "clean"))
        assert wires(dag, "report") == {"load": None, "clean": None}
        assert dag.inputs == ("rows",)

    def test_one_upstream_and_two_parameters_do_not_bind(self) -> None:
        def compare(old: Any, new: Any) -> bool:
            return bool(old == new)

        dag = Dag.of(load, NodeSpec("compare", compare).after("load"))
        assert wires(dag, "compare") == {"load": None}
        assert dag.inputs == ("new", "old")


class TestCollectors:
    def test_star_kwargs_take_all_upstreams_that_are_left(self) -> None:
        def merge(load: Any, **parts: Any) -> Any:
            return parts

        dag = Dag.of(load, clean, fit, NodeSpec("merge", merge).after("clean", "fit"))
        assert wires(dag, "merge") == {"clean": "*", "fit": "*", "load": "load"}

    def test_a_parameter_named_inputs_takes_them_as_a_dict(self) -> None:
        def merge(inputs: dict[str, Any]) -> Any:
            return inputs

        assert wires(Dag.of(load, NodeSpec("merge", merge).after("load")), "merge") == {"load": "*"}
        both = Dag.of(load, clean, NodeSpec("merge", merge).after("load", "clean"))
        assert wires(both, "merge") == {"clean": "*", "load": "*"}

    def test_without_upstreams_inputs_is_an_input_of_the_graph(self) -> None:
        def merge(inputs: dict[str, Any]) -> Any:
            return inputs

        assert Dag.of(NodeSpec("merge", merge)).inputs == ("inputs",)

    def test_a_node_named_inputs_is_an_upstream_like_any_other(self) -> None:
        def merge(inputs: Any) -> Any:
            return inputs

        dag = Dag.of(NodeSpec("inputs", lambda: 1), NodeSpec("merge", merge))
        assert wires(dag, "merge") == {"inputs": "inputs"}

    def test_an_optional_parameter_named_inputs_collects_nothing(self) -> None:
        def merge(inputs: Any = None) -> Any:
            return inputs

        assert wires(Dag.of(load, NodeSpec("merge", merge).after("load")), "merge") == {"load": None}


class TestOrderOnly:
    def test_any_other_upstream_is_order_only(self) -> None:
        dag = Dag.of(load, fit, NodeSpec("bell", lambda: None).after("fit"))
        assert wires(dag, "bell") == {"fit": None}
        assert dag.waves == (("load",), ("fit",), ("bell",))

    def test_an_edge_that_finds_no_parameter_is_order_only(self) -> None:
        dag = Dag.of(load, fit, NodeSpec("mail", lambda: None)).add_edge("mail", "fit")
        assert wires(dag, "fit") == {"load": "load", "mail": None}


class TestOnceAndForAll:
    def test_later_nodes_never_rewire_earlier_ones(self) -> None:
        dag = Dag.of(NodeSpec("report", summarise)).add_node(NodeSpec("rows", lambda: [1]))
        assert dag.edges == frozenset()
        assert dag.inputs == ("rows",)

    def test_nor_does_the_removal_of_a_node(self) -> None:
        def compare(load: Any, other: Any) -> bool:
            return bool(load == other)

        dag = Dag.of(load, clean, NodeSpec("compare", compare).after("load", "clean")).remove_node("load")
        assert wires(dag, "compare") == {"clean": "other"}
        assert dag.inputs == ("load",)

    def test_an_edge_is_wired_by_the_same_rules(self) -> None:
        def compare(load: Any, other: Any) -> bool:
            return bool(load == other)

        dag = Dag.of(NodeSpec("compare", compare)).add_node(load).add_node(clean)
        dag = dag.add_edge("load", "compare").add_edge("clean", "compare")
        assert wires(dag, "compare") == {"load": "load", "clean": "other"}

    def test_an_edge_that_is_there_cannot_be_added_again(self) -> None:
        with pytest.raises(DagError, match="an edge load -> fit already"):
            Dag.of(load, fit).add_edge(load, fit)


class TestReplaced:
    def test_wires_stay_where_the_parameter_stays(self) -> None:
        def better(load: list[int], depth: int = 9) -> int:
            return depth

        dag = Dag.of(load, fit).replace_node("fit", better)
        assert wires(dag, "fit") == {"load": "load"}

    def test_a_renamed_parameter_is_bound_anew(self) -> None:
        dag = Dag.of(load, fit).replace_node("fit", NodeSpec("fit", summarise))
        assert wires(dag, "fit") == {"load": "rows"}

    def test_new_code_may_ask_for_more_of_what_is_there(self) -> None:
        def better(load: list[int], clean: list[int]) -> int:
            return 0

        dag = Dag.of(load, clean, fit).replace_node("fit", better)
        assert wires(dag, "fit") == {"load": "load", "clean": "clean"}

    def test_an_upstream_that_fills_nothing_any_more_is_order_only(self) -> None:
        dag = Dag.of(load, fit).replace_node("fit", lambda: 7)
        assert wires(dag, "fit") == {"load": None}


class TestUnbound:
    def test_required_parameters_without_upstream_are_the_inputs_of_the_graph(self) -> None:
        def read(path: str, sep: str) -> Any:
            return path

        def write(path: str, read: Any) -> None: ...

        dag = Dag.of(NodeSpec("read", read), NodeSpec("write", write))
        assert dag.inputs == ("path", "sep")
        assert dag.unbound() == (("read", "path"), ("read", "sep"), ("write", "path"))

    def test_a_value_for_a_parameter_that_is_not_there_raises(self) -> None:
        with pytest.raises(UnboundParameter, match=r"'colour' matches nothing; .*fit\(\) takes load, depth"):
            fit.as_node("fit_2", colour="red")

    def test_star_kwargs_take_any_value(self) -> None:
        def style(**options: Any) -> Any:
            return options

        assert NodeSpec("style", style, params={"colour": "red"}).params == {"colour": "red"}

    def test_replacing_code_keeps_values_that_the_new_code_must_take(self) -> None:
        dag = Dag.of(load, fit.as_node("fit", depth=5))
        with pytest.raises(UnboundParameter, match="'depth' matches nothing"):
            dag.replace_node("fit", lambda load: 1)
