"""Drafts as text and HTML: who holds a copy and who is behind, what conflicts, and what changed last. All words of
others are escaped here. A draft is whatever has what `lab.draft` gives.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from html import escape
from typing import Any, Protocol

from ..core.dag.dag import Dag
from ..core.replica.conflicts import Choice, Intent
from ..core.replica.copies import Copy
from ..core.replica.view import Held, named
from . import lists, wording
from .html import wrap
from .svg import dag_svg

MOST_CHANGES = 12  #: of a draft, the latest
MOST_DRAWN = 60  #: nodes of a graph that is drawn on the page
NONE = "No drafts yet: lab.draft(name, of=run) begins one."
#: kinds of conflicts, as people say it
KINDS = {
    "both-changed": "changed by several", "remove-vs-change": "removed and changed", "dangling": "an end is gone",
    "taken": "parameter taken", "type": "types do not fit", "cycle": "closes a cycle", "started": "started meanwhile",
}  # fmt: skip


class Draft(Protocol):
    """What is shown of a draft."""

    name: str
    offline: bool

    @property
    def dag(self) -> Dag: ...
    @property
    def conflicts(self) -> tuple[Held, ...]: ...
    @property
    def unsent(self) -> int: ...
    def intents(self, conflict: Held, /) -> tuple[Intent, ...]: ...
    def choices(self, conflict: Held, /) -> tuple[Choice, ...]: ...
    def choose(self, choice: Choice, by: str | None = None, /) -> Any: ...
    def copies(self) -> tuple[Copy, ...]: ...
    def changes(self) -> list[Any]: ...


def summary(draft: Draft, held: Sequence[Held]) -> str:
    """A line: how large it is, and what is open."""
    count = len(draft.dag)
    parts = [f"{count} node{'s' * (count != 1)}"]
    parts += [f"{len(held)} open conflict{'s' * (len(held) != 1)}"] if held else []
    parts += [f"{draft.unsent} of the changes made here wait for the store"] if draft.unsent else []
    parts += ["the store does not answer, this is what is here"] if draft.offline else []
    return ", ".join(parts)


def behind(copy: Copy, now: float) -> str:
    """How far behind a copy is, in words."""
    if not copy.behind:
        return "up to date"
    since = f", since {wording.age(now - copy.since / 1000)}" if copy.since is not None else ""
    return f"{copy.behind} change{'s' * (copy.behind != 1)} behind{since}"


def ago(at: int, now: float) -> str:
    """How long ago unix milliseconds are; empty for 0."""
    return f"{wording.age(now - at / 1000)} ago" if at else ""


def draft_text(draft: Draft, now: float | None = None) -> str:
    """A draft as plain text: what a cell says where nothing else can be shown."""
    at, held = time.time() if now is None else now, draft.conflicts
    lines = [f"draft {draft.name}: {summary(draft, held)}"]
    lines += [f"  {_who(copy)}: {behind(copy, at)}" for copy in draft.copies()]
    for conflict in held:
        lines.append(f"  conflict: {wording.clean(str(conflict), 300)}")
        lines += [f"    {_side(intent)}" for intent in draft.intents(conflict)]
    return "\n".join(lines)


def _who(copy: Copy) -> str:
    return wording.clean(copy.by, 40) + (" (here)" if copy.here else "")


def _side(intent: Intent) -> str:
    shown = " (shown)" if intent.shown else ""
    return f"{wording.clean(intent.by, 40)} {wording.clean(intent.text, 120)}{shown}"


# -- as HTML


def head(draft: Draft, held: Sequence[Held]) -> str:
    """The name of a draft, and how it is."""
    return wrap(f"<h3>{escape(draft.name)}</h3><div>{escape(summary(draft, held))}</div>")


def who(copies: Sequence[Copy], now: float) -> str:
    """Who edits, and who is behind."""
    rows = [
        (
            f"<b>{escape(_who(copy))}</b>", escape(wording.clean(copy.last or "nothing yet", 80)), str(copy.edits),
            f'<span class="{"chg" if copy.behind else "ok"}">{escape(behind(copy, now))}</span>',
            escape(ago(copy.at, now)), f'<span class="dim">{escape(wording.clean(copy.id, 40))}</span>',
        )
        for copy in copies
    ]  # fmt: skip
    return wrap(lists.table(("copy of", "last change", "writes", "has seen", "heard of", "id"), rows))


def conflict(held: Held, intents: Sequence[Intent], now: float) -> str:
    """A conflict with the intents of all sides."""
    chip = f'<span class="chip chg">{escape(KINDS.get(held.kind, held.kind))}</span>'
    sides = "".join(
        f"<dt>{escape(wording.clean(intent.by, 40))}</dt><dd>{escape(wording.clean(intent.text, 200))}"
        f"{' <b>(shown)</b>' if intent.shown else ''} "
        f'<span class="dim">{escape(ago(intent.at, now))}</span></dd>'
        for intent in intents
    )
    title = f'<div class="bar"><b>{escape(named(held.key))}</b>{chip}</div>'
    return wrap(f"{title}<p>{escape(wording.clean(str(held), 400))}</p><dl>{sides}</dl>")


def changes(found: Sequence[Any], now: float) -> str:
    """The latest changes, the newest first."""
    rows = [
        (escape(ago(int(edit.at * 1000), now)), *(escape(wording.clean(words, 160)) for words in (edit.by, edit.text)))
        for edit in reversed(found[-MOST_CHANGES:])
    ]
    return wrap(lists.table(("when", "who", "what"), rows)) if rows else ""


def picture(dag: Dag) -> str:
    """The graph, where it is not too large to be drawn."""
    if not 0 < len(dag) <= MOST_DRAWN:
        return ""
    return wrap(f'<div class="wide" tabindex="0" role="img" aria-label="the graph of the draft">{dag_svg(dag)}</div>')
