"""A run as a notebook holds it: results, states, versions, events, the past, forks, pauses and ends."""

from __future__ import annotations

import re

import pytest

import hexdag_lab as hx
from tests.lab import gates
from tests.lab.conftest import fit, load, report, until


def test_start_returns_at_once_and_wait_gives_the_results(lab: hx.Lab, slow_dag: hx.Dag) -> None:
    run = lab.start(slow_dag)
    assert run.status == "RUNNING"
    gates.open_gate("held")
    assert run.wait(10) == {"load": "data.csv", "fit": "data.csv@3", "held": "DATA.CSV"} == run.results()
    assert run.status == hx.RunStatus.SUCCEEDED == "SUCCEEDED"
    assert run.wait() == run.results(), "waiting for what is over gives the same again"


def test_inputs_by_name_and_by_node_and_parameter(lab: hx.Lab, dag: hx.Dag) -> None:
    run = lab.start(dag, inputs={"path": "x.csv", "fit.depth": 5})
    assert run.wait(10)["fit"] == "x.csv@5"
    assert run.inputs("fit") == {"depth": 5, "load": "x.csv"} == run.inputs(fit)
    assert run.inputs("load") == {"path": "x.csv"}
    assert lab.start(dag, inputs={"load.path": "y.csv", "depth": 1}).wait(10)["fit"] == "y.csv@1"


def test_an_input_by_node_and_parameter_goes_before_the_graphs_own_value(lab: hx.Lab) -> None:
    dag = hx.Dag.of(load, fit.as_node("fit", depth=8).after("load"))
    assert lab.start(dag, inputs={"fit.depth": 9}).wait(10)["fit"] == "data.csv@9"
    run = lab.start(dag)
    assert run.wait(10)["fit"] == "data.csv@8"
    assert run.inputs("fit")["depth"] == 8


def test_a_parameter_that_takes_all_gets_its_inputs_by_name(lab: hx.Lab) -> None:
    run = lab.start(hx.Dag.of(load, hx.NodeSpec("all", lambda **up: sorted(up)).after("load")))
    assert run.wait(10)["all"] == ["load"]
    assert run.inputs("all") == {"up": {"load": "data.csv"}}


def test_nodes_say_state_why_attempt_version_worker_seconds_and_code(running: hx.Run) -> None:
    done, busy = running.nodes["fit"], running.nodes["held"]
    assert (done.state, done.why, done.attempt, done.version) == ("SUCCEEDED", None, 1, 1)
    assert done.worker
    assert done.seconds >= 0
    assert re.fullmatch("[0-9a-f]{64}", done.code_hash)
    assert busy.state == hx.NodeState.RUNNING
    assert running.why("held") is None, "why is None while it moves"
    assert list(running.nodes) == ["fit", "held", "load"]


def test_why_names_what_a_node_waits_for(lab: hx.Lab, slow_dag: hx.Dag) -> None:
    run = lab.start(slow_dag.add_node(hx.NodeSpec("last", lambda held: held)))
    gates.reached("held")
    assert run.why("last") == "waits for held" == run.nodes["last"].why


def test_result_never_blocks(running: hx.Run) -> None:
    with pytest.raises(hx.NotFinished, match="held has no result: it is RUNNING"):
        running.result("held")
    assert running.result("fit") == "data.csv@3"
    assert running.results() == {"load": "data.csv", "fit": "data.csv@3"}, "the results so far"


def test_inputs_of_a_node_whose_upstream_has_no_result(lab: hx.Lab, slow_dag: hx.Dag) -> None:
    run = lab.start(slow_dag.add_node(hx.NodeSpec("last", lambda held: held)))
    with pytest.raises(hx.NotFinished, match="held"):
        run.inputs("last")


def test_versions_of_a_run_count_applied_proposals(running: hx.Run) -> None:
    for name in ("one", "two"):
        p = running.propose(running.dag.add_node(report.as_node(name).after("fit")), reason=f"adds {name}")
        assert p.state == "APPLIED", "the owner's own changes pass at once in the preset solo"
    assert [v.number for v in running.versions] == [1, 2, 3]
    third = running.versions[2]
    assert (third.by, third.reason, third.proposal) == ("dana", "adds two", p.id)
    assert third.digest == third.dag.digest == running.dag.digest
    assert third.dag.version == 3
    assert running.versions[0].at <= running.versions[1].at <= third.at
    assert running.diff(1, 3).added == ("one", "two")
    assert running.diff(3, 1).removed == ("one", "two")
    gates.open_gate("held")
    assert running.wait(10)["two"] == "<data.csv@3>"


def test_events_are_numbered_from_one_and_say_what_they_are_about(running: hx.Run) -> None:
    events = running.events()
    assert [event.seq for event in events] == list(range(1, len(events) + 1))
    assert events[0].kind == "RunStarted"
    done = next(event for event in events if event.kind == "NodeSucceeded")
    assert (done.node, done.version) == ("load", 1)
    assert done.at > 0
    assert events[0].node is None
    assert running.events(after=3) == events[3:]
    assert running.events(after=-1) == events
    assert running.events(after=10_000) == ()


