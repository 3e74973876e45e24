"""Regions as text and HTML: which is home, which are cut off since when, and how far their labs are behind."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from ..core.runs.region import Region, clock
from . import lists, wording
from .html import wrap


def reach(region: Region) -> str:
    """Whether a region answers, in words."""
    return "answers" if region.reachable else f"cut off since {clock(region.since or 0)}"


def behind(region: Region) -> str:
    """How many events the labs of a region lack; empty where nobody says."""
    if region.events is None:
        return ""
    return f"{region.events} event{'s' * (region.events != 1)} behind" if region.events else "up to date"


def regions(rows: Sequence[Region]) -> str:
    """All regions, home first; nothing where there is but one pool."""
    if not rows:
        return ""
    cells = [
        (
            f"<b>{escape(wording.clean(row.name, 40))}</b>{' (home: decides)' if row.home else ''}",
            f'<span class="{"ok" if row.reachable else "bad"}">{escape(reach(row))}</span>',
            f"{row.workers} with {row.slots} slots",
            f'<span class="{"chg" if row.events else "ok"}">{behind(row)}</span>' if behind(row) else "",
            "" if row.seconds is None else f"{wording.age(row.seconds)} ago",
        )
        for row in sorted(rows, key=lambda row: (not row.home, row.name))
    ]
    return wrap("<h3>Regions</h3>" + lists.table(("region", "state", "workers", "its labs", "heard of"), cells))
