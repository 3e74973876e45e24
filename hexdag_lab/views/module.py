"""The graph's files as the one ES module that a host is given: readable as they stand, and nothing to build or install.

A host takes one text, so what the files import from each other is taken out and their bodies follow one another in the
order of what they need. That takes two rules: names are unique over all files, and imports are of this form only.
"""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

HOME = Path(__file__).parent / "static" / "graph"
FILES = ("look", "scene", "paint", "pen", "screen", "controls", "graph")  #: each needs only earlier ones
_IMPORT = re.compile(r"^import \{[^}]*\} from \"\./\w+\.js\";\n", re.MULTILINE)
_EXPORT = re.compile(r"^export (?!default)", re.MULTILINE)


@cache
def graph_module() -> str:
    """The text of the module."""
    parts = []
    for name in FILES:
        text = (HOME / f"{name}.js").read_text("utf-8")
        parts.append(f"// -- {name}.js\n" + _EXPORT.sub("", _IMPORT.sub("", text)))
    return "\n".join(parts)
