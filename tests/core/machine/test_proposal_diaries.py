"""Proposals in a running graph, told as lab diaries."""

from __future__ import annotations

from fractions import Fraction

from hexdag_lab.core.base.errors import AlreadyDecided, NotAllowed, Refused, StaleBase
from hexdag_lab.core.dag.changeset import Changeset
from hexdag_lab.core.machine import messages as ms
from hexdag_lab.core.votes.agent import Seat
from hexdag_lab.core.votes.people import HumanApproval, OwnerDecides, Veto
from hexdag_lab.core.votes.policy import Deadline
from hexdag_lab.core.votes.proposal import ProposalState
from hexdag_lab.core.votes.weighing import Majority, Quorum, Unanimous
from tests.core.machine.diary import Diary, graph, result, seats, spec, text


def test_a_proposal_is_applied_while_other_nodes_run() -> None:
    lab = Diary("load > fit > report, load > check")
    lab.start(slots=2)
    lab.runs("load")
    lab.begins("fit")
    lab.now = 3
    lab.propose("p1", lab.change().add_node(spec("plot").after("load")))
    lab.vote("p1", "bob", True, "cheap")
    lab.now = 4
    lab.vote("p1", "cy")
    lab.runs("check")
    lab.begins("plot")
    lab.succeeds("fit")
    lab.succeeds("plot")
    lab.runs("report")
    assert lab.told() == text("""
           0  run r started by ada
           0  submitted load#1
           0  load started on w1
           0  load succeeded in 1.50 s
           0  submitted fit#1, check#1
           0  fit started on w1
           3  ada proposes p1: +1 node
           3  p1 opened
              ask bob about p1
              ask cy about p1
           3  bob on p1: approve "cheap"
           4  cy on p1: approve
           4  p1 approved: 1.00 of more than 0.50
           4  p1 applied: 1.00 of more than 0.50
           4  v2 by ada: +1 node
           4  check started on w1
           4  check succeeded in 1.50 s
           4  submitted plot#1
           4  plot started on w1
           4  fit succeeded in 1.50 s
           4  submitted report#1
           4  plot succeeded in 1.50 s
           4  report started on w1
           4  report succeeded in 1.50 s
           4  the run ended: SUCCEEDED
    """)


def test_disjoint_proposals_merge() -> None:
    lab = Diary("load > fit > report, load > check")
    lab.start()
    lab.begins("load")
    base = lab.change()
    lab.told()
    lab.propose("p1", base.add_node(spec("plot").after("fit")))
    lab.propose("p2", base.replace_node("check", spec("check", "2")), by="bob")
    lab.vote("p2", "ada")
    lab.vote("p2", "cy")
    lab.vote("p1", "bob")
    lab.vote("p1", "cy")
    assert lab.told() == text("""
           0  ada proposes p1: +1 node
           0  p1 opened
              ask bob about p1
              ask cy about p1
           0  bob proposes p2: ~1 node
           0  p2 opened
              ask ada about p2
              ask cy about p2
           0  ada on p2: approve
           0  cy on p2: approve
           0  p2 approved: 1.00 of more than 0.50
           0  p2 applied: 1.00 of more than 0.50
           0  v2 by bob: ~1 node
           0  bob on p1: approve
           0  cy on p1: approve
           0  p1 approved: 1.00 of more than 0.50
           0  p1 applied: 1.00 of more than 0.50
           0  v3 by ada: +1 node
    """)
    assert ("fit", "plot") in lab.state.dag.edges
    assert lab.state.dag.nodes["check"] == spec("check", "2")
    assert [v.by for v in lab.state.versions] == ["ada", "bob", "ada"]


