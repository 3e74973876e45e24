"""What all pages share: where a session looks, and what a page is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

from ..film import Moment

SURE_FOR = 5.0  #: seconds in which a second press counts, on a button for what cannot be undone


class Place(NamedTuple):
    """Where a session looks: a run and a page of it. What a reload of a browser's page shows again."""

    run: str | None = None
    page: str = "Run"


class Page(Protocol):
    """A page of one run. It is shown moments while somebody looks at it, and a moment when she comes.

    moves   it changes by itself, though nothing happens in the run, and is shown anew every two seconds
    """

    view: Any

    @property
    def moves(self) -> bool: ...

    def show(self, run: Any, moment: Moment) -> None:
        """Show a run at a moment; at most five times a second."""
        ...


class LabPage(Protocol):
    """A page of the whole lab, which is looked at anew every two seconds while somebody is there."""

    view: Any

    def look(self, rows: Sequence[Any]) -> None:
        """Show the lab as it is; `rows` are its runs."""
        ...
