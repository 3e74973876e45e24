"""What a node prints is told under its name, in order, and a flood is cut with a count."""

from __future__ import annotations

import asyncio
import io
import logging
import os
import subprocess
import sys
import threading
import time
from typing import Any

import pytest

import hexdag_lab as hx
from hexdag_lab.worker.context import Note
from hexdag_lab.worker.printed import LONGEST, MOST_LINES, Said, printing
from tests.worker.attempts import attempt


def lines(said: list[Any], stream: str | None = None) -> list[str]:
    """The finished lines that were told, in order."""
    told = [s for s in said if not s.passing and s.stream and stream in (None, s.stream)]
    return [line for s in told for line in s.text.split("\n")]


def printed(fn: Any) -> list[Said]:
    said: list[Said] = []
    with printing(said.append):
        fn()
    return said


def test_what_a_node_prints_is_told_with_its_name_before_its_end() -> None:
    def fit() -> int:
        print("epoch 1")
        print("trouble", file=sys.stderr)
        hx.context().log("said")
        print("no newline", end="")
        return 1

    made = attempt(fit, attempt=3)
    notes = made.of(Note)
    assert {(n.node, n.attempt) for n in notes} == {("n", 3)}
    assert [(n.stream, n.text) for n in notes] == [
        ("stdout", "epoch 1"), ("stderr", "trouble"), ("", "said"), ("stdout", "no newline"),
    ]  # fmt: skip
    assert type(made.said[-1]).__name__ == "Succeeded"


def test_the_print_of_a_node_that_fails_is_told_before_its_failure() -> None:
    def fails() -> None:
        print("close to the edge", end="")
        raise ValueError("over it")

    made = attempt(fails)
    assert [type(m).__name__ for m in made.said] == ["Started", "Note", "Failed"]
    assert made.of(Note)[0].text == "close to the edge"


@pytest.mark.parametrize("timeout", [None, 10.0])
def test_coroutines_and_threads_in_the_nodes_context_are_heard(timeout: float | None) -> None:
    async def asks() -> None:
        print("in a coroutine")
        await asyncio.create_task(tell())
        await asyncio.to_thread(print, "in a thread")

    async def tell() -> None:
        print("in a task")

    assert lines(attempt(asks, timeout=timeout).of(Note)) == ["in a coroutine", "in a task", "in a thread"]


def test_logging_to_stderr_is_heard() -> None:
    def logs() -> None:
        log = logging.getLogger("of a node")
        handler = logging.StreamHandler()
        log.addHandler(handler)
        log.warning("careful")
        log.removeHandler(handler)

    assert lines(attempt(logs).of(Note), "stderr") == ["careful"]


