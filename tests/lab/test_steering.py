"""Moving a node, and ending a run: proposals under the same policy, with the same journal."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

import hexdag_lab as hx
from tests.lab import gates
from tests.lab.conftest import until


@hx.node
def walk(steps: int = 4) -> Iterator[int]:
    """Has a safe point after each step, and waits at the gate in the middle of the third."""
    import hexdag_lab as hx
    from tests.lab import gates

    for step in range((hx.context().restored or 0) + 1, steps + 1):
        if step == 3:
            gates.pass_through("held")
        gates.called(f"step {step}")
        yield step


@pytest.fixture
def walking(lab: hx.Lab) -> hx.Run:
    """A run in which `walk` is in the middle of its third step."""
    run = lab.start(hx.Dag.of(walk))
    gates.reached("held")
    return run


def test_a_node_goes_on_elsewhere_from_its_next_safe_point(walking: hx.Run) -> None:
    p = walking.migrate("walk")
    assert (p.state, p.kind, p.summary) == ("APPLIED", "move", "walk moves to another worker")
    assert walking.nodes["walk"].attempt == 1, "not before its next safe point"
    gates.open_gate("held")
    assert walking.wait(10) == {"walk": 4}
    assert [call for call in gates.calls if call != "held"] == ["step 1", "step 2", "step 3", "step 4"]
    assert walking.nodes["walk"].attempt == 2
    assert "walk goes on on another worker: at its safe point 3" in "\n".join(walking.story("walk"))


def test_what_comes_to_no_safe_point_in_time_goes_on_from_the_last_and_its_late_step_is_refused(
    walking: hx.Run,
) -> None:
    walking.migrate("walk", grace=0.0)
    until(lambda: walking.nodes["walk"].attempt == 2)
    gates.open_gate("held")
    assert walking.wait(10) == {"walk": 4}
    assert gates.calls[:2] == ["step 1", "step 2"]
    assert gates.calls[-1] == "step 4"
    assert gates.calls.count("step 4") == 1, "the first attempt ends at its next safe point"


def test_a_plain_function_is_not_moved_and_says_so_but_can_begin_anew(lab: hx.Lab, running: hx.Run) -> None:
    p = running.migrate("held")
    assert p.state == "REJECTED"
    (check,) = [check for check in p.checks if not check.ok]
    assert check.message == "held is a plain function: it can be begun anew elsewhere, and not moved"
    assert "restart=True" in check.fix
    p = running.migrate("held", restart=True)
    assert (p.state, p.summary) == ("APPLIED", "held starts anew on another worker")
    gates.open_gate("held")
    running.wait(10)
    assert running.nodes["held"].attempt == 2


def test_what_cannot_be_moved_says_why(lab: hx.Lab, running: hx.Run) -> None:
    assert "load has finished" in running.migrate("load").why
    assert "there is no node 'x'" in running.migrate("x").why
    with pytest.raises(hx.Refused, match="there is no worker 'w9'") as refused:
        running.migrate("held", to="w9")
    assert "inline" in refused.value.fix
    assert running.migrate("held", to=lab.workers()[0], restart=True).summary == "held starts anew on inline"


def test_ending_a_run_is_decided_like_a_change() -> None:
    with hx.Lab(pool="inline", store="memory://", owner="dana", policy=hx.Majority()) as lab:
        lab.add_agent(hx.Agent("critic"))
        run = lab.start(hx.Dag.of(walk))
        gates.reached("held")
        p = run.cancel(reason="it leads nowhere")
        assert (p.state, p.kind, p.summary, run.status) == ("OPEN", "cancel", "the run ends", "RUNNING")
        p.vote("critic", "approve")
        assert (p.state, run.status) == ("APPLIED", "CANCELLED")
        assert p.tally.ballots[0].voter == "critic"


def test_a_move_that_is_voted_down_moves_nothing() -> None:
    with hx.Lab(pool="inline", store="memory://", owner="dana", policy=hx.Majority()) as lab:
        lab.add_agent(hx.Agent("critic"))
        run = lab.start(hx.Dag.of(walk))
        gates.reached("held")
        p = run.migrate("walk")
        p.vote("critic", "reject")
        gates.open_gate("held")
        assert run.wait(10) == {"walk": 4}
        assert (p.state, run.nodes["walk"].attempt) == ("REJECTED", 1)


def test_a_failed_node_goes_on_from_its_last_safe_point(lab: hx.Lab) -> None:
    def stumbles() -> Iterator[int]:
        import hexdag_lab as hx
        from tests.lab import gates

        ctx = hx.context()
        for step in range((ctx.restored or 0) + 1, 4):
            gates.called(f"step {step}")
            if step == 2 and ctx.attempt == 1:
                raise ValueError("stumbled")
            yield step

    run = lab.start(hx.Dag.of(hx.NodeSpec("stumbles", stumbles, retries=1, backoff=0)))
    assert run.wait(10) == {"stumbles": 3}
    assert gates.calls == ["step 1", "step 2", "step 2", "step 3"]
