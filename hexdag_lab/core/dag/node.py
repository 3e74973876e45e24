"""`NodeSpec`: one step of a graph, frozen; and `@node`, which makes one from a function.

A spec is plain data but for `fn`, the live function, and the two model classes, which are carried along and never
part of its identity: what counts is their content. The digest covers every field except `cost`.
"""

from __future__ import annotations

import keyword
import re
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import MISSING, dataclass, field, fields, replace
from fractions import Fraction
from functools import lru_cache, update_wrapper
from hashlib import sha256
from math import isfinite
from operator import attrgetter
from types import FunctionType
from typing import Any, Generic, ParamSpec, TypeVar, overload
from unicodedata import normalize

from ..base.canon import canonical, joined, plain
from ..base.errors import InvalidName, SchemaError, UnboundParameter
from ..base.frozen import FrozenDict
from .callback import Callback
from .code import Code, Param, code_of
from .models import Model

CALLBACKS = ("when", "on_error")  #: fields that are functions beside the node's own
NOT_READ = Code("", "", b"")  #: the code of a spec is read from its function where it is not given

P = ParamSpec("P")
R = TypeVar("R")

_NAME = re.compile(r"[^\W\d][\w-]{0,127}")


@dataclass(frozen=True, slots=True, eq=False)
class NodeSpec:
    """One step: `NodeSpec("report", render, params={"title": "May"}).after("fit")`.

    name      text that could be a Python identifier (also with "-")
    fn        the function that runs: sync, async, or a generator whose `return` is the result
    params    values for its parameters: plain data
    deps      names of upstream nodes given with `.after()`
    requires  capabilities a worker must have: {"gpu"}
    retries   how many times a failure is tried again;  backoff  seconds before the first retry, doubled each time
    timeout   seconds for one attempt
    version   replaces the code's content as its identity
    agent     who proposes when the node calls `ctx.propose`
    in_model, out_model   pydantic models for what goes in and comes out
    cache     True: take a result of the same code and inputs, if there is one
    effects   does it act on the outside world
    durable   True: finished only when the result is kept; False: never kept; None: kept in the background
    exclusive name of a lease that the node holds while it runs
    cost      estimated money or units for one attempt; not part of the identity
    when      a function of some of the node's parameters; where it gives something false, the node is skipped
    on_error  a function of the failure and some of the parameters; what it gives stands in for the result
    optional  True: if the node fails, its run does not
    concurrency  how many nodes of the same function may be at work at once in a run
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
    cache: bool | None = None
    effects: bool = False
    durable: bool | None = None
    exclusive: str | None = None
    cost: Any = 0
    when: Any = None
    on_error: Any = None
    optional: bool = False
    concurrency: int | None = None
    deps: Iterable[str] = ()
    code: Code = NOT_READ
    blob: str | None = field(default=None, repr=False)  # the shipped pickle: "SHA-256.HMAC", hexadecimal
    _digest: bytes | None = field(default=None, repr=False)
    _placed: NodeSpec | None = field(default=None, repr=False)  # the same without `deps`

    def __post_init__(self) -> None:
        put = object.__setattr__
        put(self, "name", name_of(self.name))
        check_name(self.name)
        if isinstance(self.fn, Node):
            self._inherit(self.fn)
        if type(self.params) is not FrozenDict:
            put(self, "params", _params_of(self.name, self.params))
        if type(self.deps) is not tuple:
            put(self, "deps", names_of(self.deps))
        if type(self.requires) is not frozenset:
            put(self, "requires", frozenset([self.requires] if isinstance(self.requires, str) else self.requires))
        for name in ("in_model", "out_model"):
            model = getattr(self, name)
            if model is not None and not isinstance(model, Model):
                put(self, name, Model.of(model))
        for name in CALLBACKS:
            callback = getattr(self, name)
            if callback is not None and not isinstance(callback, Callback):
                put(self, name, Callback.of(callback, f"{self.name}: {name}"))
        if self.version is not None and type(self.version) is not str:
            put(self, "version", str(self.version))
        put(self, "cost", exact(self.cost, f"{self.name}: cost"))
        if self.code is NOT_READ:
            put(self, "code", code_of(self.fn, self.version))
        self._check()

    def _inherit(self, node: Node[..., Any]) -> None:
        """Take from a `@node` what this spec does not say itself."""
        put = object.__setattr__
        for name, value in node._options.items():
            if name == "params":
                put(self, name, {**value, **self.params})
            elif getattr(self, name) == DEFAULTS[name]:
                put(self, name, value)
        put(self, "fn", node.__hexdag_fn__)

    def _check(self) -> None:
        for name, fits, meant in _RULES:
            value = getattr(self, name)
            if value is not DEFAULTS[name] and not fits(value):
                raise SchemaError(f"{self.name}: {name} is {meant}, not {value!r}")
        for name in self.params:
            if not self.code.accepts(name):
                takes = ", ".join(self.code.names()) or "nothing"
                raise UnboundParameter(
                    f"{self.name}: parameter {name!r} matches nothing; {self.code.name}() takes {takes}"
                )
        if self.when is not None or self.on_error is not None:
            self._check_callbacks()

    def _check_callbacks(self) -> None:
        """Both take parameters of the node by name; `on_error` takes the failure before them."""
        for name in CALLBACKS:
            callback = getattr(self, name)
            if callback is None:
                continue
            taken = [p for p in callback.code.params if p.kind != "many"]
            if name == "on_error":
                if not taken:
                    raise SchemaError(f"{self.name}: on_error takes the failure first: def {callback.name}(failure)")
                taken = taken[1:]
            for param in taken:
                if param.required and not self.code.accepts(param.name):
                    takes = ", ".join(self.code.names()) or "nothing"
                    raise UnboundParameter(
                        f"{self.name}: {name} takes {param.name!r}, which is no parameter of the node; it has {takes}"
                    )

    @property
    def digest(self) -> bytes:
        """Content hash of everything but `cost` and what `.after()` says (that is in the edges): 32 bytes."""
        if self._digest is None:
            object.__setattr__(self, "_digest", sha256(self.identity()).digest())
        assert self._digest is not None
        return self._digest

    def identity(self) -> bytes:
        """What the digest is made of: canonical bytes."""
        shared = _shared_identity(self.code.digest, _GET_SHARED(self))
        return joined(canonical(self.name), canonical(self.params), shared)

    def after(self, *names: Any) -> NodeSpec:
        """This spec, downstream of more nodes."""
        new = self.but(deps=names_of((self.deps, names)))
        object.__setattr__(new, "_placed", self.placed())
        return new

    def __rshift__(self, down: Any) -> NodeSpec:
        """`load >> fit` is `fit.after(load)`: the spec of `fit`. Give `load` to the graph as well."""
        return spec_of(down).after(self)

    def but(self, **changes: Any) -> NodeSpec:
        """This spec with some fields changed."""
        if ("fn" in changes or "version" in changes) and "code" not in changes:
            changes = {"code": NOT_READ, "blob": None, **changes}
        elif not changes.keys().isdisjoint(CALLBACKS):  # they ship with the code
            changes = {"blob": None, **changes}
        return replace(self, **{"_digest": None, "_placed": None, **changes})

    def placed(self) -> NodeSpec:
        """This spec as it stands in a graph: what `.after()` said is in the edges then."""
        if not self.deps:
            return self
        if self._placed is not None:
            return self._placed
        new = object.__new__(NodeSpec)  # nothing is to be checked again
        for put, value in zip(_PUT_ALL, _GET_ALL(self), strict=True):
            put(new, value)
        object.__setattr__(new, "deps", ())
        return new

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
        values = {f.name: getattr(self, f.name) for f in fields(self) if f.name[0] != "_"}
        named = _importable(self.fn) if isinstance(self.fn, FunctionType) else None
        if isinstance(named, Node) and named.__hexdag_fn__ is self.fn and named.__module__ != "__main__":
            values["fn"] = named  # the module's name stands for the node, not for the function under it
        return _rebuild_spec, (values,)


class Node(Generic[P, R]):
    """A function made a node by `@node`. It can still be called; `.name` is its name, `.spec` its `NodeSpec`."""

    def __init__(self, fn: Callable[P, R], options: Mapping[str, Any]) -> None:
        self.__hexdag_fn__ = fn
        self._options = {name: value for name, value in options.items() if name != "name"}
        self._made: NodeSpec | None = None  # not yet: a worker that only calls the function has no use for it
        update_wrapper(self, fn)
        self.name: str = str(options.get("name") or getattr(fn, "__name__", ""))

    @property
    def spec(self) -> NodeSpec:
        """The spec with the code of this moment: a helper may have been redefined since the last one."""
        if self._made is None:
            self._made = NodeSpec(self.name, self.__hexdag_fn__, **self._options)
        else:
            code = code_of(self.__hexdag_fn__, self._made.version)
            if code != self._made.code:
                self._made = self._made.but(code=code)
        return self._made

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        return self.__hexdag_fn__(*args, **kwargs)

    def as_node(self, name: str, /, *, after: Any = (), **params: Any) -> NodeSpec:
        """A second node with the same code, another name and other parameter values."""
        spec = self.spec
        return spec.but(name=name, params={**spec.params, **params}).after(after)

    def after(self, *names: Any) -> NodeSpec:
        """The node's spec, downstream of other nodes."""
        return self.spec.after(*names)

    def __rshift__(self, down: Any) -> NodeSpec:
        """`load >> fit` is `fit.after(load)`: the spec of `fit`. Give `load` to the graph as well."""
        return spec_of(down).after(self)

    def __reduce__(self) -> Any:
        # An importable node is pickled by reference, as a function would be; in a notebook cloudpickle takes the rest.
        if self.__module__ != "__main__" and _importable(self) is self:
            return self.__qualname__
        return _rebuild_node, (self.__hexdag_fn__, {**self._options, "name": self.name})

    def __repr__(self) -> str:
        return f"<node {self.name}>"


