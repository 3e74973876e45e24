"""The agents: plain functions that look at what happens, propose changes, and vote."""

from __future__ import annotations

from typing import Any

import hexdag_lab as hx


@hx.node
def tails(clean: list[float]) -> dict[str, float]:
    """How far the extremes lie from the rest."""
    ordered = sorted(clean)
    tenth = max(1, len(ordered) // 10)
    return {"low": ordered[tenth - 1], "high": ordered[-tenth]}


def curious(event: Any, context: Any) -> hx.Changeset | None:
    """When the data are clean: propose to look at their tails as well."""
    if event.kind == "NodeSucceeded" and event.node == "clean" and "tails" not in context.dag:
        return context.change().add_node(tails).because("the mean hides the extremes")
    return None


def critic(context: Any) -> str:
    """Approve what only adds; leave what removes or replaces to the people."""
    return "approve" if context.proposal.kind in ("add_node", "add_subgraph") else "abstain"


AGENTS = (
    hx.Agent("curious", role="executor", on_event=curious),
    hx.Agent("critic", role="orchestrator", trust=0.8, vote=critic),
)
