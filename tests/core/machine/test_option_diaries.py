"""What the options of nodes do to a run: conditions, failures that something stands in for, limits, waves, priority."""

from __future__ import annotations

from typing import Any

import pytest

from hexdag_lab.core.base.canon import digest
from hexdag_lab.core.dag.callback import Callback
from hexdag_lab.core.dag.code import Code, Param
from hexdag_lab.core.machine import effects as ef
from hexdag_lab.core.machine import events as ev
from hexdag_lab.core.machine import messages as ms
from hexdag_lab.core.machine.lanes import at_work
from hexdag_lab.core.machine.why import why
from hexdag_lab.core.runs.reuse import Found
from hexdag_lab.core.runs.run import NodeState, RunStatus
from hexdag_lab.core.votes.people import OwnerDecides
from hexdag_lab.core.votes.policy import Deadline

from .diary import Diary, graph, result, spec

SAYS = Callback(Code("says", "test", digest(b"says"), ()))
MENDS = Callback(Code("mends", "test", digest(b"mends"), (Param("failure", True),)))


def needing(up: str, name: str, **options: Any) -> Any:
    """A node that cannot go on without the result of `up`."""
    return spec(name, "1", up, **options).after(up)


class Lab(Diary):
    def skips(self, node: str, why: str = "its condition says() is false") -> None:
        self.begins(node)
        self.send(ms.Skipped(self.now, node, self.fence(node, None), 0.0, why))

    def indexed(self) -> list[ef.Index]:
        return [effect for effect in self.effects if isinstance(effect, ef.Index)]

    def is_(self, node: str) -> NodeState:
        return self.state.nodes[node].state


def small(**load: Any) -> Any:
    """load; fit cannot do without it, plot can; report cannot do without fit."""
    dag = graph("load > plot", load=load)
    return dag.add_node(needing("load", "fit")).add_node(needing("fit", "report"))


class TestConditions:
    def test_a_node_whose_condition_says_no_is_skipped_and_takes_along_what_needs_it(self) -> None:
        lab = Lab(small(when=SAYS))
        lab.start(slots=4)
        lab.told()
        lab.skips("load")
        assert lab.told().splitlines() == [
            "   0  load started on w1",
            "   0  load skipped: its condition says() is false",
            "   0  fit, report skipped: they need load, which has no result",
            "   0  submitted plot#1",
        ]
        assert why(lab.state, "load") == "its condition says() is false"
        assert why(lab.state, "fit") == "needs load, which was skipped"
        assert why(lab.state, "report") == "needs fit, which was skipped"

    def test_a_run_in_which_nodes_are_skipped_succeeds(self) -> None:
        lab = Lab(small(when=SAYS))
        lab.start(slots=4)
        lab.skips("load")
        lab.runs("plot")
        assert lab.state.status is RunStatus.SUCCEEDED

    def test_what_can_go_on_without_gets_nothing_from_a_skipped_node(self) -> None:
        lab = Lab(small(when=SAYS))
        lab.start(slots=4)
        lab.skips("load")
        assert [given.up for given in lab.task("plot").inputs] == []

    def test_what_was_submitted_on_the_strength_of_it_is_taken_back(self) -> None:
        lab = Lab(small(when=SAYS))
        lab.start(slots=4, lookahead=8)
        assert lab.in_pool() == ["fit#1", "load#1", "plot#1", "report#1"]
        lab.skips("load")
        assert lab.in_pool() == ["plot#2"]

    def test_a_skip_that_rests_on_a_result_that_may_never_come_does_not_count(self) -> None:
        lab = Lab(graph("a > b", b={"when": SAYS}))
        lab.start(slots=4, lookahead=8)
        lab.skips("b")
        assert lab.is_("b") is not NodeState.SKIPPED
        lab.runs("a")
        lab.skips("b")
        assert lab.is_("b") is NodeState.SKIPPED

    def test_a_stale_skip_changes_nothing(self) -> None:
        lab = Lab(graph("a", a={"when": SAYS, "retries": 1, "backoff": 0}))
        lab.start()
        lab.begins("a")
        lab.fails("a")
        lab.send(ms.Skipped(0, "a", 1, 0.0, "its condition says no"))
        assert lab.is_("a") is NodeState.READY

    def test_it_is_asked_again_when_an_upstream_runs_again(self) -> None:
        lab = Lab(graph("a > b", b={"when": SAYS}), OwnerDecides())
        lab.start(slots=4)
        lab.runs("a")
        lab.propose("p1", lab.change().add_node(spec("keeps-it-open", requires={"gpu"})))
        lab.skips("b")
        lab.propose("p2", lab.change().replace_node("a", spec("a", "2"), finished="rerun"))
        assert lab.is_("b") is NodeState.WAITING
        lab.runs("a", "b")
        assert lab.is_("b") is NodeState.SUCCEEDED

    def test_a_skipped_node_counts_as_finished_and_runs_if_a_change_says_so(self) -> None:
        lab = Lab(small(when=SAYS), OwnerDecides())
        lab.start(slots=4)
        lab.skips("load")
        lab.propose("p1", lab.change().replace_node("load", spec("load", "2")))
        assert lab.state.proposals["p1"].state == "REJECTED"
        lab.propose("p2", lab.change().replace_node("load", spec("load", "2"), finished="rerun"))
        assert [lab.is_(n) for n in ("load", "fit", "report")] == ["READY", "WAITING", "WAITING"]

    def test_a_node_added_below_a_skipped_one_is_skipped_at_once(self) -> None:
        lab = Lab(small(when=SAYS), OwnerDecides())
        lab.start(slots=4)
        lab.skips("load")
        lab.propose("p1", lab.change().add_node(needing("load", "late")))
        assert lab.is_("late") is NodeState.SKIPPED
        assert why(lab.state, "late") == "needs load, which was skipped"

    def test_what_was_blocked_is_skipped_when_the_failure_is_put_right_but_another_input_is_absent(self) -> None:
        dag = graph("a, b, open", b={"when": SAYS}).add_node(spec("c", "1", "a", "b").after("a", "b"))
        lab = Lab(dag, OwnerDecides())
        lab.start(slots=4)
        lab.begins("a")
        lab.fails("a")
        lab.skips("b")
        assert lab.is_("c") is NodeState.BLOCKED
        lab.propose("p1", lab.change().replace_node("a", spec("a", "2"), finished="rerun"))
        assert lab.is_("c") is NodeState.SKIPPED
        assert lab.is_("a") is NodeState.READY


