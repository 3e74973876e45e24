"""A whole lab in one seed: controller, pool, agents, network and crashes, simulated on one thread.

`World(seed).run()` plays a run from its start to its end, and fails if anything happens that must not. It drives the
pure core as a controller does: drain the inbox, `apply` each message, `Dispatch`, journal in one commit, then act.
Around that everything goes wrong that may: messages come late, twice and out of order, workers die, attempts fail,
wait or run twice, agents propose nonsense and vote too late, and the controller is killed at any point of a step and
goes on from its journal. The same seed gives the same journal, byte for byte, in every process; so a failing seed is a
whole bug report.

It is shipped for those who write a policy, or change the core: `World(seed, policy=mine).run()`. It is no model of how
fast anything is.
"""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from functools import partial
from heapq import heappop, heappush
from math import ceil
from random import Random
from typing import Any

from ..core.base.codec import dumps, loads
from ..core.base.errors import Refused
from ..core.base.frozen import FrozenDict
from ..core.dag.changeset import Changeset
from ..core.dag.dag import Dag
from ..core.machine import decide
from ..core.machine import effects as ef
from ..core.machine import events as ev
from ..core.machine import messages as ms
from ..core.machine.evolve import evolve
from ..core.machine.invariants import violations
from ..core.machine.state import RunState
from ..core.runs.attempt import Task
from ..core.runs.reuse import Found, Made
from ..core.runs.run import RunStatus
from ..core.votes.agent import Seat
from ..core.votes.budget import Budget
from ..core.votes.policy import Policy
from ..core.votes.steer import End, Move
from . import crowd
from .audit import audit, differences
from .outcome import START, Outcome, Seen, WorldBroken, in_words
from .simleases import SimLeases
from .simpool import Broken, SimPool

Apply = Callable[[RunState, Any], tuple[RunState, list[Any], list[ef.Effect]]]

MOST_STEPS = 20_000  #: a world that has not come to its end by then never will
LONGEST = 100_000.0  #: the same in simulated seconds


class _Command:
    """Something that a client asks for, again and again, until it is answered."""

    def __init__(self, make: Callable[[], Any], then: Callable[[Any], None] | None) -> None:
        self.make, self.then, self.answered = make, then, False


