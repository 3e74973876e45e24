"""One attempt of a function, outside of any pool: what it said and what it left."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from hashlib import sha256
from typing import Any, NamedTuple

import hexdag_lab as hx
from hexdag_lab.core.base.errors import StoreUnavailable
from hexdag_lab.core.base.frozen import FrozenDict
from hexdag_lab.core.dag.wiring import MANY
from hexdag_lab.core.machine import messages as ms
from hexdag_lab.core.runs.attempt import Input, Task
from hexdag_lab.core.runs.run import Failure
from hexdag_lab.worker import values
from hexdag_lab.worker.execute import Outcome, World, execute
from hexdag_lab.worker.safepoint import Answers
from hexdag_lab.worker.ship import pack


class Blobs:
    """A blob store in a dict."""

    def __init__(self) -> None:
        self.kept: dict[str, bytes] = {}
        self.full = False

    def put(self, data: bytes) -> str:
        if self.full:
            raise StoreUnavailable("the disk is full")
        digest = sha256(data).hexdigest()
        self.kept[digest] = data
        return digest

    def get(self, sha256: str) -> bytes:
        if sha256 not in self.kept:
            raise StoreUnavailable(f"blob {sha256} is missing")
        return self.kept[sha256]


class Attempt(NamedTuple):
    """What came of an attempt."""

    outcome: Outcome
    said: list[Any]
    blobs: Blobs
    later: list[Callable[[], None]]

    def of(self, kind: type) -> list[Any]:
        return [message for message in self.said if isinstance(message, kind)]

    @property
    def value(self) -> Any:
        assert self.outcome.ok, self.said
        return self.outcome.read()

    @property
    def failure(self) -> Failure:
        (failed,) = self.of(ms.Failed)
        return failed.failure

    @property
    def result(self) -> Any:
        (succeeded,) = self.of(ms.Succeeded)
        return succeeded.result


def attempt(
    fn: Any,
    *,
    ups: Mapping[str, Any] | None = None,
    many: Mapping[str, Any] | None = None,
    dag: hx.Dag | None = None,
    blobs: bool = True,
    answers: Answers | None = None,
    hears: Callable[[Any], None] | None = None,
    **options: Any,
) -> Attempt:
    """Run `fn` as the node "n". `ups`: parameter -> value from upstream; `many`: upstream -> value for the collector;
    `answers`: to it at its safe points; `hears`: who hears what it says.

    Other options are fields of `NodeSpec` or of `Task`.
    """
    fields = {name: options.pop(name) for name in list(options) if name in Task._fields and name not in _BOTH}
    spec = hx.NodeSpec("n", fn, **options)
    inputs = [Input(param, param, 1, values.encode(value)) for param, value in (ups or {}).items()]
    inputs += [Input(MANY, up, 1, values.encode(value)) for up, value in (many or {}).items()]
    code, said, store, later = pack(spec), list[Any](), Blobs(), list[Callable[[], None]]()
    task = Task(
        run="run-1", node="n", fence=1, attempt=1, version=1, sees=1, code=f"{sha256(code).hexdigest()}.mac",
        params=FrozenDict(spec.params), inputs=tuple(inputs), timeout=spec.timeout, durable=spec.durable,
        positional=tuple(p.name for p in spec.code.params if p.kind == "positional"), collector=spec.code.collector,
    )._replace(**fields)  # fmt: skip
    world = World("w0", store.get, store.put if blobs else None, lambda *_: dag or hx.Dag.of(), later.append, answers)

    def say(message: Any) -> None:
        said.append(message)
        if hears is not None:
            hears(message)

    return Attempt(execute(task, code, {}, say, world), said, store, later)


_BOTH = frozenset({"params", "requires", "timeout", "durable"})
