"""A catalogue names operations: what agents may build, with which parameters, at which risk."""

from __future__ import annotations

from typing import Any, Literal

import pytest
from pydantic import BaseModel, Field

import hexdag_lab as hx
from hexdag_lab.core.dag.catalog import Operation, key_of, operation_of


@hx.node(cost=2, requires={"gpu"})
def fit(load: Any, depth: int = 3, kind: Literal["tree", "line"] = "tree") -> float:
    """Fit a model
    of some depth.

    More of it.
    """
    return 0.5


def send(text: str, to: str) -> None:
    """Send a mail."""


class Mail(BaseModel):
    to: str = Field(pattern=".+@example.org")
    text: str = ""


def test_an_operation_takes_name_words_and_parameters_from_its_function() -> None:
    operation = hx.Catalog(fit).operation("fit")
    assert (operation.name, operation.doc, operation.risk) == ("fit", "Fit a model of some depth.", "low")
    assert operation.spec.cost == 2
    assert operation.spec.requires == {"gpu"}
    assert list(operation.model.model_fields) == ["depth", "kind"]  # what only an upstream fills is none of them


def test_it_makes_nodes_with_checked_parameters_that_are_downstream_of_what_is_said() -> None:
    made = hx.Catalog(fit).operation("fit").node("fit_5", {"depth": "5"}, ["load"])
    assert (made.name, dict(made.params), made.deps) == ("fit_5", {"depth": 5}, ("load",))


@pytest.mark.parametrize(
    ("params", "sentence"),
    [
        ({"depth": "deep"}, "x: depth: Input should be a valid integer"),
        ({"kind": "forest"}, "x: kind: Input should be 'tree' or 'line'"),
        ({"colour": 1}, r"x: colour: Extra inputs are not permitted \(it takes depth, kind\)"),
    ],
)
def test_parameters_that_do_not_fit_are_told_in_sentences(params: dict[str, Any], sentence: str) -> None:
    with pytest.raises(hx.SchemaError, match=sentence):
        hx.Catalog(fit).operation("fit").node("x", params)


def test_a_model_of_its_own_bounds_what_may_be_chosen() -> None:
    catalog = hx.Catalog(Operation(send, risk="high", params=Mail, cost=0.5, needs="mail", doc="Write to somebody."))
    operation = catalog.operation("send")
    assert (operation.doc, operation.risk, operation.spec.requires) == ("Write to somebody.", "high", {"mail"})
    with pytest.raises(hx.SchemaError, match="to: String should match pattern"):
        operation.node("s", {"to": "eve@elsewhere", "text": "hi"})


def test_operations_are_registered_where_they_are_written() -> None:
    catalog = hx.Catalog()

    @catalog.register(risk="high", name="post")
    def write(text: str) -> None: ...

    assert catalog.operation("post").risk == "high"
    assert list(catalog) == ["post"]
    with pytest.raises(hx.DuplicateNode, match="'post' already"):
        catalog.register(name="post")(write)


def test_what_is_not_there_is_said_with_what_is() -> None:
    with pytest.raises(hx.UnknownNode, match="no operation 'fot'; it has fit"):
        hx.Catalog(fit).operation("fot")


def test_an_unknown_risk_and_parameters_that_are_no_model_are_refused() -> None:
    with pytest.raises(hx.SchemaError, match="risk is 'low' or 'high', not 'some'"):
        Operation(send, risk="some")
    with pytest.raises(hx.SchemaError, match="params is a pydantic model class"):
        Operation(send, params=dict)


def test_nodes_are_known_by_their_operation_whatever_their_names_and_parameters() -> None:
    catalog = hx.Catalog(fit, Operation(send, risk="high"))
    made = catalog.operation("send").node("mail_7", {"to": "a", "text": "b"}, ["x"])
    assert operation_of(catalog.listed, made) == "send"
    assert catalog.listed["send"].risk == "high"
    assert operation_of(catalog.listed, made.but(retries=9)) is None  # an agent cannot choose that
    assert operation_of(catalog.listed, hx.NodeSpec("load", lambda: 1)) is None
    assert key_of(made) == key_of(catalog["send"])


def test_of_many_operations_those_are_sent_that_have_to_do_with_the_matter() -> None:
    def make(name: str, doc: str) -> Operation:
        return Operation(hx.NodeSpec(name, send), doc=doc)

    many = hx.Catalog(
        *(make(f"job_{n}", f"Do job number {n}.") for n in range(40)),
        make("impute", "Fill missing values of a table."),
    )
    found = many.relevant("the table has missing values in three columns", most=5)
    assert len(found) == 5
    assert "impute" in [operation.name for operation in found]
    assert found == many.relevant("the table has missing values in three columns", most=5)
    assert len(hx.Catalog(fit, Operation(send)).relevant("anything")) == 2  # a few are sent all
