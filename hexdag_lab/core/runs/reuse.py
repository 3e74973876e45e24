"""What a result was made from, and whether one that exists already will do: pure, and in sentences.

A `Recipe` is what goes into one attempt. Two recipes with one key give one result, so a node whose recipe has a result
that is kept somewhere is not run again; if there is none, two recipes say what has changed.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from ..base.canon import hash_of
from ..base.codec import namedtuple
from ..dag.keys import Taken, action_key, spec_key
from ..dag.node import NodeSpec
from .value import Kept

NONE = "no cached result"
SHORT = 16  #: hexadecimal digits by which values of parameters are told apart


class Part(NamedTuple):
    """A value that goes into an attempt: what is `Taken`, and the fence of the attempt that made it."""

    taken: Taken
    fence: int = 0


class Recipe(NamedTuple):
    """What goes into one attempt; parameters by name and digest. A digest that is not known yet is ""."""

    code: bytes
    params: tuple[tuple[str, str], ...]
    spec: bytes
    parts: tuple[Part, ...]

    @property
    def key(self) -> str:
        """The action key, hexadecimal; "" while a digest is missing."""
        return action_key(self.spec, [part.taken for part in self.parts])

    @property
    def unknown(self) -> tuple[str, ...]:
        """The upstreams whose results have no digest."""
        return tuple(sorted({part.taken.up for part in self.parts if not part.taken.digest}))


def recipe(spec: NodeSpec, parts: Iterable[Part]) -> Recipe:
    """The recipe of a node with what goes into it."""
    params = tuple((name, hash_of(spec.params[name]).hex()[:SHORT]) for name in sorted(spec.params))
    return Recipe(spec.code.digest, params, spec_key(spec), tuple(sorted(parts)))


class Made(NamedTuple):
    """A result that is kept: which node of which version of which run made it, and in how many seconds."""

    run: str
    node: str
    version: int
    seconds: float
    result: Kept


class Found(NamedTuple):
    """The answer for one node that was looked up by an action key: the result, or what its namesake was last made from
    in which run."""

    node: str
    key: str
    made: Made | None = None
    before: Recipe | None = None
    run: str = ""


for _kind in (Taken, Part, Recipe, Made, Found):
    namedtuple(_kind)


class Reuse(NamedTuple):
    """What a run knows of using a node's results again.

    asked    the action key that is being looked up;  absent  the one that was found to have no result
    recipe   what went into the last attempt;  made  what its last result was made from;  seq  the event that has it
    origin   where its result was taken from, as a sentence, if it did not run;  why  why it had to run
    """

    asked: str = ""
    absent: str = ""
    recipe: Recipe | None = None
    made: Recipe | None = None
    seq: int = 0
    origin: str = ""
    why: str = ""


UNUSED = Reuse()


def origin(made: Made, run: str, node: str) -> str:
    """Where a result was taken from: "reused from v3: same code, same inputs"."""
    there = f" of {made.node}" if made.node != node else ""
    place = f"v{made.version}" if made.run == run else made.run
    return f"reused from {place}{there}: same code, same inputs"


def why_run(before: Recipe | None, now: Recipe, run: str = "") -> str:
    """Why a node runs: what has changed since its last result, or since that of another run; or that there is none."""
    if before is None:
        return NONE
    changes = []
    if before.code != now.code:
        changes.append("its code changed")
    if names := sorted({name for name, _ in {*before.params} ^ {*now.params}}):
        changes.append(f"params changed: {', '.join(names)}")
    if not changes and before.spec != now.spec:
        changes.append("its models changed")
    changes += _parts_that_differ(before, now)
    return f"{f'not as in {run}' if run else 're-run'}: {'; '.join(changes)}" if changes else NONE


def unknown(recipe: Recipe) -> str:
    """Why nothing can be looked up for a node."""
    ups = recipe.unknown
    return f"its input{'s' * (len(ups) > 1)} {', '.join(ups)} {'have' if len(ups) > 1 else 'has'} no digest yet"


def _parts_that_differ(before: Recipe, now: Recipe) -> list[str]:
    old, new = set(_digests(before)), set(_digests(now))
    ups = sorted({up for up, _, _ in old ^ new if up})
    given = sorted({param for up, param, _ in old ^ new if not up})
    found = [f"upstream {up} changed" for up in ups]
    return [*found, *([f"inputs changed: {', '.join(given)}"] if given else [])]


def _digests(recipe: Recipe) -> list[tuple[str, str, str]]:
    return [(taken.up, taken.param, taken.digest) for taken, _ in recipe.parts]
