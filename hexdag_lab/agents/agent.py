"""`Agent`: a name, a role, a trust, and up to three plain functions.

    vote(context)             -> True | False | "approve" | "reject" | "abstain" | "request_changes" | Ballot
    on_event(event, context)  -> Changeset | None
    run(inputs)               -> the result of a node that is given to it: `@hx.node(agent="writer")`

They may be `async`. `vote` and `on_event` run beside the lab's leader, `run` on a worker. They should keep no state of
their own: after a crash they are called in a new process. An agent stands for its name wherever a name is asked for:
`p.vote(marie, "approve")`, `run.propose(change, by=critic)`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from math import inf
from typing import Any, Protocol

from ..core.base.errors import NotAllowed
from ..core.dag.changeset import Changeset
from ..core.votes.agent import Caps, Role, key_of, weight_of


class Bench(Protocol):
    """Where an agent sits once a lab has added it: what its own calls need of the lab."""

    def propose(self, agent: str, change: Callable[[Any], Changeset], reason: str) -> Any:
        """Propose the change that `change(dag)` makes of the head version."""

    def context(self, agent: str, run: Any = None) -> Any:
        """What the agent sees of a run, as `vote` and `on_event` do; default: the latest run."""


@dataclass(slots=True, eq=False)
class Agent:
    """A participant. `trust` is its weight in votes; `family` groups agents that are likely to err together.

    id            its name, as it stands in proposals and ballots
    role          "orchestrator" proposes and votes, "executor" runs nodes, proposes and advises, "observer" watches
    capabilities  what it can do, as text: {"llm"}
    vote, on_event, run   plain functions, see the module
    public_key    the public half of a key that only the agent has, elsewhere (64 hexadecimal digits): its ballots and
    proposals count only if signed with it. Default: the lab makes a key, and signs for the agent
    caps          how much it may propose in one run: `Caps(proposals=…, nodes=…, depth=…)`; None: as is usual
    seconds       its time for one vote or event; None: two minutes. Who is slower is absent
    catalogued    whether it may add only nodes of the lab's catalogue
    """

    id: str
    role: str = "orchestrator"
    trust: float = 0.5
    family: str = ""
    capabilities: Iterable[str] = frozenset()
    vote: Callable[..., Any] | None = None
    on_event: Callable[..., Any] | None = None
    public_key: str | None = None
    caps: Caps | None = None
    run: Callable[..., Any] | None = None
    seconds: float | None = None
    catalogued: bool = False
    bench: Bench | None = field(default=None, repr=False)

    human = False

    def __post_init__(self) -> None:
        if not self.id or not isinstance(self.id, str):
            raise ValueError(f"an agent needs a name, not {self.id!r}")
        if self.role not in (*Role,):
            raise ValueError(f"{self.id}: role is one of {', '.join(Role)}, not {self.role!r}")
        self.role = Role(self.role)
        weight_of(self.trust)
        if self.caps is not None and not isinstance(self.caps, Caps):
            raise TypeError(f"{self.id}: caps are hx.Caps(proposals=…, nodes=…, depth=…), not {self.caps!r}")
        if isinstance(self.capabilities, str):
            self.capabilities = (self.capabilities,)
        self.capabilities = frozenset(self.capabilities)
        if self.public_key is not None:
            self.public_key = key_of(self.public_key, self.id)
            if self.vote or self.on_event:
                raise ValueError(f"{self.id}: its key is elsewhere, so nobody here can sign for its vote or on_event")
        if self.seconds is not None and not 0 < self.seconds < inf:
            raise ValueError(f"{self.id}: seconds is a number above 0, not {self.seconds!r}")
        for name in ("vote", "on_event", "run"):
            function = getattr(self, name)
            if function is not None and not callable(function):
                raise TypeError(f"{self.id}: {name} is a function, not {function!r}")

    def __eq__(self, other: object) -> bool:
        """Equal to an agent of the same name, and to that name."""
        if isinstance(other, Agent | str):
            return self.id == name_of(other)
        return NotImplemented

    def __hash__(self) -> int:
        return hash(self.id)

    def __str__(self) -> str:
        return self.id

    # The roadmap's own calls, for an agent that a lab has added: thin ones.

    def propose_node_addition(self, spec: Any, reason: str = "") -> Any:
        """Propose one more node in the lab's latest run."""
        return self._bench().propose(self.id, lambda dag: Changeset.on(dag).add_node(spec), reason)

    def propose_subgraph(self, parent: str, sub: Any, reason: str = "") -> Any:
        """Propose a whole graph downstream of a node."""
        return self._bench().propose(self.id, lambda dag: Changeset.on(dag).add_subgraph(parent, sub), reason)

    def wait_for_approval(self, proposal: Any, timeout: float | None = None) -> Any:
        """The final state of a proposal."""
        return proposal.wait(timeout)

    def validate_proposal(self, proposal: Any) -> bool:
        """Whether all checks of a proposal hold."""
        return all(check.ok for check in proposal.checks)

    def estimate_execution_cost(self, proposal: Any) -> float:
        """What the nodes that a proposal starts are estimated to cost."""
        return 0.0 if proposal.effect is None else float(proposal.effect.cost)

    def _bench(self) -> Bench:
        if self.bench is None:
            raise NotAllowed(f"agent {self.id} is in no lab", rule="no-lab", fix="lab.add_agent(agent)")
        return self.bench


def name_of(who: Any) -> str:
    """The name of an agent, given by itself or by its name."""
    if isinstance(who, Agent):
        return who.id
    if isinstance(who, str) and who:
        return who
    raise TypeError(f"expected an agent or the name of one, not {who!r}")
