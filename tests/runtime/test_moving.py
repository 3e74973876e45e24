"""A run goes through a file from any store to any other, byte for byte; what is wrong with a file is said once."""

from __future__ import annotations

import asyncio
import hashlib
import json
import secrets
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import hexdag_lab as hx
from hexdag_lab.core.base.errors import Refused, SchemaError
from hexdag_lab.lab.audit import audit
from hexdag_lab.lab.depot import depot_of
from hexdag_lab.ports import Limits
from hexdag_lab.runtime import moving, wire
from hexdag_lab.runtime.history import Whole
from hexdag_lab.runtime.moving import exported, imported
from hexdag_lab.runtime.stores.sqlite import SqliteStore
from tests.runtime.kit import open_gate, pass_gate
from tests.runtime.test_compaction import compact

KINDS = ("sqlite", "redis", "valkey", "etcd", "consul")


def large() -> bytes:
    return b"x" * 100_000


def size(large: bytes) -> int:
    return len(large)


def held(gate: str) -> None:
    pass_gate(gate)


def yes(context: Any) -> bool:
    return True


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The key of a lab behind a server is looked for in the current folder: not in that of whoever runs the tests."""
    monkeypatch.chdir(tmp_path)


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a lab with a run "r": a blob among its results, a signed vote, an approved change; and its file."""
    home = tmp_path_factory.mktemp("lab")
    with hx.Lab(pool="inline", store=f"sqlite:///{home}/lab.db", owner="dana", policy=hx.Unanimous()) as lab:
        lab.add_agent(hx.Agent("critic", trust=1.0, vote=yes))
        gate = home / "gate"
        held_up = hx.NodeSpec("held", held, params={"gate": str(gate)})  # a run that is over takes no proposals
        run = lab.start(hx.Dag.of(hx.NodeSpec("large", large, durable=True), held_up), run_id="r")
        p = run.propose(hx.Changeset.on(run.dag).add_node(hx.NodeSpec("size", size).after("large")))
        p.wait(30)
        open_gate(gate)
        run.wait(30)
    asyncio.run(write(f"sqlite:///{home}/lab.db", home / "r.hexdag"))
    return home


@pytest.fixture
def home(written: Path, tmp_path: Path) -> Path:
    """A copy of that folder."""
    return Path(shutil.copytree(written, tmp_path / "lab"))


async def write(url: str, file: Path, blobs: Any = None) -> moving.Moved:
    async with depot_of(url, blobs) as depot:
        return await exported(depot.store, depot.journal, depot.blobs, "r", file)


async def take(url: str, file: Path, blobs: Any = None) -> moving.Moved:
    async with depot_of(url, blobs) as depot:
        return await imported(depot.store, depot.blobs, file)


async def whole(url: str, blobs: Any = None) -> Whole:
    async with depot_of(url, blobs) as depot:
        return await depot.journal.whole("r")


