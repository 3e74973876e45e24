"""`diff(a, b)`: what differs between two graphs, as sorted names, for people."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from ..base.pictures import bundle
from .changeset import Changeset
from .dag import Dag
from .entry import Edge


@dataclass(frozen=True, slots=True, repr=False)
class Diff:
    """What differs between two graphs; every field is sorted.

    changed   nodes with another spec, and nodes whose upstreams fill other parameters than before
    graphs    the old and the new graph, for whoever draws it
    """

    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    edges_added: tuple[Edge, ...] = ()
    edges_removed: tuple[Edge, ...] = ()
    graphs: tuple[Dag, Dag] | None = field(default=None, compare=False)

    def __bool__(self) -> bool:
        return any((self.added, self.removed, self.changed, self.edges_added, self.edges_removed))

    def __str__(self) -> str:
        lines = [f"+ {n}" for n in self.added] + [f"- {n}" for n in self.removed] + [f"~ {n}" for n in self.changed]
        lines += [f"+ {u} -> {d}" for u, d in self.edges_added] + [f"- {u} -> {d}" for u, d in self.edges_removed]
        return "\n".join(lines) or "(no difference)"

    __repr__ = __str__

    def _repr_mimebundle_(self, **_: Any) -> dict[str, str]:
        return bundle(self, str(self))


def diff(old: Dag, new: Dag) -> Diff:
    """What must be done to `old` to get `new`: O(changes x log n)."""
    return replace(diff_of(Changeset.between(old, new)), graphs=(old, new))


def diff_of(changeset: Changeset) -> Diff:
    """A changeset's net effect as a `Diff`."""
    rewired = {down for (_, down), edge in changeset.edges.items() if edge.old is not None and edge.new is not None}
    changed = tuple(sorted(rewired | set(changeset.changed)))
    return Diff(changeset.added, changeset.removed, changed, changeset.edges_added, changeset.edges_removed)
