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
from .pickling import dumps

INLINE = 64 * 1024  #: bytes; up to this a result travels in its report and is kept in the journal
DEEPEST, MOST = 20, 100_000  #: levels and items of what is worth a look whether JSON is faithful to it


def encode(value: Any) -> Kept:
    """A value in encoded form, its bytes inline. Raises `SchemaError` if it cannot be written."""
    data = _as_json(value) if _faithful(value) else None
    codec, data = ("pickle", _pickled(value)) if data is None else ("json", data)
    return Kept(codec, len(data), sha256(data).hexdigest(), data)


def decode(kept: Kept, data: bytes) -> Any:
    """The value that was encoded. `SchemaError` if these are other bytes, or if they cannot be read here."""
    if kept.sha256 != sha256(data).hexdigest():
        raise SchemaError("a stored value is damaged: its bytes do not match their hash")
    try:
        return json.loads(data) if kept.codec == "json" else pickle.loads(data)
    except Exception as error:  # unpickling runs any class's own code
        raise SchemaError(
            f"a stored value cannot be read here ({type(error).__name__}: {error}); "
            "install what its class needs, in the release that wrote it"
        ) from error


def in_pool(size: int) -> Kept:
    """The description of a value that stays in workers' memory."""
    return Kept("pickle", size, "", None, where="pool")


def rough_size(value: Any) -> int | None:
    """Bytes of an array or a frame by its own account, without encoding it; None for anything else."""
    try:
        if getattr(value.dtype, "hasobject", False):
            return None  # what is counted are pointers
        size = value.nbytes
    except Exception:  # whatever class this is: it does not say
        return _size_of_frame(value)
    return size if type(size) is int else None


def _size_of_frame(value: Any) -> int | None:
    try:
        return int(sum(value.memory_usage(index=True)))
    except Exception:  # whatever class this is: it does not say
        return None


def _as_json(value: Any) -> bytes | None:
    try:
        return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()
    except UnicodeEncodeError:  # half of a surrogate pair, as in names of files
        return None


def _faithful(value: Any) -> bool:
    """Whether JSON gives this value back with the same types. What is deep or long is not worth a look."""
    todo, seen = [(value, 0)], 0
    while todo:
        item, depth = todo.pop()
        kind, seen = type(item), seen + 1
        if item is None or kind is bool or kind is str:
            continue
        if kind is int:
            if item.bit_length() >= 1000:
                return False
        elif kind is float:
            if not isfinite(item):
                return False
        elif depth >= DEEPEST or seen + len(todo) > MOST:
            return False
        elif kind is list:
            todo += [(inner, depth + 1) for inner in item]
        elif kind is dict and all(type(key) is str for key in item):
            todo += [(inner, depth + 1) for inner in item.values()]
        else:
            return False
    return True


def _pickled(value: Any) -> bytes:
    # Not `pickle`: to find a class by its name it would import the user's script, and run it once more.
    try:
        return dumps(value)
    except Exception as error:  # pickling runs any class's own code
        raise SchemaError(
            f"a {type(value).__module__}.{type(value).__qualname__} cannot be shipped ({error}); "
            "return plain data, an array or a frame, and open files, generators and connections inside the node"
        ) from error
