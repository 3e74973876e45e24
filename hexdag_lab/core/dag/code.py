"""The identity of a node's code: equal behaviour by content, on every Python, in every process.

`code_of(fn)` walks over a function and all that it reaches: its syntax tree (see `source`), its defaults, and what it
reaches by name: closure values, globals, and in turn the functions, classes and instances among them. What belongs to
Python or to an installed package, other than the function's own, counts by name and release. Each thing is described
once, in the order in which it is met, so recursion and long chains of helpers are no special cases. Bytecode and
pickles are no identity: they change between releases of Python.

Without source (`exec`, a file that is gone) the bytecode has to do and `known` is False, as it is where something
shows nothing of its content (a lock): such a node runs, but is never taken from a cache.
"""

from __future__ import annotations

import copyreg
import inspect
import sys
from collections import ChainMap
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import Enum
from fractions import Fraction
from functools import lru_cache
from importlib.util import resolve_name
from pickle import PickleBuffer
from types import CodeType, FunctionType, MethodType, ModuleType
from typing import Any, NamedTuple

from ..base.canon import canonical, digest
from ..base.errors import SchemaError
from .source import Source, codes_in, functions_in, parts_of, source_of

SCHEME = b"hexdag/code/1"  #: part of every code hash; a new scheme only costs re-runs
LIMIT = 20_000  #: things that one walk describes; beyond that `known` is False


@dataclass(frozen=True, slots=True)
class Param:
    """One parameter of a node's function. `kind`: "plain", "positional" (positional-only) or "many" (`**kw`)."""

    name: str
    required: bool
    kind: str = "plain"


class Shape(NamedTuple):
    """What wiring asks of parameters: which have a name of their own, which must be filled, which takes the rest."""

    names: tuple[str, ...]
    required: tuple[str, ...]
    collector: str | None


@dataclass(frozen=True, slots=True)
class Code:
    """A reference to code: what it is called, what it takes, and its content hash (32 bytes)."""

    name: str
    module: str
    digest: bytes
    params: tuple[Param, ...] = ()
    known: bool = True
    _shape: Shape | None = field(default=None, init=False, compare=False, repr=False)

    @property
    def shape(self) -> Shape:
        """What is derived from the parameters: made once, for many nodes of a graph share one code."""
        if self._shape is None:
            names = tuple(p.name for p in self.params if p.kind != "many")
            many = [p.name for p in self.params if p.kind == "many" or (p.name == "inputs" and p.required)]
            collector = many[0] if many else None
            required = tuple(p.name for p in self.params if p.required and p.name != collector)
            object.__setattr__(self, "_shape", Shape(names, required, collector))
        assert self._shape is not None
        return self._shape

    @property
    def collector(self) -> str | None:
        """The parameter that takes all remaining upstreams as a dict: `**kw`, or one named `inputs`."""
        return self.shape.collector

    def accepts(self, name: str) -> bool:
        """Whether a value can be given under this name."""
        return any(p.kind == "many" or p.name == name for p in self.params)

    def names(self) -> tuple[str, ...]:
        """The parameters that have a name of their own."""
        return self.shape.names


def code_of(fn: Callable[..., Any], version: str | None = None) -> Code:
    """The `Code` of a function, class or other callable; `version` replaces the content as identity.

    Raises `SchemaError` for what is not callable.
    """
    fn = _plain_function(fn)
    if not callable(fn):
        raise SchemaError(f"a node needs a function, not {fn!r}")
    name = getattr(fn, "__qualname__", None) or type(fn).__qualname__
    module = getattr(fn, "__module__", None) or ""
    params = _params(fn)
    if version is not None:
        return Code(name, module, digest(SCHEME, b"version", name.encode(), version.encode()), params)
    walk = _Walk(fn)
    return Code(name, module, walk.digest(), params, walk.known)


def _plain_function(value: Any) -> Any:
    """The function under a `@node`."""
    inner = getattr(value, "__hexdag_fn__", None)
    return value if inner is None else inner


