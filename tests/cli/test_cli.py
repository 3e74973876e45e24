"""Short commands: running a file, looking, deciding, and being told what is wrong."""

from __future__ import annotations

import getpass
import json
import re
import signal
import subprocess
import sys

import pytest

from tests.cli.conftest import Shell, until

PIPELINE = """
import time
from pathlib import Path
import hexdag_lab as hx

TIMES = 10

def times(value):
    return value * TIMES

@hx.node
def load(seed: int = 1):
    with open("witness", "a") as file:
        file.write("load\\n")
    return seed

@hx.node
def held(load, wait=False):
    with open("witness", "a") as file:
        file.write("held\\n")
    while wait and not Path("go").exists():
        time.sleep(0.01)
    return times(load)

@hx.node
def ask(held, propose=False):
    ctx = hx.context()
    if propose and ctx.decision is None:
        change = hx.Changeset.on(ctx.dag).add_node(hx.NodeSpec("more", lambda ask: ask))
        ctx.wait_for(ctx.propose(change, "there is more to see", key="more"))
    return str(ctx.decision)

@hx.node
def broken(load):
    raise RuntimeError("no disk")

dag = hx.Dag.of(load, held, ask)
failing = hx.Dag.of(load, broken)
other = 7
"""
ME = getpass.getuser()


@pytest.fixture
def pipeline(shell: Shell) -> Shell:
    """A directory with the file pipeline.py."""
    (shell.home / "pipeline.py").write_text(PIPELINE)
    return shell


def run(*inputs: str, target: str = "pipeline.py") -> list[str]:
    return ["run", target, "--pool", "inline", *(part for text in inputs for part in ("--input", text))]


def test_a_graph_of_a_file_runs_and_prints_its_results(pipeline: Shell) -> None:
    text = pipeline(*run("seed=4"))
    assert "run run-1 in sqlite:///.hexdag/lab.db; if this process dies: hexdag-lab attach run-1" in text
    assert "load = 4\n" in text
    assert "held = 40\n" in text, "what a node uses of its file goes with it"
    assert "the run ended: SUCCEEDED" in text
    assert "run-1" in pipeline("runs")
    assert "SUCCEEDED" in pipeline("runs")


def test_inputs_are_json_or_text(pipeline: Shell) -> None:
    assert "load = [1, 2]\n" in pipeline(*run("load.seed=[1, 2]", target="pipeline.py:dag"))
    assert "load = 'x=y'\n" in pipeline(*run("seed=x=y"))


def test_a_node_that_raises_ends_with_one_and_shows_the_users_lines(pipeline: Shell) -> None:
    done = pipeline.run(*run(target="pipeline.py:failing"))
    assert done.returncode == 1
    assert "broken failed: RuntimeError: no disk" in done.stderr
    assert "in broken" in done.stderr
    assert "hexdag-lab: run run-1 is FAILED (broken: RuntimeError: no disk)" in done.stderr
    assert "load = 1" not in done.stdout
    assert pipeline("attach", "run-1", "--pool", "inline", code=1)


def test_proposals_are_seen_and_decided_from_other_processes(pipeline: Shell) -> None:
    leader = pipeline.start(*run("propose=true"))
    pipeline.shows("more", "inbox")
    card = pipeline("inbox")
    for part in ("executor proposes +1 node, against v1", '"there is more to see"', "+ more after ask", f"needs {ME}",
                 "nothing thrown away", "rejects itself in 0", "hexdag-lab vote run-1/ask-more approve"):  # fmt: skip
        assert part in card
    assert "run-1" in pipeline("runs")
    assert "orphaned" not in pipeline("runs")
    for arguments, what in [
        (["vote", "run-1/ask-more", "perhaps"], "a vote is one of approve, reject, abstain, request_changes"),
        (["vote", "run-1/nope", "approve"], "there is no proposal 'run-1/nope' in run run-1"),
        (["vote", "run-9/p1", "approve"], "there is no run 'run-9' in this store"),
        (["vote", "nope", "approve"], "'nope' is not the id of a proposal"),
        (["vote", "run-1/ask-more", "approve", "--by", "mallory"], "'mallory' takes no part in this run"),
        (["run", "pipeline.py", "--pool", "inline"], "another process leads this lab"),
        (["demo", "--pool", "inline", "--yes"], "another process leads this lab"),
    ]:
        assert f"hexdag-lab: {what}" in pipeline(*arguments, code=2)
    text = pipeline("vote", "run-1/ask-more", "approve", "--reason", "go on")
    assert text.startswith("run-1/ask-more: APPLIED, ")
    out, _ = leader.communicate(timeout=30)
    assert leader.returncode == 0, out
    assert "ask = 'APPLIED'" in out
    assert re.search(rf'{ME} .*approve "go on"', out)
    assert "nothing waits for a decision" in pipeline("inbox")
    assert pipeline("diff", "run-1", "1", "2") == "+ more\n+ ask -> more\n"
    assert "more succeeded" in pipeline("story", "run-1", "more")
    told = pipeline("replay", "run-1").splitlines()
    assert "run run-1 started" in told[0]
    assert "the run ended: SUCCEEDED" in told[-1]
    assert "v1" in pipeline("replay", "run-1", "--at", "2")
    assert f"has events 1 to {len(told)}, and no 999" in pipeline("replay", "run-1", "--at", "999", code=2)
    assert "is APPLIED by" in pipeline("vote", "run-1/ask-more", "reject", code=2)


