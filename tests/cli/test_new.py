"""`hexdag-lab new`: the project that it makes works as it stands."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest

from tests.cli.conftest import Shell, shell, until

__all__ = ["shell"]  # the fixture
FILES = {
    ".gitignore",
    "README.md",
    "agents.py",
    "measurements.csv",
    "notebook.ipynb",
    "pipeline.py",
    "test_pipeline.py",
}


def python(shell: Shell, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, *arguments], cwd=shell.home, env=shell.environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_it_makes_a_project_that_bears_its_name_and_whose_tests_pass(shell: Shell) -> None:
    assert "made weather" in shell("new", "weather")
    shell.home /= "weather"
    assert {path.name for path in shell.home.iterdir()} == FILES
    assert (shell.home / "README.md").read_text().startswith("# weather\n")
    assert not any("NAME" in path.read_text() for path in shell.home.iterdir())
    assert "2 passed" in python(shell, "-m", "pytest", "-q")


def test_its_graph_runs_from_the_command_line(shell: Shell) -> None:
    shell("new", "weather")
    shell.home /= "weather"
    text = shell("run", "pipeline.py:dag", "--pool", "inline")
    assert re.search(r"summary = \{'count': 239, ", text), text


def test_a_directory_with_something_in_it_is_left_alone(shell: Shell) -> None:
    (shell.home / "weather").mkdir()
    (shell.home / "weather" / "mine.txt").write_text("mine")
    assert "is there already, and not empty" in shell("new", "weather", code=2)
    assert [path.name for path in (shell.home / "weather").iterdir()] == ["mine.txt"]


@pytest.mark.slow
def test_its_notebook_runs_to_the_end_once_its_owner_approves_elsewhere(shell: Shell) -> None:
    shell("new", "weather")
    shell.home /= "weather"
    command = [sys.executable, "-m", "jupyter", "nbconvert", "--execute", "--to", "notebook", "--inplace"]
    notebook = subprocess.Popen([*command, "notebook.ipynb"], cwd=shell.home, env=shell.environment)
    try:
        shell.shows("hexdag-lab vote run-1/curious-", "inbox")
        proposal = re.search(r"run-1/curious-\d+", shell("inbox"))
        assert proposal
        assert "APPLIED" in shell("vote", proposal[0], "approve")
        until(lambda: notebook.poll() is not None, 60)
        assert notebook.returncode == 0
    finally:
        notebook.kill()
        notebook.wait()
    assert "'count': 239" in (shell.home / "notebook.ipynb").read_text()