def _importable(fn: Any) -> Any:
    """What stands in a function's module under the function's name."""
    found: Any = sys.modules.get(getattr(fn, "__module__", None) or "")
    for part in getattr(fn, "__qualname__", "").split("."):
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
    if unknown := set(options) - _OPTIONS:
        raise SchemaError(f"@node has no option {min(unknown)!r}; it takes {', '.join(sorted(_OPTIONS))}")

    def make(function: Any) -> Node[..., Any]:
        if isinstance(function, Node):  # @node on top of a @node: more options
            return make_more(function)
        if not callable(function):
            raise SchemaError(f"@node makes a node of a function, not of {function!r}")
        made = Node(function, options)
        check_name(made.name)
        made.spec  # noqa: B018  # wrong options raise here, where they stand
        return made

    def make_more(inner: Node[..., Any]) -> Node[..., Any]:
        return Node(inner.__hexdag_fn__, {"name": inner.name, **inner._options, **options})

    return make if fn is None else make(fn)


def spec_of(value: Any) -> NodeSpec:
    """The `NodeSpec` that a spec, a `@node` or a plain function stands for."""
    if isinstance(value, NodeSpec):
        return value
    if isinstance(value, Node):
        return value.spec
    if callable(value):
        return NodeSpec(getattr(value, "__name__", ""), value)
    raise SchemaError(f"expected a node, a NodeSpec or a function, not {value!r}")


