"""The main job, as processes: the demo by itself, on a terminal, decided from elsewhere, killed and attached again."""

from __future__ import annotations

import getpass
import json
import re
import signal
from collections import Counter
from pathlib import Path
from typing import Any

import psutil
import pytest

import hexdag_lab as hx
from tests.cli.conftest import Shell, shell, until

__all__ = ["shell"]  # the fixture
ME = getpass.getuser()
pytestmark = pytest.mark.dask


def journal(home: Path, run: str = "run-1") -> list[Any]:
    """The events of a run, read from its store."""
    with hx.Lab(store=f"sqlite:///{home}/.hexdag/lab.db", leader=False) as lab:
        return list(lab.attached(run).events())


def finished_once(events: list[Any]) -> None:
    """No node has finished twice, nor been started again after it had finished."""
    done = Counter(event.node for event in events if event.kind == "NodeSucceeded")
    assert set(done.values()) == {1}
    over: set[str] = set()
    for event in events:
        assert event.kind != "NodeStarted" or event.node not in over, f"{event.node} ran again"
        if event.kind == "NodeSucceeded":
            over.add(event.node)


def alive(process: psutil.Process) -> bool:
    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def test_the_demo_without_a_terminal_is_scripted(shell: Shell) -> None:
    text = shell("demo", "--seed", "3")
    assert "run run-1 in sqlite:///.hexdag/lab.db; if this process dies: hexdag-lab attach run-1" in text
    assert re.search(
        r'Explorer proposes .*\+6 nodes, "0\.\d+ is the best score so far; its neighbours are untried"', text
    )
    assert re.search(rf'{ME} .*approve "6 fits are worth it"', text)
    assert "the run ended: SUCCEEDED" in text
    assert "run-1: who changed what, and why" in text
    table = text[text.index("who changed what") :]
    for row in (rf"v1 .*{ME} .*11 nodes", r"v2 .*Explorer .*\+6 nodes .*Budgeteer approve", r"Stacker .*\+1 node"):
        assert re.search(row, table), row
    assert f"{ME} approve" in table
    assert re.search(r"static 5 x 5 grid, its best fit\s+│\s+25 │\s+0\.9\d+ ", text)
    ours = re.search(r"this run: changed while it ran\s+│\s+(\d+) │\s+(0\.9\d+) ", text)
    assert ours is not None
    if ours[1] != "25":
        assert f"this run used {25 - int(ours[1])} fits fewer than the grid has" in text
    events = journal(shell.home)
    finished_once(events)
    assert next(event.version for event in events if event.kind == "VersionCommitted") == 2
    kinds = [event.kind for event in events]
    assert kinds.index("VersionCommitted") < len(kinds) - 1 - kinds[::-1].index("NodeSucceeded")


def test_killed_in_the_middle_and_attached_no_finished_node_runs_again(shell: Shell) -> None:
    demo = shell.start("demo", "--yes")
    assert demo.stdout is not None
    for line in demo.stdout:  # in mid-run: some fits are done, others are not
        if "fit_" in line and "succeeded" in line:
            break
    children = psutil.Process(demo.pid).children(recursive=True)
    assert len(children) >= 2, "a scheduler and workers"
    demo.send_signal(signal.SIGKILL)
    demo.wait()
    before = journal(shell.home)
    done = {event.node for event in before if event.kind == "NodeSucceeded"}
    assert "split" in done
    assert len(done) < 12
    assert "RUNNING (orphaned: hexdag-lab attach run-1)" in shell("runs")
    until(lambda: not any(alive(child) for child in children), 10)
    text = shell("attach", "run-1")
    assert "going on with run-1" in text
    assert "run run-1 is SUCCEEDED" in text
    events = journal(shell.home)
    assert events[: len(before)] == before
    later = events[len(before) :]
    assert "RunAttached" in {event.kind for event in later}
    started = {event.node for event in later if event.kind == "NodeStarted"}
    assert not done & started, "what had finished ran again"
    finished_once(events)
    assert "stack" in started
    assert "SUCCEEDED" in shell("runs")


def test_a_person_at_the_terminal_says_yes(shell: Shell) -> None:
    demo = shell.on_terminal("demo", "--seed", "1", "--pool", "inline")
    demo.type("y\n")  # typed before anybody asked: counts for nothing
    demo.wait_for(f"{ME}, approve?")
    assert "Explorer proposes +6 nodes, against v1" in demo.shown
    assert f"needs {ME}" in demo.shown
    assert "rejects itself in 0" in demo.shown
    demo.type("perhaps\n")
    demo.wait_for("not understood: 'perhaps'")
    demo.type("\n")
    demo.type("yes it looks good\n")
    assert demo.end() == 0
    assert "this run: changed while it ran" in demo.shown
    ballots = [event.ballot for event in journal(shell.home) if event.kind == "BallotCast"]
    (mine,) = [ballot for ballot in ballots if ballot.voter == ME]
    assert (mine.choice, mine.reason, mine.via) == ("approve", "it looks good", "terminal")


def test_a_person_decides_from_another_terminal(shell: Shell) -> None:
    demo = shell.on_terminal("demo", "--pool", "inline")
    demo.wait_for(f"{ME}, approve?")
    assert "hexdag-lab vote run-1/Explorer-" in demo.shown
    card = shell("inbox")
    found = re.search(r"hexdag-lab vote (\S+) approve", card)
    assert found is not None
    assert f"{found[1]}: REJECTED, {ME} said reject" in shell(
        "vote", found[1], "reject", "--reason", "too many at once"
    )
    assert demo.end() == 0
    assert "too many at once" in json.dumps([str(event) for event in journal(shell.home)])
    assert "REJECTED" in demo.shown, "the table names what was turned down as well"
    events = journal(shell.home)
    finished_once(events)
    later = [event for event in events if event.kind == "VersionCommitted"]
    assert later, "the Explorer goes on with less"
    assert all(len(event.changeset.added) <= 5 for event in later), "and what is cheap needs no person"


def test_ctrl_c_leaves_a_run_that_can_be_attached(shell: Shell) -> None:
    demo = shell.on_terminal("demo")
    demo.wait_for(f"{ME}, approve?")
    demo.child.send_signal(signal.SIGINT)
    assert demo.end() == 130
    assert "hexdag-lab: interrupted; `hexdag-lab attach run-1` goes on with it" in demo.shown
    assert "Traceback" not in demo.shown
    assert "orphaned" in shell("runs")
    again = shell.on_terminal("attach", "run-1")
    again.wait_for(f"{ME}, approve?")
    again.type("y\n")
    assert again.end() == 0
    assert "run run-1 is SUCCEEDED" in again.shown
    finished_once(journal(shell.home))
