"""`execute`: one attempt of one node, from a `Task` to an `Outcome`. It never raises.

An error would poison whatever the pool has chained to the task, so it is said in a report and the outcome is empty; a
task whose upstream has no value ends at once without a word: the controller takes it back anyway.
"""

from __future__ import annotations

import asyncio
import inspect
import threading
import time
import traceback
from collections.abc import Callable, Mapping
from contextvars import copy_context
from typing import Any, NamedTuple

from ..core.base.errors import HexdagError, SchemaError
from ..core.dag.dag import Dag
from ..core.dag.wiring import MANY
from ..core.machine import messages as ms
from ..core.runs.attempt import Input, Task
from ..core.runs.run import Failure
from ..core.runs.value import Kept
from . import values
from .context import RunContext, Say, Suspend, enter
from .ship import Loaded, load


class Outcome(NamedTuple):
    """What an attempt leaves in the pool: a value, or nothing."""

    ok: bool
    value: Any = None


NOTHING = Outcome(False)


class World(NamedTuple):
    """What an attempt may ask of the process it runs in.

    fetch  bytes of a blob by SHA-256;  keep  write a blob, None where that cannot be done here
    dag    the graph of a version of a run;  later  do something in the background
    """

    worker: str
    fetch: Callable[[str], bytes]
    keep: Callable[[bytes], str] | None
    dag: Callable[[str, int], Dag]
    later: Callable[[Callable[[], None]], None]


def execute(task: Task, code: bytes, upstream: Mapping[str, Outcome], say: Say, world: World) -> Outcome:
    """Run one attempt. `upstream` has the outcomes of the inputs that were made in the pool."""
    if not all(outcome.ok for outcome in upstream.values()):
        return NOTHING
    say(ms.Started(time.time(), task.node, task.fence, world.worker))
    began = time.perf_counter()
    try:
        loaded = load(code, task.code.partition(".")[0])
        arguments = _arguments(task, upstream, world)
        ctx = RunContext(task, world.worker, arguments, _restored(task, world), say, world.dag)
        value = _called(loaded, task, arguments, ctx)
        return _finished(task, value, time.perf_counter() - began, say, world)
    except Suspend as suspend:
        return _suspended(task, suspend, ctx, time.perf_counter() - began, say)
    except BaseException as error:  # whatever the user's code raises is a result of this attempt
        seconds = time.perf_counter() - began
        say(ms.Failed(time.time(), task.node, task.fence, seconds, failure_of(error), world.worker))
        return NOTHING


def _arguments(task: Task, upstream: Mapping[str, Outcome], world: World) -> dict[str, Any]:
    arguments: dict[str, Any] = dict(task.params)
    many: dict[str, Any] = {}
    for wanted in task.inputs:
        if wanted.param is None:
            continue
        value = _value(wanted, upstream, world)
        if wanted.param == MANY:
            many[wanted.up] = value
        else:
            arguments[wanted.param] = value
    if many and task.collector:
        arguments[task.collector] = dict(sorted(many.items()))
    return arguments


def _value(wanted: Input, upstream: Mapping[str, Outcome], world: World) -> Any:
    if wanted.up in upstream:
        return upstream[wanted.up].value
    assert wanted.kept is not None
    return read(wanted.kept, world.fetch)


def read(kept: Kept, fetch: Callable[[str], bytes]) -> Any:
    """A kept value, fetched if it is not inline."""
    return values.decode(kept, kept.inline if kept.inline is not None else fetch(kept.sha256))


def _restored(task: Task, world: World) -> Any:
    return None if task.saved is None else read(task.saved, world.fetch)


def _called(loaded: Loaded, task: Task, arguments: dict[str, Any], ctx: RunContext) -> Any:
    arguments = _validated_input(loaded, arguments)
    positional = [arguments.pop(name) for name in task.positional if name in arguments]
    if task.collector and task.collector in arguments and not _named(loaded.fn, task.collector):
        arguments.update(arguments.pop(task.collector))

    def call() -> Any:
        enter(ctx)
        value = loaded.fn(*positional, **arguments)
        return asyncio.run(_awaited(value)) if inspect.isawaitable(value) else value

    run = copy_context().run
    value = run(call) if task.timeout is None else _within(task.timeout, lambda: run(call))
    return _validated_output(loaded, value)


