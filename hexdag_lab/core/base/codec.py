"""Records as JSON text and back: what journals, inboxes and workers exchange.

A record is a frozen dataclass registered under its class name. In JSON it is an object whose key "!" names the class;
other values that JSON lacks (bytes, fractions, sets) are tagged the same way, and a list always comes back as a tuple.
Nothing is ever executed on reading: an unknown tag is a `SchemaError`.
"""

from __future__ import annotations

import json
from base64 import b64decode, b64encode
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from enum import Enum
from fractions import Fraction
from typing import Any, NamedTuple, TypeVar, dataclass_transform

from .errors import SchemaError
from .frozen import FrozenDict

T = TypeVar("T")
Encoder = Callable[[Any], Any]

_ENCODERS: dict[type, Encoder] = {}
_DECODERS: dict[str, Callable[[dict[str, Any]], Any]] = {}


@dataclass_transform(frozen_default=True, kw_only_default=False)
def record(cls: type[T]) -> type[T]:
    """Make a class a frozen, slotted dataclass that `encode` and `decode` know by its name."""
    made = dataclass(frozen=True, slots=True)(cls)
    tag = made.__name__
    defaults = [(f.name, f.default) for f in fields(made)]  # type: ignore[arg-type]

    def to_data(value: Any) -> dict[str, Any]:
        data = {"!": tag}
        for name, default in defaults:
            item = getattr(value, name)
            if item is not default:  # defaults stay out: rows are smaller and old rows can be read
                data[name] = encode(item)
        return data

    def from_data(data: dict[str, Any]) -> Any:
        try:
            return made(**{key: decode(item) for key, item in data.items() if key != "!"})
        except TypeError as error:
            raise SchemaError(f"cannot read a {tag}: {error}; was it written by a newer hexdag_lab?") from error

    register(made, tag, to_data, from_data)
    return made


def register(kind: type, tag: str, to_data: Encoder, from_data: Callable[[dict[str, Any]], Any]) -> None:
    """Teach the codec a class that is not a plain record. `to_data` gives a dict; "!" is added here."""
    _ENCODERS[kind] = lambda value: {"!": tag, **to_data(value)}
    _DECODERS[tag] = from_data


def enum(cls: type[T]) -> type[T]:
    """Teach the codec an enumeration."""
    register(cls, cls.__name__, lambda value: {"v": value.value}, lambda data: cls(data["v"]))  # type: ignore[call-arg]
    return cls


def encode(value: Any) -> Any:
    """JSON-able data for a value made of records and plain data."""
    encoder = _ENCODERS.get(type(value))
    if encoder is not None:
        return encoder(value)
    if isinstance(value, Enum):
        raise SchemaError(f"{type(value).__name__} is not registered with the codec")
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return [encode(item) for item in value]
    raise SchemaError(f"{type(value).__module__}.{type(value).__qualname__} cannot be written as JSON")


def decode(data: Any) -> Any:
    """The value that `encode` was given."""
    kind = type(data)
    if kind is list:
        return tuple([decode(item) for item in data])
    if kind is not dict:
        return data
    tag = data.get("!")
    if tag is None:
        return FrozenDict({key: decode(item) for key, item in data.items()})
    decoder = _DECODERS.get(tag)
    if decoder is None:
        raise SchemaError(f"unknown record {tag!r}; was it written by a newer hexdag_lab?")
    return decoder(data)


def dumps(value: Any) -> bytes:
    """`encode` as compact JSON: UTF-8, keys in the order of the fields."""
    return json.dumps(encode(value), separators=(",", ":"), allow_nan=True).encode()


def loads(text: bytes | str) -> Any:
    """`decode` of JSON text; raises `SchemaError` if it is none."""
    try:
        data = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise SchemaError(f"not readable as JSON: {error}") from error
    return decode(data)


def namedtuple(cls: type[NamedTuple]) -> None:
    """Teach the codec a NamedTuple class, so that it comes back as one."""
    register(cls, cls.__name__, lambda v: {"v": [encode(i) for i in v]}, lambda d: cls(*map(decode, d["v"])))


def encode_data(value: Any) -> Any:
    """A user's plain data as JSON-able data, faithful to its types: a list stays a list, a tuple is tagged."""
    kind = type(value)
    if kind is list:
        return [encode_data(item) for item in value]
    if kind is tuple:
        return {"!": "tuple", "v": [encode_data(item) for item in value]}
    if isinstance(value, dict):
        if all(type(key) is str and key != "!" for key in value):
            return {key: encode_data(item) for key, item in value.items()}
        return {"!": "dict", "v": [[encode_data(key), encode_data(item)] for key, item in value.items()]}
    if kind in _SCALARS:
        return encode(value)
    raise SchemaError(f"{kind.__module__}.{kind.__qualname__} is not plain data")


def decode_data(data: Any) -> Any:
    """The value that `encode_data` was given."""
    if type(data) is list:
        return [decode_data(item) for item in data]
    if type(data) is not dict:
        return data
    match data.get("!"):
        case None:
            return {key: decode_data(item) for key, item in data.items()}
        case "tuple":
            return tuple(decode_data(item) for item in data["v"])
        case "dict":
            return {decode_data(key): decode_data(item) for key, item in data["v"]}
        case _:
            return decode(data)


def _mapping(value: Mapping[Any, Any]) -> Any:
    if all(type(key) is str and key != "!" for key in value):
        return {key: encode(item) for key, item in value.items()}
    return {"!": "dict", "v": [[encode(key), encode(item)] for key, item in value.items()]}


def _plain(value: Any) -> Any:
    return value


def _items(value: Any) -> list[Any]:
    return [encode(item) for item in value]


for _kind in (type(None), bool, int, float, str):
    _ENCODERS[_kind] = _plain
_ENCODERS |= {dict: _mapping, FrozenDict: _mapping, tuple: _items, list: _items}
_DECODERS["dict"] = lambda data: {decode(key): decode(item) for key, item in data["v"]}
register(bytes, "b", lambda v: {"v": b64encode(v).decode()}, lambda d: b64decode(d["v"], validate=True))
register(Fraction, "q", lambda v: {"v": f"{v.numerator}/{v.denominator}"}, lambda d: Fraction(d["v"]))
register(set, "set", lambda v: {"v": _sorted(v)}, lambda d: {decode(item) for item in d["v"]})
register(frozenset, "fset", lambda v: {"v": _sorted(v)}, lambda d: frozenset(decode(item) for item in d["v"]))
register(complex, "c", lambda v: {"v": [v.real, v.imag]}, lambda d: complex(*d["v"]))


_SCALARS = frozenset({type(None), bool, int, float, str, bytes, Fraction, set, frozenset, complex})


def _sorted(value: Any) -> list[Any]:
    return sorted((encode(item) for item in value), key=lambda item: json.dumps(item, sort_keys=True))
