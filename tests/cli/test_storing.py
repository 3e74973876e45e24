"""Commands for who looks after a store, as people type them."""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path

import pytest

import hexdag_lab as hx
from hexdag_lab.cli import main
from hexdag_lab.worker.blobs import FileBlobs


def large() -> bytes:
    return bytes(80_000)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current directory, with a lab and its run "r" that has ended."""
    monkeypatch.chdir(tmp_path)
    with hx.Lab(pool="inline", owner="dana") as lab:
        lab.start(hx.Dag.of(hx.NodeSpec("large", large, durable=True)), run_id="r").wait(30)
    return tmp_path


def test_a_run_is_exported_and_imported_and_refused_the_second_time(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["export", "r", "r.hexdag"]) == 0
    there = ["--store", "sqlite:///there/lab.db"]
    assert main([*there, "import", "r.hexdag"]) == 0
    assert "run r: " in capsys.readouterr().out
    assert main([*there, "import", "r.hexdag"]) == 2
    assert "run r exists already in this store" in capsys.readouterr().err
    assert main([*there, "audit", "r"]) == 0


def test_what_is_no_exported_run_is_one_line(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (home / "letter").write_text("Dear Marie")
    assert main(["--store", "sqlite:///there/lab.db", "import", "letter"]) == 2
    said = capsys.readouterr().err
    assert said.startswith("hexdag-lab: letter is no exported run, or is damaged")
    assert said.count("\n") == 1


def test_gc_says_what_would_go_and_then_removes_it(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lost = blobs_of(home).put(b"nobody names this")
    old = time.time() - 3 * 3600
    os.utime(home / ".hexdag" / "blobs" / lost[:2] / lost, (old, old))
    assert main(["gc", "--dry-run"]) == 0
    assert capsys.readouterr().out.startswith("0 blobs")
    assert main(["gc", "--dry-run", "--older-than", "2"]) == 0
    said = capsys.readouterr().out
    assert lost in said
    assert "1 blobs of 17 bytes would go" in said
    assert main(["gc", "--older-than", "2"]) == 0
    assert "1 blobs of 17 bytes are gone" in capsys.readouterr().out
    assert not blobs_of(home).has(lost)
    with hx.Lab(pool="inline", owner="dana") as lab:
        assert lab.attach("r").result("large") == bytes(80_000)


def blobs_of(home: Path) -> FileBlobs:
    return FileBlobs(home / ".hexdag" / "blobs")


def test_a_store_that_is_not_there_is_not_made(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.rmtree(home / ".hexdag")
    for words in (["gc"], ["compact"], ["export", "r", "file"]):
        assert main(words) == 2
        assert "there is no lab in" in capsys.readouterr().err
    assert not (home / ".hexdag").exists()


def test_without_the_labs_key_nothing_is_compacted(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (home / ".hexdag" / "key").unlink()
    assert main(["compact"]) == 2
    assert "the lab's key is not here" in capsys.readouterr().err
