"""What has begun in a worker's process is in a file that outlives it."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from hexdag_lab.worker import trail
from hexdag_lab.worker.trail import Trail, begun, trail_of

ADDRESS = "tcp://127.0.0.1:4711"


def test_it_has_what_began_however_the_process_ends(tmp_path: Path) -> None:
    code = f"""
import os, signal
from hexdag_lab.worker.trail import Trail
trail = Trail({str(tmp_path)!r}, "lab", {ADDRESS!r}, "w0")
trail.mark(("run-1", "a", 1)); trail.mark(("run-1", "b\\tc", 2))
os.kill(os.getpid(), signal.SIGKILL)
"""
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == -signal.SIGKILL
    assert begun(trail_of(tmp_path, "lab", ADDRESS)) == {("run-1", "a", 1): "w0", ("run-1", "b\tc", 2): "w0"}
    assert begun(trail_of(tmp_path, "another lab", ADDRESS)) == {}


def test_the_next_process_at_an_address_begins_anew(tmp_path: Path) -> None:
    Trail(str(tmp_path), "lab", ADDRESS, "w0").mark(("run", "a", 1))
    Trail(str(tmp_path), "lab", ADDRESS, "w1").mark(("run", "b", 1))
    assert begun(trail_of(tmp_path, "lab", ADDRESS)) == {("run", "b", 1): "w1"}


def test_a_long_one_is_cut_and_what_was_last_is_always_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trail, "MOST", 200)
    made = Trail(str(tmp_path), "lab", ADDRESS, "w0")
    for number in range(1000):
        made.mark(("run", f"n{number}", 1))
        found = begun(trail_of(tmp_path, "lab", ADDRESS))
        assert ("run", f"n{number}", 1) in found
        assert number == 0 or ("run", f"n{number - 1}", 1) in found
    assert len(found) < 50
    assert sum(file.stat().st_size for file in tmp_path.iterdir()) < 500
