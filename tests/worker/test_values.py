"""Values come back as what they were, or it is said clearly that they cannot travel."""

from __future__ import annotations

import math
import socket
import sys
import threading
import types
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum
from fractions import Fraction
from typing import Any

import cloudpickle
import numpy as np
import pytest

from hexdag_lab.core.base.errors import SchemaError
from hexdag_lab.worker.values import decode, encode, in_pool, rough_size


@dataclass(frozen=True)
class Point:
    x: int
    y: float = 0.0


class Colour(Enum):
    RED = 1


def round_trip(value: Any) -> Any:
    kept = encode(value)
    assert kept.inline is not None
    return decode(kept, kept.inline)


def shape(value: Any) -> Any:
    """The types all the way down."""
    if isinstance(value, dict):
        return {key: (type(key), shape(item)) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return type(value), [shape(item) for item in value]
    return type(value)


FAITHFUL = [
    None, True, 0, -1, 2**70, 2**5000, 0.1, -0.0, 1e308, "", "ä€\u2028 \0", b"bytes", [], {}, (), (1,), [(1, 2), [3]],
    {"a": 1, "b": [None, {"c": ()}]}, {1: "int key"}, {(1, 2): "tuple key"}, {True: 1}, {None: 0}, {1, 2},
    frozenset("x"), Fraction(1, 3), 1 + 2j, range(3), datetime(2026, 1, 2, tzinfo=UTC), Point(1, 2.5), [Point(1)],
    Colour.RED,
    {"!": "FrozenDict"}, [[[[[[[[[[[[[[[[[[[[[[["deep"]]]]]]]]]]]]]]]]]]]]]]], "\udc80 half a surrogate pair",
    np.float64(1.5), np.int32(7), bytearray(b"x"), slice(1, 2),
]  # fmt: skip


@pytest.mark.parametrize("value", FAITHFUL, ids=lambda v: repr(v)[:40])
def test_a_value_comes_back_equal_and_of_the_same_types(value: Any) -> None:
    back = round_trip(value)
    assert back == value
    assert shape(back) == shape(value)


@pytest.mark.parametrize("value", [math.inf, -math.inf, math.nan, [math.nan]], ids=repr)
def test_floats_that_json_does_not_know_come_back(value: Any) -> None:
    assert repr(round_trip(value)) == repr(value)


def test_plain_data_is_json_so_that_it_can_be_read_without_running_code() -> None:
    assert encode({"a": [1, 2.5, "x", None, True]}).codec == "json"
    assert encode({"a": (1, 2)}).codec == "pickle"


def test_an_array_comes_back_with_its_dtype_and_order() -> None:
    array = np.asfortranarray(np.arange(6, dtype=np.int16).reshape(2, 3))
    back = round_trip(array)
    assert back.dtype == array.dtype
    assert back.flags.f_contiguous
    np.testing.assert_array_equal(back, array)


def test_a_list_that_shares_its_parts_endlessly_is_not_walked_for_ever() -> None:
    value: Any = [1]
    for _ in range(18):
        value = [value] * 8
    back = round_trip(value)
    assert back[0] is back[1]


def test_a_list_that_contains_itself_comes_back_so() -> None:
    value: list[Any] = []
    value.append(value)
    back = round_trip(value)
    assert back[0] is back


def test_a_class_of_a_module_that_only_this_process_has_travels_with_its_values() -> None:
    module = sys.modules["notebook_like"] = types.ModuleType("notebook_like")
    try:
        exec("from dataclasses import dataclass\n@dataclass\nclass Row:\n    n: int", module.__dict__)
        cloudpickle.register_pickle_by_value(module)  # what shipping does while it packs a node's code
        data = encode(module.Row(3))
    finally:
        cloudpickle.unregister_pickle_by_value(module)
        del sys.modules["notebook_like"]
    assert decode(data, data.inline or b"").n == 3


def test_encoding_a_value_does_not_import_the_module_of_its_class(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "script_of_a_user.py").write_text("raise SystemExit('the script was run a second time')")
    monkeypatch.syspath_prepend(str(tmp_path))
    module = types.ModuleType("script_of_a_user")
    exec("class Row:\n    pass", module.__dict__)
    assert type(round_trip(module.Row())).__name__ == "Row"


@pytest.mark.parametrize(
    "value", [threading.Lock(), (n for n in ()), sys._getframe(), socket.socket()], ids=lambda v: type(v).__name__
)
def test_what_cannot_travel_is_named_with_advice(value: Any) -> None:
    assert rough_size(value) is None
    with pytest.raises(SchemaError, match=rf"{type(value).__qualname__} cannot be shipped .*return plain data"):
        encode(value)


def test_a_class_whose_pickling_fails_is_named() -> None:
    class Odd:
        def __reduce__(self) -> Any:
            raise RuntimeError("no luck today")

    with pytest.raises(SchemaError, match=r"Odd cannot be shipped \(no luck today\)"):
        encode(Odd())


def test_bytes_that_are_not_those_that_were_written_are_refused() -> None:
    kept = encode([1, 2, 3])
    with pytest.raises(SchemaError, match="damaged"):
        decode(kept, b"[1,2,4]")


def test_a_value_whose_class_is_not_there_says_what_is_missing() -> None:
    module = types.ModuleType("was_there_once")
    exec("class Row:\n    pass", module.__dict__)
    sys.modules["was_there_once"] = module
    kept = encode(module.Row())
    del sys.modules["was_there_once"]
    with pytest.raises(SchemaError, match=r"cannot be read here .*was_there_once"):
        decode(kept, kept.inline or b"")


def test_arrays_and_frames_say_their_size_without_being_encoded() -> None:
    pandas = pytest.importorskip("pandas")
    assert rough_size(np.zeros(1000)) == 8000
    assert rough_size(pandas.DataFrame({"a": np.zeros(1000)})) >= 8000
    assert rough_size(pandas.Series(np.zeros(1000))) >= 8000


@pytest.mark.parametrize(
    "value", [[1], "text", {"nbytes": 3}, np.array([object()] * 9), np.ndarray, type("T", (), {"nbytes": 5})()]
)
def test_others_do_not(value: Any) -> None:
    assert rough_size(value) is None


def test_a_class_that_answers_to_everything_is_no_array() -> None:
    class Yes:
        def __getattr__(self, name: str) -> Any:
            if name.startswith("__"):
                raise AttributeError(name)
            return self

        def __call__(self, *_: Any, **__: Any) -> Any:
            raise OSError("and does something when called")

    assert rough_size(Yes()) is None


def test_a_value_in_the_pool_has_a_size_and_no_bytes() -> None:
    kept = in_pool(5)
    assert (kept.where, kept.size, kept.inline) == ("pool", 5, None)
