"""`Catalog`: functions by name, so that text (JSON, YAML, an agent's answer) can say which code it means.

What an agent may build is an `Operation`: a node's code with what the agent has to know of it and may choose about it.
A run remembers of each its name, its risk and a key by which its nodes are known; the rest stays with the lab.
"""

from __future__ import annotations

import inspect
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from math import log
from typing import Any, Literal, get_origin, get_type_hints

from ..base.codec import record
from ..base.errors import DuplicateNode, SchemaError, UnknownNode
from ..base.frozen import FrozenDict
from .node import NodeSpec, check_name, spec_of

LOW, HIGH = "low", "high"
MOST_SENT = 20  #: operations that an agent is shown at once
_ANY_NAME = "operation"
_WORD = re.compile(r"[a-z]+|[0-9]+")


@record
class Listed:
    """What a run remembers of an operation. `key`: its nodes' digest, whatever their names and parameters (hex)."""

    key: str
    risk: str = LOW


def key_of(spec: NodeSpec) -> str:
    """What the nodes of one operation have in common: all but name, parameters and place."""
    return spec.but(name=_ANY_NAME, params=FrozenDict(), deps=()).digest.hex()


def operation_of(operations: Mapping[str, Listed], spec: NodeSpec) -> str | None:
    """The operation that a node was built from; None if from none of these."""
    if not operations:
        return None
    key = key_of(spec)
    return next((name for name, listed in sorted(operations.items()) if listed.key == key), None)


@dataclass(frozen=True, eq=False)
class Operation:
    """A node's code, as agents may use it: `Operation(send_mail, risk="high", needs={"mail"})`.

    fn      a function, `@node` or spec; what it needs and how often it is tried again holds for all its nodes
    name    default: the function's;  doc  what it does, in a sentence; default: the function's own first paragraph
    params  a pydantic model of the parameters that an agent may choose; default: those of the function that have a
            default, or that take a number, a text or a truth
    risk    "high" if it acts on the world in a way that is not undone easily: a person has to vote for it
    cost    of one attempt;  needs  capabilities that a worker must have
    """

    fn: Any
    name: str = ""
    doc: str = ""
    params: Any = None
    risk: str = LOW
    cost: Any = None
    needs: Iterable[str] = ()
    spec: NodeSpec = field(init=False, repr=False)

    def __post_init__(self) -> None:
        put = object.__setattr__
        spec = spec_of(self.fn)
        put(self, "name", self.name or spec.name)
        check_name(self.name)
        if self.risk not in (LOW, HIGH):
            raise SchemaError(f"operation {self.name}: risk is {LOW!r} or {HIGH!r}, not {self.risk!r}")
        needs = [self.needs] if isinstance(self.needs, str) else self.needs
        more = {} if self.cost is None else {"cost": self.cost}
        put(self, "spec", spec.but(name=self.name, requires=frozenset({*spec.requires, *needs}), deps=(), **more))
        text = self.doc or inspect.getdoc(spec.fn) or ""
        put(self, "doc", " ".join(text.partition("\n\n")[0].split()))
        if self.params is not None and not _is_model(self.params):
            raise SchemaError(f"operation {self.name}: params is a pydantic model class, not {self.params!r}")

    @cached_property
    def model(self) -> Any:
        """The pydantic model class of its parameters."""
        return self.params or _model_of(self.name, self.spec)

    @property
    def listed(self) -> Listed:
        """What a run remembers of it."""
        return Listed(key_of(self.spec), self.risk)

    def node(self, name: str, params: Mapping[str, Any] | None = None, after: Iterable[str] = ()) -> NodeSpec:
        """A node of this operation. Raises `SchemaError`, with a sentence for each parameter that does not fit."""
        given = dict(params or {})
        try:
            checked = self.model.model_validate(given)
        except ValueError as error:
            raise SchemaError(f"{name}: {'; '.join(_sentences(error, self.model))}") from error
        chosen = {key: value for key, value in checked.model_dump(exclude_unset=True).items() if value is not None}
        return self.spec.but(name=name, params={**self.spec.params, **chosen}).after(tuple(after))


