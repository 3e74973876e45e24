"""What the commands have in common: how one is added to the parser, and how it comes by a lab and a screen."""

from __future__ import annotations

import argparse
import contextlib
import json
import os
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

from ..lab import Lab
from ..lab.lab import DEFAULT_STORE


class Commands:
    """The parser while it grows. `--store` may stand before or after each command."""

    def __init__(self) -> None:
        self.parser = argparse.ArgumentParser(prog="hexdag-lab", description="Pull requests for a running graph.")
        store = os.environ.get("HEXDAG_STORE", DEFAULT_STORE)
        self.parser.add_argument("--store", default=store, help="where the lab is; default: %(default)s")
        self._commands = self.parser.add_subparsers(required=True, metavar="COMMAND")

    @classmethod
    def of(cls, *modules: ModuleType) -> Commands:
        """Those that these modules have."""
        commands = cls()
        for module in modules:
            module.add(commands)
        return commands

    def add(
        self, name: str, function: Callable[[argparse.Namespace], int], text: str, *words: str
    ) -> argparse.ArgumentParser:
        """One more, with these positional words; `function` gets the options and gives the exit code."""
        command: argparse.ArgumentParser = self._commands.add_parser(name, help=text, description=text)
        for word in words:
            command.add_argument(word)
        store = f"where the lab is; default: {DEFAULT_STORE}"
        command.add_argument("--store", default=argparse.SUPPRESS, help=store)
        command.set_defaults(command=function)
        return command


def screen() -> Any:
    """A rich console, which no other command has to load."""
    from rich.console import Console

    return Console()


def given(text: str, what: str = "--input") -> tuple[str, Any]:
    """NAME=VALUE as a pair; the value is JSON where it can be read as such, else text."""
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise ValueError(f"{what} is NAME=VALUE, not {text!r}")
    with contextlib.suppress(ValueError):
        return name, json.loads(value)
    return name, value


def must_exist(store: str) -> None:
    """Looking at a lab makes none."""
    if store.startswith("sqlite:///") and not Path(store.removeprefix("sqlite:///")).exists():
        raise ValueError(f"there is no lab in {store} yet; hexdag-lab demo makes one, or say --store sqlite:///PATH")


def watched(store: str) -> Lab:
    """A lab to look at and to vote in; it never leads."""
    must_exist(store)
    return Lab(store=store, leader=False)
