"""What the card says a change does: work lost in seconds, how much later and dearer the run gets, and its waves."""

from __future__ import annotations

import pytest

from hexdag_lab.core.base.codec import dumps, loads
from hexdag_lab.core.dag.changeset import Changeset
from hexdag_lab.core.dag.dag import Dag
from hexdag_lab.core.machine import messages as ms
from hexdag_lab.core.votes.proposal import Effect, Estimate
from tests.core.machine.diary import Diary, result, spec


def measured() -> Diary:
    """Five nodes of one kind took ten seconds each; fit_5 runs since 100, fit_6 and report wait for it."""
    fits = [spec(f"fit_{i}", kind="fit", cost=2) for i in range(6)]
    dag = Dag.of(*fits, spec("fit_6", kind="fit", cost=2).after("fit_5"), spec("report", kind="fit").after("fit_6"))
    lab = Diary(dag)
    lab.start(slots=6)
    for i in range(5):
        lab.begins(f"fit_{i}")
        lab.send(ms.Succeeded(lab.now, f"fit_{i}", 1, 10.0, result(f"fit_{i}"), "w1"))
    lab.now = 100
    lab.begins("fit_5")
    lab.now = 104
    return lab


def effect(lab: Diary, change: Changeset) -> Effect:
    lab.propose("p", change)
    found = lab.state.proposals["p"].effect
    assert found is not None
    assert found.estimate is not None
    assert loads(dumps(found)) == found
    return found


def estimate(found: Effect) -> Estimate:
    assert found.estimate is not None
    return found.estimate


def test_a_restart_loses_the_seconds_that_an_attempt_has_run_and_a_rerun_those_that_it_took() -> None:
    lab = measured()
    change = lab.change().replace_node("fit_5", spec("fit_5", "2", kind="fit"), running="restart")
    found = effect(lab, change.replace_node("fit_0", spec("fit_0", "2", kind="fit"), finished="rerun"))
    assert found.verbs() == {"fit_0": "re-run", "fit_5": "restart"}
    assert (found.losses, found.lost) == ((("fit_0", 1), ("fit_5", 1)), 4.0 + 10.0)
    assert estimate(found).later[0] == pytest.approx(4.0, abs=1.0), "what it had run is to be run again"


def test_one_more_node_at_the_end_makes_the_run_longer_by_what_it_takes_and_costs() -> None:
    lab = measured()
    found = effect(lab, lab.change().add_node(spec("more", kind="fit", cost=3).after("report")))
    assert found.lost == 0.0
    told = estimate(found)
    assert told.later[0] == pytest.approx(10.0, rel=0.4)
    assert told.later[0] <= told.later[1]
    assert told.cost == told.spend == (3.0, 3.0)
    assert (found.waves, told.known) == ((3, 4), True)


def test_one_more_node_beside_the_others_costs_no_time_while_there_are_free_slots() -> None:
    lab = measured()
    found = effect(lab, lab.change().add_node(spec("more", kind="fit")))
    assert estimate(found).later[0] == 0.0
    assert estimate(found).work[0] == pytest.approx(10.0, rel=0.4)


def test_what_a_removal_spares_is_negative_and_starts_nothing() -> None:
    lab = measured()
    found = effect(lab, lab.change().remove_node("report").remove_node("fit_6"))
    told = estimate(found)
    assert told.later[1] < 0
    assert told.cost == (-2.0, -2.0)
    assert (told.work, told.spend) == ((0.0, 0.0), (0.0, 0.0))
    assert found.cancel == ("fit_6", "report")


def test_another_definition_of_a_node_that_waits_is_work_that_starts() -> None:
    lab = measured()
    found = effect(lab, lab.change().replace_node("fit_6", spec("fit_6", "2", kind="fit", cost=5)))
    told = estimate(found)
    assert told.work[0] == pytest.approx(10.0, rel=0.4)
    assert (told.spend, told.cost) == ((5.0, 5.0), (3.0, 3.0))
    assert found.cost == 0, "it does not run more often than before"


def test_the_same_proposal_has_the_same_estimate_in_any_process_and_another_id_has_other_luck() -> None:
    def told(id_: str) -> Estimate | None:
        lab = measured()
        lab.propose(id_, lab.change().add_node(spec("more", kind="fit").after("report")))
        found = lab.state.proposals[id_].effect
        return found and found.estimate

    assert told("p1") == told("p1")
    assert told("p1") != told("p2")
