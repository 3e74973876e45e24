"""Tables over a whole lab as HTML: its runs, what waits for a decision, its agents with their trust, its workers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from html import escape
from typing import Any

from ..core.machine.state import RunState
from ..core.runs.worker import Worker
from ..core.votes.agent import Seat
from ..core.votes.calls import CallOutcome, Usage
from ..core.votes.proposal import Proposal, ProposalState
from . import cards, models, tally, wording
from .html import wrap

MOST_EVIDENCE = 20  #: pieces of it for an agent, the latest ones
GOING_ON = ("RUNNING", "PAUSED")


def table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Rows of markup under heads, which are plain words; columns in which no row says anything are left out.

    On a narrow screen each row is a card, with the head before each of its cells; roles keep it a table to readers of
    screens, which styles like that make some browsers forget."""
    shown = [k for k in range(len(heads)) if any(row[k] for row in rows)]
    top = "".join(f'<th role="columnheader" scope="col">{escape(heads[k])}</th>' for k in shown)
    body = "".join(
        '<tr role="row">'
        + "".join(f'<td role="cell" data-head="{escape(heads[k])}">{row[k]}</td>' for k in shown)
        + "</tr>"
        for row in rows
    )
    return (
        f'<div class="wide" tabindex="0"><table class="rows" role="table"><thead role="rowgroup"><tr role="row">{top}'
        f'</tr></thead><tbody role="rowgroup">{body}</tbody></table></div>'
    )


def cell(value: object, most: int = 80) -> str:
    """A value as the text of a cell."""
    if isinstance(value, float):
        return f"{value:.3g}"
    text = ", ".join(map(str, value)) if isinstance(value, list | tuple | set | frozenset) else str(value)
    return escape(wording.clean(text, most))


def runs(rows: Sequence[Any], address: Callable[[str], str] | None = None) -> str:
    """The runs of a store, the latest first; `address(run)` is where a run is shown."""

    def name(run: str) -> str:
        return f'<a href="{escape(address(run))}">{escape(run)}</a>' if address else escape(run)

    found = [
        (
            name(row.id), escape(row.status) + ("" if row.led or row.status not in GOING_ON else " (orphaned)"),
            f"v{row.version}", f"{row.done}/{row.nodes}", f"<b>{row.open}</b>" if row.open else "0", cell(row.by),
        )
        for row in reversed(rows)
    ]  # fmt: skip
    heads = ("run", "status", "version", "nodes", "open", "by")
    return wrap(table(heads, found) if found else '<p class="dim">No runs yet: lab.start(dag) makes one.</p>')


def waiting(state: RunState, proposal: Proposal, now: float, viewer: str = "") -> str:
    """A proposal in the inbox: what it is, how risky, how old, and whom it waits for."""
    needs = tally.needed(state, proposal, viewer)
    wanted = f'<span class="chg">needs {escape(" or ".join(needs))}</span>' if needs else ""
    reason = wording.clean(proposal.reason, 160)
    words = f"<p><q>{escape(reason)}</q></p>" if reason else ""
    return wrap(cards.head(state, proposal, now, viewer) + words + wanted)


# -- agents


def agents(state: RunState, standings: Mapping[str, Any]) -> str:
    """Who takes part in a run: role, weight, and what each has earned, with the evidence."""
    rows = []
    for name, seat in sorted(state.seats.items()):
        made = [p for p in state.proposals.values() if p.by == name]
        applied = sum(p.state is ProposalState.APPLIED for p in made)
        ballots = Counter(
            b.choice for p in state.proposals.values() for b in p.seen_by("", state.policy) if b.voter == name
        )
        said = ", ".join(f"{count} {choice.value.replace('_', ' ')}" for choice, count in sorted(ballots.items()))
        weight = "decides" if seat.implicit else f"{float(seat.weight):g}"
        did = f"{len(made)}, {applied} applied" if made else "none"
        rows.append(
            (
                f"<b>{cell(name, 40)}</b>{_suspended(state, name)}",
                cell(_kind(seat)),
                weight,
                did,
                cell(said or "none"),
                _calls(state.calls.get(name)),
                _earned(standings.get(name)),
            )
        )
    return wrap(
        table(
            ("agent", "is", "trust given", "proposals", "ballots here", "asked of models", "trust earned in all runs"),
            rows,
        )
    )


def _suspended(state: RunState, agent: str) -> str:
    why = state.suspended.get(agent)
    return f'<div class="del">suspended: {escape(wording.clean(why, 300))}</div>' if why else ""


def _calls(usage: Usage | None) -> str:
    """What an agent has asked of models, and the latest questions one by one."""
    if usage is None:
        return ""
    lines = "".join(
        f'<div class="{"add" if call.outcome is CallOutcome.ANSWERED else "del"}">{escape(str(call))}</div>'
        for call in reversed(usage.recent)
    )
    before = usage.calls - len(usage.recent)
    more = f"<div>… and {before} before, in the journal</div>" if before else ""
    return f"<details><summary>{escape(str(usage))}</summary>{lines}{more}</details>"


def _kind(seat: Seat) -> str:
    who = "person" if seat.human else "function" if seat.votes or seat.hooks else "agent"
    return ", ".join(part for part in (who, str(seat.role), seat.family, *sorted(seat.capabilities)) if part)


def _earned(standing: Any) -> str:
    if standing is None or not standing.evidence:
        return '<span class="dim">nothing is known yet</span>'
    points = standing.evidence[-MOST_EVIDENCE:]
    lines = "".join(
        f'<div class="{"add" if point.sign > 0 else "del"}">{escape(wording.clean(str(point), 200))}</div>'
        for point in reversed(points)
    )
    more = (
        f"<div>… and {len(standing.evidence) - len(points)} before</div>"
        if len(points) < len(standing.evidence)
        else ""
    )
    alike = [f"errs like {name}: {share:.2f}" for name, share in standing.alike[:3] if share > 0.1]
    title = f"<b>{standing.chance:.2f}</b> from {len(standing.evidence)} ballots"
    also = f'<div class="dim">{escape("; ".join(alike))}</div>' if alike else ""
    return f"<details><summary>{title}</summary>{lines}{more}</details>{also}"


# -- workers

HEADS = ("worker", "host", "state", "runs now", "slots", "can", "memory", "last heard of", "why")


def workers(rows: Sequence[Any], state: RunState | None = None, now: float = 0.0) -> str:
    """The workers as the process that leads knows them at a moment (unix seconds), and what they do for a run, which
    any process knows."""
    parts = []
    if rows:
        parts.append(table(HEADS, [_worker(row, now) for row in sorted(rows, key=lambda row: str(row.id))]))
    if state is not None and (busy := models.workers(state)):
        ran = [(cell(row.worker), cell(_some(row.running) or "nothing now"), str(row.done)) for row in busy]
        parts.append(f"<h3>{escape(state.run)}</h3>" + table(("worker", "runs", "has finished"), ran))
    return wrap("".join(parts) or '<p class="dim">No worker has run a node yet.</p>')


def _worker(row: Worker, now: float) -> tuple[str, ...]:
    used = wording.size(row.memory) if row.memory else ""
    limit = f" of {wording.size(row.limit)}" if row.memory and row.limit else ""
    heard = "this very process" if row.heartbeat is None else wording.ago(now - row.heartbeat)
    return (
        cell(row.id), cell(row.host), cell(row.state.value), cell(_some(row.nodes) or "nothing"), str(row.slots),
        cell(row.capabilities), used + limit, heard, cell(row.why, 300),
    )  # fmt: skip


def _some(names: Sequence[str], most: int = 8) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(wording.clean(name, 40) for name in names[:most]) + more
