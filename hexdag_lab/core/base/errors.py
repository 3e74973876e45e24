"""Every error that hexdag_lab raises, grouped by what you would do about it.

    HexdagError
    ├── DagError(ValueError)      the graph you describe cannot exist: change the graph
    │   ├── CycleError            .path names the cycle
    │   ├── UnknownNode           a name that is not in the graph
    │   ├── DuplicateNode         a name that is taken
    │   ├── InvalidName           a name that cannot be a parameter
    │   ├── UnboundParameter      a parameter or an input that matches nothing, or has no value
    │   ├── TypeMismatch          an edge whose ends do not fit by their types
    │   └── SchemaError           data or code that cannot be shipped, stored or read
    ├── Refused                   a rule says no: .rule which, .fix what to do instead
    │   ├── NotAllowed            this agent may not do this
    │   ├── AlreadyDecided        the proposal, or the run, is over
    │   ├── StaleBase             the change is not based on a version of this run
    │   ├── FrozenNode            the node runs or has finished
    │   └── WouldBlock            waiting here would wait for ever
    ├── RunFailed                 the run ended badly; .results holds what finished
    ├── NotFinished               the result is not there yet
    ├── PoolUnavailable           no workers: check the scheduler
    ├── StoreUnavailable          the store does not answer, or refuses
    └── LabInUse                  another process leads this lab

The core itself never raises `Refused`: it returns one as a value (see `core.machine`), and the facade raises it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any


class HexdagError(Exception):
    """Base of every error that hexdag_lab raises on purpose."""


class DagError(HexdagError, ValueError):
    """The graph or change that was described cannot exist."""


class CycleError(DagError):
    """The edges close a cycle; `path` names its nodes, first and last the same."""

    def __init__(self, path: Sequence[str]) -> None:
        self.path = tuple(path)
        super().__init__(f"these edges close a cycle: {' -> '.join(self.path)}; leave one of them out")

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.path,)


class UnknownNode(DagError):
    """A name that is not a node of the graph."""


class DuplicateNode(DagError):
    """A node name that is already taken."""


class InvalidName(DagError):
    """A node name that cannot be used."""


class UnboundParameter(DagError):
    """A parameter or input that matches nothing, or a required one that has no value."""


class TypeMismatch(DagError):
    """Two ends of an edge whose types do not fit."""


class SchemaError(DagError):
    """Data or code that cannot be shipped, stored or read."""


class Refused(HexdagError):
    """A rule says no. `rule` names it, `fix` says what to do instead. Also used as a plain value."""

    def __init__(self, message: str, *, rule: str = "refused", fix: str = "") -> None:
        self.message, self.rule, self.fix = message, rule, fix
        super().__init__(f"{message}; {fix}" if fix else message)

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and self.args == getattr(other, "args", None)

    def __hash__(self) -> int:
        return hash((type(self), self.args))

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild_refused, (type(self), self.message, self.rule, self.fix)


def _rebuild_refused(kind: type[Refused], message: str, rule: str, fix: str) -> Refused:
    return kind(message, rule=rule, fix=fix)


class NotAllowed(Refused):
    """This agent may not do this."""


class AlreadyDecided(Refused):
    """The proposal, or the run, is over."""


class StaleBase(Refused):
    """The change is not based on a version of this run."""


class FrozenNode(Refused):
    """The change touches a node that runs or has finished."""


class WouldBlock(Refused):
    """Waiting here would wait for ever: only people can decide, and their clicks need this thread."""


class RunFailed(HexdagError):
    """The run ended without success. `results` maps each finished node to its value."""

    def __init__(self, message: str, results: Mapping[str, Any]) -> None:
        self.results = dict(results)
        super().__init__(message)

    def __reduce__(self) -> tuple[Any, ...]:
        return RunFailed, (self.args[0], self.results)


class NotFinished(HexdagError):
    """The result is not there yet."""


class PoolUnavailable(HexdagError):
    """There are no workers to run nodes."""


class StoreUnavailable(HexdagError):
    """The state store does not answer, or refuses."""


class LabInUse(HexdagError):
    """Another live process leads this lab."""


REFUSALS: Mapping[str, type[Refused]] = {
    kind.__name__: kind for kind in (Refused, NotAllowed, AlreadyDecided, StaleBase, FrozenNode, WouldBlock)
}
