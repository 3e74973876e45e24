"""What a change means for work in progress: each kind of change, each state of the node, each handling."""

from __future__ import annotations

from fractions import Fraction
from itertools import product
from typing import Any

import pytest

from hexdag_lab.core.dag.changeset import Changeset
from hexdag_lab.core.dag.code import Code, Param
from hexdag_lab.core.dag.dag import Dag
from hexdag_lab.core.dag.node import NodeSpec
from hexdag_lab.core.runs.estimate import UNKNOWN_SECONDS, mean_seconds, work
from hexdag_lab.core.runs.plan import Plan, plan
from hexdag_lab.core.runs.run import NodeRecord, NodeState

N = NodeState
IDLE = (N.WAITING, N.READY, N.BLOCKED, N.CANCELLED)
MOVING = (N.RUNNING, N.SUSPENDED)
ENDED = (N.SUCCEEDED, N.FAILED, N.SKIPPED)
RUNNING, FINISHED = ("refuse", "finish_old", "restart"), ("refuse", "keep", "rerun")


def spec(name: str, revision: str = "1", **options: Any) -> NodeSpec:
    code = Code(name, "test", f"{name}{revision}".encode().ljust(32, b"-"), (Param("kw", False, "many"),))
    return NodeSpec(name, code=code, **options)


#: top -> node -> low -> last, and other on its own
DAG = Dag.of(
    spec("top"), spec("node").after("top"), spec("low").after("node"), spec("last").after("low"), spec("other")
)


def planned(change: Changeset, **states: NodeState) -> Plan:
    records = {name: NodeRecord(states.get(name, N.WAITING), fence=7) for name in DAG}
    assert change.target is not None
    return plan(DAG, change.target, change, records.get)


def outcome(made: Plan) -> str:
    """The one thing that happens to "node"."""
    names = {"start": made.start, "restart": made.restart, "cancel": made.cancel, "rerun": made.rerun}
    found = [verb for verb, nodes in names.items() if "node" in nodes]
    found += [f"refused: {r.rule}" for r in made.refusals if r.node == "node"]
    assert len(found) <= 1
    return found[0] if found else "nothing"


def expected(kind: str, state: NodeState, running: str, finished: str) -> str:
    """The table, as it stands in the documentation."""
    if state in IDLE:
        return "start" if kind == "replace" else "cancel"
    if state in MOVING:
        restart = "restart" if kind == "replace" else "cancel"
        return {"refuse": "refused: running", "finish_old": "nothing", "restart": restart}[running]
    rerun = "rerun" if kind == "replace" else "nothing"
    return {"refuse": "refused: finished", "keep": "nothing", "rerun": rerun}[finished]


@pytest.mark.parametrize("state", NodeState)
@pytest.mark.parametrize("kind", ["replace", "remove"])
def test_replace_and_remove(kind: str, state: NodeState) -> None:
    for running, finished in product(RUNNING, FINISHED):
        how: Any = {"running": running, "finished": finished}
        if kind == "replace":
            change = Changeset.on(DAG).replace_node("node", spec("node", "2"), **how)
        else:
            change = Changeset.on(DAG).remove_node("node", **how)
        made = planned(change, node=state)
        result = outcome(made)
        assert result == expected(kind, state, running, finished), how
        thrown_away = result in ("restart", "rerun", "cancel") and state not in IDLE
        assert made.losses == ((("node", 7),) if thrown_away else ())


@pytest.mark.parametrize("state", NodeState)
def test_an_edge_into_a_node_is_free_until_it_starts(state: NodeState) -> None:
    for change in (Changeset.on(DAG).add_edge("other", "node"), Changeset.on(DAG).remove_edge("top", "node")):
        result = outcome(planned(change, node=state))
        assert result == ("nothing" if state in IDLE else "refused: frozen-input")


@pytest.mark.parametrize("state", NodeState)
def test_an_edge_out_of_a_node_is_always_fine(state: NodeState) -> None:
    assert planned(Changeset.on(DAG).add_edge("node", "other"), node=state) == Plan()


