"""The tree of errors: grouped by what you would do about it, as its docstring draws it."""

import copy
import pickle
import re
from typing import Any

import pytest

from hexdag_lab.core.base import errors
from hexdag_lab.core.base.errors import CycleError, DagError, FrozenNode, HexdagError, Refused, RunFailed


def drawn() -> dict[str, str]:
    """Name -> name of its parent, as the docstring of the module draws them."""
    parents, stack = {}, [("", -1)]
    for line in (errors.__doc__ or "").splitlines():
        if found := re.match(r"([ │├└─]+)(\w+)(\(ValueError\))?(  |$)", line):
            depth = len(found[1])
            while stack[-1][1] >= depth:
                stack.pop()
            parents[found[2]] = stack[-1][0]
            stack.append((found[2], depth))
    return parents


def test_the_tree_is_as_it_is_drawn() -> None:
    real = {
        kind.__name__: "" if kind is HexdagError else kind.__bases__[0].__name__
        for kind in vars(errors).values()
        if isinstance(kind, type) and issubclass(kind, HexdagError)
    }
    assert drawn() == real


def test_a_wrong_graph_is_a_wrong_value() -> None:
    assert issubclass(DagError, ValueError)
    assert not issubclass(Refused, ValueError)


def test_a_cycle_shows_its_path() -> None:
    error = CycleError(["a", "b", "a"])
    assert error.path == ("a", "b", "a")
    assert str(error) == "these edges close a cycle: a -> b -> a; leave one of them out"


def test_a_refusal_names_rule_and_fix_and_is_a_value() -> None:
    refused = FrozenNode("fit runs", rule="running", fix="say running='restart'")
    assert (refused.rule, refused.fix, str(refused)) == (
        "running",
        "say running='restart'",
        "fit runs; say running='restart'",
    )
    assert refused == FrozenNode("fit runs", rule="running", fix="say running='restart'")
    assert refused != Refused("fit runs", rule="running", fix="say running='restart'")
    assert len({refused, copy.copy(refused)}) == 1


@pytest.mark.parametrize(
    "error",
    [CycleError(["a", "a"]), FrozenNode("x", rule="r", fix="f"), RunFailed("x", {"a": 1}), errors.UnknownNode("x")],
)
def test_errors_travel(error: Any) -> None:
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is type(error)
    assert str(again) == str(error)
    assert vars(again) == vars(error)


def test_a_refusal_that_was_shipped_is_found_by_its_name() -> None:
    assert errors.REFUSALS["FrozenNode"] is FrozenNode
    assert set(errors.REFUSALS.values()) == {Refused, *Refused.__subclasses__()}