def test_nodes_on_two_threads_do_not_mix() -> None:
    meet = threading.Barrier(2)
    said: dict[str, list[Said]] = {}

    def node(name: str) -> None:
        meet.wait(10)
        for number in range(100):
            print(name, number)

    def run(name: str) -> None:
        said[name] = printed(lambda: node(name))

    threads = [threading.Thread(target=run, args=(name,)) for name in ("a", "b")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    for name in ("a", "b"):
        told = lines(said[name])
        numbers = [int(line.removeprefix(f"{name} ")) for line in told]
        assert numbers == sorted(numbers)
        assert numbers[-1] == 99
        assert len(told) + sum(note.left_out for note in said[name]) == 100


def test_what_others_print_goes_where_it_went(monkeypatch: pytest.MonkeyPatch) -> None:
    out = io.StringIO()
    monkeypatch.setattr(sys, "stdout", out)
    said: list[Said] = []
    with printing(said.append):
        thread = threading.Thread(target=print, args=("from elsewhere",))
        if sys.version_info < (3, 14) or not sys.flags.thread_inherit_context:
            thread.start()
            thread.join(10)
            assert out.getvalue() == "from elsewhere\n"
            assert said == []
    assert sys.stdout is out, "nothing is left behind"


def test_a_worker_log_is_complete(monkeypatch: pytest.MonkeyPatch) -> None:
    out = io.StringIO()
    monkeypatch.setattr(sys, "stdout", out)
    printed(lambda: print("both"))
    assert out.getvalue() == "both\n"


def test_a_kernel_shows_a_line_once(monkeypatch: pytest.MonkeyPatch) -> None:
    out = type("OutStream", (io.StringIO,), {"__module__": "ipykernel.iostream"})()
    monkeypatch.setattr(sys, "stdout", out)
    assert lines(printed(lambda: print("only told"))) == ["only told"]
    assert out.getvalue() == ""


def test_streams_that_were_replaced_meanwhile_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    mine = io.StringIO()
    with monkeypatch.context() as patch:
        with printing(lambda _: None):
            patch.setattr(sys, "stdout", mine)
        assert sys.stdout is mine


PRINTS_WHILE_STREAMS_CHANGE = """
import sys, threading
from hexdag_lab.worker.printed import printing

inside, go_on, real, said = threading.Event(), threading.Event(), sys.stdout, []

class Slow:
    def write(self, text):
        inside.set()
        assert go_on.wait(30)

def node():
    with printing(lambda told: said.append(told.text)):
        print("a", "b", "c")

sys.stdout = Slow()
thread = threading.Thread(target=node)
thread.start()
assert inside.wait(30)
sys.stdout = real
go_on.set()
thread.join()
print(said)
"""


def test_a_print_under_way_outlives_a_change_of_streams() -> None:
    """In a process of its own: CPython's `print` crashes it if its stream is gone before it has ended."""
    ended = subprocess.run(
        [sys.executable, "-c", PRINTS_WHILE_STREAMS_CHANGE], capture_output=True, text=True, timeout=60, check=False
    )
    assert (ended.returncode, ended.stdout) == (0, "['a b c']\n"), ended.stderr


def test_a_flood_is_cut_with_an_exact_count() -> None:
    many = 50_000

    def floods() -> None:
        for number in range(many):
            print("x" * 80, number)

    said = printed(floods)
    told = lines(said)
    assert told[-1].endswith(f" {many - 1}"), "the last lines are the ones that are kept"
    assert len(told) + sum(s.left_out for s in said) == many
    assert len(said) < 200


def test_one_huge_print_is_cut() -> None:
    said = printed(lambda: print("line\n" * 3_000_000))
    assert len(lines(said)) <= MOST_LINES
    assert len(lines(said)) + sum(s.left_out for s in said) == 3_000_001
    (long,) = printed(lambda: print("x" * 5_000_000))
    assert long.text == "x" * LONGEST + "… (4,999,000 more characters)"


def test_a_progress_bar_is_one_line_that_passes() -> None:
    def bar() -> None:
        for number in range(3):
            sys.stderr.write(f"\rstep {number}")
        give_up = time.monotonic() + 10
        while not said and time.monotonic() < give_up:
            time.sleep(0.005)
        sys.stderr.write("\rstep 3\n")

    said: list[Said] = []
    with printing(said.append):
        bar()
    assert said == [Said("step 2", "stderr", passing=True), Said("step 3", "stderr")]


def test_windows_line_ends_are_line_ends() -> None:
    assert lines(printed(lambda: sys.stdout.write("one\r\ntwo\r\n"))) == ["one", "two"]


def test_a_line_is_told_while_the_node_goes_on() -> None:
    said: list[Said] = []
    with printing(said.append):
        print("first")
        print("second")
        give_up = time.monotonic() + 10
        while len(said) < 2 and time.monotonic() < give_up:
            time.sleep(0.005)
        assert lines(said) == ["first", "second"]


def test_a_print_that_cannot_be_told_fails_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    out = io.StringIO()
    monkeypatch.setattr(sys, "stdout", out)

    def nobody(_: Said) -> None:
        raise ConnectionError("the worker is going down")

    with printing(nobody):
        print("goes on")
    assert out.getvalue() == "goes on\n"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_forked_child_prints_where_it_did() -> None:
    said: list[Said] = []
    with printing(said.append):
        read, write = os.pipe()
        sys.stdout.flush()
        if (child := os.fork()) == 0:  # pragma: no cover
            try:
                sys.stdout.stands_for = os.fdopen(write, "w")  # type: ignore[union-attr]
                print("from the child")
                sys.stdout.flush()
            finally:
                os._exit(0)
        os.close(write)
        os.waitpid(child, 0)
        with os.fdopen(read) as pipe:
            assert pipe.read() == "from the child\n"
    assert said == []
