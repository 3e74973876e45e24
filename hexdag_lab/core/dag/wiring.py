"""Which upstream fills which parameter: decided once, when a node enters a graph, and written down as wires.

1. By name: an upstream called like a parameter fills it; so does a node of the graph, without `.after()`.
2. If then exactly one upstream and exactly one required parameter are left, they bind.
3. `**kw`, or a required parameter named `inputs`, takes all remaining upstreams as name -> value.
4. Any other upstream is order only.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable
from functools import lru_cache
from typing import Any, NamedTuple

from ..base.codec import namedtuple
from ..base.errors import TypeMismatch, UnboundParameter
from .code import Param
from .models import misfit, misfit_in_dict, misfit_of_type
from .node import NodeSpec
from .types import UNKNOWN, demands, misfits, returned, shown, values_of

MANY = "*"  #: the wire's value goes into the collector, under the upstream's name


class Wire(NamedTuple):
    """`up` fills parameter `param`; None is order only, "*" means the dict of remaining upstreams."""

    up: str
    param: str | None


namedtuple(Wire)
shared = lru_cache(maxsize=2**12)(Wire)  # for bulk loads, where a node's downstreams come soon one after another


def wire(
    spec: NodeSpec,
    ups: Iterable[str],
    exists: Callable[[str], bool],
    present: Iterable[Wire] = (),
    *,
    by_name: bool = True,
    new: Callable[[str, str | None], Wire] = Wire,
) -> tuple[Wire, ...]:
    """Wires of a node, sorted by upstream. `ups`: explicit upstreams; `present`: wires that stay as they are.

    `by_name` also looks for nodes of the graph that are named like a parameter; `new` makes a wire, or finds one.
    """
    names, required, collector = spec.code.shape
    wires = list(present)
    explicit = set(ups)
    filled = set(spec.params)
    known: Container[str] = ()
    if wires:
        known = {w.up for w in wires}
        explicit.difference_update(known)
        filled.update([w.param for w in wires if w.param is not None])
    for name in names:
        if name in filled:
            continue
        if name in explicit:
            explicit.remove(name)
        elif not (by_name and name not in known and name != spec.name and exists(name)):
            continue
        wires.append(new(name, name))
        filled.add(name)
    if explicit:
        unfilled = [name for name in required if name not in filled]
        if len(explicit) == 1 and len(unfilled) == 1:
            param: str | None = unfilled[0]
        else:
            param = MANY if collector and collector not in filled else None
        wires += [new(up, param) for up in explicit]
    wires.sort()  # by upstream: no two have the same
    return tuple(wires)


def rewire(spec: NodeSpec, old: Iterable[Wire], exists: Callable[[str], bool]) -> tuple[Wire, ...]:
    """Wires of a node whose code was replaced: a wire stays if its parameter is still there to be filled."""
    old = tuple(old)
    names = set(spec.code.names()) - set(spec.params)
    collects = spec.code.collector is not None
    stay = [w for w in old if (w.param in names) or (w.param == MANY and collects)]
    return wire(spec, (*(w.up for w in old), *spec.deps), exists, stay)


def check_wires(spec: NodeSpec, wires: Iterable[Wire]) -> None:
    """Raise `UnboundParameter` if a wire fills a parameter that is not there, or that is filled twice."""
    filled = dict.fromkeys(spec.params, "its params")
    names, _, collector = spec.code.shape
    for up, param in wires:
        if param is None:
            continue
        if param == MANY:
            if collector is None:
                raise UnboundParameter(f"{spec.name}: takes no further inputs, so {up!r} cannot go into **kw")
            continue
        if param not in names:
            raise UnboundParameter(f"{spec.name}: {up!r} should fill {param!r}, which {spec.code.name}() does not take")
        if param in filled:
            raise UnboundParameter(f"{spec.name}: {param!r} is filled by both {filled[param]} and {up!r}")
        filled[param] = repr(up)


def check_models(spec: NodeSpec, wires: Iterable[Wire], upstream: Callable[[str], NodeSpec]) -> None:
    """Raise `TypeMismatch` if what an upstream gives cannot be what the node takes: by models, else by annotations."""
    if spec.in_model is not None:
        _check_in_model(spec, [w for w in wires if w.param is not None], upstream)
        return
    wanted = demands(spec.fn)
    if not wanted:
        return
    collector = spec.code.collector
    for up, param in wires:
        name = collector if param == MANY else param
        if name is None or name not in wanted:
            continue
        wants = wanted[name]
        if param == MANY and Param(str(name), False, "many") not in spec.code.params:  # not **kw, but a dict
            wants = values_of(wants)
        if wants is not UNKNOWN and misfits(given := gives(upstream(up)), wants):
            takes = f"parameter {name!r} of {spec.name} is {shown(wants)}"
            raise TypeMismatch(f"{up} -> {spec.name}: {up} gives {shown(given)}, but {takes}")


def gives(up: NodeSpec) -> Any:
    """The type of a node's result, as far as it is known."""
    if up.out_model is not None:
        return up.out_model.cls or UNKNOWN
    return returned(up.fn)


def _check_in_model(spec: NodeSpec, wires: list[Wire], upstream: Callable[[str], NodeSpec]) -> None:
    wanted = spec.in_model
    filling = [w for w in wires if w.param != MANY]
    needed = {p.name for p in spec.required()} | {w.param for w in filling} | set(spec.params)
    alone = len(needed) == 1 and spec.code.collector is None
    for up, param in filling:
        given = upstream(up).out_model
        if given is not None:
            why = misfit(given, wanted) if alone else misfit_in_dict(given, str(param), wanted)
        elif alone and len(spec.code.names()) > 1:
            why = None  # it is alone unless the run's inputs fill another parameter
        else:
            why = misfit_of_type(gives(upstream(up)), None if alone else param, wanted)
        if why:
            raise TypeMismatch(f"{up} -> {spec.name}: {why}")
