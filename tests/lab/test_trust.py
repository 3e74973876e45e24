"""Earned trust and sealed ballots as a lab holds them: over runs, in the store, and as agents see them."""

from __future__ import annotations

import contextlib
import time
from pathlib import Path
from typing import Any

import pytest

import hexdag_lab as hx
from hexdag_lab.core.base.codec import loads
from hexdag_lab.core.machine import messages as ms
from hexdag_lab.runtime import wire
from tests.lab import gates
from tests.lab.conftest import fit, held, load, report, until


@hx.node
def more(load: str) -> str:
    return load + "+"


@hx.node
def broken(load: str) -> str:
    raise ValueError("no luck")


def voting(lab: hx.Lab) -> None:
    """`yes` approves everything and `no` nothing; dana, the lab's owner, decides where nobody has earned a weight."""
    lab.add_agent(hx.Agent("scout", role="executor"))
    lab.add_agent(hx.Agent("yes", vote=lambda context: True))
    lab.add_agent(hx.Agent("no", vote=lambda context: False))


def decided(lab: hx.Lab, node: Any, choice: str, policy: Any = "solo") -> hx.ProposalHandle:
    """A run in which the scout proposes a node; dana decides once both agents have voted."""
    run = lab.start(hx.Dag.of(load, held.after("load")), policy=policy)
    gates.reached("held")
    p = run.propose(hx.Changeset.on(run.dag).add_node(node.after("load")), by="scout")
    until(lambda: len(p.tally.ballots) == 2)
    p.vote("dana", choice)
    gates.open_gate("held")
    with contextlib.suppress(hx.RunFailed):
        run.wait(10)
    gates.reset()
    return p


def test_voters_earn_trust_from_what_they_voted_for(lab: hx.Lab) -> None:
    voting(lab)
    p = decided(lab, more, "approve")
    assert p.state == "APPLIED"
    assert str(lab.trust("yes")) == f"yes 0.67 from 1 ballot\n  +1 {p.id}: approved, and its nodes completed"
    assert str(lab.trust("no")) == f"no 0.33 from 1 ballot\n  -1 {p.id}: spoke against it, but its nodes completed"
    assert str(lab.trust("scout")) == "scout 0.50: nothing is known yet"
    decided(lab, broken, "approve")
    assert [point.sign for point in lab.trust("no").evidence] == [-1, 1]
    assert lab.trust("no").evidence[1].why == "spoke against it, and broken failed"


def test_a_rejected_proposal_teaches_once_a_person_has_looked_at_it(lab: hx.Lab) -> None:
    voting(lab)
    lab.add_agent(hx.HumanAgent("marie", trust=0))
    p = decided(lab, more, "reject")
    assert p.state == "REJECTED"
    assert lab.trust("yes").evidence == ()
    p.judge(True, by="marie", reason="we lost a day")
    assert p.judged.reason == "we lost a day"
    assert lab.trust("yes").evidence[0].why == "approved, and marie calls it good: we lost a day"
    lab.judge(p.id, False)
    assert [point.sign for point in lab.trust("yes").evidence] == [-1], "the last word counts"


def test_who_may_not_judge_is_told_why(lab: hx.Lab) -> None:
    voting(lab)
    p = decided(lab, more, "reject")
    with pytest.raises(hx.NotAllowed, match="'yes' is no person of this run"):
        p.judge(True, by="yes")
    with pytest.raises(TypeError, match="good is True or False"):
        p.judge("good")  # type: ignore[arg-type]
    with pytest.raises(hx.Refused, match="no proposal"):
        lab.judge(f"{p.id}0", True)


def test_the_next_run_weighs_by_what_earlier_ones_have_taught(lab: hx.Lab) -> None:
    voting(lab)
    learned = hx.LogOdds() | hx.OwnerDecides()
    first = decided(lab, more, "approve", learned)
    assert first.decided_by == "dana, no, yes"
    run = lab.start(hx.Dag.of(load, held.after("load")), policy=learned)
    gates.reached("held")
    p = run.propose(hx.Changeset.on(run.dag).add_node(report.as_node("two").after("load")), by="scout")
    assert p.wait(5) == "APPLIED", "yes has earned its weight, and no has none"
    assert p.tally.text == "log-odds +0.693 of more than +0.000"


