"""A step of the controller is one commit, however many events come of it."""

from __future__ import annotations

import threading
from pathlib import Path

import hexdag_lab as hx
from hexdag_lab.runtime import chain, wire
from hexdag_lab.runtime.history import rows_of
from tests.runtime.kit import PATIENCE, open_gate, pass_gate, until

WIDTH = 8


def held(gate: str) -> int:
    pass_gate(gate)
    return 1


def test_results_that_come_together_are_journaled_in_one_commit(tmp_path: Path) -> None:
    url, gate = f"sqlite:///{tmp_path}/lab.db", tmp_path / "gate"
    with hx.Lab(pool="inline", store=url, workers=WIDTH) as lab:
        nodes = [hx.NodeSpec(f"n{i}", held, params={"gate": str(gate)}) for i in range(WIDTH)]
        run = lab.start(hx.Dag.of(*nodes), run_id="r")
        until(lambda: all(node.state == "RUNNING" for node in run.nodes.values()))
        go_on = threading.Event()
        lab._session.thread.loop.call_soon_threadsafe(go_on.wait, PATIENCE)  # the controller is busy
        open_gate(gate)
        until(lambda: len(lab.doors._inbox._items) >= WIDTH, "all results wait for it")
        go_on.set()
        run.wait(PATIENCE)
        done = [event.seq for event in run.events() if event.kind == "NodeSucceeded"]
        links = [chain.unpack(row.data) for row in lab.in_store(lambda store: rows_of(store, wire.chain("r")))]
    assert len(done) == WIDTH
    assert len({link for link in links for seq in done if link.after < seq <= link.seq}) == 1
