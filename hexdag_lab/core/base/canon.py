"""Canonical bytes: equal content gives equal bytes, on every Python, in every process.

Each value is written as a type tag, a length and a body, so no two different values share an encoding. Only plain
data is accepted: identity must not hang on pickles or reprs. Digests are SHA-256, as in git and Nix.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from fractions import Fraction
from functools import lru_cache
from hashlib import sha256
from math import isnan
from typing import Any

from .errors import SchemaError

DIGEST_SIZE = 32  #: bytes


def digest(*parts: bytes | memoryview) -> bytes:
    """SHA-256 over length-prefixed parts: 32 bytes."""
    h = sha256()
    for part in parts:
        h.update(len(part).to_bytes(8, "big"))
        h.update(part)
    return h.digest()


def hash_of(value: Any) -> bytes:
    """Digest of a plain value: 32 bytes."""
    return sha256(canonical(value)).digest()


def canonical(value: Any) -> bytes:
    """Canonical bytes of plain data: None, bool, int, float, str, bytes, Fraction, list, tuple, set, dict.

    Raises `SchemaError` for anything else, and for data nested deeper than 100 levels.
    """
    kind: type = type(value)
    return (_WRITERS.get(kind) or _writer_of_subclass(kind))(value, 0)


def plain(value: Any) -> Any:
    """A copy of plain data that is made of builtin types only and shares nothing that can change.

    Subclasses (StrEnum, NamedTuple) come out as what they are underneath, numbers of numpy as Python's.
    Raises `SchemaError` for anything else.
    """
    return _copy(value, 0)


def _copy(value: Any, depth: int) -> Any:
    check_depth(depth)
    kind = type(value)
    if kind in _IMMUTABLE:
        return value
    for sequence in (list, tuple, frozenset, set):
        if isinstance(value, sequence):
            return _made(sequence, [_copy(item, depth + 1) for item in value])
    if isinstance(value, Mapping):
        return _made(dict, [(_copy(k, depth + 1), _copy(item, depth + 1)) for k, item in value.items()])
    for base, bare in _UNDERNEATH:
        if isinstance(value, base):
            return bare(value)
    if getattr(value, "shape", None) == ():
        return _copy(value.item(), depth + 1)
    raise _not_plain(type(value))


def _made(kind: type, items: list[Any]) -> Any:
    try:
        return kind(items)
    except TypeError as error:
        raise SchemaError(f"this is not plain data: {error}") from error


_IMMUTABLE = frozenset({type(None), bool, int, float, complex, str, bytes, Fraction})
_UNDERNEATH: tuple[tuple[type, Callable[[Any], Any]], ...] = (
    (int, int), (float, float), (complex, complex), (str, str.__str__), (bytes, bytes),
)  # fmt: skip


DEEPEST = 64  #: levels of plain data
_DEEPEST = 100  #: levels of what is written


def check_depth(depth: int, deepest: int = DEEPEST) -> None:
    """Raise `SchemaError` for data that is nested too deeply to be walked safely."""
    if depth > deepest:
        raise SchemaError(f"data is nested deeper than {deepest} levels; flatten it, or load it inside the node")


def _not_plain(kind: type) -> SchemaError:
    return SchemaError(
        f"{kind.__module__}.{kind.__qualname__} is not plain data (numbers, text, bytes, lists, "
        "dicts): pass it as an input of the run, or load it inside a node"
    )


def joined(*parts: bytes) -> bytes:
    """Canonical bytes of a tuple, given those of its items: for whoever keeps the bytes of items that come up again."""
    return _framed(b"U", list(parts))


Writer = Callable[[Any, int], bytes]
"""The bytes of a value at a depth; what holds other values checks that they do not lie too deep."""


def _bytes(value: Any, depth: int) -> bytes:
    kind: type = type(value)
    return (_WRITERS.get(kind) or _writer_of_subclass(kind))(value, depth)


@lru_cache(maxsize=1000)
def _writer_of_subclass(kind: type) -> Writer:
    """Subclasses (StrEnum, NamedTuple, IntEnum, MappingProxyType) are written as what they are underneath."""
    for base, writer in _BASES:
        if issubclass(kind, base):
            return writer
    raise _not_plain(kind)


def _scalar(tag: bytes, to_bytes: Callable[[Any], bytes]) -> Writer:
    def write(value: Any, _: int) -> bytes:
        body = to_bytes(value)
        return tag + len(body).to_bytes(8, "big") + body

    return write


def _text(value: str, _: int) -> bytes:  # most of what is written
    body = value.encode("utf-8", "surrogatepass")
    return b"T" + len(body).to_bytes(8, "big") + body


def _int(value: int, _: int) -> bytes:
    body = b"%x" % value
    return b"I" + len(body).to_bytes(8, "big") + body


def _float_bytes(value: float) -> bytes:
    if isnan(value):
        return b"nan"
    return float.hex(value + 0.0).encode()  # 0.0 and -0.0 are one number


def _sequence(tag: bytes) -> Writer:
    return lambda value, depth: _framed(tag, _items(value, depth))


def _set(value: Any, depth: int) -> bytes:
    return _framed(b"S", sorted(_items(value, depth)))


def _mapping(value: Any, depth: int) -> bytes:
    depth += 1
    if depth > _DEEPEST and value:
        check_depth(depth, _DEEPEST)
    items = [_bytes(key, depth) + _bytes(item, depth) for key, item in value.items()]
    items.sort()
    return _framed(b"D", items)


def _items(values: Any, depth: int) -> list[bytes]:
    depth += 1
    if depth > _DEEPEST and values:
        check_depth(depth, _DEEPEST)
    return [_bytes(item, depth) for item in values]


def _framed(tag: bytes, items: list[bytes]) -> bytes:
    return tag + len(items).to_bytes(8, "big") + b"".join(items)


_WRITERS: Mapping[type, Writer] = {
    type(None): _scalar(b"N", lambda _: b""),
    bool: _scalar(b"B", lambda v: b"1" if v else b"0"),
    int: _int,
    float: _scalar(b"F", _float_bytes),
    complex: _scalar(b"C", lambda v: _float_bytes(v.real) + b"," + _float_bytes(v.imag)),
    str: _text,
    bytes: _scalar(b"Y", bytes),
    Fraction: _scalar(b"Q", lambda v: f"{v.numerator}/{v.denominator}".encode()),
    list: _sequence(b"L"),
    tuple: _sequence(b"U"),
    set: _set,
    frozenset: _set,
    dict: _mapping,
}
_BASES: tuple[tuple[type, Writer], ...] = (
    *((kind, _WRITERS[kind]) for kind in (bool, int, float, str, bytes, list, tuple, frozenset, set)),
    (Mapping, _mapping),
)
