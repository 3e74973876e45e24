"""`up` leads a lab for others, `standby` waits for its end, and both say what is wrong in one line."""

from __future__ import annotations

import signal
import time

import pytest

from tests.cli.conftest import Shell, until


def test_up_leads_alone_and_hands_over_to_a_standby_when_it_is_told_to_end(shell: Shell) -> None:
    up = shell.start("up", "--pool", "inline")
    assert up.stdout is not None
    assert ": leads" in up.stdout.readline()
    assert "another process leads this lab" in shell("up", "--pool", "inline", code=2)
    standby = shell.start("standby", "--pool", "inline")
    assert standby.stdout is not None
    assert ": stands by" in standby.stdout.readline()
    assert "the service has ended" in shell("down")
    assert "has ended" in up.stdout.read()
    assert up.wait(20) == 0
    assert ": leads" in standby.stdout.readline()
    standby.send_signal(signal.SIGINT)
    assert "has ended" in standby.stdout.read()
    assert standby.wait(20) == 0


GRAPH = """
import hexdag_lab as hx

@hx.node
def answer():
    return 42

dag = hx.Dag.of(answer)
"""


def test_a_graph_of_a_file_runs_in_the_service_that_leads(shell: Shell) -> None:
    up = shell.start("up", "--pool", "inline")
    assert up.stdout is not None
    assert ": leads" in up.stdout.readline()
    (shell.home / "graph.py").write_text(GRAPH)
    assert "answer = 42" in shell("run", "graph.py")
    assert "SUCCEEDED" in shell("runs")
    assert up.poll() is None


def test_there_is_nothing_to_end_where_nobody_leads(shell: Shell) -> None:
    assert "there is no lab in sqlite:///.hexdag/lab.db yet" in shell("down", code=2)


def test_up_with_nothing_to_do_ends_after_its_idle_time(shell: Shell) -> None:
    up = shell.start("up", "--pool", "inline", "--idle", "0.5")
    until(lambda: up.poll() is not None)
    assert up.stdout is not None
    assert "nothing to do for 0.5 s" in up.stdout.read()
    assert up.returncode == 0


def test_a_store_that_is_down_is_said_within_5_seconds(shell: Shell) -> None:
    began = time.monotonic()
    said = shell("up", "--store", "redis://127.0.0.1:9", code=2)
    assert "the store redis://127.0.0.1:9/0 does not answer" in said
    assert time.monotonic() - began < 5 + 3, "5 s, and what a Python takes to start"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--ttl", "0.1"), "--ttl is 1 s or more, not 0.1"),
        (("--ttl", "nan"), "--ttl is 1 s or more"),
        (("--store", "memory://"), "a store in memory is seen by no other process"),
        (("--pool", "nonsense"), "nonsense"),
    ],
)
def test_what_cannot_be_is_said(shell: Shell, words: tuple[str, ...], said: str) -> None:
    assert said in shell("up", *words, code=2)
