"""The two keys of a node: what each covers, for each kind of function; and what is never used again."""

from __future__ import annotations

from functools import partial
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

from hexdag_lab.core.dag.changeset import Changeset
from hexdag_lab.core.dag.dag import Dag
from hexdag_lab.core.dag.keys import PlanKeys, Taken, action_key, never_reused, outdated, reusable, spec_key
from hexdag_lab.core.dag.node import NodeSpec
from hexdag_lab.testing import crowd
from tests.core.dag.test_code import Notebook


def load(path: str = "data.csv") -> Any: ...
def clean(load: Any) -> Any: ...
def fit(clean: Any, depth: int = 3) -> Any: ...
def check(load: Any) -> Any: ...
def other(load: Any) -> Any:
    return load


@pytest.fixture
def dag() -> Dag:
    """load > clean > fit, load > check."""
    return Dag.of(load, clean, fit, check)


class TestPlanKeys:
    def test_they_cover_code_and_params_and_all_that_is_above(self, dag: Dag) -> None:
        keys = PlanKeys(dag)
        assert len({*keys.values()}) == len(keys) == 4
        assert all(len(key) == 32 for key in keys.values())
        assert outdated(dag, dag.replace_node("clean", NodeSpec("clean", other))) == ("clean", "fit")
        assert outdated(dag, dag.replace_node("load", dag.nodes["load"].but(params={"path": "b"}))) == tuple(dag)
        assert outdated(dag, dag.add_node(NodeSpec("report", other).after("load"))) == ("report",)
        assert outdated(dag, dag.remove_edge("clean", "fit")) == ("fit",)
        assert outdated(dag, dag.remove_node("fit")) == ()

    @pytest.mark.parametrize(
        "changes", [{"retries": 3}, {"timeout": 9}, {"cost": 5}, {"durable": True}, {"cache": True}, {"agent": "ann"}]
    )
    def test_they_do_not_cover_what_changes_no_result(self, dag: Dag, changes: dict[str, Any]) -> None:
        assert outdated(dag, dag.replace_node("load", dag.nodes["load"].but(**changes))) == ()

    def test_names_do_not_count_but_where_a_value_goes_does(self) -> None:
        one = Dag.of(NodeSpec("a", load), NodeSpec("b", clean).after("a"))
        two = Dag.of(NodeSpec("x", load), NodeSpec("y", clean).after("x"))
        assert [*PlanKeys(one).values()] == [*PlanKeys(two).values()]
        both = [Dag.of(NodeSpec("a", load), NodeSpec("b", lambda **up: up).after("a"))]
        both += [Dag.of(NodeSpec("x", load), NodeSpec("b", lambda **up: up).after("x"))]
        assert PlanKeys(both[0])["b"] != PlanKeys(both[1])["b"], "**kw gets values by the name of the node"

    def test_a_helper_that_changes_in_another_cell_changes_all_below(self) -> None:
        notebook = Notebook()
        notebook.run("def helper(x): return x + 1")
        notebook.run("def first(): return helper(1)")
        notebook.run("def second(first): return first")
        notebook.run("def apart(): return 2")
        functions = [notebook[name] for name in ("first", "second", "apart")]
        before = Dag.of(*functions)
        notebook.run("def helper(x): return x + 2")
        assert outdated(before, Dag.of(*functions)) == ("first", "second")

    def test_a_key_is_computed_when_it_is_asked_for_and_shared_between_versions(self, dag: Dag) -> None:
        keys = PlanKeys(dag)
        keys["check"]
        assert set(keys._known) == {"load", "check"}
        later = PlanKeys(dag.replace_node("clean", NodeSpec("clean", other)), keys)
        assert later["check"] == keys["check"]
        assert later["fit"] != keys["fit"]
        assert set(later._known) == {"clean", "fit"}, "only what lies below the change"
        with pytest.raises(KeyError):
            later["nobody"]

    def test_neither_a_long_chain_nor_a_long_history_recurses(self) -> None:
        chain = Dag.of(NodeSpec("n0", load), *(NodeSpec(f"n{i}", clean).after(f"n{i - 1}") for i in range(1, 5000)))
        assert len(PlanKeys(chain)["n4999"]) == 32
        keys = PlanKeys(Dag.of(load, clean))
        for depth in range(2000):
            dag = keys.dag
            spec = NodeSpec("fit", fit, params={"depth": depth})
            keys = PlanKeys(dag.replace_node("fit", spec) if "fit" in dag else dag.add_node(spec), keys)
        assert len(keys["fit"]) == 32

    @given(rng=st.randoms(use_true_random=False))
    @settings(max_examples=60, deadline=None)
    def test_a_history_gives_the_keys_of_its_last_version(self, rng: Random) -> None:
        dag = crowd.graph(rng, rng.randrange(1, 9))
        keys, names = PlanKeys(dag), sorted(dag)
        for _ in range(rng.randrange(5)):
            change = crowd.change(rng, dag, names)
            old, dag = dag, dag if change is None else dag.apply(change)
            keys = PlanKeys(dag, keys)
            fresh = PlanKeys(dag)
            assert dict(keys) == dict(fresh)
            before = PlanKeys(old)
            assert outdated(old, dag) == tuple(n for n in dag if n not in old or before[n] != fresh[n])


