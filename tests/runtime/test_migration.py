"""A node of 400 steps is moved while it runs, and no step is lost or done twice: real workers, an independent witness.

The witness is a file into which the node writes each step as it does it. Where a worker is stopped in the middle of a
step, the node waits at a gate there, so that it is the middle.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

import pytest

import hexdag_lab as hx
from hexdag_lab.runtime.pools.cluster import OwnCluster
from tests.runtime.kit import until

pytestmark = [pytest.mark.dask, pytest.mark.slow]
STEPS = 400


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[hx.Lab]:
    home = tmp_path_factory.mktemp("lab")
    with hx.Lab(pool="dask", store=f"sqlite:///{home}/lab.db", workers=2) as lab:
        yield lab


@pytest.fixture(autouse=True)
def _whole(lab: hx.Lab) -> None:
    until(lambda: len(lab.workers()) == 2, "two workers are there")


def note(path: str, line: str) -> None:
    """Append a line, whole however the process ends."""
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    try:
        os.write(handle, f"{line}\n".encode())
    finally:
        os.close(handle)


def train(home: str, steps: int = STEPS, guarded: bool = False) -> Generator[int, None, None]:
    """Counts to `steps`, and waits in the middle of each step for which there is a gate that is shut.

    `guarded`: it asks before it writes whether it is still the one to do so."""
    done = hx.context().restored or 0
    try:
        while done < steps:
            while os.path.exists(f"{home}/shut-{done + 1}"):  # noqa: PTH110
                Path(f"{home}/waiting").touch()
                time.sleep(0.002)
            if guarded:
                hx.context().checkpoint()
            done += 1
            note(f"{home}/witness", f"{done} {os.getpid()}")
            yield done
    finally:
        note(f"{home}/ended", f"{os.getpid()}")


def counted(home: str, steps: int = STEPS) -> int:
    """The same with `ctx.checkpoint`, in a function that is no generator."""
    ctx = hx.context()
    done = ctx.restored or 0
    while done < steps:
        done += 1
        note(f"{home}/witness", f"{done} {os.getpid()}")
        ctx.checkpoint(done)
    return int(done)


def steps(home: Path) -> list[tuple[int, int]]:
    """What the witness says: (step, process), in the order they were done."""
    path = home / "witness"
    lines = path.read_text().splitlines() if path.exists() else []
    return [(int(step), int(pid)) for step, pid in (line.split() for line in lines)]


def all_once(home: Path) -> list[int]:
    """The processes that did the 400 steps, in order; fails if one is lost, repeated or out of order."""
    done = steps(home)
    assert [step for step, _ in done] == list(range(1, STEPS + 1))
    return list(dict.fromkeys(pid for _, pid in done))


def held(gate: str) -> int:
    while not os.path.exists(gate):  # noqa: PTH110
        time.sleep(0.005)
    return os.getpid()


def start(lab: hx.Lab, home: Path, fn: Any = train, **params: Any) -> hx.Run:
    return lab.start(hx.Dag.of(hx.NodeSpec("train", fn, params={"home": str(home), **params})))


def other_than(lab: hx.Lab, run: hx.Run) -> str:
    return next(row["id"] for row in lab.workers() if row["id"] != run.nodes["train"].worker)


def pid_of(lab: hx.Lab, worker: str) -> int:
    own: OwnCluster = lab.doors._pool._link._own
    return own.pids()[worker]


@pytest.mark.parametrize("fn", [train, counted])
def test_a_graceful_move_loses_and_repeats_no_step(lab: hx.Lab, tmp_path: Path, fn: Any) -> None:
    run = start(lab, tmp_path, fn)
    until(lambda: len(steps(tmp_path)) >= 100)
    to = other_than(lab, run)
    p = run.migrate("train", to=to, reason="this one is needed elsewhere")
    assert (p.state, p.kind, p.summary) == ("APPLIED", "move", f"train moves to {to}")
    assert run.wait(60) == {"train": STEPS}
    _, second = all_once(tmp_path)
    assert second == pid_of(lab, to)
    assert run.nodes["train"].worker == to
    assert run.nodes["train"].attempt == 2
    assert any(f"train goes on on {to}: at its safe point" in line for line in run.story("train"))


def test_a_node_that_is_to_move_anywhere_waits_for_another_worker_and_does_not_come_back(
    lab: hx.Lab, tmp_path: Path
) -> None:
    run = start(lab, tmp_path)
    until(lambda: steps(tmp_path))
    before, gate = run.nodes["train"].worker, tmp_path / "gate"
    busy = lab.start(hx.Dag.of(hx.NodeSpec("held", held, params={"gate": str(gate)})))  # on the only other one
    until(lambda: busy.nodes["held"].state == "RUNNING")
    run.migrate("train", reason="its machine is wanted")
    until(lambda: run.nodes["train"].state != "RUNNING", "it has stopped")
    free = lab.start(hx.Dag.of(hx.NodeSpec("one", lambda: 1)))
    free.wait(30)
    assert free.nodes["one"].worker == before, "where it was, others find room"
    gate.touch()
    assert run.wait(60) == {"train": STEPS}
    assert len(all_once(tmp_path)) == 2
    assert run.nodes["train"].worker == busy.nodes["held"].worker != before


def test_a_node_moves_off_a_frozen_worker_whose_late_step_is_refused(lab: hx.Lab, tmp_path: Path) -> None:
    shut = tmp_path / "shut-150"
    shut.touch()
    run = start(lab, tmp_path, guarded=True)
    until((tmp_path / "waiting").exists)
    frozen = run.nodes["train"].worker
    pid = pid_of(lab, frozen)
    os.kill(pid, signal.SIGSTOP)
    try:
        run.migrate("train", to=other_than(lab, run), grace=0.2)
        shut.unlink()
        until(lambda: len(steps(tmp_path)) >= 160, "it goes on elsewhere")
    finally:
        os.kill(pid, signal.SIGCONT)
    assert run.wait(60) == {"train": STEPS}
    until(lambda: str(pid) in (tmp_path / "ended").read_text(), "the late attempt has ended")
    assert pid not in all_once(tmp_path)[1:]
    assert any("did not come to its next safe point in time" in line for line in run.story("train"))


def test_a_node_goes_on_from_its_last_safe_point_after_its_worker_is_killed(lab: hx.Lab, tmp_path: Path) -> None:
    shut = tmp_path / "shut-200"
    shut.touch()
    run = start(lab, tmp_path)
    until((tmp_path / "waiting").exists)
    killed = pid_of(lab, run.nodes["train"].worker)
    os.kill(killed, signal.SIGKILL)
    until(lambda: run.nodes["train"].attempt == 2)
    shut.unlink()
    assert run.wait(60) == {"train": STEPS}
    processes = all_once(tmp_path)
    assert (processes[0], len(processes)) == (killed, 2)
    assert any("its worker" in line and "is gone" in line for line in run.story("train"))


def test_new_code_reaches_workers_that_come_later(lab: hx.Lab, tmp_path: Path) -> None:
    gate = tmp_path / "gate"

    def last(held: int) -> tuple[str, int]:
        return "old", os.getpid()

    def last_anew(held: int) -> tuple[str, int]:
        return "new", os.getpid()

    run = lab.start(hx.Dag.of(hx.NodeSpec("held", held), hx.NodeSpec("last", last)), inputs={"gate": str(gate)})
    until(lambda: run.nodes["held"].state == "RUNNING")
    assert run.reload(hx.NodeSpec("last", last_anew)).state == "APPLIED"
    there = {row["id"] for row in lab.workers()}
    for worker in there:
        os.kill(pid_of(lab, worker), signal.SIGKILL)
    until(lambda: len({row["id"] for row in lab.workers()} - there) == 2, "two other workers are there")
    gate.touch()
    code, pid = run.wait(60)["last"]
    assert code == "new"
    assert pid in {pid_of(lab, row["id"]) for row in lab.workers()}
