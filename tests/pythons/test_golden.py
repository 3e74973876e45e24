"""Digests that are the same on every Python, in every process, for good.

They stand in journals and caches. If one changes here, every cached result of every user is computed again: a new
`SCHEME` in `core.dag.code` says so on purpose. Nothing here may need a package whose release counts.
"""

import dataclasses
import enum
import functools
import math
from collections.abc import AsyncIterator, Callable, Iterator
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest

from hexdag_lab.core.base.canon import hash_of
from hexdag_lab.core.base.merkle import MerkleMap
from hexdag_lab.core.dag.changeset import Changeset
from hexdag_lab.core.dag.code import code_of
from hexdag_lab.core.dag.dag import Dag
from hexdag_lab.core.dag.node import NodeSpec, node
from tests.core.processes import output_of

RATE = 3
WORDS = {"one": 1, "two": [2, (2.5, None)], "three": {3, 4, 5}}


class Mode(enum.Enum):
    FAST = 1
    EXACT = "exact"


@dataclasses.dataclass(frozen=True)
class Point:
    """A point."""

    x: float
    y: float = 0.0

    @property
    def length(self) -> float:
        return math.hypot(self.x, self.y)

    @classmethod
    def origin(cls) -> "Point":
        return cls(0.0)


class Shifted(Point):
    async def shift(self, by: float = RATE) -> Point:
        return Point(self.x + by, self.y)


def helper(x: int) -> int:
    """Add one."""
    return x + 1


def plain(x: int, y: int = 1, *rest: int, scale: float = 2.0, **more: int) -> float:
    total = x + y + sum(rest)
    return total * scale + more.get("z", 0)


def positional(x: int, /, y: int, *, z: int) -> tuple[int, ...]:
    return x, y, z


def strings(x: Any, w: int = 3) -> list[Any]:
    name = f"{x!r:>{w}} and {x:{'>' + str(w)}} and {f'{x}{{}}{x=}'}tail{x:}{w:0{w}d}"
    return [name, f"{'nested: ' + f'{x + 1:.{w}f}'!s}", b"bytes", rb"\d", "\N{BULLET}\t", """two
    lines""", f"""{
        x
    }"""]  # fmt: skip


def matching(value: Any) -> Any:
    match value:
        case None | True:
            return 0
        case {"kind": "a", **rest} if rest:
            return rest
        case [first, *_, Point(x=0.0, y=last)]:
            return first, last
        case Mode.FAST | "fast" as mode:
            return mode
        case (-1 | 2.5 | 1 + 2j) | [*_]:
            return 1
        case _:
            return value


def walrus(rows: list[int]) -> Any:
    if (n := len(rows)) > 2 and (m := max(rows)) and not n % 2:
        return [y for x in rows if (y := x * m) > n]
    return {x: y for x, *y in [rows]} | {**WORDS}


def comprehensions(rows: list[Any]) -> Any:
    rate = [RATE for _ in rows]
    return {x for row in rows for x in row if x}, (i for i in rate), [[j, RATE] for j in rows]


def statements(path: str) -> Any:
    global RATE
    try:
        with memoryview(b"x") as one, memoryview(b"y") as two:
            del one, two
    except (OSError, ValueError) as error:
        raise RuntimeError("no") from error
    else:
        assert path, "text"
    finally:
        while False:
            break
        else:
            pass
    x: int = 0
    x += 1
    x @= 2
    first, (second, *third) = [1, (2, 3, 4)]
    return x[1:, ::2, ...], lambda *a, k=1: (a, k), first if second else third, not x, ~x, x is not None, 1 < x <= 2


def groups(path: str) -> None:
    try:
        statements(path)
    except* (OSError, ValueError) as error:
        raise error.exceptions[0] from None


