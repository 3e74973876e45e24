"""An agent with a language model: what it answers counts like any agent's, and whatever goes wrong has its outcome."""

from __future__ import annotations

import logging
import socket
from fractions import Fraction
from typing import Any

import pytest
from pydantic import BaseModel

import hexdag_lab as hx
from hexdag_lab.testing.endpoint import Misbehaviour
from hexdag_lab.views import lists
from tests.agents.conftest import Room, Serve, calls, clean, load, said
from tests.runtime.kit import until

pytest.importorskip("pydantic_ai", reason="needs the extra llm")
APPROVES = {"reason": "it is cheap", "decision": "approve"}


def reviewer(url: str | None, **options: Any) -> hx.LLMAgent:
    return hx.LLMAgent("reviewer", **{"model": "scripted", "url": url, "trust": 0.6, "seconds": 20, **options})


def voted(room: Room, agent: hx.LLMAgent, timeout: float = 60, **start: Any) -> tuple[Any, Any]:
    """A decided proposal on which the agent alone had to vote, and its run."""
    room.lab.add_agent(agent)
    run = room.start(**start)
    proposal = run.propose(hx.Changeset.on(run.dag).add_node(hx.NodeSpec("clean", clean)), reason="it has gaps")
    proposal.wait(timeout)
    room.end(run)
    return proposal, run


# -- votes


@pytest.mark.parametrize(("decision", "state"), [("approve", "APPLIED"), ("reject", "REJECTED")])
@pytest.mark.parametrize("output", ["native", "tool"])
def test_its_ballot_counts_with_its_reason(room: Room, serve: Serve, output: str, decision: str, state: str) -> None:
    endpoint = serve({"reason": "so it is", "decision": decision})
    proposal, run = voted(room, reviewer(endpoint.url, output=output))
    assert proposal.state == state
    assert said(proposal) == (decision, "so it is")
    (call,) = calls(run)
    assert (call.purpose, call.model, call.outcome, call.requests) == ("vote", "scripted", "answered", 1)
    assert call.about == proposal.id
    assert min(call.tokens) > 0
    assert call.endpoint == endpoint.url.split("/")[2]
    assert len(call.prompt) == 64
    assert run.view.state.calls["reviewer"].answered == 1


def test_it_sees_the_goal_the_run_the_computed_change_and_last_the_proposers_framed_words(
    room: Room, serve: Serve
) -> None:
    endpoint = serve(APPROVES)
    voted(room, reviewer(endpoint.url, goal="a tidy table"))
    prompt = endpoint.asked[0].prompt
    wanted = [
        "Goal: a tidy table", "version 1: 2 nodes", "+ clean: clean() <- load", "Checks: holds",
        'says for it: <untrusted from="',
    ]  # fmt: skip
    places = [prompt.index(text, prompt.index("Goal")) for text in wanted]
    assert places == sorted(places)
    assert prompt.rstrip().endswith(">it has gaps</untrusted>")


def test_a_wrong_answer_is_sent_back_with_what_is_wrong_and_a_better_one_counts(room: Room, serve: Serve) -> None:
    answers = [{"reason": "x", "decision": "perhaps"}, APPROVES]
    endpoint = serve(lambda prompt: answers.pop(0))
    proposal, run = voted(room, reviewer(endpoint.url))
    assert proposal.state == "APPLIED"
    assert calls(run)[0].requests == 2
    assert "'abstain', 'reject', 'request_changes' or 'approve'" in endpoint.asked[1].prompt


# -- what goes wrong

CASES = [
    (Misbehaviour(status=401), "unauthorised", "refuses the key in MY_KEY (HTTP 401)", 1),
    (Misbehaviour(status=429), "rate limited", "is asked too often (HTTP 429)", 1),
    (Misbehaviour(status=500), "server error", "has an error of its own (HTTP 500)", 1),
    (Misbehaviour(status=404), "refused", "cannot be asked like that (HTTP 404)", 1),
    (Misbehaviour(seconds=30), "slow", "gave no answer within 0.3 s", 1),
    (Misbehaviour(drop=True), "down", "nothing answers at", 1),
    (Misbehaviour(body=b"<html>"), None, "", 1),
    (
        Misbehaviour(finish="length", text='{"reason": "it i'),
        "truncated",
        "was cut off at 800 tokens: raise answer_tokens",
        1,
    ),
    ("no JSON at all", "malformed", "gave no answer of the wanted form in 3 requests", 3),
]