def test_killed_in_mid_run_it_is_orphaned_and_attaching_runs_nothing_finished_again(pipeline: Shell) -> None:
    leader = pipeline.start(*run("wait=true", "seed=3"))
    witness = pipeline.home / "witness"
    until(lambda: witness.exists() and witness.read_text() == "load\nheld\n")
    pipeline.shows("1/3", "runs")
    leader.send_signal(signal.SIGKILL)
    leader.wait()
    assert "RUNNING (orphaned: hexdag-lab attach run-1)" in pipeline("runs")
    assert "nothing waits for a decision" in pipeline("inbox")
    refused = pipeline("vote", "run-1/p1", "approve", code=2)
    assert "hexdag-lab:" in refused
    (pipeline.home / "go").touch()
    text = pipeline("attach", "run-1", "--pool", "inline")
    assert "going on with run-1" in text
    assert "run run-1 is SUCCEEDED" in text
    assert witness.read_text() == "load\nheld\nheld\n", "only what had not finished ran again"
    assert "orphaned" not in pipeline("runs")
    assert "looking at run-1" in pipeline("attach", "run-1", "--pool", "inline")


def test_a_watcher_sees_the_run_and_is_told_when_its_process_is_gone(pipeline: Shell) -> None:
    leader = pipeline.start(*run("wait=true"))
    pipeline.shows("1/3", "runs")
    watcher = pipeline.start("attach", "run-1", "--pool", "inline")
    assert watcher.stdout is not None
    assert watcher.stdout.readline() == "watching run-1\n"
    leader.send_signal(signal.SIGKILL)
    leader.wait()
    out, _ = watcher.communicate(timeout=20)
    assert watcher.returncode == 2
    assert "the process that led run-1 is gone; hexdag-lab attach run-1 goes on with it" in out


def test_interrupted_it_says_how_to_go_on(pipeline: Shell) -> None:
    leader = pipeline.start(*run("wait=true"))
    assert leader.stdout is not None
    until(lambda: (pipeline.home / "witness").exists())
    leader.send_signal(signal.SIGINT)
    out, _ = leader.communicate(timeout=20)
    assert leader.returncode == 130, out
    assert "hexdag-lab: interrupted; `hexdag-lab attach run-1` goes on with it" in out
    assert "Traceback" not in out
    (pipeline.home / "go").touch()
    assert "run run-1 is SUCCEEDED" in pipeline("attach", "run-1", "--pool", "inline")


