"""Two agents with a language model for the demo: Scout proposes fits from the catalogue, Adviser says what it thinks.

Neither decides anything: Scout's proposals are voted on like all others, and an executor's ballots are advice.
"""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from ..agents.llm import LLMAgent
from ..agents.mind import Endpoint
from ..core.dag.catalog import Catalog, Operation
from ..core.dag.node import NodeSpec
from ..core.votes.agent import Caps
from . import digits

GOAL = (
    "The best accuracy on images of digits, within the budget of fits. Try one C and one gamma that are near the best "
    "ones so far and have not been tried."
)
SECONDS = 100.0  #: for one answer: a small model on this machine takes its time
ANSWER = 300  #: tokens


class FitParams(BaseModel):
    """What a model may choose of a fit."""

    model_config = ConfigDict(extra="forbid")

    C: float = Field(gt=0.001, lt=10_000, description="how closely it follows the images; 0.1 to 100 have been tried")
    gamma: float = Field(gt=0.00001, lt=10, description="how local it is; 0.001 to 0.1 have been tried")


def catalog() -> Catalog:
    """What may be added: fits, each at the price of one."""
    doc = "Fit a support vector machine with C and gamma. It comes after split."
    return Catalog(Operation(NodeSpec("fit", digits.fit, cost=1), doc=doc, params=FitParams))


def join(lab: Any, model: Endpoint) -> None:
    """Add both to a lab."""
    asked: dict[str, Any] = {
        "role": "executor", "model": model.model, "url": model.url, "key": model.key, "goal": GOAL,
        "seconds": SECONDS, "answer_tokens": ANSWER, "context_tokens": 1000,
    }  # fmt: skip
    lab.add_agent(
        LLMAgent("Scout", votes=False, proposes={"NodeSucceeded:board"}, may="add", caps=Caps(nodes=1), **asked)
    )
    lab.add_agent(LLMAgent("Adviser", **asked))
