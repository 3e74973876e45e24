"""What a sweep removes, and what it never does."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import hexdag_lab as hx
from hexdag_lab.core.base.errors import SchemaError, StoreUnavailable
from hexdag_lab.lab.depot import depot_of, depots_of
from hexdag_lab.runtime import sweep
from hexdag_lab.runtime.shipping import Shipping
from hexdag_lab.runtime.sweep import Swept, swept
from hexdag_lab.worker.blobs import FileBlobs
from tests.runtime.kit import open_gate, pass_gate, until
from tests.runtime.test_compaction import compact

DAY = 24 * 3600.0


def large(size: int) -> bytes:
    return bytes(size)


def held(gate: str) -> int:
    pass_gate(gate)
    return 1


def url_of(home: Path, name: str = "lab") -> str:
    return f"sqlite:///{home}/{name}.db"


def aged(home: Path) -> set[str]:
    """All blobs of a folder, made two days old."""
    files = [path for path in (home / "blobs").rglob("*") if len(path.name) == 64 and path.parent.name != "used-by"]
    for path in files:
        os.utime(path, (time.time() - 2 * DAY,) * 2)
    return {path.name for path in files}


def gc(home: Path, dry: bool = False, also: Any = (), name: str = "lab") -> Swept:
    async def work() -> Swept:
        async with depots_of(url_of(home, name), also=also) as found:
            return await swept(found[0].swept, [(depot.store, depot.journal) for depot in found], DAY, dry)

    return asyncio.run(work())


def run_one(home: Path, name: str = "lab", size: int = 90_000, run_id: str = "r") -> None:
    with hx.Lab(pool="inline", store=url_of(home, name), owner="dana") as lab:
        node = hx.NodeSpec("large", large, params={"size": size}, durable=True)
        lab.start(hx.Dag.of(node), run_id=run_id).wait(30)


def orphan(home: Path) -> str:
    return FileBlobs(home / "blobs").put(b"nobody names this")


def test_what_no_run_names_goes_and_what_one_names_stays(tmp_path: Path) -> None:
    run_one(tmp_path)
    lost = orphan(tmp_path)
    before = aged(tmp_path)
    planned = gc(tmp_path, dry=True)
    assert ([blob.sha256 for blob in planned.gone], aged(tmp_path)) == ([lost], before), "a dry run removes nothing"
    assert gc(tmp_path).gone[0].sha256 == lost
    assert aged(tmp_path) == before - {lost}
    with hx.Lab(pool="inline", store=url_of(tmp_path), owner="dana") as lab:
        assert lab.attach("r").result("large") == bytes(90_000)


def test_what_is_young_stays_for_it_may_be_about_to_be_named(tmp_path: Path) -> None:
    run_one(tmp_path)
    lost = orphan(tmp_path)
    assert gc(tmp_path) == Swept(gc(tmp_path).named, 1, ())
    assert FileBlobs(tmp_path / "blobs").has(lost)


def test_what_is_put_again_is_young_again(tmp_path: Path) -> None:
    run_one(tmp_path)
    lost = orphan(tmp_path)
    aged(tmp_path)
    orphan(tmp_path)
    assert gc(tmp_path).gone == ()
    assert FileBlobs(tmp_path / "blobs").has(lost)


def test_what_is_named_between_the_look_and_the_removal_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody starts a run with old code while the sweep reads the journals."""
    run_one(tmp_path)
    lost = orphan(tmp_path)
    aged(tmp_path)
    real = sweep.names_in

    async def slow(*args: Any) -> set[str]:
        found = await real(*args)
        assert orphan(tmp_path) == lost
        return found

    monkeypatch.setattr(sweep, "names_in", slow)
    assert gc(tmp_path).gone == ()


def test_segments_and_snapshots_and_what_they_name_stay(tmp_path: Path) -> None:
    with hx.Lab(pool="inline", store=url_of(tmp_path), owner="dana") as lab:
        nodes = [hx.NodeSpec(f"n{i}", large, params={"size": 70_000 + i}, durable=True) for i in range(6)]
        run = lab.start(hx.Dag.of(*nodes), run_id="r")
        run.wait(30)
    assert compact(tmp_path, least=5, keep=2).rows > 0
    before = aged(tmp_path)
    assert gc(tmp_path).gone == ()
    assert aged(tmp_path) == before
    with hx.Lab(pool="inline", store=url_of(tmp_path), owner="dana") as lab:
        assert lab.attach("r").result("n3") == bytes(70_003)


def test_a_snapshot_that_another_has_replaced_goes(tmp_path: Path) -> None:
    run_one(tmp_path)
    compact(tmp_path, least=3, keep=0)
    saved = asyncio.run(archived(tmp_path)).saved
    with hx.Lab(pool="inline", store=url_of(tmp_path), owner="dana") as lab:
        lab.attach("r")

    async def forget() -> None:
        async with depot_of(url_of(tmp_path)) as depot:
            archive, rev = await depot.journal.archive("r")
            await depot.store.commit({"archive/r": rev}, {"archive/r": archive._replace(saved=None).pack()})

    asyncio.run(forget())
    aged(tmp_path)
    assert [blob.sha256 for blob in gc(tmp_path).gone] == [saved.blob]


