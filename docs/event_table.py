"""The directive `events`: a table of all events, made of their classes in `hexdag_lab/core/machine/events.py`."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from dataclasses import fields

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from hexdag_lab.core.machine import events

ESCAPED = r"\|"  #: a bar that does not end a cell


def kinds() -> Iterator[type[events.Event]]:
    """The classes of all events, in the order in which they are defined."""
    for name, kind in vars(events).items():
        if inspect.isclass(kind) and issubclass(kind, events.Event) and not name.startswith("_"):
            yield kind


def table() -> str:
    """The table, in Markdown: one row for each event."""
    common = {field.name for field in fields(events.Event)}
    lines = ["| kind | what it says | fields |", "| --- | --- | --- |"]
    for kind in kinds():
        if kind is events.Event:
            continue
        said = " ".join((kind.__doc__ or "").split())
        inside = " *internal*" if issubclass(kind, events.UNHOOKED) else ""
        typed = [f"`{field.name}: {field.type}`" for field in fields(kind) if field.name not in common]
        cells = (f"`{kind.__name__}`", said + inside, "<br>".join(typed))
        lines.append(f"| {' | '.join(cell.replace('|', ESCAPED) for cell in cells)} |")
    return "\n".join(lines)


class Events(SphinxDirective):
    """The table where the page says `events`; the page is read again when an event changes."""

    def run(self) -> list[nodes.Node]:
        self.env.note_dependency(events.__file__)
        return self.parse_text_to_nodes(table())


def setup(app: Sphinx) -> dict[str, bool]:
    app.add_directive("events", Events)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
