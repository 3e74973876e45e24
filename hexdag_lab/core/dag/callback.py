"""`Callback`: a function beside a node's own, by its code: its condition, or what stands in for its result."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from ..base.errors import SchemaError
from .code import Code, code_of


@dataclass(frozen=True, slots=True)
class Callback:
    """What is known of such a function: its code. `fn` is the live function, if it is here; it is no part of the
    identity."""

    code: Code
    fn: Any = field(default=None, compare=False, repr=False)

    @classmethod
    def of(cls, fn: Any, what: str) -> Callback:
        """The description of a function; `SchemaError` for what cannot be called."""
        if not callable(fn):
            raise SchemaError(f"{what} is a function, not {fn!r}")
        return cls(code_of(fn), getattr(fn, "__hexdag_fn__", fn))

    @property
    def name(self) -> str:
        """What people call it: its own name, without where it stands; a lambda has none."""
        return "" if self.code.name.endswith("<lambda>") else self.code.name.rpartition(".")[2]
