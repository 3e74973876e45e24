"""Specs as JSON-able data and back: what graphs and changes as text are made of.

The data holds no code, only its name and hash. Fields at their defaults are left out.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from fractions import Fraction
from functools import lru_cache
from typing import Any

from ..base.codec import decode_data, encode_data, register
from ..base.errors import DagError, SchemaError
from .callback import Callback
from .code import Code, Param
from .models import Model, model_from_data, model_to_data
from .node import CALLBACKS, DEFAULTS, NodeSpec

_PLAIN_FIELDS = (
    "retries", "backoff", "timeout", "version", "agent", "cache", "effects", "durable", "exclusive", "blob",
    "optional", "concurrency",
)  # fmt: skip

_FIELDS = frozenset(
    {"!", "name", "code", "params", "requires", "after", "cost", "in_model", "out_model", *CALLBACKS, *_PLAIN_FIELDS}
)


def code_to_data(code: Code) -> dict[str, Any]:
    """Code as JSON-able data: its name and hash."""
    data: dict[str, Any] = {"name": code.name, "module": code.module, "digest": code.digest.hex()}
    data["params"] = [[p.name, p.required, p.kind] for p in code.params]
    return data if code.known else data | {"known": False}


def spec_to_data(spec: NodeSpec, code: Callable[[Code], Any] = code_to_data) -> dict[str, Any]:
    """A spec as JSON-able data; `code` says what stands for its code."""
    data: dict[str, Any] = {"name": spec.name, "code": code(spec.code)}
    if spec.params:
        data["params"] = encode_data(dict(spec.params))
    if spec.requires:
        data["requires"] = sorted(spec.requires)
    if spec.deps:
        data["after"] = list(spec.deps)
    if spec.cost:
        data["cost"] = str(spec.cost)
    for name in ("in_model", "out_model"):
        if (model := getattr(spec, name)) is not None:
            data[name] = model_to_data(model)
    for name in CALLBACKS:
        if (callback := getattr(spec, name)) is not None:
            data[name] = code(callback.code)
    return data | {n: getattr(spec, n) for n in _PLAIN_FIELDS if getattr(spec, n) != DEFAULTS[n]}


def spec_from_data(data: Any) -> NodeSpec:
    """The spec that `spec_to_data` was given, without its function. Raises `SchemaError` or another `DagError`."""
    if isinstance(data, Mapping) and (unknown := sorted(map(str, data.keys() - _FIELDS))):
        known = ", ".join(sorted(_FIELDS - {"!"}))
        raise SchemaError(f"node {data.get('name')!r}: there is no field {unknown[0]!r}; a node has {known}")
    try:
        more: dict[str, Any] = {name: data[name] for name in _PLAIN_FIELDS if name in data}
        more |= {name: Callback(_code_from_data(data[name])) for name in CALLBACKS if data.get(name)}
        return NodeSpec(
            data["name"],
            params=decode_data(data.get("params", {})),
            requires=frozenset(_list(data, "requires")),
            deps=_list(data, "after"),
            cost=_fraction(data.get("cost", 0)),
            code=_code_from_data(data["code"]),
            in_model=_model(data, "in_model"),
            out_model=_model(data, "out_model"),
            **more,
        )
    except DagError:
        raise
    except (LookupError, TypeError, AttributeError, ValueError, ArithmeticError) as error:
        name = data.get("name", "?") if isinstance(data, Mapping) else data
        raise SchemaError(f"node {name!r} cannot be read: {error!r}") from error


def _list(data: Mapping[str, Any], name: str) -> list[str]:
    found = data.get(name, [])
    if not isinstance(found, list | tuple) or not all(isinstance(item, str) for item in found):
        raise SchemaError(f"node {data.get('name')!r}: {name!r} is a list of names, not {found!r}")
    return list(found)


def _model(data: Mapping[str, Any], name: str) -> Model | None:
    return model_from_data(data[name]) if data.get(name) else None


def _fraction(value: Any) -> Any:
    if isinstance(value, str) and re.fullmatch(r"\d{1,30}(/\d{1,30})?", value):
        above, _, below = value.partition("/")
        return Fraction(int(above), int(below or 1))
    return value


def _code_from_data(data: Mapping[str, Any]) -> Code:
    params = tuple([(str(name), bool(required), str(kind)) for name, required, kind in data["params"]])
    return _code(str(data["name"]), str(data["module"]), data["digest"], params, bool(data.get("known", True)))


@lru_cache(maxsize=1000)
def _code(name: str, module: str, digest: str, params: tuple[tuple[str, bool, str], ...], known: bool) -> Code:
    """One object for the code that many nodes of a graph have in common."""
    content = bytes.fromhex(digest)
    if len(content) != 32:
        raise SchemaError("the digest of code is 32 bytes, in hexadecimal")
    return Code(name, module, content, tuple([Param(*param) for param in params]), known)


register(NodeSpec, "NodeSpec", spec_to_data, spec_from_data)
register(Code, "Code", code_to_data, _code_from_data)
