"""`NodeSpec`: one step of a graph, frozen; and `@node`, which makes one from a function.

A spec is plain data but for `fn`, the live function, and the two model classes, which are carried along and never
part of its identity: what counts is their content. The digest covers every field except `cost`.
"""

from __future__ import annotations

import keyword
import re
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, fields, replace
from fractions import Fraction
from functools import update_wrapper
from types import FunctionType
from typing import Any, Generic, ParamSpec, TypeVar, overload

from ..base.canon import digest, hash_of
from ..base.codec import decode_data, encode_data, register
from ..base.errors import InvalidName, SchemaError, UnboundParameter
from ..base.frozen import FrozenDict
from .code import Code, Param, code_of

P = ParamSpec("P")
R = TypeVar("R")

_NAME = re.compile(r"[^\W\d][\w-]{0,127}")


@dataclass(frozen=True, slots=True)
class Model:
    """What is known of a pydantic model class: its name and fields (name, type). `cls` is the live class, if here."""

    name: str
    fields: tuple[tuple[str, str], ...]
    cls: Any = field(default=None, compare=False, repr=False)

    @classmethod
    def of(cls, model: Any) -> Model:
        """The description of a pydantic model class; raises `SchemaError` for anything else."""
        described = getattr(model, "model_fields", None)
        if not isinstance(model, type) or not isinstance(described, dict):
            raise SchemaError(f"in_model and out_model take a pydantic model class, not {model!r}")
        found = tuple(sorted((name, _type_name(info.annotation)) for name, info in described.items()))
        return cls(model.__qualname__, found, model)


def _type_name(annotation: Any) -> str:
    return annotation.__qualname__ if isinstance(annotation, type) else str(annotation)


@dataclass(frozen=True, slots=True, eq=False)
class NodeSpec:
    """One step: `NodeSpec("report", render, params={"title": "May"}).after("fit")`.

    name      text that could be a Python identifier (also with "-")
    fn        the function that runs; sync or async
    params    values for its parameters: plain data
    deps      names of upstream nodes given with `.after()`
    requires  capabilities a worker must have: {"gpu"}
    retries   how many times a failure is tried again;  backoff  seconds before the first retry, doubled each time
    timeout   seconds for one attempt
    version   replaces the code's content as its identity
    agent     who proposes when the node calls `ctx.propose`
    in_model, out_model   pydantic models for what goes in and comes out
    cache     may the result be reused;  effects  does it act on the outside world
    durable   True: finished only when the result is kept; False: never kept; None: kept in the background
    exclusive name of a lease that the node holds while it runs
    cost      estimated money or units for one attempt; not part of the identity
    """

    name: str
    fn: Any = field(default=None, repr=False)
    params: Mapping[str, Any] = field(default_factory=FrozenDict)
    requires: Iterable[str] = frozenset()
    retries: int = 0
    backoff: float = 1.0
    timeout: float | None = None
    version: str | None = None
    agent: str | None = None
    in_model: Any = None
    out_model: Any = None
    cache: bool = True
    effects: bool = False
    durable: bool | None = None
    exclusive: str | None = None
    cost: Any = 0
    deps: Iterable[str] = ()
    code: Code = None  # type: ignore[assignment]  # made from fn where it is not given
    blob: str | None = field(default=None, repr=False)  # the shipped pickle: "SHA-256.HMAC", hexadecimal
    _digest: bytes | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        put = object.__setattr__
        check_name(self.name)
        if isinstance(self.fn, Node):
            raise SchemaError(f"{self.name}: pass {self.fn.name}.as_node({self.name!r}) or the plain function")
        if type(self.params) is not FrozenDict:
            put(self, "params", FrozenDict(self.params))
        if type(self.deps) is not tuple:
            names = (self.deps,) if isinstance(self.deps, str) else self.deps
            put(self, "deps", tuple(sorted({name_of(dep) for dep in names})))
        if type(self.requires) is not frozenset:
            put(self, "requires", frozenset([self.requires] if isinstance(self.requires, str) else self.requires))
        for name in ("in_model", "out_model"):
            model = getattr(self, name)
            if model is not None and not isinstance(model, Model):
                put(self, name, Model.of(model))
        put(self, "cost", exact(self.cost, f"{self.name}: cost"))
        if self.code is None:
            put(self, "code", code_of(self.fn, self.version))
        self._check()

    def _check(self) -> None:
        if not isinstance(self.retries, int) or self.retries < 0:
            raise SchemaError(f"{self.name}: retries is a number of times, 0 or more, not {self.retries!r}")
        if self.timeout is not None and not self.timeout > 0:
            raise SchemaError(f"{self.name}: timeout is in seconds and above 0, not {self.timeout!r}")
        if not self.backoff >= 0:
            raise SchemaError(f"{self.name}: backoff is in seconds, 0 or more, not {self.backoff!r}")
        for name in self.params:
            if not self.code.accepts(name):
                takes = ", ".join(self.code.names()) or "nothing"
                raise UnboundParameter(
                    f"{self.name}: parameter {name!r} matches nothing; {self.code.name}() takes {takes}"
                )
        hash_of(self.params)  # plain data, or a SchemaError that says so

    @property
    def digest(self) -> bytes:
        """Content hash of everything but `cost` and what `.after()` says (that is in the edges): 32 bytes."""
        if self._digest is None:
            object.__setattr__(self, "_digest", hash_of(self._identity()))
        assert self._digest is not None
        return self._digest

    def _identity(self) -> tuple[Any, ...]:
        models = tuple(None if m is None else (m.name, m.fields) for m in (self.in_model, self.out_model))
        # 2 and 2.0 are the same number of seconds
        seconds = (float(self.backoff), None if self.timeout is None else float(self.timeout))
        return (
            "node/1", self.name, self.code.digest, self.params, self.requires, self.retries, seconds, self.version,
            self.agent, models, self.cache, self.effects, self.durable, self.exclusive,
        )  # fmt: skip

    def after(self, *names: str | Node[..., Any] | NodeSpec) -> NodeSpec:
        """This spec, downstream of more nodes."""
        return self.but(deps=(*self.deps, *map(name_of, names)))

    def but(self, **changes: Any) -> NodeSpec:
        """This spec with some fields changed."""
        if ("fn" in changes or "version" in changes) and "code" not in changes:
            changes = {"code": None, "blob": None, **changes}
        return replace(self, **{"_digest": None, **changes})

    def required(self) -> tuple[Param, ...]:
        """The parameters that need a value from upstream or as an input of the graph."""
        collector = self.code.collector
        return tuple(p for p in self.code.params if p.required and p.name not in self.params and p.name != collector)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, NodeSpec):
            return NotImplemented
        return self.digest == other.digest and (self.deps, self.cost, self.blob) == (other.deps, other.cost, other.blob)

    def __hash__(self) -> int:
        return hash(self.digest)

    def __reduce__(self) -> tuple[Any, ...]:
        values = {f.name: getattr(self, f.name) for f in fields(self) if f.name != "_digest"}
        named = _importable(self.fn) if isinstance(self.fn, FunctionType) else None
        if isinstance(named, Node) and named.__hexdag_fn__ is self.fn:
            values["fn"] = named  # the module's name stands for the node, not for the function under it
        return _rebuild_spec, (values,)


