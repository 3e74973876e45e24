"""hexdag_lab: pull requests for a running graph, in a notebook.

    import hexdag_lab as hx

A graph of plain functions runs on Dask; people and agents propose changes while it runs; checks run, votes decide, and
the change lands as a new version. README.md has the tour, docs/ the rest.

Names are loaded when they are first used (PEP 562), so that the import itself costs next to nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .agents import Agent, HumanAgent
    from .agents.llm import LLMAgent
    from .agents.mind import Endpoint
    from .agents.python_source import python_source
    from .core.base.errors import (
        AlreadyDecided,
        CycleError,
        DagError,
        DuplicateNode,
        FrozenNode,
        HexdagError,
        InvalidName,
        LabInUse,
        NotAllowed,
        NotFinished,
        PoolUnavailable,
        Refused,
        RunFailed,
        SchemaError,
        StaleBase,
        StoreUnavailable,
        TypeMismatch,
        UnboundParameter,
        UnknownNode,
        WouldBlock,
    )
    from .core.dag.catalog import Catalog, Operation
    from .core.dag.changeset import Changeset
    from .core.dag.conflict import Conflict
    from .core.dag.dag import Dag
    from .core.dag.diff import Diff, diff
    from .core.dag.node import Node, NodeSpec, node
    from .core.runs.run import NodeState, RunStatus
    from .core.votes.agent import Caps
    from .core.votes.ballot import Ballot
    from .core.votes.budget import Budget
    from .core.votes.delegate import Delegate
    from .core.votes.logodds import LogOdds
    from .core.votes.people import HumanApproval, OwnerDecides, Owners, Veto
    from .core.votes.policy import Deadline, Policy
    from .core.votes.proposal import ProposalState
    from .core.votes.weighing import Majority, Quorum, Supermajority, Unanimous
    from .lab import Lab, ProposalHandle, Run, SharedDraft
    from .lab.imports import from_delayed, from_functions, from_hexdag
    from .runtime.webhook import Webhook
    from .worker import Note, RunContext, context

__version__ = "0.1.0"

__all__ = [
    "Agent", "AlreadyDecided", "Ballot", "Budget", "Caps", "Catalog", "Changeset", "Conflict", "CycleError", "Dag",
    "DagError", "Deadline", "Delegate", "Diff", "DuplicateNode", "Endpoint", "FrozenNode", "HexdagError", "HumanAgent",
    "HumanApproval", "InvalidName", "LLMAgent", "Lab", "LabInUse", "LogOdds", "Majority", "Node", "NodeSpec",
    "NodeState", "NotAllowed", "NotFinished", "Note", "Operation", "OwnerDecides", "Owners", "Policy",
    "PoolUnavailable", "ProposalHandle", "ProposalState", "Quorum", "Refused", "Run", "RunContext", "RunFailed",
    "RunStatus", "SchemaError", "SharedDraft", "StaleBase", "StoreUnavailable", "Supermajority", "TypeMismatch",
    "Unanimous", "UnboundParameter", "UnknownNode", "Veto", "Webhook", "WouldBlock", "context", "diff",
    "from_delayed", "from_functions", "from_hexdag", "node", "python_source",
]  # fmt: skip

_NAMES = {
    ".agents": "Agent HumanAgent",
    ".agents.llm": "LLMAgent",
    ".agents.mind": "Endpoint",
    ".agents.python_source": "python_source",
    ".core.base.errors": (
        "AlreadyDecided CycleError DagError DuplicateNode FrozenNode HexdagError InvalidName "
        "LabInUse NotAllowed NotFinished PoolUnavailable Refused RunFailed SchemaError "
        "StaleBase StoreUnavailable TypeMismatch UnboundParameter UnknownNode WouldBlock "
    ),
    ".core.dag.catalog": "Catalog Operation",
    ".core.dag.changeset": "Changeset",
    ".core.dag.conflict": "Conflict",
    ".core.dag.dag": "Dag",
    ".core.dag.diff": "Diff diff",
    ".core.dag.node": "Node NodeSpec node",
    ".core.runs.run": "NodeState RunStatus",
    ".core.votes.agent": "Caps",
    ".core.votes.ballot": "Ballot",
    ".core.votes.budget": "Budget",
    ".core.votes.delegate": "Delegate",
    ".core.votes.logodds": "LogOdds",
    ".core.votes.people": "HumanApproval OwnerDecides Owners Veto",
    ".core.votes.policy": "Deadline Policy",
    ".core.votes.proposal": "ProposalState",
    ".core.votes.weighing": "Majority Quorum Supermajority Unanimous",
    ".lab": "Lab ProposalHandle Run SharedDraft",
    ".lab.imports": "from_delayed from_functions from_hexdag",
    ".runtime.webhook": "Webhook",
    ".worker": "Note RunContext context",
}
_HOME = {name: module for module, names in _NAMES.items() for name in names.split()}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(_HOME[name], __name__), name)
    return value


def _painted(value: Any) -> Any:
    return import_module(".views.pictures", __name__).pictures_of(value)


import_module(".core.base.pictures", __name__).draw_with(_painted)  # screens are loaded when something is shown


def load_ipython_extension(shell: Any) -> None:
    """`%load_ext hexdag_lab`: the magics %%node, %lab and %%propose."""
    import_module(".lab.magics", __name__).register(shell)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
