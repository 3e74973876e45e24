"""Models as HTML text. Everything that anybody wrote is escaped here, and nowhere else is text made into markup."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from pathlib import Path
from textwrap import dedent
from typing import Any

from ..core.machine.state import RunState
from ..core.machine.story import sentence
from ..core.machine.why import why
from ..core.runs.run import NodeState
from ..core.votes.proposal import Proposal
from . import cards, models, outcomes, wording

MOST_EVENTS = 200
MOST_FAILURES = 5
MOST_VERSIONS = 6  #: in the line below the header
WIDEST = 24  #: characters of a node's name before its lines
LONGEST_LINE, LONGEST_TRACE = 400, 6000  #: characters

STYLE = (Path(__file__).parent / "static" / "style.css").read_text("utf-8")  #: of everything that is made here


def wrap(body: str) -> str:
    """Markup to which the style applies, which whoever shows it puts beside it."""
    return f'<div class="hx">{body}</div>'


def style() -> str:
    """The style as an element."""
    return f"<style>{STYLE}</style>"


def header(state: RunState) -> str:
    """Where the run is, in a line, with its versions below."""
    h = models.header(state)
    at, waves = models.wave(state)
    left = models.seconds_left(state)
    parts = [f"<b>{escape(h.run)}</b>", f'<b class="status">{escape(h.status)}</b>', f"v{h.version}"]
    parts += [f"wave {at} of {waves}"] if waves and not state.over else []
    parts += [f"{h.done}/{h.nodes} nodes done"]
    parts += [f"{h.running} running"] if h.running else []
    parts += [f"about {wording.clock(left)} of work left"] if left is not None and left >= 1 else []
    parts += ["the workers are coming up"] if not state.slots and not state.over and state.started else []
    parts += [f"<b>{h.open} open proposal{'s' * (h.open != 1)}</b>"] if h.open else []
    bar = f'<div class="bar">{"".join(f"<span>{part}</span>" for part in parts)}</div>'
    return wrap(bar + _progress(state, h) + _chain(state))


def _progress(state: RunState, h: models.Header) -> str:
    bad = sum(rec.state in (NodeState.FAILED, NodeState.BLOCKED) for rec in state.nodes.values())
    whole = max(1, h.nodes)
    shares = (("done", h.done - bad), ("failed", bad), ("running", h.running))
    parts = "".join(f'<i class="{kind}" style="width:{count / whole:.2%}"></i>' for kind, count in shares if count)
    return f'<div class="progress" role="img" aria-label="{h.done} of {h.nodes} nodes done">{parts}</div>'


def _chain(state: RunState) -> str:
    """The versions in a line, the latest ones, and what is proposed."""
    rows = outcomes.versions(state)
    words = [
        f"● v{row.number}" + (f" {row.by} {row.change}" if row.number > 1 else "") for row in rows[-MOST_VERSIONS:]
    ]
    words = ["…", *words] if len(rows) > MOST_VERSIONS else words
    words += [f"◌ {wording.clean(p.by, 40)} proposes {p.summary}" for p in state.open_proposals()][:2]
    return f'<div class="chain">{"".join(f"<span>{escape(word)}</span>" for word in words)}</div>' if words else ""


def card(state: RunState, proposal: Proposal, now: float | None = None, viewer: str = "") -> str:
    """A proposal with all that a decision needs."""
    return wrap(cards.card(state, proposal, now, viewer))


def whole(state: RunState, proposal: Proposal, viewer: str = "") -> str:
    """What a card had to cut, folded up. It stays the same while votes and time go on, so that it stays open."""
    text = models.whole(state, proposal, viewer)
    if not text:
        return ""
    return wrap(
        f"<details><summary>Show all words ({len(text):,} characters)</summary><pre>{escape(text)}</pre></details>"
    )


def versions(state: RunState) -> str:
    rows = "".join(
        f"<tr><td>v{row.number}</td><td>{escape(row.by)}</td><td>{escape(row.change)}</td>"
        f"<td>{escape(row.reason)}</td><td>{escape(row.votes)}</td></tr>"
        for row in outcomes.versions(state)
    )
    return wrap(
        f"<table><tr><th>version</th><th>by</th><th>change</th><th>reason</th><th>votes</th></tr>{rows}</table>"
    )


def diff(text: str) -> str:
    """A diff's lines, by colour and by sign."""
    return wrap(f"<pre>{''.join(map(cards.changed, text.splitlines()))}</pre>")


