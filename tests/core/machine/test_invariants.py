"""The invariants notice: each is broken by hand, and says so. And what a state knows of itself."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from typing import Any

import pytest

from hexdag_lab.core.base.frozen import FrozenDict
from hexdag_lab.core.base.heap import push
from hexdag_lab.core.machine.invariants import violations
from hexdag_lab.core.machine.state import RunState
from hexdag_lab.core.runs.reuse import Reuse
from hexdag_lab.core.runs.run import NodeState, RunStatus
from hexdag_lab.core.votes.ballot import Ballot, Choice
from hexdag_lab.core.votes.budget import Budget
from hexdag_lab.core.votes.people import OwnerDecides
from hexdag_lab.core.votes.proposal import Check, ProposalState
from hexdag_lab.testing.audit import differences
from tests.core.machine.diary import Diary, graph, result, spec


def somewhere() -> RunState:
    """load has succeeded, fit runs, report waits, bad failed, worse is blocked; p1 is applied, p2 open."""
    lab = Diary("load > fit > report, bad > worse", OwnerDecides())
    lab.start(slots=3)
    lab.begins("bad")
    lab.fails("bad")
    lab.runs("load")
    lab.begins("fit")
    lab.propose("p1", lab.change().add_node(spec("more", requires={"gpu"})))
    lab.propose("p2", lab.change().add_node(spec("most")), by="eve")
    assert violations(lab.state) == []
    return lab.state


def node(name: str, **fields: Any) -> Callable[[RunState], RunState]:
    return lambda s: s._replace(nodes=s.nodes.set(name, s.nodes[name]._replace(**fields)))


def proposal(id_: str, **fields: Any) -> Callable[[RunState], RunState]:
    return lambda s: s._replace(proposals=s.proposals.set(id_, replace(s.proposals[id_], **fields)))


def state(**fields: Any) -> Callable[[RunState], RunState]:
    return lambda s: s._replace(**fields)


TWICE = (Ballot(Choice.APPROVE, voter="ada"), Ballot(Choice.APPROVE, voter="ada"))
HELD = FrozenDict({"load": (1, 1.0, result("load"), "w1")})
BROKEN: list[tuple[Callable[[RunState], RunState], str]] = [
    (lambda s: s._replace(nodes=s.nodes.delete("worse")), "the nodes of the run are not the nodes of the head version"),
    (node("load", result=None), "load succeeded without a result"),
    (node("report", state=NodeState.READY), "report is ready, but an upstream has not succeeded"),
    (node("report", state=NodeState.BLOCKED), "report is blocked, but no upstream failed"),
    (node("load", submitted=True), "load is settled, but still submitted"),
    (node("worse", submitted=True), "worse is submitted, but an upstream is neither done nor submitted"),
    (node("fit", submitted=False), "fit runs, but is not submitted"),
    (state(outstanding=7), "outstanding is 7, but 2 are submitted"),
    (state(left=0), "left is 0, but 3 are not settled"),
    (node("report", unmet=0), "report: unmet is 0"),
    (node("report", unsent=2), "report: unsent is 2"),
    (state(status=RunStatus.SUCCEEDED), "the run is SUCCEEDED, but something is left"),
    (state(since=None), "the clock of the run goes while the run does not, or stands while it does"),
    (state(short=Budget(nodes=1)), "the run lacks budget, but is not paused"),
    (state(dues=FrozenDict({"fit": 5.0})), "fit: its record and the list of retries do not agree on when it is due"),
    (node("fit", state=NodeState.READY, submitted=False), "fit is ready, but not in the frontier"),
    (state(held=HELD), "load: a result is held that should have been accepted, or dropped"),
    (state(dues=FrozenDict({"gone": 5.0})), "gone is not in the graph, but something waits for it"),
    (
        node("report", reuse=Reuse(origin="reused from v1")),
        "report has a result that was taken over, but it is WAITING",
    ),
    (
        node("load", reuse=Reuse(origin="reused from v1"), result=result("load", "pool")),
        "load was given a result that is not kept",
    ),
    (lambda s: s._replace(versions=s.versions[1:]), "version numbers are not 1, 2, 3, ..."),
    (lambda s: s._replace(dag=s.dag.add_node(spec("x"))), "the head is not the last version"),
    (proposal("p1", version=9), "applied proposals and versions do not match one to one"),
    (state(open=()), "the list of open proposals is wrong"),
    (proposal("p1", decided_by=""), "p1 is decided, but nobody did it"),
    (proposal("p1", checks=(Check("budget", False),)), "p1 was applied against its checks"),
    (proposal("p2", ballots=TWICE), "p2: somebody is counted twice"),
    (
        lambda s: proposal("p1", electorate=replace(s.proposals["p1"].electorate, proposer="eve"))(s),  # type: ignore[type-var]
        "p1 was applied, but its ballots say no",
    ),
]


@pytest.mark.parametrize(("damage", "words"), BROKEN, ids=[words for _, words in BROKEN])
def test_what_is_broken_is_said(damage: Callable[[RunState], RunState], words: str) -> None:
    assert words in violations(damage(somewhere()))


def test_what_cannot_run_anyway_need_not_be_in_the_frontier() -> None:
    lab = Diary(graph("fit", fit={"requires": {"gpu"}}))
    lab.start()
    lab.pool(1, 0, {"cpu"})
    assert violations(lab.state._replace(frontier=None)) == []
    assert violations(lab.state._replace(frontier=push(None, [((0,), "nobody")]))) == []


def test_what_is_looked_up_need_not_be_in_the_frontier() -> None:
    lab = Diary(graph("fit", fit={"cache": True}))
    lab.start()
    rec = lab.state.nodes["fit"]
    assert rec.reuse.asked
    assert violations(lab.state._replace(frontier=None)) == []
    forgotten = node("fit", reuse=Reuse())(lab.state)._replace(frontier=None)
    assert violations(forgotten) == ["fit is ready, but not in the frontier"]


def test_differences_name_the_field_and_the_key() -> None:
    one = somewhere()
    two = node("fit", worker="w9")(one)._replace(left=9)
    assert differences(one, one) == []
    assert differences(one, two) == ["nodes['fit'] differs", "left: 3 is not 9"]


def test_a_state_counts_what_it_spent() -> None:
    lab = Diary(graph("load > fit", load={"cost": 0.5}, fit={"cost": 2, "retries": 1, "backoff": 0}))
    lab.start()
    lab.runs("load")
    lab.begins("fit")
    lab.fails("fit")
    lab.begins("fit")
    assert lab.state.spent() == Fraction(9, 2)


def test_a_state_finds_the_latest_version_with_some_content() -> None:
    lab = Diary("load > fit", OwnerDecides())
    lab.start()
    lab.propose("p1", lab.change().add_node(spec("more")))
    lab.propose("p2", lab.change().remove_node("more", running="restart"))
    first = lab.state.versions[0].digest
    assert [v.number for v in lab.state.versions if v.digest == first] == [1, 3]
    found = lab.state.version_of(first)
    assert found is not None
    assert found.number == 3
    assert lab.state.version_of(b"") is None
    assert lab.state.proposals["p2"].state is ProposalState.APPLIED
