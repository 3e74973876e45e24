"""Proposals: who may make them, what they are checked for, what comes back, and what becomes of running work."""

from __future__ import annotations

import pytest

import hexdag_lab as hx
from tests.lab import gates
from tests.lab.conftest import load, report, until


def added(run: hx.Run, name: str = "report") -> hx.Changeset:
    """A change that adds one node after `fit`."""
    return hx.Changeset.on(run.dag).add_node(report.as_node(name).after("fit"))


def test_a_proposal_comes_back_at_once_and_says_what_it_is(lab: hx.Lab, running: hx.Run) -> None:
    lab.add_agent(hx.Agent("critic"))
    p = running.propose(added(running), by="critic", reason="look closer")
    assert p.id == "run-1/p1"
    assert (p.state, p.by, p.reason, p.base) == (hx.ProposalState.OPEN, "critic", "look closer", 1)
    assert p.changeset.added == ("report",)
    assert all(check.ok for check in p.checks)
    assert p.tally.needs == ("dana",)
    assert "dana" in p.tally.text
    assert p.effect.start == ("report",)
    assert (p.effect.restart, p.effect.cancel, p.effect.rerun) == ((), (), ())
    assert p.effect.keep == 3, "load and fit are done, held runs"
    assert p.deadline > p.at
    assert running.proposals == {p.id: p} == {p.id: running.proposal(p.id)}
    assert running.proposal(p.id).state == "OPEN"
    assert repr(p) == "<Proposal run-1/p1 by critic: OPEN, +1 node>"
    p.vote("dana", "approve", reason="fine")
    assert (p.state, p.version, p.decided_by) == ("APPLIED", 2, "dana")
    assert p.wait(5) == "APPLIED"


def test_an_approval_is_bound_to_a_digest_of_what_the_proposal_does(lab: hx.Lab, running: hx.Run) -> None:
    for name in ("critic", "rival"):
        lab.add_agent(hx.Agent(name))
    one, same = (running.propose(added(running), by=name) for name in ("critic", "rival"))
    other = running.propose(added(running, "other"), by="critic")
    restart = hx.Changeset.on(running.dag).replace_node("held", lambda load: load, running="restart")
    assert one.effect_digest == same.effect_digest != other.effect_digest
    assert running.propose(restart, by="critic").effect.losses == (("held", 1),)
    assert len(bytes.fromhex(one.effect_digest)) == 32
    running.cancel()


def test_agents_stand_for_their_names(lab: hx.Lab, running: hx.Run) -> None:
    critic = lab.add_agent(hx.Agent("critic"))
    p = running.propose(added(running), by=critic)
    p.vote(lab.owner, "approve")
    assert (p.by, p.decided_by) == (critic, lab.owner) == ("critic", "dana")


def test_running_work_goes_on_untouched_while_versions_come(running: hx.Run) -> None:
    for number in (2, 3, 4):
        running.propose(added(running, f"r{number}"))
        assert running.dag.version == number
    gates.open_gate("held")
    results = running.wait(10)
    assert set(results) == {"load", "fit", "held", "r2", "r3", "r4"}
    assert gates.calls == ["held"], "it ran once"
    assert {running.nodes[name].attempt for name in results} == {1}


def test_a_graph_may_be_proposed_instead_of_a_change(running: hx.Run) -> None:
    first = running.dag
    p = running.propose(first.add_node(report.after("fit")).add_node(hx.NodeSpec("b", lambda: 1)))
    assert (p.state, p.changeset.added) == ("APPLIED", ("b", "report"))
    late = running.propose(first.add_node(hx.NodeSpec("c", lambda: 1)))
    assert (late.state, late.base, running.dag.version) == ("APPLIED", 1, 3), "made on v1, rebased on v2"
    assert set(running.dag) == {"load", "fit", "held", "report", "b", "c"}


def test_a_graph_of_another_run_is_a_stale_base(lab: hx.Lab, running: hx.Run) -> None:
    other = hx.Dag.of(hx.NodeSpec("x", lambda: 1))
    for change in (other.add_node(hx.NodeSpec("y", lambda: 2)), hx.Changeset.on(other).remove_node("x")):
        with pytest.raises(hx.StaleBase) as refused:
            running.propose(change)
        assert refused.value.rule == "stale-base"
        assert "run.dag" in refused.value.fix


def test_disjoint_changes_on_one_base_both_land(lab: hx.Lab, running: hx.Run) -> None:
    lab.add_agent(hx.Agent("critic"))
    one, two = (running.propose(added(running, name), by="critic") for name in ("one", "two"))
    two.vote("dana", "approve")
    one.vote("dana", "approve")
    assert (one.state, two.state) == ("APPLIED", "APPLIED")
    assert {"one", "two"} <= set(running.dag)


def test_a_change_that_the_graph_has_already_is_superseded(running: hx.Run) -> None:
    change = added(running)
    assert running.propose(change).state == "APPLIED"
    again = running.propose(change)
    assert (again.state, again.why) == ("SUPERSEDED", "the graph is like that already")