def _params(fn: Callable[..., Any]) -> tuple[Param, ...]:
    try:
        signature = _signature(fn)
    except (ValueError, TypeError):  # some builtins tell nothing
        return (Param("value", required=True, kind="positional"),)
    found = []
    for p in signature.parameters.values():
        if p.kind is p.VAR_POSITIONAL:
            continue
        kind = "many" if p.kind is p.VAR_KEYWORD else "positional" if p.kind is p.POSITIONAL_ONLY else "plain"
        found.append(Param(p.name, p.default is p.empty and kind != "many", kind))
    return tuple(found)


# Since 3.14 annotations are evaluated when asked for, and may name what is not there.
if sys.version_info >= (3, 14):
    from annotationlib import Format

    def _signature(fn: Callable[..., Any]) -> inspect.Signature:
        return inspect.signature(fn, annotation_format=Format.FORWARDREF)

    def _annotations(cls: type) -> dict[str, Any]:
        return inspect.get_annotations(cls, format=Format.FORWARDREF)
else:
    _signature, _annotations = inspect.signature, inspect.get_annotations


class _Walk:
    """One walk over everything that a function reaches. `known` turns False where content cannot be seen."""

    def __init__(self, root: Any) -> None:
        self.root = root
        self.home = _home(root)
        self.known = True
        self.places: dict[int, int] = {}
        self.met: list[Any] = []  # also keeps what was met alive, so that no id comes up twice

    def digest(self) -> bytes:
        self.refer(self.root)
        parts = [SCHEME]
        for value in self.met:  # grows meanwhile
            if len(parts) > LIMIT:
                self.known = False
                break
            parts.append(digest(*self.describe(value)))
        return digest(*parts)

    def refer(self, value: Any) -> bytes:
        """Plain data as itself; anything else by its place in the walk."""
        value = _plain_function(value)
        if _is_plain(value, 0):
            return b"=" + canonical(value)
        place = self.places.setdefault(id(value), len(self.met))
        if place == len(self.met):
            self.met.append(value)
        return b"#%d" % place

    def refer_all(self, named: Mapping[str, Any]) -> Iterator[bytes]:
        for name in sorted(named):
            yield name.encode()
            yield self.refer(named[name])

    def describe(self, value: Any) -> list[bytes | memoryview]:
        """What a thing is, with references to what it is made of."""
        match value:
            case FunctionType():
                return self.function(value)
            case type():
                return self.class_(value)
            case ModuleType():
                return [b"module", _release(value.__name__)]
            case MethodType():
                return [b"method", self.refer(value.__func__), self.refer(value.__self__)]
            case Enum():
                return [b"member", self.refer(type(value)), self.refer(value.value)]
            case property() | staticmethod() | classmethod():
                return [type(value).__name__.encode(), *map(self.refer, parts_of(value))]
            case CodeType():
                return self.bytecode(value)
            case PickleBuffer():
                return [b"buffer", value.raw()]  # hashed where it lies
        if type(value) in (list, tuple):
            return [type(value).__name__.encode(), *map(self.refer, value)]
        if type(value) is dict:
            pairs = sorted(value.items()) if all(type(key) is str for key in value) else value.items()
            return [b"dict", *(self.refer(part) for pair in pairs for part in pair)]
        if type(value) in (set, frozenset):
            return [b"set", *map(self.refer, sorted(value, key=_label))]
        return self.instance(value)

    def function(self, fn: FunctionType) -> list[bytes | memoryview]:
        name, cells = fn.__code__.co_qualname, cells_of(fn)
        if not self.is_own(fn) and "<" not in name:  # a lambda, or a function in a function, has no name to go by
            return [b"named", _named(name, _module(fn)), *self.refer_all(cells)]
        defaults = [self.refer(fn.__defaults__), self.refer(fn.__kwdefaults__)]
        source = source_of(fn)
        if source is not None:
            reached = self.reached(source, ChainMap(cells, fn.__globals__))
            return [b"function", source.tree, *defaults, *self.refer_all(reached)]
        self.known = False
        names = {name for code in codes_in(fn.__code__) for name in code.co_names}
        reached = {name: fn.__globals__[name] for name in names if name in fn.__globals__}
        return [b"bytecode", self.refer(fn.__code__), *defaults, *self.refer_all(reached | cells)]

    def class_(self, cls: type) -> list[bytes | memoryview]:
        if not self.is_own(cls):
            return [b"named", _named(cls.__qualname__, cls.__module__)]
        source = source_of(cls)
        if source is None:
            return self.members(cls)
        return [b"class", source.tree, *self.refer_all(self.reached(source, _scope(cls)))]

    def members(self, cls: type) -> list[bytes | memoryview]:
        """A class without source, as those of a notebook that have no methods: its bases and what it holds."""
        held = {
            name: member
            for name, member in vars(cls).items()
            if name not in _NO_CONTENT
            and (not name.startswith("__pydantic_") or name in _PYDANTIC)
            and not _is_generated(cls, name, member)
        }
        for item in vars(cls).get("__dataclass_fields__", {}).values():
            held[f"field {item.name}"] = (item.default, item.default_factory)
        types = {f"type of {name}": kind for name, kind in _annotations(cls).items()}
        bases = [self.refer(base) for base in (type(cls), *cls.__bases__)]
        return [b"members", cls.__qualname__.encode(), *bases, *self.refer_all(types | held)]

    def instance(self, value: Any) -> list[bytes | memoryview]:
        """Anything else, by how it would be rebuilt; a thing that is found by its name counts by its name."""
        kind = type(value)
        try:
            reduce = copyreg.dispatch_table.get(kind)
            made = value.__reduce_ex__(5) if reduce is None else reduce(value)
        except Exception:  # any class's own code
            self.known = False
            return [b"opaque", _named(kind.__qualname__, kind.__module__)]
        if isinstance(made, str):
            inner = getattr(value, "__wrapped__", None)
            return [b"global", _named(made, _module(value)), self.refer(inner)]
        return [b"instance", *(self.refer(list(part) if isinstance(part, Iterator) else part) for part in made)]

    def bytecode(self, code: CodeType) -> list[bytes | memoryview]:
        head = (sys.version_info[:2], code.co_code, code.co_names, code.co_varnames, code.co_flags)
        return [b"code", canonical(head), *map(self.refer, code.co_consts)]

    def reached(self, source: Source, scope: Mapping[str, Any]) -> dict[str, Any]:
        """What a definition reaches: by name, through own modules by attribute, and by imports when it runs."""
        found = {name: scope[name] for name in source.names if name in scope}
        imported = dict(self.imported(source, str(scope.get("__package__") or "")))
        found |= {name: value for name, value in imported.items() if not isinstance(value, ModuleType)}
        roots = found | imported
        for path in source.paths:
            value, end = roots.get(path[0]), 1
            while end < len(path) and self.is_own_module(value) and hasattr(value, path[end]):
                value, end = getattr(value, path[end]), end + 1
            if end > 1:
                found[".".join(path[:end])] = value
        return found

    def imported(self, source: Source, package: str) -> Iterator[tuple[str, Any]]:
        """What a definition imports from own modules when it runs, as far as they are loaded already."""
        for name, module, level, member in source.imports:
            if level and not package:
                continue
            target = sys.modules.get(resolve_name("." * level + module, package) if level else module)
            if self.is_own_module(target):
                yield name, getattr(target, member, None) if member else target

    def is_own_module(self, value: Any) -> bool:
        return isinstance(value, ModuleType) and _is_own(value.__name__, self.home)

    def is_own(self, value: Any) -> bool:
        """Whether content counts; else name and release do."""
        module = _module(value)
        return _is_own(module, self.home) or (value is self.root and _package(module) == _THIS)


