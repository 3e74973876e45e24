"""What would go into an attempt of a node, as the run knows it now: the values given, and the recipe of its result."""

from __future__ import annotations

from hashlib import sha256

from ..dag.keys import Taken, spec_key
from ..dag.wiring import Wire
from ..runs.reuse import Part, Recipe, recipe
from ..runs.value import Kept
from .state import RunState


def given(state: RunState, name: str) -> list[tuple[str, Kept]]:
    """The run's inputs that fill a node's parameters: by "node.param", or by name where nothing else does."""
    entry = state.dag.entries[name]
    wired = {w.param for w in entry.wires}
    found = []
    for param in entry.spec.code.names():
        kept = state.inputs.get(f"{name}.{param}")
        if kept is None and param not in entry.spec.params and param not in wired:
            kept = state.inputs.get(param)
        if kept is not None:
            found.append((param, kept))
    return found


def recipe_of(state: RunState, name: str) -> Recipe:
    """What would go into an attempt of a node now."""
    entry = state.dag.entries[name]
    parts = [Part(Taken(param, "", kept.sha256)) for param, kept in given(state, name)]
    wires = [w for w in entry.wires if not state.nodes[w.up].void]
    parts += [Part(Taken(w.param or "", w.up, _digest(state, w)), state.nodes[w.up].fence) for w in wires]
    return recipe(entry.spec, parts)


def _digest(state: RunState, wire: Wire) -> str:
    """The digest of what comes over a wire; "" while there is none.

    Where no value comes, what counts is what was done: that is known by code and result, and of a node that acts on the
    outside world only by its having done it, in this run."""
    up = state.nodes[wire.up]
    found = up.result.sha256 if up.result is not None else ""
    if wire.param is not None or not found:
        return found
    spec = state.dag.entries[wire.up].spec
    done = f"{state.run}/{wire.up}#{up.fence}" if spec.effects else spec_key(spec).hex()
    return sha256(f"{done} {found}".encode()).hexdigest()


def completed(state: RunState, of: Recipe) -> Recipe:
    """A recipe with the digests that have become known since; what has run again since then is not meant."""
    parts = []
    for part in of.parts:
        param, up, digest = part.taken
        rec = state.nodes.get(up)
        if not digest and param and rec is not None and rec.fence == part.fence and rec.result is not None:
            part = part._replace(taken=part.taken._replace(digest=rec.result.sha256))
        parts.append(part)
    return of._replace(parts=tuple(sorted(parts)))