def name_of(value: Any) -> str:
    """The node name that a name, a spec, a `@node` or a plain function stands for."""
    if isinstance(value, str):
        return str.__str__(value)  # a member of a StrEnum is a plain name
    if isinstance(value, Node | NodeSpec):
        return value.name
    if isinstance(value, FunctionType):
        return value.__name__
    raise InvalidName(f"expected a node name, not {value!r}")


def names_of(values: Any) -> tuple[str, ...]:
    """The sorted names in anything that `.after()` takes: names, nodes, and lists of them."""
    found: set[str] = set()
    stack = [values]
    while stack:
        value = stack.pop()
        if isinstance(value, Iterable) and not isinstance(value, str):
            stack += value
        else:
            found.add(name_of(value))
    return tuple(sorted(found))


def _params_of(node: str, params: Any) -> FrozenDict[Any]:
    if not isinstance(params, Mapping) or not all(isinstance(name, str) for name in params):
        raise SchemaError(f"{node}: params is a dict of parameter names and values, not {params!r}")
    return FrozenDict(plain(params))


def check_name(name: Any) -> None:
    """Raise `InvalidName` unless `name` can be the name of a node."""
    # NFKC is the form in which Python keeps identifiers.
    if (
        type(name) is not str
        or not _NAME.fullmatch(name)
        or keyword.iskeyword(name)
        or not (name.isascii() or normalize("NFKC", name) == name)
    ):
        raise InvalidName(
            f"{name!r} cannot name a node: use letters, digits, _ and -, at most 128, starting with a letter or _, "
            "and no Python keyword (for a lambda, write NodeSpec('name', lambda …))"
        )