@pytest.mark.parametrize(("script", "outcome", "sentence", "requests"), CASES, ids=lambda value: str(value)[:40])
def test_each_way_to_fail_has_its_outcome_and_the_agent_is_absent(
    room: Room, serve: Serve, monkeypatch: pytest.MonkeyPatch, script: Any, outcome: Any, sentence: str, requests: int
) -> None:
    monkeypatch.setenv("MY_KEY", "sk-very-secret")
    endpoint = serve(script)
    seconds = 0.3 if outcome == "slow" else 20
    proposal, run = voted(room, reviewer(endpoint.url, key="MY_KEY", seconds=seconds))
    choice, reason = said(proposal)
    assert choice == "absent"
    assert sentence in reason
    (call,) = calls(run)
    assert call.outcome in ((outcome,) if outcome else ("malformed", "refused"))
    assert len(endpoint.asked) == requests  # the SDK asks nothing again by itself
    assert proposal.state == "REJECTED"  # nobody voted


def test_an_endpoint_that_is_not_there_is_down(room: Room) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}/v1"
    proposal, run = voted(room, reviewer(url))
    assert "is it running, and is that its address?" in said(proposal)[1]
    assert calls(run)[0].outcome == "down"


def test_where_the_first_endpoint_does_not_answer_the_fallback_is_asked_and_both_are_recorded(
    room: Room, serve: Serve
) -> None:
    bad, good = serve(Misbehaviour(status=500)), serve(APPROVES)
    proposal, run = voted(room, reviewer(bad.url, fallback=hx.Endpoint("spare", good.url)))
    assert proposal.state == "APPLIED"
    assert [(c.model, c.outcome) for c in calls(run)] == [("scripted", "server error"), ("spare", "answered")]


def test_a_slow_endpoint_leaves_the_fallback_its_share_of_the_time(room: Room, serve: Serve) -> None:
    slow, good = serve(Misbehaviour(seconds=60)), serve(APPROVES)
    proposal, run = voted(room, reviewer(slow.url, seconds=4, fallback=hx.Endpoint("spare", good.url)))
    assert proposal.state == "APPLIED"
    assert [c.outcome for c in calls(run)] == ["slow", "answered"]


def test_what_it_has_asked_is_on_the_agents_page_and_so_is_that_it_was_suspended(room: Room, serve: Serve) -> None:
    answers = [APPROVES]
    endpoint = serve(lambda prompt: answers.pop() if answers else Misbehaviour(status=500))
    room.lab.add_agent(reviewer(endpoint.url))
    run = room.start()
    for name in ("a", "b", "c", "d"):
        run.propose(hx.Changeset.on(run.dag).add_node(hx.NodeSpec(name, clean))).wait(60)
    shown = lists.agents(run.view.state, {})
    assert "4 calls, 3 without an answer" in shown
    assert "answered by scripted" in shown
    assert "server error: scripted" in shown
    assert "suspended: it failed 3 times in a row" in shown
    room.end(run)


# -- secrets


