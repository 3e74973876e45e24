"""What a proposal can ask for beside a change of the graph: that a node moves to another worker, or that the run ends.

Both stop work that somebody may want, so they are voted on like a change, and stand in the same journal.
"""

from __future__ import annotations

from ..base.codec import record

GRACE = 10.0  #: seconds that a node gets to reach its next safe point


@record
class Move:
    """A node goes on elsewhere, from what it saved last.

    to       the worker's id; empty: wherever there is room
    grace    seconds to wait for its next safe point; then it is moved from the last one, whatever its worker does
    restart  begin it anew, where it has no safe points: what it has done so far is lost
    """

    node: str
    to: str = ""
    grace: float = GRACE
    restart: bool = False

    def __str__(self) -> str:
        where = self.to or "another worker"
        return f"{self.node} starts anew on {where}" if self.restart else f"{self.node} moves to {where}"


@record
class End:
    """The run ends now; what has finished stays."""

    def __str__(self) -> str:
        return "the run ends"


Steer = Move | End
