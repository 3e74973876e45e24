"""A graph as text: JSON with a schema version, YAML, DOT; and JSON and YAML back again.

The text holds no code, only names and hashes of code; `from_json` takes a catalog that gives the functions, and
without one makes a graph that can be looked at, compared and changed, but not run.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from functools import lru_cache
from json.encoder import encode_basestring as _quoted
from math import isfinite
from operator import itemgetter
from typing import Any, Protocol

from ..base.errors import DagError, SchemaError
from .callback import Callback
from .code import Code
from .node import CALLBACKS, NOT_READ, NodeSpec, spec_of
from .spec_data import code_to_data, spec_from_data, spec_to_data
from .wiring import Wire

MOST_NAMES = 8  #: that an error lists
SCHEMA = 1  #: of texts; a field that may be left out needs no new one: who does not know it refuses it by name
#: how a text of an older schema becomes one of the next: schema -> function of its data
UPGRADES: dict[int, Callable[[dict[str, Any]], dict[str, Any]]] = {}
_FIELDS = frozenset({"schema", "version", "nodes", "edges", "!"})


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


def dag_to_data(dag: Graph, code: Callable[[Code], Any] = code_to_data) -> dict[str, Any]:
    """A graph as JSON-able data, nodes and edges sorted; `code` says what stands for code."""
    entries = sorted(dag.entries.items(), key=itemgetter(0))
    nodes = [spec_to_data(entry.spec, code) for _, entry in entries]
    edges = [[up, name, param] for name, entry in entries for up, param in entry.wires]
    return {"schema": SCHEMA, "version": dag.version, "nodes": nodes, "edges": edges}


def dag_from_data(data: Any, catalog: Mapping[str, Any] | None = None) -> Parts:
    """The parts of the graph that `dag_to_data` was given; raises `SchemaError` or another `DagError`."""
    data = _upgraded(data) if isinstance(data, dict) else data
    if not isinstance(data, dict) or not isinstance(data.get("nodes"), list):
        raise SchemaError("this is not a graph: expected an object with a list 'nodes'")
    schema = data.get("schema")
    if schema != SCHEMA or type(schema) is not int:
        raise SchemaError(f"this graph has schema {schema!r}, but this hexdag_lab reads schema {SCHEMA}: upgrade it")
    if unknown := sorted(map(str, data.keys() - _FIELDS)):
        raise SchemaError(f"a graph has no field {unknown[0]!r}; it has schema, version, nodes and edges")
    version = data.get("version", 1)
    if type(version) is not int or version < 1:
        raise SchemaError(f"the version of a graph is a number from 1, not {version!r}")
    specs = _with_code([spec_from_data(node) for node in data["nodes"]], catalog)
    wires = _wires({spec.name for spec in specs}, data.get("edges", []))
    if len(wires) != len(specs):
        names = [spec.name for spec in specs]
        raise SchemaError(f"a node name stands twice: {next(n for n in names if names.count(n) > 1)!r}")
    return [(spec, tuple(wires[spec.name])) for spec in specs], version


def _upgraded(data: dict[str, Any]) -> dict[str, Any]:
    """The data of an older schema in the form of this one."""
    schema = data.get("schema")
    if type(schema) is int and schema in UPGRADES:
        for step in range(schema, SCHEMA):
            data = UPGRADES[step](data)
        data = {**data, "schema": SCHEMA}
    return data


def _wires(names: set[str], edges: Any) -> dict[str, list[Wire]]:
    """The wires of each node, sorted by upstream."""
    found: dict[str, dict[str, Wire]] = {name: {} for name in names}
    if not isinstance(edges, list):
        raise SchemaError("'edges' is a list of [upstream, node, parameter]")
    for edge in edges:
        match edge:
            case [str(up), str(down), str() | None as param] if up in names and down in names:
                if up in found[down]:
                    raise SchemaError(f"the edge {up} -> {down} stands twice")
                found[down][up] = Wire(up, param)
            case [str(up), str(down), str() | None]:
                gone = up if up not in names else down
                why = f"there is no node {gone!r}; add it, or drop the edge"
                raise SchemaError(f"edge {edge!r} does not lead from node to node: {why}")
            case _:
                raise SchemaError(f"edge {edge!r} does not lead from node to node; write [upstream, node, parameter]")
    return {name: [wires[up] for up in sorted(wires)] for name, wires in found.items()}


def _with_code(specs: list[NodeSpec], catalog: Mapping[str, Any] | None) -> list[NodeSpec]:
    """The specs with their functions: the one with the same code, else the one with the name of code or node."""
    if catalog is None:
        return specs
    operations = {name: spec_of(value) for name, value in catalog.items()}
    by_code = {spec.code.digest: spec for spec in operations.values()}

    def operation(code: Code, node: str, *more: str) -> NodeSpec:
        names = (code.name, code.name.rpartition(".")[2], *more)
        found = by_code.get(code.digest) or next((operations[n] for n in names if n in operations), None)
        if found is None:
            there = ", ".join(sorted(operations)[:MOST_NAMES]) or "nothing"
            raise SchemaError(f"node {node!r}: the catalog has no operation {names[1]!r}; it has {there}")
        return found

    made = []
    for spec in specs:
        found = operation(spec.code, spec.name, spec.name)
        code = found.code if found.version == spec.version else NOT_READ
        beside = {}
        for name in CALLBACKS:
            said, own = getattr(spec, name), getattr(found, name)
            if said is not None and said == own:  # the catalog's node brings its own along
                beside[name] = own
            elif said is not None:
                other = operation(said.code, spec.name)
                beside[name] = Callback(other.code, other.fn)
        made.append(spec.but(fn=found.fn, code=code, blob=None, **beside))
    return made


def to_json(dag: Graph) -> str:
    return _indented(dag_to_data(dag, code=_same), "\n")


def _indented(value: Any, pad: str) -> str:
    """What `json.dumps` writes of data with `indent=1`; the text of code is kept, for many nodes have the same.

    `pad`: a line end, and the blanks before what closes the value. Keys are text.
    """
    if isinstance(value, str):
        return _quoted(value)
    inner = pad + " "
    if isinstance(value, dict) and value:
        items = [f"{_quoted(key)}: {_indented(item, inner)}" for key, item in value.items()]
        return f"{{{inner}{f',{inner}'.join(items)}{pad}}}"
    if isinstance(value, list | tuple) and value:
        return f"[{inner}{f',{inner}'.join([_indented(item, inner) for item in value])}{pad}]"
    if isinstance(value, Code):
        return _indented_code(value, pad)
    return json.dumps(value, allow_nan=False)


@lru_cache(maxsize=1000)
def _indented_code(code: Code, pad: str) -> str:
    return _indented(code_to_data(code), pad)


def _same(code: Code) -> Any:
    return code


def from_json(text: str | bytes, catalog: Mapping[str, Any] | None = None) -> Parts:
    if not isinstance(text, str | bytes):
        raise SchemaError(f"a graph is read from text, not from {type(text).__name__}")
    try:
        data = json.loads(text, object_pairs_hook=_no_duplicates, parse_constant=_no_constant, parse_float=_finite)
    except DagError:
        raise
    except (ValueError, RecursionError) as error:
        raise SchemaError(f"this is not JSON: {error}") from error
    return dag_from_data(data, catalog)


def _no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise SchemaError(f"the key {twice!r} stands twice in one object")
    return found


def _no_constant(name: str) -> Any:
    raise SchemaError(f"{name} is not a finite number")


def _finite(text: str) -> float:
    value = float(text)
    return value if isfinite(value) else _no_constant(text)


def to_yaml(dag: Graph) -> str:
    import yaml  # not needed by anybody else here

    text: str = yaml.safe_dump(dag_to_data(dag), sort_keys=False, allow_unicode=True, width=100)
    return text


def from_yaml(text: str | bytes, catalog: Mapping[str, Any] | None = None) -> Parts:
    from . import yaml_text  # not needed by anybody else here

    return dag_from_data(yaml_text.loads(text), catalog)


def to_dot(dag: Graph) -> str:
    lines = ["digraph hexdag {", "  rankdir=LR;", "  node [shape=box, style=rounded];"]
    for wave in dag.waves:
        lines.append("  {rank=same; " + " ".join(f'"{name}";' for name in wave) + "}")
    edges = sorted((w.up, name) for name, entry in dag.entries.items() for w in entry.wires)
    lines += [f'  "{up}" -> "{down}";' for up, down in edges]
    return "\n".join([*lines, "}"]) + "\n"
