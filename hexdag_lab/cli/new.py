"""`hexdag-lab new`: a small project to begin with, copied from `template/`: a graph, agents, a notebook and tests."""

from __future__ import annotations

import argparse
from importlib.resources import files
from pathlib import Path

from .commands import Commands

TEXTS = (".ipynb", ".md", ".py")  #: what may name the project


def add(commands: Commands) -> None:
    """Add it to the parser."""
    commands.add("new", _new, "make a small project: a graph, agents, a notebook and tests", "directory")


def _new(options: argparse.Namespace) -> int:
    target = Path(options.directory)
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise ValueError(f"{options.directory} is there already, and not empty; name a directory that is not")
    target.mkdir(parents=True, exist_ok=True)
    for source in files(__package__).joinpath("template").iterdir():
        if source.is_file():
            text = source.read_text("utf-8")
            name = ".gitignore" if source.name == "gitignore" else source.name
            filled = text.replace("NAME", target.resolve().name) if name.endswith(TEXTS) else text
            (target / name).write_text(filled, "utf-8")
    print(
        f"made {target}: begin with {target / 'README.md'}, or with\n\n    cd {target} && jupyter lab notebook.ipynb\n"
    )
    return 0
