"""`decide` is total and pure: any message in any state that can be reached gives an answer, and breaks nothing.

The messages here are nonsense more often than not: reports of attempts that never were, votes of strangers, changes of
other graphs, clocks that run backwards. Sensible histories are the business of the simulated world.
"""

from __future__ import annotations

from fractions import Fraction
from random import Random
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from hexdag_lab.core.base.codec import dumps, loads
from hexdag_lab.core.base.errors import Refused
from hexdag_lab.core.base.frozen import FrozenDict
from hexdag_lab.core.dag.changeset import Changeset
from hexdag_lab.core.dag.dag import Dag
from hexdag_lab.core.machine import decide
from hexdag_lab.core.machine import effects as ef
from hexdag_lab.core.machine import events as ev
from hexdag_lab.core.machine import messages as ms
from hexdag_lab.core.machine.decide import _HANDLERS
from hexdag_lab.core.machine.evolve import _EVOLVERS, evolve
from hexdag_lab.core.machine.invariants import violations
from hexdag_lab.core.machine.state import RunState
from hexdag_lab.core.machine.story import sentence, story
from hexdag_lab.core.machine.why import why
from hexdag_lab.core.runs.reuse import Found, Made
from hexdag_lab.core.runs.run import Failure
from hexdag_lab.core.votes.agent import Role, Seat
from hexdag_lab.core.votes.ballot import Choice
from hexdag_lab.core.votes.steer import End
from hexdag_lab.testing import crowd
from hexdag_lab.testing.audit import differences
from tests.core.machine.diary import graph, result, seats, spec

PEOPLE = ("ada", "bob", "cy", "eve", "obi", "zoe")
IDS = ("p1", "p2", "p3", "p4")


class Nonsense:
    """Messages at random. `names` are all node names that there were, and some that never will be."""

    def __init__(self, rng: Random) -> None:
        self.rng, self.now, self.names = rng, 0.0, ["ghost"]

    def message(self, state: RunState) -> Any:
        rng = self.rng
        self.now += rng.choice((0.0, 0.0, 1.0, 30.0, -5.0))
        self.names += [name for name in sorted(state.nodes) if name not in self.names]
        kind = rng.choice(("report", "report", "report", "proposal", "vote", "vote", "command", "other"))
        return getattr(self, f"_{kind}")(state, self.now)

    def _report(self, state: RunState, at: float) -> Any:
        rng = self.rng
        node = rng.choice(self.names)
        current = state.nodes[node].fence if node in state.nodes else 0
        fence = rng.choice((current, current, current, current - 1, current + 1, 0))
        where = rng.choice(("inline", "inline", "pool", "blob"))
        worker = rng.choice(("", "w1", "w2"))
        return rng.choice(
            (
                ms.Started(at, node, fence, worker, rng.randrange(3), "it was lost"),
                ms.Succeeded(at, node, fence, 1.0, result(node, where), worker),
                ms.Succeeded(at, node, fence, 1.0, result(node, where), worker),
                ms.Failed(at, node, fence, 1.0, Failure("ValueError", "no"), worker),
                ms.Lost(at, node, fence, "it died"),
                ms.Suspended(at, node, fence, 1.0, rng.choice(IDS), rng.choice((None, result(node)))),
                ms.ResultKept(at, node, fence, result(node, where)),
                self._answer(state, at, node),
            )
        )

    def _answer(self, state: RunState, at: float, node: str) -> ms.LookedUp:
        asked = [(name, rec.reuse.asked) for name, rec in sorted(state.nodes.items()) if rec.reuse.asked]
        node, key = self.rng.choice([*asked, (node, "0" * 64)])
        made = Made("r", node, 1, 1.0, result(node))
        return ms.LookedUp(at, (Found(node, key, self.rng.choice((None, made))),))

    def _proposal(self, state: RunState, at: float) -> Any:
        rng = self.rng
        old: list[Dag] = [version.dag for version in state.versions] or [graph("a")]
        base = rng.choice((old[-1], old[-1], rng.choice(old), graph("some > where")))
        change: Changeset | None = None
        while change is None:
            change = crowd.change(rng, base, self.names)
        change = loads(dumps(change)) if rng.random() < 0.5 else change
        return ms.Propose(
            at, rng.choice((*IDS, f"n{at}")), change, rng.choice(PEOPLE), "why not", rng.randrange(-999, 999)
        )

    def _vote(self, state: RunState, at: float) -> Any:
        rng = self.rng
        proposal = rng.choice((*state.open, *IDS))
        if rng.random() < 0.2:
            return ms.VoterAbsent(at, proposal, rng.choice(PEOPLE), "it is ill")
        return ms.CastBallot(at, proposal, rng.choice(PEOPLE), rng.choice(list(Choice)), "so", "test")

    def _command(self, state: RunState, at: float) -> Any:
        rng = self.rng
        by = rng.choice(PEOPLE)
        role, hooks = rng.choice(list(Role)), rng.choice((None, "here"))
        seat = Seat(rng.choice(PEOPLE), role, Fraction(rng.randrange(3)), hooks=hooks)
        empty = Changeset(state.dag.digest)
        last = ms.Propose(at, "end", empty, by, steers=End()) if rng.random() < 0.1 else ms.Tick(at)
        commands = (ms.Join(at, seat), ms.Withdraw(at, rng.choice(IDS), by), ms.Pause(at, by), ms.Resume(at, by), last)
        return rng.choice((*commands, ms.Attach(at, by, rng.choice(((), (by,))))))

    def _other(self, state: RunState, at: float) -> Any:
        rng = self.rng
        able = rng.choice((None, (), (frozenset({"gpu"}),)))
        pool = ms.PoolChanged(at, rng.randrange(4), rng.randrange(5), able)
        seen = ms.HooksReturned(at, rng.choice(PEOPLE), state.hookable + rng.randrange(-2, 2))
        return rng.choice((pool, seen, ms.Tick(at), ms.Dispatch(at), start(rng)))


