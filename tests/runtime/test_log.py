"""The log of a run: what its nodes said last, bounded and counted, here and in other processes."""

from __future__ import annotations

import random
import sys
import time
from pathlib import Path
from typing import Any

import pytest

import hexdag_lab as hx
from hexdag_lab.runtime.log import LONGEST, PACKED, PER_NODE, PER_RUN, Log
from hexdag_lab.worker.context import Note
from tests.runtime.kit import open_gate, pass_gate, until


def note(node: str, text: str, **more: Any) -> Note:
    return Note(1.0, node, 1, text, attempt=1, **more)


def texts(log: Log, node: str | None = None) -> list[str]:
    return [str(line) for line in log.lines(node)]


def test_lines_come_in_order_with_their_nodes_names() -> None:
    log = Log()
    for said in (note("a", "one\ntwo", stream="stdout"), note("b", "three"), note("a", "four")):
        log.add(said)
    assert texts(log) == ["a | one", "a | two", "b | three", "a | four"]
    assert texts(log, "a") == ["a | one", "a | two", "a | four"]
    assert texts(log, "nobody") == []


def test_what_passes_is_written_over_by_the_next_line_of_its_stream_only() -> None:
    log = Log()
    for said in (
        note("a", "10 %", stream="stderr", passing=True), note("a", "told", stream="stdout"),
        note("a", "20 %", stream="stderr", passing=True), note("a", "done", stream="stderr"),
        note("a", "", fraction=0.5), note("a", "epoch 2", fraction=0.75),
    ):  # fmt: skip
        log.add(said)
    assert texts(log) == ["a | told", "a | done", "a | 75% epoch 2"]


def test_a_node_keeps_its_last_lines_and_the_count_of_all() -> None:
    log = Log()
    for number in range(PER_NODE + 30):
        log.add(note("a", f"{number}", left_out=2))
    log.add(note("a", "x\n" * 100_000))
    lines = log.lines("a")
    assert len(lines) == PER_NODE
    assert len(lines) + sum(line.left_out for line in lines) == 3 * (PER_NODE + 30) + 100_001


def test_of_a_run_the_nodes_that_were_silent_longest_are_forgotten_first() -> None:
    log = Log()
    nodes = PER_RUN // PER_NODE + 1
    for node in range(nodes):
        log.add(note(f"n{node}", "\n".join(map(str, range(PER_NODE)))))
    assert len(log.lines()) == PER_RUN
    assert log.lines("n0") == ()
    assert len(log.lines("n1")) == PER_NODE


def test_a_long_line_is_cut() -> None:
    log = Log()
    log.add(note("a", "x" * 1_000_000))
    assert texts(log) == ["a | " + "x" * (LONGEST - 1) + "…"]


def test_the_latest_lines_fit_under_one_key_of_a_store() -> None:
    log, noise = Log(), random.Random(0)
    for number in range(PER_RUN):
        log.add(note(f"n{number % 100}", noise.randbytes(250).hex()))
    data = log.pack()
    assert len(data) <= PACKED
    again = Log.unpack(data)
    assert again.lines() == log.lines()[-len(again.lines()) :]
    assert len(again.lines()) > 50
    assert again.seq == log.seq


def talks(gate: str, times: int = 1) -> int:
    for number in range(times):
        print("line", number)
    print("trouble", file=sys.stderr)
    hx.context().progress(0.5, "half")
    pass_gate(gate)
    print("through")
    return 1


def fails() -> None:
    print("<b>close</b>")
    raise ValueError("over it")


@pytest.mark.parametrize("pool", ["inline", pytest.param("dask", marks=pytest.mark.dask)])
def test_prints_are_there_while_the_node_runs_and_after_it(pool: str, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    store = f"sqlite:///{tmp_path}/lab.db"
    with hx.Lab(pool=pool, store=store, workers=2) as lab:
        run = lab.start(hx.Dag.of(hx.NodeSpec("talks", talks, params={"gate": str(gate)}), hx.NodeSpec("fails", fails)))
        until(lambda: "talks | 50% half" in map(str, run.log()))
        assert [line.text for line in run.log("talks")] == ["line 0", "trouble", "50% half"]
        assert [(line.stream, line.attempt) for line in run.log("talks")] == [("stdout", 1), ("stderr", 1), ("", 1)]
        open_gate(gate)
        with pytest.raises(hx.RunFailed):
            run.wait(30)
        assert run.log("talks")[-1].text == "through"
        assert [line.text for line in run.log("fails")] == ["<b>close</b>"]
        with pytest.raises(hx.UnknownNode):
            run.log("nobody")
        assert not [event for event in run.events() if "line 0" in repr(event)], "it is not in the journal"
        said = run.log()
    with hx.Lab(pool="inline", store=store, leader=False) as lab:
        assert lab.attached(run.id).log() == said, "another process reads it, also when the run has ended"
    with hx.Lab(pool="inline", store=store) as lab:
        assert lab.attach(run.id).log() == said


def test_a_flood_stalls_nobody_and_fills_nothing(tmp_path: Path) -> None:
    def floods() -> None:
        for _ in range(100):
            print("y" * 99)
        for _ in range(100):  # 100 MB
            print(("z" * 99 + "\n") * 10_000, end="")

    began = time.monotonic()
    with hx.Lab(pool="inline", store=f"sqlite:///{tmp_path}/lab.db") as lab:
        run = lab.start(hx.Dag.of(hx.NodeSpec("floods", floods), hx.NodeSpec("other", lambda: 2)))
        assert run.wait(60)["other"] == 2
        lines = run.log("floods")
        assert len(lines) <= PER_NODE
        assert len(lines) + sum(line.left_out for line in lines) == 100 + 100 * 10_000
    assert (tmp_path / "lab.db").stat().st_size < 1_000_000
    assert time.monotonic() - began < 60


def test_another_process_reads_what_is_said_while_the_run_goes_on(tmp_path: Path) -> None:
    """The same store, opened a second time as a remote handle does."""
    gate = tmp_path / "gate"
    store = f"sqlite:///{tmp_path}/lab.db"
    with hx.Lab(pool="inline", store=store) as lab:
        run = lab.start(hx.Dag.of(hx.NodeSpec("talks", talks, params={"gate": str(gate), "times": 3})))
        until(lambda: len(run.log()) == 5)
        with hx.Lab(pool="inline", store=_another(store), leader=False) as watcher:
            assert not watcher.leads
            seen = watcher.attached(run.id)
            until(lambda: len(seen.log()) == 5)
            open_gate(gate)
            until(lambda: seen.status == "SUCCEEDED")
            assert seen.log()[-1].text == "through"


def _another(store: str) -> Any:
    from hexdag_lab.runtime.stores import store_of

    return store_of(store)