class Node(Generic[P, R]):
    """A function made a node by `@node`. It can still be called; `.name` is its name, `.spec` its `NodeSpec`."""

    def __init__(self, fn: Callable[P, R], options: Mapping[str, Any]) -> None:
        self.__hexdag_fn__ = fn
        self._options = dict(options)
        update_wrapper(self, fn)
        self.name: str = self._options.pop("name", None) or fn.__name__
        self.spec: NodeSpec = NodeSpec(self.name, fn, **self._options)

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        return self.__hexdag_fn__(*args, **kwargs)

    def as_node(self, name: str, *, after: Iterable[str] | str = (), **params: Any) -> NodeSpec:
        """A second node with the same code, another name and other parameter values."""
        names = (after,) if isinstance(after, str) else tuple(after)
        return self.current().but(name=name, params={**self.spec.params, **params}).after(*names)

    def after(self, *names: Any) -> NodeSpec:
        """The node's spec, downstream of other nodes."""
        return self.current().after(*names)

    def current(self) -> NodeSpec:
        """The spec with the code hash of this moment: a helper may have been redefined since."""
        return self.spec.but(code=code_of(self.__hexdag_fn__, self.spec.version))

    def __reduce__(self) -> Any:
        # An importable node is pickled by reference, as a function would be; in a notebook cloudpickle takes the rest.
        if self.__module__ != "__main__" and _importable(self) is self:
            return self.__qualname__
        return _rebuild_node, (self.__hexdag_fn__, {**self._options, "name": self.name})

    def __repr__(self) -> str:
        return f"<node {self.name}>"


def _importable(fn: Any) -> Any:
    """What stands in a function's module under the function's name."""
    found: Any = sys.modules.get(fn.__module__)
    for part in fn.__qualname__.split("."):
        found = getattr(found, part, None)
    return found


def _rebuild_spec(values: dict[str, Any]) -> NodeSpec:
    fn = values.pop("fn")
    return NodeSpec(fn=getattr(fn, "__hexdag_fn__", fn), **values)


def _rebuild_node(fn: Callable[..., Any], options: Mapping[str, Any]) -> Node[..., Any]:
    return Node(fn, options)


