"""What annotations say about an edge: whether what a function returns can be what a parameter takes.

It speaks up only where nothing that fits both is likely: unrelated classes, containers of such, a union without a
member that fits. Numbers are all alike to it. What has no annotation, or one that cannot be seen through (a type
variable, a protocol, a name that is not there), passes; so does a wider type where a narrower one is wanted, for what
comes may be narrow enough. Annotations are read from live functions: a graph that was read from text was checked where
it was made.
"""

from __future__ import annotations

import inspect
import sys
import types
from collections.abc import Awaitable, Callable, Collection, Coroutine, Iterable, Mapping, Sequence
from functools import lru_cache
from numbers import Number
from typing import Annotated, Any, Literal, NewType, TypeVar, Union, get_args, get_origin, is_typeddict
from weakref import WeakKeyDictionary

from .code import cells_of

DEEPEST = 20  #: levels of an annotation that are looked at
UNKNOWN = Any  #: what is not annotated

_HINTS: WeakKeyDictionary[types.FunctionType, Mapping[str, Any]] = WeakKeyDictionary()
_DEMANDS: WeakKeyDictionary[types.FunctionType, Mapping[str, Any]] = WeakKeyDictionary()
_NO_HINTS: Mapping[str, Any] = {}


def hints(fn: Any) -> Mapping[str, Any]:
    """The annotations of a function by parameter, and under "return"; what cannot be evaluated is left out."""
    if isinstance(fn, types.MethodType):
        fn = fn.__func__
    if type(fn) is not types.FunctionType:
        return _NO_HINTS
    found = _HINTS.get(fn)
    if found is None:
        found = _HINTS[fn] = dict(_read(fn)) or _NO_HINTS
    return found


def demands(fn: Any) -> Mapping[str, Any]:
    """The annotations of a function's parameters that can be held against something: those that are not open."""
    try:
        found = _DEMANDS.get(fn)
    except TypeError:  # no weak reference to it, as to a builtin: it has no annotations either
        return _NO_HINTS
    if found is None:
        asked = {name: wants for name, wants in hints(fn).items() if name != "return" and not _is_open(_bare(wants))}
        found = asked or _NO_HINTS
        if type(fn) is types.FunctionType:
            _DEMANDS[fn] = found
    return found


if sys.version_info >= (3, 14):
    from annotationlib import Format

    def _annotations(fn: Any) -> Mapping[str, Any]:
        return inspect.get_annotations(fn, format=Format.FORWARDREF)
else:

    def _annotations(fn: Any) -> Mapping[str, Any]:
        return inspect.get_annotations(fn)


def _read(fn: types.FunctionType) -> Iterable[tuple[str, Any]]:
    inner = inspect.unwrap(fn)
    scope = {**getattr(inner, "__globals__", {}), **cells_of(inner)}
    for name, annotation in _annotations(fn).items():
        if isinstance(annotation, str):
            try:
                annotation = eval(annotation, scope)  # as `typing.get_type_hints` does, one by one
            except Exception:  # whatever a name in it stands for: it is not known
                continue
        yield name, annotation


def returned(fn: Any) -> Any:
    """What a node of this function gives: what it returns, or what that can be awaited for.

    Of one that returns None nothing is held against those below: people write it of functions that only raise, too."""
    found = hints(fn).get("return", UNKNOWN)
    if get_origin(found) in (Awaitable, Coroutine):
        found = get_args(found)[-1]
    return UNKNOWN if found is None else found


def shown(annotation: Any) -> str:
    """A type as people write it: "int", "list[str]", "str | None"."""
    if annotation is None or annotation is type(None):
        return "None"
    return annotation.__qualname__ if _is_class(annotation) else str(annotation).replace("typing.", "")


def misfits(given: Any, wanted: Any) -> bool:
    """`clash`, remembered: in large graphs few functions meet many times."""
    if given is wanted or given is UNKNOWN or wanted is UNKNOWN:
        return False
    try:
        return _remembered(given, wanted)
    except TypeError:  # an annotation may be anything, also what has no hash
        return clash(given, wanted)


@lru_cache(maxsize=1000)
def _remembered(given: Any, wanted: Any) -> bool:
    return clash(given, wanted)


Leaf = Callable[[type, type], bool]


