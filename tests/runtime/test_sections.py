"""Critical sections over real stores: one holder over all labs, freed however an attempt ends, fenced in the commit."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import hexdag_lab as hx
from hexdag_lab.core.base.frozen import FrozenDict
from hexdag_lab.core.machine.state import RunState
from hexdag_lab.core.runs.claim import Claim
from hexdag_lab.ports import CommitRefused
from hexdag_lab.runtime import sections, wire
from hexdag_lab.runtime.stores import store_of
from tests.runtime.kit import executions, open_gate, pass_gate, ran, until

SERVERS = ("valkey", "redis", "etcd", "consul")


def inside(marks: str, name: str, seconds: float = 0.02) -> str:
    """In the section: says when it came and went."""
    with open(marks, "a") as file:  # noqa: PTH123
        file.write(f"in {name}\n")
        file.flush()
        time.sleep(seconds)
        file.write(f"out {name}\n")
    return name


def held(gate: str, witness: str = "", fails: bool = False) -> int:
    if witness:
        ran(witness, "held")
    pass_gate(gate)
    if fails:
        raise ValueError("no")
    return 1


def section(name: str, marks: Path) -> hx.NodeSpec:
    return hx.NodeSpec(name, inside, params={"marks": str(marks), "name": name}, exclusive="warehouse")


def gated(name: str, folder: Path, gate: str, **options: Any) -> hx.NodeSpec:
    params = {"gate": str(folder / gate), **options}
    return hx.NodeSpec(name, held, params=params, exclusive="warehouse")


def never_two(marks: Path) -> int:
    """How often the section was entered; fails if two were in it at once."""
    lines = marks.read_text().split("\n")[:-1]
    for entered, left in zip(lines[::2], lines[1::2], strict=True):
        assert (entered[:3], left[:4], entered[3:]) == ("in ", "out ", left[4:]), lines
    return len(lines) // 2


@pytest.fixture
def lab(tmp_path: Path) -> Any:
    with hx.Lab(pool="inline", store=f"sqlite:///{tmp_path}/lab.db", owner="dana", workers=4) as made:
        yield made


@pytest.mark.parametrize("kind", SERVERS)
def test_two_labs_on_one_server_are_never_in_the_section_at_once(
    kind: str, server_url: Callable[[str], str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    url, marks = server_url(kind), tmp_path / "marks"
    names = [f"{tmp_path.name}-{side}" for side in "ab"]
    with (
        hx.Lab(pool="inline", store=f"{url}?lab={names[0]}", workers=4) as here,
        hx.Lab(pool="inline", store=f"{url}?lab={names[1]}", workers=4) as there,
    ):
        runs = [
            lab.start(hx.Dag.of(*(section(f"{side}{i}", marks) for i in range(4))))
            for side, lab in (("here", here), ("there", there))
        ]
        for run in runs:
            run.wait(60)
    assert never_two(marks) == 8


def test_who_waits_says_for_whom_and_goes_in_when_the_section_is_free(lab: hx.Lab, tmp_path: Path) -> None:
    first = lab.start(hx.Dag.of(gated("first", tmp_path, "go")), run_id="r1")
    until(lambda: first.nodes["first"].state == "RUNNING")
    second = lab.start(hx.Dag.of(gated("second", tmp_path, "go")), run_id="r2")
    until(lambda: "r1/first" in (second.why("second") or ""), "it says who holds the lease")
    assert second.why("second").startswith("waits for the lease 'warehouse', which r1/first of ")
    assert second.nodes["second"].state == "READY"
    open_gate(tmp_path / "go")
    assert second.wait(30) == {"second": 1}


@pytest.mark.parametrize("end", ["success", "failure", "cancel"])
def test_a_lease_is_given_back_however_the_attempt_ends(lab: hx.Lab, tmp_path: Path, end: str) -> None:
    run = lab.start(hx.Dag.of(gated("first", tmp_path, "go", fails=end == "failure")))
    until(lambda: run.nodes["first"].state == "RUNNING")
    holder = lab.in_store(lambda store: store.holder(wire.section("warehouse")))
    assert holder.endswith(f":{run.id}/first")
    if end == "cancel":
        run.cancel()
    open_gate(tmp_path / "go")
    until(lambda: run.status != "RUNNING")
    until(lambda: lab.in_store(lambda store: store.holder(wire.section("warehouse"))) is None, "it is free")


def test_a_result_is_refused_in_its_commit_when_somebody_else_has_held_the_lease(lab: hx.Lab, tmp_path: Path) -> None:
    """As after a long sleep: the lease ended unnoticed, and another lab was in the section and left it."""
    witness = tmp_path / "witness"
    run = lab.start(hx.Dag.of(gated("first", tmp_path, "go", witness=str(witness))))
    until(lambda: executions(witness)["held"] == 1)

    async def intrude(store: Any) -> None:
        name = wire.section("warehouse")
        ours = await store.holder(name)
        lease = await store.acquire(name, ours, 15.0)  # only its own holder can take it before it ends
        await store.commit(puts={name: b"another lab"}, fence=lease)
        await store.release(lease)

    lab.in_store(intrude)
    open_gate(tmp_path / "go")
    assert run.wait(30) == {"first": 1}
    assert executions(witness)["held"] == 2, "what the first attempt gave did not count"
    assert any("was lost while it ran" in line for line in run.story("first"))


LEADER = """
    import sys
    from pathlib import Path
    import hexdag_lab as hx
    from hexdag_lab.runtime import sections
    from tests.runtime.test_sections import gated

    sections.Sections.__init__.__defaults__ = (2.0,)
    lab = hx.Lab(pool="inline", store=sys.argv[1], owner="dana")
    run = lab.start(hx.Dag.of(gated("first", Path(sys.argv[2]), "never")), run_id="dead")
    while run.nodes["first"].state != "RUNNING":
        pass
    print("in", flush=True)
    run.wait()
