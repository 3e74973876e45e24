"""Models at the two ends of an edge: what is sure to fail is refused when the graph is made."""

from typing import Any

import pytest
from pydantic import BaseModel, Field

from hexdag_lab.core.base.errors import SchemaError, TypeMismatch
from hexdag_lab.core.dag.changeset import Changeset
from hexdag_lab.core.dag.conflict import Conflict
from hexdag_lab.core.dag.dag import Dag
from hexdag_lab.core.dag.models import Model
from hexdag_lab.core.dag.node import NodeSpec


class Text(BaseModel):
    body: str
    lang: str = "en"


class LongText(Text):
    pages: int


class Number(BaseModel):
    body: int


class Other(BaseModel):
    title: str


class Loose(BaseModel):
    body: Any
    extra: int | None = None


class Pair(BaseModel):
    left: Text
    right: int


def read() -> Any: ...
def use(text: Any) -> Any: ...
def both(left: Any, right: Any) -> Any: ...


def graph(out: Any, into: Any) -> Dag:
    return Dag.of(NodeSpec("read", read, out_model=out), NodeSpec("use", use, in_model=into).after("read"))


class TestOneInput:
    @pytest.mark.parametrize(
        ("out", "into"),
        [(Text, Text), (LongText, Text), (Text, Loose), (Number, Loose), (None, Text), (Text, None), (None, None)],
    )
    def test_it_fits(self, out: Any, into: Any) -> None:
        assert graph(out, into).edges == {("read", "use")}

    @pytest.mark.parametrize(
        ("out", "into", "why"),
        [
            (Other, Text, "read -> use: Other has no field 'body', which Text requires"),
            (Text, LongText, "Text has no field 'pages', which LongText requires"),
            (Number, Text, "Number.body is int, but Text.body is str"),
            (Text, Number, "Text.body is str, but Number.body is int"),
        ],
    )
    def test_it_does_not_fit(self, out: Any, into: Any, why: str) -> None:
        with pytest.raises(TypeMismatch, match=why):
            graph(out, into)

    def test_what_is_filled_from_elsewhere_is_not_alone(self) -> None:
        def use(text: Any, depth: int) -> Any: ...

        into = NodeSpec("use", use, in_model=Pair, params={"depth": 3}).after("read")
        assert Dag.of(NodeSpec("read", read, out_model=Other), into)


class TestSeveralInputs:
    def test_a_model_under_a_name_must_not_meet_a_simple_type(self) -> None:
        left, right = NodeSpec("left", read, out_model=Text), NodeSpec("right", read)
        assert Dag.of(left, right, NodeSpec("both", both, in_model=Pair))
        with pytest.raises(TypeMismatch, match=r"right -> both: 'right' gets a Text, but Pair.right is int"):
            Dag.of(left, right.but(out_model=Text), NodeSpec("both", both, in_model=Pair))


class TestEdits:
    def test_every_edit_checks_what_it_touches(self) -> None:
        dag = Dag.of(NodeSpec("read", read, out_model=Number), NodeSpec("use", use, in_model=Text))
        with pytest.raises(TypeMismatch):
            dag.add_edge("read", "use")
        with pytest.raises(TypeMismatch):
            dag.add_node(NodeSpec("more", use, in_model=Text).after("read"))

    def test_also_what_hangs_on_a_replaced_node(self) -> None:
        with pytest.raises(TypeMismatch):
            graph(Text, Text).replace_node("read", NodeSpec("read", read, out_model=Number))

    def test_two_changes_that_fit_only_alone_are_a_conflict(self) -> None:
        base = Dag.of(NodeSpec("read", read), NodeSpec("use", use).after("read"))
        ours = Changeset.on(base).replace_node("use", NodeSpec("use", use, in_model=Text))
        theirs = base.replace_node("read", NodeSpec("read", read, out_model=Number))
        conflict = ours.rebase(theirs)
        assert isinstance(conflict, Conflict)
        assert conflict.kind == "type"
        with pytest.raises(TypeMismatch):
            theirs.apply(ours)


class TestDescription:
    def test_name_fields_and_code_are_content(self) -> None:
        model = Model.of(LongText)
        assert model.name == "LongText"
        assert model.fields == (("body", "str", True), ("lang", "str", False), ("pages", "int", True))
        assert model.cls is LongText
        assert model.digest

    def test_a_field_goes_by_its_alias(self) -> None:
        class Named(BaseModel):
            body: str = Field(alias="text")

        assert Model.of(Named).fields == (("text", "str", True),)

    def test_another_rule_in_the_model_is_another_node(self) -> None:
        def model(least: int) -> Any:
            class Checked(BaseModel):
                body: int = Field(ge=least)

            return Checked

        assert NodeSpec("use", use, in_model=model(1)).digest == NodeSpec("use", use, in_model=model(1)).digest

    def test_it_survives_text(self) -> None:
        dag = graph(Text, Loose)
        again = Dag.from_json(dag.to_json())
        assert again == dag
        assert again.nodes["use"].in_model.cls is None

    def test_what_is_no_model(self) -> None:
        with pytest.raises(SchemaError, match="take a pydantic model class, not 7"):
            NodeSpec("use", use, in_model=7)
