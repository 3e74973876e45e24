"""The messages of the graph view: everything on hello, then only what changed, numbered without a gap."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

import hexdag_lab as hx
from hexdag_lab.views.graph import PROPOSED, REMOVED, STATES, Drawn, Stream


def one() -> int:
    time.sleep(0.4)  # long enough for a proposal to come while it runs
    return 1


def two(one: int) -> int:
    return one + 1


def three(two: int) -> int:
    return two + 1


@pytest.fixture
def run() -> Iterator[hx.Run]:
    with hx.Lab(pool="inline", store="memory://") as lab:
        lab.add_agent(hx.Agent("critic", trust=0.8))
        run = lab.start(hx.Dag.of(one, two))
        run.propose(hx.Changeset.on(run.dag).add_node(three), by="critic")
        run.feed.until(lambda state: state.left == 0).result(10)
        yield run


def states(run: hx.Run) -> list[object]:
    """The run's state after each of its events."""
    return [run.at(event.seq).state for event in run.events()]


class View:
    """A view as the browser's: it keeps what it was told, and asks again when a number is missing."""

    def __init__(self) -> None:
        self.graph: dict[str, object] = {}
        self.seq = 0
        self.lost = False

    def receive(self, message: dict[str, object]) -> None:
        if message["t"] == "graph":
            self.graph, self.lost = dict(message), False
        elif message["seq"] != self.seq + 1:
            self.lost = True
            return
        else:
            for number, code, _, _ in message["nodes"]:  # type: ignore[attr-defined]
                self.graph["codes"][number] = code  # type: ignore[index]
            self.graph["head"] = message["head"]
        self.seq = message["seq"]  # type: ignore[assignment]

    def shown(self) -> dict[str, str]:
        codes = zip(self.graph["names"], self.graph["codes"], strict=True)  # type: ignore[call-overload]
        return {name: STATES[code].value for name, code in codes}


def test_a_view_that_gets_all_messages_shows_each_state(run: hx.Run) -> None:
    stream, view = Stream(), View()
    for state in states(run)[1:]:
        for message in stream.hello(state) if not view.seq else stream.update(state):
            view.receive(message)
        wanted = {name: rec.state.value for name, rec in state.nodes.items()}
        assert {name: view.shown()[name] for name in wanted} == wanted
        assert not view.lost


def test_nothing_is_sent_for_a_state_that_is_shown_already(run: hx.Run) -> None:
    stream = Stream()
    stream.hello(run.feed.state)
    assert stream.update(run.feed.state) == []


def test_a_view_that_missed_a_message_notices_and_is_whole_again_after_hello(run: hx.Run) -> None:
    stream, view = Stream(), View()
    history = states(run)[1:]
    for message in stream.hello(history[0]):
        view.receive(message)
    deltas = [message for state in history[1:] for message in stream.update(state)]
    lost = next(i for i, message in enumerate(deltas) if message["t"] == "delta")
    rest = deltas[lost + 1 :]
    assert rest, "there must be something after the message that is lost"
    for message in rest:
        if message["t"] == "delta":
            view.receive(message)
    assert view.lost
    for message in stream.hello(history[-1]):
        view.receive(message)
    assert not view.lost
    assert view.shown()["two"] == "SUCCEEDED"


def test_an_open_proposal_is_drawn_with_its_edges_and_goes_into_the_graph_when_it_is_applied(run: hx.Run) -> None:
    drawn = Drawn(run.feed.state)
    assert drawn.marks[drawn.names.index("three")] == PROPOSED
    assert drawn.dashed == 1
    (proposal,) = run.proposals.values()
    proposal.vote(run.feed.state.owner, "approve")
    run.wait(10)
    after = Drawn(run.feed.state, drawn.places)
    assert after.places["three"] == drawn.places["three"], "the node stays where it was proposed"
    assert after.dashed == 0


def test_what_a_proposal_would_remove_is_marked(run: hx.Run) -> None:
    change = hx.Changeset.on(run.dag).remove_node("two", finished="keep")
    run.propose(change, by="critic")
    drawn = Drawn(run.feed.state)
    assert drawn.marks[drawn.names.index("two")] == REMOVED
