"""The identity of a node's code: equal behaviour by content, on every Python, in every process.

`code_of(fn)` walks over a function and all that it reaches: its syntax tree (see `source`), its defaults, and what it
reaches by name: closure values, globals, and in turn the functions, classes and instances among them. What belongs to
an installed package or to Python itself counts by name and release. Each thing is described once, in the order in
which it is met, so recursion, mutual recursion and long chains of helpers are no special cases. Bytecode and pickles
are no identity: they change between releases of Python.

Without source (`exec`, a file that is gone) the bytecode has to do and `known` is False, as it is where something
shows nothing of its content (a lock): such a node runs, but is never taken from a cache.
"""

from __future__ import annotations

import copyreg
import inspect
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from functools import lru_cache
from importlib import metadata
from importlib.util import resolve_name
from pickle import PickleBuffer
from types import CodeType, FunctionType, MethodType, ModuleType
from typing import Any

from ..base.canon import canonical, digest
from ..base.errors import SchemaError
from .source import Source, parts_of, source_of

SCHEME = b"hexdag/code/1"  #: part of every code hash; a new scheme only costs re-runs
LIMIT = 20_000  #: things that one walk describes; beyond that `known` is False


@dataclass(frozen=True, slots=True)
class Param:
    """One parameter of a node's function. `kind`: "plain", "positional" (positional-only) or "many" (`**kw`)."""

    name: str
    required: bool
    kind: str = "plain"


@dataclass(frozen=True, slots=True)
class Code:
    """A reference to code: what it is called, what it takes, and its content hash (32 bytes)."""

    name: str
    module: str
    digest: bytes
    params: tuple[Param, ...] = ()
    known: bool = True

    @property
    def collector(self) -> str | None:
        """The parameter that takes all remaining upstreams as a dict: `**kw`, or one named `inputs`."""
        for param in self.params:
            if param.kind == "many" or (param.name == "inputs" and param.required):
                return param.name
        return None

    def accepts(self, name: str) -> bool:
        """Whether a value can be given under this name."""
        return any(p.kind == "many" or p.name == name for p in self.params)

    def names(self) -> tuple[str, ...]:
        """The parameters that have a name of their own."""
        return tuple(p.name for p in self.params if p.kind != "many")


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


# Since 3.14 annotations are evaluated when asked for, and may name what is not there.
_SIGNATURE: dict[str, Any] = {}
if sys.version_info >= (3, 14):
    import annotationlib

    _SIGNATURE = {"annotation_format": annotationlib.Format.FORWARDREF}


def _params(fn: Callable[..., Any]) -> tuple[Param, ...]:
    try:
        signature = inspect.signature(fn, **_SIGNATURE)
    except (ValueError, TypeError):  # some builtins tell nothing
        return (Param("value", required=True, kind="positional"),)
    found = []
    for p in signature.parameters.values():
        if p.kind is p.VAR_POSITIONAL:
            continue
        kind = {p.VAR_KEYWORD: "many", p.POSITIONAL_ONLY: "positional"}.get(p.kind, "plain")
        found.append(Param(p.name, p.default is p.empty and kind != "many", kind))
    return tuple(found)


