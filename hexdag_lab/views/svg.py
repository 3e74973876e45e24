"""A run or a graph as one static SVG, made here: for nbconvert, forges and mail, where nothing runs."""

from __future__ import annotations

from html import escape

from ..core.dag.dag import Dag
from ..core.machine.state import RunState
from ..core.runs.run import NodeState
from .graph import ADDED, CHANGED, PROPOSED, REMOVED, STATES, Drawn
from .layout import layout
from .models import MARKS

#: Okabe-Ito, safe for colour-blind eyes; the same in static/graph.js
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
    places: dict[str, tuple[int, int]],
    nodes: list[tuple[str, NodeState | None, int]] | list[tuple[str, NodeState, int]],
    edges: list[tuple[str, str]],
    title: str,
) -> str:
    columns = max((c for c, _ in places.values()), default=0) + 1
    rows = max((r for _, r in places.values()), default=0) + 1
    width, height = columns * COLUMN + MARGIN, rows * ROW + 2 * MARGIN
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}" '
        f'role="img" font-family="sans-serif" font-size="12"><title>{escape(title)}</title>'
    ]
    for up, down in edges:
        (c1, r1), (c2, r2) = places[up], places[down]
        x1, y1 = MARGIN + c1 * COLUMN + WIDTH, MARGIN + r1 * ROW + HEIGHT / 2
        x2, y2 = MARGIN + c2 * COLUMN, MARGIN + r2 * ROW + HEIGHT / 2
        bend = (x2 - x1) / 2
        parts.append(f'<path d="M{x1} {y1}C{x1 + bend} {y1} {x2 - bend} {y2} {x2} {y2}" fill="none" stroke="#8888" />')
    for name, state, mark in nodes:
        parts.append(_node(name, state, mark, *places[name]))
    return "".join([*parts, "</svg>"])


def _node(name: str, state: NodeState | None, mark: int, column: int, row: int) -> str:
    x, y = MARGIN + column * COLUMN, MARGIN + row * ROW
    colour = COLOURS[state] if state is not None else "#56B4E9"
    frame = FRAMES.get(mark, colour)
    dash = ' stroke-dasharray="4 3"' if mark in (PROPOSED, REMOVED) else ""
    glyph = MARKS[state] if state is not None else "·"
    label = name if len(name) <= 18 else name[:17] + "…"
    word = state.value if state is not None else "node"
    return (
        f"<g><title>{escape(name)}: {word}</title>"
        f'<rect x="{x}" y="{y}" width="{WIDTH}" height="{HEIGHT}" rx="5" fill="{colour}22" stroke="{frame}" '
        f'stroke-width="{2 if mark else 1}"{dash} />'
        f'<text x="{x + 8}" y="{y + 18}" fill="{colour}">{glyph}</text>'
        f'<text x="{x + 24}" y="{y + 18}" fill="currentColor">{escape(SIGNS.get(mark, ""))}{escape(label)}</text></g>'
    )