def other(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/other/lab.db"


@pytest.mark.parametrize("target", KINDS)
@pytest.mark.parametrize("source", KINDS)
def test_a_run_moves_from_any_store_to_any_other(
    source: str, target: str, server_url: Callable[[str], str], home: Path, tmp_path: Path
) -> None:
    def place(kind: str) -> str:
        lab = secrets.token_hex(4)
        return f"sqlite:///{tmp_path}/{lab}/lab.db" if kind == "sqlite" else f"{server_url(kind)}?lab={lab}"

    here, there = place(source), place(target)
    blobs = [tmp_path / "here", tmp_path / "there"]

    async def play() -> None:
        await take(here, home / "r.hexdag", blobs[0])
        moved = await write(here, tmp_path / "moved.hexdag", blobs[0])
        assert await take(there, tmp_path / "moved.hexdag", blobs[1]) == moved
        assert await whole(there, blobs[1]) == await whole(f"sqlite:///{home}/lab.db")

    asyncio.run(play())
    assert (tmp_path / "moved.hexdag").read_bytes() == (home / "r.hexdag").read_bytes(), "equal runs make equal files"
    report = audit(there, "r", blobs=blobs[1])
    assert report.findings == ()
    assert [vote.proof[:6] for vote in report.votes] == ["signed"] * len(report.votes)


def test_a_run_that_moved_is_attached_with_the_labs_key_and_reads_its_blobs(home: Path, tmp_path: Path) -> None:
    asyncio.run(take(other(tmp_path), home / "r.hexdag"))
    shutil.copy(home / "key", tmp_path / "other" / "key")
    with hx.Lab(pool="inline", store=other(tmp_path), owner="dana") as lab:
        run = lab.attach("r")
        assert run.results() == {"held": None, "large": b"x" * 100_000, "size": 100_000}
        assert [row.id for row in lab.runs()] == ["r"]


def test_without_the_labs_key_its_pickles_are_refused_and_its_journal_can_be_read(home: Path, tmp_path: Path) -> None:
    asyncio.run(take(other(tmp_path), home / "r.hexdag"))
    with hx.Lab(pool="inline", store=other(tmp_path), owner="dana") as lab:
        run = lab.attach("r")
        assert run.result("size") == 100_000, "JSON needs no key"
        with pytest.raises(hx.NotAllowed, match="pickle without the lab's key") as told:
            run.result("large")
        assert "key file" in str(told.value.fix)


def test_a_run_whose_first_rows_are_in_blobs_is_exported_whole(home: Path, tmp_path: Path) -> None:
    assert compact(home).rows > 0
    asyncio.run(write(f"sqlite:///{home}/lab.db", tmp_path / "again.hexdag"))
    assert moving.opened(tmp_path / "again.hexdag").rows == moving.opened(home / "r.hexdag").rows


def test_a_run_id_that_is_taken_is_refused_and_nothing_changes(home: Path) -> None:
    url = f"sqlite:///{home}/lab.db"
    before = asyncio.run(whole(url))
    with pytest.raises(Refused, match="run r exists already") as told:
        asyncio.run(take(url, home / "r.hexdag"))
    assert told.value.rule == "run-exists"
    assert asyncio.run(whole(url)) == before


def test_a_run_that_is_not_there_is_refused_and_makes_no_file(home: Path, tmp_path: Path) -> None:
    async def play() -> None:
        async with depot_of(f"sqlite:///{home}/lab.db") as depot:
            await exported(depot.store, depot.journal, depot.blobs, "ghost", tmp_path / "ghost.hexdag")

    with pytest.raises(Refused, match="no run 'ghost'"):
        asyncio.run(play())
    assert list(tmp_path.glob("*ghost*")) == []


# -- files that are not as they were written


def refusal(url: str, file: Path) -> str:
    """The one line with which a file is refused; nothing of it is in the store."""
    with pytest.raises(SchemaError) as told:
        asyncio.run(take(url, file))
    assert asyncio.run(whole(url)) == Whole([], [], None)
    assert str(file) in str(told.value)
    return str(told.value)


def rewritten(file: Path, to: Path, change: Callable[[str, bytes], bytes | None]) -> Path:
    """A file with other parts; None leaves one out. The manifest's digest fits, as somebody who forges it would do."""
    parts = {}
    with zipfile.ZipFile(file) as archive:
        for name in archive.namelist():
            data = change(name, archive.read(name))
            if data is not None:
                parts[name] = data
    if "manifest.json" in parts:
        parts["manifest.sha256"] = hashlib.sha256(parts["manifest.json"]).hexdigest().encode()
    with zipfile.ZipFile(to, "w") as archive:
        for name, data in parts.items():
            archive.writestr(name, data)
    return to


def test_wherever_a_byte_is_damaged_the_file_is_refused_or_still_holds_the_same(home: Path, tmp_path: Path) -> None:
    good, right = (home / "r.hexdag").read_bytes(), moving.opened(home / "r.hexdag")
    said = []
    for place in range(0, len(good), max(1, len(good) // 150)):
        file = tmp_path / "bad.hexdag"
        file.write_bytes(good[:place] + bytes([good[place] ^ 0x55]) + good[place + 1 :])
        said.append(damage(file, right))
    assert sum(bool(text) for text in said) > 100
    assert all(str(tmp_path / "bad.hexdag") in text for text in said if text)


def damage(file: Path, right: moving.Package) -> str:
    """What is said of a file; nothing, if it still holds the same."""
    try:
        return "" if moving.opened(file) == right else "another run came out, and nobody noticed"
    except SchemaError as error:
        return str(error)


@pytest.mark.parametrize("left", [0, 10, 1000])
def test_a_file_that_was_cut_short_is_refused(home: Path, tmp_path: Path, left: int) -> None:
    file = tmp_path / "short.hexdag"
    file.write_bytes((home / "r.hexdag").read_bytes()[:left])
    assert "is no exported run, or is damaged" in refusal(other(tmp_path), file)


def test_a_part_that_is_missing_or_another_one_is_named(home: Path, tmp_path: Path) -> None:
    for part, change, why in (
        ("journal", lambda data: None, "journal is missing in it"),
        ("chain", lambda data: data + b" ", "chain in it is not what its digest says"),
    ):
        file = rewritten(
            home / "r.hexdag", tmp_path / "bad.hexdag", lambda n, d, p=part, c=change: c(d) if n == p else d
        )
        assert why in refusal(other(tmp_path), file)


def test_a_newer_format_says_so(home: Path, tmp_path: Path) -> None:
    def newer(name: str, data: bytes) -> bytes:
        return json.dumps({**json.loads(data), "format": 7}).encode() if name == "manifest.json" else data

    file = rewritten(home / "r.hexdag", tmp_path / "new.hexdag", newer)
    assert "it has format 7, and this hexdag_lab reads up to 1: upgrade hexdag-lab" in refusal(other(tmp_path), file)


def test_a_file_of_something_else_or_none_says_so(tmp_path: Path) -> None:
    text = tmp_path / "letter.txt"
    text.write_text("Dear Marie")
    assert "is no exported run" in refusal(other(tmp_path), text)
    assert "is not there" in refusal(other(tmp_path), tmp_path / "nothing")


def test_a_row_that_is_too_large_for_the_store_is_said_before_anything_is_written(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(SqliteStore, "limits", Limits(300))
    with pytest.raises(SchemaError, match=r"a row of .* bytes, and this store takes at most 300"):
        asyncio.run(take(other(tmp_path), home / "r.hexdag"))


# -- imports that end in the middle


def test_an_import_that_was_killed_at_any_commit_is_finished_by_the_same_file(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(moving, "MOST_ROWS", 5)
    real, url, deaths = SqliteStore.commit, other(tmp_path), 0

    class Killed(Exception):
        pass

    async def dying(self: SqliteStore, *args: Any, **kwargs: Any) -> Any:
        nonlocal deaths
        done = await real(self, *args, **kwargs)
        deaths += 1
        raise Killed if deaths < 8 else KeyboardInterrupt(done)

    for _ in range(3):
        with monkeypatch.context() as patch:
            patch.setattr(SqliteStore, "commit", dying)
            with pytest.raises(Killed):
                asyncio.run(take(url, home / "r.hexdag"))
        with hx.Lab(pool="inline", store=url, owner="dana", leader=False) as lab:
            assert lab.runs() == [], "a run is in the list when it is there whole"
    asyncio.run(take(url, home / "r.hexdag"))
    assert asyncio.run(whole(url)) == asyncio.run(whole(f"sqlite:///{home}/lab.db"))


def test_a_part_of_another_import_is_not_gone_on_with(home: Path, tmp_path: Path) -> None:
    async def play() -> None:
        async with depot_of(other(tmp_path)) as depot:
            await depot.store.commit(puts={wire.importing("r"): b"another file"})
            await imported(depot.store, depot.blobs, home / "r.hexdag")

    with pytest.raises(Refused, match="a part of another run r"):
        asyncio.run(play())


def test_of_two_imports_at_once_one_is_done(home: Path, tmp_path: Path) -> None:
    async def both() -> list[Any]:
        works = [take(other(tmp_path), home / "r.hexdag") for _ in range(2)]
        return list(await asyncio.gather(*works, return_exceptions=True))

    ends = asyncio.run(both())
    assert sum(isinstance(end, moving.Moved) for end in ends) == 1
    assert sum(isinstance(end, Refused) for end in ends) == 1
    assert asyncio.run(whole(other(tmp_path))) == asyncio.run(whole(f"sqlite:///{home}/lab.db"))