def test_observe_gets_later_events_in_order_until_it_is_stopped(running: hx.Run) -> None:
    seen: list[int] = []
    since = len(running.events())
    stop = running.observe(lambda event: seen.append(event.seq))
    running.propose(running.dag.add_node(report.as_node("one").after("fit")))
    until(lambda: seen and seen[-1] >= len(running.events()))
    assert seen == list(range(since + 1, since + 1 + len(seen)))
    stop()
    gates.open_gate("held")
    running.wait(10)
    assert len(seen) < len(running.events()) - since


def test_an_observer_that_fails_stalls_nobody(running: hx.Run, caplog: pytest.LogCaptureFixture) -> None:
    running.observe(lambda event: 1 / 0)
    gates.open_gate("held")
    assert running.wait(10)["held"] == "DATA.CSV"
    until(lambda: "an observer failed" in caplog.text)


def test_story_tells_what_happened_to_a_node(running: hx.Run) -> None:
    story = running.story("fit")
    assert "run run-1 started by dana" in story[0]
    assert "fit succeeded in" in story[-1]
    assert running.story(fit) == story
    assert not any("held" in line for line in story if "submitted" not in line)


def test_at_shows_the_past_and_runs_nothing(running: hx.Run) -> None:
    running.propose(running.dag.add_node(report.as_node("one").after("fit")))
    gates.open_gate("held")
    running.wait(10)
    calls = list(gates.calls)
    first = running.at(1)
    assert (first.status, len(first.versions), list(first.nodes)) == ("RUNNING", 1, ["fit", "held", "load"])
    assert all(node.state in ("WAITING", "READY") for node in first.nodes.values())
    done = next(e.seq for e in running.events() if e.kind == "NodeSucceeded" and e.node == "load")
    assert running.at(done).result("load") == "data.csv"
    assert running.at(done - 1).nodes["load"].state != "SUCCEEDED"
    assert running.at(running.seq).nodes == running.nodes
    assert gates.calls == calls
    for seq in (0, running.seq + 1):
        with pytest.raises(ValueError, match=r"has events 1 to \d+, and no"):
            running.at(seq)


def test_reload_changes_code_for_later_attempts_and_keeps_what_is_done(running: hx.Run) -> None:
    old = running.nodes["fit"].code_hash

    def fit(load: str, depth: int = 3) -> str:
        return "new"

    p = running.reload(fit)
    assert p.state == "APPLIED"
    assert p.reason == "new code for fit"
    assert running.result("fit") == "data.csv@3", "a finished result stays"
    assert running.nodes["fit"].code_hash != old
    p = running.reload(hx.NodeSpec("held", lambda load: "never runs"), reason="typo")
    assert (p.state, p.reason) == ("APPLIED", "typo")
    gates.open_gate("held")
    assert running.wait(10)["held"] == "DATA.CSV", "what runs finishes on the code it began with"


def test_reload_takes_effect_where_a_node_has_not_started(lab: hx.Lab, slow_dag: hx.Dag) -> None:
    run = lab.start(slow_dag.add_node(hx.NodeSpec("last", lambda held: f"old {held}")))
    gates.reached("held")
    run.reload(hx.NodeSpec("last", lambda held: f"new {held}"))
    gates.open_gate("held")
    assert run.wait(10)["last"] == "new DATA.CSV"


def test_pause_starts_nothing_more_and_resume_goes_on(lab: hx.Lab, slow_dag: hx.Dag) -> None:
    run = lab.start(slow_dag.add_node(hx.NodeSpec("last", lambda held: held)))
    gates.reached("held")
    run.pause()
    assert run.status == "PAUSED"
    gates.open_gate("held")
    until(lambda: run.nodes["held"].state == "SUCCEEDED")
    assert run.nodes["last"].state == "READY"
    assert run.why("last") == "the run is paused"
    with pytest.raises(TimeoutError):
        run.wait(0.05)
    run.resume()
    assert run.wait(10)["last"] == "DATA.CSV"


def test_cancel_ends_the_run_and_keeps_what_finished(running: hx.Run) -> None:
    running.cancel()
    assert running.status == "CANCELLED"
    with pytest.raises(hx.RunFailed, match="run run-1 is CANCELLED") as failed:
        running.wait(10)
    assert failed.value.results == {"load": "data.csv", "fit": "data.csv@3"}
    with pytest.raises(hx.AlreadyDecided, match="run run-1 is CANCELLED"):
        running.pause()


def test_only_an_orchestrator_steers(lab: hx.Lab, running: hx.Run) -> None:
    lab.add_agent(hx.Agent("worker", role="executor"))
    for who in ("worker", "stranger"):
        with pytest.raises(hx.NotAllowed, match="may not steer"):
            running.cancel(by=who)
    assert running.status == "RUNNING"


