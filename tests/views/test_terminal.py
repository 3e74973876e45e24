"""The terminal: it fits, whatever the size; what matters stays; and nothing that an agent writes is markup."""

from __future__ import annotations

import io
from collections.abc import Iterator

import pytest
from rich.console import Console

import hexdag_lab as hx
from hexdag_lab.views import terminal
from tests.lab import gates
from tests.lab.conftest import until


@pytest.fixture
def run() -> Iterator[hx.Run]:
    """Twelve waves; twenty nodes in the third, of which one waits at a gate; a proposal waits for dana."""

    def waits(a: int) -> int:
        from tests.lab import gates

        gates.pass_through("wide")
        return a

    with hx.Lab(pool="inline", store="memory://", owner="dana") as lab:
        lab.add_agent(hx.Agent("critic"))
        specs = [hx.NodeSpec("root", lambda: 1), hx.NodeSpec("a", lambda root: 1)]
        specs += [hx.NodeSpec(f"wide_{number:02d}", lambda a: a) for number in range(20)]
        specs += [hx.NodeSpec("wide_20", waits), hx.NodeSpec("c00", lambda wide_20: 1)]
        specs += [hx.NodeSpec(f"c{n:02d}", lambda **up: 1).after(f"c{n - 1:02d}") for n in range(1, 9)]
        made = lab.start(hx.Dag.of(*specs))
        until(lambda: sum(node.state == "SUCCEEDED" for node in made.nodes.values()) == 22)
        until(lambda: made.nodes["wide_20"].state == "RUNNING")
        change = hx.Changeset.on(made.dag)
        for number in range(15):
            change = change.add_node(hx.NodeSpec(f"new_{number:02d}", lambda a: a))
        made.propose(change, by="critic", reason="[bold red]much[/] more \x1b[31m" * 3)
        yield made
        gates.reset()


def drawn(part: object, width: int) -> list[str]:
    console = Console(file=io.StringIO(), width=width, force_terminal=False)
    console.print(part)
    text: str = console.file.getvalue()  # type: ignore[attr-defined]
    return text.rstrip("\n").split("\n")


@pytest.mark.parametrize("size", [(200, 50), (100, 40), (80, 24), (58, 24), (40, 30), (30, 20)])
def test_it_fits_and_keeps_what_is_to_be_decided(run: hx.Run, size: tuple[int, int]) -> None:
    width, height = size
    now = run.view.state.at
    lines = drawn(terminal.run(run.view.state, now, width=width, height=height), width)
    assert all(len(line) <= width for line in lines)
    if height >= 24 and width >= 58:
        assert len(lines) <= height
    text = "\n".join(lines)
    assert lines[0].startswith("run-1  RUNNING")
    assert "critic proposes" in text
    assert "needs dana" in text.replace("\n", " ") or width < 58
    if width >= 80:
        assert "rejects itself in 10:00" in text
        assert "[bold red]much[/] more" in text, "words are no markup"
    assert "\x1b" not in text


def test_the_wave_that_is_worked_on_is_shown_with_what_runs(run: hx.Run) -> None:
    text = "\n".join(drawn(terminal.run(run.at(run.seq - 2).state, 0, width=58, height=40), 58))
    assert "wave 3" in text
    assert "▶ wide_20" in text
    assert "… 8 more, 8 done" in text
    assert "after …" in text, "and how many waves are not shown"


def test_notes_stand_beside_nodes(run: hx.Run) -> None:
    text = "\n".join(drawn(terminal.run(run.view.state, 0, {"a": "0.93"}, 200, 60), 200))
    assert "✓ a 0.93" in text


@pytest.mark.parametrize("width", [120, 60])
def test_the_table_of_versions(run: hx.Run, width: int) -> None:
    run.propose(hx.Changeset.on(run.dag).add_node(hx.NodeSpec("mine", lambda: 1)), reason="my own")
    lines = drawn(terminal.versions(run.view.state, width), width)
    text = "\n".join(lines)
    assert all(len(line) <= width for line in lines)
    for part in ("run-1: who changed what, and why", "v1", "v2", "dana", "my own", "critic", "+15 nodes"):
        assert part in text


def test_the_versions_in_one_line_end_with_the_latest(run: hx.Run) -> None:
    for number in range(6):
        run.propose(hx.Changeset.on(run.dag).add_node(hx.NodeSpec(f"mine_{number}", lambda: 1)))
    line = str(terminal.history(run.view.state, 60))
    assert line.startswith("… ─ ")
    assert line.endswith("● v7 dana +1 node")
    assert len(line) <= 60