def test_two_changes_of_one_node_conflict_and_say_so(lab: hx.Lab, running: hx.Run) -> None:
    lab.add_agent(hx.Agent("critic"))
    first = running.dag
    one = running.propose(hx.Changeset.on(first).add_node(report.after("fit")), by="critic")
    two = running.propose(hx.Changeset.on(first).add_node(hx.NodeSpec("report", lambda: 0)), by="critic")
    one.vote("dana", "approve")
    two.vote("dana", "approve")
    assert (one.state, two.state) == ("APPLIED", "CONFLICTED")
    assert "report" in two.why


@pytest.mark.parametrize(
    ("name", "verb"),
    [("fit", "fit has finished"), ("held", "held runs")],
)
def test_work_that_began_is_frozen_and_the_check_names_node_rule_and_fix(running: hx.Run, name: str, verb: str) -> None:
    for change in (
        hx.Changeset.on(running.dag).replace_node(name, hx.NodeSpec(name, lambda load: 0)),
        hx.Changeset.on(running.dag).remove_node(name),
    ):
        p = running.propose(change)
        assert p.state == "REJECTED"
        bad = [check for check in p.checks if not check.ok]
        assert [check.node for check in bad] == [name]
        assert bad[0].rule == {"fit": "finished", "held": "running"}[name]
        assert bad[0].message == verb
        assert "finished=" in bad[0].fix or "running=" in bad[0].fix
        assert verb in p.why
    assert running.dag.version == 1


def test_an_edge_into_what_began_is_refused_and_one_out_of_it_is_fine(running: hx.Run) -> None:
    into = hx.Changeset.on(running.dag).add_node(hx.NodeSpec("x", lambda: 1)).add_edge("x", "fit")
    p = running.propose(into)
    assert p.state == "REJECTED"
    bad = next(check for check in p.checks if not check.ok)
    assert (bad.node, bad.rule) == ("fit", "frozen-input")
    assert "edge x -> fit" in bad.message
    assert bad.fix
    assert running.propose(added(running)).state == "APPLIED"


def test_finished_work_runs_again_only_where_the_change_says_so(running: hx.Run) -> None:
    redo = hx.Changeset.on(running.dag).replace_node("fit", hx.NodeSpec("fit", lambda load: "redone"), finished="rerun")
    p = running.propose(redo)
    assert (p.state, p.effect.rerun) == ("APPLIED", ("fit",))
    until(lambda: running.nodes["fit"].state == "SUCCEEDED")
    assert running.result("fit") == "redone"
    assert running.nodes["fit"].version == 2
    keep = hx.Changeset.on(running.dag).replace_node("fit", hx.NodeSpec("fit", lambda load: "unused"), finished="keep")
    assert running.propose(keep).state == "APPLIED"
    assert running.result("fit") == "redone"


def test_running_work_restarts_only_where_the_change_says_so(running: hx.Run) -> None:
    p = running.propose(
        hx.Changeset.on(running.dag).replace_node("held", hx.NodeSpec("held", lambda load: "new"), running="restart")
    )
    assert (p.state, p.effect.restart) == ("APPLIED", ("held",))
    assert running.wait(10)["held"] == "new"
    gates.open_gate("held")
    assert running.result("held") == "new", "a late result of the old attempt counts for nothing"


def test_a_removed_node_is_gone_and_its_name_is_free_again(lab: hx.Lab, slow_dag: hx.Dag) -> None:
    run = lab.start(slow_dag.add_node(hx.NodeSpec("last", lambda held: held)))
    gates.reached("held")
    assert run.propose(hx.Changeset.on(run.dag).remove_node("last")).state == "APPLIED"
    assert "last" not in run.nodes
    assert run.why("last") == "removed by dana"
    assert run.propose(hx.Changeset.on(run.dag).add_node(hx.NodeSpec("last", lambda held: held * 2))).state == "APPLIED"
    gates.open_gate("held")
    assert run.wait(10)["last"] == "DATA.CSVDATA.CSV"


def test_a_parameter_that_nothing_fills_is_a_failed_check(running: hx.Run) -> None:
    p = running.propose(hx.Changeset.on(running.dag).add_node(hx.NodeSpec("x", lambda missing: missing)))
    assert p.state == "REJECTED"
    bad = next(check for check in p.checks if not check.ok)
    assert (bad.node, bad.rule) == ("x", "inputs")
    assert "'missing'" in bad.message
    assert "edge" in bad.fix


def test_an_agent_that_takes_no_part_cannot_be_given_a_node(running: hx.Run) -> None:
    p = running.propose(hx.Changeset.on(running.dag).add_node(hx.NodeSpec("x", lambda: 1, agent="nobody")))
    assert p.state == "REJECTED"
    assert "nobody" in p.why


