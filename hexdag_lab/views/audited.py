"""What an audit has seen of a run, on a terminal and as JSON. It looks at a report and at nothing else."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

from rich.console import Group
from rich.table import Table
from rich.text import Text

from .models import clean

WIDEST = 40  #: characters of what others have written, in a table


def as_text(report: Any) -> Group:
    """Who approved what and by which proof; then a line for each finding; then what it comes to."""
    table = Table("proposal", "who", "says", "at", "by", "proof", box=None, pad_edge=False)
    seen = ""
    for vote in report.votes:
        first = vote.proposal != seen
        seen = vote.proposal
        outcome = _outcome(report, vote.proposal) if first else ""
        said = vote.said.replace("_", " ")
        cells = (outcome, clean(vote.who, WIDEST), said, _time(vote.at), clean(vote.via, WIDEST), vote.proof)
        table.add_row(*map(Text, cells))
    lines: list[Any] = [table, ""] if report.votes else []
    lines += [Text(f"row {seq}: {clean(text, 500)}", "bold red") for seq, text in report.findings]
    lines += [Text(f"note: {clean(text, 500)}", "dim") for text in report.notes]
    return Group(*lines, Text(_verdict(report), "bold"))


def as_json(report: Any) -> str:
    """All of a report."""
    head = report.head and {"text": report.head.text, "signature": report.head.signature, "key": report.head.key}
    data = {
        "run": report.run, "rows": report.rows, "commits": report.links, "chained_from": report.chained, "head": head,
        "votes": [vote._asdict() for vote in report.votes],
        "outcomes": {id_: {"state": state, "version": v} for id_, (state, v) in report.outcomes.items()},
        "findings": [finding._asdict() for finding in report.findings], "notes": list(report.notes),
    }  # fmt: skip
    return json.dumps(data, indent=1)


def _outcome(report: Any, proposal: str) -> str:
    state, version = report.outcomes.get(proposal, ("", None))
    return f"{clean(proposal, WIDEST)} {state}" + (f" v{version}" if version else "")


def _verdict(report: Any) -> str:
    count = len(report.findings)
    what = f"{report.run}: {report.rows} rows in {report.links} commits"
    if count:
        return f"{what}; {count} finding{'s' * (count != 1)}"
    return f"{what}; nothing was changed" if report.chained == 1 else f"{what}; nothing wrong is seen"


def _time(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M:%S")
