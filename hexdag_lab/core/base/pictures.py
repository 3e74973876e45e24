"""How values show themselves in a notebook cell: as text always, and as pictures where somebody draws them.

The core draws nothing and knows nobody who does. Whoever can says so with `draw_with`; without one, or where
it cannot be had, there is the text.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

Painter = Callable[[Any], Mapping[str, str]]
"""What a value looks like by media type, besides text."""

_painter: Painter | None = None


def draw_with(painter: Painter | None) -> None:
    """Let values be drawn by `painter` from now on."""
    global _painter
    _painter = painter


def bundle(value: Any, text: str) -> dict[str, str]:
    """What `_repr_mimebundle_` gives for a value."""
    drawn: Mapping[str, str] = {}
    if _painter is not None:
        try:
            drawn = _painter(value)
        except ImportError:  # the screens are not installed, or another part of the package is not there
            drawn = {}
    return {"text/plain": text, **drawn}