def test_a_key_is_sent_to_the_endpoint_and_is_in_no_journal_log_or_repr(
    room: Room, serve: Serve, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    monkeypatch.setenv("MY_KEY", "sk-very-secret")

    def echo(prompt: str) -> Misbehaviour:
        return Misbehaviour(status=401, body=b'{"error": {"message": "Incorrect API key provided: sk-very-secret"}}')

    endpoint = serve(echo)
    agent = reviewer(endpoint.url, key="MY_KEY")
    proposal, run = voted(room, agent)
    assert endpoint.asked[0].headers["authorization"] == "Bearer sk-very-secret"
    store = room.lab._store
    everything = [repr(agent), repr(run.events()), repr(vars(store)), caplog.text, repr(said(proposal))]
    assert not [text for text in everything if "very-secret" in text]


def test_a_key_that_is_not_set_is_said_by_the_name_of_its_variable(room: Room, serve: Serve) -> None:
    proposal, run = voted(room, reviewer(serve(APPROVES).url, key="NOT_SET_HERE"))
    assert "the environment variable NOT_SET_HERE has no key" in said(proposal)[1]
    assert calls(run)[0].outcome == "unauthorised"


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"key": "sk-abc-123"}, "key is the name of an environment variable, not the key itself"),
        ({"url": "http://me:secret@127.0.0.1/v1"}, "url has a secret in it"),
        ({"url": "127.0.0.1:8080"}, "url is the address of an OpenAI-compatible server"),
        ({"url": None, "model": "gpt-5"}, "names no provider: say 'openai:gpt-5', or give a url="),
        ({"output": "xml"}, "output is 'native', 'tool' or None"),
        ({"price": 3}, r"price is \(in, out\)"),
        ({"may": "everything"}, "may is 'add' or 'edit'"),
        ({"retries": -1}, "retries is a whole number, 0 or more"),
        ({"record": "a", "rehearse": "b"}, "give record= or rehearse=, not both"),
    ],
)
def test_options_that_cannot_be_are_refused_where_the_agent_is_made(options: dict[str, Any], sentence: str) -> None:
    with pytest.raises(hx.SchemaError, match=sentence) as caught:
        reviewer(**{"url": "http://127.0.0.1:1/v1", **options})
    assert "sk-abc" not in str(caught.value)
    assert "me:secret" not in str(caught.value)


# -- limits


def test_what_its_calls_cost_is_paid_from_the_runs_budget(room: Room, serve: Serve) -> None:
    _, run = voted(room, reviewer(serve(APPROVES).url, price=(1, 10)), budget=hx.Budget(cost=5))
    (call,) = calls(run)
    assert call.cost == Fraction(call.tokens[0] + 10 * call.tokens[1], 10**6)
    assert run.view.spent == call.cost > 0


@pytest.mark.parametrize(
    ("options", "budget", "sentence"),
    [
        ({"tokens": 100}, None, "its 100 tokens for this run are used up"),
        ({"cost": 0.0001, "price": (1, 10)}, None, "its cost limit of 0.0001 for this run leaves no room"),
        ({"price": (1, 10)}, 0.0001, "the run's budget has 0.0001 left, and a question may cost"),
    ],
)
def test_a_question_that_might_exceed_a_limit_is_not_asked(
    room: Room, serve: Serve, options: dict[str, Any], budget: Any, sentence: str
) -> None:
    endpoint = serve(APPROVES)
    proposal, run = voted(room, reviewer(endpoint.url, **options), budget=budget and hx.Budget(cost=budget))
    assert sentence in said(proposal)[1]
    assert calls(run)[0].outcome == "over its limit"
    assert not endpoint.asked


# -- proposals


def proposer(url: str, **options: Any) -> hx.LLMAgent:
    return hx.LLMAgent(
        "scout", role="executor", model="scripted", url=url, votes=False, proposes={"NodeSucceeded"}, **options
    )


def step(do: str = "add clean", **more: Any) -> dict[str, Any]:
    return {"do": do, "name": "new1", "after": ["load"], "params": {}} | more


def change(*steps: Any) -> dict[str, Any]:
    return {"reason": "the table has gaps", "steps": list(steps)}


def proposed(room: Room, agent: hx.LLMAgent, timeout: float = 60) -> Any:
    """The run of an agent that may propose when load has finished; everybody else says yes."""
    room.lab.add_agent(hx.Agent("judge", vote=lambda context: True))
    room.lab.add_agent(agent)
    run = room.start(hx.Majority() & hx.Deadline(5))
    until(lambda: any(e.kind == "AgentCalled" and e.agent == agent.id for e in run.events()), seconds=timeout)
    return room.end(run)


