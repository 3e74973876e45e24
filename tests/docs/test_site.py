"""What the built documentation is made of: docstrings that are there, a reference that has all, and no other host."""

from __future__ import annotations

import argparse
import contextlib
import importlib
import inspect
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import hexdag_lab as hx
from hexdag_lab.cli.main import parser
from hexdag_lab.core.machine import events

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = "\n".join(page.read_text("utf-8") for page in sorted((DOCS / "reference").glob("*.md")))
PUBLIC = sorted(set(re.findall(r":: (hexdag_lab\.[\w.]+)", PAGES)))


@pytest.fixture
def part(monkeypatch: pytest.MonkeyPatch) -> Any:
    """A part of how the pages are built, by its name in docs/."""
    monkeypatch.syspath_prepend(str(DOCS))
    yield importlib.import_module
    for name in ("conf", "docstrings", "event_table", "offline"):
        sys.modules.pop(name, None)


# -- docstrings


def said(value: Any) -> str:
    """Its own docstring, or that of what it overrides; not the signature that a dataclass puts in the place of one."""
    text = (value.__doc__ if inspect.isclass(value) else inspect.getdoc(value)) or ""
    return "" if inspect.isclass(value) and text.startswith(f"{value.__name__}(") else text


def methods(kind: type) -> Iterator[tuple[str, Any]]:
    """The public methods and properties that a class has, without what it inherits."""
    for name, found in vars(kind).items():
        function = getattr(found, "fget", None) or getattr(found, "__func__", found)
        if not name.startswith("_") and inspect.isfunction(function):
            yield name, getattr(kind, name)


def silent(owner: str, value: Any) -> list[str]:
    """What of a public name and its public parts says nothing about itself."""
    parts = [(f"{owner}.{name}", part) for name, part in methods(value)] if inspect.isclass(value) else []
    return [name for name, part in [(owner, value), *parts] if not said(part)]


def found(dotted: str) -> dict[str, Any]:
    """What a name of the reference stands for; of a module, the functions and classes that it defines."""
    module, _, name = dotted.rpartition(".")
    with contextlib.suppress(ModuleNotFoundError):
        module = importlib.import_module(dotted)
        own = {n: v for n, v in vars(module).items() if getattr(v, "__module__", "") == dotted and n[0] != "_"}
        return {dotted: module, **{n: v for n, v in own.items() if inspect.isclass(v) or inspect.isfunction(v)}}
    return {name: getattr(importlib.import_module(module), name)}


@pytest.mark.parametrize("name", PUBLIC)
def test_what_is_in_the_reference_says_what_it_is(name: str) -> None:
    assert [gap for key, value in found(name).items() for gap in silent(key, value)] == []


def test_a_docstring_that_lacks_is_noticed() -> None:
    class Loud:
        """Says it."""

        def quiet(self) -> None: ...

    assert silent("Loud", Loud) == ["Loud.quiet"]
    assert said(events.Event)
    assert not said(type("Bare", (), {"__doc__": "Bare(seq: int)"}))


def test_every_event_says_what_happened(part: Any) -> None:
    assert [kind.__name__ for kind in part("event_table").kinds() if not said(kind)] == []


def test_every_command_and_option_has_its_help() -> None:
    def unsaid(of: argparse.ArgumentParser, path: str) -> Iterator[str]:
        for action in of._actions:
            if isinstance(action, argparse._SubParsersAction):
                for name, command in action.choices.items():
                    yield from [f"{path} {name}"] if not command.description else []
                    yield from unsaid(command, f"{path} {name}")
            elif action.option_strings and not action.help:
                yield f"{path} {action.option_strings[0]}"

    assert list(unsaid(parser(), "hexdag-lab")) == []


# -- the reference


def test_the_reference_has_every_public_name() -> None:
    assert [name for name in hx.__all__ if f"hexdag_lab.{name}" not in PUBLIC] == []


def test_columns_in_a_docstring_become_definitions(part: Any) -> None:
    lines = ["Limits.", "", "retries   tries again;  backoff  seconds,", "          doubled", "cost      money", ""]
    assert part("docstrings").structured(lines) == [
        "Limits.", "", "", "``retries``", "   tries again", "", "``backoff``", "   seconds,", "   doubled", "",
        "``cost``", "   money", "",
    ]  # fmt: skip


def test_a_name_in_backticks_is_a_link_where_it_is_public(part: Any) -> None:
    public = part("docstrings").public
    assert public("Dag.apply") == public("hx.Dag.apply(changeset)") == "hexdag_lab.Dag.apply"
    assert public("Dag.sublimate") == "hexdag_lab.Dag.sublimate"  # which the build then finds nowhere
    assert public("HumanAgent.remind") == "hexdag_lab.HumanAgent"
    assert public("decide") is public("Nothing.at_all") is None


def test_the_table_of_events_has_all_of_them(part: Any) -> None:
    table = part("event_table").table()
    assert "| `NodeSucceeded` | The result of the current attempt counts from now on. | `node: str`<br>" in table
    assert "`PoolOffered`" in next(line for line in table.splitlines() if line.endswith("|") and "*internal*" in line
                                   and "PoolOffered" in line)  # fmt: skip
    assert all(line.replace("\\|", "").count("|") == 4 for line in table.splitlines())


# -- the site


def test_the_navigation_leads_wherever_the_map_does(part: Any) -> None:
    tree = part("conf").navigation((DOCS / "index.md").read_text("utf-8"))
    captions = [line.removeprefix(":caption: ") for line in tree.splitlines() if line.startswith(":caption:")]
    assert captions == ["Learn", "Do", "Look something up", "Understand", "Measure", "Change"]
    entries = [line for line in tree.splitlines() if line.endswith((".md", ".ipynb"))]
    assert len(set(entries)) == len(entries)
    assert {"../README.md", "../notebooks/01_first_run.ipynb", "how-to/choose-a-policy.md", "glossary.md"} < {*entries}


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ('<script src="https://cdn.example/x.js"></script>', ["https://cdn.example/x.js"]),
        ("<img alt='' src=//cdn.example/x.png>", ["//cdn.example/x.png"]),
        ('<link rel="stylesheet" href="https://fonts.example/css">', ["https://fonts.example/css"]),
        ("@import url(https://fonts.example/css);", ["https://fonts.example/css"]),
        ('import("https://cdn.example/m.js")', ["https://cdn.example/m.js"]),
        ('<a href="https://example.org">further</a> <img src="_images/run.png">', []),
        ('<link rel="canonical" href="https://example.org"> url("data:image/svg+xml,%3Csvg xmlns=")', []),
    ],
)
def test_a_page_that_would_ask_another_host_is_noticed(part: Any, text: str, found: list[str]) -> None:
    assert list(part("offline").asked(text)) == found
