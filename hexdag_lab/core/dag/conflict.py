"""`Conflict`: why a change no longer applies, as a value that carries both intents."""

from __future__ import annotations

from ..base.codec import record


@record
class Conflict:
    """Why a changeset no longer applies. `kind`: both-added, both-changed, remove-vs-change, dangling, cycle, unbound.

    ours: what the changeset wanted; theirs: what the graph has become. Both read as one sentence.
    """

    kind: str
    keys: tuple[str, ...]
    ours: str
    theirs: str

    def __str__(self) -> str:
        return f"{self.kind} on {', '.join(self.keys)}: this change {self.ours}, but meanwhile {self.theirs}"
