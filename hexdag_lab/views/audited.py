"""What an audit has seen of a run, on a terminal and as JSON. It looks at a report and at nothing else."""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from rich.cells import cell_len, set_cell_size
from rich.console import Group
from rich.text import Text

from .wording import clean

WIDEST = 40  #: characters of what others have written, in a column


def as_text(report: Any) -> Group:
    """Who approved what and by which proof; then a line for each finding; then what it comes to."""
    lines: list[Any] = []
    for id_ in dict.fromkeys(vote.proposal for vote in report.votes):
        lines += [Text(_outcome(report, id_), "bold"), _votes(vote for vote in report.votes if vote.proposal == id_)]
    lines += [Text(f"row {seq}: {clean(text, 500)}", "bold red") for seq, text in report.findings]
    lines += [Text(f"note: {clean(text, 500)}", "dim") for text in report.notes]
    return Group(*lines, Text(_verdict(report), "bold"))


def _votes(votes: Iterable[Any]) -> Text:
    """A table without rules, and without spaces at the ends of its lines."""
    rows = []
    for vote in votes:
        via = f"via {clean(vote.via, WIDEST)}" if vote.via else ""
        rows.append((clean(vote.who, WIDEST), vote.said.replace("_", " "), _time(vote.at), via, vote.proof))
    widths = [max(map(cell_len, column)) for column in zip(*rows, strict=True)]
    lines = ["  ".join(map(set_cell_size, row, widths)).rstrip() for row in rows]
    return Text("\n".join(f"  {line}" for line in lines))


def as_json(report: Any) -> str:
    """All of a report."""
    head = report.head and {"text": report.head.text, "signature": report.head.signature, "key": report.head.key}
    data = {
        "run": report.run, "rows": report.rows, "commits": report.links, "chained_from": report.chained, "head": head,
        "votes": [vote._asdict() for vote in report.votes],
        "outcomes": {id_: outcome._asdict() for id_, outcome in report.outcomes.items()},
        "findings": [finding._asdict() for finding in report.findings], "notes": list(report.notes),
    }  # fmt: skip
    return json.dumps(data, indent=1)


def _outcome(report: Any, proposal: str) -> str:
    made = report.outcomes.get(proposal)
    if made is None:  # the journal could not be replayed so far
        return clean(proposal, WIDEST)
    became = f" as v{made.version}" if made.version else ""
    by = f" by {clean(made.by, 2 * WIDEST)}" if made.by else ""
    return f"{clean(proposal, WIDEST)}, {clean(made.change, WIDEST)}: {made.state}{became}{by}"


def _verdict(report: Any) -> str:
    count = len(report.findings)
    what = f"{report.run}: {report.rows} rows in {report.links} commits"
    if count:
        return f"{what}; {count} finding{'s' * (count != 1)}"
    sure = report.chained == 1 and not report.notes
    return f"{what}; {'nothing was changed' if sure else 'nothing wrong is seen'}"


def _time(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M:%SZ")
