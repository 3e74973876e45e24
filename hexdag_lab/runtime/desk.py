"""The desk asks agents: for ballots, and what they make of events. It turns their answers into commands.

Agents are plain functions; they run on threads, each with a time limit. One that fails or is too slow is *absent*: that
is recorded with its error, and nobody waits for it any longer. An agent that another process has added is asked there,
by a desk that follows the journal; only when that process is gone does the leader's desk ask the function that was
shipped. Events reach an agent's `on_event` in order, one at a
time; what it proposes for an event has an id made of agent and seq, so that a hook that is called again after a crash
proposes the same thing once.
"""

from __future__ import annotations

import asyncio
import inspect
import time
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Mapping
from concurrent.futures import Future
from typing import Any, NamedTuple

from ..core.base.errors import HexdagError, Refused
from ..core.dag.catalog import Catalog
from ..core.dag.changeset import Changeset
from ..core.machine import messages as ms
from ..core.machine.events import UNHOOKED
from ..core.machine.state import RunState
from ..core.machine.story import seen_by
from ..core.votes.agent import Seat
from ..core.votes.ballot import Ballot, choice_of
from ..core.votes.calls import Call
from ..core.votes.proposal import ProposalState, Request
from .shipping import Shipping
from .thread import on_thread
from .view import ProposalView, RunView

VOTE_SECONDS = 120.0
HOOK_SECONDS = 120.0
LOOK_EVERY = 0.5  #: seconds between looks whether another desk is still there
AT_ONCE = 8  #: agents that are asked at the same time; one that exceeds its time is not counted any more


class Functions(NamedTuple):
    """What an agent does: None where it does nothing. `seconds`: its time for one answer, if not the usual."""

    vote: Callable[..., Any] | None = None
    on_event: Callable[..., Any] | None = None
    seconds: float | None = None


class Context(NamedTuple):
    """What an agent sees when it is asked: itself, the run at this moment, and the proposal if there is one.

    catalog   the operations that the lab has;  called(call)  records a question that it has put to a model
    """

    agent: str
    run: RunView
    proposal: ProposalView | None = None
    catalog: Catalog = Catalog()
    called: Callable[[Call], None] = lambda call: None

    @property
    def dag(self) -> Any:
        """The head version's graph."""
        return self.run.dag

    def change(self) -> Changeset:
        """An empty changeset on the head version."""
        return Changeset.on(self.run.dag)

    @property
    def feedback(self) -> dict[str, tuple[Request, ...]]:
        """Changes that voters ask of this agent: by the id of its own proposal, the latest last. A change that
        `.because(reason, in_reply_to=id)` takes that proposal's place."""
        own = (p for p in self.run.proposals.values() if p.by == self.agent and p.requests)
        return {p.id: p.requests for p in own}


class Door(NamedTuple):
    """What the desk needs of the controller: to tell, to ask, to see a run as it is, and whether another desk lives."""

    put: Callable[[str, Any], None]
    command: Callable[[str, Any], Future[Any]]
    view: Callable[[str], RunView]
    lives: Callable[[str], Awaitable[bool]]


