"""The demo with agents that ask a language model, as a process: a scripted endpoint, and a small real model."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hexdag_lab.testing.endpoint import ScriptedEndpoint
from tests.agents import local_model
from tests.cli.conftest import Shell, shell
from tests.demo.test_demo import journal

__all__ = ["shell"]  # the fixture
pytest.importorskip("pydantic_ai", reason="needs the extra llm")
pytestmark = [pytest.mark.dask, pytest.mark.slow, pytest.mark.timeout(500)]
PATIENCE = 450  #: seconds; a small model takes its time


def script(prompt: str) -> Any:
    """Adviser approves; Scout adds a fit between those that have been tried."""
    if "You vote on a proposal" in prompt:
        return {"reason": "it is within the budget", "decision": "approve"}
    params = {"C": 7.5, "gamma": 0.015}
    return {"reason": "between the best two", "steps": [
        {"do": "add fit", "name": "new1", "after": ["split"], "params": params},
    ]}  # fmt: skip


@pytest.fixture
def endpoint() -> Iterator[ScriptedEndpoint]:
    with ScriptedEndpoint(script) as endpoint:
        yield endpoint


def calls(home: Path) -> list[Any]:
    return [event for event in journal(home) if event.kind == "AgentCalled"]


def test_the_demo_runs_with_agents_that_ask_an_endpoint(
    shell: Shell, endpoint: ScriptedEndpoint, tmp_path: Path
) -> None:
    text = shell("demo", "--yes", "--llm", endpoint.url, seconds=PATIENCE)
    assert "the run ended: SUCCEEDED" in text
    assert "Scout proposes run-1/Scout-" in text
    assert "between the best two" in text
    assert "Scout: 1 call, " in text
    assert "Adviser: " in text
    made = calls(tmp_path)
    assert {event.agent for event in made} == {"Scout", "Adviser"}
    assert {event.call.outcome for event in made} == {"answered"}
    proposals = [e.proposal for e in journal(tmp_path) if e.kind == "ProposalMade" and e.proposal.by == "Scout"]
    (change,) = [proposal.changeset for proposal in proposals]
    assert [dict(c.new.params) for c in change.nodes.values()] == [{"C": 7.5, "gamma": 0.015}]
    broken = {check.rule for check in proposals[0].checks if not check.ok}
    assert broken <= {"budget"}  # others may have been quicker to use it up


def test_an_endpoint_that_cannot_be_is_said_before_anything_is_started(shell: Shell) -> None:
    text = shell("demo", "--yes", "--llm", "127.0.0.1:1", code=2)
    assert "url is the address of an OpenAI-compatible server" in text
    assert "run-1" not in text


def test_the_demo_runs_though_nothing_answers(shell: Shell, tmp_path: Path) -> None:
    with ScriptedEndpoint("") as gone:
        url = gone.url
    text = shell("demo", "--yes", "--llm", url, seconds=PATIENCE)
    assert "the run ended: SUCCEEDED" in text
    assert {event.call.outcome for event in calls(tmp_path)} == {"down"}


@pytest.mark.local_llm
@pytest.mark.timeout(600)
@pytest.mark.skipif(bool(local_model.missing()), reason=local_model.missing() or "installed")
def test_the_demo_runs_with_a_small_real_model(shell: Shell, tmp_path: Path) -> None:
    with local_model.served() as url:
        text = shell("demo", "--yes", "--llm", url, "--llm-model", local_model.MODEL, seconds=PATIENCE)
    assert "the run ended: SUCCEEDED" in text
    assert "answered" in {event.call.outcome for event in calls(tmp_path)}