def start(rng: Random) -> ms.StartRun:
    dag = crowd.graph(rng, rng.randrange(7))
    schedule = rng.choice(("ready", "waves"))
    done = {name: result(name) for name in sorted(dag) if rng.random() < 0.05}
    return ms.StartRun(
        0.0, "r", dag, FrozenDict(), crowd.policy(rng), seats(), "ada", "ada", schedule, None, FrozenDict(done)
    )


@given(rng=st.randoms(use_true_random=False), steps=st.integers(0, 60))
@settings(max_examples=150, deadline=None)
def test_any_message_in_any_state_gives_an_answer_and_breaks_nothing(rng: Random, steps: int) -> None:
    state, nonsense, events = RunState(), Nonsense(rng), list[Any]()
    for number in range(steps):
        message = start(rng) if number == 0 and rng.random() < 0.95 else nonsense.message(state)
        before = state
        for each in (message, ms.Dispatch(message.at)) if rng.random() < 0.8 else (message,):
            earlier = state
            state, made, effects = decide.apply(state, each)
            assert decide.decide(earlier, each) == (made, effects)
            answers = [effect for effect in effects if isinstance(effect, ef.Reply)]
            assert len(answers) == isinstance(each, ms.COMMANDS)
            refusals = [answer.value for answer in answers if isinstance(answer.value, Refused)]
            assert all(refused.rule and refused.fix for refused in refusals)
            folded = earlier
            for event in made:
                folded = evolve(folded, event)
            assert differences(folded, state) == []
            events += made
        assert violations(state) == [], message
        assert state.seq >= before.seq
        assert state.at >= before.at
        _say_everything(state, events[-1:])
    again = RunState()
    for event in events:
        again = evolve(again, loads(dumps(event)))
    assert differences(again, state) == []
    decide.recover(state)


def _say_everything(state: RunState, events: list[Any]) -> None:
    for name in (*state.nodes, *state.gone, "ghost"):
        assert why(state, name) is None or isinstance(why(state, name), str)
        story(events, name)
    for event in events:
        sentence(event)
    due = state.next_due()
    assert due is None or not state.over


def test_every_message_has_a_handler_and_every_event_an_evolver() -> None:
    assert set(_HANDLERS) == set(ms.Message.__args__)  # type: ignore[attr-defined]

    kinds = {
        kind
        for kind in vars(ev).values()
        if isinstance(kind, type) and issubclass(kind, ev.Event) and kind not in (ev.Event, ev._Moved)
    }
    assert set(_EVOLVERS) == kinds
    assert set(ev.UNHOOKED) < kinds


def test_deciding_changes_neither_the_state_nor_the_message() -> None:
    first, *_ = decide.apply(RunState(), start(Random(1)))
    row = dumps([first.seq, first.open, first.left, sorted(first.nodes.items())])
    for seed in range(50):
        message = Nonsense(Random(seed)).message(first)
        sent = dumps(message)
        decide.apply(first, message)
        assert dumps(message) == sent
        assert dumps([first.seq, first.open, first.left, sorted(first.nodes.items())]) == row


def test_a_message_survives_the_codec() -> None:
    state, *_ = decide.apply(RunState(), start(Random(2)))
    for seed in range(100):
        message = Nonsense(Random(seed)).message(state)
        again = loads(dumps(message))
        assert type(again) is type(message)
        assert dumps(again) == dumps(message)
    assert spec("a").name == "a"
