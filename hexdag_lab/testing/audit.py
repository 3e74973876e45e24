"""What must be true of a whole journal, looked at after the end by other means than the core's own.

Each accepted result is held against the note of what it was made from: it must be of the attempt that was submitted for
it, of the definition that was in force (or that a change let end), and of results that were accepted upstream. What a
node saves at its safe points must be one step more each time, whatever worker it was on. And each
result is accepted once, unless an event in between re-opened its node. A result that is used again must have been
accepted before, for the same code and values, and from a node that permits it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from ..core.base.merkle import MerkleMap
from ..core.base.overlay import Overlay
from ..core.dag.dag import Dag
from ..core.machine import events as ev
from ..core.machine.state import RunState

Notes = Mapping[Any, Mapping[str, Any]]


def differences(a: RunState, b: RunState) -> list[str]:
    """The fields in which two states differ, and where."""
    found = []
    for name in RunState._fields:
        one, two = getattr(a, name), getattr(b, name)
        if isinstance(one, MerkleMap | Overlay):
            one, two = dict(one.items()), dict(two.items())
        if isinstance(one, dict):
            keys = sorted(key for key in one.keys() | two.keys() if one.get(key) != two.get(key))
            found += [f"{name}[{key!r}] differs" for key in keys]
        elif one != two:
            found.append(f"{name}: {one!r} is not {two!r}")
    return found


def audit(events: Iterable[Any], notes: Notes, sent: Mapping[tuple[str, int], int]) -> list[str]:
    """Sentences that say what is wrong with a journal; empty if all is well."""
    return list(_Audit(notes, sent).walk(events))


class _Audit:
    def __init__(self, notes: Notes, sent: Mapping[tuple[str, int], int]) -> None:
        self.notes, self.sent = notes, sent
        self.dag = Dag.of()
        self.accepted: dict[str, tuple[int, str]] = {}
        self.removed: dict[str, tuple[int, str]] = {}
        self.intended: dict[tuple[str, int], bytes] = {}
        self.let_end: set[str] = set()
        self.fences: dict[str, int] = {}
        self.made: set[tuple[Any, ...]] = set()
        self.steps: dict[str, int] = {}
        self.void: set[str] = set()

    def walk(self, events: Iterable[Any]) -> Iterator[str]:
        seq = 0
        for event in events:
            if event.seq != seq + 1:
                yield f"event {event.seq} follows event {seq}"
            seq = event.seq
            match event:
                case ev.RunStarted():
                    self.dag = event.dag
                case ev.RunAttached():
                    self._reopen(event.again)
                case ev.NodeRetrying():
                    self._reopen([event.node])
                case ev.AttemptsSubmitted():
                    for name, fence in event.nodes:
                        self.intended[name, fence] = self.dag.nodes[name].digest
                        self.let_end.discard(name)
                        self.fences[name] = fence
                case ev.VersionCommitted():
                    self._committed(event)
                case ev.NodeCheckpointed() if event.saved is not None:
                    yield from self._checkpointed(event, self.notes[event.saved.sha256])
                case ev.NodeMoved() if event.afresh:
                    self.steps.pop(event.node, None)
                case ev.NodeSuspended() if event.saved is not None:
                    yield from self._made_of(event.node, self.notes[event.saved.sha256], "what it saved")
                case ev.NodeSkipped():
                    self.void.add(event.node)
                case ev.NodeFailed() if self.dag.nodes[event.node].optional:
                    self.void.add(event.node)
                case ev.NodeSucceeded():
                    yield from self._succeeded(event)
                    self.accepted[event.node] = (event.fence, event.result.sha256)
                case ev.NodeReused():
                    yield from self._reused(event)
                    self.accepted[event.node] = (self.fences.get(event.node, 0), event.made.result.sha256)

    def _checkpointed(self, event: ev.NodeCheckpointed, note: Mapping[str, Any]) -> Iterator[str]:
        name, done = event.node, self.steps.get(event.node, 0)
        if note["steps"] != done + 1:
            yield f"{name} saved step {note['steps']} after step {done}"
        if note["fence"] != event.fence:
            yield f"{name}#{event.fence} was let past a safe point of attempt {note['fence']}"
        self.steps[name] = note["steps"]
        yield from self._made_of(name, note, "what it saved")

    def _reopen(self, names: Iterable[str]) -> None:
        for name in names:
            self.accepted.pop(name, None)
            self.void.discard(name)

    def _committed(self, event: ev.VersionCommitted) -> None:
        change = event.changeset
        self.dag = self.dag.apply(change)
        self.removed |= {name: self.accepted[name] for name in change.removed if name in self.accepted}
        self._reopen((*event.restarted, *event.rerun, *change.removed))
        for name in (*event.restarted, *event.rerun, *change.removed):
            self.steps.pop(name, None)
        for name, handling in change.handling.items():
            if handling.running == "finish_old":
                self.let_end.add(name)

    def _succeeded(self, event: ev.NodeSucceeded) -> Iterator[str]:
        name, fence = event.node, event.fence
        note = self.notes[event.result.sha256]
        if "steady" in note and (name, fence) not in self.notes:
            yield f"a result was accepted for {name}#{fence}, which made none: the fence is open"
            return
        note = self.notes[name, fence] if "steady" in note else note
        if name in self.accepted:
            yield f"{name} has two accepted results, of attempts {self.accepted[name][0]} and {fence}"
        if (note["node"], note["fence"]) != (name, fence):
            yield f"a result of {note['node']}#{note['fence']} was accepted for {name}#{fence}: the fence is open"
        if (name, fence) not in self.intended:
            yield f"{name}#{fence} was accepted, but its submission is not in the journal"
            return
        if note["serial"] != self.sent.get((name, fence)):
            yield f"{name}#{fence} was accepted from another attempt than the one that was sent"
        if note["definition"] != self.intended[name, fence].hex():
            yield f"{name}#{fence} ran another definition than the one it was submitted with"
        if note["definition"] != self.dag.nodes[name].digest.hex() and name not in self.let_end:
            yield f"{name}#{fence} was accepted, though {name} had been changed since"
        self.steps.pop(name, None)
        yield from self._made_of(name, note, "its result")
        self.made.add((note["code"], *sorted((up, sha) for up, _, sha in note["inputs"]), event.result.sha256))

    def _reused(self, event: ev.NodeReused) -> Iterator[str]:
        name, spec = event.node, self.dag.nodes[event.node]
        if name in self.accepted:
            yield f"{name} has a result, and was given another one"
        if spec.effects or not spec.cache:
            yield f"{name} was given a result that it must make itself"
        ups = [(up, self.accepted[up][1]) for up in sorted(self.dag.dependencies(name)) if up in self.accepted]
        if any(up not in self.accepted and not self._is_void(up) for up in self.dag.dependencies(name)):
            yield f"{name} was given a result before its upstreams had theirs"
        if (spec.code.digest.hex(), *ups, event.made.result.sha256) not in self.made:
            yield f"{name} was given a result that was never made of its code and its inputs"

    def _is_void(self, name: str) -> bool:
        """Whether a node has no result and is not waited for: it, or what is above it, was skipped or may fail."""
        return name in self.void or any(self._is_void(up) for up in self.dag.dependencies(name))

    def _made_of(self, name: str, note: Mapping[str, Any], what: str) -> Iterator[str]:
        for up, fence, sha in note["inputs"]:
            if (fence, sha) not in (self.accepted.get(up), self.removed.get(up)):
                yield f"{name}: {what} was made from {up}#{fence}, which is not what was accepted of {up}"
