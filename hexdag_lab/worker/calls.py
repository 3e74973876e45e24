"""How a node's arguments reach its function: models are validated, and each goes where its parameter wants it."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from reprlib import Repr
from typing import Any

from ..core.base.errors import SchemaError
from ..core.runs.attempt import Task
from .ship import Loaded, parameters_of

MOST_FAULTS = 5  #: fields that an error names
_SHORT = Repr()
_SHORT.maxstring = _SHORT.maxother = 60


def validated_input(loaded: Loaded, task: Task, arguments: dict[str, Any]) -> dict[str, Any]:
    """Arguments by name as the function takes them, validated by its `in_model`: the single one, else all as a dict."""
    arguments = named_arguments(loaded, task, arguments)
    model = loaded.in_model
    if model is None:
        return arguments
    if len(arguments) == 1:
        ((name, value),) = arguments.items()
        return {name: _valid(model, value, f"{task.node}: what goes in as {name!r}")}
    valid = _valid(model, arguments, f"{task.node}: what goes in")
    made = [name for name in type(valid).model_fields if name in arguments or _takes(loaded, name)]
    return {**arguments, **{name: getattr(valid, name) for name in made}}


def named_arguments(loaded: Loaded, task: Task, arguments: dict[str, Any]) -> dict[str, Any]:
    """Arguments by name as the function takes them."""
    arguments, collector = dict(arguments), task.collector
    if collector and not _is_parameter(loaded, collector):  # it is `**kw`: what it collects are arguments
        arguments.update(arguments.pop(collector, {}))
    return arguments


def called_beside(fn: Callable[..., Any], node: Callable[..., Any], arguments: Mapping[str, Any], *first: Any) -> Any:
    """The answer of a function beside a node's own, after what comes `first`: it gets those of the node's arguments
    that it has parameters for, or all if it takes `**kw`; what is not given has the default of the node."""
    defaults = {name: p.default for name, p in parameters_of(node).items() if p.default is not p.empty}
    there = {**defaults, **arguments}
    takes = list(parameters_of(fn).values())
    if any(p.kind is p.VAR_KEYWORD for p in takes):
        return fn(*first, **there)
    named = [p.name for p in takes[len(first) :] if p.kind is not p.VAR_POSITIONAL]
    return fn(*first, **{name: there[name] for name in named if name in there})


def declined(condition: Callable[..., Any]) -> str:
    """Why a node is skipped, by its condition: "its condition enough() is false"."""
    name = getattr(condition, "__name__", "<lambda>")
    return "its condition is false" if name == "<lambda>" else f"its condition {name}() is false"


def validated_output(loaded: Loaded, task: Task, value: Any) -> Any:
    """A result, validated by the node's `out_model`."""
    return value if loaded.out_model is None else _valid(loaded.out_model, value, f"{task.node}: what it returns")


class ValidationError(SchemaError):
    """A value is not what a node's model says: names the node, the fields, and what came."""


def _valid(model: Any, value: Any, what: str) -> Any:
    """A value as a model; an instance of another model counts by its fields, as the check of the graph takes it."""
    other = hasattr(value, "model_fields_set") and not isinstance(value, model)
    try:
        return model.model_validate(value, from_attributes=True if other else None)
    except Exception as error:  # pydantic's by its look, for it is not imported here; or a validator's own
        faults = getattr(error, "errors", None)
        if not callable(faults) or not hasattr(error, "error_count"):
            raise
        told = [_fault(fault) for fault in faults(include_url=False, include_context=False)[:MOST_FAULTS]]
        more = error.error_count() - len(told)
        text = "; ".join([*told, *([f"and {more} more"] if more > 0 else [])])
        raise ValidationError(f"{what} is no {model.__qualname__}: {text}") from None


def _fault(fault: Mapping[str, Any]) -> str:
    place = ".".join(str(part) for part in fault["loc"])
    came = fault["input"]
    kind, message = type(came).__name__, fault["msg"]
    return f"{place + ': ' if place else ''}{message[:1].lower() + message[1:]}, but {_SHORT.repr(came)} ({kind}) came"


def with_positional(
    fn: Callable[..., Any], names: Sequence[str], arguments: Mapping[str, Any]
) -> tuple[list[Any], dict[str, Any]]:
    """Arguments by place and by name. `names` are the positional-only parameters, in order."""
    named = dict(arguments)
    given = [name for name in names if name in named]
    if not given:
        return [], named
    places = []
    for name in names[: names.index(given[-1]) + 1]:  # one that has no value before one that has takes its default
        places.append(named.pop(name) if name in named else _default(fn, name))
    return places, named


def _default(fn: Callable[..., Any], name: str) -> Any:
    default = parameters_of(fn)[name].default
    if default is inspect.Parameter.empty:
        raise SchemaError(f"nothing fills the parameter {name!r}")
    return default


def _is_parameter(loaded: Loaded, name: str) -> bool:
    """Whether `name` is a parameter of its own, not `**name`."""
    found = loaded.parameters.get(name)
    return found is None or found.kind is not inspect.Parameter.VAR_KEYWORD


def _takes(loaded: Loaded, name: str) -> bool:
    found = loaded.parameters.get(name)
    return found is not None and found.kind not in (inspect.Parameter.VAR_KEYWORD, inspect.Parameter.VAR_POSITIONAL)