def decorated(fn: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(fn)
    def run(*args: Any, **kwargs: Any) -> Any:
        return fn(*args, **kwargs)

    return run


@decorated
def wrapped(x: int) -> int:
    return helper(x)


@functools.lru_cache(maxsize=3)
def cached(x: int) -> int:
    return helper(x)


def uses(x: int) -> Any:
    return helper(x), cached(x), wrapped(x), Shifted.origin(), MODE, TABLE, NUMBERS, recursive(x)


def recursive(n: int) -> int:
    return 1 if n < 1 else mutual(n - 1)


def mutual(n: int) -> int:
    return recursive(n - 1)


def factory(by: int) -> Callable[[int], int]:
    def inner(x: int) -> int:
        def deeper(y: int) -> int:
            """Not part of it."""
            return y + by

        return deeper(x) + helper(x)

    return inner


def generator(rows: list[int]) -> Iterator[int]:
    got = yield from rows
    yield got


async def asynchronous(source: AsyncIterator[int]) -> list[int]:
    async with source as inner:
        return [await x async for x in inner]


@node(retries=2)
def as_a_node(helper: int, depth: int = 3) -> int:
    return helper * depth


MODE = Mode.EXACT
NUMBERS = [Decimal("1.5"), Fraction(1, 3), 10**30, -0.0, float("inf"), 1j]
one, two, three = lambda x: x + 1, lambda x: x + 2, lambda y, *, k=(1, 2): [y, k, helper]  # fmt: skip
TABLE = {"one": one, "helper": (helper, [two]), Mode.FAST: {helper, len}}

FUNCTIONS: dict[str, Any] = {
    "helper": helper, "plain": plain, "positional": positional, "strings": strings, "matching": matching,
    "walrus": walrus, "comprehensions": comprehensions, "statements": statements, "groups": groups, "wrapped": wrapped,
    "cached": cached, "uses": uses, "recursive": recursive, "mutual": mutual, "factory": factory,
    "made": factory(3), "generator": generator, "asynchronous": asynchronous, "node": as_a_node, "one": one, "two": two,
    "three": three, "partial": functools.partial(plain, 1, scale=3.0), "Point": Point, "Shifted": Shifted,
    "method": Shifted(1.0).shift, "classmethod": Shifted.origin, "len": len, "math": math.hypot,
}  # fmt: skip

CODE = {
    "helper": "38710d5be058e534",
    "plain": "0400d80d3ae1edaf",
    "positional": "bfcd4647579d5c50",
    "strings": "78f11a64f62c1a15",
    "matching": "0bcd1f7630354754",
    "walrus": "6fa5323f48dc2d6e",
    "comprehensions": "b3f62cc40993341f",
    "statements": "8cb0f70e2665f626",
    "groups": "3c5bee70a6fca0ba",
    "wrapped": "0b4a6b9bb7786d95",
    "cached": "7c2161df1ad5820c",
    "uses": "998b27812893f6a9",
    "recursive": "0aeff8c6a8fc1dc5",
    "mutual": "b69c73103a5d6930",
    "factory": "a1fc5d9bd3103388",
    "made": "9dc583267ecb8510",
    "generator": "ebb5ff1b68229cd6",
    "asynchronous": "31a9944ad49b183b",
    "node": "d970a7b76d23bcd0",
    "one": "e770257ba85ec1c9",
    "two": "679dd69bccd33db4",
    "three": "e54d2bdc237aca5f",
    "partial": "ea90455d6f614807",
    "Point": "f60ee245c4523efe",
    "Shifted": "9d58cc9a23914e3d",
    "method": "3d4578e258957be6",
    "classmethod": "94a2852c983d8b09",
    "len": "2e41e07114834a4a",
    "math": "17e11e7c40243df9",
}


def codes() -> dict[str, str]:
    return {name: code_of(fn).digest.hex()[:16] for name, fn in FUNCTIONS.items()}


def graph() -> Dag:
    report = NodeSpec("report", helper, params={"x": [1, (2.5, None), {"é": Fraction(1, 3)}]}, cost=0.1)
    return Dag.of(NodeSpec("helper", plain), as_a_node, as_a_node.as_node("deep", depth=9), report.after("deep"))


def others() -> dict[str, str]:
    edited = graph().remove_edge("helper", "deep").add_node(NodeSpec("last", len).after("report"))
    found = {
        "plain data": hash_of(
            [None, True, 1, -(10**40), 1.5, float("nan"), "é", b"x", Fraction(1, 3), {1, "a"}, {1: ()}]
        ),
        "map": MerkleMap({f"n{i}": i for i in range(100)}).digest,
        "graph": graph().digest,
        "edited": edited.digest,
        "change": Changeset.between(graph(), edited).digest,
        "text": hash_of(graph().to_json()),
    }
    return {name: digest.hex()[:16] for name, digest in found.items()}


OTHERS = {
    "plain data": "04373cc90dcba717",
    "map": "691c7ac5c03dde54",
    "graph": "9c12c32bd321c047",
    "edited": "0e3985c37a5bbab0",
    "change": "73f293778d31a982",
    "text": "f8b82bad4b28f5b4",
}


def test_there_is_one_for_each() -> None:
    assert CODE.keys() == FUNCTIONS.keys()


@pytest.mark.parametrize("name", FUNCTIONS)
def test_code(name: str) -> None:
    code = code_of(FUNCTIONS[name])
    assert code.known
    assert code.digest.hex()[:16] == CODE[name]


@pytest.mark.parametrize("name", OTHERS)
def test_content(name: str) -> None:
    assert others()[name] == OTHERS[name]


@pytest.mark.parametrize("hash_seed", ["1", "2"])
def test_in_a_process_of_its_own(hash_seed: str) -> None:
    script = "import tests.pythons.test_golden as t; print(t.codes() == t.CODE, t.others() == t.OTHERS)"
    assert output_of(script, hash_seed) == "True True\n"


if __name__ == "__main__":  # what stands above, computed anew: python -m tests.pythons.test_golden
    print("\n".join(f'    "{name}": "{digest}",' for name, digest in (codes() | others()).items()))
