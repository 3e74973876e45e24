"""`Catalog`: functions by name, so that text (JSON, YAML, an agent's answer) can say which code it means."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ..base.errors import DuplicateNode
from .node import NodeSpec, spec_of


class Catalog(Mapping[str, NodeSpec]):
    """Registered operations: `Catalog(load, fit, report)`; each name stands for one node's spec."""

    def __init__(self, *nodes: Any, **named: Any) -> None:
        self._specs: dict[str, NodeSpec] = {}
        for name, value in [*((None, node) for node in nodes), *named.items()]:
            spec = spec_of(value)
            key = name or spec.name
            if key in self._specs:
                raise DuplicateNode(f"the catalog has an operation {key!r} already")
            self._specs[key] = spec

    def __getitem__(self, name: str) -> NodeSpec:
        return self._specs[name]

    def __iter__(self) -> Iterator[str]:
        return iter(sorted(self._specs))

    def __len__(self) -> int:
        return len(self._specs)
