"""Tables of docs/benchmarks.md that a benchmark writes itself: each between two marks that bear its name."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

PAGE = Path(__file__).parents[2] / "docs" / "benchmarks.md"


def publish(name: str, text: str, page: Path = PAGE) -> None:
    """Put a text between the marks of that name; ValueError if the page has none."""
    begin, end = f"<!-- {name}:begin -->", f"<!-- {name}:end -->"
    before, mark, rest = page.read_text("utf-8").partition(begin)
    _, closing, after = rest.partition(end)
    if not mark or not closing:
        raise ValueError(f"{page} has no marks {begin} and {end}, between which the table would stand")
    page.write_text(f"{before}{begin}\n\n{text}\n\n{end}{after}", "utf-8")


def command(name: str, about: str, table: Callable[[int], str], rounds: int, *, what: str = "rounds") -> None:
    """Print the table that so many rounds give, and publish it under that name if `--write` is there."""
    parser = argparse.ArgumentParser(description=about.splitlines()[0])
    parser.add_argument(what, type=int, nargs="?", default=rounds, help="default: %(default)s")
    parser.add_argument("--write", action="store_true", help="put the table into docs/benchmarks.md")
    options = parser.parse_args()
    text = table(getattr(options, what))
    print(text)
    if options.write:
        publish(name, text)