class TestActionKeys:
    PARTS = (Taken("clean", "clean", "aa"), Taken("*", "load", "bb"), Taken("", "mail", "cc"))

    def test_they_cover_code_params_models_and_values(self) -> None:
        class Row(BaseModel):
            x: int

        spec = NodeSpec("fit", fit)
        others = [spec.but(params={"depth": 5}), NodeSpec("fit", other), spec.but(out_model=Row), spec.but(version="2")]
        keys = {action_key(spec_key(each), self.PARTS) for each in (spec, *others)}
        assert len(keys) == 5
        assert all(len(key) == 64 for key in keys)
        for number in range(3):
            parts = [*self.PARTS]
            parts[number] = parts[number]._replace(digest="dd")
            assert action_key(spec_key(spec), parts) not in keys

    def test_not_the_order_nor_the_name_of_what_fills_a_parameter(self) -> None:
        spec = spec_key(NodeSpec("fit", fit))
        renamed = [self.PARTS[0]._replace(up="tidy"), *self.PARTS[1:]]
        assert action_key(spec, self.PARTS) == action_key(spec, reversed(self.PARTS)) == action_key(spec, renamed)
        elsewhere = [self.PARTS[0], self.PARTS[1]._replace(up="tidy"), self.PARTS[2]]
        assert action_key(spec, elsewhere) != action_key(spec, self.PARTS)

    def test_there_is_none_while_a_value_has_no_digest(self) -> None:
        assert action_key(spec_key(NodeSpec("fit", fit)), [Taken("clean", "clean", "")]) == ""

    def test_equal_code_in_two_cells_is_one_key_and_two_lambdas_are_two(self) -> None:
        one, two = Notebook(), Notebook()
        one.run("def f(x): return x + 1")
        two.run("# elsewhere\n\ndef f(x):\n    '''Says more.'''\n    return x + 1")
        assert spec_key(NodeSpec("a", one["f"])) == spec_key(NodeSpec("b", two["f"]))
        assert spec_key(NodeSpec("a", lambda x: x + 1)) != spec_key(NodeSpec("a", lambda x: x + 2))

    def test_closures_count_by_what_they_close_over_and_methods_by_their_object(self) -> None:
        def made(n: int) -> Any:
            return lambda x: x + n

        class Scaler:
            def __init__(self, by: int) -> None:
                self.by = by

            def scale(self, x: int) -> int:
                return x * self.by

        for make in (made, lambda n: Scaler(n).scale, lambda n: partial(other, n)):
            one, again, two = (NodeSpec("a", make(n)) for n in (1, 1, 2))
            assert spec_key(one) == spec_key(again) != spec_key(two)
            assert reusable(one.but(cache=True))


class TestWhatIsNeverReused:
    @pytest.mark.parametrize(
        ("options", "why"),
        [
            ({}, ""),
            ({"effects": True}, "it acts on the outside world"),
            ({"requires": {"llm", "gpu"}}, "it asks a language model"),
            ({"requires": {"gpu"}}, ""),
        ],
    )
    def test_it_says_why(self, options: dict[str, Any], why: str) -> None:
        spec = NodeSpec("fit", fit, cache=True, **options)
        assert never_reused(spec) == why
        assert reusable(spec) == (not why)
        assert not reusable(spec.but(cache=False)), "it has to be asked for"

    def test_code_without_source_is_not_unless_it_has_a_version(self) -> None:
        names: dict[str, Any] = {}
        exec("def f(x): return x", names)
        spec = NodeSpec("f", names["f"], cache=True)
        assert never_reused(spec) == "its code cannot be seen as a whole"
        assert never_reused(spec.but(version="1")) == ""


def test_a_change_of_options_is_a_change_of_the_graph_and_of_no_key(dag: Dag) -> None:
    new = dag.replace_node("fit", dag.nodes["fit"].but(retries=5))
    assert Changeset.between(dag, new).changed == ("fit",)
    assert PlanKeys(new)["fit"] == PlanKeys(dag)["fit"]
