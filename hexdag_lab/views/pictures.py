"""A graph, or what differs between two, as static pictures: SVG, and HTML that keeps its text where a forge or an
untrusted notebook takes pictures out.

What is added, removed and changed is told three times: by colour, by sign and in words. A large graph is drawn as its
waves, and a difference in one as its own nodes with their neighbours.
"""

from __future__ import annotations

from html import escape
from typing import Any

from ..core.dag.dag import Dag
from ..core.dag.diff import Diff
from ..core.dag.keys import outdated
from ..core.dag.node import NodeSpec
from . import wording
from .graph import ADDED, CHANGED, REMOVED
from .layout import Places, layout
from .svg import FRAMES, PLAIN, SIGNS, box, curve, dag_svg, sheet

HTML, SVG = "text/html", "image/svg+xml"
MOST_NODES = 300  #: that are drawn one by one
MOST_ON_A_CARD = 40  #: the same, on a proposal's card
MOST_NAMES = 30  #: that one line of a table names
MOST_LINES = 100  #: of a table
MOST_COMPARED = 5000  #: nodes of a graph of which it is said what would run
UNCHANGED = "#9aa0a6"
INKS = {**FRAMES, CHANGED: "#b26a00"}  #: dark enough for text
WORDS = {ADDED: "added", REMOVED: "removed", CHANGED: "changed"}
_FIELDS = (
    "retries",
    "backoff",
    "timeout",
    "version",
    "agent",
    "cache",
    "effects",
    "durable",
    "exclusive",
    "requires",
    "optional",
    "concurrency",
)


def pictures_of(value: Any) -> dict[str, str]:
    """A `Dag` or a `Diff` by media type; nothing for anything else."""
    if isinstance(value, Dag):
        return _bundle(f"<b>{escape(repr(value).strip('<>'))}</b>", _graph_svg(value), _waves_table(value))
    if isinstance(value, Diff):
        return _bundle(_title(value), _diff_svg(value), _diff_table(value))
    return {}


def _bundle(title: str, svg: str, table: str) -> dict[str, str]:
    page = f'<div style="font:13px/1.45 system-ui,sans-serif"><div>{title}</div>{svg}{table}</div>'
    return {HTML: page, **({SVG: svg} if svg else {})}


def _table(rows: list[str]) -> str:
    more = [f"<tr><td></td><td>… {len(rows) - MOST_LINES} more</td></tr>"] if len(rows) > MOST_LINES else []
    return f"<table>{''.join([*rows[:MOST_LINES], *more])}</table>" if rows else ""


# -- a graph


def _graph_svg(dag: Dag) -> str:
    return dag_svg(dag) if len(dag) <= MOST_NODES else _waves_svg(dag)


def _waves_svg(dag: Dag) -> str:
    """One box for each wave."""
    shown = dag.waves[:MOST_NODES]
    places = {f"wave {number}": (number, 0) for number in range(len(shown))}
    boxes = [
        box(f"wave {number + 1}", (number, 0), PLAIN, PLAIN, "≡", "", _counted(wave), _counted(wave), ink=PLAIN)
        for number, wave in enumerate(shown)
    ]
    curves = [curve((n, 0), (n + 1, 0), 'stroke="#8888"') for n in range(len(shown) - 1)]
    return sheet(places, f"{len(dag)} nodes in {len(dag.waves)} waves", [*curves, *boxes])


def _counted(wave: tuple[str, ...]) -> str:
    return f"{len(wave)} node{'s' * (len(wave) != 1)}"


def _waves_table(dag: Dag) -> str:
    return _table(
        [f"<tr><td>wave {number}</td><td>{_names(wave)}</td></tr>" for number, wave in enumerate(dag.waves, 1)]
    )


def _names(names: tuple[str, ...]) -> str:
    more = f", … {len(names) - MOST_NAMES} more" if len(names) > MOST_NAMES else ""
    return escape(", ".join(names[:MOST_NAMES])) + more


# -- a difference