_NOTHING = Fraction(0)


def exact(value: Any, what: str) -> Fraction:
    """A finite number of 0 or more as a fraction with denominator <= 10^6; `SchemaError` for anything else."""
    if type(value) is int and value == 0:
        return _NOTHING
    if type(value) is Fraction and value >= 0 and value.denominator <= 10**6:
        return value
    try:
        number = Fraction("not a number" if isinstance(value, str) else value).limit_denominator(10**6)
    except (TypeError, ValueError, OverflowError) as error:
        raise SchemaError(f"{what} is a number, not {value!r}") from error
    if number < 0:
        raise SchemaError(f"{what} is 0 or more, not {value!r}")
    return number


@lru_cache(maxsize=1000)
def _shared_identity(code: bytes, options: tuple[Any, ...]) -> bytes:
    """Canonical bytes of what many nodes of a graph have in common: all but names and parameters."""
    (
        requires, retries, backoff, timeout, version, agent, in_model, out_model, cache, effects, durable, exclusive,
        *later,
    ) = options  # fmt: skip
    models = tuple([m and (m.name, m.fields, m.digest) for m in (in_model, out_model)])
    # 2 and 2.0 are the same number of seconds
    seconds = (float(backoff), None if timeout is None else float(timeout))
    return canonical(
        (
            _SCHEME, code, requires, retries, seconds, version, agent, models, cache, effects, durable, exclusive,
            *_said(*later),
        )
    )  # fmt: skip


def _said(when: Any, on_error: Any, optional: bool, concurrency: int | None) -> tuple[Any, ...]:
    """Options that came after the scheme: part of it only where one is said, so that all other digests stay."""
    if (when, on_error, optional, concurrency) == (None, None, False, None):
        return ()
    codes = tuple([callback and callback.code.digest for callback in (when, on_error)])
    return (*codes, optional, concurrency)


def _is_seconds(value: Any) -> bool:
    return isinstance(value, int | float) and type(value) is not bool and isfinite(value) and value >= 0


def _is_text(value: Any) -> bool:
    return value is None or (isinstance(value, str) and bool(value))


_RULES: tuple[tuple[str, Callable[[Any], bool], str], ...] = (
    ("retries", lambda v: type(v) is int and v >= 0, "a number of times, 0 or more"),
    ("backoff", _is_seconds, "in seconds, 0 or more"),
    ("timeout", lambda v: v is None or (_is_seconds(v) and v > 0), "in seconds and above 0"),
    ("cache", lambda v: v is None or type(v) is bool, "True or False"),
    ("effects", lambda v: type(v) is bool, "True or False"),
    ("durable", lambda v: v is None or type(v) is bool, "True, False or None"),
    ("optional", lambda v: type(v) is bool, "True or False"),
    ("concurrency", lambda v: v is None or (type(v) is int and v >= 1), "a number of nodes, 1 or more"),
    ("agent", _is_text, "the id of an agent"),
    ("exclusive", _is_text, "the name of a lease"),
    ("version", _is_text, "text"),
    ("blob", _is_text, "text"),
    ("requires", lambda v: all(isinstance(item, str) and item for item in v), "a set of capabilities, as text"),
)  # fmt: skip
_SCHEME = "node/1"
_GET_SHARED = attrgetter(
    "requires", "retries", "backoff", "timeout", "version", "agent", "in_model", "out_model", "cache", "effects",
    "durable", "exclusive", "when", "on_error", "optional", "concurrency",
)  # fmt: skip
_GET_ALL = attrgetter(*NodeSpec.__slots__)
_PUT_ALL = [getattr(NodeSpec, name).__set__ for name in NodeSpec.__slots__]
_OPTIONS = frozenset(f.name for f in fields(NodeSpec)) - {"fn", "code", "blob", "_digest", "_placed"}
DEFAULTS: Mapping[str, Any] = {
    f.name: f.default if f.default_factory is MISSING else f.default_factory() for f in fields(NodeSpec)
}