"""


@pytest.mark.parametrize("fate", ["killed", "frozen"])
def test_the_lease_of_a_lab_that_is_gone_is_taken_after_its_ttl_at_the_latest(
    fate: str, server_url: Callable[[str], str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    url, marks = server_url("valkey"), tmp_path / "marks"
    command = [sys.executable, "-c", textwrap.dedent(LEADER), f"{url}?lab=dead-{tmp_path.name}", str(tmp_path)]
    root = str(Path(__file__).parents[2])
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": root}) as other:
        try:
            assert other.stdout is not None
            assert other.stdout.readline() == "in\n"
            with hx.Lab(pool="inline", store=f"{url}?lab=live-{tmp_path.name}", owner="dana") as lab:
                run = lab.start(hx.Dag.of(section("next", marks)))
                until(lambda: "dead/first" in (run.why("next") or ""))
                other.send_signal(signal.SIGKILL if fate == "killed" else signal.SIGSTOP)
                assert run.wait(30) == {"next": "next"}
        finally:
            other.kill()


def test_a_lease_that_ended_while_its_holder_slept_is_kept_if_nobody_took_it(tmp_path: Path) -> None:
    async def play() -> list[Any]:
        store, said = store_of("memory://"), asyncio.Queue[Any]()
        await store.open()
        made = sections.Sections(store, "host:1:2:0", lambda run, message: said.put_nowait(message), 0.3)
        state = RunState(claims=FrozenDict({"n": Claim("db", 7)}))
        made.follow("r", state)
        first = await said.get()
        name = wire.section("db")
        mark = await store.get(name)
        lease = await store.acquire(name, "host:1:2:0:r/n", 0.3)
        assert lease is not None
        await store.release(lease)  # as if it had ended
        await asyncio.sleep(0.5)
        assert await store.holder(name) == "host:1:2:0:r/n"
        again = await store.get(name)
        assert mark is not None
        assert again is not None
        assert again.rev == mark.rev, "nobody else was in the section"
        assert made.guards("r", state, ["n"]) == {name: mark.rev}
        await made.close()
        assert not isinstance(await store.commit(guards={name: mark.rev}), CommitRefused)
        return [first, *(said.get_nowait() for _ in range(said.qsize()))]

    assert [type(message).__name__ for message in asyncio.run(play())] == ["LeaseTaken"]
