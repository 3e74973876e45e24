"""Models as HTML text. Everything that anybody wrote is escaped here, and nowhere else is text made into markup."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from html import escape
from textwrap import dedent
from typing import Any

from ..core.machine.state import RunState
from ..core.machine.story import sentence, why
from ..core.runs.run import NodeState
from ..core.votes.proposal import Proposal
from . import models, outcomes

MOST_EVENTS = 200
MOST_FAILURES = 5
WIDEST = 24  #: characters of a node's name before its lines
LONGEST_LINE, LONGEST_TRACE = 400, 6000  #: characters

STYLE = """<style>
.hx{font:13px/1.45 system-ui,sans-serif} .hx b{font-weight:600} .hx .dim{opacity:.7} .hx .ok{color:#009E73}
.hx .bad{color:#D55E00;font-weight:600} .hx q{font-style:italic} .hx table{border-collapse:collapse;width:100%}
.hx td,.hx th{text-align:left;padding:3px 10px 3px 0;border-bottom:1px solid #8884;vertical-align:top}
.hx pre{margin:4px 0;font:12px ui-monospace,monospace;white-space:pre-wrap}
.hx .bar{display:flex;gap:14px;flex-wrap:wrap}
.hx .add{color:#009E73} .hx .del{color:#D55E00} .hx .chg{color:#b26a00} .hx .log{max-height:420px;overflow:auto}
.hx .tail{max-height:260px;overflow:auto;display:flex;flex-direction:column-reverse} .hx .err{color:#b26a00}
.hx .trace{border-left:3px solid #D55E00;padding-left:8px} .hx details pre{max-height:300px;overflow:auto}
</style>"""


def wrap(body: str) -> str:
    """Markup with the style that it needs, wherever it is put."""
    return f'{STYLE}<div class="hx">{body}</div>'


def header(state: RunState) -> str:
    h = models.header(state)
    parts = [
        f"<b>{escape(h.run)}</b>",
        f'<b class="status">{escape(h.status)}</b>',
        f"v{h.version}",
        f"{h.done}/{h.nodes} nodes done",
    ]
    if h.running:
        parts.append(f"{h.running} running")
    if h.open:
        parts.append(f"<b>{h.open} open proposal{'s' * (h.open != 1)}</b>")
    return wrap(f'<div class="bar">{"".join(f"<span>{part}</span>" for part in parts)}</div>')


def card(state: RunState, proposal: Proposal, now: float | None = None, viewer: str = "") -> str:
    """A proposal with all that a decision needs."""
    c = models.card(state, proposal, now or time.time(), viewer)
    left = f" · {c.countdown}" if c.countdown else ""
    lines = "".join(f'<div class="{_sign(line)}">{escape(line)}</div>' for line in c.changes)
    checks = " ".join(
        f'<span class="{"ok" if ok else "bad"}">{"✓" if ok else "✕"} {escape(t)}</span>' for ok, t in c.checks
    )
    votes = "; ".join(escape(vote) for vote in c.votes) or "none yet"
    reason = (
        f'<div><q>{escape(c.reason)}</q> <span class="dim">words of {escape(proposal.by)}</span></div>'
        if c.reason
        else ""
    )
    standing = "".join(f"<div><b>{escape(line)}</b></div>" for line in c.standing)
    outlook = f"<div>{escape(c.outlook)}</div>" if c.outlook else ""
    about = f"{escape(c.id)} · {escape(c.kind)} · {escape(c.state)}{left}"
    return wrap(
        f'<div><b>{escape(c.title)}</b> <span class="dim">{about}</span></div>{reason}{standing}'
        f"<pre>{lines}</pre><div>Effect: {escape(c.effect)} · {escape(c.estimate)}</div>"
        f"{outlook}<div>Checks: {checks}</div>"
        f"<div>Votes: {votes} — <b>{escape(c.tally)}</b></div>"
        + (
            f'<div class="dim">{escape(models.clean(proposal.why, 300))}</div>'
            if proposal.why and proposal.terminal
            else ""
        )
    )


def whole(state: RunState, proposal: Proposal, viewer: str = "") -> str:
    """What a card had to cut, folded up. It stays the same while votes and time go on, so that it stays open."""
    text = models.whole(state, proposal, viewer)
    if not text:
        return ""
    return wrap(
        f"<details><summary>Show all words ({len(text):,} characters)</summary><pre>{escape(text)}</pre></details>"
    )


def _sign(line: str) -> str:
    return {"+": "add", "-": "del", "~": "chg"}.get(line[:1], "")


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
    return wrap(
        "<pre>" + "".join(f'<div class="{_sign(line)}">{escape(line)}</div>' for line in text.splitlines()) + "</pre>"
    )


def events(found: Sequence[Any]) -> str:
    """The latest events, the newest first."""
    lines = [(event.seq, sentence(event)) for event in found[-MOST_EVENTS:]]
    body = "".join(f"<div>{seq:>5} {escape(models.clean(text, 300))}</div>" for seq, text in reversed(lines) if text)
    return wrap(f'<pre class="log">{body}</pre>')


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
        f"<tr><th>{key}</th><td>{escape(models.clean(text, 400))}</td></tr>" for key, text in rows.items() if text
    )
    talk = f'<div class="tail"><pre>{_talk(lines, names=False)}</pre></div>' if lines else ""
    return wrap(f"<b>{escape(name)}</b><table>{body}</table>{failure(state, name)}{talk}")


def output(state: RunState, lines: Sequence[models.Line]) -> str:
    """The failures of a run, and the last lines of its nodes in the order they came."""
    failed = [name for name, rec in sorted(state.nodes.items()) if rec.state is NodeState.FAILED]
    parts = [failure(state, name) for name in failed[:MOST_FAILURES]]
    if len(failed) > MOST_FAILURES:
        parts.append(f'<div class="dim">… and {len(failed) - MOST_FAILURES} more nodes have failed</div>')
    shown = models.tail(lines)
    if shown:
        parts.append(f'<div class="tail"><pre>{_talk(shown)}</pre></div>')
    return wrap("".join(parts)) if parts else ""


def failure(state: RunState, name: str) -> str:
    """How a node has failed: its name, the user's own lines, the error."""
    found = state.nodes[name].failure
    if found is None:
        return ""
    lines = dedent(found.trace[-LONGEST_TRACE:]).splitlines()
    trace = "\n".join(models.plain(line) for line in lines)
    error = models.clean(str(found), 1000)
    title = f'<b class="bad">{models.MARKS[NodeState.FAILED]} {escape(name)}</b>'
    return f"<div>{title} {escape(error)}</div>" + (f'<pre class="trace">{escape(trace)}</pre>' if trace else "")


def _talk(lines: Sequence[models.Line], names: bool = True) -> str:
    """Lines as markup, each after the name of its node; where some are missing, how many."""
    width = min(WIDEST, max((len(line.node) for line in lines), default=0))
    rows = []
    for line in lines:
        before = f"{escape(models.clean(line.node, WIDEST).rjust(width))} | " if names else ""
        if line.left_out:
            rows.append(f'<span class="dim">{before}… {line.left_out:,} lines are left out</span>')
        text = models.printed(line.text, LONGEST_LINE)
        kind = ' class="err"' if line.stream == "stderr" else ""
        rows.append(f'<span class="dim">{before}</span><span{kind}>{escape(text)}</span>')
    return "\n".join(rows)


def runs(rows: Sequence[Any], address: Callable[[str], str] | None = None) -> str:
    """The runs of a store, the latest first; `address(run)` is where a run is shown."""

    def name(run: str) -> str:
        return f'<a href="{escape(address(run))}">{escape(run)}</a>' if address else escape(run)

    body = "".join(
        f"<tr><td>{name(row.id)}</td><td>{escape(row.status)}"
        f"{'' if row.led or row.status not in ('RUNNING', 'PAUSED') else ' (orphaned)'}</td><td>v{row.version}</td>"
        f"<td>{row.done}/{row.nodes}</td><td>{row.open}</td><td>{escape(row.by)}</td></tr>"
        for row in reversed(rows)
    )
    return wrap(
        f"<table><tr><th>run</th><th>status</th><th>version</th><th>nodes</th><th>open</th><th>by</th></tr>{body}</table>"
    )


def workers(rows: Sequence[Mapping[str, object]], state: RunState | None = None) -> str:
    """The workers as the process that leads knows them, and what they do for a run, which any process knows."""
    known = [[row.get(key, "") for key in ("id", "host", "state", "slots", "capabilities")] for row in rows]
    parts = [_table(("worker", "host", "state", "slots", "can"), known)] if known else []
    if state is not None and (busy := models.workers(state)):
        ran = [[row.worker, _some(row.running) or "nothing now", row.done] for row in busy]
        parts.append(f"<div><b>{escape(state.run)}</b></div>" + _table(("worker", "runs", "has finished"), ran))
    return wrap("<br>".join(parts) or '<span class="dim">No worker has run a node yet.</span>')


def _some(names: Sequence[str], most: int = 8) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(models.clean(name, 40) for name in names[:most]) + more


def _table(heads: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    body = "".join("<tr>" + "".join(f"<td>{escape(_cell(cell))}</td>" for cell in row) + "</tr>" for row in rows)
    return f"<table><tr>{''.join(f'<th>{head}</th>' for head in heads)}</tr>{body}</table>"


def _cell(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list | tuple | set | frozenset) else str(value)


def note(text: str) -> str:
    """A sentence that somebody should read."""
    return wrap(f'<span class="bad">{escape(models.clean(text, 1000))}</span>')


def said(text: str) -> str:
    """A sentence in passing."""
    return wrap(f'<span class="dim">{escape(models.clean(text, 1000))}</span>')
