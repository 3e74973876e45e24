"""A run or a graph as one static SVG, made here: for nbconvert, forges and mail, where nothing runs."""

from __future__ import annotations

from html import escape

from ..core.dag.dag import Dag
from ..core.machine.state import RunState
from ..core.runs.run import NodeState
from .graph import ADDED, CHANGED, PROPOSED, REMOVED, STATES, Drawn
from .layout import Places, layout
from .models import MARKS

#: Okabe-Ito, safe for colour-blind eyes; the same in static/graph/look.js
COLOURS: dict[NodeState, str] = {
    NodeState.WAITING: "#9aa0a6",
    NodeState.READY: "#56B4E9",
    NodeState.RUNNING: "#0072B2",
    NodeState.SUSPENDED: "#E69F00",
    NodeState.SUCCEEDED: "#009E73",
    NodeState.FAILED: "#D55E00",
    NodeState.CANCELLED: "#7a7a7a",
    NodeState.SKIPPED: "#CC79A7",
    NodeState.BLOCKED: "#8c510a",
}
FRAMES = {ADDED: "#009E73", CHANGED: "#E69F00", PROPOSED: "#CC79A7", REMOVED: "#D55E00"}
SIGNS = {ADDED: "+", CHANGED: "~", PROPOSED: "?", REMOVED: "−"}
PLAIN = "#56B4E9"  #: a node by itself
COLUMN, ROW, WIDTH, HEIGHT, MARGIN = 190, 40, 150, 28, 20


def run_svg(state: RunState) -> str:
    """A run: nodes with their states, marks of the last change, and what is proposed."""
    drawn = Drawn(state)
    nodes = [(name, STATES[code], mark) for name, code, mark in zip(drawn.names, drawn.codes, drawn.marks, strict=True)]
    edges = [(drawn.names[up], drawn.names[down]) for up, down in drawn.edges]
    return _svg(drawn.places, nodes, edges, f"run {state.run}: {state.status}, v{state.version}")


def dag_svg(dag: Dag) -> str:
    """A graph by itself."""
    places = layout(dag)
    nodes: list[tuple[str, NodeState | None, int]] = [(name, None, 0) for name in sorted(dag.entries)]
    return _svg(places, nodes, sorted(dag.edges), f"{len(dag)} nodes in {len(dag.waves)} waves")


def _svg(
    places: Places,
    nodes: list[tuple[str, NodeState | None, int]] | list[tuple[str, NodeState, int]],
    edges: list[tuple[str, str]],
    title: str,
) -> str:
    curves = [curve(places[up], places[down], 'stroke="#8888"') for up, down in edges]
    return sheet(places, title, [*curves, *(_node(name, state, mark, *places[name]) for name, state, mark in nodes)])


def sheet(places: Places, title: str, parts: list[str]) -> str:
    """A picture that has room for all places."""
    columns = max((c for c, _ in places.values()), default=0) + 1
    rows = max((r for _, r in places.values()), default=0) + 1
    width, height = columns * COLUMN + MARGIN, rows * ROW + 2 * MARGIN
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}" '
        f'role="img" font-family="sans-serif" font-size="12"><title>{escape(title)}</title>{"".join(parts)}</svg>'
    )


def curve(up: tuple[int, int], down: tuple[int, int], style: str) -> str:
    """An edge from the right of one place to the left of another."""
    x1, y1 = MARGIN + up[0] * COLUMN + WIDTH, MARGIN + up[1] * ROW + HEIGHT / 2
    x2, y2 = MARGIN + down[0] * COLUMN, MARGIN + down[1] * ROW + HEIGHT / 2
    bend = (x2 - x1) / 2
    lift = ROW * 0.8 if up[1] == down[1] and down[0] - up[0] > 1 else 0  # over the boxes in between, not through them
    return f'<path d="M{x1} {y1}C{x1 + bend} {y1 - lift} {x2 - bend} {y2 - lift} {x2} {y2}" fill="none" {style} />'


def _node(name: str, state: NodeState | None, mark: int, column: int, row: int) -> str:
    colour = COLOURS[state] if state is not None else PLAIN
    return box(
        name, (column, row), colour, FRAMES.get(mark, colour), MARKS[state] if state is not None else "·",
        SIGNS.get(mark, ""), state.value if state is not None else "node",
        thick=bool(mark), dashed=mark in (PROPOSED, REMOVED),
    )  # fmt: skip


def box(
    name: str, place: tuple[int, int], fill: str, frame: str, glyph: str, sign: str, title: str, word: str = "",
    *, ink: str = "", thick: bool = False, dashed: bool = False,
) -> str:  # fmt: skip
    """A node: a shape, a sign before its name, and a word at the end of the box."""
    x, y = MARGIN + place[0] * COLUMN, MARGIN + place[1] * ROW
    most = 12 if word else 18
    label = name if len(name) <= most else name[: most - 1] + "…"
    last = (
        f'<text x="{x + WIDTH - 6}" y="{y + 18}" fill="{ink}" font-size="9" text-anchor="end">{escape(word)}</text>'
        if word
        else ""
    )
    dash = ' stroke-dasharray="4 3"' if dashed else ""
    return (
        f"<g><title>{escape(name)}: {escape(title)}</title>"
        f'<rect x="{x}" y="{y}" width="{WIDTH}" height="{HEIGHT}" rx="5" fill="{fill}22" stroke="{frame}" '
        f'stroke-width="{2 if thick else 1}"{dash} />'
        f'<text x="{x + 8}" y="{y + 18}" fill="{ink or fill}">{escape(glyph)}</text>'
        f'<text x="{x + 24}" y="{y + 18}" fill="currentColor">{escape(sign)}{escape(label)}</text>{last}</g>'
    )
