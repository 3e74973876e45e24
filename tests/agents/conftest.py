"""A lab whose agents ask a scripted endpoint. Labs and servers end with the test."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import hexdag_lab as hx
from hexdag_lab.testing.endpoint import ScriptedEndpoint
from tests.runtime.kit import open_gate, pass_gate

Serve = Callable[[Any], ScriptedEndpoint]


@pytest.fixture
def serve() -> Iterator[Serve]:
    """`serve(script)`: a scripted endpoint."""
    open_ = list[ScriptedEndpoint]()

    def start(script: Any) -> ScriptedEndpoint:
        open_.append(ScriptedEndpoint(script))
        return open_[-1]

    yield start
    for endpoint in open_:
        endpoint.close()


def load() -> int:
    """Load the table."""
    return 3


def clean(load: int, strict: bool = False) -> int:
    """Clean the table."""
    return load


def send(text: str = "hi") -> str:
    """Send a mail to everybody."""
    return "sent"


def held(gate: str) -> int:
    pass_gate(gate)
    return 1


class Room:
    """A lab with a run that goes on until the gate is opened: load has finished, held is running."""

    def __init__(self, lab: hx.Lab, gate: Path) -> None:
        self.lab, self.gate = lab, gate

    def start(self, policy: Any = None, budget: Any = None) -> Any:
        dag = hx.Dag.of(hx.NodeSpec("load", load), hx.NodeSpec("held", held, params={"gate": str(self.gate)}))
        return self.lab.start(dag, policy=policy or hx.Supermajority(1), budget=budget)

    def end(self, run: Any) -> Any:
        """Open the gate and wait for the end."""
        open_gate(self.gate)
        run.wait(60)
        return run


@pytest.fixture
def room(tmp_path: Path) -> Iterator[Room]:
    catalog = hx.Catalog(load, clean, hx.Operation(send, risk="high"))
    with hx.Lab(pool="inline", store="memory://", catalog=catalog) as lab:
        yield Room(lab, tmp_path / "gate")


def calls(run: Any) -> list[Any]:
    return [event.call for event in run.events() if event.kind == "AgentCalled"]


def said(proposal: Any, voter: str = "reviewer") -> tuple[str, str]:
    """What an agent's ballot says."""
    found = {b.voter: (b.choice.value, b.reason) for b in proposal.view._proposal.ballots}
    return found[voter]