def test_a_node_that_raises_blocks_its_dependents_and_the_rest_finishes(lab: hx.Lab) -> None:
    def broken(load: str) -> str:
        raise RuntimeError("no disk")

    dag = hx.Dag.of(
        load,
        fit.after("load"),
        hx.NodeSpec("broken", broken),
        hx.NodeSpec("last", lambda broken: broken),
        hx.NodeSpec("very_last", lambda last: last),
    )
    run = lab.start(dag)
    with pytest.raises(hx.RunFailed, match="broken: RuntimeError: no disk") as failed:
        run.wait(10)
    assert failed.value.results == {"load": "data.csv", "fit": "data.csv@3"}
    assert run.status == "FAILED"
    assert run.nodes["broken"].state == "FAILED"
    assert "no disk" in str(run.why("broken"))
    assert "in broken" in run.nodes["broken"].trace
    assert [run.nodes[n].state for n in ("last", "very_last")] == ["BLOCKED", "BLOCKED"]
    assert run.why("very_last") == "upstream broken failed"


def test_retries_and_backoff_until_it_works(lab: hx.Lab) -> None:
    def shaky() -> int:
        from tests.lab import gates

        gates.called("shaky")
        if len(gates.calls) < 3:
            raise OSError("again")
        return len(gates.calls)

    run = lab.start(hx.Dag.of(hx.NodeSpec("shaky", shaky, retries=2, backoff=0.01)))
    assert run.wait(10) == {"shaky": 3}
    assert run.nodes["shaky"].attempt == 3


def test_a_run_ends_only_when_no_proposal_is_open(lab: hx.Lab, running: hx.Run) -> None:
    lab.add_agent(hx.Agent("critic"))
    p = running.propose(hx.Changeset.on(running.dag).add_node(report.after("fit")), by="critic")
    gates.open_gate("held")
    until(lambda: running.nodes["held"].state == "SUCCEEDED")
    with pytest.raises(TimeoutError):
        running.wait(0.1)
    p.vote("dana", "approve")
    assert running.wait(10)["report"] == "<data.csv@3>"


def test_a_run_ends_only_when_every_hook_has_returned(lab: hx.Lab, dag: hx.Dag) -> None:
    def on_event(event: object, context: object) -> None:
        from tests.lab import gates

        gates.pass_through("hook")

    lab.add_agent(hx.Agent("watcher", on_event=on_event))
    run = lab.start(dag)
    until(lambda: run.nodes["fit"].state == "SUCCEEDED")
    gates.reached("hook")
    with pytest.raises(TimeoutError):
        run.wait(0.1)
    assert run.status == "RUNNING"
    gates.open_gate("hook")
    run.wait(10)


def test_after_the_end_a_proposal_is_refused_and_the_hint_is_fork(lab: hx.Lab, dag: hx.Dag) -> None:
    run = lab.start(dag)
    run.wait(10)
    with pytest.raises(hx.AlreadyDecided, match=r"run run-1 is SUCCEEDED.*run\.fork\(at=\d+\)") as refused:
        run.propose(run.dag.add_node(report.after("fit")))
    assert refused.value.rule == "run-over"
    forked = run.fork()
    assert forked.id == "run-2"
    assert (forked.status, forked.results()) == ("SUCCEEDED", run.results()) or forked.wait(10) == run.results()


def test_fork_takes_over_what_had_finished_then_and_runs_the_rest(running: hx.Run, lab: hx.Lab) -> None:
    gates.open_gate("held")
    running.wait(10)
    before = list(gates.calls)
    done = next(e.seq for e in running.events() if e.kind == "NodeSucceeded" and e.node == "held")
    again = running.fork(at=done - 1, run_id="what-if")
    assert again.id == "what-if"
    assert again.wait(10) == running.results()
    assert gates.calls == [*before, "held"], "only what had not finished by then runs"
    assert again.versions[0].number == 1
    lab_runs = [row.id for row in lab.runs()]
    assert lab_runs == ["run-1", "what-if"]


def test_fork_goes_on_with_the_graph_and_inputs_of_that_time(lab: hx.Lab, slow_dag: hx.Dag) -> None:
    run = lab.start(slow_dag, inputs={"path": "z"})
    gates.reached("held")
    until(lambda: run.nodes["fit"].state == "SUCCEEDED")
    before = run.seq
    run.propose(run.dag.add_node(report.after("fit")))
    gates.open_gate("held")
    run.wait(10)
    assert "report" not in run.fork(at=before).wait(10)
    assert run.fork().wait(10)["report"] == "<z@3>"


def test_waves_as_a_schedule(lab: hx.Lab, slow_dag: hx.Dag) -> None:
    run = lab.start(slow_dag.add_node(report.after("fit")), schedule="waves")
    gates.reached("held")
    until(lambda: run.nodes["fit"].state == "SUCCEEDED")
    assert run.nodes["report"].state == "READY", "its wave has not begun"
    gates.open_gate("held")
    run.wait(10)


def test_the_empty_graph_ends_at_once(lab: hx.Lab) -> None:
    assert lab.start(hx.Dag.of()).wait(10) == {}


def test_shown_as_text(running: hx.Run) -> None:
    assert repr(running) == "<Run run-1: RUNNING, v1, 2/3 nodes>"
    assert {"status", "nodes", "versions", "result", "why", "propose", "wait"} <= set(dir(running))
    with pytest.raises(AttributeError, match="no_such_thing"):
        _ = running.no_such_thing
