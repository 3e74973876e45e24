"""Where a live function or class stands in its source: its syntax tree as bytes, and the names that it reaches.

The tree is written by a walk of its own: fields by name; empty ones, positions, docstrings and the decorators of a
function left out, so comments, layout and the Python version do not matter. The file is parsed whole and the
definition found by its line, so nested definitions keep the text of their strings and cells work as files do.
A definition whose source cannot be had for certain has none: `exec`, files that are gone, two lambdas that look alike.
"""

from __future__ import annotations

import ast
import dis
import linecache
import sys
from collections.abc import Callable, Hashable, Iterable, Iterator
from types import CodeType, FunctionType
from typing import Any, NamedTuple

from ..base.canon import canonical


class Source(NamedTuple):
    """What is read in the source of one definition.

    tree     its syntax tree
    names    the globals and closure variables that it loads, sorted
    paths    what it reaches through them by attributes: ("helpers", "clean")
    imports  what it imports when it runs: (local name, module, level, name in the module or "")
    """

    tree: bytes
    names: tuple[str, ...]
    paths: tuple[tuple[str, ...], ...]
    imports: tuple[tuple[str, str, int, str], ...]


class _File(NamedTuple):
    """A parsed file or cell: definitions by name and first line, lambdas by line, classes by qualified name.

    `compiled` holds the code of the lambdas of a line, once several that start there had to be told apart.
    """

    lines: list[str]
    module: ast.Module
    functions: dict[tuple[str, int], ast.AST]
    lambdas: dict[int, list[ast.Lambda]]
    classes: dict[str, list[ast.ClassDef]]
    compiled: dict[int, list[CodeType | None]]


# Reading source is slow, and code objects never change: what was read is kept by code object. Files are kept as long
# as `linecache` holds the very same lines.
_KEPT: dict[int, tuple[Any, Hashable, Source | None]] = {}
_FILES: dict[str, _File] = {}
_MOST_KEPT, _MOST_FILES = 10_000, 16


def source_of(value: FunctionType | type) -> Source | None:
    """The source of a function or class; None if it cannot be had for certain."""
    if isinstance(value, FunctionType):
        return _kept(value.__code__, None, lambda: _function_source(value))
    methods = tuple(functions_in(value))
    return _kept(value, tuple(id(fn.__code__) for fn in methods), lambda: _class_source(value, methods))


def functions_in(cls: type) -> Iterator[FunctionType]:
    """The functions that are written in a class, also as properties, class methods and static methods."""
    for member in vars(cls).values():
        for inner in parts_of(member):
            if isinstance(inner, FunctionType) and inner.__code__.co_qualname.startswith(f"{cls.__qualname__}."):
                yield inner


def parts_of(member: Any) -> tuple[Any, ...]:
    """What a member of a class is made of."""
    if isinstance(member, property):
        return member.fget, member.fset, member.fdel
    return (member.__func__,) if isinstance(member, staticmethod | classmethod) else (member,)


def _kept(owner: Any, state: Hashable, read: Callable[[], Source | None]) -> Source | None:
    kept = _KEPT.get(id(owner))
    if kept is not None and kept[0] is owner and kept[1] == state:
        return kept[2]
    found = read()
    if len(_KEPT) >= _MOST_KEPT:
        _KEPT.clear()
    _KEPT[id(owner)] = (owner, state, found)  # it holds its owner, so the id stays taken
    return found


# -- finding the tree


def _function_source(fn: FunctionType) -> Source | None:
    code = fn.__code__
    file = _file(code.co_filename, fn.__globals__)
    if file is None:
        return None
    tree: ast.AST | None
    if code.co_name == "<lambda>":
        tree = _lambda(file, code)
    else:
        tree = file.functions.get((code.co_name, code.co_firstlineno))
    if tree is None or not _takes_the_same(tree, code):
        return None
    return _read(tree, _loaded(code))


def _class_source(cls: type, methods: tuple[FunctionType, ...]) -> Source | None:
    module = sys.modules.get(cls.__module__)
    name = methods[0].__code__.co_filename if methods else getattr(module, "__file__", None)
    scope = methods[0].__globals__ if methods else vars(module) if module else {}
    file = _file(name, scope) if name else None
    if file is None:
        return None
    lines = [fn.__code__.co_firstlineno for fn in methods]
    first = vars(cls).get("__firstlineno__")  # Python 3.13
    found = [
        tree
        for tree in file.classes.get(cls.__qualname__, [])
        if (first is None or _first_line(tree) == first)
        and all(_first_line(tree) <= line <= (tree.end_lineno or 0) for line in lines)
    ]
    if len(found) != 1:
        return None
    (tree,) = found
    return _read(tree, _class_names(tree))


