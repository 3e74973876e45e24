"""A node that is given to an agent is run by the agent, on a worker like any other, with its own time, retries and
models; the node's function only says what is wanted."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from typing import Any

import pytest
from pydantic import BaseModel

import hexdag_lab as hx
from hexdag_lab.core.votes.calls import Call


@hx.node
def topic() -> str:
    return "graphs"


@hx.node(agent="writer")
def draft(topic: str, words: int = 3, **more: Any) -> str:
    """Write about the topic."""
    raise AssertionError("nobody calls this")


@pytest.fixture
def lab() -> Iterator[hx.Lab]:
    with hx.Lab(pool="inline", store="memory://", policy=hx.Majority()) as lab:
        yield lab


def result_of(lab: hx.Lab, run: Any, node: Any = draft) -> Any:
    lab.add_agent(hx.Agent("writer", role="executor", run=run))
    return lab.start(hx.Dag.of(topic, node)).wait(30)["draft"]


def test_the_agent_gets_what_goes_in_by_the_names_of_the_parameters(lab: hx.Lab) -> None:
    assert result_of(lab, lambda inputs: sorted(inputs.items())) == [("topic", "graphs"), ("words", 3)]


async def slowly(inputs: dict[str, Any]) -> str:
    asked = hx.context().asked
    return f"{asked.__name__}: {asked.__doc__} {inputs['topic']}"


def test_it_may_be_async_and_sees_what_it_is_asked_for(lab: hx.Lab) -> None:
    assert result_of(lab, slowly) == "draft: Write about the topic. graphs"


class Text(BaseModel):
    text: str


def test_what_it_returns_is_held_against_the_nodes_model(lab: hx.Lab) -> None:
    wanted = draft.spec.but(out_model=Text)
    assert result_of(lab, lambda inputs: {"text": "yes"}, wanted).text == "yes"


def test_its_error_is_the_nodes_and_is_tried_again(lab: hx.Lab) -> None:
    def fails(inputs: dict[str, Any]) -> str:
        if hx.context().attempt < 2:
            raise ValueError("no idea yet")
        return "better"

    assert result_of(lab, fails, draft.spec.but(retries=1, backoff=0)) == "better"


def test_an_agent_without_run_leaves_the_node_to_its_own_function(lab: hx.Lab) -> None:
    lab.add_agent(hx.Agent("writer", role="executor"))
    run = lab.start(hx.Dag.of(topic, draft))
    with pytest.raises(hx.RunFailed, match="nobody calls this"):
        run.wait(30)


def test_what_it_asks_of_a_model_is_journaled_under_its_name_and_paid_by_the_run(lab: hx.Lab) -> None:
    def asks(inputs: dict[str, Any]) -> str:
        hx.context().called(Call("run", "m", "ab" * 32, about="draft", cost=Fraction(1, 4)))
        return "done"

    lab.add_agent(hx.Agent("writer", role="executor", run=asks))
    run = lab.start(hx.Dag.of(topic, draft))
    run.wait(30)
    assert [(e.agent, e.call.about) for e in run.events() if e.kind == "AgentCalled"] == [("writer", "draft")]
    assert run.view.spent == Fraction(1, 4)


def test_a_run_function_that_cannot_travel_is_refused_where_the_agent_is_added(lab: hx.Lab) -> None:
    import threading

    lock = threading.Lock()
    with pytest.raises(hx.SchemaError, match="the run function of agent writer cannot be shipped"):
        lab.add_agent(hx.Agent("writer", run=lambda inputs: lock))
