"""What pydantic models say about an edge: a description that can be stored, and whether two ends fit.

The check knows what the run would do: `in_model` validates the single input of a node, else the dict of its inputs.
It speaks up only where the run would be sure to fail; what pydantic may convert, and types it cannot see through,
pass.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ..base.errors import SchemaError
from .code import code_of


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
    if given.cls is not None and wanted.cls is not None and issubclass(given.cls, wanted.cls):
        return None
    has = {name: kind for name, kind, _ in given.fields}
    for name, kind, required in wanted.fields:
        if name not in has:
            if required:
                return f"{given.name} has no field {name!r}, which {wanted.name} requires"
        elif not _converts(has[name], kind):
            return f"{given.name}.{name} is {has[name]}, but {wanted.name}.{name} is {kind}"
    return None


def misfit_in_dict(given: Model, param: str, wanted: Model) -> str | None:
    """Why a value of a model cannot stand under `param` in a dict that another model validates."""
    for name, kind, _ in wanted.fields:
        if name == param and kind in _SIMPLE:
            return f"{param!r} gets a {given.name}, but {wanted.name}.{param} is {kind}"
    return None


_SIMPLE = frozenset({"str", "int", "float", "bool", "bytes", "list", "tuple", "set"})
_CONVERSIONS = frozenset({("int", "float"), ("bool", "int"), ("bool", "float"), ("list", "tuple"), ("tuple", "list")})


def _converts(kind: str, wanted: str) -> bool:
    return kind == wanted or not {kind, wanted} <= _SIMPLE or (kind, wanted) in _CONVERSIONS
