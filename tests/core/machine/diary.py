"""A lab diary: drives the core message by message, and writes down what happened as lines of text. Not a test.

    lab = Diary("load > fit > report, load > check")
    lab.start(slots=2)
    lab.succeeds("load")

Each call is one message and one step of a controller; after each, all invariants are checked. `told()` gives the lines
since the last call: the time in seconds, then an event in words; indented: what the world is asked to do, and refusals.
"""

from __future__ import annotations

from typing import Any

from hexdag_lab.core.base.codec import dumps, loads
from hexdag_lab.core.base.errors import Refused
from hexdag_lab.core.base.frozen import FrozenDict
from hexdag_lab.core.dag.changeset import Changeset
from hexdag_lab.core.dag.code import Code, Param
from hexdag_lab.core.dag.dag import Dag
from hexdag_lab.core.dag.node import NodeSpec
from hexdag_lab.core.machine import decide
from hexdag_lab.core.machine import effects as ef
from hexdag_lab.core.machine import events as ev
from hexdag_lab.core.machine import messages as ms
from hexdag_lab.core.machine.evolve import evolve
from hexdag_lab.core.machine.invariants import violations
from hexdag_lab.core.machine.state import RunState
from hexdag_lab.core.machine.story import sentence
from hexdag_lab.core.runs.attempt import Task
from hexdag_lab.core.runs.run import Failure
from hexdag_lab.core.runs.value import Kept
from hexdag_lab.core.votes.agent import Role, Seat
from hexdag_lab.core.votes.ballot import choice_of
from hexdag_lab.core.votes.policy import Policy
from hexdag_lab.core.votes.steer import End
from hexdag_lab.core.votes.weighing import Majority

QUIET = (ev.PoolOffered, ev.HooksSeen)


def spec(name: str, revision: str = "1", *required: str, **options: Any) -> NodeSpec:
    """A node whose code is known by name and revision; it takes anything, and needs what is named. `kind`: the name of
    its function, if it shares one."""
    params = (*(Param(r, True) for r in required), Param("kw", False, "many"))
    code = Code(str(options.pop("kind", name)), "test", f"{name}/{revision}".encode().ljust(32, b"-"), params)
    return NodeSpec(name, code=code, **options)


def graph(text: str, **options: dict[str, Any]) -> Dag:
    """A graph by its edges: "load > fit > report, load > check"; options by node: fit={"retries": 2}."""
    ups: dict[str, list[str]] = {}
    for chain in text.split(","):
        names = [name.strip() for name in chain.split(">")]
        for up, name in zip([None, *names], names, strict=False):
            ups.setdefault(name, [])
            if up is not None:
                ups[name].append(up)
    return Dag.of(*(spec(name, **options.get(name, {})).after(*above) for name, above in ups.items()))


def seats() -> tuple[Seat, ...]:
    """ada, bob and cy vote; eve executes and advises; obi watches."""
    voters = [Seat(name, votes="here") for name in ("ada", "bob", "cy")]
    return (*voters, Seat("eve", Role.EXECUTOR), Seat("obi", Role.OBSERVER))


