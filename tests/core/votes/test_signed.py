"""The text under a signature: canonical as RFC 8785 has it, and readable whatever somebody puts in its place."""

from __future__ import annotations

import json
import struct
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hexdag_lab.core.base.errors import SchemaError
from hexdag_lab.core.votes.signed import Proof, canonical_text, is_canonical

#: RFC 8785, section 3.2.2 and 3.2.3: the example, and keys in the order of their UTF-16 code units
EXAMPLE = {
    "numbers": [333333333.33333329, 1e30, 4.50, 2e-3, 0.000000000000000000000000001],
    "string": '€$\u000f\u000aA\'B"\\\\"/',
    "literals": [None, True, False],
}
SORTED = {
    "\u20ac": "Euro Sign", "\r": "Carriage Return", "\ufb33": "Hebrew Letter Dalet With Dagesh", "1": "One",
    "\U0001f600": "Emoji: Grinning Face", "\u0080": "Control", "\u00f6": "Latin Small Letter O With Diaeresis",
}  # fmt: skip
#: RFC 8785, appendix B: IEEE 754 bits -> text
NUMBERS = {
    "0000000000000000": "0", "8000000000000000": "0", "0000000000000001": "5e-324", "8000000000000001": "-5e-324",
    "7fefffffffffffff": "1.7976931348623157e+308", "ffefffffffffffff": "-1.7976931348623157e+308",
    "4340000000000000": "9007199254740992", "c340000000000000": "-9007199254740992",
    "4430000000000000": "295147905179352830000", "44b52d02c7e14af5": "9.999999999999997e+22",
    "44b52d02c7e14af6": "1e+23", "44b52d02c7e14af7": "1.0000000000000001e+23",
    "444b1ae4d6e2ef4e": "999999999999999700000", "444b1ae4d6e2ef4f": "999999999999999900000",
    "444b1ae4d6e2ef50": "1e+21", "3eb0c6f7a0b5ed8c": "9.999999999999997e-7",
    "3eb0c6f7a0b5ed8d": "0.000001", "41b3de4355555553": "333333333.3333332", "41b3de4355555554": "333333333.33333325",
    "41b3de4355555555": "333333333.3333333", "41b3de4355555556": "333333333.3333334",
    "41b3de4355555557": "333333333.33333343", "becbf647612f3696": "-0.0000033333333333333333",
    "43143ff3c1cb0959": "1424953923781206.2",
}  # fmt: skip


def test_the_example_of_the_standard_is_written_as_it_prints_it() -> None:
    assert canonical_text(EXAMPLE) == (  # type: ignore[arg-type]
        '{"literals":[null,true,false],"numbers":[333333333.3333333,1e+30,4.5,0.002,1e-27],'
        '"string":"€$\\u000f\\nA\'B\\"\\\\\\\\\\"/"}'
    )


def test_keys_are_in_the_order_of_the_standard() -> None:
    names = list(json.loads(canonical_text(SORTED)).values())
    assert names == ["Carriage Return", "One", "Control", "Latin Small Letter O With Diaeresis", "Euro Sign",
                     "Emoji: Grinning Face", "Hebrew Letter Dalet With Dagesh"]  # fmt: skip


@pytest.mark.parametrize(("bits", "text"), NUMBERS.items())
def test_numbers_are_written_as_the_standard_writes_them(bits: str, text: str) -> None:
    (value,) = struct.unpack(">d", bytes.fromhex(bits))
    assert canonical_text({"n": value}) == '{"n":' + text + "}"


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 2**53 + 1, "\ud800", b"x", object()])
def test_what_has_no_canonical_json_is_named(value: Any) -> None:
    with pytest.raises(SchemaError, match="this cannot be signed"):
        canonical_text({"reason": value})


scalars = st.text() | st.integers(-(2**53) + 1, 2**53 - 1)


@given(st.dictionaries(st.text(), scalars))
def test_what_was_written_is_canonical_and_says_the_same(claims: dict[str, Any]) -> None:
    text = canonical_text(claims)
    assert is_canonical(text)
    assert json.loads(text) == claims


@given(st.dictionaries(st.text(), scalars, min_size=1))
def test_any_other_way_to_write_it_is_not_canonical(claims: dict[str, Any]) -> None:
    assert not is_canonical(json.dumps(claims, indent=1))
    assert not is_canonical(canonical_text(claims) + " ")


@pytest.mark.parametrize("text", ["", "[]", "7", "{", '{"a":1,"a":1}', '{"b":1,"a":2}', "[" * 100_000, '{"a":NaN}'])
def test_a_text_that_is_no_canonical_object_is_none(text: str) -> None:
    assert not is_canonical(text)


@pytest.mark.parametrize("text", ["", "[]", "7", '{"counter":"7"}', '{"counter":true,"expires":1.5}', "[" * 100_000])
def test_a_proof_of_rubbish_has_no_counter_and_has_expired(text: str) -> None:
    proof = Proof(text, "", "")
    assert (proof.counter, proof.expires) == (0, 0)
