"""Blobs come back as they were or not at all, whole after any interruption, wherever fsspec can put them."""

from __future__ import annotations

import hashlib
import os
import pickle
import secrets
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import hexdag_lab
from hexdag_lab.core.base.errors import StoreUnavailable
from hexdag_lab.ports import Blobs
from hexdag_lab.worker.blobs import FileBlobs, blobs_of


@pytest.fixture(params=["file", "memory"])
def blobs(request: pytest.FixtureRequest, tmp_path: Path) -> FileBlobs:
    name = f"memory://{secrets.token_hex(8)}" if request.param == "memory" else f"file://{tmp_path}/blobs"
    return FileBlobs(name)


def file_of(blobs: FileBlobs, sha256: str) -> Path:
    return Path(blobs.url.removeprefix("file://")) / sha256[:2] / sha256


@pytest.mark.parametrize("data", [b"", b"some bytes", bytes(3 * 2**20)])
def test_bytes_come_back_under_their_sha256(blobs: FileBlobs, data: bytes) -> None:
    sha256 = blobs.put(data)
    assert sha256 == hashlib.sha256(data).hexdigest()
    assert blobs.get(sha256) == data
    assert blobs.has(sha256)


def test_the_same_bytes_are_kept_once(tmp_path: Path) -> None:
    blobs = FileBlobs(tmp_path)
    assert blobs.put(b"x") == blobs.put(b"x")
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == [blobs.put(b"x")]


def test_a_blob_lies_below_the_first_two_digits_of_its_name(tmp_path: Path) -> None:
    blobs = FileBlobs(tmp_path)
    sha256 = blobs.put(b"x")
    assert (tmp_path / sha256[:2] / sha256).read_bytes() == b"x"


def test_a_missing_blob_is_named_and_there_is_advice(blobs: FileBlobs) -> None:
    sha256 = hashlib.sha256(b"never put").hexdigest()
    assert not blobs.has(sha256)
    with pytest.raises(StoreUnavailable, match=f"{sha256} is missing at .*run its node again"):
        blobs.get(sha256)


def test_a_damaged_blob_is_refused_and_putting_it_again_repairs_it(tmp_path: Path) -> None:
    blobs = FileBlobs(tmp_path)
    sha256 = blobs.put(b"right")
    file_of(blobs, sha256).write_bytes(b"wrong")
    with pytest.raises(StoreUnavailable, match=f"{sha256} .* is damaged: it holds 5 bytes.*repairs it"):
        blobs.get(sha256)
    assert blobs.put(b"right") == sha256
    assert blobs.get(sha256) == b"right"


@pytest.mark.parametrize("name", ["", "../../etc/passwd", "AB" * 32, "0" * 63, "0" * 64 + "\n"])
def test_what_is_no_sha256_names_no_file(blobs: FileBlobs, name: str) -> None:
    assert not blobs.has(name)
    with pytest.raises(StoreUnavailable, match="names no blob"):
        blobs.get(name)


def test_an_interrupted_write_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_handle: int) -> None:
        raise OSError(28, "No space left on device")

    blobs = FileBlobs(tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(StoreUnavailable, match=r"1 bytes cannot be kept at .*No space left.*free some space"):
            blobs.put(b"x")
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []
    assert blobs.get(blobs.put(b"x")) == b"x"


def test_bytes_are_synced_before_they_get_their_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    order: list[str] = []

    def sync(handle: int) -> None:
        order.append("sync")
        assert os.fstat(handle)

    def name(old: Path, new: Path) -> None:
        order.append("name")
        old.rename(new)

    monkeypatch.setattr(os, "fsync", sync)
    monkeypatch.setattr(Path, "replace", name)
    FileBlobs(tmp_path).put(b"x")
    assert order == ["sync", "name", "sync", "sync"]  # the bytes, then the name, then both directories


def test_many_threads_may_put_the_same_bytes(tmp_path: Path) -> None:
    blobs, data = FileBlobs(tmp_path), secrets.token_bytes(100_000)
    with ThreadPoolExecutor(8) as threads:
        names = set(threads.map(blobs.put, [data] * 32))
    assert [blobs.get(name) for name in names] == [data]


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a directory")
    with pytest.raises(StoreUnavailable, match=r"cannot be kept at file://.*make it writable"):
        FileBlobs(tmp_path / "file" / "blobs").put(b"x")


def test_a_local_place_is_absolute_and_survives_pickling(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    blobs = FileBlobs("near")
    sha256 = blobs.put(b"x")
    monkeypatch.chdir("/")
    assert pickle.loads(pickle.dumps(blobs)).get(sha256) == b"x"
    assert FileBlobs(blobs.url).get(sha256) == b"x"


def test_blobs_pass_through_and_a_url_or_path_makes_them(tmp_path: Path) -> None:
    blobs = FileBlobs(tmp_path)
    assert blobs_of(blobs) is blobs
    assert isinstance(blobs, Blobs)
    assert blobs_of(tmp_path).has(blobs.put(b"x"))
    assert blobs_of(f"file://{tmp_path}").has(blobs.put(b"x"))


def test_an_unknown_scheme_says_what_to_write() -> None:
    with pytest.raises(ValueError, match="write file:///path"):
        FileBlobs("nosuch://place")


def test_importing_the_module_loads_no_fsspec() -> None:
    code = "import sys, hexdag_lab.worker.blobs; sys.exit('fsspec' in sys.modules)"
    package = str(Path(hexdag_lab.__file__).parents[1])
    subprocess.run(
        [sys.executable, "-c", code],
        check=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([package, *sys.path])},
    )
