"""The identity of a node's code: equal behaviour by content, on every Python, in every process.

`code_of(fn)` hashes the syntax tree of a function (own walk: fields by name; empty ones, positions, docstrings and
decorators left out, so comments, layout and the Python version do not matter), its defaults, and what it reaches by
name: closure values, plain-data globals, and recursively functions and classes of the same package. Things of other
packages count by name and release. Python's own bytecode and pickles are no identity: they change between releases.

Without source (a builtin, `exec`, two lambdas on one line) the identity is the pickle's SHA-256 and `known` is False:
such a node runs, but is never taken from a cache.
"""

from __future__ import annotations

import ast
import inspect
import sys
import textwrap
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from importlib import metadata
from types import FunctionType, ModuleType
from typing import Any

from ..base.canon import canonical, digest
from ..base.errors import SchemaError

SCHEME = b"hexdag/code/1"  #: part of every code hash; a new scheme only costs re-runs


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
    if not callable(fn):
        raise SchemaError(f"a node needs a function, not {fn!r}")
    name = getattr(fn, "__qualname__", None) or type(fn).__qualname__
    module = getattr(fn, "__module__", None) or ""
    params = _params(fn)
    if version is not None:
        return Code(name, module, digest(SCHEME, b"version", name.encode(), version.encode()), params)
    walk = _Walk(_package(module))
    body = walk.identity(fn)
    return Code(name, module, digest(SCHEME, body), params, walk.known)


def _params(fn: Callable[..., Any]) -> tuple[Param, ...]:
    try:
        signature = inspect.signature(fn)
    except (ValueError, TypeError):  # some builtins tell nothing
        return (Param("inputs", required=True),)
    found = []
    for p in signature.parameters.values():
        if p.kind is p.VAR_POSITIONAL:
            continue
        kind = {p.VAR_KEYWORD: "many", p.POSITIONAL_ONLY: "positional"}.get(p.kind, "plain")
        found.append(Param(p.name, p.default is p.empty and kind != "many", kind))
    return tuple(found)


def _package(module: str | None) -> str:
    return (module or "").partition(".")[0]


class _Walk:
    """One walk over everything that a function reaches. `known` turns False where content cannot be seen."""

    def __init__(self, package: str) -> None:
        self.home = {package, "__main__"}
        self.seen: dict[int, int] = {}
        self.known = True

    def identity(self, value: Any) -> bytes:
        """Bytes that identify a value by content; a value met before is identified by its place."""
        value = _unwrapped(value)
        if isinstance(value, ModuleType):
            return b"module:" + _release(value.__name__)
        if isinstance(value, partial):
            return digest(b"partial", self.identity(value.func), self.plain(value.args), self.plain(value.keywords))
        if inspect.ismethod(value):
            return digest(b"method", self.identity(value.__func__), self.plain(vars_of(value.__self__)))
        if isinstance(value, FunctionType | type):
            return self._definition(value)
        if callable(value) and not isinstance(value, type) and not _is_plain(value):
            if _foreign(value):
                return self._named(value)
            return digest(b"object", self._definition(type(value)), self.plain(vars_of(value)))
        return self.plain(value)

    def plain(self, value: Any) -> bytes:
        try:
            return canonical(value)
        except SchemaError:
            return self._pickled(value)

    def _definition(self, value: Any) -> bytes:
        if id(value) in self.seen:
            return b"seen:%d" % self.seen[id(value)]
        self.seen[id(value)] = len(self.seen)
        if _package(value.__module__) not in self.home:
            return self._named(value)
        tree = _tree(value)
        if tree is None:
            return self._pickled(value)
        parts = [b"definition", _tree_bytes(tree)]
        if isinstance(value, FunctionType):
            parts += [self.plain(value.__defaults__), self.plain(value.__kwdefaults__)]
        for name, reached in sorted(_reached(value, tree, self.home), key=lambda pair: pair[0]):
            parts += [name.encode(), self.identity(reached)]
        return digest(*parts)

    def _named(self, value: Any) -> bytes:
        module = getattr(value, "__module__", None) or type(value).__module__
        name = getattr(value, "__qualname__", type(value).__qualname__)
        return b"named:" + name.encode() + b"@" + _release(module)

    def _pickled(self, value: Any) -> bytes:
        import cloudpickle  # only where nothing better is to be had

        self.known = False
        try:
            return b"pickle:" + digest(cloudpickle.dumps(value))
        except Exception as error:  # pickling runs any class's own code
            raise SchemaError(f"{value!r} has no source that can be read and cannot be pickled: {error}") from error


def _unwrapped(value: Any) -> Any:
    """The function under a `@node` and under well-behaved decorators keep their own identity."""
    inner = getattr(value, "__hexdag_fn__", None)
    return value if inner is None else inner


