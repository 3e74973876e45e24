"""The Merkle map as a mapping; its laws are in tests/laws."""

import pickle
import random
from typing import Any

import pytest

from hexdag_lab.core.base.merkle import _FIRST, MerkleMap, _path_of
from tests.core.processes import output_of


def test_it_is_a_mapping() -> None:
    m = MerkleMap({"a": 1, "b": 2})
    assert m["a"] == 1
    assert m.get("c") is None
    assert "b" in m
    assert "c" not in m
    assert len(m) == 2
    assert dict(m) == {"a": 1, "b": 2}
    assert set(m.values()) == {1, 2}
    assert set(m.keys()) == {"a", "b"}
    with pytest.raises(KeyError):
        m["c"]


@pytest.mark.parametrize("key", [None, 7, b"a", ("a",)])
def test_keys_are_text(key: Any) -> None:
    assert key not in MerkleMap({"a": 1})


def test_it_cannot_change() -> None:
    m = MerkleMap({"a": 1})
    assert dict(m.set("a", 2)) == {"a": 2}
    assert dict(m.set("b", 2)) == {"a": 1, "b": 2}
    assert dict(m.delete("a")) == {}
    assert dict(m) == {"a": 1}
    with pytest.raises(KeyError):
        m.delete("b")
    with pytest.raises(TypeError):
        m["a"] = 2  # type: ignore[index]


def test_equal_content_is_equal() -> None:
    assert MerkleMap({"a": 1, "b": 2}) == MerkleMap([("b", 2), ("a", 1)])
    assert hash(MerkleMap({"a": 1})) == hash(MerkleMap({"a": 1}))
    assert MerkleMap({"a": 1}) != MerkleMap({"a": 1.0})
    assert MerkleMap({"a": 1}) != {"a": 1}
    assert MerkleMap().digest == MerkleMap({"a": 1}).delete("a").digest


def test_a_value_may_bring_its_own_digest() -> None:
    class Value:
        def __init__(self, digest: bytes) -> None:
            self.digest = digest

    assert MerkleMap({"a": Value(b"1")}) == MerkleMap({"a": Value(b"1")})
    assert MerkleMap({"a": Value(b"1")}) != MerkleMap({"a": Value(b"2")})


def test_it_reads_like_a_dict_sorted() -> None:
    assert repr(MerkleMap({"b": 2, "a": 1})) == "MerkleMap({'a': 1, 'b': 2})"


def test_an_edit_shares_nearly_everything() -> None:
    m = MerkleMap({f"n{i}": i for i in range(10_000)})

    def nodes(root: Any) -> set[int]:
        found, stack = set(), [root]
        while stack:
            node = stack.pop()
            found.add(id(node))
            stack += [] if isinstance(node, tuple) else node[_FIRST:]
        return found

    assert len(nodes(m._root)) > 10_000
    assert len(nodes(m.set("n77", 0)._root) - nodes(m._root)) <= 6


@pytest.mark.parametrize("seed", range(20))
def test_the_digest_is_that_of_the_content_whenever_it_was_asked_for(seed: int) -> None:
    draw = random.Random(seed)
    m, content = MerkleMap[int](), dict[str, int]()
    for _ in range(600):
        key, value = f"n{draw.randrange(200)}", draw.randrange(9)
        if key in content and draw.random() < 0.4:
            m = m.delete(key)
            del content[key]
        else:
            m = m.set(key, value)
            content[key] = value
        if draw.random() < 0.3:
            assert m.digest == MerkleMap(content).digest
            assert dict(m) == content


def test_keys_whose_paths_part_late_have_one_shape_too() -> None:
    found: dict[bytes, str] = {}  # by the first four digits
    for key in map(str, range(9999)):
        other = found.setdefault(bytes(digit & 15 for digit in _path_of(key)[:4]), key)
        if other != key:
            break
    pair = other, key
    one = MerkleMap({pair[0]: 1})
    for known in (False, True):
        if known:
            assert one.set("other", 3).digest
        both = one.set("other", 3).set(pair[1], 2)
        assert both.digest == MerkleMap({pair[1]: 2, "other": 3, pair[0]: 1}).digest
        assert both.delete(pair[0]).digest == MerkleMap({pair[1]: 2, "other": 3}).digest
        assert both.delete(pair[1]).delete("other").digest == one.digest


def test_a_digest_that_is_known_is_not_made_again() -> None:
    asked = []

    class Value:
        @property
        def digest(self) -> bytes:
            asked.append(self)
            return b"x" * 32

    m = MerkleMap({f"n{i}": Value() for i in range(1000)})
    assert m.digest
    asked.clear()
    for i in range(1000):
        m = m.set(f"new{i}", Value())
        assert m.digest
    assert len(asked) == 1000


def test_a_diff_looks_only_at_what_differs() -> None:
    m = MerkleMap({f"n{i}": i for i in range(10_000)})
    other = m.set("n1", -1).delete("n2").set("new", 0)
    assert sorted(m.diff(other)) == [("n1", 1, -1), ("n2", 2, None), ("new", None, 0)]
    assert list(m.diff(m)) == []


def test_iteration_and_digest_are_the_same_in_every_process() -> None:
    script = (
        "from hexdag_lab.core.base.merkle import MerkleMap\n"
        "m = MerkleMap({f'n{i}': {i, str(i)} for i in range(99)})\nprint(m.digest.hex(), *m)"
    )
    assert output_of(script, "1") == output_of(script, "2")


def test_it_can_be_pickled() -> None:
    m = MerkleMap({f"n{i}": (i, frozenset({"x"})) for i in range(1000)})
    again = pickle.loads(pickle.dumps(m))
    assert again == m
    assert dict(again) == dict(m)
