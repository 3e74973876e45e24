"""Source text as a node: what runs is the text that was voted on, and nothing else.

The text is a parameter of the node, so it is part of what an approval is for; its SHA-256 stands beside it and is
checked here, before anything of it is looked at.
"""

from __future__ import annotations

import linecache
from hashlib import sha256
from typing import Any

from ..core.base.errors import SchemaError

ENTRY = "run"  #: the function that the text defines


def python_source(source: str, digest: str, **inputs: Any) -> Any:
    """Run a text of Python that defines `run(...)`; its parameters are the nodes upstream."""
    found = sha256(source.encode()).hexdigest()
    if found != digest:
        raise SchemaError(f"this source has the SHA-256 {found[:12]}…, and {digest[:12]}… was voted on")
    name = f"<python_source {digest[:12]}>"
    linecache.cache[name] = (len(source), None, source.splitlines(keepends=True), name)  # tracebacks show its lines
    space: dict[str, Any] = {"__name__": f"python_source_{digest[:12]}"}
    exec(compile(source, name, "exec"), space)  # a person has read it and said yes
    return space[ENTRY](**inputs)
