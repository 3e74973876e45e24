"""The search as a graph and its agents: plain functions that look at the run and propose, or vote.

None of them keeps anything: what has been tried, what is pending and what it cost is read from the run each time, so
the search goes on in another process after a crash, and always makes the same proposals for the same events.
"""

from __future__ import annotations

from fractions import Fraction
from typing import Any, NamedTuple

from ..agents import Agent, HumanAgent
from ..core.dag.changeset import Changeset
from ..core.dag.dag import Dag
from ..core.dag.node import NodeSpec
from ..core.runs.run import NodeState
from ..core.votes.ballot import Ballot, Choice
from ..core.votes.people import HumanApproval
from ..core.votes.policy import Deadline, Policy
from ..core.votes.proposal import ProposalState
from ..core.votes.weighing import Supermajority
from ..runtime.desk import Context
from . import digits

FIRST_ROUND = 6  #: fits of the first refinement: more than a fifth of the budget, so a person decides
COSTLY = Fraction(digits.BUDGET, 5)  #: what costs more needs a person
PATIENCE = 3  #: after so many refusals the search ends with what it has
TURNED_DOWN = (ProposalState.REJECTED, ProposalState.EXPIRED)
WAITING = (NodeState.WAITING, NodeState.READY)
PERSON_SECONDS = 120.0
ROLES = {
    "Explorer": "adds refined fits around the best ones",
    "Pruner": "removes pending fits that cannot win",
    "Budgeteer": "votes by cost against the budget",
    "Stacker": "adds an ensemble of the top three",
}


def first_graph() -> Dag:
    """v1: the split, nine coarse fits, and the board that ranks them."""
    fits = [fit_node(number, point) for number, point in enumerate(digits.coarse_grid(), 1)]
    board = NodeSpec("board", digits.board).after(*(fit.name for fit in fits))
    return Dag.of(NodeSpec("split", digits.split), *fits, board)


def fit_node(number: int, point: digits.Point) -> NodeSpec:
    """One fit; its cost is one unit of the budget."""
    C, gamma = point
    return NodeSpec(f"fit_{number:02d}", digits.fit, params={"C": C, "gamma": gamma}, cost=1).after("split")


def policy() -> Policy:
    """The Budgeteer decides, and a person must agree where a proposal costs more than a fifth of the budget."""
    return Supermajority(Fraction(1, 2)) & HumanApproval(above=COSTLY) & Deadline(PERSON_SECONDS)


def join(lab: Any, scripted: bool) -> None:
    """Add the agents to a lab; with `scripted`, the person is one who always says yes."""
    lab.add_agent(Agent("Explorer", role="executor", on_event=explore))
    lab.add_agent(Agent("Pruner", role="executor", on_event=prune))
    lab.add_agent(Agent("Stacker", role="executor", on_event=stack))
    lab.add_agent(Agent("Budgeteer", role="orchestrator", trust=0.8, vote=weigh_cost))
    # The person's weight is 0: she decides what is costly, and leaves the rest to the Budgeteer.
    lab.add_agent(HumanAgent(lab.owner.id, trust=0, vote=say_yes if scripted else None))


# -- what the agents see


class Search:
    """The state of the search, read from a run."""

    def __init__(self, run: Any) -> None:
        self.run = run
        fits = {name: node for name, node in run.nodes.items() if name.startswith("fit_")}
        self.points = {name: _point(run.dag.nodes[name]) for name in fits}
        self.finished = [name for name, node in fits.items() if node.state is NodeState.SUCCEEDED]
        self.pending = [name for name, node in fits.items() if node.state in WAITING]
        self.unsettled = [name for name, node in fits.items() if node.state in (*WAITING, NodeState.RUNNING)]
        self.done = [(*self.points[name], float(run.result(name)["score"])) for name in self.finished]
        asked = {**_asked(run), **self.points}
        self.known = set(asked.values())
        self.highest = max((int(name.removeprefix("fit_")) for name in asked), default=0)

    @property
    def room(self) -> int:
        """How many more fits the budget takes."""
        return digits.BUDGET - len(self.points)

    def next_points(self) -> list[digits.Point]:
        """Where to look next: around the best fits, and closer to them where that is done. Empty: nowhere."""
        count = min(self.room, FIRST_ROUND if len(self.known) == len(digits.coarse_grid()) else digits.ROUND)
        refused = [p for p in self.run.proposals.values() if p.changeset.added and p.state in TURNED_DOWN]
        if count <= 0 or len(refused) >= PATIENCE:
            return []
        step = digits.step(len(self.points))
        points = digits.refine(self.done, self.known, step, count)
        if len(points) < count:
            points += digits.refine(self.done, self.known | set(points), step / 2, count - len(points))
        return points

    @property
    def proposing(self) -> bool:
        """Whether a proposal that adds fits is still open."""
        return any(not p.terminal and p.changeset.added for p in self.run.proposals.values())


