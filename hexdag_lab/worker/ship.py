"""Code as bytes: `pack` on the side that has the function, `unpack` on the worker, after the hash was checked.

Functions of the user's own modules are shipped by value, so that workers run what the notebook has now and not what
they once imported; installed packages are shipped by name.
"""

from __future__ import annotations

import io
import sys
import sysconfig
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from hashlib import sha256
from types import ModuleType
from typing import Any, NamedTuple

import cloudpickle

from ..core.base.errors import SchemaError
from ..core.dag.node import Node, NodeSpec

_HEADER = b"hexdag-code-1\n"
_PYTHON = f"{sys.version_info[0]}.{sys.version_info[1]}"


class Loaded(NamedTuple):
    """What a blob holds: the function, and the model classes for what goes in and comes out."""

    fn: Callable[..., Any]
    in_model: Any
    out_model: Any


def pack(spec: NodeSpec) -> bytes:
    """A node's code as bytes. Raises `SchemaError` if it cannot be shipped."""
    if spec.fn is None:
        raise SchemaError(
            f"node {spec.name!r} has no function here; read it with a catalog: Dag.from_json(text, catalog)"
        )
    models = tuple(model and model.cls for model in (spec.in_model, spec.out_model))
    return pack_value((spec.fn, *models), f"node {spec.name!r}")


def pack_value(value: Any, what: str) -> bytes:
    """Functions and what they need, as bytes."""
    buffer = io.BytesIO()
    with _own_modules_by_value(value):
        try:
            _Pickler(buffer, protocol=5).dump(value)
        except Exception as error:  # pickling runs any class's own code
            raise SchemaError(
                f"{what} cannot be shipped to a worker: {error}; "
                "make what it needs (connections, locks, open files) inside the function"
            ) from error
    return _HEADER + _PYTHON.encode() + b"\n" + buffer.getvalue()


def unpack(data: bytes, digest: str) -> Any:
    """What was packed; `SchemaError` unless the bytes have that SHA-256 and were packed by this Python's minor."""
    if sha256(data).hexdigest() != digest:
        raise SchemaError(
            "the code of this node is damaged: its bytes do not match the hash that was approved"
        )
    header, python, body = data.split(b"\n", 2)
    if header + b"\n" != _HEADER:
        raise SchemaError(
            "the code of this node was packed by another release of hexdag_lab; start its run anew"
        )
    if python.decode() != _PYTHON:
        raise SchemaError(
            f"the code of this node was packed by Python {python.decode()}, and this worker has {_PYTHON}: "
            "use the same minor version on both sides"
        )
    return cloudpickle.loads(body)


@lru_cache(maxsize=512)
def load(data: bytes, digest: str) -> Loaded:
    """The code of a node, loaded once in a process."""
    return Loaded(*unpack(data, digest))


class _Pickler(cloudpickle.Pickler):  # type: ignore[misc]
    def reducer_override(self, obj: Any) -> Any:
        if isinstance(obj, Node):  # by value: a node's module may not be importable on the worker
            return _rebuild, (obj.__hexdag_fn__, obj._options, obj.name)
        return super().reducer_override(obj)


def _rebuild(fn: Any, options: dict[str, Any], name: str) -> Node[..., Any]:
    return Node(fn, {**options, "name": name})


_lock = threading.Lock()


@contextmanager
def _own_modules_by_value(value: Any) -> Iterator[None]:
    parts = value if isinstance(value, tuple) else (value,)
    modules = {m for part in parts if (m := _own_module(part)) is not None}
    with _lock:  # cloudpickle's registry is one for the process
        known = set(cloudpickle.list_registry_pickle_by_value())
        new = [m for m in modules if m.__name__ not in known]
        for module in new:
            cloudpickle.register_pickle_by_value(module)
        try:
            yield
        finally:
            for module in new:
                cloudpickle.unregister_pickle_by_value(module)


def _own_module(value: Any) -> ModuleType | None:
    """The module of a function or class if it is the user's own: neither installed nor part of Python."""
    name = getattr(value, "__module__", None)
    if not name or name == "__main__":
        return None
    module = sys.modules.get(name)
    file = getattr(module, "__file__", None)
    if module is None or file is None or name.partition(".")[0] == __package__.partition(".")[0]:
        return None
    return None if file.startswith(_installed()) else module


@lru_cache(maxsize=1)
def _installed() -> tuple[str, ...]:
    return tuple({sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")})