def clash(given: Any, wanted: Any, leaf: Leaf | None = None, depth: int = 0) -> bool:
    """Whether nothing that is `given` is likely to be `wanted`. `leaf` says it of two classes."""
    if depth > DEEPEST:
        return False
    given, wanted = _bare(given), _bare(wanted)
    if given is wanted or _is_open(given) or _is_open(wanted):
        return False
    if members := _members(given):
        return all(clash(member, wanted, leaf, depth + 1) for member in members)
    if members := _members(wanted):
        return all(clash(given, member, leaf, depth + 1) for member in members)
    if get_origin(given) is Literal or get_origin(wanted) is Literal:
        return _literals_clash(given, wanted, leaf, depth)
    one, two = get_origin(given) or given, get_origin(wanted) or wanted
    if not (_is_class(one) and _is_class(two)):
        return False
    return (leaf or _classes_clash)(one, two) or _arguments_clash(
        one, two, get_args(given), get_args(wanted), leaf, depth
    )


def _bare(annotation: Any) -> Any:
    """Without what says nothing about the type."""
    for _ in range(DEEPEST):
        if get_origin(annotation) is Annotated:
            annotation = get_args(annotation)[0]
        elif isinstance(annotation, NewType):
            annotation = annotation.__supertype__
        elif type(annotation).__name__ == "TypeAliasType":
            annotation = annotation.__value__
        else:
            break
    if is_typeddict(annotation):
        return dict
    return type(None) if annotation is None else annotation


def _is_open(annotation: Any) -> bool:
    if annotation is Any or annotation is object or isinstance(annotation, TypeVar | str):
        return True
    kind = get_origin(annotation) or annotation
    return not _is_class(kind) and kind not in (Union, types.UnionType, Literal)


def _is_class(value: Any) -> bool:
    return isinstance(value, type) and not isinstance(value, types.GenericAlias)


def _members(annotation: Any) -> tuple[Any, ...]:
    return get_args(annotation) if get_origin(annotation) in (Union, types.UnionType) else ()


def _literals_clash(given: Any, wanted: Any, leaf: Leaf | None, depth: int) -> bool:
    one, two = (get_args(a) if get_origin(a) is Literal else None for a in (given, wanted))
    if one is not None and two is not None:
        return not {(type(value), value) for value in one} & {(type(value), value) for value in two}
    if one is not None:
        return all(clash(type(value), wanted, leaf, depth + 1) for value in one)
    return all(clash(given, type(value), leaf, depth + 1) for value in two or ())


def _classes_clash(one: type, two: type) -> bool:
    if _related(one, two) or (issubclass(one, Number) and issubclass(two, Number)):  # people mix numbers, and may
        return False
    # The classes of collections.abc know of each class whether it is one of theirs; others may be met by a subclass.
    return not _is_abstract(one) and (not _is_abstract(two) or two.__module__ == "collections.abc")


def _related(one: type, two: type) -> bool:
    try:
        return issubclass(one, two) or issubclass(two, one)
    except TypeError:  # a protocol that cannot tell, a class that does not let itself be asked
        return True


def _is_abstract(kind: type) -> bool:
    return inspect.isabstract(kind) or bool(getattr(kind, "_is_protocol", False))


#: containers by what they hold: the arguments of one say what those of another must fit
_HOLD_ITEMS = (list, set, frozenset, Sequence, Collection, Iterable)


Args = tuple[Any, ...]


def _arguments_clash(one: type, two: type, have: Args, want: Args, leaf: Leaf | None, depth: int) -> bool:
    if not have or not want:
        return False
    if one is tuple and two is tuple:
        return _tuples_clash(have, want, leaf, depth)
    if one is tuple:
        have, want = tuple(a for a in have if a is not ...), want * (len(have) - (... in have))
    keyed = issubclass(one, Mapping) and issubclass(two, Mapping)
    items = two in _HOLD_ITEMS and not issubclass(one, Mapping)
    if len(have) != len(want) or not (keyed or items):
        return False
    return any(clash(a, b, leaf, depth + 1) for a, b in zip(have, want, strict=True))


def _tuples_clash(have: Args, want: Args, leaf: Leaf | None, depth: int) -> bool:
    if ... in have or ... in want:
        return any(clash(a, b, leaf, depth + 1) for a in have if a is not ... for b in want if b is not ...)
    return len(have) != len(want) or any(clash(a, b, leaf, depth + 1) for a, b in zip(have, want, strict=True))


def values_of(annotation: Any) -> Any:
    """What each value may be in a dict of this type."""
    arguments = get_args(_bare(annotation))
    return arguments[1] if len(arguments) == 2 else UNKNOWN
