"""A small real model behind llama.cpp's own server: what it answers is valid, end to end, over real HTTP.

This proves the plumbing (requests, forms as grammars, answers, the journal), and nothing of the model's judgement,
which is poor: its ballots are valid, not right.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any
from urllib.request import Request, urlopen

import pytest

import hexdag_lab as hx
from hexdag_lab.agents.brief import brief, tokens_of
from hexdag_lab.core.dag.catalog import operation_of
from hexdag_lab.core.votes.ballot import CHOICES
from tests.agents import local_model
from tests.agents.conftest import Room, calls
from tests.agents.test_brief import wide
from tests.agents.test_llm import proposed, said, voted

pytest.importorskip("pydantic_ai", reason="needs the extra llm")
pytestmark = [
    pytest.mark.local_llm,
    pytest.mark.slow,
    pytest.mark.timeout(300),
    pytest.mark.skipif(bool(local_model.missing()), reason=local_model.missing() or "installed"),
]


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with local_model.served() as url:
        yield url


def agent(name: str, url: str, **options: Any) -> hx.LLMAgent:
    return hx.LLMAgent(
        name, model=local_model.MODEL, url=url, seconds=200, context_tokens=800, answer_tokens=400, **options
    )


def test_its_ballots_are_valid_and_counted(room: Room, url: str) -> None:
    proposal, run = voted(room, agent("reviewer", url, goal="a clean table"), timeout=250)
    choice, reason = said(proposal)
    assert choice in CHOICES
    assert reason
    (call,) = calls(run)
    assert (call.model, call.outcome) == (local_model.MODEL, "answered")
    assert min(call.tokens) > 0
    assert call.tokens[0] < 2000


def test_its_changes_are_built_from_the_catalogue_and_pass_the_checks(room: Room, url: str) -> None:
    scout = agent(
        "scout", url, role="executor", votes=False, proposes={"NodeSucceeded"}, may="add", caps=hx.Caps(nodes=2),
        goal="Add one node that cleans the table.",
    )  # fmt: skip
    run = proposed(room, scout, timeout=250)
    (call, *_) = calls(run)
    assert (call.purpose, call.outcome) == ("propose", "answered")
    (proposal, *_) = run.proposals.values()
    new = [change.new for change in proposal.changeset.nodes.values()]
    assert new
    assert all(operation_of(run.view.state.operations, spec) for spec in new)
    assert all(check.ok for check in proposal.checks)


def test_it_is_told_no_more_tokens_than_were_counted(url: str) -> None:
    text = brief(wide().state, ["fit_7"], 1500)
    request = Request(url.removesuffix("/v1") + "/tokenize", json.dumps({"content": text}).encode())
    with urlopen(request, timeout=60) as answer:
        real = len(json.load(answer)["tokens"])
    assert real <= tokens_of(text) <= 1500
