"""A run as one file that anybody can open: the views of the dashboard, the slider over time, and nothing to vote on.

It asks no server for anything, which its own security policy makes sure of. What the slider shows is computed here, by
folding the journal once: for each moment the same messages that a live view would have got.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

from ..core.machine.evolve import evolve
from ..core.machine.state import RunState
from ..core.machine.story import seen_by, sentence
from . import html, lists, wording
from .graph import Stream
from .module import graph_module
from .pages.versions import side_by_side, versions
from .timeline import spans_of, timeline

MOST_FRAMES = 1500  #: moments that the slider stops at
MOST_PAIRS = 50  #: pairs of versions that are drawn, the latest ones
_HOME = Path(__file__).parent / "static"
_SCRIPT = (_HOME / "report.js").read_text("utf-8")
_POLICY = "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data: blob:"
_STYLE = (_HOME / "report.css").read_text("utf-8")


def report(events: Sequence[Any], lines: Sequence[Any], standings: Mapping[str, Any], viewer: str = "") -> str:
    """The file's text. `lines`: what nodes have said; `standings`: what agents have earned, by name."""
    frames, state = _frames(events, viewer)
    spans = spans_of(events)
    data = {
        "frames": frames,
        "events": [
            [event.seq, wording.clean(text, 300), event.node]
            for event in (seen_by(event, viewer, state) for event in events)
            if (text := sentence(event))
        ],
        "lines": [[line.at, line.node, wording.printed(line.text, html.LONGEST_LINE)] for line in lines],
        "time": [min((s.began for s in spans), default=0.0), max((s.ended or state.at for s in spans), default=0.0)],
    }
    title = f"{state.run}: {state.status.value}, v{state.version}"
    parts = {
        "timeline": f'<div class="cursor">{html.wrap(timeline(spans, state.at))}<i id="cursor"></i></div>',
        "versions": versions(state) + _pairs(state),
        "agents": lists.agents(state, standings),
        "workers": lists.workers([], state),
        "failures": html.output(state, ()),
    }
    return _page(title, data, parts)


def _frames(events: Sequence[Any], viewer: str) -> tuple[list[dict[str, Any]], RunState]:
    """A frame for each moment of the slider: the graph's messages, and what else is to be read where it has changed."""
    stream, state, frames = Stream(), RunState(), list[dict[str, Any]]()
    step = max(1, -(-len(events) // MOST_FRAMES))
    cards = ""
    for number, event in enumerate(events, 1):
        state = evolve(state, event)
        if not state.started or (number % step and number < len(events)):
            continue
        messages = stream.update(state) if frames else stream.hello(state)
        frame: dict[str, Any] = {"seq": event.seq, "at": event.at, "graph": messages, "head": html.header(state)}
        now = _cards(state, viewer)
        if now != cards or not frames:
            frame["cards"] = cards = now
        frames.append(frame)
    return frames, state


def _cards(state: RunState, viewer: str) -> str:
    """All proposals, those that were open first."""
    found = sorted(state.proposals.values(), key=lambda p: (p.terminal, -(p.decided_at or p.at)))
    box = '<div class="hx box">{}</div>'
    shown = [box.format(html.card(state, p, state.at, viewer) + html.whole(state, p, viewer)) for p in found]
    return "".join(shown) or html.said("Nothing has been proposed yet.")


def _pairs(state: RunState) -> str:
    """Each version beside the one before, folded up."""
    numbers = range(max(2, state.version - MOST_PAIRS + 1), state.version + 1)
    return "".join(
        f"<details><summary>v{number - 1} → v{number}</summary>{side_by_side(state, number - 1, number)}</details>"
        for number in numbers
    )


def _page(title: str, data: Mapping[str, Any], parts: Mapping[str, str]) -> str:
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":")).replace("<", "\\u003c")
    module = graph_module().replace("export default { render };", "")
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<meta http-equiv="Content-Security-Policy" content="{_POLICY}">
<title>{escape(title)}</title><style>{html.STYLE}{_STYLE}</style></head>
<body><div id="head"></div>
<nav aria-label="Time"><button type="button" id="play">Play</button>
<input type="range" id="slider" min="0" aria-label="as of event"><span id="when" role="status"></span></nav>
<main><section class="wide"><div id="graph"></div><h2>Timeline</h2>{parts["timeline"]}
<h2>Output</h2>{parts["failures"]}<div class="hx"><pre class="log" id="lines" tabindex="0"></pre></div></section>
<section><h2>Proposals</h2><div id="cards"></div><h2 id="of">Events</h2>
<div class="hx"><pre class="log" id="events" tabindex="0"></pre></div></section></main>
<h2>Versions</h2>{parts["versions"]}<h2>Agents</h2>{parts["agents"]}<h2>Workers</h2>{parts["workers"]}
<script type="application/json" id="data">{text}</script>
<script type="module">{module}
{{
{_SCRIPT}}}</script></body></html>
"""
