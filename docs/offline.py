"""Holds what was built to asking no other host for anything: a reader may be offline, and nobody else learns what she
reads. A link that she follows herself is another matter.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from sphinx.application import Sphinx
from sphinx.errors import ExtensionError

HOST = r"(?:[a-z]+:)?//[^\s\"'>)]+"
ASKED = re.compile(
    rf"""(?x) <(?:script|img|iframe|source|video|audio|embed|track)\b[^>]*?\b(?:src|srcset)=["']? ({HOST})
    | <link\b(?=[^>]*\brel=["']?(?:stylesheet|preload|icon|modulepreload|prefetch|manifest))[^>]*?\bhref=["']? ({HOST})
    | (?:@import\s*|url\(\s*) ["']? ({HOST}) | \bimport\(? \s* ["'] ({HOST})"""
)


def asked(text: str) -> Iterator[str]:
    """The addresses that a page, a style sheet or a script would load by itself."""
    for found in ASKED.findall(text):
        yield "".join(found)


def check(app: Sphinx, failure: Exception | None) -> None:
    """Raise ExtensionError if anything that was built loads something from elsewhere."""
    if failure is not None:
        return
    out = Path(app.outdir)
    files = (file for file in sorted(out.rglob("*")) if file.suffix in (".html", ".css", ".js"))
    found = [f"{file.relative_to(out)}: {url}" for file in files for url in asked(file.read_text("utf-8"))]
    if found:
        raise ExtensionError("these would be loaded from another host:\n" + "\n".join(found))


def setup(app: Sphinx) -> dict[str, bool]:
    app.connect("build-finished", check)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
