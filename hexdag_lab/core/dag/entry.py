"""What a graph holds for each node: `Entry`, which is content, and `Place`, which is derived from it."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from hashlib import sha256
from typing import NamedTuple, TypeAlias

from ..base.errors import UnknownNode
from ..base.overlay import Overlay
from .node import NodeSpec
from .wiring import MANY, Wire

Edge = tuple[str, str]


class Entry(NamedTuple):
    """A node as it stands in a graph: its spec and its wires, sorted by upstream."""

    spec: NodeSpec
    wires: tuple[Wire, ...] = ()

    @property
    def digest(self) -> bytes:
        """Content hash: 32 bytes. The map that holds the entry keeps what it makes of it."""
        # Each text with its length, so that no two lists of wires look alike; canonical bytes take three times as long.
        wires = "".join([f"{len(up)} {up} {'-' if p is None else f'{len(p)} {p}'} " for up, p in self.wires])
        return sha256(self.spec.identity() + wires.encode("utf-8", "surrogatepass")).digest()


Downs: TypeAlias = tuple[str, ...] | Overlay[bool]
"""The names of downstreams, in no order: a tuple of few, an overlay of many, so that an edit at a hub costs no more."""

Place: TypeAlias = tuple[int, Downs]
"""Where a node stands: its level, and what is below it. In one record, for an edit asks for both: see decision 0019."""

FEW = 32


def downs_of(names: Sequence[str]) -> Downs:
    """Downstreams from distinct names."""
    return tuple(names) if len(names) <= FEW else Overlay(dict.fromkeys(names, True))


def with_down(downs: Downs, name: str) -> Downs:
    """Downstreams with one more, which is not among them."""
    if isinstance(downs, tuple):
        return (*downs, name) if len(downs) < FEW else downs_of((*downs, name))
    return downs.update({name: True})


def without_downs(downs: Downs, names: Collection[str]) -> Downs:
    """Downstreams without some."""
    if isinstance(downs, tuple):
        return tuple([name for name in downs if name not in names])
    return downs.update(dict.fromkeys(names))


def unbound_params(entry: Entry) -> list[str]:
    """The required parameters of a node that no wire and no value fills."""
    filled = {w.param for w in entry.wires}
    missing = [p.name for p in entry.spec.required() if p.name not in filled]
    collector = entry.spec.code.collector
    needs_many = any(p.name == collector and p.required for p in entry.spec.code.params)
    if needs_many and collector not in filled and MANY not in filled and collector not in entry.spec.params:
        missing.append(str(collector))
    return missing


def unknown_node(name: str, names: Iterable[str], why: str = "") -> UnknownNode:
    """The error that says which names there are."""
    known = sorted(names)
    shown = ", ".join(known[:8]) + (", …" if len(known) > 8 else "")
    reason = f", but {why}" if why else ""
    return UnknownNode(f"there is no node {name!r}{reason}; the nodes are {shown or 'none'}")
