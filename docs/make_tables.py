"""Writes the state tables of the architecture page from the tables in the code, so that the two cannot differ.

    python docs/make_tables.py            print them
    python docs/make_tables.py --write    put them between the marks in docs/explanation/architecture.md

It explains nothing: the prose around the marks does. A test holds the page to what is printed here.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from enum import StrEnum
from pathlib import Path
from typing import TypeVar

from hexdag_lab.core.runs.run import NODE_TRANSITIONS, PASSED, RUN_TRANSITIONS, SETTLED, STARTED
from hexdag_lab.core.votes.proposal import MEANING, TRANSITIONS

PAGE = Path(__file__).parent / "explanation" / "architecture.md"
BEGIN, END = "<!-- tables:begin -->", "<!-- tables:end -->"

State = TypeVar("State", bound=StrEnum)


def tables() -> str:
    """All that stands between the marks."""
    node_facts = {
        state: "; ".join(
            text
            for text, states in (
                ("nothing more happens by itself", SETTLED),
                ("work was spent on it", STARTED),
                ("what depends on it may go on", PASSED),
            )
            if state in states
        )
        for state in NODE_TRANSITIONS
    }
    parts = [
        "### A proposal",
        diagram(TRANSITIONS),
        table(("state", "meaning", "may become"), TRANSITIONS, MEANING),
        "### A node in a run",
        table(("state", "what holds in it", "may become"), NODE_TRANSITIONS, node_facts),
        "### A run",
        diagram(RUN_TRANSITIONS),
        table(("state", "may become"), RUN_TRANSITIONS),
    ]
    return "\n\n".join(parts)


def table(
    head: tuple[str, ...], transitions: Mapping[State, frozenset[State]], facts: Mapping[State, str] | None = None
) -> str:
    """One row for each state, in the order of the code."""
    lines = [_row(head), _row("---" for _ in head)]
    for state, following in transitions.items():
        after = ", ".join(sorted(following)) or "(the end)"
        lines.append(_row((state, after) if facts is None else (state, facts[state], after)))
    return "\n".join(lines)


def diagram(transitions: Mapping[State, frozenset[State]]) -> str:
    """The same as a Mermaid diagram, which forges draw."""
    ends = sorted(state for state, following in transitions.items() if not following)
    lines = [f"    {state} --> {after}" for state, following in transitions.items() for after in sorted(following)]
    lines += [f"    {state} --> [*]" for state in ends]
    return "\n".join(["```mermaid", "stateDiagram-v2", "    direction LR", *lines, "```"])


def _row(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def section(page: str) -> str:
    """What stands between the marks of a page."""
    return page.partition(BEGIN)[2].partition(END)[0].strip()


def written(page: str) -> str:
    """The page with the tables of now between its marks."""
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise SystemExit(f"{PAGE} has no {BEGIN} … {END}")
    return f"{before}{BEGIN}\n\n{tables()}\n\n{END}{after}"


if __name__ == "__main__":
    if "--write" in sys.argv[1:]:
        PAGE.write_text(written(PAGE.read_text("utf-8")), "utf-8")
    else:
        print(tables())
