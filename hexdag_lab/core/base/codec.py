"""Records as JSON text and back: what journals, inboxes and workers exchange.

A record is a frozen dataclass registered under its class name. In JSON it is an object whose key "!" names the class;
other values that JSON lacks (bytes, fractions, sets) are tagged the same way, and a list always comes back as a tuple.
Nothing is ever executed on reading: an unknown tag, or a record with other fields, is a `SchemaError`.
"""

from __future__ import annotations

import json
from base64 import b64decode, b64encode
from collections.abc import Callable, Mapping
from dataclasses import MISSING, dataclass, field, fields
from enum import Enum
from fractions import Fraction
from math import isfinite
from typing import Any, NamedTuple, TypeVar, dataclass_transform

from .canon import check_depth, plain
from .errors import HexdagError, SchemaError
from .frozen import FrozenDict

T = TypeVar("T")
Encoder = Callable[[Any], Any]

_COMPACT = json.JSONEncoder(separators=(",", ":"), allow_nan=False)
_ENCODERS: dict[type, Encoder] = {}
_DECODERS: dict[str, Callable[[dict[str, Any]], Any]] = {}
_MODULES: dict[str, str] = {}


@dataclass_transform(frozen_default=True, kw_only_default=False, field_specifiers=(field,))
def record(cls: type[T]) -> type[T]:
    """Make a class a frozen, slotted dataclass that `encode` and `decode` know by its name."""
    made = dataclass(frozen=True, slots=True)(cls)
    tag = made.__name__
    defaults = [(f.name, f.default) for f in fields(made)]  # type: ignore[arg-type]
    written: dict[str, Any] = {}  # the defaults as data, each when it is first needed

    def default_of(name: str, default: Any) -> Any:
        if name not in written:
            written[name] = default if default is MISSING else encode(default)
        return written[name]

    def to_data(value: Any) -> dict[str, Any]:
        data = {"!": tag}
        for name, default in defaults:
            item = getattr(value, name)
            if item is default:  # defaults stay out: rows are smaller and old rows can be read
                continue
            if type(item) is str:  # stands for itself, and most fields are one
                if item != default:
                    data[name] = item
                continue
            said, usual = encode(item), default_of(name, default)
            if said != usual or repr(said) != repr(
                usual
            ):  # 0 is not 0.0; but from a pickle, a default is another object
                data[name] = said
        return data

    def from_data(data: dict[str, Any]) -> Any:
        return made(**{key: decode(item) for key, item in data.items() if key != "!"})

    register(made, tag, to_data, from_data)
    return made


def register(kind: type, tag: str, to_data: Encoder, from_data: Callable[[dict[str, Any]], Any]) -> None:
    """Teach the codec a class that is not a plain record. `to_data` gives a dict; "!" is added here."""
    if _MODULES.setdefault(tag, kind.__module__) != kind.__module__:
        raise TypeError(f"two records are called {tag}: in {_MODULES[tag]} and in {kind.__module__}; rename one")
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


_PLAIN = frozenset({str, int, float, bool, type(None)})  #: stands for itself in JSON


def decode(data: Any) -> Any:
    """The value that `encode` was given."""
    kind = type(data)
    if kind is list:
        return tuple([decode(item) for item in data])
    if kind is not dict:
        return data
    tag = data.get("!")
    if tag is None:
        return FrozenDict({key: item if type(item) in _PLAIN else decode(item) for key, item in data.items()})
    decoder = _DECODERS.get(tag) if type(tag) is str else None
    if decoder is None:
        raise SchemaError(f"unknown record {tag!r}; was it written by a newer hexdag_lab?")
    try:
        return decoder(data)
    except HexdagError:
        raise
    except (TypeError, ValueError, LookupError, AttributeError, ArithmeticError) as error:
        raise SchemaError(f"cannot read a {tag}: {error!r}; was it written by a newer hexdag_lab?") from error


def dumps(value: Any) -> bytes:
    """`encode` as compact JSON: UTF-8, keys in the order of the fields."""
    return _COMPACT.encode(encode(value)).encode()


def loads(text: bytes | str) -> Any:
    """`decode` of JSON text; raises `SchemaError` if it is none."""
    try:
        return decode(json.loads(text))
    except HexdagError:
        raise
    except (ValueError, RecursionError) as error:
        raise SchemaError(f"not readable as JSON: {error}") from error


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
    return encode_data(plain(value))  # a subclass, as what it is underneath


def decode_data(data: Any, depth: int = 0) -> Any:
    """The value that `encode_data` was given."""
    check_depth(depth)
    if type(data) is list:
        return [decode_data(item, depth + 1) for item in data]
    if type(data) is not dict:
        return data
    match data.get("!"):
        case None:
            return {key: decode_data(item, depth + 1) for key, item in data.items()}
        case "tuple":
            return tuple([decode_data(item, depth + 1) for item in data["v"]])
        case "dict":
            return {decode_data(key, depth + 1): decode_data(item, depth + 1) for key, item in data["v"]}
        case tag if tag in _DATA_TAGS:
            return decode(data)
        case tag:
            raise SchemaError(f"{tag!r} is no kind of plain data")


def _mapping(value: Mapping[Any, Any]) -> Any:
    if all(type(key) is str and key != "!" for key in value):
        return {key: encode(item) for key, item in value.items()}
    return {"!": "dict", "v": [[encode(key), encode(item)] for key, item in value.items()]}


def _plain(value: Any) -> Any:
    return value


def _items(value: Any) -> list[Any]:
    return [encode(item) for item in value]


def _fraction(text: str) -> Fraction:
    above, below = text.split("/")
    return Fraction(int(above), int(below))


def _int(value: int) -> Any:
    return value if -(2**63) <= value < 2**63 else {"!": "i", "v": f"{value:x}"}


def _float(value: float) -> Any:
    return value if isfinite(value) else {"!": "f", "v": repr(value)}


for _kind in (type(None), bool, str):
    _ENCODERS[_kind] = _plain
_ENCODERS |= {int: _int, float: _float}
_DECODERS |= {"i": lambda d: int(d["v"], 16), "f": lambda d: float(d["v"])}
_ENCODERS |= {dict: _mapping, FrozenDict: _mapping, tuple: _items, list: _items}
_DECODERS["dict"] = lambda data: {decode(key): decode(item) for key, item in data["v"]}
register(bytes, "b", lambda v: {"v": b64encode(v).decode()}, lambda d: b64decode(d["v"], validate=True))
register(Fraction, "q", lambda v: {"v": f"{v.numerator}/{v.denominator}"}, lambda d: _fraction(d["v"]))
register(set, "set", lambda v: {"v": _sorted(v)}, lambda d: {decode(item) for item in d["v"]})
register(frozenset, "fset", lambda v: {"v": _sorted(v)}, lambda d: frozenset(decode(item) for item in d["v"]))
register(complex, "c", lambda v: {"v": _items((v.real, v.imag))}, lambda d: complex(*decode(d["v"])))

_DATA_TAGS = ("b", "q", "set", "fset", "c", "i", "f")
_SCALARS = frozenset({type(None), bool, int, float, str, bytes, Fraction, set, frozenset, complex})


def _sorted(value: Any) -> list[Any]:
    return sorted((encode(item) for item in value), key=lambda item: json.dumps(item, sort_keys=True))