def events(found: Sequence[Any]) -> str:
    """The latest events, the newest first."""
    lines = [(event.seq, sentence(event)) for event in found[-MOST_EVENTS:]]
    body = "".join(f"<div>{seq:>5} {escape(wording.clean(text, 300))}</div>" for seq, text in reversed(lines) if text)
    return wrap(f'<pre class="log" tabindex="0">{body}</pre>')


def node(state: RunState, name: str | None, lines: Sequence[models.Line] = ()) -> str:
    """What is known of the selected node, and what it has said."""
    if name is None or name not in state.nodes:
        return wrap('<span class="dim">Select a node.</span>')
    rec, spec = state.nodes[name], state.dag.nodes[name]
    took = f", {rec.seconds:.2f} s" if rec.seconds else ""
    rows = {
        "state": f"{models.MARKS[rec.state]} {rec.state.value}",
        "why": why(state, name) or rec.reuse.why,
        "attempt": "none" if rec.reuse.origin else f"{max(1, rec.started)} in v{rec.version}" + took,
        "worker": rec.worker,
        "code": f"{spec.code.name} {spec.code.digest.hex()[:12]}",
        "params": ", ".join(f"{key}={value!r}" for key, value in spec.params.items()),
        "after": ", ".join(sorted(state.dag.dependencies(name))),
    }
    body = "".join(
        f"<tr><th>{key}</th><td>{escape(wording.clean(text, 400))}</td></tr>" for key, text in rows.items() if text
    )
    talk = f'<div class="tail" tabindex="0"><pre>{_talk(lines, names=False)}</pre></div>' if lines else ""
    return wrap(f"<b>{escape(name)}</b><table>{body}</table>{failure(state, name)}{talk}")


def output(state: RunState, lines: Sequence[models.Line]) -> str:
    """The failures of a run, and the last lines of its nodes in the order they came."""
    failed = [name for name, rec in sorted(state.nodes.items()) if rec.state is NodeState.FAILED]
    parts = [failure(state, name) for name in failed[:MOST_FAILURES]]
    if len(failed) > MOST_FAILURES:
        parts.append(f'<div class="dim">… and {len(failed) - MOST_FAILURES} more nodes have failed</div>')
    shown = models.tail(lines)
    if shown:
        parts.append(f'<div class="tail" tabindex="0"><pre>{_talk(shown)}</pre></div>')
    return wrap("".join(parts)) if parts else ""


def failure(state: RunState, name: str) -> str:
    """How a node has failed: its name, the user's own lines, the error."""
    found = state.nodes[name].failure
    if found is None:
        return ""
    lines = dedent(found.trace[-LONGEST_TRACE:]).splitlines()
    trace = "\n".join(wording.plain(line) for line in lines)
    error = wording.clean(str(found), 1000)
    title = f'<b class="bad">{models.MARKS[NodeState.FAILED]} {escape(name)}</b>'
    return f"<div>{title} {escape(error)}</div>" + (f'<pre class="trace">{escape(trace)}</pre>' if trace else "")


def _talk(lines: Sequence[models.Line], names: bool = True) -> str:
    """Lines as markup, each after the name of its node; where some are missing, how many."""
    width = min(WIDEST, max((len(line.node) for line in lines), default=0))
    rows = []
    for line in lines:
        before = f"{escape(wording.clean(line.node, WIDEST).rjust(width))} | " if names else ""
        if line.left_out:
            rows.append(f'<span class="dim">{before}… {line.left_out:,} lines are left out</span>')
        text = wording.printed(line.text, LONGEST_LINE)
        kind = ' class="err"' if line.stream == "stderr" else ""
        rows.append(f'<span class="dim">{before}</span><span{kind}>{escape(text)}</span>')
    return "\n".join(rows)


def note(text: str) -> str:
    """A sentence that somebody should read."""
    return wrap(f'<span class="bad">{escape(wording.clean(text, 1000))}</span>')


def said(text: str) -> str:
    """A sentence in passing."""
    return wrap(f'<span class="dim">{escape(wording.clean(text, 1000))}</span>')
