"""Where an agent sits once a lab has added it: its own calls go to the lab's latest run."""

from __future__ import annotations

from typing import Any

from ..core.base.errors import Refused
from .proposal import ProposalHandle
from .run import Run


class Bench:
    """See `agents.agent.Bench`, the Protocol that this is."""

    def __init__(self, lab: Any) -> None:
        self._lab = lab

    def propose(self, agent: str, change: Any, reason: str) -> ProposalHandle:
        """Propose, as an agent, the change that `change(dag)` makes of the head version of the latest run."""
        runs = self._lab.going_on()
        if not runs:
            raise Refused("no run is going on", rule="no-run", fix="lab.start(dag)")
        run = Run(self._lab, runs[-1])
        return run.propose(change(run.dag), by=agent, reason=reason)