def _asked(run: Any) -> dict[str, digits.Point]:
    """Every fit that any version or proposal ever had, also those that were removed or turned down."""
    found = {}
    for proposal in run.proposals.values():
        for name in proposal.changeset.added:
            if name.startswith("fit_"):
                found[name] = _point(proposal.changeset.nodes[name].new)
    return found


def _point(spec: NodeSpec) -> digits.Point:
    return spec.params["C"], spec.params["gamma"]


# -- the agents


def explore(event: Any, context: Context) -> Changeset | None:
    """When a round of fits is done: more fits around the best ones, as long as the budget lasts."""
    if event.kind not in ("NodeSucceeded", "VersionCommitted", "ProposalRejected", "ProposalExpired"):
        return None
    search = Search(context.run)
    ranked = context.run.nodes["board"].state is NodeState.SUCCEEDED
    if not ranked or search.unsettled or search.proposing or "stack" in context.dag or not search.done:
        return None
    points = search.next_points()
    if not points:
        return None
    change = context.change()
    for number, point in enumerate(points, search.highest + 1):
        change = change.add_node(fit_node(number, point).after("board"))
    best = max(search.done, key=lambda done: done[2])
    return change.because(f"{best[2]:.3f} is the best score so far; its neighbours are untried")


def prune(event: Any, context: Context) -> Changeset | None:
    """When a fit lands: pending fits beside clearly worse ones go, and their budget is free again."""
    if event.kind != "NodeSucceeded" or not str(event.node).startswith("fit_"):
        return None
    search = Search(context.run)
    board = context.run.nodes["board"].state
    if board is not NodeState.SUCCEEDED or "stack" in context.dag:
        return None
    out = [name for name in search.pending if digits.dominated(search.points[name], search.done)]
    if not out:
        return None
    change = context.change()
    for name in out:
        change = change.remove_node(name)
    return change.because("the nearest finished fit is clearly worse than the best one")


def stack(event: Any, context: Context) -> Changeset | None:
    """When nothing more can be tried: an ensemble of the top three."""
    if event.kind not in ("NodeSucceeded", "ProposalRejected", "ProposalExpired", "ProposalApplied"):
        return None
    search = Search(context.run)
    if search.unsettled or search.proposing or "stack" in context.dag or len(search.done) < digits.TOP:
        return None
    if search.next_points():
        return None
    ranked = sorted(search.finished, key=lambda name: (-_score(context.run, name), *search.points[name]))
    top = ranked[: digits.TOP]
    change = context.change().add_node(NodeSpec("stack", digits.ensemble).after("split", *top))
    return change.because(f"the search is done; {', '.join(top)} lead")


def _score(run: Any, name: str) -> float:
    return float(run.result(name)["score"])


def weigh_cost(context: Context) -> Ballot:
    """Yes while the fits asked for, these included, stay within the budget."""
    effect = context.proposal.effect if context.proposal else None
    cost = int(effect.cost) if effect else 0
    search = Search(context.run)
    if len(search.points) + cost <= digits.BUDGET:
        return Ballot(Choice.APPROVE, f"{len(search.points) + cost} of {digits.BUDGET} fits")
    return Ballot(Choice.REJECT, f"{cost} more fits would be over the budget of {digits.BUDGET}")


def say_yes(context: Context) -> Ballot:
    """The scripted person: says yes to what needs a person, and leaves the rest to the Budgeteer."""
    effect = context.proposal.effect if context.proposal else None
    if effect is None or effect.cost <= COSTLY:
        return Ballot(Choice.ABSTAIN, "the Budgeteer decides this")
    return Ballot(Choice.APPROVE, f"{float(effect.cost):g} fits are worth it")


class Scores:
    """The validation scores of the finished fits, to show beside them; each is read once."""

    def __init__(self) -> None:
        self._read: dict[tuple[str, int], str] = {}

    def __call__(self, run: Any) -> dict[str, str]:
        found = {}
        for name, node in run.nodes.items():
            if name.startswith("fit_") and node.state is NodeState.SUCCEEDED and node.kept:
                key = (name, node.attempt)
                if key not in self._read:
                    self._read[key] = f"{_score(run, name):.3f}"
                found[name] = self._read[key]
        return found


class Outcome(NamedTuple):
    """What a search found: fits run, and the held-out accuracy of the ensemble (or, without one, of the best fit)."""

    fits: int
    accuracy: float


def outcome(results: dict[str, Any]) -> Outcome:
    """The outcome of a finished search, from its results."""
    fits = {name: value for name, value in results.items() if name.startswith("fit_")}
    if "stack" in results:
        return Outcome(len(fits), float(results["stack"]["accuracy"]))
    best = digits.board(**fits)[0]["name"]
    return Outcome(len(fits), digits.accuracy(fits[best]["test"], results["split"]["test"]))