def test_overlapping_proposals_conflict_and_the_conflict_tells_both_intents() -> None:
    lab = Diary("load > fit > report")
    lab.start()
    base = lab.change()
    lab.told()
    lab.propose("p1", base.replace_node("fit", spec("fit", "2")))
    lab.propose("p2", base.remove_node("fit"), by="bob")
    for voter in ("bob", "cy"):
        lab.vote("p1", voter)
    for voter in ("ada", "cy"):
        lab.vote("p2", voter)
    assert lab.told() == text("""
           0  ada proposes p1: ~1 node
           0  p1 opened
              ask bob about p1
              ask cy about p1
           0  bob proposes p2: -1 node
           0  p2 opened
              ask ada about p2
              ask cy about p2
           0  bob on p1: approve
           0  cy on p1: approve
           0  p1 approved: 1.00 of more than 0.50
           0  p1 applied: 1.00 of more than 0.50
           0  v2 by ada: ~1 node
           0  ada on p2: approve
           0  cy on p2: approve
           0  p2 approved: 1.00 of more than 0.50
           0  p2 conflicted: remove-vs-change on fit: this change removes it, but meanwhile it was changed
    """)
    # Who comes too late to the vote is told at once.
    lab.propose("p3", base.replace_node("fit", spec("fit", "3")), by="cy")
    assert lab.told() == text("""
           0  cy proposes p3: ~1 node
           0  p3 conflicted: both-changed on fit: this change changes it, but meanwhile it was changed
    """)


def test_an_innocent_pair_that_closes_a_cycle_is_caught_when_the_second_is_applied() -> None:
    lab = Diary("load > a, load > b")
    lab.start()
    base = lab.change()
    lab.told()
    lab.propose("p1", base.add_edge("a", "b"))
    lab.propose("p2", base.add_edge("b", "a"), by="bob")
    lab.vote("p1", "bob")
    lab.vote("p1", "cy")
    lab.vote("p2", "ada")
    lab.vote("p2", "cy")
    assert lab.told() == text("""
           0  ada proposes p1: +1 edge
           0  p1 opened
              ask bob about p1
              ask cy about p1
           0  bob proposes p2: +1 edge
           0  p2 opened
              ask ada about p2
              ask cy about p2
           0  bob on p1: approve
           0  cy on p1: approve
           0  p1 approved: 1.00 of more than 0.50
           0  p1 applied: 1.00 of more than 0.50
           0  v2 by ada: +1 edge
           0  ada on p2: approve
           0  cy on p2: approve
           0  p2 approved: 1.00 of more than 0.50
           0  p2 conflicted: cycle on b, a, b: this change adds b -> a, but meanwhile other edges close a cycle with it
    """)
    assert lab.state.version == 2


def test_an_approval_that_became_stale_is_voted_on_anew() -> None:
    lab = Diary("load > fit > report")
    lab.start()
    lab.runs("load")
    lab.propose("p1", lab.change().replace_node("fit", spec("fit", "2"), running="restart"))
    assert lab.state.proposals["p1"].effect.restart == ()  # type: ignore[union-attr]
    lab.vote("p1", "bob")
    lab.told()
    lab.now = 5
    lab.begins("fit")
    lab.vote("p1", "cy")
    assert lab.told() == text("""
           5  fit started on w1
           5  cy on p1: approve
           5  p1 approved: 1.00 of more than 0.50
           5  p1 is voted on anew: it now throws away other work than was voted on
              ask bob about p1
              ask cy about p1
    """)
    revised = lab.state.proposals["p1"]
    assert (revised.state, revised.ballots, str(revised.effect)) == (ProposalState.OPEN, (), "keeps 1 · restarts fit")
    lab.now = 6
    lab.vote("p1", "cy")
    lab.vote("p1", "bob")
    assert lab.told() == text("""
           6  cy on p1: approve
           6  bob on p1: approve
           6  p1 approved: 1.00 of more than 0.50
           6  p1 applied: 1.00 of more than 0.50
           6  v2 by ada: ~1 node, restarts fit
              recall fit#1
           6  submitted fit#2
    """)


def test_what_its_checks_find_at_the_instant_of_applying_counts() -> None:
    lab = Diary("load > fit")
    lab.start()
    lab.propose("p1", lab.change().remove_node("load"))
    lab.vote("p1", "bob")
    lab.begins("load")
    lab.told()
    lab.vote("p1", "cy")
    assert lab.told() == text("""
           0  cy on p1: approve
           0  p1 approved: 1.00 of more than 0.50
           0  p1 rejected: since the vote, load runs; remove_node(…, running="restart") cancels it
    """)


def test_progress_of_other_nodes_never_voids_an_approval() -> None:
    lab = Diary("load > fit > report, load > check")
    lab.start(slots=2)
    lab.runs("load")
    lab.propose("p1", lab.change().replace_node("report", spec("report", "2")))
    lab.vote("p1", "bob")
    lab.runs("fit", "check")
    lab.vote("p1", "cy")
    assert lab.state.proposals["p1"].state is ProposalState.APPLIED