def once(*answers: Any) -> Any:
    """A script that proposes once, and then nothing more."""
    left = list(answers)
    return lambda prompt: left.pop(0) if left else change()


def test_it_proposes_nodes_of_the_catalogue_which_the_lab_names(room: Room, serve: Serve) -> None:
    endpoint = serve(once(change(step(params={"strict": True}), step(name="new2", after=["new1"]))))
    run = proposed(room, proposer(endpoint.url))
    added = run.versions[1]
    assert (added.by, added.reason) == ("scout", "the table has gaps")
    assert run.dag.edges >= {("load", "clean_1"), ("clean_1", "clean_2")}
    assert dict(run.dag.nodes["clean_1"].params) == {"strict": True}
    assert calls(run)[0].purpose == "propose"


def test_it_is_told_what_the_labs_checks_have_against_its_change_and_may_put_it_right(room: Room, serve: Serve) -> None:
    wrong = change({"do": "remove_node", "name": "load"})
    endpoint = serve(once(wrong, change(step())))
    run = proposed(room, proposer(endpoint.url))
    assert "clean_1" in run.dag
    assert "Your answer cannot be used" in endpoint.asked[1].prompt
    assert "load has finished" in endpoint.asked[1].prompt


def test_an_answer_without_steps_proposes_nothing(room: Room, serve: Serve) -> None:
    run = proposed(room, proposer(serve(change()).url))
    assert not run.proposals


def test_what_it_may_answer_is_closed_operations_that_are_not_listed_cannot_be_said(room: Room, serve: Serve) -> None:
    run = proposed(room, proposer(serve(change(step("add rm_rf"))).url))
    assert calls(run)[0].outcome == "malformed"
    assert not run.proposals
    assert [e.failure for e in run.events() if e.kind == "HooksSeen" and e.failure]


def test_who_may_only_add_has_no_words_for_anything_else(room: Room, serve: Serve) -> None:
    endpoint = serve(change())
    proposed(room, proposer(endpoint.url, may="add"))
    sent = str(endpoint.asked[0].body["response_format"])
    assert "add clean" in sent
    assert "remove_node" not in sent


def test_what_is_of_high_risk_waits_for_a_person_though_all_agents_agree(room: Room, serve: Serve) -> None:
    run = proposed(room, proposer(serve(once(change(step("add send", after=[])))).url))
    (proposal,) = run.proposals.values()
    assert proposal.state == "EXPIRED"
    assert "send_1: high risk" in proposal.why
    assert "send_1" not in run.dag


# -- nodes


class Summary(BaseModel):
    words: int


def summary(load: int) -> str:
    """Sum the table up."""
    raise AssertionError("nobody calls this")


def test_without_a_model_or_a_return_type_a_node_gets_the_models_text_as_it_is(room: Room, serve: Serve) -> None:
    endpoint = serve("Three rows.")
    room.lab.add_agent(hx.LLMAgent("writer", role="executor", model="scripted", url=endpoint.url, votes=False))
    run = room.lab.start(hx.Dag.of(hx.NodeSpec("load", load), hx.NodeSpec("summary", summary, agent="writer")))
    assert run.wait(60)["summary"] == "Three rows."


def test_it_runs_a_node_by_its_docstring_its_inputs_and_its_model(room: Room, serve: Serve) -> None:
    endpoint = serve({"words": 5})

    room.lab.add_agent(hx.LLMAgent("writer", role="executor", model="scripted", url=endpoint.url, votes=False))
    run = room.lab.start(
        hx.Dag.of(hx.NodeSpec("load", load), hx.NodeSpec("summary", summary, agent="writer", out_model=Summary))
    )
    assert run.wait(60)["summary"].words == 5
    assert "The step: Sum the table up." in endpoint.asked[0].prompt
    assert 'load: <untrusted from="load">3</untrusted>' in endpoint.asked[0].prompt
    assert [(c.purpose, c.about) for c in calls(run)] == [("run", "summary")]