def test_an_edge_into_a_node_that_runs_anew_anyway_is_fine() -> None:
    change = Changeset.on(DAG).replace_node("node", spec("node", "2"), finished="rerun").add_edge("other", "node")
    assert planned(change, node=N.SUCCEEDED).rerun == ("node",)


def test_edges_of_a_node_that_keeps_its_result_do_not_change() -> None:
    change = Changeset.on(DAG).replace_node("node", spec("node", "2"), finished="keep").add_edge("other", "node")
    assert outcome(planned(change, node=N.SUCCEEDED)) == "refused: frozen-input"


def test_new_nodes_start() -> None:
    change = Changeset.on(DAG).add_node(spec("new").after("node")).add_node(spec("free"))
    assert planned(change, node=N.SUCCEEDED) == Plan(start=("free", "new"))


def test_a_finished_upstream_may_go_though_its_downstream_runs() -> None:
    change = Changeset.on(DAG).remove_node("top", finished="keep")
    assert planned(change, top=N.SUCCEEDED, node=N.RUNNING) == Plan()


def test_what_rests_on_a_withdrawn_result_runs_again() -> None:
    change = Changeset.on(DAG).replace_node("top", spec("top", "2"), finished="rerun")
    made = planned(change, top=N.SUCCEEDED, node=N.SUCCEEDED, low=N.FAILED, last=N.BLOCKED, other=N.SUCCEEDED)
    assert (made.rerun, made.restart) == (("low", "node", "top"), ())
    made = planned(change, top=N.SUCCEEDED, node=N.SUCCEEDED, low=N.RUNNING)
    assert (made.rerun, made.restart) == (("node", "top"), ("low",))
    assert made.losses == (("low", 7), ("node", 7), ("top", 7))


def test_a_restart_takes_along_nothing_that_has_not_begun() -> None:
    change = Changeset.on(DAG).replace_node("top", spec("top", "2"), running="restart")
    assert planned(change, top=N.RUNNING) == Plan(restart=("top",), losses=(("top", 7),))


def test_a_refusal_names_node_rule_and_fix() -> None:
    (refusal,) = planned(Changeset.on(DAG).replace_node("node", spec("node", "2")), node=N.RUNNING).refusals
    assert (refusal.node, refusal.rule, refusal.message) == ("node", "running", "node runs")
    assert 'running="finish_old"' in refusal.fix.replace("…, ", "")
    (refusal,) = planned(Changeset.on(DAG).add_edge("other", "node"), node=N.SUCCEEDED).refusals
    assert refusal.message == "node has finished, so its inputs cannot change (edge other -> node)"
    assert "add a new node after other" in refusal.fix


def test_refusals_are_all_listed() -> None:
    change = Changeset.on(DAG).replace_node("top", spec("top", "2")).remove_node("other")
    made = planned(change, top=N.SUCCEEDED, other=N.RUNNING)
    assert [(r.node, r.rule) for r in made.refusals] == [("top", "finished"), ("other", "running")]


# -- estimates


def test_seconds_are_the_mean_of_what_the_same_code_took() -> None:
    twice = Dag.of(spec("a"), spec("a").but(name="b"), spec("c", cost=0.5))
    records = [("a", NodeRecord(N.SUCCEEDED, seconds=2.0)), ("b", NodeRecord(N.SUCCEEDED, seconds=4.0))]
    records += [("c", NodeRecord(N.RUNNING, seconds=99.0)), ("gone", NodeRecord(N.SUCCEEDED, seconds=99.0))]
    means = mean_seconds(twice, records)
    assert list(means.values()) == [3.0]
    assert work([twice.nodes["a"], twice.nodes["c"]], means) == (6.0, Fraction(1, 2))  # c never ran: the usual


def test_code_that_never_ran_counts_as_a_second() -> None:
    assert work([spec("x", cost=2)], {}) == (UNKNOWN_SECONDS, Fraction(2))
    assert work([], {}) == (0.0, Fraction(0))
