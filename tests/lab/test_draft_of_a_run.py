"""A draft of a run that goes on: what has started stays, and a vote can decide what its writers could not."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

import hexdag_lab as hx
from tests.lab import gates
from tests.lab.conftest import fit, held, load, until


def extra(**inputs: Any) -> int:
    return len(inputs)


def last(held: str) -> str:
    return held


Labs = tuple[hx.Lab, hx.Lab]


@pytest.fixture
def run(labs: Labs) -> Iterator[hx.Run]:
    """A run in which `load` and `fit` have finished, `held` runs and `last` waits."""
    dag = hx.Dag.of(load, fit.after("load"), held.after("load"), hx.NodeSpec("last", last))
    made = labs[0].start(dag, policy=hx.Majority())
    gates.reached("held")
    until(lambda: (made.nodes["fit"].state, made.nodes["held"].state) == ("SUCCEEDED", "RUNNING"))
    return made


@pytest.mark.parametrize(
    ("edit", "sentence"),
    [
        (lambda d: d.remove_edge("load", "fit"), r"fit has started, so its inputs cannot change \(edge load -> fit\)"),
        (lambda d: d.remove_node("held"), "held has started, so it cannot be removed"),
        (lambda d: d.edit(hx.Changeset.on(d.dag).add_node(hx.NodeSpec("x", extra)).add_edge("x", "fit")), "after x"),
    ],
)
def test_what_has_started_cannot_be_wired_otherwise_in_any_notebook(
    labs: Labs, run: hx.Run, edit: Any, sentence: str
) -> None:
    dana, arun = labs[0].draft("next", of=run), labs[1].draft("next")
    for draft in (dana, arun):
        before = draft.dag
        with pytest.raises(hx.FrozenNode, match=sentence):
            edit(draft)
        assert draft.dag == before


def test_what_waits_can_be_rewired_and_what_has_finished_can_be_used(labs: Labs, run: hx.Run) -> None:
    dana = labs[0].draft("next", of=run)
    dana.add_node(hx.NodeSpec("check", extra).after("fit")).add_edge("check", "last").remove_edge("held", "last")
    assert ("check", "last") in dana.dag.edges
    assert not dana.conflicts


def test_a_run_that_is_over_stops_nobody(labs: Labs, run: hx.Run) -> None:
    dana = labs[0].draft("next", of=run)
    gates.open_gate("held")
    run.wait(30)
    dana.replace_node("last", of_arun).remove_edge("held", "last")
    assert not dana.conflicts


def test_an_edit_that_a_start_has_overtaken_is_a_conflict(labs: Labs) -> None:
    dag = hx.Dag.of(load, held.after("load"), hx.NodeSpec("second", second))
    run = labs[0].start(dag)
    gates.reached("held")
    dana = labs[0].draft("next", of=run)
    dana.remove_edge("held", "second")
    assert not dana.conflicts
    gates.open_gate("held")
    gates.reached("second")
    until(lambda: run.nodes["second"].state == "RUNNING")
    (conflict,) = dana.conflicts
    text = f"held -> second: run {run.id}'s is shown, while at the same time dana removes it"
    assert str(conflict) == text
    assert [choice.label for choice in dana.choices(conflict)] == [f"Keep run {run.id}'s"]
    with pytest.raises(hx.FrozenNode):
        dana.settle(conflict, keep=conflict.dots[0])
    assert [str(one) for one in labs[1].draft("next").conflicts] == [text]
    dana.choose(dana.choices(conflict)[0])
    assert not dana.conflicts
    with pytest.raises(hx.FrozenNode, match="inputs cannot change"):
        dana.remove_edge("held", "second")
    gates.open_gate("second")


def second(held: str) -> str:
    from tests.lab import gates

    gates.pass_through("second")
    return held


def test_only_what_may_still_change_is_proposed_and_the_rest_must_be_meant(labs: Labs, run: hx.Run) -> None:
    dana = labs[0].draft("next", of=run)
    dana.replace_node("fit", fit.as_node("fit", depth=9)).add_node(hx.NodeSpec("check", extra).after("load"))
    refused = dana.submit(by="dana")
    assert refused.state == "REJECTED"
    assert "fit has finished" in str(refused.checks)
    meant = dana.submit(by="dana", finished="rerun")
    assert meant.changeset.changed == ("fit",)
    assert meant.changeset.added == ("check",)
    assert meant.changeset.edges_added == (("load", "check"),)
    assert meant.preview["fit"] == "re-run"


def test_a_draft_of_a_run_can_be_joined_when_the_run_has_moved_on(labs: Labs, run: hx.Run) -> None:
    first = labs[0].draft("next", of=run)
    p = run.propose(hx.Changeset.on(run.dag).add_node(hx.NodeSpec("check", extra).after("fit")))
    p.vote("dana", "approve") if p.state == "OPEN" else None
    assert labs[0].draft("next", of=run) is first
    with pytest.raises(hx.Refused, match="another graph"):
        labs[0].draft("next", of=hx.Dag.of(load))


def test_a_draft_of_no_run_says_where_to_submit_it(labs: Labs) -> None:
    with pytest.raises(hx.Refused, match=r"of no run; draft.submit\(run\)"):
        labs[0].draft("loose", of=hx.Dag.of(load)).submit()


# -- a conflict that is put to the vote


@pytest.fixture
def disputed(labs: Labs, run: hx.Run) -> Any:
    """A draft in which Dana and Arun have changed `last` without knowing of each other."""
    labs[0].add_agent(hx.HumanAgent("lea"))
    labs[0].add_agent(hx.HumanAgent("arun"))
    dana, arun = labs[0].draft("next", of=run), labs[1].draft("next")
    arun.dag  # noqa: B018  # read before Dana writes
    before = arun._replica
    dana.replace_node("last", lambda held: held + " of dana")
    hers, arun._replica = arun._replica, before
    assert hers == before
    change = arun._lab.shipping.changeset(hx.Changeset.on(arun._view.dag).replace_node("last", of_arun))
    arun._write({"last": change.nodes["last"].new}, "arun")
    assert len(dana.conflicts) == 1
    return dana


def of_arun(held: str) -> str:
    from tests.lab import gates

    gates.pass_through("last")
    return held + " of arun"


def _arun(draft: Any) -> Any:
    return next(choice for choice in draft.choices(draft.conflicts[0]) if choice.label == "Keep arun's")


def test_a_vote_for_one_side_settles_the_conflict_everywhere(labs: Labs, run: hx.Run, disputed: Any) -> None:
    with pytest.raises(hx.Refused, match="1 open conflicts"):
        disputed.submit()
    p = disputed.submit(choices=[_arun(disputed)], by="dana", reason="his is simpler")
    assert len(disputed.conflicts) == 1, "it is not decided yet"
    assert [question.proposal for question in disputed.questions] == [p]
    p.vote("lea", "approve")
    p.vote("arun", "approve")
    assert p.wait(10) == "APPLIED"
    assert disputed.conflicts == labs[1].draft("next").conflicts == disputed.questions == ()
    assert disputed.dag == labs[1].draft("next").dag
    gates.open_gate("held")
    gates.open_gate("last")
    assert run.wait(30)["last"] == "DATA.CSV of arun"


def test_what_was_decided_may_have_started_before_anybody_looks_at_the_draft(
    labs: Labs, run: hx.Run, disputed: Any
) -> None:
    arun = labs[1].draft("next")
    p = disputed.submit(choices=[_arun(disputed)], by="dana")
    p.vote("lea", "approve")
    p.vote("arun", "approve")
    assert p.wait(10) == "APPLIED"
    gates.open_gate("held")
    gates.reached("last")
    until(lambda: run.nodes["last"].state == "RUNNING")
    arun.join(of=labs[1].attached(run.id))  # it pins, and knows nothing of the vote
    assert {intent.by for conflict in arun.conflicts for intent in arun.intents(conflict)} >= {"dana", f"run {run.id}"}
    assert disputed.conflicts == arun.conflicts == ()
    gates.open_gate("last")


def test_a_vote_against_it_leaves_the_conflict_open(labs: Labs, run: hx.Run, disputed: Any) -> None:
    p = disputed.submit(choices=[_arun(disputed)], by="dana")
    p.vote("lea", "reject", reason="not like that")
    assert p.wait(10) == "REJECTED"
    assert len(disputed.conflicts) == 1
    assert disputed.questions == ()


def test_who_writes_during_the_vote_is_not_overwritten_by_it(labs: Labs, run: hx.Run, disputed: Any) -> None:
    p = disputed.submit(choices=[_arun(disputed)], by="dana")
    disputed.choose(disputed.choices(disputed.conflicts[0])[0], by="dana")
    settled = disputed.dag
    p.vote("lea", "approve")
    p.vote("arun", "approve")
    assert p.wait(10) == "APPLIED"
    assert disputed.dag == settled
