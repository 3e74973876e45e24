"""A run in a terminal: rich renderables made of the models. It reads one state and holds none."""

from __future__ import annotations

import time

from rich.console import Group
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from ..core.machine.state import RunState
from ..core.runs.run import NodeState
from ..core.votes.proposal import Proposal
from . import models

STYLES = {
    NodeState.RUNNING: "bold cyan",
    NodeState.SUCCEEDED: "green",
    NodeState.FAILED: "bold red",
    NodeState.BLOCKED: "red",
    NodeState.SUSPENDED: "yellow",
}
MOST_ROWS = 14  #: nodes shown of a wave


def run(state: RunState, now: float | None = None) -> Group:
    """Header, waves, and the open proposals."""
    h = models.header(state)
    line = Text.assemble(
        (h.run, "bold"), f"  {h.status}  v{h.version}  ·  {h.done}/{h.nodes} nodes  ·  {h.running} running",
        f"  ·  {h.open} open" if h.open else "",
    )  # fmt: skip
    table = Table(show_edge=False, pad_edge=False)
    waves = models.waves(state)
    for number, _ in enumerate(waves, 1):
        table.add_column(f"wave {number}", no_wrap=True)
    table.add_row(*(_wave(rows) for rows in waves))
    cards = [card(state, p, now or time.time()) for p in state.open_proposals()]
    return Group(line, table, *cards)


def _wave(rows: tuple[models.NodeRow, ...]) -> Text:
    text = Text()
    shown = rows if len(rows) <= MOST_ROWS else rows[: MOST_ROWS - 1]
    for row in shown:
        text.append(f"{row.mark} {row.name}", STYLES.get(row.state, "dim" if not row.new else ""))
        if row.state in (NodeState.SUCCEEDED, NodeState.RUNNING) and row.note:
            text.append(f" {row.note}", "dim")
        text.append(" new\n" if row.new else "\n", "magenta")
    if len(rows) > len(shown):
        text.append(f"… {len(rows) - len(shown)} more\n", "dim")
    return text


def card(state: RunState, proposal: Proposal, now: float) -> Panel:
    """A proposal's card."""
    c = models.card(state, proposal, now)
    lines = Text()
    if c.reason:
        lines.append(f'"{c.reason}"  (words of {proposal.by})\n', "italic")
    lines.append("\n".join(c.changes) + "\n")
    lines.append(f"effect    {c.effect}\nestimate  {c.estimate}\n")
    for ok, text in c.checks:
        lines.append(f"{'✓' if ok else '✕'} {text}  ", "green" if ok else "bold red")
    lines.append("\nvotes     " + ("; ".join(c.votes) or "none yet") + f"\n          {c.tally}")
    if c.seconds_left is not None:
        lines.append(f"   settles itself in {c.seconds_left:.0f} s", "dim")
    return Panel(lines, title=f"{c.title}   [{c.id}]".replace("[", r"\["), title_align="left")


def versions(state: RunState) -> Table:
    """What became of the graph, version by version."""
    table = Table(title=f"{state.run}: versions", title_justify="left")
    for column in ("version", "by", "change", "reason", "votes"):
        table.add_column(column)
    for row in models.versions(state):
        table.add_row(f"v{row.number}", Text(row.by), Text(row.change), Text(row.reason), Text(row.votes))
    return table