class Desk:
    """Asks agents on behalf of one controller; with an `id`, those of one process that does not lead."""

    def __init__(self, door: Door, shipping: Shipping, id_: str = "") -> None:
        self._door, self._shipping, self.id = door, shipping, id_
        self._functions: dict[str, Functions] = {}
        self.catalog = Catalog()
        self._shipped: dict[tuple[str | None, str | None, float | None], Functions] = {}
        self._places = asyncio.Semaphore(AT_ONCE)
        self._queues: dict[tuple[str, str], deque[Any]] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def register(self, agent: str, functions: Functions) -> None:
        """These are the functions of an agent in this process."""
        self._functions[agent] = functions

    def recall(self, state: RunState) -> tuple[str, ...]:
        """Load the functions of a run's agents that are not registered here; the agents whose hooks cannot be had."""
        own = [seat for seat in state.seats.values() if seat.desk == self.id]
        return tuple(seat.id for seat in own if seat.hooks is not None and self._of(seat).on_event is None)

    def _of(self, seat: Seat | None) -> Functions:
        """The functions of a seat: those that were registered here, else those that were shipped."""
        if seat is None:
            return Functions()
        if seat.desk == self.id and seat.id in self._functions:
            return self._functions[seat.id]
        key = (seat.votes, seat.hooks, seat.seconds)
        if key not in self._shipped:
            self._shipped[key] = Functions(self._loaded(seat.votes), self._loaded(seat.hooks), seat.seconds)
        return self._shipped[key]

    def _seat(self, run: str, agent: str) -> Seat | None:
        return self._door.view(run).state.seats.get(agent)

    async def _ours(self, run: str, agent: str, answered: Callable[[RunState], bool]) -> Functions | None:
        """An agent's functions, if they have to be called here. None: another desk has, while this one waited."""
        while (seat := self._seat(run, agent)) is not None and seat.desk != self.id:
            if answered(self._door.view(run).state):
                return None
            if not await self._door.lives(seat.desk):
                break
            await asyncio.sleep(LOOK_EVERY)
        here = seat is None or seat.desk == self.id
        return self._of(seat) if here else await asyncio.to_thread(self._of, seat)

    def _loaded(self, reference: str | None) -> Callable[..., Any] | None:
        if reference is None or reference == "here":
            return None
        try:
            return self._shipping.load_function(reference)
        except HexdagError:
            return None

    def close(self) -> None:
        """Ask nobody any more."""
        for task in self._tasks:
            task.cancel()

    # -- votes

    def ask(self, run: str, proposal: str, agent: str) -> None:
        """Ask an agent for its ballot; the answer comes as a command."""
        self._start(self._ask(run, proposal, agent))

    async def _ask(self, run: str, proposal: str, agent: str) -> None:
        own = await self._ours(run, agent, lambda state: _has_voted(state, proposal, agent))
        if own is None:
            return None
        view = self._door.view(run).seen_by(agent)
        if agent in view.state.suspended:
            return self._absent(run, proposal, agent, f"suspended: {view.state.suspended[agent]}")
        if own.vote is None:
            return self._absent(run, proposal, agent, NOT_HERE)
        try:
            context = self.context(run, agent, view, view.proposals[proposal])
            answer = await self._call(own.vote, own.seconds or VOTE_SECONDS, context)
            ballot = answer if isinstance(answer, Ballot) else Ballot(choice_of(answer))
            choice = choice_of(ballot.choice)
        except Exception as error:  # an agent's own code: its error makes it absent
            return self._absent(run, proposal, agent, _text(error))
        self._door.put(
            run, ms.CastBallot(time.time(), proposal, agent, choice, str(ballot.reason), "rule", tuple(ballot.nodes))
        )
        return None

    def context(self, run: str, agent: str, view: RunView, proposal: ProposalView | None = None) -> Context:
        """What an agent sees when it is asked; what it asks of models itself is recorded."""

        def called(call: Call) -> None:
            self._door.put(run, ms.Called(time.time(), agent, call))

        return Context(agent, view, proposal, self.catalog, called)

    def _absent(self, run: str, proposal: str, agent: str, why: str) -> None:
        self._door.put(run, ms.VoterAbsent(time.time(), proposal, agent, why))

    # -- hooks

    def saw(self, run: str, agents: Mapping[str, int], events: Iterable[Any]) -> None:
        """Show events of a run to the agents that watch it; `agents`: the seq up to which each has seen them."""
        shown = [event for event in events if not isinstance(event, UNHOOKED)]
        for agent, seen in agents.items():
            news = [event for event in shown if event.seq > seen]
            seat = self._seat(run, agent)
            if not news or seat is None or (seat.desk == self.id and self._of(seat).on_event is None):
                continue
            pending = self._queues.get((run, agent))
            if pending is not None:
                pending.extend(news)
            else:
                self._queues[run, agent] = deque(news)
                self._start(self._show(run, agent))

    async def _show(self, run: str, agent: str) -> None:
        pending = self._queues[run, agent]
        while pending:
            own = await self._ours(run, agent, lambda state: _has_seen(state, agent, pending[-1].seq))
            if own is None:
                pending.clear()
                continue
            seen, before = _Seen(), self._door.view(run).state.hooks.get(agent, 0)
            for _ in range(len(pending)):
                event = pending.popleft()
                if event.seq <= before:  # another desk has shown it, before it went
                    continue
                seen = seen.then(await self._show_one(run, agent, own, event))._replace(upto=event.seq)
                if seen.broke:  # the next ones wait until this is recorded: it may be the last that it is shown
                    break
            if seen.upto:
                self._door.put(run, ms.HooksReturned(time.time(), agent, seen.upto, seen.failure, seen.broke))
        del self._queues[run, agent]

    async def _show_one(self, run: str, agent: str, own: Functions, event: Any) -> _Seen:
        """Show an event and propose what comes of it."""
        view = self._door.view(run).seen_by(agent)
        if agent in view.state.suspended:
            return _Seen()
        if own.on_event is None:
            return _Seen(NOT_HERE)
        try:
            shown = seen_by(event, agent, view.state)
            context = self.context(run, agent, view)
            answer = await self._call(own.on_event, own.seconds or HOOK_SECONDS, shown, context)
            if answer is None:
                return _Seen()
            if not isinstance(answer, Changeset):
                return _Seen(f"on_event returned {type(answer).__name__}; it returns a Changeset or None", True)
            return _Seen() if answer.empty else _Seen(await self._propose(run, agent, event, answer))
        except Exception as error:  # an agent's own code: its error is recorded
            return _Seen(_text(error), True)

    async def _propose(self, run: str, agent: str, event: Any, answer: Changeset) -> str:
        changeset = await asyncio.to_thread(self._shipping.changeset, answer)
        cause = event.node or getattr(event.proposal, "id", event.proposal) or ""
        message = ms.Propose(
            time.time(), f"{run}/{agent}-{event.seq}", changeset, agent, answer.reason,
            in_reply_to=answer.in_reply_to, cause=cause,
        )  # fmt: skip
        said = await asyncio.wrap_future(self._door.command(run, message))
        if not isinstance(said, Refused) or said.rule == "id-taken":  # taken: it said something else before a crash
            return ""
        return f"its proposal was refused: {said}"

    async def _call(self, function: Callable[..., Any], seconds: float, *arguments: Any) -> Any:
        def call() -> Any:
            answer = function(*arguments)
            return asyncio.run(_awaited(answer)) if inspect.isawaitable(answer) else answer

        async with self._places:
            calling = asyncio.ensure_future(on_thread(call, "hexdag-agent"))
            try:
                await asyncio.wait([calling], timeout=seconds)
                if not calling.done():
                    raise _TooSlow(f"no answer within {seconds:g} s")
                return calling.result()
            finally:
                calling.cancel()

    def _start(self, work: Any) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


class _Seen(NamedTuple):
    """What came of showing events: what went wrong, whether that is the agent's own failure, and the last one's seq."""

    failure: str = ""
    broke: bool = False
    upto: int = 0

    def then(self, later: _Seen) -> _Seen:
        return later if later.failure else self


NOT_HERE = "the process that added it is gone, and its function could not be shipped"


def _has_voted(state: RunState, proposal: str, agent: str) -> bool:
    asked = state.proposals.get(proposal)
    return asked is None or asked.state is not ProposalState.OPEN or agent in asked.cast()


def _has_seen(state: RunState, agent: str, upto: int) -> bool:
    return state.over or state.hooks.get(agent, upto) >= upto


class _TooSlow(Exception):
    """An agent did not answer in time. Its own code may raise a TimeoutError as well, and that is another matter."""


def _text(error: Exception) -> str:
    return str(error) if isinstance(error, _TooSlow) else f"{type(error).__name__}: {error}"


async def _awaited(value: Any) -> Any:
    return await value