class TestOptionalNodes:
    def test_its_failure_does_not_fail_the_run_and_what_needs_it_is_skipped(self) -> None:
        lab = Lab(small(optional=True))
        lab.start(slots=4)
        lab.begins("load")
        lab.fails("load")
        assert [lab.is_(n) for n in ("load", "fit", "report", "plot")] == ["FAILED", "SKIPPED", "SKIPPED", "READY"]
        assert why(lab.state, "fit") == "needs load, which failed"
        lab.runs("plot")
        assert lab.state.status is RunStatus.SUCCEEDED

    def test_it_has_all_its_retries_first(self) -> None:
        lab = Lab(small(optional=True, retries=1, backoff=0))
        lab.start(slots=4)
        lab.begins("load")
        lab.fails("load")
        assert lab.is_("fit") is NodeState.WAITING
        lab.runs("load")
        assert lab.is_("fit") is NodeState.READY

    def test_a_node_that_is_not_optional_still_blocks_and_fails_the_run(self) -> None:
        lab = Lab(small())
        lab.start(slots=4)
        lab.begins("load")
        lab.fails("load")
        assert [lab.is_(n) for n in ("fit", "plot")] == ["BLOCKED", "BLOCKED"]
        assert lab.state.status is RunStatus.FAILED

    def test_one_that_fails_before_it_is_known_to_have_started(self) -> None:
        lab = Lab(graph("a > b", b={"optional": True}))
        lab.start(slots=4, lookahead=8)
        lab.fails("b")
        assert lab.is_("b") is NodeState.FAILED
        lab.runs("a")
        assert lab.state.status is RunStatus.SUCCEEDED


