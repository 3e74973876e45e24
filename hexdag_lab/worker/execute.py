"""`execute`: one attempt of one node, from a `Task` to an `Outcome`. It never raises.

An error would poison whatever the pool has chained to the task, so it is said in a report and the outcome is empty; a
task whose upstream has no value ends at once without a word: the controller takes it back anyway.
"""

from __future__ import annotations

import inspect
import time
from collections.abc import Callable, Mapping
from contextvars import copy_context
from copy import deepcopy
from typing import Any, NamedTuple

from ..core.base.errors import HexdagError, SchemaError
from ..core.dag.dag import Dag
from ..core.dag.wiring import MANY
from ..core.machine import messages as ms
from ..core.runs.attempt import Input, Task
from ..core.runs.value import Kept
from . import values
from .calls import (
    called_beside,
    declined,
    named_arguments,
    validated_input,
    validated_output,
    with_positional,
)
from .context import UNCHANGED, Note, RunContext, Say, Skip, Suspend, enter
from .failures import failure_of
from .given import Given
from .printed import Said, printing
from .safepoint import Answers, Displaced, SafePoints, driven, has_safe_points
from .ship import Loaded, load
from .within import Running, within


class Outcome(NamedTuple):
    """What an attempt leaves in the pool: a value, or nothing.

    A small value is there as bytes, so that each reader gets one of its own, as it would from the journal; a large one
    is the live object.
    """

    ok: bool
    live: Any = None
    encoded: Kept | None = None

    def read(self) -> Any:
        """The value."""
        return self.live if self.encoded is None else values.decode(self.encoded, self.encoded.inline or b"")


NOTHING = Outcome(False)


class World(NamedTuple):
    """What an attempt may ask of the process it runs in.

    fetch  bytes of a blob by SHA-256;  keep  write a blob, None where that cannot be done here
    dag    the graph of a version of a run;  later  do something in the background
    answers  where attempts hear whether to go on from a safe point; None: they always do
    stray  a thread that has run out of time cannot be stopped: do what is to be done about it, and say it
    """

    worker: str
    fetch: Callable[[str], bytes]
    keep: Callable[[bytes], str] | None
    dag: Callable[[str, int], Dag]
    later: Callable[[Callable[[], None]], None]
    answers: Answers | None = None
    stray: Callable[[], str] = lambda: "it goes on until it ends by itself"


def execute(task: Task, code: bytes, upstream: Mapping[str, Outcome], say: Say, world: World) -> Outcome:
    """Run one attempt. `upstream` has the outcomes of the inputs that were made in the pool."""
    if not all(outcome.ok for outcome in upstream.values()):
        return NOTHING
    say(ms.Started(time.time(), task.node, task.fence, world.worker))
    began = time.perf_counter()

    def seconds() -> float:
        return time.perf_counter() - began

    def tell(said: Said) -> None:
        text, stream, left_out, passing = said
        say(Note(time.time(), task.node, task.fence, text, None, task.attempt, stream, left_out, passing))

    try:
        loaded = load(code, task.code.partition(".")[0])
        arguments = _arguments(task, upstream, world)
        restored = _restored(task, world)
        points = SafePoints(task, world.worker, say, world.answers)
        if has_safe_points(loaded.fn):
            points.reach(None)
        try:
            with printing(tell) as printed:

                def save(state: Any) -> None:
                    printed.flush()
                    points.reach(None if state is UNCHANGED else _saved(state, world))

                asked = loaded.fn.fn if isinstance(loaded.fn, Given) else None
                ctx = RunContext(
                    task, world.worker, arguments, restored, printed.before(say), world.dag, save, asked=asked,
                    returns=loaded.out_model,
                )  # fmt: skip
                value = _called(loaded, task, arguments, ctx, world.stray)
        except Skip as skip:
            say(ms.Skipped(time.time(), task.node, task.fence, seconds(), skip.why))
            return NOTHING
        except Suspend as suspend:
            say(_suspended(task, suspend, ctx, seconds(), world))
            return NOTHING
        return _finished(task, value, seconds(), say, world)
    except Displaced:  # its node goes on elsewhere, and nothing that it could say counts
        return NOTHING
    except BaseException as error:  # whatever the user's code raises is a result of this attempt
        say(ms.Failed(time.time(), task.node, task.fence, seconds(), failure_of(error), world.worker))
        return NOTHING


# -- what goes in


def _arguments(task: Task, upstream: Mapping[str, Outcome], world: World) -> dict[str, Any]:
    arguments: dict[str, Any] = deepcopy(dict(task.params))  # a node may change what it gets, but not the graph
    many: dict[str, Any] = {}
    for wanted in task.inputs:
        if wanted.param is None:
            continue
        value = _value(wanted, upstream, world)
        if wanted.param == MANY:
            many[wanted.up] = value
        else:
            arguments[wanted.param] = value
    if task.collector:  # empty, where all that it would collect was skipped
        arguments.setdefault(task.collector, dict(sorted(many.items())))
    return arguments


