"""Canonical bytes: equal content gives equal bytes, other content other bytes."""

from collections import OrderedDict
from enum import Enum, IntEnum, StrEnum
from fractions import Fraction
from itertools import combinations
from typing import Any, NamedTuple

import pytest

from hexdag_lab.core.base.canon import canonical, digest, hash_of, plain
from hexdag_lab.core.base.errors import SchemaError


class Number(IntEnum):
    ONE = 1


class Mixed(int, Enum):
    ONE = 1


class Word(StrEnum):
    A = "a"


class Pair(NamedTuple):
    x: int
    y: int


class Bare(Enum):
    A = 1


VALUES: list[Any] = [
    None, True, False, 0, 1, -1, 10**400, -(10**400), 0.0, 1.0, 1.5, float("inf"), float("-inf"), float("nan"), 1j,
    1 + 0j, "", "a", "1", "None", "\ud800", "é", b"", b"a", Fraction(1, 2), Fraction(1), (), [], {}, frozenset(),
    (1,), [1], {1},
    {1: 1}, {"1": 1}, (1, 2), (2, 1), ((1,), 2), (1, (2,)), (1, 2, ()), "ab", ("a", "b"), ("ab", ""), ("", "ab"),
    {"a": {"b": 1}}, {"a": None}, {"a": None, "b": None}, {("a", 1): 2}, {1, 2, 3},
]  # fmt: skip


def test_no_two_different_values_share_their_bytes() -> None:
    for one, other in combinations(VALUES, 2):
        assert canonical(one) != canonical(other), (one, other)


@pytest.mark.parametrize(
    ("one", "same"),
    [
        ({"a": 1, "b": 2}, {"b": 2, "a": 1}), ({1, 2, 3}, {3, 2, 1}), ({1}, frozenset({1})), (0.0, -0.0),
        (float("nan"), -float("nan")), (Number.ONE, 1), (Mixed.ONE, 1), (Word.A, "a"), (Pair(1, 2), (1, 2)),
        (OrderedDict(b=1, a=2), {"a": 2, "b": 1}), (Fraction(2, 4), Fraction(1, 2)),
    ],
)  # fmt: skip
def test_equal_content_has_equal_bytes(one: Any, same: Any) -> None:
    assert canonical(one) == canonical(same)
    assert hash_of(one) == hash_of(same)


@pytest.mark.parametrize("value", [object(), Bare.A, len, [object()], {"a": object()}, bytearray(b"a"), range(3)])
def test_only_plain_data_has_any(value: Any) -> None:
    with pytest.raises(SchemaError, match="is not plain data"):
        canonical(value)
    with pytest.raises(SchemaError, match="is not plain data"):
        plain(value)


def test_a_ring_is_nested_too_deeply() -> None:
    ring: list[Any] = []
    ring.append(ring)
    for walk in (canonical, plain):
        with pytest.raises(SchemaError, match="nested deeper"):
            walk(ring)


def test_these_bytes_are_for_good() -> None:
    assert hash_of([1, "a", None]).hex()[:16] == hash_of([1, "a", None]).hex()[:16]
    assert canonical(("a", 255)) == b"U\0\0\0\0\0\0\0\x02T\0\0\0\0\0\0\0\x01aI\0\0\0\0\0\0\0\x02ff"


def test_a_digest_knows_where_its_parts_end() -> None:
    assert digest(b"ab", b"c") != digest(b"a", b"bc") != digest(b"abc")
    assert len(digest()) == 32


def test_plain_shares_nothing_that_can_change() -> None:
    inner = [1]
    made = plain({"a": inner, "b": {"c": inner}})
    inner.append(2)
    assert made == {"a": [1], "b": {"c": [1]}}


def test_plain_is_a_fixed_point() -> None:
    for value in VALUES:
        assert repr(plain(value)) == repr(value)
        assert canonical(plain(value)) == canonical(value)
