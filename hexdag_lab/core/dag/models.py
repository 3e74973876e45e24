"""What pydantic models say about an edge: a description that can be stored, and whether two ends fit.

The check knows what the run would do: `in_model` validates the single input of a node, else the dict of its inputs.
It speaks up only where the run would be sure to fail; what pydantic may convert, what a model's own validators make
over first, and types it cannot see through, pass.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ..base.errors import SchemaError
from .code import code_of
from .types import clash, shown


@dataclass(frozen=True, slots=True)
class Model:
    """What is known of a pydantic model class: its name, its fields (name, type, required), the hash of its code.

    `cls` is the live class, if it is here.
    """

    name: str
    fields: tuple[tuple[str, str, bool], ...]
    digest: bytes = b""
    cls: Any = field(default=None, compare=False, repr=False)

    @classmethod
    def of(cls, model: Any) -> Model:
        """The description of a pydantic model class; raises `SchemaError` for anything else."""
        described = getattr(model, "model_fields", None)
        if not isinstance(model, type) or not isinstance(described, dict):
            raise SchemaError(f"in_model and out_model take a pydantic model class, not {model!r}")
        found = [
            (info.alias or name, _type_name(info.annotation), info.is_required()) for name, info in described.items()
        ]
        code = code_of(model)
        return cls(model.__qualname__, tuple(sorted(found)), code.digest if code.known else b"", model)


def _type_name(annotation: Any) -> str:
    return annotation.__qualname__ if isinstance(annotation, type) else str(annotation)


def model_to_data(model: Model) -> dict[str, Any]:
    """A model as JSON-able data."""
    return {"name": model.name, "fields": [list(part) for part in model.fields], "digest": model.digest.hex()}


def model_from_data(data: Mapping[str, Any]) -> Model:
    """The model that `model_to_data` was given, without its class."""
    fields = tuple((str(name), str(kind), bool(required)) for name, kind, required in data["fields"])
    return Model(str(data["name"]), fields, bytes.fromhex(data.get("digest", "")))


def misfit(given: Model, wanted: Model) -> str | None:
    """Why a value of one model cannot be validated by another one; None if it may well be."""
    if given.cls is not None and wanted.cls is not None:
        return misfit_of_classes(given.cls, wanted.cls)
    has = {name: kind for name, kind, _ in given.fields}
    for name, kind, required in wanted.fields:
        if name not in has:
            if required:
                return f"{given.name} has no field {name!r}, which {wanted.name} requires"
        elif not _converts(has[name], kind):
            return f"{given.name}.{name} is {has[name]}, but {wanted.name}.{name} is {kind}"
    return None


def misfit_of_classes(given: Any, wanted: Any) -> str | None:
    """The same of two model classes, field by field, also of models in models."""
    todo, seen = [(given, wanted)], set()
    while todo:
        one, two = pair = todo.pop()
        if issubclass(one, two) or pair in seen or _takes_anything(two):
            continue
        seen.add(pair)
        has = {info.alias or name: info.annotation for name, info in one.model_fields.items()}
        for name, info in two.model_fields.items():
            key = info.alias or name
            if key not in has:
                if info.is_required() and not _prepared(two, name):
                    return f"{one.__qualname__} has no field {key!r}, which {two.__qualname__} requires"
            elif is_model(has[key]) and is_model(info.annotation):
                todo.append((has[key], info.annotation))
            elif not _prepared(two, name) and clash(has[key], info.annotation, _surely_invalid):
                one_is, two_is = shown(has[key]), shown(info.annotation)
                return f"{one.__qualname__}.{key} is {one_is}, but {two.__qualname__}.{key} is {two_is}"
    return None


def misfit_in_dict(given: Model, param: str, wanted: Model) -> str | None:
    """Why a value of a model cannot stand under `param` in a dict that another model validates."""
    if given.cls is not None and wanted.cls is not None:
        return misfit_of_type(given.cls, param, wanted)
    for name, kind, _ in wanted.fields:
        if name == param and kind in _SIMPLE:
            return f"{param!r} gets a {given.name}, but {wanted.name}.{param} is {kind}"
    return None


def misfit_of_type(given: Any, param: str | None, wanted: Model) -> str | None:
    """Why a value of some type cannot be validated by a model: under `param` in a dict, or by itself."""
    model = wanted.cls
    if model is None or _takes_anything(model):
        return None
    if param is None:
        if is_model(given):
            return misfit_of_classes(given, model)
        return f"{shown(given)} is no {wanted.name}" if clash(given, model, _surely_invalid) else None
    found = {info.alias or name: (name, info.annotation) for name, info in model.model_fields.items()}
    if param not in found or _prepared(model, found[param][0]):
        return None
    wants = found[param][1]
    if is_model(given) and is_model(wants):
        return misfit_of_classes(given, wants)
    if clash(given, wants, _surely_invalid):
        return f"{param!r} gets a {shown(given)}, but {wanted.name}.{param} is {shown(wants)}"
    return None


def is_model(kind: Any) -> bool:
    """Whether this is a pydantic model class."""
    return isinstance(kind, type) and isinstance(getattr(kind, "model_fields", None), dict)


def _takes_anything(model: Any) -> bool:
    """Whether what a model is given is made over before it is validated, or is no object at all."""
    made = getattr(model, "__pydantic_decorators__", None)
    before = any(found.info.mode != "after" for found in getattr(made, "model_validators", {}).values())
    return before or bool(getattr(model, "__pydantic_root_model__", False))


def _prepared(model: Any, field: str) -> bool:
    """Whether a field's own validators see a value before its type does."""
    made = getattr(model, "__pydantic_decorators__", None)
    for found in getattr(made, "field_validators", {}).values():
        if found.info.mode != "after" and {field, "*"} & set(found.info.fields):
            return True
    metadata = model.model_fields[field].metadata
    return any(type(part).__name__ in ("BeforeValidator", "WrapValidator", "PlainValidator") for part in metadata)


_PLAIN = (str, int, float, bool, bytes, list, tuple, set, type(None))
_SIMPLE = frozenset({"str", "int", "float", "bool", "bytes", "list", "tuple", "set"})
_CONVERSIONS = frozenset({("int", "float"), ("bool", "int"), ("bool", "float"), ("list", "tuple"), ("tuple", "list")})


def _converts(kind: str, wanted: str) -> bool:
    return kind == wanted or not {kind, wanted} <= _SIMPLE or (kind, wanted) in _CONVERSIONS


def _surely_invalid(given: type, wanted: type) -> bool:
    """Whether pydantic refuses each value of a class where another class is wanted."""
    if is_model(given) or is_model(wanted):
        return given in _PLAIN or wanted in _PLAIN
    if type(None) in (given, wanted):
        return given is not wanted and {given, wanted} <= set(_PLAIN)
    return not _converts(given.__name__, wanted.__name__)