class _Walk:
    """One walk over everything that a function reaches. `known` turns False where content cannot be seen."""

    def __init__(self, root: Any) -> None:
        self.root = root
        self.home = _package(_module(root))
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

    def describe(self, value: Any) -> list[bytes]:
        """What a thing is, with references to what it is made of."""
        match value:
            case FunctionType():
                return self.function(value)
            case type():
                return self.type(value)
            case ModuleType():
                return [b"module", _release(value.__name__)]
            case MethodType():
                return [b"method", self.refer(value.__func__), self.refer(value.__self__)]
            case Enum():
                return [b"member", self.refer(type(value)), value.name.encode()]
            case property() | staticmethod() | classmethod():
                return [type(value).__name__.encode(), *map(self.refer, parts_of(value))]
            case CodeType():
                return self.bytecode(value)
            case PickleBuffer():
                return [b"buffer", value.raw()]  # type: ignore[list-item]  # hashed without a copy
        if type(value) in (list, tuple):
            return [type(value).__name__.encode(), *map(self.refer, value)]
        if type(value) is dict:
            return [b"dict", *(self.refer(part) for pair in value.items() for part in pair)]
        if type(value) in (set, frozenset):
            return [b"set", *map(self.refer, sorted(value, key=_label))]
        return self.instance(value)

    def function(self, fn: FunctionType) -> list[bytes]:
        cells = {}
        for name, cell in zip(fn.__code__.co_freevars, fn.__closure__ or (), strict=True):
            try:
                cells[name] = cell.cell_contents
            except ValueError:  # not yet assigned
                continue
        defaults = [self.refer(fn.__defaults__), self.refer(fn.__kwdefaults__)]
        if not self.is_own(fn):
            made_here = "<locals>" in fn.__code__.co_qualname
            return [b"named", _named(fn), *self.refer_all(cells), *(defaults if made_here else ())]
        source = source_of(fn)
        if source is None:
            self.known = False
            found = {name: fn.__globals__[name] for name in fn.__code__.co_names if name in fn.__globals__}
            return [b"bytecode", self.refer(fn.__code__), *defaults, *self.refer_all(found | cells)]
        scope = fn.__globals__ | cells
        return [b"function", source.tree, *defaults, *self.refer_all(self.reached(source, scope))]

    def type(self, cls: type) -> list[bytes]:
        if not self.is_own(cls):
            return [b"named", _named(cls)]
        source = source_of(cls)
        if source is None:
            return self.members(cls)
        return [b"class", source.tree, *self.refer_all(self.reached(source, _scope_of(cls)))]

    def members(self, cls: type) -> list[bytes]:
        """A class without source, as those of a notebook that have no methods: its bases and what it holds."""
        held = {
            name: member
            for name, member in vars(cls).items()
            if name not in _MEMBERS_LEFT_OUT
            and not name.startswith("__pydantic_")
            and not getattr(getattr(member, "__code__", None), "co_filename", "").startswith("<")  # made by dataclass
        }
        types = {name: _type_label(kind) for name, kind in inspect.get_annotations(cls).items()}
        bases = [self.refer(base) for base in (type(cls), *cls.__bases__)]
        return [b"members", cls.__qualname__.encode(), *bases, canonical(types), *self.refer_all(held)]

    def instance(self, value: Any) -> list[bytes]:
        """Anything else, by how it would be rebuilt; a thing that is found by its name counts by its name."""
        try:
            reduce = copyreg.dispatch_table.get(type(value))
            made = value.__reduce_ex__(5) if reduce is None else reduce(value)
        except Exception:  # any class's own code
            self.known = False
            return [b"opaque", _named(type(value))]
        if isinstance(made, str):
            inner = getattr(value, "__wrapped__", None)
            return [b"global", _named(value), *([] if inner is None else [self.refer(inner)])]
        parts = [list(part) if isinstance(part, Iterator) else part for part in made]
        return [b"instance", *map(self.refer, parts)]

    def bytecode(self, code: CodeType) -> list[bytes]:
        head = (sys.version_info[:2], code.co_code, code.co_names, code.co_varnames, code.co_flags)
        return [b"code", canonical(head), *map(self.refer, code.co_consts)]

    def reached(self, source: Source, scope: Mapping[str, Any]) -> dict[str, Any]:
        """What a definition reaches: by name, through own modules by attribute, and by imports when it runs."""
        found = {name: scope[name] for name in source.names if name in scope}
        roots = dict(found)
        for name, module, level, member in source.imports:
            whole = "." * level + module
            target = sys.modules.get(resolve_name(whole, scope.get("__package__") or "") if level else whole)
            if target is not None:
                found[name] = roots[name] = getattr(target, member, target) if member else target
        for path in source.paths:
            value, end = roots.get(path[0]), 1
            while isinstance(value, ModuleType) and self.is_own(value) and hasattr(value, path[end]):
                value, end = getattr(value, path[end]), end + 1
                if end == len(path):
                    break
            if end > 1:
                found[".".join(path[:end])] = value
        return found

    def is_own(self, value: Any) -> bool:
        """Whether content counts: the node itself, its package, the notebook, and files that are not installed."""
        if value is self.root and not isinstance(value, ModuleType):
            return True
        return _is_own(_module(value), self.home)


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


def _is_own(module: str, home: str) -> bool:
    package = _package(module)
    if package in sys.stdlib_module_names or package == _THIS:
        return package in {"__main__", "__mp_main__"}
    if package in {home, "__main__", "__mp_main__", ""}:
        return True
    file = getattr(sys.modules.get(module), "__file__", None) or "site-packages"
    return not {"site-packages", "dist-packages"} & set(file.replace("\\", "/").split("/"))


def _named(value: Any) -> bytes:
    code = getattr(value, "__code__", None)
    name = getattr(code, "co_qualname", None) or getattr(value, "__qualname__", None) or getattr(value, "__name__", None)
    return str(name or type(value).__qualname__).encode() + b"@" + _release(_module(value))


@lru_cache(maxsize=1000)
def _release(module: str) -> bytes:
    package = _package(module)
    version = getattr(sys.modules.get(package), "__version__", None)
    if not isinstance(version, str):
        try:
            version = "" if package in sys.stdlib_module_names else metadata.version(package)
        except (metadata.PackageNotFoundError, ValueError):
            version = ""
    return f"{module}=={version}".encode()


_SCALARS = frozenset({type(None), bool, int, float, complex, str, bytes})
_SEQUENCES = frozenset({list, tuple, set, frozenset})


def _is_plain(value: Any, depth: int) -> bool:
    """Whether a value is data through and through, of the builtin types only."""
    kind = type(value)
    if kind in _SCALARS:
        return True
    if depth > 50:
        return False
    if kind in _SEQUENCES:
        return all([_is_plain(item, depth + 1) for item in value])
    return kind is dict and all([_is_plain(k, depth + 1) and _is_plain(v, depth + 1) for k, v in value.items()])


def _label(value: Any) -> bytes:
    """Sorts the members of a set that are not plain data."""
    return canonical(value) if _is_plain(value, 0) else _named(value)


def _type_label(kind: Any) -> str:
    return f"{kind.__module__}.{kind.__qualname__}" if isinstance(kind, type) else str(kind)


def _scope_of(cls: type) -> dict[str, Any]:
    """The names that a class can see: its module, and what its methods enclose."""
    scope = dict(vars(sys.modules[cls.__module__])) if cls.__module__ in sys.modules else {}
    return scope


_MEMBERS_LEFT_OUT = frozenset(
    "__module__ __qualname__ __doc__ __dict__ __weakref__ __firstlineno__ __static_attributes__ __annotations__ "
    "__annotate__ __annotate_func__ __annotations_cache__ __abstractmethods__ _abc_impl __match_args__ "
    "__dataclass_fields__ __dataclass_params__".split()
)
