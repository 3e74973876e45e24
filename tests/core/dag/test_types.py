"""Annotations at the two ends of an edge: what cannot fit is refused where the graph is made, by nodes and types."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from fractions import Fraction
from functools import wraps
from typing import Annotated, Any, Literal, NamedTuple, NewType, Protocol, TypedDict, TypeVar

import numpy as np
import pytest
from pydantic import BaseModel, BeforeValidator, Field, RootModel, field_validator, model_validator

from hexdag_lab.core.base.errors import TypeMismatch
from hexdag_lab.core.dag.changeset import Changeset
from hexdag_lab.core.dag.conflict import Conflict
from hexdag_lab.core.dag.dag import Dag
from hexdag_lab.core.dag.node import NodeSpec
from hexdag_lab.core.dag.types import clash, hints, shown
from tests.core.dag.test_code import Notebook

T = TypeVar("T")
UserId = NewType("UserId", int)


class Animal: ...


class Dog(Animal): ...


class Stone: ...


class Runs(Protocol):
    def run(self) -> None: ...


class Row(TypedDict):
    x: int


class Point(NamedTuple):
    x: int
    y: int


FITS: list[tuple[Any, Any]] = [
    (int, int), (int, float), (float, int), (bool, int), (int, object), (Any, int), (int, Any), (T, int), (int, T),
    ("Gone", int),
    (Dog, Animal), (Animal, Dog), (Dog, Runs), (Stone, Runs), (UserId, int), (Annotated[int, "rows"], int),
    (int, int | None), (int | None, int), (int | str, str | bytes), (None, None), (None, int | None),
    (list, list[int]), (list[int], list), (list[int], Sequence[int]), (list[int], Iterable[float]),
    (str, Sequence[str]), (dict[str, int], Mapping[str, float]), (dict[str, int], Iterable[str]),
    (dict[str, Any], dict[str, list[int]]),
    (tuple[int, str], tuple[int, str]), (tuple[int, ...], tuple[int, int]), (tuple[int, int], Sequence[int]),
    (Literal["a", "b"], str), (str, Literal["a"]), (Literal["a", "b"], Literal["b"]), (Iterator[int], list[int]),
    (Row, dict), (dict, Row), (Point, tuple), (Point, tuple[int, int]), (np.int64, int), (np.float64, float),
    (np.ndarray, np.ndarray), (Fraction, float), (Callable[[int], str], Callable[[int], str]), (type, type[int]),
    (list[T], list[int]), (list["Gone"], list[int]),  # noqa: F821
]  # fmt: skip

CLASHES: list[tuple[Any, Any]] = [
    (int, str), (str, int), (None, int), (int, None), (Dog, Stone), (int, list),
    (list, dict), (int | None, str), (int, str | bytes), (list[int], list[str]), (list[int], Sequence[str]),
    (list[list[int]], list[list[str]]), (dict[str, int], dict[str, str]), (dict[str, int], Mapping[int, int]),
    (tuple[int, str], tuple[int, int]), (tuple[int], tuple[int, int]), (tuple[int, ...], tuple[str, ...]),
    (tuple[int, int], Sequence[str]), (int, Iterable), (int, Mapping[str, int]), (Literal["a"], int),
    (int, Literal["a"]), (Literal["a"], Literal["b"]), (Literal[1], Literal[True]), (np.ndarray, str),
    (Annotated[int, "rows"], Annotated[str, "rows"]), (UserId, str), (Row, int), (Point, int),
]  # fmt: skip


@pytest.mark.parametrize(("given", "wanted"), FITS, ids=lambda value: shown(value))
def test_what_may_fit_passes(given: Any, wanted: Any) -> None:
    assert not clash(given, wanted)


@pytest.mark.parametrize(("given", "wanted"), CLASHES, ids=lambda value: shown(value))
def test_what_cannot_fit_clashes(given: Any, wanted: Any) -> None:
    assert clash(given, wanted)


def test_an_annotation_that_never_ends_is_not_followed() -> None:
    given: Any = int
    wanted: Any = str
    for _ in range(100):
        given, wanted = list[given], list[wanted]
    assert not clash(given, wanted)


class TestReading:
    def test_text_is_evaluated_and_names_that_are_not_there_are_left_out(self) -> None:
        def f(x: int, y: Gone, z: list[Gone] | None = None) -> Dog: ...  # type: ignore[name-defined]  # noqa: F821

        assert hints(f) == {"x": int, "return": Dog}

    def test_a_class_of_the_function_around_is_found(self) -> None:
        class Local: ...

        def f(x: Local) -> None:
            Local()

        assert hints(f) == {"x": Local, "return": None}

    def test_of_cells_methods_and_wrappers(self) -> None:
        notebook = Notebook()
        notebook.run("class Table: ...\ndef f(x: 'Table') -> Table: ...")
        table = notebook["Table"]
        assert hints(notebook["f"]) == {"x": table, "return": table}

        class Maker:
            def make(self) -> int: ...  # type: ignore[empty-body]

        def inner(x: Dog) -> int: ...  # type: ignore[empty-body]

        @wraps(inner)
        def outer(*args: Any) -> Any:
            return inner(*args)

        assert hints(Maker().make) == {"return": int}
        assert hints(outer) == {"x": Dog, "return": int}

    @pytest.mark.parametrize("fn", [None, len, print, Dog, 7])
    def test_what_has_none(self, fn: Any) -> None:
        assert hints(fn) == {}


# -- edges


def text() -> str: ...  # type: ignore[empty-body]
def numbers() -> list[int]: ...  # type: ignore[empty-body]
def untold(): ...  # type: ignore[no-untyped-def]
async def later() -> str: ...  # type: ignore[empty-body]
def promised() -> Awaitable[str]: ...  # type: ignore[empty-body]
def fails() -> None:
    raise ValueError("always")


def count(text: int) -> int: ...  # type: ignore[empty-body]
def size(text: str | list[str]) -> int: ...  # type: ignore[empty-body]


class TestEdges:
    def test_both_nodes_and_both_types_are_named(self) -> None:
        with pytest.raises(TypeMismatch) as caught:
            Dag.of(text, count)
        assert str(caught.value) == "text -> count: text gives str, but parameter 'text' of count is int"

    def test_names_of_nodes_and_parameters_are_told_apart(self) -> None:
        with pytest.raises(
            TypeMismatch, match=r"one -> two: one gives list\[int\], but parameter 'text' of two is str"
        ):
            Dag.of(NodeSpec("one", numbers), NodeSpec("two", size).after("one"))

    @pytest.mark.parametrize("up", [text, untold, later, promised, fails])
    def test_what_fits_or_is_not_known_passes(self, up: Any) -> None:
        assert Dag.of(NodeSpec("text", up), size)

    @pytest.mark.parametrize("up", [later, promised])
    def test_what_can_be_awaited_gives_what_comes_of_it(self, up: Any) -> None:
        with pytest.raises(TypeMismatch, match="text gives str"):
            Dag.of(NodeSpec("text", up), count)

    def test_order_only_carries_nothing(self) -> None:
        def alone() -> None: ...

        assert Dag.of(text, NodeSpec("alone", alone).after("text"))

    def test_what_goes_into_a_collector_is_one_value_of_it(self) -> None:
        def add(**parts: int) -> int: ...  # type: ignore[empty-body]
        def join(inputs: dict[str, str]) -> str: ...  # type: ignore[empty-body]

        assert Dag.of(text, NodeSpec("join", join).after("text"))
        for up, fn in ((text, add), (numbers, join)):
            with pytest.raises(TypeMismatch, match=f"{up.__name__} -> last"):
                Dag.of(up, NodeSpec("last", fn).after(up))

    def test_every_edit_looks(self) -> None:
        dag = Dag.of(text, NodeSpec("apart", numbers))
        with pytest.raises(TypeMismatch):
            dag.add_node(NodeSpec("count", count))
        with pytest.raises(TypeMismatch):
            Dag.of(NodeSpec("count", count)).add_node(text).add_edge("text", "count")
        with pytest.raises(TypeMismatch, match="text -> size"):
            Dag.of(text, size).replace_node("text", NodeSpec("text", numbers))
        with pytest.raises(TypeMismatch):
            Changeset.on(dag).add_node(NodeSpec("count", count))

    def test_two_changes_that_fit_only_alone_are_a_conflict(self) -> None:
        base = Dag.of(NodeSpec("text", untold), NodeSpec("count", lambda text: text))
        ours = Changeset.on(base).replace_node("count", NodeSpec("count", count))
        conflict = ours.rebase(base.replace_node("text", NodeSpec("text", text)))
        assert isinstance(conflict, Conflict)
        assert conflict.kind == "type"

    def test_a_graph_that_comes_from_text_is_not_asked_again(self) -> None:
        dag = Dag.of(text, size)
        assert Dag.from_json(dag.to_json()).replace_node("size", NodeSpec("size", count)).nodes["size"]


# -- models and annotations


class Inner(BaseModel):
    x: int


class InnerText(BaseModel):
    x: str


class Outer(BaseModel):
    inner: Inner
    rows: list[int] = []


class OuterText(BaseModel):
    inner: InnerText


class Rows(BaseModel):
    rows: list[str]


class Lenient(BaseModel):
    x: str

    @field_validator("x", mode="before")
    @classmethod
    def as_text(cls, value: Any) -> Any:
        return str(value)


class Made(BaseModel):
    x: str
    y: int

    @model_validator(mode="before")
    @classmethod
    def whole(cls, value: Any) -> Any:
        return value


class Prepared(BaseModel):
    x: Annotated[str, BeforeValidator(str)]


class Listed(RootModel[list[int]]): ...


class Maybe(BaseModel):
    x: int | None = Field(default=None)


class Tree(BaseModel):
    children: list[Tree] = []
    left: Tree | None = None


def read() -> Any: ...
def use(value: Any) -> Any: ...


def edge(out: Any, into: Any) -> Dag:
    return Dag.of(NodeSpec("read", read, out_model=out), NodeSpec("use", use, in_model=into).after("read"))


class TestModelsFieldByField:
    @pytest.mark.parametrize(
        ("out", "into"),
        [(Inner, Lenient), (Inner, Made), (Inner, Prepared), (Inner, Listed), (Inner, Maybe), (Maybe, Inner),
         (Outer, Outer), (Tree, Tree)],
    )  # fmt: skip
    def test_what_may_be_valid_passes(self, out: Any, into: Any) -> None:
        assert edge(out, into)

    @pytest.mark.parametrize(
        ("out", "into", "why"),
        [
            (Outer, OuterText, "read -> use: Inner.x is int, but InnerText.x is str"),
            (Outer, Rows, r"Outer.rows is list\[int\], but Rows.rows is list\[str\]"),
            (Maybe, InnerText, r"Maybe.x is int \| None, but InnerText.x is str"),
        ],
    )
    def test_what_cannot_be_is_named_by_its_field(self, out: Any, into: Any, why: str) -> None:
        with pytest.raises(TypeMismatch, match=why):
            edge(out, into)

    def test_what_a_function_returns_is_held_against_the_model_below(self) -> None:
        def give(kind: Any) -> Any:
            def made(): ...  # type: ignore[no-untyped-def]

            made.__annotations__ = {"return": kind}
            return made

        def graph(kind: Any, fn: Any, into: Any) -> Dag:
            return Dag.of(NodeSpec("x", give(kind)), NodeSpec("use", fn, in_model=into).after("x"))

        def two(x: Any, y: Any = 1) -> Any: ...
        def pair(x: Any, y: Any) -> Any: ...

        assert graph(Inner, use, Maybe)
        assert graph(dict, use, Inner)
        assert graph(Any, use, Inner)
        with pytest.raises(TypeMismatch, match="x -> use: int is no Inner"):
            graph(int, use, Inner)
        with pytest.raises(TypeMismatch, match=r"Inner.x is int, but InnerText.x is str"):
            graph(Inner, use, InnerText)
        with pytest.raises(TypeMismatch, match=r"x -> use: 'x' gets a int, but Made2.x is str"):
            Dag.of(NodeSpec("x", give(int)), NodeSpec("y", give(int)), NodeSpec("use", pair, in_model=Made2))
        assert graph(int, two, Maybe)

    def test_what_a_model_gives_is_held_against_the_parameter_below(self) -> None:
        def take(read: str) -> Any: ...

        with pytest.raises(TypeMismatch, match="read -> take: read gives Inner, but parameter 'read' of take is str"):
            Dag.of(NodeSpec("read", read, out_model=Inner), take)


class Made2(BaseModel):
    x: str
    y: int
