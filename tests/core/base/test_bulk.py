"""While something large is built, the cyclic collector rests; afterwards it is as it was."""

from __future__ import annotations

import gc

import pytest

import hexdag_lab as hx
from hexdag_lab.core.base.bulk import in_bulk


@pytest.fixture(autouse=True)
def _awake() -> None:
    assert gc.isenabled()


def test_it_rests_meanwhile_and_is_awake_after_it() -> None:
    assert in_bulk(gc.isenabled)() is False
    assert gc.isenabled()


def test_within_another_one_it_is_not_woken_too_soon() -> None:
    @in_bulk
    def outer() -> bool:
        in_bulk(lambda: None)()
        return gc.isenabled()

    assert outer() is False
    assert gc.isenabled()


def test_whoever_has_put_it_to_rest_finds_it_so() -> None:
    gc.disable()
    try:
        in_bulk(lambda: None)()
        assert not gc.isenabled()
    finally:
        gc.enable()


def test_it_is_awake_after_a_graph_that_cannot_be() -> None:
    with pytest.raises(hx.UnknownNode):
        hx.Dag.of(hx.NodeSpec("a", lambda: 1).after("b"))
    assert gc.isenabled()