def _title(diff: Diff) -> str:
    counts = [(diff.added, ADDED), (diff.removed, REMOVED), (diff.changed, CHANGED)]
    told = [f"{SIGNS[mark]}{len(names)} {WORDS[mark]}" for names, mark in counts if names]
    edges = [(diff.edges_added, ADDED), (diff.edges_removed, REMOVED)]
    told += [f"{SIGNS[mark]}{len(names)} edge{'s' * (len(names) > 1)}" for names, mark in edges if names]
    versions = f"v{diff.graphs[0].version} → v{diff.graphs[1].version}: " if diff.graphs else ""
    return f"<b>{versions}{', '.join(told) or 'no difference'}</b>"


def _diff_svg(diff: Diff) -> str:
    """Both graphs in one: the new one, and what of the old one is gone, where it was."""
    if diff.graphs is None or not diff:
        return ""
    old, new = diff.graphs
    everything = {*old, *new}
    return _drawn(diff, everything if len(everything) <= MOST_NODES else _about(diff))


def change_svg(diff: Diff) -> str:
    """Only what a difference is about, and what is next to it now; empty if that is too much for a card."""
    if diff.graphs is None or not diff:
        return ""
    old, new = diff.graphs
    core, near = _core(diff), set[str]()
    for name in (*diff.removed, *diff.changed):
        near |= old.dependencies(name) | old.dependents(name)
    near = {name for name in near if name in new} | core
    return next((_drawn(diff, shown) for shown in (near, core) if len(shown) <= MOST_ON_A_CARD), "")


def side_by_side(diff: Diff) -> tuple[str, str]:
    """The two graphs of a difference as a picture each, in which what stays has the same place; empty if too large."""
    if diff.graphs is None:
        return "", ""
    everything = {*diff.graphs[0], *diff.graphs[1]}
    shown = everything if len(everything) <= MOST_NODES else _about(diff)
    if not shown:
        return "", ""
    both = [_drawn(diff, shown, (graph,)) for graph in diff.graphs]
    return both[0], both[1]


def _drawn(diff: Diff, shown: set[str], graphs: tuple[Dag, ...] = ()) -> str:
    """Some nodes of both graphs, or of one of them, with the places that they have in both; empty if too many."""
    assert diff.graphs is not None
    if len(shown) > MOST_NODES:
        return ""
    old, new = diff.graphs
    places, marks = _places(old, new, shown), _marks(diff)
    added, removed = set(diff.edges_added), set(diff.edges_removed)
    drawn = graphs or diff.graphs
    edges = sorted({edge for graph in drawn for edge in _edges(graph, shown)})
    parts = [_edge(places[up], places[down], (up, down), added, removed) for up, down in edges]
    names = sorted(name for name in shown if any(name in graph for graph in drawn))
    return sheet(places, str(diff), [*parts, *(_box(name, places[name], marks.get(name, 0)) for name in names)])


def _marks(diff: Diff) -> dict[str, int]:
    marks = dict.fromkeys(diff.added, ADDED) | dict.fromkeys(diff.removed, REMOVED)
    return marks | dict.fromkeys(diff.changed, CHANGED)


def _core(diff: Diff) -> set[str]:
    """The nodes that a difference names."""
    return {*_marks(diff), *(name for edge in (*diff.edges_added, *diff.edges_removed) for name in edge)}


def _about(diff: Diff) -> set[str]:
    """The nodes that a difference names, and their neighbours, if these are not too many."""
    assert diff.graphs is not None
    old, new = diff.graphs
    about, near = _core(diff), set[str]()
    for dag in (old, new):
        for name in (name for name in about if name in dag):
            near |= dag.dependencies(name) | dag.dependents(name)
    return about | near if len(about | near) <= MOST_NODES else about


def _edges(dag: Dag, shown: set[str]) -> list[tuple[str, str]]:
    return [(up, name) for name in shown if name in dag for up in dag.dependencies(name) if up in shown]


