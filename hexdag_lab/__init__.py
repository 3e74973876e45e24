"""hexdag_lab: pull requests for a running graph, in a notebook.

    import hexdag_lab as hx

A graph of plain functions runs on Dask; people and agents propose changes while it runs; checks run, votes decide, and
the change lands as a new version. See README.md for the tour and DESIGN notes in docs/.
"""

from .agents import Agent, HumanAgent
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
from .core.dag.catalog import Catalog
from .core.dag.changeset import Changeset
from .core.dag.conflict import Conflict
from .core.dag.dag import Dag
from .core.dag.diff import Diff, diff
from .core.dag.node import Node, NodeSpec, node
from .core.runs.run import NodeState, RunStatus
from .core.votes.ballot import Ballot
from .core.votes.policy import (
    Deadline,
    HumanApproval,
    Majority,
    OwnerDecides,
    Policy,
    Quorum,
    Supermajority,
    Unanimous,
    Veto,
)
from .core.votes.proposal import ProposalState
from .lab import Lab, ProposalHandle, Run
from .worker import RunContext, context

__version__ = "0.1.0"

__all__ = [
    "Agent", "AlreadyDecided", "Ballot", "Catalog", "Changeset", "Conflict", "CycleError", "Dag", "DagError",
    "Deadline", "Diff", "DuplicateNode", "FrozenNode", "HexdagError", "HumanAgent", "HumanApproval", "InvalidName",
    "Lab", "LabInUse", "Majority", "Node", "NodeSpec", "NodeState", "NotAllowed", "NotFinished", "OwnerDecides",
    "Policy", "PoolUnavailable", "ProposalHandle", "ProposalState", "Quorum", "Refused", "Run", "RunContext",
    "RunFailed", "RunStatus", "SchemaError", "StaleBase", "StoreUnavailable", "Supermajority", "TypeMismatch",
    "Unanimous", "UnboundParameter", "UnknownNode", "Veto", "WouldBlock", "context", "diff", "node",
]  # fmt: skip
