"""What nodes need and workers can, as Dask resources.

A need such as "gpu" is a resource of which a node takes one while it runs: a worker that says `gpu=2` runs two such
nodes at once. A label, which has a colon as "region:eu" does, is only looked at, and nothing of it is used up.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

UNLIMITED = 1000.0  #: a capability without a number is no bottleneck


def needed(requires: Iterable[str]) -> dict[str, float] | None:
    """The resources that a task asks for; None: any worker will do."""
    return {name: 0.0 if ":" in name else 1.0 for name in sorted(requires)} or None


def offered(capabilities: Iterable[str]) -> dict[str, float]:
    """The resources that a worker offers: "gpu", "gpu=2", "region:eu". Raises `ValueError` for anything else."""
    found = {}
    for text in capabilities:
        name, equals, count = text.partition("=")
        number = _positive(count) if equals else UNLIMITED
        if not name or name != name.strip() or number is None or (equals and ":" in name):
            raise ValueError(f"{text!r} is no capability; write a name as gpu, a count as gpu=2, a label as region:eu")
        found[name] = number
    return found


def _positive(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return number if number > 0 and math.isfinite(number) else None
