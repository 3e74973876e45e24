"""Graphs from elsewhere as a `Dag`: of `dask.delayed`, of a module's functions, of hexdag.

What comes out computes what the source would. Where that cannot be, as with a node that runs only if an expression of
another language holds, it is refused here, by node and by what it is: never carried over in part. Nothing is run.
"""

from __future__ import annotations

import inspect
import keyword
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from types import ModuleType
from typing import Any

from ..core.base.errors import SchemaError
from ..core.dag.dag import Dag
from ..core.dag.node import Node, NodeSpec
from ..worker.pickling import dumps

_UNFIT = re.compile(r"[^\w-]")
LONGEST = 100  #: characters of a node's name, before a number that tells it from others


# -- dask.delayed


def from_delayed(obj: Any) -> Dag:
    """The graph of a `dask.delayed` object: one node for each call and each value that was wrapped.

    Nodes are named by their functions, `inc`, `inc_2`, …; the last one, which nothing depends on, is the result. What
    the result does not need is left out, as `obj.compute()` does. Raises `SchemaError` for anything but one delayed
    object, and for a call whose function or arguments cannot be shipped.
    """
    from dask._task_spec import convert_legacy_graph  # the one place that knows both forms of tasks
    from dask.delayed import Delayed

    if not isinstance(obj, Delayed):
        what = f"{type(obj).__module__}.{type(obj).__qualname__}"
        fix = "wrap what belongs together: dask.delayed(list)([a, b])"
        raise SchemaError(f"from_delayed takes one dask.delayed object, not a {what}; {fix}")
    (key,) = obj.__dask_keys__()
    tasks = _needed(convert_legacy_graph(dict(obj.__dask_graph__())), key)
    names = _named(tasks)
    return Dag.of(*(_of_task(name, tasks[key], names) for key, name in names.items()))


def _needed(tasks: Mapping[Any, Any], key: Any) -> dict[Any, Any]:
    """The tasks that one is made of, each after what it depends on."""
    found: dict[Any, Any] = {}
    place = {key: number for number, key in enumerate(tasks)}  # as the program has it: keys are random
    stack = [(key, False)]
    while stack:
        key, entered = stack.pop()
        if key in found:
            continue
        if entered:
            found[key] = tasks[key]
            continue
        stack.append((key, True))
        stack += [(up, False) for up in sorted(tasks[key].dependencies, key=place.__getitem__, reverse=True)]
    return found


def _named(tasks: Iterable[Any]) -> dict[Any, str]:
    """Key -> the name of its node."""
    from dask.utils import key_split

    found: dict[Any, str] = {}
    taken: set[str] = set()
    for key in tasks:
        stem = _UNFIT.sub("_", key_split(key))[:LONGEST]
        stem = stem if re.match(r"[^\W\d]", stem) and not keyword.iskeyword(stem) else f"_{stem}"
        name, number = stem, 1
        while name in taken:
            number += 1
            name = f"{stem}_{number}"
        taken.add(name)
        found[key] = name
    return found


def _of_task(name: str, task: Any, names: Mapping[Any, str]) -> NodeSpec:
    ups = {names[key]: key for key in task.dependencies}
    _check_ships(task, f"from_delayed: {name} ({task.key!r})")

    def call(**given: Any) -> Any:
        return task({key: given[up] for up, key in ups.items()})

    def value() -> Any:
        return task()

    return NodeSpec(name, call if ups else value).after(*ups)


# -- functions


def from_functions(module: ModuleType) -> Dag:
    """The graph of a module's own functions and `@node`s, wired by the names of their parameters.

    A parameter called like a function takes its result; any other required one is an input of the graph. What begins
    with "_", is a class, or was imported from elsewhere, is no node. Raises `SchemaError` for a module without
    functions, and what `Dag.of` raises.
    """
    if not isinstance(module, ModuleType):
        raise SchemaError(f"from_functions takes a module, not {module!r}; of functions themselves: Dag.of(load, fit)")
    found = [fn for name, fn in sorted(vars(module).items()) if _is_step(name, fn, module)]
    if not found:
        raise SchemaError(f"module {module.__name__} has no functions of its own whose names do not begin with '_'")
    return Dag.of(*found)


