"""A graph as text: JSON with a schema version, YAML, DOT; and JSON back again.

The text holds no code, only names and hashes of code; `from_json` takes a catalog that gives the functions, and
without one makes a graph that can be looked at, compared and changed, but not run.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Protocol

from ..base.errors import DagError, SchemaError
from .node import Node, NodeSpec, spec_from_data, spec_of, spec_to_data
from .wiring import Wire

SCHEMA = 1


class Graph(Protocol):
    """What of a `Dag` goes into text."""

    @property
    def version(self) -> int: ...
    @property
    def entries(self) -> Mapping[str, Any]: ...
    @property
    def waves(self) -> tuple[tuple[str, ...], ...]: ...


Parts = tuple[list[tuple[NodeSpec, tuple[Wire, ...]]], int]
"""What a `Dag` is made of: wired specs, and the version number."""


def dag_to_data(dag: Graph) -> dict[str, Any]:
    """A graph as JSON-able data, nodes and edges sorted."""
    nodes = [spec_to_data(dag.entries[name].spec) for name in sorted(dag.entries)]
    edges = [[w.up, name, w.param] for name in sorted(dag.entries) for w in dag.entries[name].wires]
    return {"schema": SCHEMA, "version": dag.version, "nodes": nodes, "edges": edges}


def dag_from_data(data: Any, catalog: Mapping[str, Any] | None = None) -> Parts:
    """The parts of the graph that `dag_to_data` was given; raises `SchemaError` or another `DagError`."""
    if not isinstance(data, dict) or not isinstance(data.get("nodes"), list):
        raise SchemaError("this is not a graph: expected an object with a list 'nodes'")
    if data.get("schema") != SCHEMA:
        raise SchemaError(
            f"this graph has schema {data.get('schema')!r}, but this hexdag_lab reads schema {SCHEMA}: upgrade it"
        )
    specs = [_with_code(spec_from_data(node), catalog) for node in data["nodes"]]
    names = [spec.name for spec in specs]
    if len(set(names)) != len(names):
        raise SchemaError(f"a node name stands twice: {next(n for n in names if names.count(n) > 1)!r}")
    wires: dict[str, list[Wire]] = {name: [] for name in names}
    for edge in data.get("edges", []):
        try:
            up, down, param = edge
            wires[down].append(Wire(up, param))
        except (KeyError, ValueError, TypeError) as error:
            raise SchemaError(f"edge {edge!r} does not lead to a node; write [upstream, node, parameter]") from error
    pairs = [(spec, tuple(sorted(wires[spec.name], key=lambda w: w.up))) for spec in specs]
    return pairs, data.get("version", 1)


def _with_code(spec: NodeSpec, catalog: Mapping[str, Any] | None) -> NodeSpec:
    if catalog is None:
        return spec
    found = catalog.get(spec.code.name) or catalog.get(spec.name)
    if found is None:
        raise SchemaError(f"node {spec.name!r}: the catalog has no operation {spec.code.name!r}")
    operation = found if isinstance(found, NodeSpec) else spec_of(found) if isinstance(found, Node) else None
    fn = found if operation is None else operation.fn
    return spec.but(fn=fn)


def to_json(dag: Graph) -> str:
    return json.dumps(dag_to_data(dag), indent=1, ensure_ascii=False)


def from_json(text: str | bytes, catalog: Mapping[str, Any] | None = None) -> Parts:
    try:
        data = json.loads(text, object_pairs_hook=_no_duplicates, parse_constant=_no_constant)
    except DagError:
        raise
    except (ValueError, RecursionError) as error:
        raise SchemaError(f"this is not JSON: {error}") from error
    return dag_from_data(data, catalog)


def _no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise SchemaError(f"the key {key!r} stands twice in one object")
        found[key] = value
    return found


def _no_constant(name: str) -> Any:
    raise SchemaError(f"{name} is not a finite number")


def to_yaml(dag: Graph) -> str:
    import yaml  # not needed by anybody else here

    text: str = yaml.safe_dump(dag_to_data(dag), sort_keys=False, allow_unicode=True)
    return text


def to_dot(dag: Graph) -> str:
    lines = ["digraph hexdag {", "  rankdir=LR;", "  node [shape=box, style=rounded];"]
    for wave in dag.waves:
        lines.append("  {rank=same; " + " ".join(f'"{name}";' for name in wave) + "}")
    edges = sorted((w.up, name) for name, entry in dag.entries.items() for w in entry.wires)
    lines += [f'  "{up}" -> "{down}";' for up, down in edges]
    return "\n".join([*lines, "}"]) + "\n"

