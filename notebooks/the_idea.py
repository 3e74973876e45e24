"""The idea, as a script that reads like a tour: a graph that its own agents change by vote while it runs.

    python notebooks/the_idea.py            # on a Dask cluster of the lab's own
    python notebooks/the_idea.py inline     # on threads of this process

A research agent's node finds out, while it runs, that its subject is harder than planned. It proposes a deeper
analysis after itself and waits, without holding a worker. An executor weighs safety and cost against the budget and
gives advice; orchestrators vote, one of them a person. The change lands as v2, a second one as v3, and a long job that
has nothing to do with it runs through both, untouched. No key and no network is needed; it prints the same each time.
"""

from __future__ import annotations

import re
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import hexdag_lab as hx

# -- 1. The work: plain functions. A parameter named like another node gets that node's result.


@hx.node
def collect(topic: str) -> list[str]:
    return [f"{topic}: paper {number}" for number in range(1, 8)]


@hx.node(agent="researcher")  # who proposes when this node calls ctx.propose
def research(collect: list[str]) -> dict[str, Any]:
    complexity = 1 - 0.5 / len(collect)
    ctx = hx.context()
    if complexity > 0.8 and ctx.decision is None:
        deeper = hx.NodeSpec("deep_analysis", deep_analysis, cost=4).after("research")
        p = ctx.propose(hx.Changeset.on(ctx.dag).add_node(deeper), f"complexity {complexity:.2f} is above 0.8")
        ctx.wait_for(p)  # ends this attempt and frees the worker; called again when it is decided
    return {"complexity": round(complexity, 2), "asked for more": str(ctx.decision)}


def deep_analysis(research: dict[str, Any]) -> str:
    return f"analysed at complexity {research['complexity']}"


def summary(deep_analysis: str, publish: str) -> str:
    return f"{publish}; {deep_analysis}"


@hx.node
def publish(research: dict[str, Any]) -> str:
    return f"published {len(research)} findings"


@hx.node
def index(collect: list[str], until: str) -> int:
    """A long job beside all that: here it ends when a file is there, so that the tour decides how long it takes."""
    while not Path(until).exists():
        time.sleep(0.02)
    return len(collect)


# -- 2. The agents: plain functions, too. They look at the run and at the proposal, and keep nothing to themselves.


def weigh(context: Any) -> hx.Ballot:
    """The executor's advice. Executors have no vote, so it weighs nothing, but everybody sees it."""
    effect, run = context.proposal.effect, context.run
    left = run.budget - run.spent
    if effect.losses:
        return hx.Ballot("reject", "not safe: it throws work away")
    if effect.cost > left:
        return hx.Ballot("reject", f"costs {float(effect.cost):g}, and {float(left):g} are left")
    return hx.Ballot("approve", f"safe; costs {float(effect.cost):g} of the {float(left):g} left")


def only_more(context: Any) -> hx.Ballot:
    """An orchestrator by rule: yes to what only adds."""
    changeset = context.proposal.changeset
    yes = not changeset.removed and not changeset.changed
    return hx.Ballot("approve" if yes else "reject", "it only adds" if yes else "it changes what was agreed")


def plan(event: Any, context: Any) -> hx.Changeset | None:
    """The planner looks at what happens: once the deeper analysis is done, it wants a summary as well."""
    if event.kind == "NodeSucceeded" and event.node == "deep_analysis":
        node = hx.NodeSpec("summary", summary, cost=1).after("deep_analysis", "publish")
        return context.change().add_node(node).because("the deeper analysis deserves a summary")
    return None


POLICY = hx.Supermajority(2 / 3) & hx.Quorum(voters=2) & hx.Deadline(seconds=60, otherwise="reject")


def join(lab: hx.Lab) -> None:
    lab.add_agent(hx.Agent("researcher", role="executor"))
    lab.add_agent(hx.Agent("runner", role="executor", vote=weigh))
    lab.add_agent(hx.Agent("planner", trust=0.6, vote=only_more, on_event=plan))
    lab.add_agent(hx.Agent("critic", trust=0.5, vote=only_more))
    lab.add_agent(hx.HumanAgent("marie", trust=1.0))