def _value(wanted: Input, upstream: Mapping[str, Outcome], world: World) -> Any:
    what = f"the result of {wanted.up}" if wanted.up else f"the input {wanted.param!r}"
    if wanted.up in upstream:
        return _said(what, upstream[wanted.up].read)
    if wanted.kept is None:
        raise SchemaError(f"{what} did not come along with this attempt")
    kept = wanted.kept
    return _said(what, lambda: read(kept, world.fetch))


def _said(what: str, reading: Callable[[], Any]) -> Any:
    """A value; an error says which one it is about."""
    try:
        return reading()
    except (HexdagError, OSError) as error:
        raise SchemaError(f"{what} cannot be read: {error}") from error


def read(kept: Kept, fetch: Callable[[str], bytes]) -> Any:
    """A kept value, fetched if it is not inline."""
    return values.decode(kept, kept.inline if kept.inline is not None else fetch(kept.sha256))


def _restored(task: Task, world: World) -> Any:
    saved = task.saved
    return None if saved is None else _said("what it gave to checkpoint()", lambda: read(saved, world.fetch))


# -- the call


def _called(loaded: Loaded, task: Task, arguments: dict[str, Any], ctx: RunContext, stray: Callable[[], str]) -> Any:
    if task.failure is not None:
        return _rescued(loaded, task, arguments, ctx, stray)
    arguments = validated_input(loaded, task, arguments)
    positional, named = with_positional(loaded.fn, task.positional, arguments)

    def call(running: Running) -> Any:
        enter(ctx)
        if loaded.when is not None and not running.result(called_beside(loaded.when, loaded.fn, arguments)):
            raise Skip(declined(loaded.when))
        return running.result(driven(loaded.fn, loaded.fn(*positional, **named), ctx.checkpoint))

    return validated_output(loaded, task, _in_time(task, call, stray))


def _rescued(loaded: Loaded, task: Task, arguments: dict[str, Any], ctx: RunContext, stray: Callable[[], str]) -> Any:
    """What `on_error` gives in place of a result. What goes in is not validated: it may be what the node failed for."""
    on_error = loaded.on_error
    if on_error is None:
        raise SchemaError("this node has lost its on_error= since its attempt was submitted")

    def call(running: Running) -> Any:
        enter(ctx)
        return running.result(
            called_beside(on_error, loaded.fn, named_arguments(loaded, task, arguments), task.failure)
        )

    return validated_output(loaded, task, _in_time(task, call, stray))


def _in_time(task: Task, call: Callable[[Running], Any], stray: Callable[[], str]) -> Any:
    run = copy_context().run
    if task.timeout is None:
        return run(call, Running())
    return within(task.timeout, lambda running: run(call, running), stray)


# -- what comes out


def _finished(task: Task, value: Any, seconds: float, say: Say, world: World) -> Outcome:
    if inspect.isgenerator(value) or inspect.isasyncgen(value):
        raise SchemaError("a node returned a generator, which cannot be shipped; return a list")
    size = values.rough_size(value)
    kept = None if size is not None and size > values.INLINE else values.encode(value)

    def report(result: Kept) -> ms.Succeeded:
        return ms.Succeeded(time.time(), task.node, task.fence, seconds, result, world.worker)

    if kept is not None and kept.size <= values.INLINE:
        say(report(kept))
        return Outcome(True, encoded=kept)
    only_here = values.in_pool(kept.size if kept is not None else size or 0)
    # What acts on the outside world waits for its blob: else it would have to run again if its worker died before.
    if task.durable or (task.durable is None and task.effects and world.keep is not None):
        say(report(_blob(value, kept, world)))
    else:
        say(report(only_here))
        if task.durable is None and world.keep is not None:
            world.later(lambda: _keep_later(task, value, kept, say, world))
    return Outcome(True, live=value)


def _keep_later(task: Task, value: Any, kept: Kept | None, say: Say, world: World) -> None:
    try:
        say(ms.ResultKept(time.time(), task.node, task.fence, _blob(value, kept, world)))
    except Exception as error:  # it stays in the pool, marked "not yet kept"; what went wrong is shown
        say(Note(time.time(), task.node, task.fence, f"its result could not be kept: {error}"))


def _blob(value: Any, kept: Kept | None, world: World) -> Kept:
    """Write a value's bytes to the blob store: what is left in the report is its hash."""
    if world.keep is None:
        raise SchemaError("durable=True, but this worker does not reach the lab's blob store: use one that both reach")
    if kept is None:
        kept = values.encode(value)
    world.keep(kept.inline or b"")
    return kept._replace(inline=None, where="blob")


def _suspended(task: Task, suspend: Suspend, ctx: RunContext, seconds: float, world: World) -> ms.Suspended:
    saved = task.saved
    if ctx.saved:
        saved = _saved(ctx.saved[0], world)
    return ms.Suspended(time.time(), task.node, task.fence, seconds, suspend.proposal, saved)


def _saved(state: Any, world: World) -> Kept:
    """What a node wants back when it is called again; a large state goes to the blob store."""
    saved = values.encode(state)
    return _blob(None, saved, world) if saved.size > values.INLINE and world.keep is not None else saved