class Catalog(Mapping[str, NodeSpec]):
    """Registered operations: `Catalog(load, fit, hx.Operation(send, risk="high"))`; each name stands for a node's spec.

    `.operation(name)` has what agents need of it beside the spec.
    """

    def __init__(self, *nodes: Any, **named: Any) -> None:
        self._operations: dict[str, Operation] = {}
        for name, value in [*(("", node) for node in nodes), *named.items()]:
            self._add(value, name)

    def _add(self, value: Any, name: str = "", **how: Any) -> None:
        made = value if isinstance(value, Operation) and not name else Operation(_spec(value), name, **how)
        if made.name in self._operations:
            raise DuplicateNode(f"the catalog has an operation {made.name!r} already")
        self._operations[made.name] = made

    def register(self, **how: Any) -> Callable[[Any], Any]:
        """`@catalog.register(risk="high", cost=0.5)` above a function or `@node`: the fields of `Operation`."""

        def add(fn: Any) -> Any:
            self._add(fn, **how)
            return fn

        return add

    def operation(self, name: str) -> Operation:
        """An operation; raises `UnknownNode` with those that there are."""
        if name not in self._operations:
            raise UnknownNode(f"the catalog has no operation {name!r}; it has {', '.join(self) or 'nothing'}")
        return self._operations[name]

    @property
    def operations(self) -> tuple[Operation, ...]:
        """All of them, by name."""
        return tuple(self._operations[name] for name in self)

    @property
    def listed(self) -> FrozenDict[Listed]:
        """What a run remembers of them."""
        return FrozenDict({name: self._operations[name].listed for name in self})

    def relevant(self, text: str, most: int = MOST_SENT) -> tuple[Operation, ...]:
        """The operations that have most to do with a text, by name: all, if there are no more than `most`.

        Words that few operations have in common count more (inverse document frequency)."""
        if len(self) <= most:
            return self.operations
        words = {name: _words(f"{name} {operation.doc}") for name, operation in self._operations.items()}
        spread = Counter(word for found in words.values() for word in found)
        rare = {word: log(len(self) / count) + 0.01 for word, count in spread.items()}
        asked = _words(text)
        scores = {name: sum(rare[word] for word in found & asked) for name, found in words.items()}
        best = sorted(sorted(self, key=lambda name: (-scores[name], name))[:most])
        return tuple(self._operations[name] for name in best)

    def __getitem__(self, name: str) -> NodeSpec:
        return self._operations[name].spec

    def __iter__(self) -> Iterator[str]:
        return iter(sorted(self._operations))

    def __len__(self) -> int:
        return len(self._operations)


def _spec(value: Any) -> Any:
    return value.spec if isinstance(value, Operation) else value


def _words(text: str) -> set[str]:
    return {word.removesuffix("s") for word in _WORD.findall(text.lower())}


def _is_model(value: Any) -> bool:
    return isinstance(value, type) and isinstance(getattr(value, "model_fields", None), dict)


_SCALARS = (str, int, float, bool)


def _model_of(name: str, spec: NodeSpec) -> Any:
    """A model of the parameters that can be chosen; what only an upstream can fill is left out."""
    from pydantic import ConfigDict, Field, create_model  # slow to load, and only agents need it

    fn = spec.fn
    try:
        hints = get_type_hints(fn)
    except Exception:  # annotations may name what is only there for a type checker
        hints = {}
    defaults = {
        p.name: p.default for p in inspect.signature(fn).parameters.values() if p.default is not inspect.Parameter.empty
    }
    fields: dict[str, Any] = {}
    for param in spec.code.params:
        hint = hints.get(param.name)
        scalar = hint in _SCALARS or get_origin(hint) is Literal
        if param.kind != "many" and (param.name in defaults or scalar):
            kind = hint if hint is not None else Any
            given = defaults.get(param.name)
            fields[param.name] = (kind if param.name in defaults else kind | None, Field(default=given))
    return create_model(f"{name}_params", __config__=ConfigDict(extra="forbid"), **fields)


def _sentences(error: ValueError, model: Any) -> list[str]:
    """What a model has to say against values, one sentence for each."""
    errors: Callable[..., list[dict[str, Any]]] | None = getattr(error, "errors", None)
    if errors is None:
        return [str(error)]
    takes = ", ".join(model.model_fields) or "nothing"
    found = []
    for item in errors(include_url=False):
        where = ".".join(str(part) for part in item["loc"])
        more = f" (it takes {takes})" if item["type"] == "extra_forbidden" else ""
        found.append(f"{where or 'the parameters'}: {item['msg']}{more}")
    return found