def test_a_proposal_of_which_part_is_there_already_is_voted_on_anew_and_all_of_it_has_nothing_to_do() -> None:
    lab = Diary("load > fit")
    lab.start()
    base = lab.change()
    lab.propose("p1", base.add_node(spec("plot")))
    lab.propose("p2", base.add_node(spec("plot")).add_node(spec("more")), by="bob")
    lab.propose("p3", base.add_node(spec("plot")), by="cy")
    lab.vote("p1", "bob")
    lab.vote("p1", "cy")
    lab.told()
    lab.vote("p2", "ada")
    lab.vote("p2", "cy")
    assert lab.told() == text("""
           0  ada on p2: approve
           0  cy on p2: approve
           0  p2 approved: 1.00 of more than 0.50
           0  p2 is voted on anew: part of it is in the graph already
              ask ada about p2
              ask cy about p2
    """)
    assert lab.state.proposals["p2"].changeset.added == ("more",)
    lab.vote("p3", "ada")
    lab.vote("p3", "bob")
    lab.propose("p4", base.add_node(spec("plot")), by="cy")
    assert lab.told() == text("""
           0  ada on p3: approve
           0  bob on p3: approve
           0  p3 approved: 1.00 of more than 0.50
           0  p3 superseded: the graph is like that already
           0  cy proposes p4: +1 node
           0  p4 superseded: the graph is like that already
    """)


def test_replacing_a_node_in_each_state() -> None:
    lab = Diary("done > a > b", OwnerDecides())
    lab.start()
    lab.runs("done")
    lab.begins("a")
    lab.told()
    lab.propose("p1", lab.change().replace_node("b", spec("b", "2")))
    lab.propose("p2", lab.change().replace_node("a", spec("a", "2"), running="finish_old"))
    lab.propose("p3", lab.change().replace_node("a", spec("a", "3"), running="restart"))
    assert lab.told() == text("""
           0  ada proposes p1: ~1 node
           0  p1 opened
           0  p1 approved: ada is the owner
           0  p1 applied: ada is the owner
           0  v2 by ada: ~1 node
           0  ada proposes p2: ~1 node
           0  p2 opened
           0  p2 approved: ada is the owner
           0  p2 applied: ada is the owner
           0  v3 by ada: ~1 node
           0  ada proposes p3: ~1 node
           0  p3 opened
           0  p3 approved: ada is the owner
           0  p3 applied: ada is the owner
           0  v4 by ada: ~1 node, restarts a
              recall a#1
           0  submitted a#2
    """)
    lab.runs("a")
    lab.begins("b")
    lab.told()
    lab.propose("p4", lab.change().replace_node("done", spec("done", "2"), finished="keep"))
    lab.propose("p5", lab.change().replace_node("done", spec("done", "3"), finished="rerun"))
    assert lab.told() == text("""
           0  ada proposes p4: ~1 node
           0  p4 opened
           0  p4 approved: ada is the owner
           0  p4 applied: ada is the owner
           0  v5 by ada: ~1 node
           0  ada proposes p5: ~1 node
           0  p5 opened
           0  p5 approved: ada is the owner
           0  p5 applied: ada is the owner
           0  v6 by ada: ~1 node, restarts b, re-runs a, done
              recall b#1
           0  submitted done#2
    """)
    assert lab.states() == {"done": "READY", "a": "WAITING", "b": "WAITING"}
    lab.runs("done", "a", "b")
    assert lab.told() == text("""
           0  done started on w1
           0  done succeeded in 1.50 s
           0  submitted a#3
           0  a started on w1
           0  a succeeded in 1.50 s
           0  submitted b#2
           0  b started on w1
           0  b succeeded in 1.50 s
           0  the run ended: SUCCEEDED
    """)


