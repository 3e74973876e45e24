"""`Conflict`: why a change no longer applies, as a value that carries both intents."""

from __future__ import annotations

from ..base.codec import record
from ..base.errors import CycleError, DagError, TypeMismatch, UnboundParameter


@record
class Conflict:
    """Why a changeset no longer applies.

    kind    both-added, both-changed, remove-vs-change, dangling, cycle, unbound or type
    keys    the nodes or edges that it is about
    ours    what the changeset wanted;  theirs  what the graph has become: together they read as one sentence
    """

    kind: str
    keys: tuple[str, ...]
    ours: str
    theirs: str

    def __str__(self) -> str:
        return f"{self.kind} on {', '.join(self.keys)}: this change {self.ours}, but meanwhile {self.theirs}"

    def error(self) -> DagError:
        """The same as an exception, for those who wanted a graph."""
        if self.kind == "cycle":
            return CycleError(self.keys)
        return {"unbound": UnboundParameter, "type": TypeMismatch}.get(self.kind, DagError)(str(self))