class TestStandIns:
    def test_once_no_retry_is_left_on_error_is_called_and_its_result_is_the_nodes(self) -> None:
        lab = Lab(graph("load > fit", load={"on_error": MENDS, "retries": 1, "backoff": 0}))
        lab.start()
        lab.begins("load")
        lab.fails("load")
        assert lab.task("load").failure is None
        lab.begins("load")
        lab.fails("load")
        assert str(lab.task("load").failure) == "ValueError: no luck"
        lab.told()
        lab.runs("load", "fit")
        assert lab.state.status is RunStatus.SUCCEEDED
        assert why(lab.state, "load") == "on_error stands in for its result: ValueError: no luck"

    def test_if_it_fails_itself_the_node_has_failed_and_both_errors_are_said(self) -> None:
        lab = Lab(graph("load > fit", load={"on_error": MENDS, "retries": 3, "backoff": 0}))
        lab.start()
        for _ in range(5):
            lab.begins("load")
            lab.fails("load")
        assert lab.is_("load") is NodeState.FAILED
        assert why(lab.state, "load") == "ValueError: no luck (in on_error, after ValueError: no luck)"
        assert lab.is_("fit") is NodeState.BLOCKED

    def test_it_also_stands_in_for_a_node_that_kills_its_workers(self) -> None:
        lab = Lab(graph("load", load={"on_error": MENDS}))
        lab.start()
        for _ in range(4):
            lab.begins("load")
            lab.loses("load")
        assert "given up after 4 lost attempts" in str(lab.task("load").failure)
        lab.runs("load")
        assert lab.state.status is RunStatus.SUCCEEDED

    def test_a_stand_in_is_never_found_under_the_nodes_key(self) -> None:
        lab = Lab(graph("load", load={"on_error": MENDS, "cache": True}))
        lab.start()
        lab.send(ms.LookedUp(0, (Found("load", lab.state.nodes["load"].reuse.asked),)))
        lab.begins("load")
        lab.fails("load")
        lab.runs("load")
        assert lab.state.status is RunStatus.SUCCEEDED
        assert lab.indexed() == []

    def test_after_a_crash_of_the_controller_it_is_still_the_stand_ins_turn(self) -> None:
        lab = Lab(graph("load", load={"on_error": MENDS}))
        lab.start()
        lab.begins("load")
        lab.fails("load")
        lab.send(ms.Attach(0, "lab"))
        assert lab.task("load").failure is not None


class TestLanes:
    def dag(self, limit: int | None, **options: Any) -> Any:
        fits = {f"fit{i}": {"kind": "fit", "concurrency": limit, **options} for i in range(5)}
        return graph(", ".join(["load", *fits]), **fits)

    def test_of_one_function_only_so_many_are_at_work(self) -> None:
        lab = Lab(self.dag(2))
        lab.start(slots=8, lookahead=8)
        assert lab.in_pool() == ["fit0#1", "fit1#1", "load#1"]
        assert why(lab.state, "fit3") == "waits for its turn: 2 of at most 2 of fit() are at work (fit0, fit1)"
        lab.runs("fit0")
        assert lab.in_pool() == ["fit1#1", "fit2#1", "load#1"]
        lab.runs("load", "fit1", "fit2", "fit3", "fit4")
        assert lab.state.status is RunStatus.SUCCEEDED

    @pytest.mark.parametrize("how", ["fails", "loses", "suspends"])
    def test_a_place_is_free_again_however_an_attempt_ends(self, how: str) -> None:
        lab = Lab(self.dag(1, retries=1, backoff=60))
        lab.start(slots=8)
        lab.begins("fit0")
        lab.suspends("fit0", "p") if how == "suspends" else getattr(lab, how)("fit0")
        assert len(at_work(lab.state, "test:fit")) == 1

    def test_what_waits_for_an_upstream_holds_no_place(self) -> None:
        lab = Lab(graph("load > fit0, fit1", fit0=(one := {"kind": "fit", "concurrency": 1}), fit1=one))
        lab.start(slots=8, lookahead=8)
        assert lab.in_pool() == ["fit1#1", "load#1"]

    def test_a_change_of_the_limit_counts_from_the_next_one_on(self) -> None:
        lab = Lab(self.dag(1), OwnerDecides())
        lab.start(slots=8)
        change = lab.change()
        for name in ("fit1", "fit2"):
            change = change.replace_node(name, lab.state.dag.nodes[name].but(concurrency=3))
        lab.propose("p1", change)
        assert [n for n in lab.in_pool() if n.startswith("fit")] == ["fit0#1", "fit1#1", "fit2#1"]

    def test_what_runs_when_a_limit_is_introduced_counts(self) -> None:
        lab = Lab(self.dag(None), OwnerDecides())
        lab.start(slots=1)
        lab.begins("fit0")
        change = lab.change()
        for n in range(5):
            new = lab.state.dag.nodes[f"fit{n}"].but(concurrency=1)
            change = change.replace_node(f"fit{n}", new, running="finish_old")
        lab.propose("p1", change)
        lab.pool(8)
        assert [n for n in lab.in_pool() if n.startswith("fit")] == ["fit0#1"]

    def test_a_removed_node_leaves_its_lane(self) -> None:
        lab = Lab(self.dag(1), OwnerDecides())
        lab.start(slots=8)
        lab.propose("p1", lab.change().remove_node("fit1"))
        lab.runs("fit0")
        assert "fit2#1" in lab.in_pool()