def vars_of(value: Any) -> Mapping[str, Any]:
    """The attributes of an instance, or nothing for slots and builtins."""
    return getattr(value, "__dict__", {})


def _is_plain(value: Any) -> bool:
    return value is None or isinstance(value, bool | int | float | str | bytes | list | tuple | set | dict)


def _foreign(value: Any) -> bool:
    module = getattr(value, "__module__", None)
    return module is None or _package(module) in sys.stdlib_module_names or inspect.isbuiltin(value)


def _release(module: str) -> bytes:
    package = _package(module)
    version = getattr(sys.modules.get(package), "__version__", None)
    if version is None and package not in sys.stdlib_module_names and package != "builtins":
        try:
            version = metadata.version(package)
        except metadata.PackageNotFoundError:
            version = ""
    return f"{module}=={version or ''}".encode()


def _tree(value: Any) -> ast.AST | None:
    """The syntax tree of a definition, or None if its source cannot be had for certain."""
    try:
        source = textwrap.dedent(inspect.getsource(value))
        tree = ast.parse(source)
    except (OSError, TypeError, SyntaxError, ValueError):
        return _lambda_tree(value)
    first = tree.body[0]
    if isinstance(first, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) and first.name == value.__name__:
        return first
    return _lambda_tree(value)


def _lambda_tree(value: Any) -> ast.AST | None:
    """The one lambda in a function's source lines; None if there are several, which cannot be told apart."""
    if not isinstance(value, FunctionType) or value.__name__ != "<lambda>":
        return None
    try:
        lines, start = inspect.findsource(value)
        tree = _parse_prefix("".join(lines[start : start + 50]))
    except (OSError, TypeError, IndexError):
        return None
    if tree is None:
        return None
    found = [node for node in ast.walk(tree) if isinstance(node, ast.Lambda)]
    return found[0] if len(found) == 1 else None


def _parse_prefix(source: str) -> ast.AST | None:
    """The statement that a text begins with, however much stands after it."""
    lines = textwrap.dedent(source).splitlines(keepends=True)
    for end in range(1, len(lines) + 1):
        try:
            return ast.parse("".join(lines[:end]))
        except SyntaxError:
            continue
    return None


_SKIPPED_FIELDS = frozenset({"ctx", "type_comment", "kind", "decorator_list", "lineno", "col_offset"})


def _tree_bytes(tree: ast.AST) -> bytes:
    """A syntax tree as bytes, without recursion."""
    out: list[bytes] = []
    stack: list[Any] = [tree]
    while stack:
        item = stack.pop()
        if isinstance(item, bytes):
            out.append(item)
        elif isinstance(item, ast.AST):
            stack.append(b")")
            for name in sorted(item._fields, reverse=True):
                field = _without_docstring(item, name)
                if name not in _SKIPPED_FIELDS and field is not None and field != []:
                    stack += [field, name.encode() + b"="]
            stack.append(type(item).__name__.encode() + b"(")
        elif isinstance(item, list):
            stack += [b"]", *reversed(item), b"["]
        else:
            out.append(repr(item).encode() if item is Ellipsis else canonical(item))
    return b"".join(out)


def _without_docstring(node: ast.AST, field: str) -> Any:
    value = getattr(node, field, None)
    if field != "body" or not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return value
    match value:
        case [ast.Expr(value=ast.Constant(value=str())), *rest]:
            return rest or [ast.Pass()]
    return value


def _reached(value: Any, tree: ast.AST, home: set[str]) -> Iterator[tuple[str, Any]]:
    """(name, value) for each global, closure variable and attribute of an own module that a definition uses."""
    scope = dict(getattr(value, "__globals__", None) or vars(sys.modules.get(value.__module__, ast)))
    if isinstance(value, FunctionType) and value.__closure__:
        for name, cell in zip(value.__code__.co_freevars, value.__closure__, strict=True):
            try:
                scope[name] = cell.cell_contents
            except ValueError:  # not yet assigned
                continue
    used: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load) and node.id in scope:
            used.add(node.id)
        elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            module = scope.get(node.value.id)
            if isinstance(module, ModuleType) and _package(module.__name__) in home and hasattr(module, node.attr):
                yield f"{node.value.id}.{node.attr}", getattr(module, node.attr)
    own_decorators = _decorator_names(tree)
    for name in used - own_decorators:
        yield name, scope[name]


def _decorator_names(tree: ast.AST) -> set[str]:
    names: set[str] = set()
    for decorator in getattr(tree, "decorator_list", []):
        names |= {node.id for node in ast.walk(decorator) if isinstance(node, ast.Name)}
    body = {node.id for part in getattr(tree, "body", []) for node in ast.walk(part) if isinstance(node, ast.Name)}
    return names - body
