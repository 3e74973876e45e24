"""Models as HTML text. Everything that anybody wrote is escaped here, and nowhere else is text made into markup."""

from __future__ import annotations

import time
from html import escape

from ..core.machine.state import RunState
from ..core.machine.story import sentence, why
from ..core.votes.proposal import Proposal
from . import models

MOST_EVENTS = 200

STYLE = """<style>
.hx{font:13px/1.45 system-ui,sans-serif} .hx b{font-weight:600} .hx .dim{opacity:.7} .hx .ok{color:#009E73}
.hx .bad{color:#D55E00;font-weight:600} .hx q{font-style:italic} .hx table{border-collapse:collapse;width:100%}
.hx td,.hx th{text-align:left;padding:3px 10px 3px 0;border-bottom:1px solid #8884;vertical-align:top}
.hx pre{margin:4px 0;font:12px ui-monospace,monospace;white-space:pre-wrap}
.hx .bar{display:flex;gap:14px;flex-wrap:wrap}
.hx .add{color:#009E73} .hx .del{color:#D55E00} .hx .chg{color:#b26a00} .hx .log{max-height:420px;overflow:auto}
</style>"""


def _wrap(body: str) -> str:
    return f'{STYLE}<div class="hx">{body}</div>'


def header(state: RunState) -> str:
    h = models.header(state)
    parts = [
        f"<b>{escape(h.run)}</b>",
        f'<b class="status">{escape(h.status)}</b>',
        f"v{h.version}",
        f"{h.done}/{h.nodes} nodes",
        f"{h.running} running",
    ]
    if h.open:
        parts.append(f"<b>{h.open} open proposal{'s' * (h.open != 1)}</b>")
    return _wrap(f'<div class="bar">{"".join(f"<span>{part}</span>" for part in parts)}</div>')


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
    return _wrap(
        f'<div><b>{escape(c.title)}</b> <span class="dim">{about}</span></div>{reason}{standing}'
        f"<pre>{lines}</pre><div>Effect: {escape(c.effect)} · {escape(c.estimate)}</div>"
        f"{outlook}<div>Checks: {checks}</div>"
        f"<div>Votes: {votes} — <b>{escape(c.tally)}</b></div>"
        + (f'<div class="dim">{escape(proposal.why)}</div>' if proposal.why and proposal.terminal else "")
    )


def _sign(line: str) -> str:
    return {"+": "add", "-": "del", "~": "chg"}.get(line[:1], "")


def versions(state: RunState) -> str:
    rows = "".join(
        f"<tr><td>v{row.number}</td><td>{escape(row.by)}</td><td>{escape(row.change)}</td>"
        f"<td>{escape(row.reason)}</td><td>{escape(row.votes)}</td></tr>"
        for row in models.versions(state)
    )
    return _wrap(
        f"<table><tr><th>version</th><th>by</th><th>change</th><th>reason</th><th>votes</th></tr>{rows}</table>"
    )


def diff(text: str) -> str:
    """A diff's lines, by colour and by sign."""
    return _wrap(
        "<pre>" + "".join(f'<div class="{_sign(line)}">{escape(line)}</div>' for line in text.splitlines()) + "</pre>"
    )


def events(found: list[object]) -> str:
    """The latest events, the newest first."""
    lines = [(event.seq, sentence(event)) for event in found[-MOST_EVENTS:]]  # type: ignore[attr-defined]
    body = "".join(f"<div>{seq:>5} {escape(models.clean(text, 300))}</div>" for seq, text in reversed(lines) if text)
    return _wrap(f'<pre class="log">{body}</pre>')


def node(state: RunState, name: str | None) -> str:
    """What is known of the selected node."""
    if name is None or name not in state.nodes:
        return _wrap('<span class="dim">Select a node.</span>')
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
    trace = f"<pre>{escape(rec.failure.trace)}</pre>" if rec.failure and rec.failure.trace else ""
    return _wrap(f"<b>{escape(name)}</b><table>{body}</table>{trace}")


def runs(rows: list[object]) -> str:
    body = "".join(
        f'<tr><td><a href="?run={escape(row.id)}">{escape(row.id)}</a></td><td>{escape(row.status)}'  # type: ignore[attr-defined]
        f"{'' if row.led or row.status not in ('RUNNING', 'PAUSED') else ' (orphaned)'}</td><td>v{row.version}</td>"  # type: ignore[attr-defined]
        f"<td>{row.done}/{row.nodes}</td><td>{row.open}</td><td>{escape(row.by)}</td></tr>"  # type: ignore[attr-defined]
        for row in reversed(rows)
    )
    return _wrap(
        f"<table><tr><th>run</th><th>status</th><th>version</th><th>nodes</th><th>open</th><th>by</th></tr>{body}</table>"
    )


def workers(rows: list[dict[str, object]]) -> str:
    body = "".join(
        "<tr>"
        + "".join(
            f"<td>{escape(str(row.get(key, '')))}</td>" for key in ("id", "host", "state", "slots", "capabilities")
        )
        + "</tr>"
        for row in rows
    )
    heads = "".join(f"<th>{key}</th>" for key in ("worker", "host", "state", "slots", "can"))
    return _wrap(f"<table><tr>{heads}</tr>{body}</table>" if rows else '<span class="dim">no workers known here</span>')


def note(text: str) -> str:
    """A sentence that somebody should read."""
    return _wrap(f'<span class="bad">{escape(models.clean(text, 1000))}</span>')


def said(text: str) -> str:
    """A sentence in passing."""
    return _wrap(f'<span class="dim">{escape(models.clean(text, 1000))}</span>')
