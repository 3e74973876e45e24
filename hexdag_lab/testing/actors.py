"""Who acts on a simulated run, and when: clients, people, agents and hooks, whether they may and make sense or not."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from functools import partial
from random import Random
from typing import Any, Protocol

from ..core.base.frozen import FrozenDict
from ..core.dag.changeset import Changeset
from ..core.dag.dag import Dag
from ..core.machine import messages as ms
from ..core.machine.state import RunState
from ..core.runs.attempt import Task
from ..core.runs.run import RunStatus
from ..core.votes.agent import Seat
from ..core.votes.budget import Budget
from ..core.votes.policy import Policy
from ..core.votes.steer import End, Move
from . import crowd
from .outcome import Seen
from .simpool import SimPool


class Home(Protocol):
    """What actors need of the world around them."""

    rng: Random
    more: Random
    now: float
    state: RunState
    dag: Dag
    policy: Policy
    seats: tuple[Seat, ...]
    names: list[str]
    busy: bool
    judged: int
    moves: int
    seen: Seen
    pool: SimPool
    life: int

    def post(self, message: Any) -> None: ...
    def tell(self, message: Any) -> None: ...
    def ask(self, make: Callable[[], Any], then: Callable[[Any], None] | None = None) -> None: ...
    def later(self, seconds: float, action: Callable[[], None]) -> None: ...


class Actors:
    """All of them. They draw from the world's dice, so that a seed says what they do."""

    def __init__(self, home: Home) -> None:
        self.home, self._rng, self._more = home, home.rng, home.more
        self._known: set[str] = set()
        self._hooking: set[str] = set()
        self._resuming = False

    def begin(self) -> None:
        """Start the run, and plan what they will do whatever becomes of it."""
        rng, home, owner = self._rng, self.home, crowd.OWNER
        schedule = rng.choice(("ready", "ready", "waves"))
        start = ms.StartRun(
            home.now, "sim", home.dag, FrozenDict(), home.policy, home.seats, owner, owner, schedule,
            crowd.budget(self._more, home.dag) if home.busy else None,
        )  # fmt: skip
        self.home.ask(lambda: start, lambda _: self.home.tell(self.home.pool.offer()))
        voices = (crowd.OWNER, "bea", "cal", "dan", "eve", "eve", "hal", "fay", "zoe")
        for number in range(rng.randrange(12)):
            by = rng.choice(voices)
            self.home.later(rng.uniform(0.5, 40), partial(self._propose, f"p{number}", by))
        for _ in range(rng.randrange(4)):
            self.home.later(rng.uniform(2, 50), lambda: self.home.pool.kill_worker())
        if rng.random() < 0.3:
            self.home.later(rng.uniform(1, 15), lambda: self.join(Seat("lia", votes="here")))
        if rng.random() < 0.2:
            self.home.later(rng.uniform(1, 20), lambda: self._steer(ms.Pause, crowd.OWNER))
        if rng.random() < 0.1:
            self.home.later(rng.uniform(5, 60), lambda: self._cancel(crowd.OWNER))
        if rng.random() < 0.2:
            self.home.later(rng.uniform(1, 30), lambda: self._cancel(rng.choice(("fay", "zoe", "eve"))))
        for _ in range(self.home.judged):
            self.home.later(rng.uniform(5, 60), self._judge)
        for _ in range(self.home.moves):
            self.home.later(self._more.uniform(1, 40), self._migrate)

    def _steer(self, kind: type, by: str) -> None:
        self.home.ask(lambda: kind(self.home.now, by))

    def _cancel(self, by: str) -> None:
        """Somebody wants the run to end, whether she may say so or not."""
        id_, versions = f"end{self.home.seen.counts['actions']}", self.home.state.versions
        if versions:
            empty = Changeset(versions[-1].digest)
            self.home.ask(lambda: ms.Propose(self.home.now, id_, empty, by, "it is no use", steers=End()))

    def _migrate(self) -> None:
        """Somebody wants a node to go on on some worker, whether that can be or not."""
        rng, versions = self._more, self.home.state.versions
        if versions:
            id_, empty = f"move{self.home.seen.counts['actions']}", Changeset(versions[-1].digest)
            to = rng.choice(("", *(worker.name for worker in self.home.pool.workers)))
            busy = [name for name, rec in self.home.state.nodes.items() if rec.submitted]
            move = Move(rng.choice(busy or self.home.names), to, rng.choice((0.5, 5.0)), rng.random() < 0.3)
            by = rng.choice((crowd.OWNER, crowd.OWNER, "bea", "eve", "fay"))
            self.home.ask(lambda: ms.Propose(self.home.now, id_, empty, by, "it is needed elsewhere", steers=move))

    def _judge(self) -> None:
        """Somebody says how some proposal turned out, whether she may or not, whether it is decided or not."""
        proposal = self._rng.choice(sorted(self.home.state.proposals) or ["p0"])
        by, good = self._rng.choice((crowd.OWNER, crowd.OWNER, "dan", "bea", "zoe")), self._rng.random() < 0.5
        self.home.ask(lambda: ms.Judge(self.home.now, proposal, by, good))

    def _resume(self) -> None:
        self._resuming = False
        if self.home.state.status is RunStatus.PAUSED:
            self._steer(ms.Resume, "bea")

    def _raise_budget(self) -> None:
        """The run has paused for want of it, and somebody asks for more, perhaps not enough."""
        state = self.home.state
        if state.budget is None or state.over:
            return
        if sum(p.raises is not None for p in state.proposals.values()) > 9:
            self._cancel(crowd.OWNER)  # nobody wants to pay for it
            return
        id_ = f"raise{self.home.seen.counts['actions']}"
        limits = (state.budget.seconds, state.budget.cost, state.budget.nodes)
        more = [None if limit is None else self._more.randrange(1, 60) for limit in limits]
        raises = Budget(more[0], None if more[1] is None else Fraction(more[1]), more[2])
        by, empty = self._more.choice((crowd.OWNER, "bea", "eve")), Changeset(state.dag.digest)
        self.home.ask(lambda: ms.Propose(self.home.now, id_, empty, by, "it is worth it", raises=raises))

    def join(self, seat: Seat) -> None:
        """An agent takes a seat."""
        self.home.ask(lambda: ms.Join(self.home.now, seat))

    def _propose(self, id_: str, by: str) -> None:
        rng, versions = self._rng, self.home.state.versions
        if not versions:
            return
        base = rng.choice(versions[-3:]).dag if rng.random() < 0.4 else versions[-1].dag
        if rng.random() < 0.05:
            base = base.add_node(crowd.spec(rng, "elsewhere")) if "elsewhere" not in base else base
        change = crowd.change(rng, base, self.home.names)
        if change is None:
            return
        self._submit_proposal(id_, change, by)
        if rng.random() < 0.1:
            withdrawer = rng.choice((by, crowd.OWNER, "bea"))
            self.home.later(
                rng.uniform(0.1, 20), lambda: self.home.ask(lambda: ms.Withdraw(self.home.now, id_, withdrawer))
            )

    def _submit_proposal(self, id_: str, change: Changeset, by: str) -> None:
        rng, state, priority = self._more, self.home.state, self._rng.randrange(-5, 200)
        moment = crowd.moment(rng, self.home.names) if self.home.busy else "now"
        mine = sorted(p.id for p in state.proposals.values() if p.by == by and not p.terminal)
        old = rng.choice(mine) if mine and self.home.busy and rng.random() < 0.3 else ""
        old = old if old != id_ else ""
        cause = rng.choice(self.home.names) if rng.random() < 0.3 else ""
        self.home.ask(
            lambda: ms.Propose(
                self.home.now, id_, change, by, "because", priority, moment, in_reply_to=old, cause=cause
            )
        )  # fmt: skip

    def node_proposes(self, task: Task, version: Dag) -> str:
        """A node that runs proposes something and will wait for it; called again, it proposes the same."""
        id_ = f"{task.node}.{len(task.decisions or ())}"
        change = crowd.change(self._rng, version, self.home.names)
        if change is not None:
            self.home.post(ms.Propose(self.home.now, id_, change, "eve", "I found something"))
        return id_

    def asked(self, proposal: str, agent: str) -> None:
        """An agent is asked for its vote: it votes, fails, or says nothing."""
        kind = self._rng.random()
        delay = self._rng.choice((self._rng.uniform(0.2, 3), self._rng.uniform(3, 25)))
        if kind < 0.85:
            self.home.later(delay, lambda: self._vote(proposal, agent))
        elif kind < 0.95:
            self.home.later(delay, lambda: self.home.post(ms.VoterAbsent(self.home.now, proposal, agent, "it crashed")))

    def _vote(self, proposal: str, by: str) -> None:
        choice = self._rng.choice(crowd.CHOICES)
        self.home.ask(lambda: ms.CastBallot(self.home.now, proposal, by, choice, "I think so", "notebook"))

    def look(self) -> None:
        """What people and hooks do when they see a new state."""
        rng, state = self._rng, self.home.state
        if state.status is RunStatus.PAUSED and not self._resuming:
            self._resuming = True
            if state.short is not None and self._more.random() < 0.7:
                self.home.later(self._more.uniform(1, 20), self._raise_budget)
            self.home.later(rng.uniform(5, 30), self._resume)
        for id_ in state.open:
            if id_ in self._known:
                continue
            self._known.add(id_)
            for person in (crowd.OWNER, "dan"):
                for _ in range(rng.choice((0, 1, 1, 1, 2))):
                    self.home.later(rng.uniform(0.5, 60), partial(self._vote, id_, person))
            if rng.random() < 0.3:
                other = rng.choice(("fay", "zoe", "lia", state.proposals[id_].by))
                self.home.later(rng.uniform(0.5, 30), partial(self._vote, id_, other))
        for agent, upto in state.hooks.items():
            if upto < state.hookable and agent not in self._hooking and not state.over:
                self._hooking.add(agent)
                self.home.later(rng.uniform(0.1, 2), partial(self._hooked, agent, state.hookable, self.home.life))

    def _hooked(self, agent: str, upto: int, life: int) -> None:
        if life != self.home.life:
            return
        self._hooking.discard(agent)
        if self._rng.random() < 0.01:
            self._propose(f"h{upto}", agent)
        self.home.post(ms.HooksReturned(self.home.now, agent, upto))

    def crashed(self) -> None:
        """The controller has died: who was shown events has to be shown them again."""
        self._hooking = set()
