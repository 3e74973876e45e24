"""Options of a node that say when and how it runs: they are checked, part of its identity, and survive as text."""

from __future__ import annotations

import pickle
from typing import Any

import pytest

import hexdag_lab as hx
from hexdag_lab.core.base.errors import DagError, SchemaError, UnboundParameter
from hexdag_lab.core.dag.keys import PlanKeys, never_reused, outdated


def rows() -> int:
    return 3


def enough(rows: int) -> bool:
    return rows > 2


def plenty(rows: int) -> bool:
    return rows > 2_000


def nothing(failure: Any) -> int:
    return 0


@hx.node(when=enough, on_error=nothing, optional=True, concurrency=2)
def fit(rows: int, depth: int = 3) -> int:
    return rows * depth


OPTIONS: dict[str, tuple[Any, Any]] = {
    "when": (enough, plenty),
    "on_error": (nothing, lambda failure: 1),
    "optional": (True, False),
    "concurrency": (2, 3),
}


class TestWhatTheyMay:
    def test_a_node_without_them_has_none(self) -> None:
        spec = hx.NodeSpec("rows", rows)
        assert (spec.when, spec.on_error, spec.optional, spec.concurrency) == (None, None, False, None)

    @pytest.mark.parametrize(
        ("options", "said"),
        [
            ({"when": 3}, "when is a function"),
            ({"on_error": "later"}, "on_error is a function"),
            ({"on_error": rows}, "takes the failure first"),
            ({"optional": 1}, "optional is True or False"),
            ({"concurrency": 0}, "concurrency is a number of nodes, 1 or more"),
            ({"concurrency": True}, "concurrency is a number of nodes, 1 or more"),
        ],
    )
    def test_what_cannot_be_is_refused_where_it_is_written(self, options: dict[str, Any], said: str) -> None:
        with pytest.raises(SchemaError, match=said):
            hx.node(name="fit", **options)(lambda rows: rows)

    @pytest.mark.parametrize("name", ["when", "on_error"])
    def test_a_callback_that_takes_what_the_node_does_not_have_is_refused(self, name: str) -> None:
        def asks(failure: Any, columns: int) -> bool:
            return bool(columns)

        with pytest.raises(UnboundParameter, match=rf"{name} takes '(failure|columns)', which is no parameter"):
            hx.NodeSpec("rows", rows, **{name: asks})

    def test_a_callback_may_take_whatever_a_collector_collects(self) -> None:
        def gather(**parts: int) -> int:
            return sum(parts.values())

        assert hx.NodeSpec("gather", gather, when=enough).when is not None


class TestIdentity:
    @pytest.mark.parametrize("name", OPTIONS)
    def test_each_is_part_of_the_digest(self, name: str) -> None:
        one, other = (fit.spec.but(**{name: value}) for value in OPTIONS[name])
        assert one.digest != other.digest
        assert one != other

    def test_a_callback_counts_by_its_code_not_by_the_object(self) -> None:
        def made(least: int) -> Any:
            return lambda rows: rows > least

        assert fit.spec.but(when=made(2)).digest == fit.spec.but(when=made(2)).digest
        assert fit.spec.but(when=made(2)).digest != fit.spec.but(when=made(3)).digest

    def test_a_change_of_a_callback_is_a_change_of_the_graph(self) -> None:
        dag = hx.Dag.of(rows, fit)
        changed = dag.replace_node("fit", fit.spec.but(when=plenty))
        assert hx.diff(dag, changed).changed == ("fit",)

    def test_of_all_options_only_the_condition_is_part_of_what_a_result_depends_on(self) -> None:
        dag = hx.Dag.of(rows, fit)
        for name, (one, other) in OPTIONS.items():
            first = dag.replace_node("fit", fit.spec.but(**{name: one}))
            second = dag.replace_node("fit", fit.spec.but(**{name: other}))
            assert outdated(first, second) == (("fit",) if name == "when" else ()), name

    def test_plan_keys_of_nodes_without_a_condition_do_not_know_of_conditions(self) -> None:
        plain = fit.spec.but(when=None, on_error=None, optional=False, concurrency=None)
        one = PlanKeys(hx.Dag.of(rows, plain))["fit"]
        other = PlanKeys(hx.Dag.of(rows, plain.but(optional=True, concurrency=7)))["fit"]
        assert one == other

    def test_a_result_is_not_used_again_where_the_condition_cannot_be_seen(self) -> None:
        blind: dict[str, Any] = {}
        exec("def sees(rows): return True", blind)
        assert "cannot be seen" in never_reused(fit.spec.but(when=blind["sees"]))

    def test_other_callbacks_ship_as_another_blob(self) -> None:
        spec = fit.spec.but(blob="aa.bb")
        assert spec.but(when=plenty).blob is None
        assert spec.but(optional=False).blob == "aa.bb"


class TestText:
    catalog = {"rows": rows, "fit": fit, "enough": enough, "nothing": nothing}  # noqa: RUF012

    @pytest.mark.parametrize("form", ["json", "yaml"])
    def test_they_survive_as_text(self, form: str) -> None:
        dag = hx.Dag.of(rows, fit)
        text = getattr(dag, f"to_{form}")()
        again = getattr(hx.Dag, f"from_{form}")(text, self.catalog)
        assert again == dag
        assert again.nodes["fit"].when.fn is enough
        assert again.nodes["fit"].on_error.fn is nothing

    def test_text_without_a_catalog_gives_a_graph_to_look_at(self) -> None:
        dag = hx.Dag.of(rows, fit)
        again = hx.Dag.from_json(dag.to_json())
        assert again.digest == dag.digest
        assert again.nodes["fit"].when.fn is None

    def test_the_catalogs_node_brings_its_own_callbacks_along(self) -> None:
        again = hx.Dag.from_json(hx.Dag.of(rows, fit).to_json(), {"rows": rows, "fit": fit})
        assert again.nodes["fit"].on_error.fn is nothing

    def test_a_condition_that_the_catalog_does_not_have_is_named(self) -> None:
        dag = hx.Dag.of(rows, fit.spec.but(when=plenty))
        with pytest.raises(SchemaError, match="the catalog has no operation 'plenty'"):
            hx.Dag.from_json(dag.to_json(), {"rows": rows, "fit": fit})

    def test_text_of_before_reads_as_it_did(self) -> None:
        dag = hx.Dag.of(rows)
        assert '"schema": 1' in dag.to_json()
        for name in OPTIONS:
            assert f'"{name}"' not in dag.to_json()

    def test_a_wrong_value_in_text_names_node_and_field(self) -> None:
        text = hx.Dag.of(rows, fit).to_json().replace('"concurrency": 2', '"concurrency": "two"')
        with pytest.raises(DagError, match="fit: concurrency is a number of nodes"):
            hx.Dag.from_json(text, self.catalog)

    def test_they_travel_with_a_pickled_spec(self) -> None:
        again = pickle.loads(pickle.dumps(fit.spec))
        assert again == fit.spec
        assert again.when.fn(3)
