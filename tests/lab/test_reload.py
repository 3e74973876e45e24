"""New code in a run that goes on: which attempt has which, and what a notebook says when a cell defines it anew."""

from __future__ import annotations

from pathlib import Path

import pytest
from IPython.core.interactiveshell import InteractiveShell

import hexdag_lab as hx
from hexdag_lab.lab import cells
from tests.lab import gates
from tests.lab.conftest import until


def test_both_hashes_are_shown_while_an_attempt_runs_on_the_old_code(lab: hx.Lab, running: hx.Run) -> None:
    old = running.nodes["held"].code_hash
    assert running.nodes["held"].ran_code_hash == old
    running.reload(hx.NodeSpec("held", lambda load: "new"))
    node = running.nodes["held"]
    assert node.ran_code_hash == old != node.code_hash
    gates.open_gate("held")
    assert running.wait(10)["held"] == "DATA.CSV"
    story = "\n".join(running.story("held"))
    assert f"submitted with code {old[:8]}" in story
    assert f"(code {old[:8]} -> {node.code_hash[:8]})" in story


def test_the_next_attempt_has_the_new_code(lab: hx.Lab) -> None:
    def stumbles() -> str:
        from tests.lab import gates

        gates.pass_through("held")
        raise ValueError("old code")

    run = lab.start(hx.Dag.of(hx.NodeSpec("stumbles", stumbles, retries=1, backoff=0)))
    gates.reached("held")
    old = run.nodes["stumbles"].code_hash
    run.reload(hx.NodeSpec("stumbles", lambda: "new code", retries=1, backoff=0))
    gates.open_gate("held")
    assert run.wait(10) == {"stumbles": "new code"}
    assert run.nodes["stumbles"].ran_code_hash == run.nodes["stumbles"].code_hash != old


def test_a_reload_that_needs_more_than_the_graph_gives_fails_its_checks(lab: hx.Lab, running: hx.Run) -> None:
    p = running.reload(hx.NodeSpec("held", lambda load, more: load))
    assert p.state == "REJECTED"
    assert "nothing fills its parameter 'more'" in p.why


def test_a_cell_that_defines_a_node_anew_is_answered_with_how_to_reload_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shell = InteractiveShell.instance()
    cell = "@hx.node\ndef slow(gate: str) -> str:\n    import os, time\n    while not os.path.exists(gate):\n"
    cell += "        time.sleep(0.01)\n    return 'OLD'\n"
    try:
        shell.user_ns |= {"hx": hx}
        shell.run_cell(cell)
        with hx.Lab(pool="inline", store=f"sqlite:///{tmp_path}/lab.db") as lab:
            run = lab.start(hx.Dag.of(shell.user_ns["slow"]), inputs={"gate": str(tmp_path / "gate")})
            until(lambda: run.nodes["slow"].state == "RUNNING")
            shell.run_cell("x = 1")
            shell.run_cell(cell)
            assert capsys.readouterr().out == ""
            shell.run_cell(cell.replace("OLD", "NEW"))
            said = capsys.readouterr().out
            assert said.startswith(f"{run.id}: the code of slow has changed; run.reload(slow) proposes it")
            assert run.reload(shell.user_ns["slow"]).state == "APPLIED"
            shell.run_cell(cell.replace("OLD", "NEW"))
            assert capsys.readouterr().out == ""
            (tmp_path / "gate").touch()
            assert run.wait(10) == {"slow": "OLD"}
    finally:
        InteractiveShell.clear_instance()
        cells._watched.clear()