async def _awaited(value: Any) -> Any:
    return await value


def _named(fn: Callable[..., Any], name: str) -> bool:
    """Whether `name` is a parameter of its own, not `**name`."""
    try:
        return inspect.signature(fn).parameters[name].kind is not inspect.Parameter.VAR_KEYWORD
    except (ValueError, TypeError, KeyError):
        return True


def _within(seconds: float, call: Callable[[], Any]) -> Any:
    """The result of a call, or TimeoutError after so many seconds: the thread itself cannot be stopped."""
    box: list[tuple[bool, Any]] = []

    def run() -> None:
        try:
            box.append((True, call()))
        except BaseException as error:
            box.append((False, error))

    thread = threading.Thread(target=run, name="hexdag-attempt", daemon=True)
    thread.start()
    thread.join(seconds)
    if not box:
        raise TimeoutError(
            f"no result after {seconds:g} s; its thread goes on in this worker until it ends by itself"
        )
    ok, value = box[0]
    if not ok:
        raise value
    return value


def _validated_input(loaded: Loaded, arguments: dict[str, Any]) -> dict[str, Any]:
    if loaded.in_model is None:
        return arguments
    if len(arguments) == 1:
        (name,) = arguments
        return {name: loaded.in_model.model_validate(arguments[name])}
    valid = loaded.in_model.model_validate(arguments)
    return {name: getattr(valid, name) for name in loaded.in_model.model_fields}


def _validated_output(loaded: Loaded, value: Any) -> Any:
    return value if loaded.out_model is None else loaded.out_model.model_validate(value)


def _finished(task: Task, value: Any, seconds: float, say: Say, world: World) -> Outcome:
    if inspect.isgenerator(value) or inspect.isasyncgen(value):
        raise SchemaError("a node returned a generator, which cannot be shipped; return a list")
    size = values.rough_size(value)
    kept = values.in_pool(value) if size is not None and size > values.INLINE else values.encode(value)
    large = kept.size > values.INLINE or kept.where == "pool"

    def report(result: Kept) -> ms.Succeeded:
        return ms.Succeeded(time.time(), task.node, task.fence, seconds, result, world.worker)

    if not large:
        say(report(kept))
    elif task.durable is False or world.keep is None:
        say(report(values.in_pool(value)))
    elif task.durable:
        say(report(_blob(value, kept, world)))
    else:
        say(report(values.in_pool(value)))
        world.later(lambda: say(ms.ResultKept(time.time(), task.node, task.fence, _blob(value, kept, world))))
    return Outcome(True, value)


def _blob(value: Any, kept: Kept, world: World) -> Kept:
    """Write a value's bytes to the blob store: what is left in the report is its hash."""
    assert world.keep is not None
    if kept.inline is None:
        kept = values.encode(value)
    assert kept.inline is not None
    world.keep(kept.inline)
    return kept._replace(inline=None, where="blob")


def _suspended(task: Task, suspend: Suspend, ctx: RunContext, seconds: float, say: Say) -> Outcome:
    saved = None if ctx.saved is None else values.encode(ctx.saved)
    say(ms.Suspended(time.time(), task.node, task.fence, seconds, suspend.proposal, saved))
    return NOTHING


def failure_of(error: BaseException) -> Failure:
    """An exception as data, with the traceback of the user's own lines."""
    own = [frame for frame in traceback.extract_tb(error.__traceback__) if not _ours(frame.filename)]
    text = "".join(traceback.format_list(own)) if not isinstance(error, HexdagError) else ""
    return Failure(type(error).__name__, str(error)[:10_000], text[-20_000:])


def _ours(filename: str) -> bool:
    return filename.startswith(_HERE) or filename.endswith(("asyncio/runners.py", "asyncio/base_events.py"))


_HERE = __file__.rpartition("execute.py")[0]
