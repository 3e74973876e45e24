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
