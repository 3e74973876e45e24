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
from heapq import heappop, heappush
from math import ceil
from random import Random
from typing import Any

from ..core.base.codec import dumps, loads
from ..core.base.errors import Refused
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
from ..core.votes.policy import Policy
from . import crowd
from .actors import Actors
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
        self.waking = False
        self.pool = self._new_pool()
        self.leases, self.looking = SimLeases(self.more), False
        self.actors = Actors(self)

    def run(self) -> Outcome:
        """Play it to the end; raises `WorldBroken` if something happens that must not."""
        try:
            self.actors.begin()
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
                case ef.Hold():
                    self.pool.hold(effect.attempts)
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
                    self.actors.asked(effect.proposal, effect.agent)

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
        self.actors.look()
        self._look_at_leases()
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
        self.actors.crashed()
        self._perform(decide.recover(state))
        absent = ("hal",) if self.rng.random() < 0.2 else ()
        if state.started:
            self.inbox.insert(0, (ms.Attach(self.now, "lab", absent), None))
            if absent:
                self.later(20, lambda: self.actors.join(self.seats[-1]))
        self.inbox.append((self.pool.offer(), None))
        self._wake(self.rng.uniform(0.1, 3))

    def _new_pool(self) -> SimPool:
        self.life += 1
        return SimPool(self, f"w{self.life}.", self.rng.randrange(1, 5), self.rng.choice((0, 8, 16)))

    # -- others

    def node_proposes(self, task: Task, version: Dag) -> str:
        """A node that runs proposes something: under which id."""
        return self.actors.node_proposes(task, version)

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
