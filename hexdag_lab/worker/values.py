"""Values as bytes: JSON where that is faithful, else a pickle.

A value that is large is not encoded at all while it can stay in workers' memory; `rough_size` tells by what arrays and
frames say of themselves. Pickles are read only by those who know who made them (see `runtime.seal`).
"""

from __future__ import annotations

import json
import pickle
from hashlib import sha256
from math import isfinite
from typing import Any

from ..core.base.errors import SchemaError
from ..core.runs.value import Kept

INLINE = 64 * 1024  #: bytes; up to this a result travels in its report and is kept in the journal


def encode(value: Any) -> Kept:
    """A value in encoded form, its bytes inline. Raises `SchemaError` if it cannot be written."""
    if _faithful(value, 20):
        codec, data = "json", json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()
    else:
        codec, data = "pickle", _pickled(value)
    return Kept(codec, len(data), sha256(data).hexdigest(), data)


def decode(kept: Kept, data: bytes) -> Any:
    """The value that was encoded; `SchemaError` if the bytes are not those that were written."""
    if kept.sha256 != sha256(data).hexdigest():
        raise SchemaError("a stored value is damaged: its bytes do not match their hash")
    return json.loads(data) if kept.codec == "json" else pickle.loads(data)


def in_pool(value: Any) -> Kept:
    """The description of a value that stays in workers' memory."""
    return Kept("pickle", rough_size(value) or 0, "", None, where="pool")


def rough_size(value: Any) -> int | None:
    """Bytes of an array or a frame by its own account, without encoding it; None for anything else."""
    size = getattr(value, "nbytes", None)
    if isinstance(size, int):
        return size
    usage = getattr(value, "memory_usage", None)
    if callable(usage):
        try:
            return int(sum(usage(index=True)))
        except TypeError:
            return None
    return None


def _faithful(value: Any, depth: int) -> bool:
    """Whether JSON gives this value back with the same types."""
    kind = type(value)
    if value is None or kind is bool or kind is str:
        return True
    if kind is int:
        return int(value).bit_length() < 1000
    if kind is float:
        return isfinite(value)
    if not depth:
        return False
    if kind is list:
        return all(_faithful(item, depth - 1) for item in value)
    if kind is dict:
        return all(type(key) is str and _faithful(item, depth - 1) for key, item in value.items())
    return False


def _pickled(value: Any) -> bytes:
    try:
        data = pickle.dumps(value, protocol=5)
        if b"__main__" not in data:
            return data
    except (pickle.PicklingError, TypeError, AttributeError, ValueError, RecursionError):
        pass  # cloudpickle takes what lives in a notebook, and says why if it cannot
    import cloudpickle

    try:
        return bytes(cloudpickle.dumps(value, protocol=5))
    except Exception as error:  # pickling runs any class's own code
        raise SchemaError(
            f"a {type(value).__module__}.{type(value).__qualname__} cannot be shipped ({error}); "
            "return plain data, an array or a frame, and open files, generators and connections inside the node"
        ) from error