def test_an_observer_or_a_stranger_may_not_propose(lab: hx.Lab, running: hx.Run) -> None:
    lab.add_agent(hx.Agent("eye", role="observer"))
    with pytest.raises(hx.NotAllowed, match="eye is an observer") as observer:
        running.propose(added(running), by="eye")
    assert observer.value.rule == "observer"
    with pytest.raises(hx.NotAllowed, match="takes no part") as stranger:
        running.propose(added(running), by="mallory")
    assert (stranger.value.rule, "add_agent" in stranger.value.fix) == ("stranger", True)
    assert running.proposals == {}


def test_a_change_that_is_wrong_on_its_own_base_raises_where_it_is_made(running: hx.Run) -> None:
    change = hx.Changeset.on(running.dag)
    with pytest.raises(hx.DuplicateNode):
        change.add_node(load)
    with pytest.raises(hx.UnknownNode):
        change.remove_node("nope")
    with pytest.raises(hx.CycleError) as cycle:
        change.add_node(report.after("fit")).add_edge("report", "load")
    assert cycle.value.path == ("load", "fit", "report", "load") or set(cycle.value.path) == {"load", "fit", "report"}


def test_what_cannot_be_proposed(running: hx.Run) -> None:
    with pytest.raises(hx.DagError, match="changes nothing"):
        running.propose(hx.Changeset.on(running.dag))
    with pytest.raises(hx.DagError, match="changes nothing"):
        running.propose(running.dag)
    with pytest.raises(TypeError, match="a Changeset or a Dag"):
        running.propose("add a node")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="priority"):
        running.propose(added(running), priority="high")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="apply_from"):
        running.propose(added(running), apply_from="tomorrow")
    with pytest.raises(TypeError, match="name of one"):
        running.propose(added(running), by=7)  # type: ignore[arg-type]


def test_unknown_names_of_proposals(running: hx.Run, lab: hx.Lab) -> None:
    with pytest.raises(hx.Refused, match="no proposal 'run-1/p9' in run run-1") as refused:
        running.proposal("run-1/p9")
    assert refused.value.rule == "unknown-proposal"
    with pytest.raises(hx.Refused, match="no proposal"):
        lab.vote("run-1/p9", "dana", "approve")
    with pytest.raises(hx.Refused, match="is not the id of a proposal"):
        lab.vote("p9", "dana", "approve")
    with pytest.raises(hx.Refused, match="no run 'run-7'"):
        lab.vote("run-7/p1", "dana", "approve")


def test_priority_orders_and_is_capped_by_role(lab: hx.Lab, running: hx.Run) -> None:
    lab.add_agent(hx.Agent("critic"))
    lab.add_agent(hx.Agent("worker", role="executor"))
    low = running.propose(added(running, "low"), by="critic")
    high = running.propose(added(running, "high"), by="critic", priority=1000)
    mid = running.propose(added(running, "mid"), by="worker", priority=1000)
    assert (low.priority, high.priority, mid.priority) == (0, 100, 10)
    assert [p.id for p in lab.inbox()] == [high.id, mid.id, low.id]


def test_a_proposer_may_take_it_back(lab: hx.Lab, running: hx.Run) -> None:
    lab.add_agent(hx.Agent("critic"))
    lab.add_agent(hx.Agent("other"))
    p = running.propose(added(running), by="critic")
    with pytest.raises(hx.NotAllowed, match="other did not make"):
        p.withdraw(by="other")
    p.withdraw()
    assert p.state == "WITHDRAWN"
    with pytest.raises(hx.AlreadyDecided):
        p.withdraw()
    with pytest.raises(hx.AlreadyDecided):
        p.vote("dana", "approve")


def test_the_reason_of_a_change_is_the_reason_of_its_proposal(running: hx.Run) -> None:
    p = running.propose(added(running).because("its own words"))
    assert p.reason == "its own words"
    assert running.versions[-1].reason == "its own words"


def test_a_change_whose_losses_grew_since_the_vote_opened_is_asked_again(lab: hx.Lab, slow_dag: hx.Dag) -> None:
    # `last` has not begun when the change of it is proposed; it has finished when the approval comes.
    run = lab.start(slow_dag.add_node(hx.NodeSpec("last", lambda held: held)))
    lab.add_agent(hx.Agent("critic"))
    gates.reached("held")
    change = hx.Changeset.on(run.dag).replace_node("last", hx.NodeSpec("last", lambda held: 2), finished="rerun")
    p = run.propose(change, by="critic")
    assert p.effect.rerun == ()
    gates.open_gate("held")
    until(lambda: run.nodes["last"].state == "SUCCEEDED")
    p.vote("dana", "approve")
    assert p.state == "OPEN", "what was approved is not what would happen now"
    assert p.effect.rerun == ("last",)
    assert "work than was voted on" in p.why
    p.vote("dana", "approve")
    assert p.state == "APPLIED"
    assert run.wait(10)["last"] == 2
