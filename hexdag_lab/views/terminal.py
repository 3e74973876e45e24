"""A run in a terminal: rich renderables made of the models. It reads one state and holds none.

What does not fit is left out by importance, and said to be: the waves around the one that is worked on stay, and in a
wave what runs, fails or is new goes before what waits, and that before what is done.
"""

from __future__ import annotations

import io
import time
from collections.abc import Mapping

from rich.console import Console, Group
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from ..core.machine.state import RunState
from ..core.runs.run import NodeState
from ..core.votes.proposal import Proposal
from . import models, outcomes, wording

STYLES = {
    NodeState.RUNNING: "bold cyan",
    NodeState.SUCCEEDED: "green",
    NodeState.FAILED: "bold red",
    NodeState.BLOCKED: "red",
    NodeState.SUSPENDED: "yellow",
}
SIGNS = {"+": "green", "-": "red", "~": "yellow"}
MOST_ROWS = 14  #: nodes shown of a wave
NARROW = 76  #: below this, a table becomes a list
GAP = 3  #: columns between two waves
#: which nodes of a wave are shown first
RANK = {NodeState.FAILED: 0, NodeState.RUNNING: 1, NodeState.SUSPENDED: 1, NodeState.READY: 2, NodeState.WAITING: 3}

Notes = Mapping[str, str]
"""Node -> a word to show beside it, instead of how long it took."""


def run(
    state: RunState,
    now: float | None = None,
    notes: Notes | None = None,
    width: int = 100,
    height: int = 40,
    ask: str | None = None,
) -> Group:
    """Header, versions, waves, and what waits for a decision, at most `width` x `height` characters if that can be.

    `ask` names the proposal whose card is shown; without it, that is the most urgent one that waits for a person.
    """
    now = time.time() if now is None else now
    open_ = list(state.open_proposals())
    shown = next((p for p in open_ if p.id == ask or (ask is None and models.waits_for_person(state, p))), None)
    below: list[Panel | Text] = [card(state, shown, now, width)] if shown is not None else []
    below += [_waiting(state, p, now) for p in open_ if p is not shown][:3]
    lines = sum(len(_MEASURE.render_lines(part, _MEASURE.options.update(width=width))) for part in below)
    rows = min(MOST_ROWS, height - lines - 4)
    graph = [_graph(state, notes or {}, width, rows)] if rows >= 2 else []
    return Group(header(state), history(state, width), *graph, *below)


_MEASURE = Console(file=io.StringIO(), width=100)


def _waiting(state: RunState, proposal: Proposal, now: float) -> Text:
    c = models.card(state, proposal, now)
    return Text(f"◌ {c.title} · {c.tally}", "dim", overflow="ellipsis", no_wrap=True)


def history(state: RunState, width: int) -> Text:
    """The versions in one line, the latest last."""
    rows = outcomes.versions(state)
    words = [f"● v{row.number}" + (f" {row.by} {row.change}" if row.number > 1 else "") for row in rows]
    text = " ─ ".join(words)
    while len(words) > 1 and len(text) > width:
        words = words[1:]
        text = "… ─ " + " ─ ".join(words)
    return Text(text, "dim", overflow="ellipsis", no_wrap=True)


def header(state: RunState) -> Text:
    """Where the run is, in one line."""
    h = models.header(state)
    at, waves = models.wave(state)
    left = models.seconds_left(state)
    parts = [f"v{h.version}", f"wave {at} of {waves}", f"{h.done}/{h.nodes} nodes"]
    parts += [f"{h.running} running"] if h.running else []
    parts += [f"{h.open} to decide"] if h.open else []
    parts += [f"about {left:.0f} s of work left"] if left is not None and left >= 1 else []
    if not state.slots and not state.over:
        parts += ["the workers are coming up"]
    return Text.assemble(
        (h.run, "bold"), "  ", (h.status, "bold"), "  " + " · ".join(parts), overflow="ellipsis", no_wrap=True
    )


def _graph(state: RunState, notes: Notes, width: int, most: int) -> Table:
    waves = models.waves(state)
    current = models.wave(state)[0] - 1
    columns = [_wave(rows, notes, most) for rows in waves]
    first, last = _window([max(8, *(line.cell_len for line in c.split("\n"))) for c in columns], current, width)
    table = Table(box=None, show_edge=False, pad_edge=False, padding=(0, GAP, 0, 0))
    cells = []
    for number in range(first, last):
        before = f"… {first} before  " if number == first and first else ""
        after = f"  {len(waves) - last} after …" if number == last - 1 and last < len(waves) else ""
        style = "bold" if number == current else "dim"
        table.add_column(Text(f"{before}wave {number + 1}{after}", style), no_wrap=True)
        cells.append(columns[number])
    table.add_row(*cells)
    return table