def test_a_chain_in_the_pool_is_taken_back_when_a_part_of_it_changes() -> None:
    lab = Diary("a > b > c > d", OwnerDecides())
    lab.start(slots=1, lookahead=8)
    lab.begins("a")
    lab.told()
    lab.propose("p1", lab.change().replace_node("c", spec("c", "2")))
    assert lab.told() == text("""
           0  ada proposes p1: ~1 node
           0  p1 opened
           0  p1 approved: ada is the owner
           0  p1 applied: ada is the owner
           0  c, d taken back: changed in v2
           0  v2 by ada: ~1 node
              recall c#1, d#1
           0  submitted c#2
           0  submitted d#2
    """)
    assert lab.in_pool() == ["a#1", "b#1", "c#2", "d#2"]


def test_removing_a_node_and_adding_it_again() -> None:
    lab = Diary("load > fit > report, load > check", OwnerDecides())
    lab.start(slots=2)
    lab.runs("load")
    lab.begins("fit")
    lab.told()
    lab.propose("p1", lab.change().remove_node("report").remove_node("fit", running="restart"))
    assert lab.told() == text("""
           0  ada proposes p1: -2 nodes
           0  p1 opened
           0  p1 approved: ada is the owner
           0  p1 applied: ada is the owner
           0  v2 by ada: -2 nodes
              recall fit#1
    """)
    assert lab.state.gone["fit"].why == "removed by ada"
    lab.propose("p2", lab.change().add_node(spec("fit").after("load")))
    lab.succeeds("fit", fence=1)  # of the first one: stale
    assert lab.told() == text("""
           0  ada proposes p2: +1 node
           0  p2 opened
           0  p2 approved: ada is the owner
           0  p2 applied: ada is the owner
           0  v3 by ada: +1 node
           0  submitted fit#2
    """)
    assert "fit" not in lab.state.gone


def test_a_running_node_that_is_removed_may_end_but_its_result_counts_no_more() -> None:
    lab = Diary("load > fit", OwnerDecides())
    lab.start()
    lab.begins("load")
    lab.told()
    lab.propose("p1", lab.change().remove_node("load", running="finish_old"))
    lab.send(ms.Succeeded(1.0, "load", 1, 1.0, result("load")))
    lab.runs("fit")
    assert lab.told() == text("""
           0  ada proposes p1: -1 node
           0  p1 opened
           0  p1 approved: ada is the owner
           0  p1 applied: ada is the owner
           0  v2 by ada: -1 node
           0  submitted fit#1
           0  fit started on w1
           0  fit succeeded in 1.50 s
           0  the run ended: SUCCEEDED
    """)


def test_a_proposal_on_a_finished_node_is_rejected_with_a_check_that_names_node_rule_and_fix() -> None:
    lab = Diary("load > fit")
    lab.start()
    lab.runs("load")
    lab.told()
    assert lab.propose("p1", lab.change().replace_node("load", spec("load", "2"))) == "p1"
    assert lab.told() == text("""
           0  ada proposes p1: ~1 node
           0  p1 rejected: load has finished; say finished="keep" or finished="rerun"
    """)
    proposal = lab.state.proposals["p1"]
    assert proposal.state is ProposalState.REJECTED
    (broken,) = [check for check in proposal.checks if not check.ok]
    assert (broken.node, broken.rule) == ("load", "finished")
    assert broken.fix == 'say finished="keep" or finished="rerun"'


def test_checks_come_before_votes() -> None:
    lab = Diary("load > fit", OwnerDecides())
    lab.start()
    lab.pool(1, 0, {"gpu"})
    lab.told()
    lab.propose("p1", lab.change().add_node(spec("big", requires={"tpu", "gpu"})))
    lab.propose("p2", lab.change().add_node(spec("hungry", "1", "rows")))
    lab.propose("p3", lab.change().add_node(spec("fed", "1", "load")))
    assert lab.told() == text("""
           0  ada proposes p1: +1 node
           0  p1 rejected: big needs gpu, tpu, and no worker has it; start one
           0  ada proposes p2: +1 node
           0  p2 rejected: hungry: nothing fills its parameter 'rows'; add an edge that fills it, or params={'rows': …}
           0  ada proposes p3: +1 node
           0  p3 opened
           0  p3 approved: ada is the owner
           0  p3 applied: ada is the owner
           0  v2 by ada: +1 node
    """)


