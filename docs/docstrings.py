"""How Sphinx reads the docstrings of hexdag_lab: as people read them in an editor.

Some things in them are no reStructuredText. Names stand in columns:

    retries   how many times a failure is tried again;  backoff  seconds before the first retry
    timeout   seconds for one attempt

becomes a list of definitions. Lines that are indented further are code. And a name in `single backticks` is code;
one that begins with a public name (`Dag.apply`, `hx.Lab()`) is also a link, and an unknown one is a warning, which
fails the build.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from docutils import nodes
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxRole
from sphinx.util.inspect import signature, stringify_signature

import hexdag_lab

NAMES = r"[\w.*]+(?:, [\w.*]+)*"
FIRST = re.compile(rf"({NAMES}) (?: +)(?=\S)(.*)")
NEXT = re.compile(rf"; (?: +)({NAMES}) (?: +)(?=\S)")


def structured(lines: list[str]) -> list[str]:
    """A docstring's lines as reStructuredText."""
    result: list[str] = []
    for block in blocks(lines):
        if block[0].startswith(" "):
            result += ["::", "", *block]
        else:
            words = [re.sub(r"(`[^`]+`)(?=\w)", r"\1\\ ", line) for line in block]  # the s in "`Dag`s"
            words = [re.sub(r"(?<=\w)://", r"\\://", line) for line in words]  # "tcp://…" is no link
            result += definitions(words) if any(FIRST.match(line) for line in words) else words
        result.append("")
    return result


def blocks(lines: list[str]) -> Iterator[list[str]]:
    """What empty lines separate."""
    block: list[str] = []
    for line in [*lines, ""]:
        if line.strip():
            block.append(line)
        elif block:
            yield block
            block = []


def definitions(block: list[str]) -> list[str]:
    """Lines such as "name  text;  other  text", and lines that go on with them, as a definition list."""
    result: list[str] = []
    for line in block:
        if not (found := FIRST.match(line)):
            result.append(f"   {line.strip()}" if result and result[-1] else line)
            continue
        first, text = found.groups()
        words = NEXT.split(text)
        for names, meaning in zip([first, *words[1::2]], words[::2], strict=True):
            result += ["", ", ".join(f"``{name}``" for name in names.split(", ")), f"   {meaning}"]
    return result


class Code(SphinxRole):
    """`text`: code, and a link where it begins with a public name."""

    def run(self) -> tuple[list[nodes.Node], list[nodes.system_message]]:
        literal = nodes.literal(self.rawtext, self.text, classes=["code"])
        target = public(self.text)
        if target is None:
            return [literal], []
        link = addnodes.pending_xref(
            "", literal, refdomain="py", reftype="obj", reftarget=target, refwarn=True, refdoc=self.env.docname
        )
        return [link], []


def public(text: str) -> str | None:
    """The public name that a text begins with, as the reference has it: fields stand with their class."""
    found = re.match(r"(?:hx\.)?([A-Z]\w*)(?:\.(\w+))?", text)
    if found is None or found[1] not in hexdag_lab.__all__:
        return None
    owner = getattr(hexdag_lab, found[1])
    inside = found[2] if found[2] not in {None, *getattr(owner, "__dataclass_fields__", ())} else None
    return ".".join(["hexdag_lab", found[1], *([inside] if inside else [])])


def read(app: Sphinx, what: str, name: str, found: Any, options: Any, lines: list[str]) -> None:
    lines[:] = structured(lines)


def signature_of(app: Sphinx, what: str, name: str, found: Any, options: Any, given: str, returns: str) -> Any:
    """How an object is made: where a class also has a `__new__`, autodoc would show that."""
    if what != "class" or not {"__new__", "__init__"} <= vars(found).keys():
        return None
    how = signature(found.__init__, bound_method=True)
    return stringify_signature(how, show_return_annotation=False, unqualified_typehints=True), ""


def setup(app: Sphinx) -> dict[str, bool]:
    app.add_role("code-or-link", Code())
    app.config.default_role = "code-or-link"
    app.connect("autodoc-process-docstring", read)
    app.connect("autodoc-process-signature", signature_of)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
