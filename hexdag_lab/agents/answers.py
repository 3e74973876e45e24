"""What a model may answer: forms that are closed, made anew for each question; and what they stand for.

A ballot is one of four words. A change is a list of steps, told apart by `do`: one for each operation of the catalogue,
with the operation's own parameters, and those that remove nodes and move edges. The lab names new nodes; an answer
refers to them as new1, new2, ... So no answer can hold code, a node of no operation, or a name that says something.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import count
from typing import Annotated, Any, Literal, Union

from pydantic import BaseModel, ConfigDict, Field, create_model

from ..core.base.errors import DagError
from ..core.dag.catalog import Operation
from ..core.dag.changeset import Changeset
from ..core.dag.conflict import Conflict
from ..core.dag.dag import Dag
from ..core.machine.checks import cap_checks, examine
from ..core.machine.state import RunState
from ..core.votes.ballot import Ballot, Choice
from ..core.votes.proposal import Proposal

MOST_STEPS = 12
MOST_NAMED = 60  #: nodes whose names stand in the form itself, so that no other name can be said
NEW = tuple(f"new{number}" for number in range(1, 9))
ADD = "add "  #: before the name of an operation, in `do`


class _Form(BaseModel):
    model_config = ConfigDict(extra="forbid")


class BallotAnswer(_Form):
    """A vote. The reason comes first, so that it is thought of before the decision is said."""

    reason: str = Field(max_length=400, description="why, in a sentence or two")
    decision: Literal["abstain", "reject", "request_changes", "approve"]

    def ballot(self) -> Ballot:
        """The ballot that it stands for."""
        return Ballot(Choice(self.decision), self.reason)


def change_form(
    operations: Iterable[Operation], names: Sequence[str], removes: bool = True, most: int = MOST_STEPS
) -> type[BaseModel]:
    """The form of a change of a graph with these nodes, built from these operations, in at most so many steps.

    `removes`: whether it may also remove nodes and move edges."""
    there: Any = Literal[tuple(names)] if 0 < len(names) <= MOST_NAMED else str
    near: Any = Literal[(*names, *NEW)] if 0 < len(names) <= MOST_NAMED else str
    ups: Any = Annotated[list[near], Field(max_length=8)]
    steps: list[Any] = []
    new: Any = Literal[NEW]
    for operation in operations:
        do: Any = Literal[f"{ADD}{operation.name}"]
        steps.append(
            create_model(
                f"add_{operation.name}",
                __base__=_Form,
                __doc__=operation.doc or None,
                do=(do, ...),
                name=(new, Field(description="what this answer calls the new node")),
                after=(ups, Field(default_factory=list, description="the nodes whose results it gets")),
                params=(operation.model, Field(default_factory=operation.model) if _optional(operation) else ...),
            )
        )
    if removes and names:
        gone: Any = Literal["remove_node"]
        steps.append(create_model("remove_node", __base__=_Form, do=(gone, ...), name=(there, ...)))
        for verb in ("add_edge", "remove_edge"):
            edge: Any = Literal[verb]
            steps.append(create_model(verb, __base__=_Form, do=(edge, ...), up=(near, ...), down=(near, ...)))
    if not steps:
        raise DagError("there is nothing to build from: the lab's catalogue is empty; hx.Lab(catalog=hx.Catalog(…))")
    step: Any = Annotated[Union[tuple(steps)], Field(discriminator="do")] if len(steps) > 1 else steps[0]  # noqa: UP007
    return create_model(
        "Change",
        __base__=_Form,
        reason=(str, Field(max_length=400, description="why, in a sentence or two")),
        steps=(list[step], Field(max_length=min(most, MOST_STEPS), description="no steps: change nothing")),
    )


def _optional(operation: Operation) -> bool:
    return not any(field.is_required() for field in operation.model.model_fields.values())


def change_of(answer: Any, dag: Dag, operations: Iterable[Operation]) -> Changeset | list[str]:
    """The change that an answer stands for, or a sentence for each step that cannot be."""
    known = {operation.name: operation for operation in operations}
    named = _names(answer, dag)
    change, wrong = Changeset.on(dag), list[str]()
    for number, step in enumerate(answer.steps, 1):
        try:
            change = _with(change, step, known, named)
        except DagError as error:
            wrong.append(f"steps[{number}] ({step.do}): {error}")
    return wrong or change.because(answer.reason)


def _names(answer: Any, dag: Dag) -> dict[str, str]:
    """new1 -> the name that the node gets: its operation's, with the first number that is free."""
    found: dict[str, str] = {}
    for step in answer.steps:
        if step.do.startswith(ADD) and step.name not in found:
            kind = step.do.removeprefix(ADD)
            taken = {*dag.entries, *found.values()}
            found[step.name] = next(name for n in count(1) if (name := f"{kind}_{n}") not in taken)
    return found


def _with(change: Changeset, step: Any, known: dict[str, Operation], named: dict[str, str]) -> Changeset:
    if step.do.startswith(ADD):
        operation = known[step.do.removeprefix(ADD)]
        if named[step.name] in change.added:
            raise DagError(f"{step.name} is another new node already; the next one is {_next(step.name)}")
        after = [named.get(up, up) for up in dict.fromkeys(step.after)]
        params = step.params.model_dump(exclude_unset=True)
        return change.add_node(operation.node(named[step.name], params, after))
    if step.do == "remove_node":
        return change.remove_node(step.name)
    up, down = named.get(step.up, step.up), named.get(step.down, step.down)
    return change.add_edge(up, down) if step.do == "add_edge" else change.remove_edge(up, down)


def _next(name: str) -> str:
    return NEW[(NEW.index(name) + 1) % len(NEW)]


def objections(change: Changeset, state: RunState, by: str) -> list[str]:
    """What the lab's checks would say against a change if it were proposed now: a sentence each."""
    rebased = change.rebase(state.dag)
    if isinstance(rebased, Conflict):
        return [f"the graph has moved on: {rebased}"]
    proposal = Proposal("", by, rebased, state.version, change.reason)
    _, checks = examine(state, rebased, "", state.at)
    found = [*checks, *cap_checks(state, state.seats[by], replace(proposal, checks=checks))]
    return [f"{check.message}; {check.fix}" for check in found if not check.ok]