def test_who_may_propose() -> None:
    lab = Diary("load", OwnerDecides())
    lab.start()
    change = lab.change().add_node(spec("more"))
    lab.told()
    assert isinstance(lab.propose("p1", change, by="zoe"), NotAllowed)
    assert isinstance(lab.propose("p1", change, by="obi"), NotAllowed)
    assert lab.propose("p1", change, by="eve", priority=50) == "p1"
    assert lab.told() == text("""
              NotAllowed (stranger): 'zoe' takes no part in this run, so may not propose
              NotAllowed (observer): obi is an observer, so may not propose
           0  eve proposes p1: +1 node
           0  p1 opened
              ask ada about p1
              ask bob about p1
              ask cy about p1
    """)
    assert lab.state.proposals["p1"].priority == 10  # an executor's are capped


def test_the_same_id_is_the_same_proposal_and_another_change_under_it_is_refused() -> None:
    lab = Diary("load")
    lab.start()
    change = lab.change().add_node(spec("more"))
    lab.propose("p1", change)
    seq = lab.state.seq
    assert lab.propose("p1", change) == "p1"
    other = lab.propose("p1", lab.change().add_node(spec("other")))
    assert isinstance(other, Refused)
    assert other.rule == "id-taken"
    assert isinstance(lab.propose("p1", change, by="bob"), Refused)
    assert lab.state.seq == seq


def test_said_again_after_a_part_of_it_was_done_by_others_it_is_still_the_same_proposal() -> None:
    lab = Diary("load", OwnerDecides())
    lab.start()
    change = lab.change().add_node(spec("more")).add_node(spec("most"))
    lab.propose("p1", lab.change().add_node(spec("more")))
    assert lab.propose("p2", change, by="bob") == "p2"
    assert lab.state.proposals["p2"].changeset.added == ("most",)
    assert lab.propose("p2", change, by="bob") == "p2"


def test_a_stale_base() -> None:
    lab = Diary("load > fit")
    lab.start()
    elsewhere = Changeset.on(graph("quite > other")).add_node(spec("more"))
    refused = lab.propose("p1", elsewhere)
    assert isinstance(refused, StaleBase)
    assert (refused.rule, refused.fix) == ("stale-base", "make it anew: Changeset.on(run.dag)")
    assert "p1" not in lab.state.proposals


def test_after_the_end_of_the_run_the_hint_is_to_fork() -> None:
    lab = Diary("load")
    lab.start()
    lab.runs("load")
    assert lab.state.status == "SUCCEEDED"
    refused = lab.propose("p1", lab.change().add_node(spec("more")))
    assert isinstance(refused, AlreadyDecided)
    assert refused.fix == f"go on from it: run.fork(at={lab.state.seq})"


# -- votes


def test_votes_that_do_not_count_are_answered() -> None:
    lab = Diary("load > fit", Unanimous())
    lab.start()
    lab.propose("p1", lab.change().add_node(spec("more")))
    lab.told()
    lab.vote("p9", "bob")
    lab.vote("p1", "zoe")
    lab.vote("p1", "obi")
    lab.vote("p1", "ada")
    lab.send(ms.Join(1.0, Seat("dot")))
    lab.vote("p1", "dot")
    lab.vote("p1", "bob", False)
    lab.vote("p1", "cy", False)
    lab.vote("p1", "bob", True)
    assert lab.told() == text("""
              Refused (unknown-proposal): there is no proposal 'p9' in this run
              NotAllowed (stranger): 'zoe' takes no part in this run, so may not vote
              NotAllowed (observer): obi is an observer, so may not vote
              NotAllowed (own-proposal): ada made this proposal, so may not vote on it
           0  dot takes part as orchestrator
              NotAllowed (late-voter): dot joined after voting on p1 opened
           0  bob on p1: reject
           0  p1 rejected: 0.00 of 1.00, cannot be reached any more
              AlreadyDecided (decided): proposal p1 is REJECTED by bob: 0.00 of 1.00, cannot be reached any more
              AlreadyDecided (decided): proposal p1 is REJECTED by bob: 0.00 of 1.00, cannot be reached any more
    """)