@overload
def node(fn: Callable[P, R], /) -> Node[P, R]: ...
@overload
def node(**options: Any) -> Callable[[Callable[P, R]], Node[P, R]]: ...
def node(fn: Callable[..., Any] | None = None, /, **options: Any) -> Any:
    """Make a function a node: `@node`, or `@node(retries=3, timeout=120)` with the fields of `NodeSpec`."""
    known = {f.name for f in fields(NodeSpec)} - {"fn", "code", "blob", "_digest"}
    if unknown := set(options) - known:
        raise SchemaError(f"@node has no option {sorted(unknown)[0]!r}; it takes {', '.join(sorted(known))}")
    return Node(fn, options) if fn is not None else lambda f: Node(f, options)


def spec_of(value: Any) -> NodeSpec:
    """The `NodeSpec` that a spec, a `@node` or a plain function stands for."""
    if isinstance(value, NodeSpec):
        return value
    if isinstance(value, Node):
        return value.current()
    if callable(value):
        return NodeSpec(getattr(value, "__name__", ""), value)
    raise SchemaError(f"expected a node, a NodeSpec or a function, not {value!r}")


def name_of(value: Any) -> str:
    """The node name that a name, a spec or a `@node` stands for."""
    if isinstance(value, str):
        return value
    if isinstance(value, Node | NodeSpec):
        return value.name
    raise InvalidName(f"expected a node name, not {value!r}")


def check_name(name: Any) -> None:
    """Raise `InvalidName` unless `name` can be the name of a node."""
    if not isinstance(name, str) or not _NAME.fullmatch(name) or keyword.iskeyword(name):
        raise InvalidName(
            f"{name!r} cannot name a node: use letters, digits, _ and -, at most 128, starting with a letter or _, "
            "and no Python keyword (for a lambda, write NodeSpec('name', lambda …))"
        )


def exact(value: Any, what: str) -> Fraction:
    """A finite number of 0 or more as a fraction with denominator <= 10^6; `SchemaError` for anything else."""
    try:
        number = value if type(value) is Fraction else Fraction(value).limit_denominator(10**6)
    except (TypeError, ValueError, OverflowError) as error:
        raise SchemaError(f"{what} is a number, not {value!r}") from error
    if number < 0:
        raise SchemaError(f"{what} is 0 or more, not {value!r}")
    return number


_PLAIN_FIELDS = (
    "retries", "backoff", "timeout", "version", "agent", "cache", "effects", "durable", "exclusive", "blob",
)  # fmt: skip
_DEFAULTS = {f.name: f.default for f in fields(NodeSpec)}


def spec_to_data(spec: NodeSpec) -> dict[str, Any]:
    """A spec as JSON-able data; fields at their defaults are left out."""
    data: dict[str, Any] = {"name": spec.name, "code": _code_to_data(spec.code)}
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
            data[name] = {"name": model.name, "fields": [list(pair) for pair in model.fields]}
    return data | {n: getattr(spec, n) for n in _PLAIN_FIELDS if getattr(spec, n) != _DEFAULTS[n]}


def spec_from_data(data: Mapping[str, Any], fn: Any = None) -> NodeSpec:
    """The spec that `spec_to_data` was given, with `fn` as its live function if there is one."""
    try:
        models = {
            name: Model(data[name]["name"], tuple((key, kind) for key, kind in data[name]["fields"]))
            for name in ("in_model", "out_model")
            if data.get(name)
        }
        return NodeSpec(
            data["name"],
            fn,
            params=decode_data(data.get("params", {})),
            requires=frozenset(data.get("requires", ())),
            deps=tuple(data.get("after", ())),
            cost=Fraction(data.get("cost", 0)),
            code=_code_from_data(data["code"]),
            **models,
            **{name: data[name] for name in _PLAIN_FIELDS if name in data},
        )
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        if isinstance(error, SchemaError | InvalidName | UnboundParameter):
            raise
        raise SchemaError(f"node {data.get('name', '?')!r} cannot be read: {error!r}") from error


def _code_to_data(code: Code) -> dict[str, Any]:
    data: dict[str, Any] = {"name": code.name, "module": code.module, "digest": code.digest.hex()}
    data["params"] = [[p.name, p.required, p.kind] for p in code.params]
    return data if code.known else data | {"known": False}


def _code_from_data(data: Mapping[str, Any]) -> Code:
    params = tuple(Param(name, required, kind) for name, required, kind in data["params"])
    return Code(data["name"], data["module"], bytes.fromhex(data["digest"]), params, data.get("known", True))


register(NodeSpec, "NodeSpec", spec_to_data, lambda data: spec_from_data(data))
register(Code, "Code", _code_to_data, _code_from_data)


def signature_digest(spec: NodeSpec) -> bytes:
    """Digest of what a spec takes: parameter names, which are required, and its input model."""
    params = [(p.name, p.required, p.kind) for p in spec.code.params]
    return digest(hash_of(params), hash_of(spec.in_model and spec.in_model.fields))
