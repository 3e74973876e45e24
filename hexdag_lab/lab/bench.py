"""Where an agent sits once a lab has added it: its own calls go to the lab's latest run."""

from __future__ import annotations

from typing import Any

from ..core.base.errors import NotAllowed, Refused
from ..runtime.desk import Context
from .proposal import ProposalHandle
from .run import Run


class Bench:
    """See `agents.agent.Bench`, the Protocol that this is."""

    def __init__(self, lab: Any) -> None:
        self._lab = lab

    def propose(self, agent: str, change: Any, reason: str) -> ProposalHandle:
        """Propose, as an agent, the change that `change(dag)` makes of the head version of the latest run."""
        run = self._latest()
        return run.propose(change(run.dag), by=agent, reason=reason)

    def context(self, agent: str, run: Run | None = None) -> Context:
        """What an agent sees of a run at this moment; default: the latest one. Raises `NotAllowed` for a stranger."""
        run = run or self._latest()
        if agent not in run.agents:
            raise NotAllowed(f"{agent} takes no part in run {run.id}", rule="no-seat", fix="lab.add_agent(agent)")
        seen: Context = self._lab.doors.desk.context(run.id, agent, run.view.seen_by(agent))
        return seen

    def _latest(self) -> Run:
        runs = self._lab.going_on()
        if not runs:
            raise Refused("no run is going on", rule="no-run", fix="lab.start(dag)")
        return Run(self._lab, runs[-1])
