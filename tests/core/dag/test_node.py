"""`NodeSpec` and `@node`: what a step is, and what it refuses to be."""

from enum import StrEnum
from fractions import Fraction
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import pytest

from hexdag_lab.core.base.errors import DagError, InvalidName, SchemaError, UnboundParameter
from hexdag_lab.core.dag.dag import Dag
from hexdag_lab.core.dag.node import Node, NodeSpec, node, spec_of


@node
def load(path: str = "data.csv") -> str:
    """Read it."""
    return path.upper()


@node(requires={"gpu"}, retries=3, backoff=1.5, timeout=120, version="2", agent="researcher", cost=0.02)
def fit(load: str, depth: int = 3) -> str:
    return load * depth


class TestNode:
    def test_it_stays_callable(self) -> None:
        assert load("a") == "A"
        assert fit("a", depth=2) == "aa"

    def test_it_is_named_and_documented_like_its_function(self) -> None:
        assert (fit.name, load.__name__, load.__doc__) == ("fit", "load", "Read it.")
        assert repr(fit) == "<node fit>"

    def test_it_has_a_spec_with_the_options(self) -> None:
        spec = fit.spec
        assert (spec.requires, spec.retries, spec.backoff, spec.timeout) == (frozenset({"gpu"}), 3, 1.5, 120)
        assert (spec.version, spec.agent, spec.cost) == ("2", "researcher", Fraction(1, 50))

    def test_the_defaults(self) -> None:
        spec = load.spec
        assert (spec.retries, spec.timeout, spec.cache, spec.effects, spec.durable) == (0, None, None, False, None)
        assert (spec.requires, spec.params, spec.deps, spec.exclusive) == (frozenset(), {}, (), None)

    def test_a_second_node_with_the_same_code(self) -> None:
        spec = fit.as_node("fit_5", depth=5)
        assert isinstance(spec, NodeSpec)
        assert (spec.name, spec.params, spec.retries) == ("fit_5", {"depth": 5}, 3)
        assert spec.code == fit.spec.code
        assert fit.spec.params == {}

    def test_a_second_node_may_come_after_others(self) -> None:
        assert fit.as_node("fit_5", after=load).deps == ("load",)
        assert fit.as_node("fit_5", after=["b", "a"]).deps == ("a", "b")

    def test_a_parameter_may_be_called_name(self) -> None:
        @node
        def greet(name: str) -> str:
            return name

        assert greet.as_node("greet_ann", name="ann").params == {"name": "ann"}

    def test_it_can_have_another_name(self) -> None:
        made = node(name="bell")(lambda: None)
        assert isinstance(made, Node)
        assert (made.name, made.spec.name) == ("bell", "bell")

    def test_an_unknown_option(self) -> None:
        with pytest.raises(SchemaError, match="@node has no option 'retry'; it takes agent, backoff"):
            node(retry=3)

    def test_wrong_options_raise_where_they_stand(self) -> None:
        with pytest.raises(SchemaError, match="x: retries is a number of times, 0 or more, not -1"):
            node(name="x", retries=-1)(lambda: None)

    def test_only_functions_become_nodes(self) -> None:
        with pytest.raises(SchemaError, match="of a function, not of 7"):
            node(7)  # type: ignore[call-overload]
        with pytest.raises(InvalidName):
            node(lambda: 1)

    def test_more_options_for_a_node(self) -> None:
        twice = node(timeout=5)(fit)
        assert (twice.name, twice.spec.timeout, twice.spec.retries) == ("fit", 5, 3)

    def test_async_functions_and_partials(self) -> None:
        @node
        async def fetch(url: str) -> str:
            return url

        assert fetch.spec.code.names() == ("url",)
        assert NodeSpec("half", partial(fit.spec.fn, depth=2)).code.accepts("load")


class TestArrows:
    def test_after(self) -> None:
        assert fit.after(load, "x").deps == ("load", "x")
        assert fit.spec.after("b").after("a", "b").deps == ("a", "b")

    def test_shift_is_after(self) -> None:
        assert (load >> fit) == fit.after(load)
        assert (load.spec >> fit.as_node("fit_5")).deps == ("load",)

    def test_a_plain_function_stands_for_its_name(self) -> None:
        def read() -> None: ...

        assert NodeSpec("x", lambda: 1).after(read).deps == ("read",)

    def test_what_has_no_name(self) -> None:
        with pytest.raises(InvalidName, match="expected a node name, not 7"):
            fit.after(7)