def _window(widths: list[int], current: int, width: int) -> tuple[int, int]:
    """The waves that fit beside the current one: later ones first, then earlier ones."""
    if not widths:
        return 0, 0
    first, last, room = current, current + 1, width - widths[current] - 20
    while True:
        if last < len(widths) and widths[last] + GAP <= room:
            room -= widths[last] + GAP
            last += 1
        elif first > 0 and widths[first - 1] + GAP <= room:
            first -= 1
            room -= widths[first] + GAP
        else:
            return first, last


def _wave(rows: tuple[models.NodeRow, ...], notes: Notes, most: int) -> Text:
    shown = set(range(len(rows)))
    if len(rows) > most:
        shown = set(sorted(shown, key=lambda i: (RANK.get(rows[i].state, 4), not rows[i].new, i))[: most - 1])
    lines = [_node(rows[i], notes) for i in sorted(shown)]
    if len(rows) > len(shown):
        rest = [rows[i].state for i in range(len(rows)) if i not in shown]
        done = sum(state is NodeState.SUCCEEDED for state in rest)
        lines.append(Text(f"… {len(rest)} more" + (f", {done} done" if done else ""), "dim"))
    return Text("\n").join(lines)


def _node(row: models.NodeRow, notes: Notes) -> Text:
    text = Text(f"{row.mark} {row.name}", STYLES.get(row.state, "" if row.new else "dim"))
    note = notes.get(row.name, row.note if row.state is NodeState.SUCCEEDED else "")
    if note:
        text.append(f" {note}", "dim")
    if row.new:
        text.append(" new", "magenta")
    return text


def card(state: RunState, proposal: Proposal, now: float, width: int = 100, viewer: str = "") -> Panel:
    """A proposal's card."""
    c = models.card(state, proposal, now, viewer)
    lines = [Text(f'"{c.reason}"  (words of {wording.clean(proposal.by, 40)})', "italic")] if c.reason else []
    for line in c.changes:
        lines.append(Text("  " + line, SIGNS.get(line[:1], "dim"), overflow="ellipsis", no_wrap=True))
    for line in c.source[: models.MOST_CHANGES]:
        lines.append(Text("    " + line, SIGNS.get(line[:1], "dim"), overflow="ellipsis", no_wrap=True))
    if len(c.source) > models.MOST_CHANGES:
        lines.append(Text(f"    … {len(c.source) - models.MOST_CHANGES} more lines: hexdag-lab inbox --full", "bold"))
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(style="dim")
    table.add_column(overflow="fold")
    for line in c.standing:
        table.add_row("now", line)
    table.add_row("effect", c.effect)
    table.add_row("estimate", c.estimate)
    if c.outlook and width >= NARROW:
        table.add_row("outlook", c.outlook)
    table.add_row("checks", _checks(c.checks))
    votes = Text("; ".join(c.votes) or "none yet").append(f"  →  {c.tally}", "bold")
    table.add_row("votes", votes)
    left = f" · {c.countdown}" if c.countdown else ""
    title = Text.assemble((c.title, "bold"), overflow="ellipsis", no_wrap=True)
    return Panel(
        Group(*lines, table), title=title, title_align="left", width=min(width, 110), border_style="yellow",
        subtitle=Text(f"{c.id} · {c.state}{left}"), subtitle_align="right",
    )  # fmt: skip


def _checks(checks: tuple[tuple[bool, str], ...]) -> Text:
    parts = [Text(f"{'✓' if ok else '✕'} {text}", "green" if ok else "bold red") for ok, text in checks]
    return Text("  ").join(parts)


def versions(state: RunState, width: int = 100) -> Table:
    """What became of the graph, version by version; then the proposals that did not become one."""
    rows = [(f"v{row.number}", row.by, row.change, row.reason, row.votes) for row in outcomes.versions(state)]
    for aside in outcomes.set_aside(state):
        rows.append(("–", aside.by, aside.change, aside.told, aside.votes))
    title = f"{state.run}: who changed what, and why"
    if width < NARROW:
        table = Table(title=title, title_justify="left", box=None, show_header=False, padding=(0, 1, 0, 0))
        for number, by, *rest in rows:
            table.add_row(Text(number), Text(" · ".join(part for part in (by, *rest) if part)))
        return table
    table = Table("version", "by", "change", "reason", "votes", title=title, title_justify="left")
    for row in rows:
        table.add_row(*map(Text, row), style="dim" if row[0] == "–" else "")
    return table