class World:
    """One simulated run. All arguments but the seed have defaults that depend on the seed only.

    dag, policy    what is run, and under which policy (with a deadline, since people may never answer)
    crashes        how likely the controller dies in a step
    judged         how often somebody says how a proposal turned out
    moves          how often somebody wants a node to move; then half of the nodes have safe points
    apply          the core under test;  effects_first  a controller that acts before it journals (it must be caught)
    """

    def __init__(
        self,
        seed: int,
        *,
        dag: Dag | None = None,
        policy: Policy | None = None,
        crashes: float | None = None,
        apply: Apply = decide.apply,
        effects_first: bool = False,
        judged: int = 0,
        moves: int = 0,
    ) -> None:
        self.seed, self.rng, self.now = seed, Random(seed), START
        self.more = Random(f"{seed}/more")
        self.busy = seed % 5 == 3  # every fifth has a budget, moments to apply from, and proposals that answer others
        rng = self.rng
        self.apply, self.effects_first, self.judged, self.moves = apply, effects_first, judged, moves
        self.crashes = rng.choice((0.0, 0.02, 0.05, 0.1)) if crashes is None else crashes
        self.dag = crowd.graph(rng, rng.randrange(3, 14)) if dag is None else dag
        self.policy = crowd.policy(rng) if policy is None else policy
        self.names = sorted(self.dag)
        self.seats = crowd.seats(rng)
        self.state, self.journal, self.events = RunState(), list[bytes](), list[Any]()
        self.inbox: list[tuple[Any, _Command | None]] = []
        self.agenda: list[tuple[float, int, Callable[[], None]]] = []
        self.planned = 0
        self.notes: dict[Any, dict[str, Any]] = {}
        self.index: dict[str, Made] = {}
        self.sent: dict[tuple[str, int], int] = {}
        self.seen = Seen()
        self.life = 0
        self.waking = self.resuming = False
        self.pool = self._new_pool()
        self.leases, self.looking = SimLeases(self.more), False
        self.known: set[str] = set()
        self.hooking: set[str] = set()

    def run(self) -> Outcome:
        """Play it to the end; raises `WorldBroken` if something happens that must not."""
        try:
            self._prepare()
            while self.agenda:
                self._next()
            self._check_end()
        except Exception as error:  # whatever it is: the seed has to be told
            what = str(error) if isinstance(error, Broken) else f"{type(error).__name__}: {error}"
            raise WorldBroken(self.seed, [what], in_words(self.events)) from error
        seen, seconds = self.seen, self.now - START
        moves = (frozenset(seen.nodes), frozenset(seen.proposals), frozenset(seen.runs))
        return Outcome(self.seed, tuple(self.journal), self.state, seconds, seen.counts, *moves)

    # -- time and the network

    def later(self, seconds: float, action: Callable[[], None]) -> None:
        """Do something some seconds from now."""
        self.planned += 1
        heappush(self.agenda, (ceil((self.now + seconds) * 1000) / 1000, self.planned, action))

    def post(self, message: Any, command: _Command | None = None) -> None:
        """Send the controller a message: usually soon, sometimes late, sometimes twice."""
        copies = 2 if self.rng.random() < 0.08 else 1
        for _ in range(copies):
            late = self.rng.random() < 0.05
            delay = self.rng.uniform(3, 90) if late else self.rng.expovariate(5)
            self.later(delay, lambda: self._deliver(message, command))

    def tell(self, message: Any) -> None:
        """Send the controller a message that is never late, lost or out of order."""
        self._deliver(message, None)

    def ask(self, make: Callable[[], Any], then: Callable[[Any], None] | None = None) -> None:
        """Send a command, again every half minute until there is an answer; `then` gets it."""
        self._send(_Command(make, then))

    def _send(self, command: _Command) -> None:
        if not command.answered:
            self.post(command.make(), command)
            self.later(30, lambda: self._send(command))

    def _deliver(self, message: Any, command: _Command | None) -> None:
        self.inbox.append((message, command))
        self._wake(self.rng.choice((0, 0, 0.05, 0.3)))

    def _wake(self, seconds: float) -> None:
        if not self.waking:
            self.waking = True
            self.later(seconds, self._step)

    def _next(self) -> None:
        at, _, action = heappop(self.agenda)
        self.now = max(self.now, at)
        self.seen.counts["actions"] += 1
        if self.seen.counts["actions"] > MOST_STEPS or self.now > LONGEST:
            raise Broken("the run does not come to its end")
        action()

    # -- the controller

    def _step(self) -> None:
        """One step of a controller, which may be its last."""
        self.waking = False
        self.seen.counts["steps"] += 1
        rng = self.rng
        dies = rng.choice(("before", "between", "during")) if rng.random() < self.crashes else ""
        batch, self.inbox = self.inbox, []
        due = self.state.next_due()
        if due is not None and due <= self.now:
            batch.append((ms.Tick(self.now), None))
        before, events, effects, replies = self.state, list[Any](), list[ef.Effect](), list[tuple[Any, Any]]()
        state = before
        for message, command in (*batch, (ms.Dispatch(self.now), None)):
            state = self._decide(state, message, command, events, effects, replies)
        rows = [dumps(event) for event in events]
        if self.effects_first:
            self._perform(effects)
        if dies == "before" or (dies == "between" and self.effects_first):
            return self._crash()
        self.state = state
        self.journal += rows
        self.events += events
        self._write_index(effects)
        if dies == "during":
            effects = effects[: rng.randrange(len(effects) + 1)]
        if not self.effects_first and dies != "between":
            self._perform(effects)
        if dies:
            return self._crash()
        self._after(replies)
        return None

    def _decide(
        self,
        state: RunState,
        message: Any,
        command: _Command | None,
        events: list[Any],
        effects: list[ef.Effect],
        replies: list[tuple[Any, Any]],
    ) -> RunState:
        self.seen.counts["messages"] += 1
        after, made, asked = self.apply(state, message)
        self.seen.note(state, made)
        answers = [effect.value for effect in asked if isinstance(effect, ef.Reply)]
        if len(answers) != isinstance(message, ms.COMMANDS):
            raise Broken(f"{type(message).__name__} got {len(answers)} answers")
        if after is not state and (wrong := violations(after)):
            raise Broken("; ".join(wrong))
        if state.over and any(not isinstance(event, ev.NodeKept | ev.ProposalJudged) for event in made):
            raise Broken(f"the run was over, yet there is {made[0].kind}")
        replies += [(command, answer) for answer in answers]
        events += made
        effects += [effect for effect in asked if not isinstance(effect, ef.Reply)]
        return after

    def _perform(self, effects: list[ef.Effect]) -> None:
        for effect in effects:
            match effect:
                case ef.Submit():
                    self.pool.submit(effect.tasks)
                case ef.Recall():
                    self.pool.recall(effect.attempts)
                case ef.Answer():
                    self.pool.answer(effect)
                case ef.Forget():
                    self.pool.forget(effect.attempts)
                case ef.Publish():
                    self.pool.publish(effect.version, effect.change)
                case ef.LookUp():
                    found = [Found(node, key, self.index.get(key)) for node, key in effect.sought]
                    self.post(ms.LookedUp(self.now, tuple(found)))
                case ef.AskVote():
                    self._asked(effect.proposal, effect.agent)

    def _write_index(self, effects: list[ef.Effect]) -> None:
        """What the commit of the events makes findable."""
        for effect in effects:
            if isinstance(effect, ef.Index):
                result = self.events[effect.seq - 1].result
                made = Made("sim", effect.node, effect.version, effect.seconds, result)
                self.index[effect.key] = made

    def _after(self, replies: list[tuple[Any, Any]]) -> None:
        for command, answer in replies:
            if isinstance(answer, Refused):
                self.seen.counts[f"refused: {answer.rule}"] += 1
            if command is not None and not command.answered:
                command.answered = True
                if command.then is not None:
                    command.then(answer)
        self._look()
        due = self.state.next_due()
        if due is not None:
            self.later(max(0.0, due - self.now) + 0.001, lambda: self._wake(0))
        if self.inbox:
            self._wake(0.05)

    def _crash(self) -> None:
        """The controller dies; another one goes on from the journal, with a new pool."""
        self.seen.counts["crashes"] += 1
        self.pool.close()
        self.inbox = [item for item in self.inbox if self.rng.random() < 0.5]
        state = RunState()
        for row in self.journal:
            state = evolve(state, loads(row))
        if wrong := differences(state, self.state):
            raise Broken("the journal gives another state: " + "; ".join(wrong))
        self.state = state
        self.pool, self.leases = self._new_pool(), SimLeases(self.more)
        self.hooking = set()
        self._perform(decide.recover(state))
        absent = ("hal",) if self.rng.random() < 0.2 else ()
        if state.started:
            self.inbox.insert(0, (ms.Attach(self.now, "lab", absent), None))
            if absent:
                self.later(20, lambda: self._join(self.seats[-1]))
        self.inbox.append((self.pool.offer(), None))
        self._wake(self.rng.uniform(0.1, 3))

    def _new_pool(self) -> SimPool:
        self.life += 1
        return SimPool(self, f"w{self.life}.", self.rng.randrange(1, 5), self.rng.choice((0, 8, 16)))

    # -- the agents

    def _prepare(self) -> None:
        rng = self.rng
        schedule = rng.choice(("ready", "ready", "waves"))
        start = ms.StartRun(
            self.now, "sim", self.dag, FrozenDict(), self.policy, self.seats, crowd.OWNER, crowd.OWNER, schedule,
            crowd.budget(self.more, self.dag) if self.busy else None,
        )  # fmt: skip
        self.ask(lambda: start, lambda _: self.tell(self.pool.offer()))
        voices = (crowd.OWNER, "bea", "cal", "dan", "eve", "eve", "hal", "fay", "zoe")
        for number in range(rng.randrange(12)):
            by = rng.choice(voices)
            self.later(rng.uniform(0.5, 40), partial(self._propose, f"p{number}", by))
        for _ in range(rng.randrange(4)):
            self.later(rng.uniform(2, 50), lambda: self.pool.kill_worker())
        if rng.random() < 0.3:
            self.later(rng.uniform(1, 15), lambda: self._join(Seat("lia", votes="here")))
        if rng.random() < 0.2:
            self.later(rng.uniform(1, 20), lambda: self._steer(ms.Pause, crowd.OWNER))
        if rng.random() < 0.1:
            self.later(rng.uniform(5, 60), lambda: self._cancel(crowd.OWNER))
        if rng.random() < 0.2:
            self.later(rng.uniform(1, 30), lambda: self._cancel(rng.choice(("fay", "zoe", "eve"))))
        for _ in range(self.judged):
            self.later(rng.uniform(5, 60), self._judge)
        for _ in range(self.moves):
            self.later(self.more.uniform(1, 40), self._migrate)

    def _steer(self, kind: type, by: str) -> None:
        self.ask(lambda: kind(self.now, by))

    def _cancel(self, by: str) -> None:
        """Somebody wants the run to end, whether she may say so or not."""
        id_, versions = f"end{self.seen.counts['actions']}", self.state.versions
        if versions:
            empty = Changeset(versions[-1].digest)
            self.ask(lambda: ms.Propose(self.now, id_, empty, by, "it is no use", steers=End()))

    def _migrate(self) -> None:
        """Somebody wants a node to go on on some worker, whether that can be or not."""
        rng, versions = self.more, self.state.versions
        if versions:
            id_, empty = f"move{self.seen.counts['actions']}", Changeset(versions[-1].digest)
            to = rng.choice(("", *(worker.name for worker in self.pool.workers)))
            busy = [name for name, rec in self.state.nodes.items() if rec.submitted]
            move = Move(rng.choice(busy or self.names), to, rng.choice((0.5, 5.0)), rng.random() < 0.3)
            by = rng.choice((crowd.OWNER, crowd.OWNER, "bea", "eve", "fay"))
            self.ask(lambda: ms.Propose(self.now, id_, empty, by, "it is needed elsewhere", steers=move))

    def _judge(self) -> None:
        """Somebody says how some proposal turned out, whether she may or not, whether it is decided or not."""
        proposal = self.rng.choice(sorted(self.state.proposals) or ["p0"])
        by, good = self.rng.choice((crowd.OWNER, crowd.OWNER, "dan", "bea", "zoe")), self.rng.random() < 0.5
        self.ask(lambda: ms.Judge(self.now, proposal, by, good))

    def _resume(self) -> None:
        self.resuming = False
        if self.state.status is RunStatus.PAUSED:
            self._steer(ms.Resume, "bea")

    def _raise_budget(self) -> None:
        """The run has paused for want of it, and somebody asks for more, perhaps not enough."""
        state = self.state
        if state.budget is None or state.over:
            return
        if sum(p.raises is not None for p in state.proposals.values()) > 9:
            self._cancel(crowd.OWNER)  # nobody wants to pay for it
            return
        id_ = f"raise{self.seen.counts['actions']}"
        limits = (state.budget.seconds, state.budget.cost, state.budget.nodes)
        more = [None if limit is None else self.more.randrange(1, 60) for limit in limits]
        raises = Budget(more[0], None if more[1] is None else Fraction(more[1]), more[2])
        by, empty = self.more.choice((crowd.OWNER, "bea", "eve")), Changeset(state.dag.digest)
        self.ask(lambda: ms.Propose(self.now, id_, empty, by, "it is worth it", raises=raises))

    def _join(self, seat: Seat) -> None:
        self.ask(lambda: ms.Join(self.now, seat))

    def _propose(self, id_: str, by: str) -> None:
        rng, versions = self.rng, self.state.versions
        if not versions:
            return
        base = rng.choice(versions[-3:]).dag if rng.random() < 0.4 else versions[-1].dag
        if rng.random() < 0.05:
            base = base.add_node(crowd.spec(rng, "elsewhere")) if "elsewhere" not in base else base
        change = crowd.change(rng, base, self.names)
        if change is None:
            return
        self._submit_proposal(id_, change, by)
        if rng.random() < 0.1:
            withdrawer = rng.choice((by, crowd.OWNER, "bea"))
            self.later(rng.uniform(0.1, 20), lambda: self.ask(lambda: ms.Withdraw(self.now, id_, withdrawer)))

    def _submit_proposal(self, id_: str, change: Changeset, by: str) -> None:
        rng, state, priority = self.more, self.state, self.rng.randrange(-5, 200)
        moment = crowd.moment(rng, self.names) if self.busy else "now"
        mine = sorted(p.id for p in state.proposals.values() if p.by == by and not p.terminal)
        old = rng.choice(mine) if mine and self.busy and rng.random() < 0.3 else ""
        old = old if old != id_ else ""
        cause = rng.choice(self.names) if rng.random() < 0.3 else ""
        self.ask(
            lambda: ms.Propose(
                self.now, id_, change, by, "because", priority, moment, in_reply_to=old, cause=cause
            )
        )  # fmt: skip

    def node_proposes(self, task: Task, version: Dag) -> str:
        """A node that runs proposes something and will wait for it; called again, it proposes the same."""
        id_ = f"{task.node}.{len(task.decisions or ())}"
        change = crowd.change(self.rng, version, self.names)
        if change is not None:
            self.post(ms.Propose(self.now, id_, change, "eve", "I found something"), _Command(lambda: None, None))
        return id_

    def _asked(self, proposal: str, agent: str) -> None:
        """An agent is asked for its vote: it votes, fails, or says nothing."""
        kind = self.rng.random()
        delay = self.rng.choice((self.rng.uniform(0.2, 3), self.rng.uniform(3, 25)))
        if kind < 0.85:
            self.later(delay, lambda: self._vote(proposal, agent))
        elif kind < 0.95:
            self.later(delay, lambda: self.post(ms.VoterAbsent(self.now, proposal, agent, "it crashed")))

    def _vote(self, proposal: str, by: str) -> None:
        choice = self.rng.choice(crowd.CHOICES)
        self.ask(lambda: ms.CastBallot(self.now, proposal, by, choice, "I think so", "notebook"))

    def _look(self) -> None:
        """What people and hooks do when they see a new state."""
        rng, state = self.rng, self.state
        if state.status is RunStatus.PAUSED and not self.resuming:
            self.resuming = True
            if state.short is not None and self.more.random() < 0.7:
                self.later(self.more.uniform(1, 20), self._raise_budget)
            self.later(rng.uniform(5, 30), self._resume)
        for id_ in state.open:
            if id_ in self.known:
                continue
            self.known.add(id_)
            for person in (crowd.OWNER, "dan"):
                for _ in range(rng.choice((0, 1, 1, 1, 2))):
                    self.later(rng.uniform(0.5, 60), partial(self._vote, id_, person))
            if rng.random() < 0.3:
                other = rng.choice(("fay", "zoe", "lia", state.proposals[id_].by))
                self.later(rng.uniform(0.5, 30), partial(self._vote, id_, other))
        for agent, upto in state.hooks.items():
            if upto < state.hookable and agent not in self.hooking and not state.over:
                self.hooking.add(agent)
                self.later(rng.uniform(0.1, 2), partial(self._hooked, agent, state.hookable, self.life))

        self._look_at_leases()

    def _look_at_leases(self) -> None:
        """What becomes of claims; somebody else may hold a lease, and then there is another look."""
        for message in self.leases.look(self.state, self.now):
            (self.tell if isinstance(message, ms.LeaseLost) else self.post)(message)
        if self.state.claims and not self.state.over and not self.looking:
            self.looking = True
            self.later(self.more.uniform(1, 5), self._look_again)

    def _look_again(self) -> None:
        self.looking = False
        self._look_at_leases()

    def _hooked(self, agent: str, upto: int, life: int) -> None:
        if life != self.life:
            return
        self.hooking.discard(agent)
        if self.rng.random() < 0.01:
            self._propose(f"h{upto}", agent)
        self.post(ms.HooksReturned(self.now, agent, upto))

    # -- the end

    def _check_end(self) -> None:
        state = self.state
        if not state.over:
            raise Broken(f"nothing happens any more, and the run is {state.status}")
        if left := self.pool.leftovers():
            raise Broken(f"the run is over, and these wait in the pool: {', '.join(left)}")
        again = RunState()
        for row in self.journal:
            again = evolve(again, loads(row))
        wrong = [*differences(again, state), *audit(self.events, self.notes, self.sent)]
        if wrong:
            raise Broken("; ".join(wrong))
