"""The two keys of a node: what would run again, and what need not.

The *plan key* covers a node's code and params and the plan keys of its upstreams, so all that is above it: it is known
before anything runs, and says what a change would run again. The *action key* covers code, params and the digests of
the values that go in: it is known when the upstreams have finished, and says whether a result exists already. The
second one stops a wave of re-runs: an upstream that runs again and gives an equal value leaves the keys below it as
they were (constructive traces with early cutoff: Mokhov, Mitchell, Peyton Jones, Build Systems à la Carte, 2018).

Neither covers the node's name, its retries, timeouts, limits or costs: they change no result. What stands in for a
failed node's result is no result of its code, and is found under no key.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from ..base.canon import digest, hash_of
from .changeset import Changeset
from .dag import Dag
from .node import NodeSpec
from .wiring import MANY, Wire

LANGUAGE_MODEL = "llm"  #: the capability that a node requires if it asks a language model


class Taken(NamedTuple):
    """A value that goes into a node: under `param`; "*": in its collector, under `up`; "": `up` only comes before."""

    param: str
    up: str
    digest: str


def never_reused(spec: NodeSpec) -> str:
    """Why a node's result is never used again, whatever `cache` says; empty if it may be."""
    if spec.effects:
        return "it acts on the outside world"
    if LANGUAGE_MODEL in spec.requires:
        return "it asks a language model"
    if not spec.code.known or not (spec.when is None or spec.when.code.known):
        return "its code cannot be seen as a whole"
    return ""


def reusable(spec: NodeSpec) -> bool:
    """Whether a node wants its results to be used again, and they can be."""
    return bool(spec.cache) and not never_reused(spec)


def spec_key(spec: NodeSpec) -> bytes:
    """What of a spec a result depends on, its code, params, models and condition: 32 bytes."""
    models = tuple(m and (m.name, m.fields, m.digest) for m in (spec.in_model, spec.out_model))
    condition = () if spec.when is None else (spec.when.code.digest,)  # under another one it may be skipped
    return hash_of(("spec/1", spec.code.digest, spec.params, models, *condition))


def action_key(spec: bytes, inputs: Iterable[Taken]) -> str:
    """The key of a result by a `spec_key` and the values that went in, hexadecimal; "" if one has no digest."""
    taken = sorted((t.param, t.up if t.param in ("", MANY) else "", t.digest) for t in inputs)
    return digest(b"action/1", spec, hash_of(taken)).hex() if all(part[2] for part in taken) else ""


class PlanKeys(Mapping[str, bytes]):
    """The plan keys of a graph, 32 bytes each. A key is computed when it is asked for, with those above it.

    With `older`, the keys of another version, what lies neither in nor below the difference is taken from there.
    """

    def __init__(self, dag: Dag, older: PlanKeys | None = None) -> None:
        self.dag, self._older = dag, older
        self._known: dict[str, bytes] = {}
        self._moved = frozenset[str]() if older is None else _moved(older.dag, dag)

    def __getitem__(self, name: str) -> bytes:
        if name not in self.dag:
            raise KeyError(name)
        home = self._home(name)
        todo = [(home, name)]
        while todo:
            keys, node = todo[-1]
            wires = keys.dag.wires(node)
            above = [(keys._home(w.up), w) for w in wires]
            missing = [(home_of, w.up) for home_of, w in above if w.up not in home_of._known]
            if missing and node not in keys._known:
                todo += missing
                continue
            todo.pop()
            if node not in keys._known:
                keys._known[node] = _plan_key(keys.dag.nodes[node], [(w, k._known[w.up]) for k, w in above])
        return home._known[name]

    def _home(self, name: str) -> PlanKeys:
        """The keys of the oldest version that has the node with the same key."""
        keys = self
        while keys._older is not None and name not in keys._moved:
            keys = keys._older
        return keys

    def __iter__(self) -> Iterator[str]:
        return iter(self.dag)

    def __len__(self) -> int:
        return len(self.dag)


def _plan_key(spec: NodeSpec, above: Iterable[tuple[Wire, bytes]]) -> bytes:
    taken = sorted((w.param or "", w.up if w.param in (None, MANY) else "", key) for w, key in above)
    return hash_of(("plan/1", spec_key(spec), taken))


def _moved(old: Dag, new: Dag) -> frozenset[str]:
    """The nodes of a version whose plan keys may differ from those of another one: the changed ones and all below."""
    change = Changeset.between(old, new)
    touched = {*change.added, *change.changed, *(down for _, down in change.edges)}
    roots = [name for name in touched if name in new]
    return frozenset(roots) | frozenset(new.below(*roots))


def outdated(old: Dag, new: Dag) -> tuple[str, ...]:
    """The nodes of `new`, sorted, that `old` does not have with an equal plan key: what would have to run."""
    before = PlanKeys(old)
    after = PlanKeys(new, before)
    candidates = sorted(_moved(old, new))
    return tuple(name for name in candidates if name not in before or before[name] != after[name])
