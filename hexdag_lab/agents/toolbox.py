"""What an agent outside can do in a lab, as plain functions of JSON: look, propose from the catalogue, vote, ask why.

Each answers with a dict. What the lab refuses, or a form that does not fit, is `{"accepted": false, "problems": [...]}`
with a sentence for each, so that the agent can put it right and try again; an error is what it cannot mend. Text of
others is framed as data, as for models that the lab asks itself (`brief`). No tool runs code or reads a file.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pydantic import ValidationError

from ..core.base.errors import DagError, HexdagError, Refused
from ..core.votes.proposal import ProposalState
from .answers import BallotAnswer, change_form, change_of
from .brief import TOKENS, brief, framed, neighbourhood, proposal_text

GOING_ON = ("RUNNING", "PAUSED")
VIA = "mcp"
SHORT = 200  #: characters of what a tool cites beside its answer


class Toolbox:
    """The tools of one agent in one lab. `lab`: a `Lab`, also one that only watches."""

    def __init__(self, lab: Any, agent: str) -> None:
        self._lab, self.agent = lab, agent

    def runs(self) -> dict[str, Any]:
        """The runs of the lab, the latest last: id, status, version, how many nodes are done, open proposals."""
        words = ("id", "status", "version", "done", "nodes", "open")
        return {"runs": [{word: getattr(row, word) for word in words} for row in self._lab.runs()], "you": self.agent}

    def get_dag(self, run: str = "", focus: str = "", depth: int = 2, tokens: int = TOKENS) -> dict[str, Any]:
        """A run's graph as text within a budget of tokens; with `focus`, the nodes within `depth` steps of that node.

        run: default, the latest that is going on."""
        state = self._run(run).view.state
        text = neighbourhood(state, focus, depth, tokens) if focus else brief(state, tokens=tokens)
        return {"run": state.run, "version": state.version, "text": text}

    def diff(self, old: int, new: int, run: str = "") -> dict[str, Any]:
        """What differs between two versions of a run: nodes and edges added, removed and changed."""
        found = self._run(run).view.diff(old, new)
        parts = ("added", "removed", "changed", "edges_added", "edges_removed")
        return {part: [list(x) if isinstance(x, tuple) else x for x in getattr(found, part)] for part in parts}

    def why(self, node: str, run: str = "") -> dict[str, Any]:
        """Where a node is, why it does not move (null while it does), and what has happened to it."""
        found = self._run(run)
        seen = found.nodes[node] if node in found.nodes else found.view.node(node)
        story = [framed(line, f"story of {node}", SHORT) for line in found.story(node)[-20:]]
        return {"node": node, "state": str(seen.state), "why": seen.why, "attempt": seen.attempt, "story": story}

    def inbox(self) -> dict[str, Any]:
        """Open proposals of all runs: the change as the lab computes it, the checks, and who is still needed."""
        found = [self._told(proposal.id) for proposal in self._lab.inbox()]
        return {"proposals": found}

    def proposal(self, proposal: str) -> dict[str, Any]:
        """One proposal, open or decided."""
        return self._told(proposal)

    def propose(self, reason: str, steps: list[dict[str, Any]], run: str = "") -> dict[str, Any]:
        """Propose a change to a run, built from the catalogue: see `catalogue` for the form of the steps.

        It is checked, and then put to the vote; nothing happens before it is approved."""
        target = self._run(run)
        operations = self._lab.catalog.operations
        try:
            form = change_form(operations, sorted(target.dag.nodes))
            answer = form.model_validate({"reason": reason, "steps": steps})
        except ValidationError as error:
            return _problems(*map(_sentence, error.errors(include_url=False)))
        change = change_of(answer, target.dag, operations)
        if isinstance(change, list):
            return _problems(*change)
        try:
            made = target.propose(change, by=self.agent, reason=reason)
        except (Refused, DagError) as error:
            return _problems(str(error))
        if made.state is ProposalState.REJECTED and (failed := [check for check in made.checks if not check.ok]):
            return {**_problems(*(f"{check.message}; {check.fix}" for check in failed)), "proposal": made.id}
        return {"accepted": True, **self._told(made.id)}

    def vote(self, proposal: str, choice: str, reason: str, seen: str) -> dict[str, Any]:
        """Vote: approve, reject, abstain or request_changes, with a reason. `seen`: what `inbox` told with the
        proposal, so that a ballot on what has been revised since does not count."""
        try:
            answer = BallotAnswer.model_validate({"decision": choice, "reason": reason})
        except ValidationError as error:
            return _problems(*map(_sentence, error.errors(include_url=False)))
        try:
            self._lab.vote(proposal, self.agent, answer.decision, answer.reason, VIA, seen=seen)
        except Refused as error:
            return _problems(str(error))
        return {"accepted": True, **self._told(proposal)}

    def catalogue(self) -> dict[str, Any]:
        """The operations that new nodes can be built from, and the JSON schema of a change of the latest run."""
        operations: Sequence[Any] = self._lab.catalog.operations
        listed = [
            {"name": o.name, "doc": o.doc, "risk": o.risk, "cost": float(o.spec.cost), "needs": sorted(o.spec.requires)}
            for o in operations
        ]
        try:
            form = change_form(operations, sorted(self._run("").dag.nodes))
        except HexdagError:  # no run is going on, or there is nothing to build from
            return {"operations": listed, "change": None}
        return {"operations": listed, "change": form.model_json_schema()}

    def _run(self, run: str) -> Any:
        if run:
            return self._lab.attached(run)
        found = [row.id for row in self._lab.runs() if row.status in GOING_ON and row.led]
        if not found:
            raise Refused("no run is going on", rule="no-run", fix="name one: see runs")
        return self._lab.attached(found[-1])

    def _told(self, proposal: str) -> dict[str, Any]:
        handle = self._lab.proposal(proposal)
        view = self._lab.attached(proposal.rpartition("/")[0]).view.seen_by(self.agent)
        found = view.state.proposals[proposal]
        return {
            "proposal": proposal, "state": str(handle.state), "text": proposal_text(found, view.state),
            "tally": str(view.proposals[proposal].tally), "seen": handle.effect_digest or "", "why": handle.why,
        }  # fmt: skip


def _problems(*sentences: str) -> dict[str, Any]:
    return {"accepted": False, "problems": list(sentences)}


def _sentence(error: Any) -> str:
    where = ".".join(str(part) for part in error["loc"])
    return f"{where}: {error['msg']}" if where else str(error["msg"])
