"""The desk asks agents: for ballots, and what they make of events. It turns their answers into commands.

Agents are plain functions; they run on threads, each with a time limit. One that fails or is too slow is *absent*: that
is recorded with its error, and nobody waits for it any longer. Events reach an agent's `on_event` in order, one at a
time; what it proposes for an event has an id made of agent and seq, so that a hook that is called again after a crash
proposes the same thing once.
"""

from __future__ import annotations

import asyncio
import inspect
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future
from typing import Any, NamedTuple

from ..core.base.errors import HexdagError, Refused
from ..core.dag.catalog import Catalog
from ..core.dag.changeset import Changeset
from ..core.machine import messages as ms
from ..core.machine.events import UNHOOKED
from ..core.machine.state import RunState
from ..core.machine.story import seen_by
from ..core.votes.ballot import Ballot, choice_of
from ..core.votes.calls import Call
from ..core.votes.proposal import Request
from .shipping import Shipping
from .thread import on_thread
from .view import ProposalView, RunView

VOTE_SECONDS = 120.0
HOOK_SECONDS = 120.0
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
    """What the desk needs of the controller: to tell, to ask, and to see a run as it is."""

    put: Callable[[str, Any], None]
    command: Callable[[str, Any], Future[Any]]
    view: Callable[[str], RunView]


class Desk:
    """Asks agents on behalf of one controller."""

    def __init__(self, door: Door, shipping: Shipping) -> None:
        self._door, self._shipping = door, shipping
        self._functions: dict[str, Functions] = {}
        self.catalog = Catalog()
        self._places = asyncio.Semaphore(AT_ONCE)
        self._queues: dict[tuple[str, str], deque[Any]] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def register(self, agent: str, functions: Functions) -> None:
        """These are the functions of an agent in this process."""
        self._functions[agent] = functions

    def recall(self, state: RunState) -> tuple[str, ...]:
        """Load the functions of a run's agents that are not registered here; the agents whose hooks cannot be had."""
        absent = []
        for name, seat in state.seats.items():
            if name not in self._functions:
                vote, on_event = self._loaded(seat.votes), self._loaded(seat.hooks)
                self._functions[name] = Functions(vote, on_event, seat.seconds)
            if seat.hooks is not None and self._functions[name].on_event is None:
                absent.append(name)
        return tuple(absent)

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
        own = self._functions.get(agent, Functions())
        view = self._door.view(run).seen_by(agent)
        if agent in view.state.suspended:
            return self._absent(run, proposal, agent, f"suspended: {view.state.suspended[agent]}")
        if own.vote is None:
            return self._absent(run, proposal, agent, "its vote function is not in this process")
        try:
            context = self._context(run, agent, view, view.proposals[proposal])
            answer = await self._call(own.vote, own.seconds or VOTE_SECONDS, context)
            ballot = answer if isinstance(answer, Ballot) else Ballot(choice_of(answer))
            choice = choice_of(ballot.choice)
        except Exception as error:  # an agent's own code: its error makes it absent
            return self._absent(run, proposal, agent, _text(error))
        self._door.put(
            run, ms.CastBallot(time.time(), proposal, agent, choice, str(ballot.reason), "rule", tuple(ballot.nodes))
        )
        return None

    def _context(self, run: str, agent: str, view: RunView, proposal: ProposalView | None = None) -> Context:
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
            if self._functions.get(agent, Functions()).on_event is None or not news:
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
            seen = _Seen()
            for _ in range(len(pending)):
                event = pending.popleft()
                seen = seen.then(await self._show_one(run, agent, event))._replace(upto=event.seq)
                if seen.broke:  # the next ones wait until this is recorded: it may be the last that it is shown
                    break
            self._door.put(run, ms.HooksReturned(time.time(), agent, seen.upto, seen.failure, seen.broke))
        del self._queues[run, agent]

    async def _show_one(self, run: str, agent: str, event: Any) -> _Seen:
        """Show an event and propose what comes of it."""
        own = self._functions.get(agent, Functions())
        view = self._door.view(run).seen_by(agent)
        if own.on_event is None or agent in view.state.suspended:
            return _Seen()
        try:
            shown = seen_by(event, agent, view.state)
            context = self._context(run, agent, view)
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


class _TooSlow(Exception):
    """An agent did not answer in time. Its own code may raise a TimeoutError as well, and that is another matter."""


def _text(error: Exception) -> str:
    return str(error) if isinstance(error, _TooSlow) else f"{type(error).__name__}: {error}"


async def _awaited(value: Any) -> Any:
    return await value