class TestPriority:
    def test_what_is_on_the_longest_chain_goes_first(self) -> None:
        lab = Lab("a, b, z > y > x > w")
        lab.start(slots=1)
        assert lab.in_pool() == ["z#1"]
        lab.runs("z")
        assert lab.in_pool() == ["y#1"]

    def test_a_change_that_makes_a_chain_longer_moves_it_ahead(self) -> None:
        lab = Lab("a, b > c, d", OwnerDecides())
        lab.start(slots=1)
        assert lab.in_pool() == ["b#1"]
        lab.propose("p1", lab.change().add_node(spec("e").after("d")).add_node(spec("f").after("e")))
        lab.runs("b")
        assert lab.in_pool() == ["d#1"]

    def test_the_pool_is_told_what_is_more_urgent(self) -> None:
        lab = Lab("a, z > y")
        lab.start(slots=2)
        assert lab.task("z").priority > lab.task("a").priority


class TestWhy:
    def test_below_a_node_that_does_not_move_it_is_said_what_keeps_that_one(self) -> None:
        lab = Lab(graph("train > report > page", train={"requires": {"gpu"}}))
        lab.start()
        lab.pool(2, 0, {"cpu"})
        assert why(lab.state, "train") == 'no worker has "gpu"'
        assert why(lab.state, "report") == 'waits for train (train: no worker has "gpu")'
        assert why(lab.state, "page") == "waits for report"

    def test_capabilities_that_no_worker_has_together_are_all_named(self) -> None:
        lab = Lab(graph("train", train={"requires": {"gpu", "db"}}))
        lab.start()
        lab.pool(2, 0, {"gpu"}, {"db"})
        assert why(lab.state, "train") == 'no worker has all of "db", "gpu"'

    def test_of_many_upstreams_some_are_named(self) -> None:
        lab = Lab(", ".join(f"u{i} > join" for i in range(7)))
        lab.start(slots=1)
        lab.begins("u0")
        assert why(lab.state, "join") == "waits for u0, u1, u2, u3, u4, …"

    def test_nothing_is_said_while_it_moves(self) -> None:
        lab = Lab("a > b")
        lab.start(slots=2)
        lab.begins("a")
        assert why(lab.state, "a") is None
        lab.succeeds("a")
        assert why(lab.state, "a") is None
        assert why(lab.state, "b") is None


class TestDispatch:
    def test_a_node_goes_when_its_own_upstreams_are_done_whatever_else_is_left(self) -> None:
        lab = Lab("a > b > c, slow")
        lab.start(slots=2)
        lab.begins("slow")
        lab.runs("a", "b", "c")
        assert lab.states() == {"a": "SUCCEEDED", "b": "SUCCEEDED", "c": "SUCCEEDED", "slow": "RUNNING"}

    def test_what_follows_is_given_along_up_to_the_next_gate(self) -> None:
        lab = Lab(graph("a > b > mail > c, a > d > e", mail={"effects": True}))
        lab.start(slots=1, lookahead=8)
        assert lab.in_pool() == ["a#1", "b#1", "d#1", "e#1"]

    def test_an_accepted_change_is_chained_to_what_is_there_and_takes_back_only_what_it_touches(self) -> None:
        lab = Lab("a > b > c, a > d > e", OwnerDecides())
        lab.start(slots=1, lookahead=8)
        lab.begins("a")
        lab.told()
        change = lab.change().replace_node("b", spec("b", "2")).add_node(spec("more").after("e"))
        lab.propose("p1", change)
        assert "      recall b#1, c#1" in lab.told().splitlines()
        assert lab.in_pool() == ["a#1", "b#2", "c#2", "d#1", "e#1", "more#1"]
        assert [given.fence for given in lab.task("more").inputs] == [1]