class Diary:
    def __init__(self, dag: Dag | str, policy: Policy | None = None, **start: Any) -> None:
        self.dag = graph(dag) if isinstance(dag, str) else dag
        self.policy = Majority() if policy is None else policy
        self.options = start
        self.state, self.events, self.replies = RunState(), list[Any](), list[Any]()
        self.now, self.lines, self.effects = 0.0, list[str](), list[ef.Effect]()

    # -- messages

    def send(self, message: Any) -> Any:
        """One message and the `Dispatch` of its step; the answer if it is a command."""
        self.replies = []
        for each in (message, ms.Dispatch(message.at)):
            before = self.state
            self.state, events, effects = decide.apply(before, each)
            assert violations(self.state) == []
            assert _fold(before, events) == self.state
            self.events += events
            self.effects += effects
            self._write(events, effects)
        return self.replies[0] if self.replies else None

    def start(self, slots: int = 1, lookahead: int = 0, **options: Any) -> Any:
        given = {"seats": seats(), "owner": "ada", "by": "ada", "inputs": FrozenDict(), **self.options, **options}
        run = given.pop("run", "r")
        answer = self.send(ms.StartRun(self.now, run, self.dag, policy=self.policy, **given))
        self.pool(slots, lookahead)
        return answer

    def pool(self, slots: int, lookahead: int = 0, *capabilities: set[str]) -> None:
        has = tuple(frozenset(c) for c in capabilities) if capabilities else None
        self.send(ms.PoolChanged(self.now, slots, lookahead, has))

    def begins(self, node: str, worker: str = "w1", fence: int | None = None) -> None:
        self.send(ms.Started(self.now, node, self.fence(node, fence), worker))

    def succeeds(self, node: str, fence: int | None = None, where: str = "inline", worker: str = "w1") -> None:
        self.send(ms.Succeeded(self.now, node, self.fence(node, fence), 1.5, result(node, where), worker))

    def runs(self, *nodes: str) -> None:
        """Each of these begins and succeeds."""
        for node in nodes:
            self.begins(node)
            self.succeeds(node)

    def fails(self, node: str, error: str = "no luck", fence: int | None = None) -> None:
        self.send(ms.Failed(self.now, node, self.fence(node, fence), 0.5, Failure("ValueError", error)))

    def loses(self, node: str, why: str = "worker w1 died", fence: int | None = None) -> None:
        self.send(ms.Lost(self.now, node, self.fence(node, fence), why))

    def holds_back(self, node: str, fence: int | None = None) -> None:
        self.send(ms.Unbegun(self.now, node, self.fence(node, fence)))

    def suspends(self, node: str, proposal: str, saved: Kept | None = None) -> None:
        self.send(ms.Suspended(self.now, node, self.fence(node, None), 0.5, proposal, saved))

    def propose(self, id_: str, change: Changeset, by: str = "ada", **options: Any) -> Any:
        return self.send(ms.Propose(self.now, id_, change, by, **options))

    def cancel(self, by: str = "ada") -> Any:
        """Somebody proposes to end the run, and all others agree; the answer to the first."""
        id_ = f"end{len(self.state.proposals)}"
        change = Changeset(self.state.dag.digest)
        answer = self.send(ms.Propose(self.now, id_, change, by, steers=End()))
        for voter in ("ada", "bob", "cy"):
            if voter != by and id_ in self.state.open:
                self.vote(id_, voter)
        return answer

    def vote(self, proposal: str, by: str, said: Any = True, reason: str = "") -> Any:
        return self.send(ms.CastBallot(self.now, proposal, by, choice_of(said), reason, "test"))

    def tick(self, seconds: float = 0.0) -> None:
        self.now += seconds
        self.send(ms.Tick(self.now))

    def crash(self, absent: tuple[str, ...] = ()) -> list[ef.Effect]:
        """The controller is gone; another one goes on from the journal. What `recover` asks for."""
        state = RunState()
        for event in self.events:
            state = evolve(state, loads(dumps(event)))
        assert state == self.state
        self.state = state
        recovered = decide.recover(state)
        self.send(ms.Attach(self.now, "lab", absent))
        return recovered

    # -- looking

    def fence(self, node: str, fence: int | None) -> int:
        return self.state.nodes[node].fence if fence is None else fence

    def change(self) -> Changeset:
        """An empty change of the graph as it is."""
        return Changeset.on(self.state.dag)

    def states(self) -> dict[str, str]:
        return {name: rec.state.value for name, rec in sorted(self.state.nodes.items())}

    def in_pool(self) -> list[str]:
        return sorted(f"{n}#{rec.fence}" for n, rec in self.state.nodes.items() if rec.submitted)

    def task(self, node: str) -> Task:
        """What the pool was last given of a node."""
        found = [task for effect in self.effects if isinstance(effect, ef.Submit) for task in effect.tasks]
        return [task for task in found if task.node == node][-1]

    def told(self) -> str:
        """The lines since the last call."""
        lines, self.lines = self.lines, []
        return "\n".join(lines)

    def _write(self, events: list[Any], effects: list[ef.Effect]) -> None:
        for event in events:
            text = "" if isinstance(event, QUIET) else sentence(event)
            if isinstance(event, ev.AttemptsSubmitted):
                text = ", ".join(f"{name}#{fence}" for name, fence in event.nodes)
                text = text and f"submitted {text}"
            if text:
                self.lines.append(f"{self.now:>4g}  {text}")
        for effect in effects:
            match effect:
                case ef.Recall():
                    self.lines.append("      recall " + ", ".join(f"{n}#{f}" for n, f in effect.attempts))
                case ef.Hold():
                    self.lines.append("      hold " + ", ".join(f"{n}#{f}" for n, f in effect.attempts))
                case ef.AskVote():
                    self.lines.append(f"      ask {effect.agent} about {effect.proposal}")
                case ef.Reply():
                    self.replies.append(effect.value)
                    if isinstance(effect.value, Refused):
                        refused = effect.value
                        self.lines.append(f"      {type(refused).__name__} ({refused.rule}): {refused.message}")


def _fold(state: RunState, events: list[Any]) -> RunState:
    for event in events:
        state = evolve(state, event)
    return state


def result(node: str, where: str = "inline") -> Kept:
    """A result, which need not be anything."""
    return Kept("json", 4, node.ljust(64, "0"), b"null" if where == "inline" else None, "", where)


def text(block: str) -> str:
    """A block of a test's source, where it is indented by two levels, as `told()` gives it."""
    return "\n".join(line[8:] for line in block.split("\n")[1:-1])
