"""Where nodes of a test leave word, and what they wait for."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture
def witness(tmp_path: Path) -> Path:
    """The file into which nodes write that they have run: see `kit.ran`."""
    return tmp_path / "witness"


@pytest.fixture
def gate(tmp_path: Path) -> Path:
    """The file that lets waiting nodes go on once it is there: see `kit.pass_gate`, `kit.open_gate`."""
    return tmp_path / "gate"
