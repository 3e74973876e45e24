"""Code as bytes: `pack` on the side that has the function, `unpack` on the worker, after the hash was checked.

Functions and classes of the user's own modules are shipped by value, so that workers run what the notebook has now and
not what they once imported; installed packages are shipped by name. Where a module that only helps holds something that
cannot travel, such as a lock, it is shipped by name as well.
"""

from __future__ import annotations

import inspect
import io
import sys
import sysconfig
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from hashlib import sha256
from types import MappingProxyType, ModuleType
from typing import Any, NamedTuple

import cloudpickle

from ..core.base.errors import SchemaError
from ..core.dag.node import Node, NodeSpec
from .pickling import Pickler

_HEADER = b"hexdag-code-1\n"
_PYTHON = f"{sys.version_info[0]}.{sys.version_info[1]}"


class Loaded(NamedTuple):
    """What a blob holds: the function, the model classes for what goes in and comes out, and the node's callbacks; and
    the function's parameters by name, for each attempt needs them."""

    fn: Callable[..., Any]
    in_model: Any
    out_model: Any
    when: Callable[..., Any] | None = None
    on_error: Callable[..., Any] | None = None
    parameters: Mapping[str, inspect.Parameter] = MappingProxyType({})


def parameters_of(fn: Callable[..., Any]) -> Mapping[str, inspect.Parameter]:
    """A function's parameters by name; none where nobody can tell, as of some that are written in C."""
    try:
        return inspect.signature(fn).parameters
    except (ValueError, TypeError):
        return {}


def pack(spec: NodeSpec) -> bytes:
    """A node's code as bytes. Raises `SchemaError` if it cannot be shipped."""
    beside = [callback and callback.fn for callback in (spec.when, spec.on_error)]
    wanted = [spec.when is not None, spec.on_error is not None]
    if spec.fn is None or [fn is not None for fn in beside] != wanted:
        raise SchemaError(
            f"node {spec.name!r} has no function here; read it with a catalog: Dag.from_json(text, catalog)"
        )
    models = tuple(model and model.cls for model in (spec.in_model, spec.out_model))
    parts = (spec.fn, *models, *(beside if any(wanted) else ()))
    return pack_value(parts, f"node {spec.name!r}")


def pack_value(value: Any, what: str) -> bytes:
    """Functions and what they need, as bytes."""
    parts = value if isinstance(value, tuple) else (value,)
    own = frozenset(name for name, module in list(sys.modules.items()) if _is_own(name, module))
    named = own & {getattr(part, "__module__", None) or "" for part in parts}
    try:
        try:
            body = _pickled(value, own)
        except Exception:  # pickling runs any class's own code
            if named == own:
                raise
            body = _pickled(value, named)
    except Exception as error:  # pickling runs any class's own code
        raise SchemaError(
            f"{what} cannot be shipped to a worker: {error}; "
            "make what it needs (connections, locks, open files) inside the function"
        ) from error
    return _HEADER + _PYTHON.encode() + b"\n" + body


def unpack(data: bytes, digest: str) -> Any:
    """What was packed; `SchemaError` unless the bytes have that SHA-256 and were packed by this Python's minor."""
    if sha256(data).hexdigest() != digest:
        raise SchemaError("the code of this node is damaged: its bytes do not match the hash that was approved")
    if not data.startswith(_HEADER):
        raise SchemaError("the code of this node was packed by another release of hexdag_lab; start its run anew")
    python, _, body = data[len(_HEADER) :].partition(b"\n")
    if python.decode(errors="replace") != _PYTHON:
        raise SchemaError(
            f"the code of this node was packed by Python {python.decode(errors='replace')}, and this worker has "
            f"{_PYTHON}: use the same minor version on both sides"
        )
    try:
        return cloudpickle.loads(body)
    except Exception as error:  # unpickling imports modules and runs any class's own code
        raise SchemaError(
            f"the code of this node cannot be loaded on this worker ({type(error).__name__}: {error}); "
            "install there what it imports, in the release that is used here"
        ) from error


class _Loaded:
    """Code that was loaded in this process, by its SHA-256: the latest that was used."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._found: OrderedDict[str, Loaded] = OrderedDict()
        self._lock = threading.Lock()

    def __call__(self, data: bytes, digest: str) -> Loaded:
        """The code of a node, loaded once in a process."""
        with self._lock:  # two threads that load the same code would get two copies of its module's state
            found = self._found.get(digest)
            if found is None:
                found = Loaded(*unpack(data, digest))
                found = self._found[digest] = found._replace(parameters=parameters_of(found.fn))
            self._found.move_to_end(digest)
            while len(self._found) > self._most:
                self._found.popitem(last=False)
            return found


load = _Loaded(256)


class _Pickler(Pickler):
    def reducer_override(self, obj: Any) -> Any:
        if isinstance(obj, Node):  # by value: a node's module may not be importable on the worker
            return _rebuild, (obj.__hexdag_fn__, obj._options, obj.name)
        return super().reducer_override(obj)


def _rebuild(fn: Any, options: dict[str, Any], name: str) -> Node[..., Any]:
    return Node(fn, {**options, "name": name})


_registering = threading.Lock()


def _pickled(value: Any, modules: Iterable[str]) -> bytes:
    """The pickle of a value, with these modules' functions and classes by value."""
    buffer = io.BytesIO()
    with _registering:  # cloudpickle's registry is one for the process
        registered = cloudpickle.list_registry_pickle_by_value()
        new = [sys.modules[name] for name in sorted(modules) if name in sys.modules and name not in registered]
        for module in new:
            cloudpickle.register_pickle_by_value(module)
        try:
            _Pickler(buffer, protocol=5).dump(value)
        finally:
            for module in new:
                cloudpickle.unregister_pickle_by_value(module)
    return buffer.getvalue()


def _is_own(name: str, module: Any) -> bool:
    """Whether a module is the user's own: neither installed, nor part of Python, nor of hexdag_lab."""
    known = _known.get(name)
    if known is None or known[0] is not module:
        known = _known[name] = (module, _looks_own(name, module))
    return known[1]


_known: dict[str, tuple[Any, bool]] = {}  # there are thousands of modules, and each packing asks for all


def _looks_own(name: str, module: Any) -> bool:
    if name.partition(".")[0] in _NEVER or type(module) is not ModuleType:  # a lazy one would wake up
        return False
    has = module.__dict__
    file = has.get("__file__")
    if has.get("__name__") != name or (file is None and (has.get("__spec__") or "__path__" in has)):
        return False  # another name for a module, one that is built in, or a namespace, in which nothing is defined
    parts = str(file).replace("\\", "/").split("/")
    return file is None or not (_INSTALLED & set(parts) or file.startswith(_installed()))


_INSTALLED = frozenset({"site-packages", "dist-packages"})
_NEVER = frozenset({"__main__", __package__.partition(".")[0], *sys.stdlib_module_names})


@lru_cache(maxsize=1)
def _installed() -> tuple[str, ...]:
    found = {sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")}
    return tuple(path.rstrip("/") + "/" for path in found)
