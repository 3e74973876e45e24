"""A draft is shared over every store: what one notebook writes, the other reads, and both show the same."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import hexdag_lab as hx
from hexdag_lab.lab import registry

pytestmark = pytest.mark.slow  # real servers


@hx.node
def load() -> int:
    return 1


@hx.node
def fit(load: int, depth: int = 3) -> int:
    return load + depth


@pytest.fixture(params=["sqlite", "redis", "valkey", "etcd", "consul"])
def labs(
    request: pytest.FixtureRequest, server_url: Callable[[str], str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[tuple[hx.Lab, hx.Lab]]:
    """Two notebooks on one store: the second is a lab as another process has it."""
    monkeypatch.chdir(tmp_path)  # the key is in `.hexdag` of the current directory
    url = f"sqlite:///{tmp_path}/lab.db" if request.param == "sqlite" else server_url(request.param)
    where: dict[str, Any] = {"store": url, "blobs": f"file://{tmp_path}/blobs"}
    with hx.Lab(pool="inline", owner="dana", **where) as first:
        live, registry._LIVE = registry._LIVE, {}
        try:
            second = hx.Lab(owner="arun", leader=False, **where)
        finally:
            registry._LIVE = live
        with second:
            yield first, second


def test_two_notebooks_write_a_draft_and_settle_a_conflict(labs: tuple[hx.Lab, hx.Lab]) -> None:
    dana, arun = labs[0].draft("next", of=hx.Dag.of(load, fit)), labs[1].draft("next")
    theirs = hx.Changeset.on(arun.dag).replace_node("fit", fit.as_node("fit", depth=7))
    arun.edit(theirs).add_node(hx.NodeSpec("check", lambda fit: fit))
    assert dana.dag == arun.dag
    assert {(change.by, change.text) for change in dana.changes()} >= {("arun", "writes fit"), ("arun", "writes check")}
    before = dana._replica  # she has not seen what follows when she writes
    arun.replace_node("fit", fit.as_node("fit", depth=8))
    fresh = before.write({"fit": dana.dag.nodes["fit"].but(params={"depth": 9})}, "dana")
    dana._wrote(fresh)
    (conflict,) = arun.conflicts
    assert {"dana", "arun"} <= set(re.findall(r"\w+", str(conflict)))
    arun.settle(conflict)
    assert dana.conflicts == arun.conflicts == ()
    assert dana.dag == arun.dag
