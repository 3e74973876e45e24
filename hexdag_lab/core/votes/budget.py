"""`Budget`: what a run may use of time, money and nodes before it pauses and asks."""

from __future__ import annotations

from dataclasses import fields
from fractions import Fraction
from math import isfinite
from typing import Any

from ..base.codec import record
from ..base.errors import SchemaError


@record
class Budget:
    """Limits of a run; None is no limit. As an amount (what it uses, what it is raised by) None is nothing.

    seconds   that it may be running, pauses left out
    cost      money or units, as `@hx.node(cost=…)` says, for each attempt
    nodes     different nodes that it may begin
    """

    seconds: float | None = None
    cost: Fraction | None = None
    nodes: int | None = None

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if value is None:
                continue
            number = isinstance(value, int | float | Fraction) and not isinstance(value, bool)
            if not number or not isfinite(value) or value < 0:
                raise SchemaError(f"budget: {field.name} is a number, 0 or more, not {value!r}")
        if self.cost is not None:
            object.__setattr__(self, "cost", Fraction(self.cost).limit_denominator(10**6))
        if self.nodes is not None and not isinstance(self.nodes, int):
            raise SchemaError(f"budget: nodes is a whole number, not {self.nodes!r}")

    @property
    def empty(self) -> bool:
        """Whether it says nothing."""
        return self.seconds is None and self.cost is None and self.nodes is None

    def plus(self, more: Budget) -> Budget:
        """These limits, raised; what has no limit gets none."""
        return Budget(
            None if self.seconds is None else self.seconds + (more.seconds or 0.0),
            None if self.cost is None else self.cost + (more.cost or 0),
            None if self.nodes is None else self.nodes + (more.nodes or 0),
        )

    def beyond(self, limits: Budget) -> Budget:
        """By how much these amounts exceed some limits; empty if they do not."""
        seconds, cost, nodes = self.seconds or 0.0, self.cost or Fraction(0), self.nodes or 0
        return Budget(
            seconds - limits.seconds if limits.seconds is not None and seconds > limits.seconds else None,
            cost - limits.cost if limits.cost is not None and cost > limits.cost else None,
            nodes - limits.nodes if limits.nodes is not None and nodes > limits.nodes else None,
        )

    def __str__(self) -> str:
        """ "3.00, 90 s and 2 nodes"."""
        parts = (
            [] if self.cost is None else [f"{float(self.cost):.{2 if not self.cost or self.cost * 100 >= 1 else 6}f}"]
        )
        parts += [f"{self.seconds:.0f} s"] if self.seconds is not None else []
        parts += [f"{self.nodes} node{'s' * (self.nodes != 1)}"] if self.nodes is not None else []
        return " and ".join([", ".join(parts[:-1]), parts[-1]]) if len(parts) > 1 else "".join(parts) or "nothing"


def budget_of(value: Any) -> Budget | None:
    """A budget; a number is one of money, as journals before this record have it."""
    return value if value is None or isinstance(value, Budget) else Budget(cost=value)
