"""The two small structures: the dict that cannot change, and the persistent heap."""

import copy
import pickle
from collections.abc import Callable
from typing import Any

import pytest

from hexdag_lab.core.base.frozen import FrozenDict
from hexdag_lab.core.base.heap import Heap, items, pop, push


class TestFrozenDict:
    @pytest.mark.parametrize(
        "edit",
        [
            lambda d: d.__setitem__("a", 1), lambda d: d.__delitem__("a"), lambda d: d.update(a=1), lambda d: d.clear(),
            lambda d: d.pop("a"), lambda d: d.popitem(), lambda d: d.setdefault("b", 1), lambda d: d.__ior__({"b": 1}),
        ],
    )  # fmt: skip
    def test_it_cannot_change(self, edit: Callable[[Any], Any]) -> None:
        frozen = FrozenDict({"a": 1})
        with pytest.raises(TypeError, match="cannot be changed"):
            edit(frozen)
        assert frozen == {"a": 1}

    def test_it_is_a_dict_with_sorted_keys(self) -> None:
        frozen = FrozenDict({"b": 2, "a": 1})
        assert list(frozen) == ["a", "b"]
        assert frozen == {"b": 2, "a": 1}
        assert frozen | {"c": 3} == {"a": 1, "b": 2, "c": 3}
        assert hash(frozen) == hash(FrozenDict([("a", 1), ("b", 2)]))

    def test_it_travels(self) -> None:
        frozen = FrozenDict({"a": (1,)})
        for again in (pickle.loads(pickle.dumps(frozen)), copy.deepcopy(frozen), copy.copy(frozen)):
            assert type(again) is FrozenDict
            assert again == frozen


class TestHeap:
    def test_the_least_comes_first_and_the_old_heap_stays(self) -> None:
        heap = push(push(None, [((2,), "b"), ((1,), "z")]), [((2,), "a"), ((0,), "x")])
        assert heap is not None
        assert sorted(items(heap)) == ["a", "b", "x", "z"]
        kept, found = heap, []
        while heap is not None:
            item, heap = pop(heap)
            found.append(item)
        assert found == ["x", "z", "a", "b"]
        assert pop(kept)[0] == "x"

    @pytest.mark.parametrize("step", [1, -1])
    def test_it_never_recurses(self, step: int) -> None:
        heap: Heap = None
        for i in range(20_000):
            heap = push(heap, [((step * i,), str(i))])
        for _ in range(20_000):
            assert heap is not None
            _, heap = pop(heap)
        assert heap is None
