"""Records as JSON text; the laws of the round trip are in tests/laws."""

import json
from enum import StrEnum
from fractions import Fraction
from typing import Any, NamedTuple

import pytest

from hexdag_lab.core.base.codec import (
    decode,
    decode_data,
    dumps,
    encode,
    encode_data,
    enum,
    loads,
    namedtuple,
    record,
    register,
)
from hexdag_lab.core.base.errors import SchemaError
from hexdag_lab.core.base.frozen import FrozenDict


@enum
class Colour(StrEnum):
    RED = "red"


@record
class Inner:
    n: int


@record
class Outer:
    name: str
    inner: Inner | None = None
    items: tuple[Any, ...] = ()
    more: FrozenDict[Any] = FrozenDict()
    colour: Colour = Colour.RED


class Spot(NamedTuple):
    x: int
    y: Any


namedtuple(Spot)


def test_a_record_comes_back() -> None:
    value = Outer("a", Inner(3), (1, b"x", Fraction(1, 3), frozenset({1}), Spot(1, (2,))), FrozenDict({"k": Inner(4)}))
    again = loads(dumps(value))
    assert again == value
    assert type(again.items[-1]) is Spot
    assert type(again.more) is FrozenDict
    assert again.colour is Colour.RED


def test_a_record_is_frozen() -> None:
    with pytest.raises(AttributeError):
        Inner(3).n = 4


def test_defaults_are_left_out() -> None:
    assert dumps(Outer("a")) == b'{"!":"Outer","name":"a"}'
    assert loads(b'{"!":"Outer","name":"a"}') == Outer("a")


def test_text_is_strict_json() -> None:
    text = dumps((float("nan"), float("inf"), -float("inf"), 2**64, -(2**64), 1j, "\ud800"))

    def refuse(name: str) -> Any:
        raise AssertionError(name)

    json.loads(text, parse_constant=refuse)
    nan, *others = loads(text)
    assert nan != nan
    assert others == [float("inf"), -float("inf"), 2**64, -(2**64), 1j, "\ud800"]


@pytest.mark.parametrize(
    "text",
    [
        b"", b"{", b"\xff", b"9" * 5000, b"[" * 100_000, b'{"!":"Nope"}', b'{"!":7}', b'{"!":["a"]}', b'{"!":{}}',
        b'{"!":"Outer"}', b'{"!":"Outer","name":"a","colour":{"!":"Colour","v":"blue"}}', b'{"!":"Inner","n":1,"m":2}',
        b'{"!":"b","v":"?"}', b'{"!":"b"}', b'{"!":"q","v":"1/0"}', b'{"!":"q","v":"1e9"}', b'{"!":"i","v":"xyz"}',
        b'{"!":"set","v":[{}, {"!":"set","v":[]}]}', b'{"!":"Spot","v":[1]}', b'{"!":"f","v":"x"}',
        b'{"!":"dict","v":[[1]]}',
    ],
)  # fmt: skip
def test_what_cannot_be_read_is_a_schema_error(text: bytes) -> None:
    with pytest.raises(SchemaError):
        loads(text)


def test_what_cannot_be_written_is_one_as_well() -> None:
    class Free(StrEnum):
        A = "a"

    for value in (object(), Free.A, [object()]):
        with pytest.raises(SchemaError):
            encode(value)
        if value is not Free.A:
            with pytest.raises(SchemaError):
                encode_data(value)


def test_plain_data_keeps_its_types() -> None:
    value = [1, (2, [3]), {"a": (1,), 4: {5}}, {"!": "x"}, frozenset({(1, 2)}), b"x", None, True, 1.0, {}]
    again = decode_data(json.loads(json.dumps(encode_data(value))))
    assert again == value
    assert repr(again) == repr(value)


def test_plain_data_reads_no_records() -> None:
    with pytest.raises(SchemaError, match="'Inner' is no kind of plain data"):
        decode_data(encode(Inner(3)))


def test_names_of_records_are_taken_once() -> None:
    class Inner2:
        pass

    Inner2.__module__ = "elsewhere"
    with pytest.raises(TypeError, match="two records are called Inner"):
        register(Inner2, "Inner", dict, dict)


def test_decode_gives_immutable_values() -> None:
    assert decode({"a": [1]}) == FrozenDict({"a": (1,)})
    hash(decode({"a": [1]}))


def test_a_default_is_left_out_also_where_it_is_an_equal_object() -> None:
    """As after a pickle: equal values have equal text, or maps of records would differ that do not."""
    assert dumps(Outer("a", colour=Colour("red"), more=FrozenDict({}))) == dumps(Outer("a"))