class TestSpec:
    def test_it_is_frozen(self) -> None:
        with pytest.raises(AttributeError):
            load.spec.retries = 3  # type: ignore[misc]
        with pytest.raises(TypeError, match="cannot be changed"):
            fit.as_node("x", depth=1).params["depth"] = 2  # type: ignore[index]

    def test_a_spec_of_a_node_takes_what_it_does_not_say_itself(self) -> None:
        spec = NodeSpec("fit_2", fit, params={"depth": 1}, retries=9)
        assert spec.fn is fit.__hexdag_fn__
        assert (spec.name, spec.retries, spec.requires, spec.timeout) == ("fit_2", 9, frozenset({"gpu"}), 120)

    def test_one_word_for_a_set(self) -> None:
        assert NodeSpec("x", load, requires="gpu").requires == {"gpu"}
        assert NodeSpec("x", load, deps="load").deps == ("load",)

    def test_but(self) -> None:
        changed = fit.spec.but(retries=0)
        assert (changed.retries, fit.spec.retries) == (0, 3)
        assert changed.digest != fit.spec.digest

    def test_equal_specs(self) -> None:
        assert fit.as_node("x", depth=5) == fit.as_node("x", depth=5)
        assert hash(fit.as_node("x", depth=5)) == hash(fit.as_node("x", depth=5))
        assert fit.as_node("x", depth=5) != fit.as_node("x", depth=6)
        assert fit.as_node("x") != fit.as_node("x").after("load")

    def test_the_digest_leaves_out_cost_and_what_stands_before(self) -> None:
        spec = fit.spec
        assert spec.but(cost=7).digest == spec.digest
        assert spec.after("load").digest == spec.digest

    def test_the_same_seconds_are_the_same(self) -> None:
        assert load.spec.but(timeout=2).digest == load.spec.but(timeout=2.0).digest

    def test_version_replaces_the_code(self) -> None:
        one, other = NodeSpec("x", lambda: 1, version="1"), NodeSpec("x", lambda: 2, version="1")
        assert one.digest == other.digest
        assert one.but(version="2").digest != one.digest
        assert NodeSpec("x", lambda: 1, version=2).version == "2"  # type: ignore[arg-type]

    @pytest.mark.parametrize(
        "wrong",
        [
            {"retries": -1}, {"retries": 1.5}, {"retries": True}, {"retries": "3"},
            {"timeout": 0}, {"timeout": -1}, {"timeout": float("nan")}, {"timeout": float("inf")}, {"timeout": "5"},
            {"backoff": -1}, {"backoff": float("nan")}, {"backoff": None},
            {"cost": -1}, {"cost": float("nan")}, {"cost": float("inf")}, {"cost": "much"}, {"cost": None},
            {"cache": "no"}, {"effects": 1}, {"durable": "yes"}, {"agent": 7}, {"agent": ""}, {"exclusive": 7},
            {"requires": {7}}, {"requires": {""}}, {"params": 7}, {"params": {7: 7}}, {"in_model": dict},
            {"out_model": 7},
        ],
    )  # fmt: skip
    def test_what_cannot_be(self, wrong: dict[str, Any]) -> None:
        with pytest.raises(SchemaError, match=r"^x: |model class"):
            NodeSpec("x", load.spec.fn, **wrong)

    def test_it_needs_a_function(self) -> None:
        with pytest.raises(SchemaError, match="needs a function, not None"):
            NodeSpec("x")
        with pytest.raises(SchemaError, match="expected a node"):
            spec_of(7)

    def test_errors_are_dag_errors_and_value_errors(self) -> None:
        for kind in (SchemaError, InvalidName, UnboundParameter):
            assert issubclass(kind, DagError)
            assert issubclass(kind, ValueError)


class Mode(StrEnum):
    FAST = "fast"

    def __str__(self) -> str:
        return "shown otherwise"


class Point(NamedTuple):
    x: int
    y: int


class TestParams:
    """Values are plain data, held as builtin types, so that a run reads back from a store what it was given."""

    def test_plain_data_is_kept_as_it_is(self) -> None:
        value = {"a": [1, (2.5, None)], "b": {1, 2}, 3: b"x", (4, 5): True, "q": Fraction(1, 3), "c": 1j}
        params = NodeSpec("x", lambda value: 1, params={"value": value}).params
        assert params == {"value": value}
        assert type(params["value"]["a"][1]) is tuple

    @pytest.mark.parametrize(
        ("value", "held"),
        [
            (Mode.FAST, "fast"), (Point(1, 2), (1, 2)), (np.float64(0.5), 0.5), (np.int64(3), 3),
            (np.bool_(True), True),
            (np.float32(0.5), 0.5), ([np.int8(1)], [1]), ({Mode.FAST: 1}, {"fast": 1}),
        ],
    )  # fmt: skip
    def test_subclasses_and_numpy_numbers_are_held_as_what_they_are_underneath(self, value: Any, held: Any) -> None:
        params = NodeSpec("x", lambda value: 1, params={"value": value}).params
        assert params["value"] == held
        assert type(params["value"]) is type(held)
        assert repr(params["value"]) == repr(held)

    def test_they_are_a_copy(self) -> None:
        rows = [1, 2]
        spec = NodeSpec("x", lambda rows: 1, params={"rows": rows})
        rows.append(3)
        assert spec.params == {"rows": [1, 2]}

    @pytest.mark.parametrize("value", [object(), np.arange(3), lambda: 1, {1, (2, frozenset({object()}))}])
    def test_anything_else_is_refused_with_advice(self, value: Any) -> None:
        with pytest.raises(SchemaError, match="pass it as an input of the run, or load it inside a node"):
            NodeSpec("x", lambda value: 1, params={"value": value})

    def test_so_is_data_nested_too_deeply(self) -> None:
        deep: Any = []
        for _ in range(200):
            deep = [deep]
        with pytest.raises(SchemaError, match="nested deeper than 64"):
            NodeSpec("x", lambda value: 1, params={"value": deep})

    def test_nan_is_a_value(self) -> None:
        spec = NodeSpec("x", lambda value: 1, params={"value": float("nan")})
        assert Dag.from_json(Dag.of(spec).to_json()) == Dag.of(spec)