def _module(value: Any) -> str:
    """The module that something was really made in: `functools.wraps` changes `__module__`."""
    if isinstance(value, FunctionType):
        return str(value.__globals__.get("__name__", ""))
    if isinstance(value, ModuleType):
        return value.__name__
    return getattr(value, "__module__", None) or type(value).__module__


def _package(module: str) -> str:
    return module.partition(".")[0]


_THIS = _package(__name__)


def _home(root: Any) -> str:
    """The package of a node's function, if its content counts: it is not installed, or it uses hexdag_lab."""
    module = _module(root)
    users = (v for v in getattr(root, "__globals__", {}).values() if isinstance(v, ModuleType | FunctionType | type))
    return _package(module) if _is_own(module, "") or any(_package(_module(v)) == _THIS for v in users) else ""


def _is_own(module: str, home: str) -> bool:
    """Whether a module is the user's own: the notebook, the package `home`, or a file that is not installed."""
    package = _package(module)
    if package in {"__main__", "__mp_main__", home}:
        return True
    if package in sys.stdlib_module_names or package == _THIS:
        return False
    file = getattr(sys.modules.get(module), "__file__", None) or ""
    return not {"site-packages", "dist-packages"} & set(file.replace("\\", "/").split("/"))


def _named(name: str, module: str) -> bytes:
    return name.encode() + b"@" + _release(module)


