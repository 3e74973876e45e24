"""What nodes print and how they fail, as it is shown: the last lines, with names, harmless, and counted."""

from __future__ import annotations

import html as std
import re
import threading
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

import hexdag_lab as hx
from hexdag_lab.core.runs.worker import Worker, WorkerState
from hexdag_lab.runtime.log import Line
from hexdag_lab.views import html, lists, models, wording
from hexdag_lab.views.visit import Identity, Visit
from hexdag_lab.views.widget import RunWidget
from tests.runtime.kit import open_gate, pass_gate, until


def line(node: str, text: str, **more: Any) -> Line:
    return Line(1, 0.0, node, 1, text, **more)


def words(markup: str) -> str:
    return std.unescape(re.sub(r"<style>.*?</style>|<[^>]+>", "", markup, flags=re.DOTALL))


def fails(x: int = 0) -> float:
    print("<i>close</i> to the edge")
    return 1 / x  # the user's own line


def talks() -> int:
    for epoch in range(20):
        print(f"epoch {epoch}")
    return 1


def test_of_each_node_the_last_lines_are_shown_in_the_order_they_came() -> None:
    lines = [line("a", str(n)) for n in range(50)] + [line("b", "x")] + [line("a", "last")]
    shown = [(row.node, row.text) for row in models.tail(lines)]
    assert shown == [("a", str(n)) for n in range(45, 50)] + [("b", "x"), ("a", "last")]
    assert len(models.tail([line(f"n{n}", "x") for n in range(1000)])) == models.MOST_LINES


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a\tb", "a       b"),
        ("  kept", "  kept"),
        ("\x1b[1;31mred\x1b[0m", "red"),
        ("\u202edetrevni\x07", " detrevni "),
        ("y" * 500, "y" * 399 + "…"),
    ],
)
def test_a_line_is_shown_as_a_terminal_would_but_harmlessly(text: str, shown: str) -> None:
    assert wording.printed(text, 400) == shown


def test_a_cell_shows_prints_tracebacks_and_the_count_of_what_is_not_there() -> None:
    with hx.Lab(pool="inline", store="memory://") as lab:
        run = lab.start(hx.Dag.of(fails, talks))
        with pytest.raises(hx.RunFailed):
            run.wait(20)
        cell = RunWidget(run, Visit(lab, Identity("dana", "notebook")))
        until(lambda: "epoch 19" in cell.output.value)
        shown = words(cell.output.value)
        assert "talks | epoch 19" in shown
        assert "talks | epoch 13\n" not in shown, "only the last lines"
        assert "fails | <i>close</i> to the edge" in shown
        assert "✕ fails ZeroDivisionError: division by zero" in shown
        assert "return 1 / x  # the user's own line" in shown
        assert "<i>" not in cell.output.value
        assert "execute.py" not in shown, "no lines of ours"
        cell.close()
        state = run.feed.state
        page = words(html.node(state, "fails", run.log("fails")))
        assert "close</i> to the edge" in page
        assert "return 1 / x  # the user's own line" in page
        flood = words(html.output(state, [line("talks", "end", left_out=1_234_567)]))
        assert "talks | … 1,234,567 lines are left out" in flood


def test_a_cell_of_a_lab_that_is_closed_says_how_to_go_on_and_follows_no_more(tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    lab = hx.Lab(pool="inline", store=f"sqlite:///{tmp_path}/lab.db")
    run = lab.start(hx.Dag.of(hx.NodeSpec("waits", pass_gate, params={"gate": str(gate)})))
    cell = RunWidget(run, Visit(lab, Identity("dana", "notebook")))
    lab.close()
    until(lambda: "lab.attach(run_id) goes on with the run" in cell.children[0].value)
    until(lambda: not [thread for thread in threading.enumerate() if thread.name == "hexdag-view"])
    cell.close()
    open_gate(gate)


def test_the_whole_of_what_a_card_cuts_can_be_seen() -> None:
    long = "<b>because</b>\nof " + "this and \u202e" * 100
    with hx.Lab(pool="inline", store="memory://", policy="committee") as lab:
        lab.add_agent(hx.Agent("critic"))
        lab.add_agent(hx.Agent("lea"))
        run = lab.start(hx.Dag.of(hx.NodeSpec("talks", talks, requires={"gpu"})))  # it waits for that
        change = hx.Changeset.on(run.dag).add_node(hx.NodeSpec("more", talks))
        short = run.propose(change, by="critic", reason="short")
        assert html.whole(run.feed.state, run.feed.state.proposals[short.id]) == ""
        short.vote("lea", "approve", long)
        shown = html.whole(run.feed.state, run.feed.state.proposals[short.id])
        assert "<details>" in shown
        assert "<b>" not in shown
        assert words(shown).endswith("lea: <b>because</b>\nof " + "this and  " * 100)


def test_the_workers_page_says_who_runs_what_also_far_from_the_workers() -> None:
    with hx.Lab(pool="inline", store="memory://") as lab:
        run = lab.start(hx.Dag.of(talks))
        assert "No worker has run" in words(lists.workers([]))
        run.wait(20)
        rows = lab.workers()
        assert words(lists.workers([], run.feed.state)) == "run-1workerrunshas finishedinlinenothing now1"
        assert "inline" in words(lists.workers(rows, run.feed.state)).partition("run-1")[0]
        assert models.workers(run.feed.state) == (models.WorkerRow("inline", (), 1),)


def test_a_worker_is_told_in_words_and_what_no_worker_has_is_no_column() -> None:
    rows = [
        Worker("w1", "h1", WorkerState.BUSY, ("fit_1", "fit_2"), 2, ("gpu",), 96.6, 68_400_000, 2_000_000_000),
        Worker("w0", "h1", WorkerState.PAUSED, heartbeat=10.0, memory=1_500, why="asked to drain"),
        Worker("inline", heartbeat=None),
    ]
    table = ElementTree.fromstring(lists.workers(rows, now=100.0))
    heads = [head.text for head in table.iter("th")]
    assert heads == ["worker", "host", "state", "runs now", "slots", "can", "memory", "last heard of", "why"]
    cells = [["".join(cell.itertext()) for cell in row.iter("td")] for row in table.iter("tr")][1:]
    assert cells == [
        ["inline", "", "idle", "nothing", "1", "", "", "this very process", ""],
        ["w0", "h1", "paused", "nothing", "1", "", "2 kB", "01:30 ago", "asked to drain"],
        ["w1", "h1", "busy", "fit_1, fit_2", "2", "gpu", "68 MB of 2.0 GB", "3 s ago", ""],
    ]
    assert [cell.get("data-head") for cell in table.iter("td")][:9] == heads, "a narrow screen names each cell"
    alone = ElementTree.fromstring(lists.workers(rows[-1:]))
    assert [head.text for head in alone.iter("th")] == ["worker", "state", "runs now", "slots", "last heard of"]