class TestWaves:
    def test_each_wave_is_said_to_be_done_once(self) -> None:
        lab = Lab("a > b > c, d", schedule="waves")
        lab.start(slots=4)
        for name in ("a", "d", "b", "c"):
            lab.runs(name)
        done = [event for event in lab.events if isinstance(event, ev.WaveCompleted)]
        assert [(e.wave, e.waves, e.nodes) for e in done] == [(1, 3, 2), (2, 3, 1), (3, 3, 1)]

    def test_a_ready_schedule_knows_no_waves(self) -> None:
        lab = Lab("a > b")
        lab.start(slots=4)
        lab.runs("a", "b")
        assert not [event for event in lab.events if isinstance(event, ev.WaveCompleted)]

    def test_a_node_of_a_later_wave_says_what_it_waits_for(self) -> None:
        lab = Lab("a > b, c > d", schedule="waves")
        lab.start(slots=4)
        lab.runs("a")
        assert why(lab.state, "b") == "waits for wave 1 to be done: c"

    def test_a_wave_that_a_change_opens_again_is_completed_again(self) -> None:
        lab = Lab("a > b > c", OwnerDecides(), schedule="waves")
        lab.start(slots=4)
        lab.runs("a", "b")
        lab.propose("p1", lab.change().add_node(spec("late")))
        assert lab.in_pool() == ["c#1", "late#1"]
        lab.runs("late", "c")
        waves = [event.wave for event in lab.events if isinstance(event, ev.WaveCompleted)]
        assert waves == [1, 2, 1, 2, 3]

    def test_skipped_and_failed_optional_nodes_do_not_hold_a_wave_up(self) -> None:
        lab = Lab(graph("a, b > c", a={"when": SAYS}, b={"optional": True}), schedule="waves")
        lab.start(slots=4)
        lab.skips("a")
        lab.begins("b")
        lab.fails("b")
        assert lab.in_pool() == ["c#1"]


DAYS = 3 * 86_400.0


class TestWaitingForDays:
    def test_a_decision_is_acted_on_days_later_by_another_controller(self) -> None:
        lab = Lab("load > ask > report", OwnerDecides())
        lab.start(slots=1)
        lab.runs("load")
        lab.propose("p1", lab.change().add_node(spec("more").after("ask")), by="bob")
        lab.begins("ask")
        lab.suspends("ask", "p1", saved=result("what it saved"))
        assert lab.in_pool() == []  # it holds no slot
        assert why(lab.state, "ask") == "waits for proposal p1 (open to votes: needs ada)"
        lab.now += DAYS
        lab.crash()
        lab.pool(1)
        assert lab.is_("ask") is NodeState.SUSPENDED
        lab.vote("p1", "ada")
        task = lab.task("ask")
        assert (task.decision, task.saved) == ("APPLIED", result("what it saved"))
        lab.runs("ask", "more", "report")
        assert lab.state.status is RunStatus.SUCCEEDED

    def test_while_it_waits_its_slot_serves_others(self) -> None:
        lab = Lab("ask, other", OwnerDecides())
        lab.start(slots=1)
        lab.propose("p1", lab.change().add_node(spec("more").after("ask")), by="bob")
        lab.begins("ask")
        lab.suspends("ask", "p1")
        assert lab.in_pool() == ["other#1"]

    def test_time_that_has_run_out_meanwhile_is_a_decision_as_well(self) -> None:
        lab = Lab("ask", OwnerDecides() & Deadline(600, "reject"))
        lab.start(slots=1)
        lab.propose("p1", lab.change().add_node(spec("more").after("ask")), by="bob")
        lab.begins("ask")
        lab.suspends("ask", "p1")
        lab.now += DAYS
        lab.crash()
        lab.pool(1)
        lab.tick()
        assert lab.task("ask").decision == "EXPIRED"

    def test_a_run_that_was_paused_lets_it_go_on_only_when_it_is_resumed(self) -> None:
        lab = Lab("ask", OwnerDecides())
        lab.start(slots=1)
        lab.propose("p1", lab.change().add_node(spec("more").after("ask")), by="bob")
        lab.begins("ask")
        lab.suspends("ask", "p1")
        lab.send(ms.Pause(0, "ada"))
        lab.vote("p1", "ada")
        assert lab.in_pool() == []
        assert why(lab.state, "ask") == "the run is paused"
        lab.send(ms.Resume(0, "ada"))
        assert lab.in_pool() == ["ask#2"]
