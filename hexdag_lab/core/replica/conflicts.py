"""What a conflict is about, as a card needs it: who wants what, and by which edits it can be settled."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from ..base.errors import DagError
from ..dag.node import NodeSpec
from .clock import Dot
from .draft import frozen
from .replica import Replica, Write
from .view import Held, edge_of, named


class Intent(NamedTuple):
    """What somebody wants, and since when (unix milliseconds); `shown`: that is how the draft shows it."""

    by: str
    at: int
    text: str
    shown: bool


class Choice(NamedTuple):
    """A way to settle a conflict: what keys are to be, and the writes that this was made of. It fits as long as nobody
    has written something else there."""

    label: str
    values: Mapping[str, Any]
    saw: Mapping[str, tuple[Dot, ...]]


def intents(replica: Replica, held: Held) -> tuple[Intent, ...]:
    """The sides of a conflict, by the order of their writes."""
    found = [(w, slot) for key in _keys(held) if (slot := replica.slots.get(key)) is not None for w in slot.writes]
    sides = sorted(found, key=lambda side: side[0].order)
    return tuple(
        Intent(author(w), w.at, said(w) + _details(w.value), w is slot.shown and (held.shown or w.key != held.key))
        for w, slot in sides
    )


def choices(replica: Replica, held: Held) -> tuple[Choice, ...]:
    """The edits that settle a conflict: to keep one of the sides, or to give up an edge. One that would change what has
    started is none."""
    saw = {key: slot.dots for key in _keys(held) if (slot := replica.slots.get(key)) is not None}
    if held.shown:
        found = [Choice(f"Keep {author(w)}'s", {held.key: w.value}, saw) for w in replica.slots[held.key].writes]
    else:
        edges = [key for key in _keys(held) if edge_of(key)]
        found = [Choice(f"Give up {named(key)}", {key: None}, saw) for key in edges]
    return tuple(choice for choice in found if frozen(replica, choice.values) is None)


def _keys(held: Held) -> tuple[str, ...]:
    return (held.key,) if held.shown else (held.key, *held.rivals)


def chosen(replica: Replica, choice: Choice) -> Mapping[str, Any]:
    """What a choice writes. Raises `DagError` if somebody has written something else there since."""
    for key, dots in choice.saw.items():
        slot = replica.slots.get(key)
        since = [w for w in slot.writes if w.dot not in dots] if slot is not None else []
        if any(key not in choice.values or w.value != choice.values[key] for w in since):
            raise DagError(f"{named(key)} was written anew meanwhile: look at the draft again")
    return choice.values


def author(w: Write) -> str:
    """Who made a write."""
    return w.by or w.dot.replica


def said(w: Write) -> str:
    """A write in words."""
    edge = edge_of(w.key)
    what = f"the edge {named(w.key)}" if edge else w.key
    if w.value is None:
        return f"removes {what}"
    return f"has started {what}" if w.pinned and edge is None else f"writes {what}"


def _details(value: Any) -> str:
    if not isinstance(value, NodeSpec):
        return ""
    params = ", ".join(f"{key}={item!r}" for key, item in sorted(value.params.items()))
    return f" ({value.code.name}{': ' if params else ''}{params})"
