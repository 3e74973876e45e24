"""The overlay as a map that never changes; that it holds what a dict would is a law in tests/laws."""

import pickle

import pytest

from hexdag_lab.core.base.overlay import Overlay


def test_an_update_leaves_the_old_map_as_it_was() -> None:
    old = Overlay({"a": 1, "b": 2})
    new = old.update({"a": 3, "b": None, "c": 0})
    assert dict(old.items()) == {"a": 1, "b": 2}
    assert dict(new.items()) == {"a": 3, "c": 0}
    assert (new["a"], new.get("b"), new["c"], sorted(new)) == (3, None, 0, ["a", "c"])
    for key in "bd":
        with pytest.raises(KeyError):
            new[key]


def test_it_is_a_mapping_of_what_is_not_gone() -> None:
    overlay = Overlay({"a": 1, "b": 2}).update({"b": None, "c": 3})
    assert len(overlay) == 2
    assert sorted(overlay.values()) == [1, 3]
    assert "c" in overlay
    assert "b" not in overlay
    assert 7 not in overlay  # type: ignore[comparison-overlap]
    assert overlay.get("b", 0) == 0
    assert overlay == Overlay({"a": 1, "c": 3})
    assert pickle.loads(pickle.dumps(overlay)) == overlay


def test_layers_stay_few_and_share_the_large_one() -> None:
    large = {f"n{i}": i for i in range(10_000)}
    overlay = Overlay(large)
    for i in range(3_000):
        overlay = overlay.update({f"x{i}": i, f"n{i}": -i})
        assert len(overlay._layers) <= 16
    assert overlay._layers[-1] is large
    assert (overlay["x7"], overlay["n7"], overlay["n9999"]) == (7, -7, 9999)


def test_what_is_gone_is_forgotten_in_the_end() -> None:
    overlay = Overlay({f"n{i}": i for i in range(100)})
    for i in range(100):
        overlay = overlay.update({f"n{i}": None})
    assert dict(overlay.items()) == {}
    for i in range(20):
        overlay = overlay.update({"a": i})
    assert sum(len(layer) for layer in overlay._layers) < 100


def test_of_many_edits_of_one_map_only_the_first_pays_for_its_layers() -> None:
    overlay = Overlay({f"n{i}": i for i in range(100)})
    for i in range(49):
        overlay = overlay.update({f"x{i}": i})
    below = overlay.update({"y": 0})._layers[1:]
    again = overlay.update({"z": 0})._layers[1:]
    assert [id(layer) for layer in below] == [id(layer) for layer in again]


def test_two_maps_that_share_nothing_differ_by_what_is_in_them() -> None:
    large = {f"k{i}": i for i in range(9)}
    a = Overlay({**large, "gone": 1}).update({"k1": 7, "gone": None})
    b = Overlay({**large, "more": 2}).update({"k2": 8})
    found = {("k1", 7, 1), ("k2", 2, 8), ("more", None, 2)}
    assert set(a.diff(b)) == found
    assert set(b.diff(a)) == {(key, there, here) for key, here, there in found}


def test_a_map_differs_from_one_that_was_made_of_it_by_the_edits_alone() -> None:
    a = Overlay({f"k{i}": i for i in range(1000)})
    b = a.update({"k1": 7}).update({"k2": None}).update({"k1": 1})
    assert set(a.diff(b)) == {("k2", 2, None)}
    shared = a._layers[-1]
    assert any(layer is shared for layer in b._layers), "the rest is not looked at"