def test_what_was_learned_is_in_the_store_and_survives_the_process(tmp_path: Path) -> None:
    store = f"sqlite:///{tmp_path / 'lab.db'}"
    with hx.Lab(pool="inline", store=store, owner="dana") as lab:
        voting(lab)
        p = decided(lab, more, "approve")
        earned = lab.trust("yes")
        assert earned.evidence
    with hx.Lab(pool="inline", store=store, owner="dana") as lab:
        assert lab.trust("yes")._replace(alike=()) == earned._replace(alike=())
        lab.judge(p.id, False, reason="it was not needed")
    with hx.Lab(pool="inline", store=store, owner="dana", leader=False) as remote:
        assert [point.sign for point in remote.trust("yes").evidence] == [-1]
        written = remote._session.run(remote._store.get(wire.lessons("run-1")))
        said = [(lesson.good, lesson.yes, lesson.no) for lesson in loads(written.data)]
        assert said == [(False, ("yes",), ("no",)), (True, ("dana",), ())], "of her own ballot, what the facts say"


def test_what_is_too_much_for_a_store_is_cut_to_the_latest(lab: hx.Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hexdag_lab.runtime.batch.MOST_BYTES", 500)
    voting(lab)
    p = decided(lab, more, "approve")
    for reason, left in (("", 1), ("x" * 1000, 0), ("short", 1)):
        lab.judge(p.id, True, reason=reason)
        assert len(lab.trust("yes").evidence) == left


def test_an_agent_cannot_set_its_own_trust(lab: hx.Lab) -> None:
    voting(lab)
    p = decided(lab, more, "approve")
    lab.add_agent(hx.Agent("no", trust=100, vote=lambda context: False))
    assert lab.trust("no").chance < 0.5
    with pytest.raises(hx.NotAllowed):
        p.judge(False, by="no")


# -- sealed ballots


def test_until_it_has_voted_an_agent_sees_turnout_only(lab: hx.Lab) -> None:
    seen: list[Any] = []

    def first(context: Any) -> hx.Ballot:
        return hx.Ballot("reject", "too dear")  # type: ignore[arg-type]

    def second(context: Any) -> bool:
        until(lambda: context.run.seq and len(lab.proposal(context.proposal.id).tally.ballots))
        now = lab.attached(context.run.id).view.seen_by("second").proposals[context.proposal.id]
        seen.append((now.tally.text, [(b.voter, b.choice, b.reason) for b in now.tally.ballots], now.feedback))
        return True

    def watch(event: Any, context: Any) -> None:
        if event.kind == "BallotCast" and event.ballot.voter == "first":
            seen.append(event.ballot.choice)

    lab.add_agent(hx.Agent("first", vote=first))
    lab.add_agent(hx.Agent("second", vote=second))
    lab.add_agent(hx.Agent("third", on_event=watch))
    lab.add_agent(hx.Agent("scout", role="executor"))
    run = lab.start(hx.Dag.of(load, fit.after("load"), held.after("load")), policy=hx.Majority(sealed=True))
    gates.reached("held")
    p = run.propose(hx.Changeset.on(run.dag).add_node(report.after("fit")), by="scout")
    until(lambda: len(p.tally.ballots) == 2 and len(seen) == 2)
    assert ("1 of 5 have answered; sealed until you vote", [("first", "sealed", "")], ()) in seen
    assert "sealed" in seen, "nor does an event tell"
    assert {b.choice for b in p.tally.ballots} == {"sealed"}, "dana, whose notebook this is, has no vote and sees none"
    p.vote("third", "approve")
    assert p.state == "APPLIED"
    assert ("first", "reject", "too dear") in [(b.voter, b.choice, b.reason) for b in p.tally.ballots]


def test_what_another_process_judged_while_nobody_led_counts_once_the_run_is_looked_at(tmp_path: Path) -> None:
    store = f"sqlite:///{tmp_path / 'lab.db'}"
    with hx.Lab(pool="inline", store=store, owner="dana") as lab:
        voting(lab)
        p = decided(lab, more, "reject")
    with hx.Lab(pool="inline", store=store, owner="dana") as lab:
        message = ms.Judge(time.time(), p.id, "dana", True, "from afar")
        _, data = wire.pack_command("run-1", message, lab.shipping.key)
        lab._session.run(lab._store.commit(append={wire.INBOX: [data]}))
        until(lambda: lab.doors._consumer.heard == 1)
        assert lab.trust("yes").evidence == ()
        lab.attach("run-1")
        until(lambda: lab.trust("yes").evidence)
        assert lab.trust("yes").evidence[0].why == "approved, and dana calls it good: from afar"
