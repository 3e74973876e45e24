"""The agents of the simulated world: seats, and what they propose and vote, sensible or not."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from random import Random
from typing import Any

from ..core.base.canon import digest
from ..core.base.errors import DagError
from ..core.dag.callback import Callback
from ..core.dag.changeset import Changeset
from ..core.dag.code import Code, Param
from ..core.dag.dag import Dag
from ..core.dag.node import NodeSpec
from ..core.votes.agent import Role, Seat
from ..core.votes.ballot import Choice
from ..core.votes.budget import Budget
from ..core.votes.people import HumanApproval, OwnerDecides, Veto
from ..core.votes.policy import Deadline, Policy
from ..core.votes.weighing import Majority, Quorum, Supermajority, Unanimous

OWNER = "ann"
WEIGHTS = (Fraction(0), Fraction(1, 3), Fraction(1, 2), Fraction(4, 5), Fraction(1), Fraction(2))
CHOICES = (Choice.APPROVE,) * 6 + (Choice.REJECT, Choice.ABSTAIN, Choice.REQUEST_CHANGES)


def seats(rng: Random) -> tuple[Seat, ...]:
    """An owner, two agents who are asked, another person, an executor, an observer, and one who hooks on events."""
    return (
        Seat(OWNER, human=True),
        Seat("bea", weight=rng.choice(WEIGHTS), votes="here"),
        Seat("cal", weight=rng.choice(WEIGHTS), votes="here"),
        Seat("dan", weight=rng.choice(WEIGHTS), human=True, otherwise=Choice.ABSTAIN),
        Seat("eve", Role.EXECUTOR, votes="here"),
        Seat("fay", Role.OBSERVER),
        Seat("hal", Role.EXECUTOR, hooks="here"),
    )


def policy(rng: Random) -> Policy:
    """One of many policies; each has a deadline, since people may never answer."""
    third = Fraction(2, 3)
    decides: tuple[Policy, ...] = (
        OwnerDecides(), Supermajority(third), Supermajority(third, "cast"), Majority(), Unanimous(), HumanApproval(),
        HumanApproval(above=Fraction(2)), HumanApproval(unless_additive=True), Majority() & Quorum(voters=2),
        Supermajority(third, "cast") & Quorum(share=Fraction(1, 2)), Majority() & Veto("dan"),
        OwnerDecides() | Supermajority(third), Supermajority(third, voters=frozenset({"orchestrator", "executor"})),
    )  # fmt: skip
    otherwise = "accept" if rng.random() < 0.3 else "reject"
    return rng.choice(decides) & Deadline(rng.choice((10, 30, 90)), otherwise)


def spec(rng: Random, name: str) -> NodeSpec:
    """A node with code of its own; some fail, ask for a change, act on the world, need a special worker or a lease,
    cannot go on without one of their upstreams, or have their results used again, also by others of the same code."""
    kind = rng.choice(("gather",) * 6 + ("ask",))
    number = rng.randrange(10**9)
    cache = number % 5 == 0
    number = number % 3 if cache else number
    code = Code(kind, "world", digest(str(number).encode()), (Param("kw", False, "many"),))
    return NodeSpec(
        name, code=code, retries=rng.randrange(3), backoff=rng.choice((0, 0.5, 4)), effects=rng.random() < 0.1,
        requires={"gpu"} if rng.random() < 0.1 else frozenset(), cost=rng.randrange(3), cache=cache,
        exclusive=f"lathe-{number % 2}" if number % 7 < 2 and not cache else None,
        **_choosy(Random(f"{name} {number}")),
    )  # fmt: skip


def _choosy(rng: Random) -> dict[str, Any]:
    """Options of some nodes: a condition, something that stands in for a result, that it may fail, how many at once."""
    options: dict[str, Any] = {}
    if rng.random() < 0.1:
        options["when"] = Callback(Code("when", "world", digest(b"when"), ()))
    if rng.random() < 0.1:
        options["on_error"] = Callback(Code("on_error", "world", digest(b"on_error"), (Param("failure", True),)))
    options["optional"] = rng.random() < 0.06
    options["concurrency"] = rng.choice((1, 1, 2)) if rng.random() < 0.1 else None
    return options


def _needy(node: NodeSpec) -> NodeSpec:
    """Now and then, a node that cannot do without its one upstream."""
    if len(tuple(node.deps)) != 1 or Random(node.digest).random() < 0.5:
        return node
    return node.but(code=replace(node.code, params=(Param("x", True), *node.code.params)))


def graph(rng: Random, size: int, cache: bool = False) -> Dag:
    """A random graph; later nodes hang on earlier ones. `cache`: few codes, and all results may be used again."""
    found: list[NodeSpec] = []
    for number in range(size):
        ups = rng.sample(found, min(len(found), rng.choice((0, 1, 1, 2, 3))))
        one = _needy(spec(rng, f"n{number}").after(*ups))
        found.append(one.but(cache=True, effects=False, code=found[0].code if found else one.code) if cache else one)
    return Dag.of(*found)


def change(rng: Random, dag: Dag, names: list[str]) -> Changeset | None:
    """A change of some kind to a graph, or None if what was tried cannot be. `names`: all names ever used."""
    made = Changeset.on(dag)
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        try:
            made = _edit(rng, made, names)
        except DagError:
            continue
    return None if made.empty and rng.random() < 0.9 else made


def moment(rng: Random, names: list[str]) -> str:
    """When a proposal is to be applied."""
    return rng.choice(("now",) * 3 + ("wave", f"after:{rng.choice(names or ['n0'])}"))


def budget(rng: Random, dag: Dag) -> Budget | None:
    """Half of the time a budget that will be too small, in some respect."""
    if rng.random() < 0.5:
        return None
    cost = sum((spec.cost for spec in dag.nodes.values()), Fraction(0))
    seconds = float(rng.randrange(5, 60)) if rng.random() < 0.4 else None
    return Budget(seconds, rng.choice((None, cost, cost / 2)), rng.choice((None, len(dag), len(dag) // 2)))


def _edit(rng: Random, made: Changeset, names: list[str]) -> Changeset:
    assert made.target is not None
    there = sorted(made.target)
    kinds = ("add", "add", "subgraph", "replace", "replace", "remove", "edge", "edge", "unedge", "again")
    kind = rng.choice(kinds) if there else "add"
    if kind == "add":
        ups = rng.sample(there, min(len(there), rng.randrange(3)))
        return made.add_node(_needy(spec(rng, _new(names)).after(*ups)))
    if kind == "again":  # a name that was there before, perhaps
        return made.add_node(spec(rng, rng.choice(names)))
    if kind == "subgraph":
        top = spec(rng, _new(names))
        return made.add_subgraph(rng.choice(there), Dag.of(top, spec(rng, _new(names)).after(top)))
    name = rng.choice(there)
    handling: dict[str, Any] = {}
    if rng.random() < 0.7:
        handling = {"running": rng.choice(("finish_old", "restart")), "finished": rng.choice(("keep", "rerun"))}
    if kind == "replace":
        new = spec(rng, name)
        if new.cache:  # the same again, which may find its own result
            new = made.target.nodes[name].but(retries=new.retries, cache=True)
        return made.replace_node(name, _odd(rng, new), **handling)
    if kind == "remove":
        return made.remove_node(name, **handling)
    if kind == "edge":
        return made.add_edge(name, rng.choice(there))
    edges = sorted(made.target.edges)
    return made.remove_edge(*rng.choice(edges)) if edges else made


def _odd(rng: Random, node: NodeSpec) -> NodeSpec:
    """Now and then something that its checks must find."""
    if rng.random() < 0.1:
        return node.but(requires={"tpu"})
    if rng.random() < 0.1:
        code = Code("one", "world", digest(b"one"), (Param("x", True),))
        return node.but(code=code)
    return node


def _new(names: list[str]) -> str:
    names.append(f"n{len(names)}")
    return names[-1]