def test_a_vote_may_be_changed_while_the_vote_is_open_and_said_twice_it_counts_once() -> None:
    lab = Diary("load > fit", Unanimous())
    lab.start()
    lab.propose("p1", lab.change().add_node(spec("more")))
    lab.told()
    lab.vote("p1", "bob", True, "fine")
    assert lab.vote("p1", "bob", True, "fine") is True
    lab.vote("p1", "bob", True, "very fine")
    lab.vote("p1", "bob", "request_changes", "on second thought")
    assert lab.told() == text("""
           0  bob on p1: approve "fine"
           0  bob on p1: approve "very fine"
           0  bob on p1: request changes "on second thought"
           0  p1 rejected: 0.00 of 1.00, cannot be reached any more
    """)


def test_advice_of_an_executor_has_no_weight() -> None:
    lab = Diary("load > fit")
    lab.start()
    lab.propose("p1", lab.change().add_node(spec("more")))
    assert lab.vote("p1", "eve") is True
    assert lab.state.proposals["p1"].tally(lab.policy, 0).text == "0.00 of more than 0.50, needs bob or cy"


def test_an_absent_voter_is_not_waited_for_and_may_still_come() -> None:
    lab = Diary("load > fit")
    lab.start()
    lab.propose("p1", lab.change().add_node(spec("more")))
    lab.told()
    lab.send(ms.VoterAbsent(1.0, "p1", "bob", "no answer in 60 s"))
    lab.send(ms.VoterAbsent(1.0, "p1", "bob", "again"))
    lab.send(ms.VoterAbsent(1.0, "p1", "zoe", "who?"))
    lab.vote("p1", "bob")
    lab.send(ms.VoterAbsent(1.0, "p1", "bob", "too late"))
    lab.send(ms.VoterAbsent(1.0, "p1", "cy", "no answer in 60 s"))
    assert lab.told() == text("""
           0  bob on p1: absent "no answer in 60 s"
           0  bob on p1: approve
           0  cy on p1: absent "no answer in 60 s"
           0  p1 approved: 1.00 of more than 0.50
           0  p1 applied: 1.00 of more than 0.50
           0  v2 by ada: +1 node
    """)


def test_the_electorate_is_frozen_when_voting_opens() -> None:
    lab = Diary("load > fit", Unanimous())
    lab.start()
    lab.propose("p1", lab.change().add_node(spec("more")))
    lab.send(ms.Join(1.0, Seat("cy", votes="here", weight=Fraction(9))))
    lab.send(ms.Join(1.0, Seat("dot")))
    lab.vote("p1", "bob")
    lab.vote("p1", "cy")
    assert lab.state.proposals["p1"].state is ProposalState.APPLIED


def test_nobody_may_vote_so_it_is_rejected_at_once() -> None:
    lab = Diary("load > fit", seats=(Seat("ada"),))
    lab.start()
    lab.told()
    lab.propose("p1", lab.change().add_node(spec("more")))
    assert lab.told() == text("""
           0  ada proposes p1: +1 node
           0  p1 opened
           0  p1 rejected: nobody may vote on this
    """)


def test_a_policy_that_has_no_opinion_lets_it_pass() -> None:
    for policy in (HumanApproval(above=5), Veto("bob"), Quorum(voters=0)):
        lab = Diary("load > fit", policy)
        lab.start()
        lab.propose("p1", lab.change().add_node(spec("more", cost=1)))
        assert lab.state.proposals["p1"].state is ProposalState.APPLIED


def test_an_edge_into_a_node_that_is_there_is_more_than_an_addition() -> None:
    lab = Diary("load > fit, other", HumanApproval(unless_additive=True))
    lab.start()
    lab.propose("p1", lab.change().add_edge("other", "fit"))
    lab.propose("p2", lab.change().add_node(spec("more").after("fit")))
    assert lab.state.proposals["p1"].state is ProposalState.REJECTED  # there is no person
    assert lab.state.proposals["p2"].state is ProposalState.APPLIED


# -- time


def test_a_deadline_expires_a_proposal() -> None:
    lab = Diary("load > fit", Majority() & Deadline(60))
    lab.start()
    lab.propose("p1", lab.change().add_node(spec("more")))
    lab.vote("p1", "bob")
    lab.told()
    assert lab.state.next_due() == 60
    lab.tick(59)
    lab.tick(1)
    assert lab.told() == text("""
          60  p1 expired: the deadline passed: reject
    """)
    assert lab.state.next_due() is None