def _is_step(name: str, value: Any, module: ModuleType) -> bool:
    fits = isinstance(value, Node) or inspect.isfunction(value)
    if not fits or name.startswith("_") or value.__module__ != module.__name__:
        return False
    return isinstance(value, Node) or value.__name__ == name  # not one that has a second name here


# -- hexdag

_REFUSED: Mapping[str, str] = {
    "when": "runs only where an expression of hexdag holds; write it as a function: NodeSpec(…, when=lambda x: …)",
    "on_error": "names a node that runs if it fails; here that is a function: NodeSpec(…, on_error=lambda error: …)",
    "critical": "fails the graph if it is skipped, which has no meaning here",
    "required_inputs": "names inputs that may not be None; check them in the function",
    "accepted_params": "has its arguments inferred by hexdag; write a function that takes its input as it comes",
    "factory_class": "was made by a factory of hexdag, and needs its ports; give the node a function of its own",
    "retry_max_delay": "bounds the delay between retries, which is not bounded here; set retries and backoff",
}
"""Field of hexdag's `NodeSpec` -> why a node that uses it cannot be carried over."""
_DOUBLES = (None, 2.0)  #: what the delay between retries may be multiplied with


def from_hexdag(graph: Any) -> Dag:
    """The graph of hexdag's `DirectedGraph` (0.8), as its orchestrator runs it without ports and observers.

    A node gets what it gets there: the run's input where it has no dependencies, here the input `initial_input` of the
    graph; the result of the only one; or a dict of all. Models are applied as there: what does not fit them goes on
    as it is. Timeouts and retries are kept. Raises `SchemaError`, with the node and what to do, for `when`, `on_error`,
    `input_mapping` and all else that only hexdag can run, and for functions that cannot be shipped.
    """
    if not callable(getattr(graph, "values", None)) or not callable(getattr(graph, "waves", None)):
        raise SchemaError(f"from_hexdag takes a hexdag DirectedGraph, not {type(graph).__name__}")
    return Dag.of(*(_of_hexdag(node) for node in graph.values()))


def _of_hexdag(node: Any) -> NodeSpec:
    for why in _objections(node):
        raise SchemaError(f"from_hexdag: node {node.name!r} {why}")
    _check_ships(node.fn, f"from_hexdag: node {node.name!r}")
    attempts, delay = node.max_retries or 1, node.retry_delay
    options = {"timeout": node.timeout, "retries": attempts - 1, "backoff": 1.0 if delay is None else delay}
    return NodeSpec(node.name, _step_of(node), **options).after(*node.deps)


def _objections(node: Any) -> Iterator[str]:
    for field, why in _REFUSED.items():
        if getattr(node, field, None):
            yield f"has {field}={getattr(node, field)!r}: it {why}"
    if "input_mapping" in node.params:
        yield "has an input_mapping, which only hexdag can read; write a function that takes its input as it comes"
    if node.retry_backoff not in _DOUBLES:
        yield f"has retry_backoff={node.retry_backoff!r}: here the delay between retries always doubles"


def _step_of(node: Any) -> Callable[..., Any]:
    """A function that takes its inputs as ours do, and gives a node's function what hexdag would give it."""
    fn, in_model, out_model, alone = node.fn, node.in_model, node.out_model, len(node.deps) == 1

    def fitted(data: Any, model: Any) -> Any:
        if model is None or isinstance(data, model):
            return data
        try:
            return model.model_validate(data.model_dump() if hasattr(data, "model_dump") else data)
        except Exception:  # as hexdag does, unless its validation is strict
            return data

    async def awaited(coming: Any) -> Any:
        return fitted(await coming, out_model)

    def run(data: Any) -> Any:
        made = fn(fitted(data, in_model))
        return awaited(made) if inspect.isawaitable(made) else fitted(made, out_model)

    def root(initial_input: Any) -> Any:
        return run(initial_input)

    def step(**given: Any) -> Any:
        (first, *_) = given.values()
        return run(first if alone else given)

    return step if node.deps else root


def _check_ships(value: Any, what: str) -> None:
    """Raise `SchemaError` where something cannot go to a worker: here one still knows which node it is."""
    try:
        dumps(value)
    except Exception as error:  # any object's own code
        raise SchemaError(f"{what} cannot be shipped to workers: {type(error).__name__}: {error}") from error