# -- 3. The run.


def tour(pool: str, say: Callable[[str], None]) -> None:
    with tempfile.TemporaryDirectory() as home, hx.Lab(pool=pool, store=f"sqlite:///{home}/lab.db", workers=2) as lab:
        join(lab)
        dag = hx.Dag.of(collect, research, publish, index)
        say(f"v1  {', '.join(' + '.join(wave) for wave in dag.waves)}")
        ending = Path(home) / "enough"
        run = lab.start(dag, inputs={"topic": "voting", "until": str(ending)}, policy=POLICY, budget=10)

        # v1 -> v2: the node that runs proposes, and waits.
        first = opened(run, "researcher", ballots=3)
        until(lambda: run.nodes["research"].state == "SUSPENDED" and run.nodes["index"].state == "RUNNING")
        say(f"\n{run.nodes['research'].state}: research {run.why('research').partition(' (')[0]}")
        show(first, say)
        first.vote("marie", "approve", reason="worth four")
        say(f"marie approves: {first.wait(20)} as v{first.version}")
        say(f"{run.diff(1, 2)}")

        # v2 -> v3: the planner saw the deeper analysis end.
        second = opened(run, "planner", ballots=2)
        say("")
        show(second, say)
        second.vote("marie", "approve", reason="and a page at the end")
        say(f"marie approves: {second.wait(20)} as v{second.version}")
        say(f"{run.diff(2, 3)}")

        # The long job has run through both versions.
        node = run.nodes["index"]
        say(f"\nindex is {node.state}, attempt {node.attempt}, since v{node.version}")
        ending.touch()
        for name, value in run.wait(60).items():
            say(f"{name} = {value!r}")

        say("\nwho changed what, and why")
        for version in run.versions:
            say(f"v{version.number}  {version.by if version.number > 1 else 'owner'}: {version.reason}")
        say("\nthe story of research")
        for line in plainly(run.story("research")):
            say(line)
        say(f"\nspent {float(run.spent):g} of {float(run.budget):g}")
        say(f"the graph at the start had {len(run.at(1).dag)} nodes, and now has {len(run.dag)}")


def opened(run: hx.Run, by: str, ballots: int) -> hx.ProposalHandle:
    """The proposal of an agent, once so many others have said something about it."""
    until(lambda: any(p.by == by and len(p.tally.ballots) >= ballots for p in run.proposals.values()))
    return next(p for p in run.proposals.values() if p.by == by)


def until(met: Callable[[], bool], seconds: float = 60) -> None:
    """Wait for the agents, so that the tour is told in the same order each time."""
    give_up = time.monotonic() + seconds
    while not met():
        if time.monotonic() > give_up:
            raise TimeoutError("the tour has lost its way")
        time.sleep(0.02)


def show(p: hx.ProposalHandle, say: Callable[[str], None]) -> None:
    """A proposal as a person sees it before she decides."""
    say(f'{p.by} proposes {p.changeset.summary} against v{p.base}: "{p.reason}"')
    say(f"checks: {'all hold' if all(check.ok for check in p.checks) else 'broken'}; effect: starts "
        f"{', '.join(p.effect.start)}, throws away {len(p.effect.losses)}")  # fmt: skip
    for ballot in p.tally.ballots:
        say(f'  {ballot.voter}: {ballot.choice} "{ballot.reason}"')
    say(f"tally: {p.tally}")


def plainly(story: list[str]) -> list[str]:
    """A story without sequence numbers, seconds, workers, and what the pool knew beforehand."""
    lines = [re.sub(r" in \d+\.\d+ s$| on \S+$", "", line.split(maxsplit=1)[1]) for line in story]
    return [re.sub(r"started by \S+", "started", line) for line in lines if not re.search("submitted|taken back", line)]


if __name__ == "__main__":
    tour(sys.argv[1] if len(sys.argv) > 1 else "dask", lambda line: print(line, flush=True))