def _file(name: str, scope: dict[str, Any]) -> _File | None:
    linecache.checkcache(name)
    lines = linecache.getlines(name, scope)
    kept = _FILES.get(name)
    if kept is not None and kept.lines is lines:
        return kept
    try:
        module = ast.parse("".join(lines))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
    if not module.body:
        return None
    if len(_FILES) >= _MOST_FILES:
        _FILES.clear()
    made = _FILES[name] = _indexed(lines, module)
    return made


def _indexed(lines: list[str], module: ast.Module) -> _File:
    file = _File(lines, module, {}, {}, {}, {})
    stack: list[tuple[ast.AST, str]] = [(module, "")]
    while stack:
        node, prefix = stack.pop()
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            file.functions[node.name, _first_line(node)] = node
            prefix += f"{node.name}.<locals>."
        elif isinstance(node, ast.ClassDef):
            file.classes.setdefault(prefix + node.name, []).append(node)
            prefix += f"{node.name}."
        elif isinstance(node, ast.Lambda):
            file.lambdas.setdefault(node.lineno, []).append(node)
            prefix += "<lambda>.<locals>."
        stack += [(child, prefix) for child in ast.iter_child_nodes(node)]
    return file


def _first_line(node: ast.stmt) -> int:
    decorators: list[ast.expr] = getattr(node, "decorator_list", [])
    return min([node.lineno, *(decorator.lineno for decorator in decorators)])


def _takes_the_same(tree: Any, code: CodeType) -> bool:
    """Whether a definition takes the parameters of a code object: else the file was edited after it was loaded."""
    args = tree.args
    names = [arg.arg for arg in (*args.posonlyargs, *args.args, *args.kwonlyargs)]
    taken = list(code.co_varnames[: code.co_argcount + code.co_kwonlyargcount])
    return len(names) == len(taken) and all(real.endswith(name) for name, real in zip(names, taken, strict=True))


def _lambda(file: _File, code: CodeType) -> ast.AST | None:
    """The lambda that a code object was made from. Several that start on one line are compiled and compared."""
    here = file.lambdas.get(code.co_firstlineno, [])
    if len(here) > 1:
        compiled = file.compiled.get(code.co_firstlineno)
        if compiled is None:
            compiled = file.compiled[code.co_firstlineno] = list(_compiled_lambdas(file, code.co_firstlineno))
        here = [tree for tree, made in zip(here, compiled, strict=True) if made and _shape(made) == _shape(code)]
    trees = {tree_bytes(tree): tree for tree in here}
    return next(iter(trees.values())) if len(trees) == 1 else None


def _compiled_lambdas(file: _File, line: int) -> Iterator[CodeType | None]:
    """The code of each lambda that starts on a line; it is moved below the end of the file to find it by its line."""
    copy = _indexed(file.lines, ast.parse("".join(file.lines)))  # the kept trees are shared and stay as they are
    around: list[ast.stmt] = [n for n in copy.module.body if _first_line(n) <= line <= (n.end_lineno or 0)]
    below = len(file.lines) + 1
    for tree in copy.lambdas[line]:
        ast.increment_lineno(tree, below)
        whole = _compiled(ast.Module(around, []))
        yield next((c for c in codes_in(whole) if c.co_firstlineno == line + below), None) if whole else None
        ast.increment_lineno(tree, -below)


def _compiled(module: ast.Module) -> CodeType | None:
    try:
        code: CodeType = compile(module, "<source>", "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT, dont_inherit=True)
    except (SyntaxError, ValueError, RecursionError):
        return None
    return code


def _shape(code: CodeType) -> list[Any]:
    """What a code object does, wherever it stands."""
    return [
        (c.co_code, c.co_names, c.co_varnames, c.co_freevars, c.co_cellvars, c.co_flags & 0xFFF, c.co_kwonlyargcount,
         [repr(const) for const in c.co_consts if not isinstance(const, CodeType)])
        for c in codes_in(code)
    ]  # fmt: skip


# -- reading it


def _read(tree: ast.AST, loaded: set[str]) -> Source:
    names, paths, imports = set(), set(), set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Name):
            names.add(node.id)
        elif isinstance(node, ast.Attribute):
            paths.add(_path(node))
        elif isinstance(node, ast.Import):
            imports |= {(a.asname or _root(a.name), a.name if a.asname else _root(a.name), 0, "") for a in node.names}
        elif isinstance(node, ast.ImportFrom):
            imports |= {(a.asname or a.name, node.module or "", node.level, a.name) for a in node.names}
    names &= loaded
    roots = names | {name for name, *_ in imports}
    used = sorted(path for path in paths if path and path[0] in roots)
    return Source(tree_bytes(tree), tuple(sorted(names)), tuple(used), tuple(sorted(imports)))


