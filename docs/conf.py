"""How Sphinx builds the pages: `make docs`, into build/docs. The sources are the repository as it stands.

Its Markdown and notebooks are read where they are, so that every link works on a forge and in the built pages alike.
The map in docs/index.md is what the navigation is made of; notebooks are shown as they were committed, and not run.
How docstrings are read: `docs/docstrings.py`. If anything that is built would load something from another host, the
build fails: `docs/offline.py`.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

from sphinx.application import Sphinx

sys.path.insert(0, str(Path(__file__).parent))

project = "hexdag-lab"
copyright = "the hexdag-lab authors, Apache-2.0"
extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinxarg.ext", "docstrings", "event_table", "offline"]
root_doc = "docs/index"
include_patterns = ["*.md", "docs/**.md", "notebooks/*.ipynb", "extensions/*/README.md"]
exclude_patterns = [".*", "build", "dist", "**/.ipynb_checkpoints"]

html_theme = "furo"
html_title = "hexdag-lab"
html_extra_path = ["site"]
html_copy_source = False
html_show_sphinx = False
templates_path: list[str] = []

autodoc_default_options = {"members": True, "member-order": "bysource"}
autodoc_typehints_format = "short"
autodoc_preserve_defaults = True
python_use_unqualified_type_names = True
maximum_signature_line_length = 140
smartquotes = False  # "reject" in a docstring is code

myst_heading_anchors = 4  # as forges make them
nb_execution_mode = "off"
nb_ipywidgets_js: dict[str, dict[str, str]] = {}  # these come from another host; the pictures beside them do as well
nb_mime_priority_overrides = [("html", "application/vnd.jupyter.widget-view+json", None)]

LINK = re.compile(r"\]\(([^)#:\s]*)(?:#([^)\s]+))?\)")


def navigation(page: str) -> str:
    """The navigation that a map has: for each of its rows and lists a caption, and the pages that it leads to, once.

    A row that leads to a heading of the map itself takes the pages below that heading.
    """
    head, *sections = re.split(r"(?m)^## ", page)
    below = {title.lower().replace(" ", "-"): body for title, _, body in (s.partition("\n") for s in sections)}
    seen: set[str] = set()
    trees = []
    for row in re.findall(r"(?m)^\| \*\*(.+)$", head) or [f"**{page}"]:  # a map without such rows is one list
        entries = []
        for path, anchor in LINK.findall(row):
            entries += LINK.findall(below.get(anchor, "")) if not path else [(path, anchor)]
        pages = [path for path, _ in entries if path.endswith((".md", ".ipynb")) and path not in seen]
        pages = list(dict.fromkeys(pages))
        seen.update(pages)
        caption = row.partition("**")[0].capitalize()
        options = [":hidden:", *([f":caption: {caption}"] if caption else [])]
        trees.append("\n".join(["```{toctree}", *options, "", *pages, "```"]))
    return "\n\n".join(trees)


def prepare(app: Sphinx, page: str, source: list[str]) -> None:
    """Give the maps their navigation, and leave out the diagrams that forges draw: the tables below them say the same,
    and what draws them in a browser would have to come from another host."""
    if page in (root_doc, "docs/decisions/README"):
        source[0] += "\n\n" + navigation(source[0])
    source[0] = re.sub(r"(?ms)^```mermaid\n.*?^```\n", "", source[0])


def setup(app: Sphinx) -> None:
    app.connect("source-read", prepare)
