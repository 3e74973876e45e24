"""`Pickler`: cloudpickle, with two manners of it changed.

Code keeps the name of its file, so that a traceback shows the user's lines; and an open file is refused: what
cloudpickle makes of it is a copy of its text, which is not what went in.
"""

from __future__ import annotations

import io
from collections import ChainMap
from types import CodeType
from typing import Any, ClassVar

import cloudpickle


def dumps(value: Any) -> bytes:
    """The pickle of a value."""
    buffer = io.BytesIO()
    Pickler(buffer, protocol=5).dump(value)
    return buffer.getvalue()


def _code(code: CodeType) -> Any:
    make, parts = _reduce_code(code)
    return make, tuple(code.co_filename if part == "<dynamic-code>" else part for part in parts)


def _open_file(file: io.TextIOWrapper) -> Any:
    raise TypeError(f"cannot pickle an open file ({getattr(file, 'name', '?')})")


_reduce_code = cloudpickle.Pickler.dispatch_table[CodeType]


class Pickler(cloudpickle.Pickler):  # type: ignore[misc]
    """Pickles what a notebook makes."""

    dispatch_table: ClassVar[Any] = ChainMap(
        {CodeType: _code, io.TextIOWrapper: _open_file}, cloudpickle.Pickler.dispatch_table
    )