def _places(old: Dag, new: Dag, shown: set[str]) -> Places:
    """Where nodes stand: in the wave of the new graph, or of the old one for what is gone; no two on one place."""
    whole = len(shown) == len({*old, *new})
    known = layout(new) if whole else {}
    places: dict[str, tuple[int, int]] = {}
    taken: set[tuple[int, int]] = set()
    columns = sorted({(new if name in new else old).level(name) for name in shown})
    for name in sorted(shown, key=lambda name: (name not in new, known.get(name, (0, 0)), name)):
        column = columns.index((new if name in new else old).level(name))
        row = known.get(name, (0, 0))[1]
        while (column, row) in taken:
            row += 1
        places[name] = (column, row)
        taken.add((column, row))
    return places


def _edge(up: tuple[int, int], down: tuple[int, int], edge: tuple[str, str], added: set[Any], removed: set[Any]) -> str:
    mark = ADDED if edge in added else REMOVED if edge in removed else 0
    if not mark:
        return curve(up, down, 'stroke="#8888"')
    dash = ' stroke-dasharray="4 3"' if mark == REMOVED else ""
    title = f"<title>{escape(edge[0])} → {escape(edge[1])}: {WORDS[mark]}</title>"
    style = f'stroke="{FRAMES[mark]}" stroke-width="2"{dash}'
    return f"<g>{title}{curve(up, down, style)}</g>"


def _box(name: str, place: tuple[int, int], mark: int) -> str:
    colour, word, glyph = FRAMES.get(mark, UNCHANGED), WORDS.get(mark, ""), SIGNS.get(mark, "·")
    return box(
        name, place, colour, colour, glyph, "", word or "unchanged", word,
        ink=INKS.get(mark, UNCHANGED), thick=bool(mark), dashed=mark == REMOVED,
    )  # fmt: skip


def _diff_table(diff: Diff) -> str:
    rows = []
    for mark, names in ((ADDED, diff.added), (REMOVED, diff.removed), (CHANGED, diff.changed)):
        rows += [_row(mark, escape(name) + _detail(diff, name, mark)) for name in names]
    for mark, edges in ((ADDED, diff.edges_added), (REMOVED, diff.edges_removed)):
        rows += [_row(mark, f"{escape(up)} → {escape(down)}") for up, down in edges]
    again = _again(diff)
    return _table(rows) + (f"<div>would run: {_names(again)}</div>" if again else "")


def _row(mark: int, text: str) -> str:
    return f'<tr><td style="color:{INKS[mark]}">{SIGNS[mark]} {WORDS[mark]}</td><td>{text}</td></tr>'


def _again(diff: Diff) -> tuple[str, ...]:
    return outdated(*diff.graphs) if diff.graphs and len(diff.graphs[1]) <= MOST_COMPARED else ()


def _detail(diff: Diff, name: str, mark: int) -> str:
    """What of a node has changed: ": code, depth 3 → 5"."""
    if diff.graphs is None or mark != CHANGED:
        return ""
    old, new = (dag.nodes[name] for dag in diff.graphs)
    told = what_changed(old, new)
    if diff.graphs[0].wires(name) != diff.graphs[1].wires(name):
        told.append("what goes in")
    return escape(wording.clean(": " + ", ".join(told), 300)) if told else ""


def what_changed(old: NodeSpec, new: NodeSpec) -> list[str]:
    """The parts of two specs that differ, with their values where they are short."""
    told = ["code"] if old.code.digest != new.code.digest else []
    for name in sorted({*old.params, *new.params}):
        one, two = old.params.get(name, _NONE), new.params.get(name, _NONE)
        if type(one) is not type(two) or one != two:
            told.append(f"{name} {_short(one)} → {_short(two)}")
    for name in _FIELDS:
        one, two = getattr(old, name), getattr(new, name)
        if one != two:
            told.append(f"{name} {_short(one)} → {_short(two)}")
    told += [name for name in ("in_model", "out_model", "when", "on_error") if getattr(old, name) != getattr(new, name)]
    return told


_NONE = object()


def _short(value: Any) -> str:
    if value is _NONE:
        return "none"
    text = ", ".join(sorted(value)) or "nothing" if isinstance(value, frozenset) else repr(value)
    return text if len(text) <= 24 else text[:23] + "…"