def _root(dotted: str) -> str:
    return dotted.partition(".")[0]


def _path(node: ast.expr) -> tuple[str, ...]:
    """("a", "b", "c") for `a.b.c`; nothing for attributes of something else than a name."""
    found: list[str] = []
    while isinstance(node, ast.Attribute):
        found.append(node.attr)
        node = node.value
    return (node.id, *reversed(found)) if isinstance(node, ast.Name) else ()


_LOADS = frozenset({"LOAD_GLOBAL", "LOAD_NAME", "LOAD_FROM_DICT_OR_GLOBALS"})


def _loaded(code: CodeType) -> set[str]:
    """The globals and closure variables that a code object loads, with all that is defined in it."""
    found = set(code.co_freevars)
    for inner in codes_in(code):
        found |= {step.argval for step in dis.get_instructions(inner) if step.opname in _LOADS}
    return found


def codes_in(code: CodeType) -> Iterator[CodeType]:
    """A code object and all code objects in it."""
    stack = [code]
    while stack:
        code = stack.pop()
        yield code
        stack += [const for const in reversed(code.co_consts) if isinstance(const, CodeType)]


def _class_names(tree: ast.ClassDef) -> set[str]:
    """The names that a class loads: its body and methods, its bases, decorators and the types of its fields."""
    whole = _compiled(ast.Module([tree], []))
    inside = [c for c in whole.co_consts if isinstance(c, CodeType) and c.co_name == tree.name] if whole else []
    found = {name for code in inside for name in _loaded(code)}
    types = [node.annotation for node in tree.body if isinstance(node, ast.AnnAssign)]
    outside: Iterable[ast.AST] = (*tree.bases, *tree.keywords, *tree.decorator_list, *types)
    return found | {node.id for part in outside for node in ast.walk(part) if isinstance(node, ast.Name)}


# -- writing it

_SKIPPED_FIELDS = frozenset({"ctx", "type_comment", "kind"})


class _Mark(bytes):
    """Punctuation of the written tree, so that it is not taken for a constant of the tree."""


def tree_bytes(tree: ast.AST) -> bytes:
    """A syntax tree as bytes, without recursion. A function's own decorators are left out, a class's are not."""
    bare = None if isinstance(tree, ast.ClassDef) else tree
    out: list[bytes] = []
    stack: list[Any] = [tree]
    while stack:
        item = stack.pop()
        if type(item) is _Mark:
            out.append(item)
        elif isinstance(item, ast.AST):
            stack.append(_Mark(b")"))
            for name in sorted(item._fields, reverse=True):
                if name not in _SKIPPED_FIELDS and not (name == "decorator_list" and item is bare):
                    field = _field(item, name)
                    if field is not None and field != []:
                        stack += [field, _Mark(name.encode() + b"=")]
            stack.append(_Mark(type(item).__name__.encode() + b"("))
        elif isinstance(item, list):
            stack += [_Mark(b"]"), *reversed(item), _Mark(b"[")]
        else:
            out.append(b"..." if item is Ellipsis else canonical(item))
    return b"".join(out)


def _field(node: ast.AST, name: str) -> Any:
    """A field without what does not count: a docstring, an empty format, how the text of an f-string is cut."""
    value: Any = getattr(node, name, None)
    if name == "body" and isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return value[1:] or [ast.Pass()] if _is_docstring(value[0]) else value
    if name == "values" and isinstance(node, ast.JoinedStr):
        return _joined(value)
    if name == "format_spec" and isinstance(value, ast.JoinedStr) and not _joined(value.values):
        return None
    return value


def _is_docstring(node: ast.stmt) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)


def _joined(values: list[ast.expr]) -> list[ast.expr]:
    """The parts of an f-string, as Python 3.12 gives them: no empty text, no two texts side by side."""
    found: list[ast.expr] = []
    text = ""
    for part in (*values, None):
        if isinstance(part, ast.Constant):
            text += str(part.value)
            continue
        if text:
            found.append(ast.Constant(text))
        if part is not None:
            found.append(part)
        text = ""
    return found