@pytest.mark.parametrize(
    ("arguments", "what"),
    [
        (["run", "nope.py"], "there is no file 'nope.py'; write FILE.py:NAME"),
        (["run", "pipeline.py:nope"], "pipeline.py has no Dag named 'nope'; it has dag, failing"),
        (["run", "pipeline.py:other"], "pipeline.py has no Dag named 'other'"),
        (["run", "wrong.py"], "wrong.py, line 2: ZeroDivisionError"),
        (["run", "cycle.py"], "cycle.py, line 2: CycleError: these edges close a cycle: a -> b -> a"),
        (["run", "syntax.py"], "SyntaxError"),
        (["run", "letter.txt"], "'letter.txt' is no Python file"),
        ([*run("sed=1")], "input 'sed' matches no free parameter; what can be given: propose, seed, wait"),
        ([*run("seed")], "--input is NAME=VALUE, not 'seed'"),
        (["run", "pipeline.py", "--pool", "nope"], "pool is"),
        (["run", "pipeline.py", "--pool", "inline", "--run-id", "a b"], "a run id has letters"),
        (["run", "pipeline.py", "--pool", "inline", "--store", "oracle://x"], "there is no store for 'oracle://x'"),
    ],
)
def test_what_cannot_be_run(pipeline: Shell, arguments: list[str], what: str) -> None:
    (pipeline.home / "wrong.py").write_text("import hexdag_lab\nx = 1 / 0\n")
    (pipeline.home / "syntax.py").write_text("def (")
    (pipeline.home / "letter.txt").write_text("dear friend")
    (pipeline.home / "cycle.py").write_text(
        "import hexdag_lab as hx\ndag = hx.Dag.of(hx.NodeSpec('a', lambda b: b), hx.NodeSpec('b', lambda a: a))\n"
    )
    text = pipeline(*arguments, code=2)
    assert what in text
    assert text.startswith("hexdag-lab: ")


@pytest.mark.parametrize("command", [["runs"], ["inbox"], ["attach", "run-1"], ["diff", "run-1", "1", "2"],
                                     ["story", "run-1", "load"], ["vote", "run-1/p1", "approve"]])  # fmt: skip
def test_looking_at_a_lab_that_is_not_there_makes_none(shell: Shell, command: list[str]) -> None:
    assert "hexdag-lab: there is no lab in sqlite:///.hexdag/lab.db yet" in shell(*command, code=2)
    assert list(shell.home.iterdir()) == []


def test_unknown_names_and_the_store_before_or_after_the_command(pipeline: Shell) -> None:
    pipeline(*run())
    (pipeline.home / ".hexdag").rename(pipeline.home / "elsewhere")
    store = ["--store", "sqlite:///elsewhere/lab.db"]
    assert "run-1" in pipeline(*store, "runs")
    assert "run-1" in pipeline("runs", *store)
    for command, what in [
        (["attach", "run-9", "--pool", "inline"], "there is no run 'run-9' in this store"),
        (["diff", "run-9", "1", "2"], "there is no run 'run-9'"),
        (["diff", "run-1", "1", "2"], "run run-1 has versions 1 to 1, and no 2"),
        (["story", "run-1", "nope"], "there is no node 'nope' in v1 of run run-1"),
        (["run", "pipeline.py", "--pool", "inline", "--run-id", "run-1"], "run run-1 exists already"),
    ]:
        assert f"hexdag-lab: {what}" in pipeline(*command, *store, code=2)
    pipeline.environment["HEXDAG_STORE"] = store[1]
    assert "load succeeded" in pipeline("story", "run-1", "load")


def test_usage(shell: Shell) -> None:
    text = shell("--help")
    for command in ("demo", "run", "runs", "attach", "inbox", "vote", "diff", "replay", "story"):
        assert command in text
    assert "usage: hexdag-lab" in shell(code=2)
    assert "invalid choice" in shell("nope", code=2)
    assert list(shell.home.iterdir()) == []


def test_whoever_reads_our_output_may_stop(pipeline: Shell) -> None:
    pipeline(*run())
    command = f"{sys.executable} -m hexdag_lab story run-1 load | true"
    done = subprocess.run(
        ["bash", "-o", "pipefail", "-c", command], cwd=pipeline.home, env=pipeline.environment, text=True,
        capture_output=True, timeout=60, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")


def test_the_dashboard_is_for_whoever_owns_the_runs(shell: Shell) -> None:
    def run_for(owner: str) -> None:
        text = (
            f"import hexdag_lab as hx\nwith hx.Lab(pool='inline', owner={owner!r}) as lab:\n    lab.start(hx.Dag.of())"
        )
        subprocess.run([sys.executable, "-c", text], cwd=shell.home, env=shell.environment, check=True, timeout=60)

    def addresses(*more: str) -> dict[str, str]:
        found: dict[str, str] = json.loads(shell("serve", "--port", "0", "--json", *more))
        return found

    run_for("dana")
    assert addresses().keys() == {"dana"}
    assert addresses("--agent", "lea").keys() == {"lea"}
    run_for(ME)
    assert addresses().keys() == {ME}, "some are mine"