def test_a_deadline_and_a_vote_at_the_same_instant_have_one_outcome_in_either_order() -> None:
    ends = []
    for vote_first in (True, False):
        lab = Diary("load > fit", Majority() & Deadline(60))
        lab.start()
        lab.propose("p1", lab.change().add_node(spec("more")))
        lab.vote("p1", "bob")
        lab.now = 60
        if not vote_first:
            lab.tick()
        answer = lab.vote("p1", "cy")
        lab.tick()
        proposal = lab.state.proposals["p1"]
        ends.append((proposal.state, proposal.why, proposal.decided_at, type(answer)))
    assert ends[0] == ends[1] == (ProposalState.EXPIRED, "the deadline passed: reject", 60.0, AlreadyDecided)


def test_a_vote_after_the_deadline_is_late_even_if_nobody_looked_at_the_clock() -> None:
    lab = Diary("load > fit", Majority() & Deadline(60))
    lab.start()
    lab.propose("p1", lab.change().add_node(spec("more")))
    lab.vote("p1", "bob")
    lab.told()
    lab.now = 75
    lab.vote("p1", "cy")
    assert lab.told() == text("""
          75  p1 expired: the deadline passed: reject
              AlreadyDecided (decided): proposal p1 is EXPIRED by the deadline: the deadline passed: reject
    """)


def test_a_deadline_that_has_passed_and_changed_nothing_is_not_due_again() -> None:
    policy = OwnerDecides() | (Unanimous() & Deadline(10)) | (Unanimous() & Deadline(30))
    lab = Diary("load > fit", policy)
    lab.start()
    lab.propose("p1", lab.change().add_node(spec("more")), by="bob")
    assert lab.state.next_due() == 10
    lab.tick(10)
    lab.vote("p1", "eve")  # any event: the state's own time moves on
    assert lab.state.next_due() == 30
    lab.tick(20)
    lab.vote("p1", "eve", False)
    assert lab.state.next_due() is None
    assert lab.state.proposals["p1"].state is ProposalState.OPEN


# -- withdrawing


def test_withdrawing() -> None:
    lab = Diary("load > fit")
    lab.start()
    lab.propose("p1", lab.change().add_node(spec("more")), by="bob")
    lab.propose("p2", lab.change().add_node(spec("even")), by="bob")
    lab.told()
    lab.send(ms.Withdraw(1.0, "p1", "cy"))
    lab.send(ms.Withdraw(1.0, "p1", "bob"))
    lab.send(ms.Withdraw(1.0, "p1", "bob"))
    lab.send(ms.Withdraw(1.0, "p2", "ada"))  # the owner
    lab.send(ms.Withdraw(1.0, "p3", "ada"))
    assert lab.told() == text("""
              NotAllowed (not-yours): cy did not make p1
           0  p1 withdrawn: withdrawn by bob
              AlreadyDecided (decided): proposal p1 is WITHDRAWN
           0  p2 withdrawn: withdrawn by ada
              Refused (unknown-proposal): there is no proposal 'p3' in this run
    """)


def test_what_the_deadline_has_accepted_is_not_withdrawn_any_more() -> None:
    lab = Diary("load > fit", Unanimous() & Deadline(60, "accept"))
    lab.start()
    lab.propose("p1", lab.change().add_node(spec("more")))
    lab.now = 75
    assert isinstance(lab.send(ms.Withdraw(75.0, "p1", "ada")), AlreadyDecided)
    assert lab.state.proposals["p1"].state is ProposalState.APPLIED


def test_the_most_urgent_proposal_comes_first() -> None:
    lab = Diary("load > fit")
    lab.start()
    for id_, priority in (("p1", 0), ("p2", 5), ("p3", 1000)):
        lab.propose(id_, lab.change().add_node(spec(f"more-{id_}")), priority=priority)
    assert [(p.id, p.priority) for p in lab.state.open_proposals()] == [("p3", 100), ("p2", 5), ("p1", 0)]


def test_an_agent_is_asked_only_where_it_has_a_vote_function() -> None:
    quiet = (Seat("ada"), Seat("bob", votes="here"), Seat("cy", human=True))
    lab = Diary("load > fit", seats=quiet)
    lab.start()
    lab.told()
    lab.propose("p1", lab.change().add_node(spec("more")))
    assert "ask bob about p1" in lab.told()
    assert len(seats()) == 5