@lru_cache(maxsize=1000)
def _release(module: str) -> bytes:
    package = _package(module)
    version = getattr(sys.modules.get(package), "__version__", None)
    if not isinstance(version, str):
        from importlib import (
            metadata,
        )  # as slow to load as all the rest here; most packages say their version themselves

        try:
            version = "" if package in sys.stdlib_module_names else metadata.version(package)
        except (metadata.PackageNotFoundError, ValueError):
            version = ""
    return f"{module}=={version}".encode()


_SCALARS = frozenset({type(None), bool, int, float, complex, str, bytes, Fraction})
_SEQUENCES = frozenset({list, tuple, set, frozenset})


def _is_plain(value: Any, depth: int) -> bool:
    """Whether a value is data through and through, of the builtin types only."""
    kind = type(value)
    if kind in _SCALARS:
        return True
    if depth > 50:
        return False
    if kind in _SEQUENCES:
        return all(_is_plain(item, depth + 1) for item in value)
    return kind is dict and all(_is_plain(part, depth + 1) for pair in value.items() for part in pair)


def _label(value: Any) -> bytes:
    """Sorts the members of a set that are not plain data."""
    if _is_plain(value, 0):
        return canonical(value)
    return _named(getattr(value, "__qualname__", type(value).__qualname__), _module(value))


def cells_of(fn: FunctionType) -> dict[str, Any]:
    """The closure variables of a function that have a value."""
    found = {}
    for name, cell in zip(fn.__code__.co_freevars, fn.__closure__ or (), strict=True):
        try:
            found[name] = cell.cell_contents
        except ValueError:  # not yet assigned
            continue
    return found


def _scope(cls: type) -> dict[str, Any]:
    """The names that a class sees: those of its module, and what its methods enclose."""
    methods = list(functions_in(cls))
    scope = dict(methods[0].__globals__ if methods else vars(sys.modules.get(cls.__module__, ModuleType("none"))))
    for fn in methods:
        scope |= cells_of(fn)
    return scope


def _is_generated(cls: type, name: str, member: Any) -> bool:
    """Whether a method was written by `dataclass`, from the fields that count anyway."""
    special = "__dataclass_params__" in vars(cls) and name.startswith("__") and isinstance(member, FunctionType)
    return special and not member.__code__.co_qualname.startswith(f"{cls.__qualname__}.")


_NO_CONTENT = frozenset({
    "__module__", "__qualname__", "__doc__", "__dict__", "__weakref__", "__firstlineno__", "__static_attributes__",
    "__annotations__", "__annotate__", "__annotate_func__", "__annotations_cache__", "__abstractmethods__", "_abc_impl",
    "__match_args__", "__dataclass_fields__", "__class_vars__", "__private_attributes__", "__signature__",
})  # fmt: skip
_PYDANTIC = frozenset({"__pydantic_fields__", "__pydantic_decorators__"})
