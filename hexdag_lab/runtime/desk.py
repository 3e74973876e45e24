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
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

from ..core.base.errors import HexdagError
from ..core.dag.changeset import Changeset
from ..core.machine import messages as ms
from ..core.machine.events import UNHOOKED
from ..core.machine.state import RunState
from ..core.votes.ballot import Ballot, choice_of
from .shipping import Shipping
from .view import ProposalView, RunView

VOTE_SECONDS = 120.0
HOOK_SECONDS = 120.0
AT_ONCE = 8  #: agents that are asked at the same time


class Functions(NamedTuple):
    """What an agent does: None where it does nothing."""

    vote: Callable[..., Any] | None = None
    on_event: Callable[..., Any] | None = None


class Context(NamedTuple):
    """What an agent sees when it is asked: itself, the run at this moment, and the proposal if there is one."""

    agent: str
    run: RunView
    proposal: ProposalView | None = None

    @property
    def dag(self) -> Any:
        """The head version's graph."""
        return self.run.dag

    def change(self) -> Changeset:
        """An empty changeset on the head version."""
        return Changeset.on(self.run.dag)


class Desk:
    """Asks agents on behalf of one controller."""

    def __init__(
        self, put: Callable[[str, Any], None], view: Callable[[str], RunView], shipping: Shipping
    ) -> None:
        self._put, self._view, self._shipping = put, view, shipping
        self._functions: dict[str, Functions] = {}
        self._threads = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="hexdag-agent")
        self._queues: dict[tuple[str, str], deque[Any]] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def register(self, agent: str, functions: Functions) -> None:
        """These are the functions of an agent in this process."""
        self._functions[agent] = functions

    def recall(self, state: RunState) -> tuple[str, ...]:
        """Load the functions of a run's agents that are not registered here; the agents whose hooks cannot be had."""
        absent = []
        for name, seat in state.seats.items():
            if name in self._functions:
                continue
            found = Functions(*(self._loaded(reference) for reference in (seat.votes, seat.hooks)))
            self._functions[name] = found
            if seat.hooks is not None and found.on_event is None:
                absent.append(name)
        return tuple(absent)

    def _loaded(self, reference: str | None) -> Callable[..., Any] | None:
        if reference is None or reference == "here":
            return None
        try:
            return self._shipping.load_function(reference)
        except (HexdagError, ImportError, AttributeError):
            return None

    def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        self._threads.shutdown(wait=False, cancel_futures=True)

    # -- votes

    def ask(self, run: str, proposal: str, agent: str) -> None:
        """Ask an agent for its ballot; the answer comes as a command."""
        self._start(self._ask(run, proposal, agent))

    async def _ask(self, run: str, proposal: str, agent: str) -> None:
        vote = self._functions.get(agent, Functions()).vote
        if vote is None:
            return self._absent(run, proposal, agent, "its vote function is not in this process")
        view = self._view(run)
        context = Context(agent, view, view.proposals[proposal])
        try:
            answer = await self._call(vote, VOTE_SECONDS, context)
            ballot = answer if isinstance(answer, Ballot) else Ballot(choice_of(answer))
            choice = choice_of(ballot.choice)
        except TimeoutError:
            return self._absent(run, proposal, agent, f"no answer within {VOTE_SECONDS:g} s")
        except Exception as error:  # an agent's own code: its error makes it absent
            return self._absent(run, proposal, agent, f"{type(error).__name__}: {error}")
        self._put(run, ms.CastBallot(time.time(), proposal, agent, choice, ballot.reason, "rule"))
        return None

    def _absent(self, run: str, proposal: str, agent: str, why: str) -> None:
        self._put(run, ms.VoterAbsent(time.time(), proposal, agent, why))

    # -- hooks

    def saw(self, state: RunState, events: list[Any]) -> None:
        """Show new events of a run to the agents that watch it."""
        for agent in state.hooks:
            hook = self._functions.get(agent, Functions()).on_event
            shown = [event for event in events if not isinstance(event, UNHOOKED)]
            if hook is None or not shown:
                continue
            pending = self._queues.setdefault((state.run, agent), deque())
            idle = not pending
            pending.extend(shown)
            if idle:
                self._start(self._show(state.run, agent, hook, pending))

    async def _show(self, run: str, agent: str, hook: Callable[..., Any], pending: deque[Any]) -> None:
        while pending:
            failure, upto = "", 0
            for event in tuple(pending):
                failure = await self._show_one(run, agent, hook, event) or failure
                upto = event.seq
                pending.popleft()
            self._put(run, ms.HooksReturned(time.time(), agent, upto, failure))

    async def _show_one(self, run: str, agent: str, hook: Callable[..., Any], event: Any) -> str:
        try:
            answer = await self._call(hook, HOOK_SECONDS, event, Context(agent, self._view(run)))
            if answer is None:
                return ""
            if not isinstance(answer, Changeset):
                return f"on_event returned {type(answer).__name__}; it returns a Changeset or None"
            changeset = await asyncio.to_thread(self._shipping.changeset, answer)
        except TimeoutError:
            return f"on_event gave no answer within {HOOK_SECONDS:g} s"
        except Exception as error:  # an agent's own code: its error is recorded
            return f"{type(error).__name__}: {error}"
        if not answer.empty:
            reason = getattr(answer, "reason", "")
            self._put(run, ms.Propose(time.time(), f"{run}/{agent}-{event.seq}", changeset, agent, reason))
        return ""

    async def _call(self, function: Callable[..., Any], seconds: float, *arguments: Any) -> Any:
        def call() -> Any:
            answer = function(*arguments)
            return asyncio.run(_awaited(answer)) if inspect.isawaitable(answer) else answer

        loop = asyncio.get_running_loop()
        return await asyncio.wait_for(loop.run_in_executor(self._threads, call), seconds)

    def _start(self, work: Any) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


async def _awaited(value: Any) -> Any:
    return await value
