"""A draft is shared over every store: what one notebook writes, the other reads, and both show the same."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import hexdag_lab as hx
from hexdag_lab.core.replica.replica import Replica
from hexdag_lab.core.replica.sync import Sync
from hexdag_lab.core.replica.view import view
from hexdag_lab.lab import registry
from hexdag_lab.ports import Store
from hexdag_lab.runtime.stores import store_of
from tests.runtime.kit import until

pytestmark = pytest.mark.slow  # real servers


@hx.node
def load() -> int:
    return 1


@hx.node
def fit(load: int, depth: int = 3) -> int:
    return load + depth


STORES = ["memory", "sqlite", "redis", "valkey", "etcd", "consul"]


@pytest.fixture(params=STORES)
def url(request: pytest.FixtureRequest, server_url: Callable[[str], str], tmp_path: Path) -> str:
    if request.param == "memory":
        return f"memory://{tmp_path.name}"
    return f"sqlite:///{tmp_path}/lab.db" if request.param == "sqlite" else server_url(request.param)


@pytest.fixture
def labs(url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[hx.Lab, hx.Lab]]:
    """Two notebooks on one store: the second is a lab as another process has it."""
    monkeypatch.chdir(tmp_path)  # the key is in `.hexdag` of the current directory
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
    until(lambda: arun.dag and {copy.by: copy.behind for copy in dana.copies()} == {"dana": 0, "arun": 0})


def step(**inputs: int) -> int:
    return len(inputs)


async def _talk(store: Store) -> tuple[Replica, Replica, list[int]]:
    """Two copies that leave messages for each other in streams of a store, until neither has anything to say."""
    await store.open()
    copies = {
        name: Replica(name).write({name: hx.NodeSpec(name, step), "both": hx.NodeSpec("both", step)}) for name in "ab"
    }
    syncs = {name: Sync() for name in copies}
    read = dict.fromkeys(copies, 0)
    try:
        for _ in range(10):
            said = []
            for name, other in (("a", "b"), ("b", "a")):
                syncs[name], data = syncs[name].generate_message(copies[name])
                if data is not None:
                    said.append(await store.commit(append={f"talk/{other}": [data, data]}))  # twice: it does no harm
            for name in copies:
                for row in await store.read(f"talk/{name}", read[name]):
                    syncs[name], copies[name] = syncs[name].receive_message(copies[name], row.data)
                    read[name] = row.seq
            if not said:
                break
    finally:
        await store.close()
    return copies["a"], copies["b"], [*read.values()]


def test_two_copies_converge_over_any_store(url: str) -> None:
    a, b, read = asyncio.run(_talk(store_of(url)))
    assert view(a) == view(b)
    assert set(view(a).dag) == {"a", "b", "both"}
    assert all(count and count % 2 == 0 for count in read)