async def archived(home: Path) -> Any:
    async with depot_of(url_of(home)) as depot:
        return (await depot.journal.archive("r")).archive


def test_the_code_of_a_draft_and_of_a_proposal_that_nobody_has_decided_stays(tmp_path: Path) -> None:
    with hx.Lab(pool="inline", store=url_of(tmp_path), owner="dana", policy=hx.Unanimous()) as lab:
        lab.add_agent(hx.HumanAgent("marie"))
        gate = tmp_path / "gate"
        run = lab.start(hx.Dag.of(hx.NodeSpec("held", held, params={"gate": str(gate)})), run_id="r")
        until(lambda: run.nodes["held"].state == "RUNNING")
        p = run.propose(hx.Changeset.on(run.dag).add_node(hx.NodeSpec("new", lambda: 41)))
        draft = lab.draft("next", of=run)
        draft.add_node(hx.NodeSpec("drafted", lambda: 42))
        before = aged(tmp_path)
        assert gc(tmp_path).gone == ()
        assert aged(tmp_path) == before
        p.vote("marie", "approve")
        open_gate(gate)
        assert run.wait(30)["new"] == 41


def test_blobs_of_another_lab_in_the_same_folder_stay(tmp_path: Path) -> None:
    run_one(tmp_path)
    run_one(tmp_path, "second", size=95_000)
    before = aged(tmp_path)
    assert gc(tmp_path).gone == ()
    assert gc(tmp_path, name="second").gone == ()
    assert aged(tmp_path) == before
    (tmp_path / "second.db").unlink()
    assert len(gc(tmp_path).gone) > 0, "that lab was removed"


def test_where_another_lab_cannot_be_read_nothing_goes(
    server_url: Callable[[str], str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_one(tmp_path)
    lost = orphan(tmp_path)
    aged(tmp_path)
    FileBlobs(tmp_path / "blobs").use_for("redis://127.0.0.1:9/0")
    with pytest.raises(StoreUnavailable, match=r"also those of the store redis://127.0.0.1:9/0.*--also URL"):
        gc(tmp_path)
    assert FileBlobs(tmp_path / "blobs").has(lost)


@pytest.mark.parametrize("damage", [b"\xff\xfe\x00", b"", b"sqlite:///else.db"])
def test_where_it_is_damaged_whose_blobs_these_are_nothing_goes_until_that_lab_is_opened_again(
    tmp_path: Path, damage: bytes
) -> None:
    run_one(tmp_path)
    orphan(tmp_path)
    aged(tmp_path)
    (mark,) = (tmp_path / "blobs" / "used-by").iterdir()
    mark.write_bytes(damage)
    with pytest.raises(StoreUnavailable, match=rf"{mark.name} is damaged.*open each lab once that does so"):
        gc(tmp_path)
    with hx.Lab(pool="inline", store=url_of(tmp_path), owner="dana"):
        pass
    aged(tmp_path)
    assert len(gc(tmp_path).gone) == 1


def test_a_journal_that_cannot_be_read_whole_stops_the_sweep(tmp_path: Path) -> None:
    run_one(tmp_path)
    compact(tmp_path, least=3, keep=0)
    (segment,) = asyncio.run(archived(tmp_path)).segments
    FileBlobs(tmp_path / "blobs").remove(segment.blob)
    orphan(tmp_path)
    before = aged(tmp_path)
    with pytest.raises(StoreUnavailable, match="missing"):
        gc(tmp_path)
    assert aged(tmp_path) == before


def test_blobs_that_cannot_be_listed_are_not_swept(tmp_path: Path) -> None:
    class Plain:
        def put(self, data: bytes) -> str:
            return ""

        def get(self, sha256: str) -> bytes:
            return b""

        def has(self, sha256: str) -> bool:
            return False

    async def work() -> None:
        async with depots_of(url_of(tmp_path), Plain()):
            pass

    with pytest.raises(SchemaError, match="Plain cannot list its blobs"):
        asyncio.run(work())


def test_code_that_was_shipped_long_ago_is_put_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody may have named it, and then it was swept."""
    from hexdag_lab.runtime import shipping
    from hexdag_lab.runtime.seal import Seal

    blobs = FileBlobs(tmp_path / "blobs")
    ours = Shipping(blobs, Seal())
    spec = hx.NodeSpec("large", large, params={"size": 1})
    name = str(ours.spec(spec).blob).partition(".")[0]
    blobs.remove(name)
    monkeypatch.setattr(shipping, "FRESH", 0.0)
    ours.spec(spec)
    assert blobs.has(name)


def test_blobs_in_memory_are_listed_with_their_times() -> None:
    blobs = FileBlobs("memory://sweep-test")
    name = blobs.put(b"x")
    (found,) = blobs.listed()
    assert (found.sha256, found.size) == (name, 1)
    assert abs(found.at - time.time()) < 120
    blobs.use_for("redis://h:1/0")
    assert blobs.used_by() == ("redis://h:1/0",)
    blobs.remove(name)
    blobs.remove(name)
    assert list(blobs.listed()) == []
