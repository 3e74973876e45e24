"""Votes and proposals are signed wherever they come from: here, another process, a browser, an agent elsewhere."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import hexdag_lab as hx
from hexdag_lab.core.machine import messages as ms
from hexdag_lab.core.votes.ballot import Choice
from hexdag_lab.core.votes.signed import canonical_text
from hexdag_lab.lab.audit import audit
from hexdag_lab.runtime.keys import Keys, good, public_half, sign
from hexdag_lab.runtime.seal import make_secret
from hexdag_lab.views.pages import Dashboard, Identity, Place
from tests.lab.conftest import until
from tests.lab.test_remote import leader  # noqa: F401

ELSEWHERE = bytes(range(32))


def change(run: hx.Run, name: str = "more") -> hx.Changeset:
    return hx.Changeset.on(run.dag).add_node(hx.NodeSpec(name, lambda load: load))


def proofs(p: Any) -> dict[str, Any]:
    return {ballot.voter: ballot.proof for ballot in p.tally.ballots}


def test_nobody_has_to_set_anything_up(running: hx.Run) -> None:
    p = running.propose(change(running), reason="more of it")
    made = running.view.state.proposals[p.id]
    assert (p.state, made.by) == ("APPLIED", "dana")
    assert made.proof is not None
    assert good(made.proof)
    assert made.proof.key == running.agents["dana"].key


def test_functions_hooks_and_notebooks_vote_under_their_agents_keys(lab: hx.Lab, slow_dag: hx.Dag) -> None:
    def hook(event: Any, context: Any) -> Any:
        return change(context.run, "hooked") if event.kind == "RunStarted" else None

    lab.policy = hx.Supermajority(1)
    lab.add_agent(hx.Agent("critic", vote=lambda context: True))
    lab.add_agent(hx.HumanAgent("marie"))
    lab.add_agent(hx.Agent("writer", role="executor", on_event=hook))
    run = lab.start(slow_dag)
    until(lambda: bool(run.proposals))
    (p,) = run.proposals.values()
    p.vote("marie", "approve")
    assert p.wait(10) == "APPLIED"
    said = proofs(p)
    assert {name: proof.key for name, proof in said.items()} == {
        name: run.agents[name].key for name in ("critic", "marie")
    }
    made = run.view.state.proposals[p.id].proof
    assert made is not None
    assert made.key == run.agents["writer"].key
    assert all(good(proof) for proof in (*said.values(), made))
    assert len({seat.key for seat in run.agents.values()}) == len(run.agents)


def test_what_a_node_proposes_is_signed_for_its_agent(lab: hx.Lab) -> None:
    def asks() -> str:
        ctx = hx.context()
        if ctx.decision is None:
            ctx.wait_for(ctx.propose(hx.Changeset.on(ctx.dag).add_node(hx.NodeSpec("more", lambda: 1)), "why not"))
        return str(ctx.decision)

    run = lab.start(hx.Dag.of(hx.NodeSpec("asks", asks)))
    until(lambda: bool(run.proposals))
    (p,) = run.proposals.values()
    p.vote("dana", "approve")
    assert run.wait(10)["asks"] == "APPLIED"
    proof = run.view.state.proposals[p.id].proof
    assert proof is not None
    assert proof.key == run.agents["executor"].key


def test_a_ballot_that_was_seen_in_the_journal_cannot_be_cast_again(lab: hx.Lab, slow_dag: hx.Dag) -> None:
    for name in ("marie", "tom", "eve"):
        lab.add_agent(hx.HumanAgent(name))
    run = lab.start(slow_dag, policy=hx.Supermajority(1))
    p = run.propose(change(run), by="eve")
    p.vote("marie", "approve")
    seen = p.tally.ballots[0]
    p.vote("marie", "abstain")
    again = ms.CastBallot(time.time(), p.id, "marie", seen.choice, seen.reason, seen.via, proof=seen.proof)
    with pytest.raises(hx.NotAllowed, match="has counted already") as refused:
        lab.command(run.id, again)
    assert refused.value.rule == "replayed"
    with pytest.raises(hx.NotAllowed) as refused:
        lab.command(run.id, replace(again, choice=Choice.REJECT))
    assert refused.value.rule == "signed-edited"
    q = run.propose(change(run, "other"), by="eve")
    with pytest.raises(hx.NotAllowed) as refused:
        lab.command(run.id, replace(again, proposal=q.id))
    assert refused.value.rule == "signed-elsewhere"
    assert p.tally.ballots[0].choice == "abstain"
    assert q.tally.ballots == ()


def test_an_agent_with_its_own_key_counts_only_with_its_signature(lab: hx.Lab, slow_dag: hx.Dag) -> None:
    lab.add_agent(hx.Agent("critic", public_key=public_half(ELSEWHERE)))
    run = lab.start(slow_dag, policy=hx.Supermajority(1))
    p = run.propose(change(run))
    with pytest.raises(hx.NotAllowed, match="critic has a key in this run, and this is not signed with it") as refused:
        p.vote("critic", "approve")
    assert refused.value.rule == "unsigned"
    assert "--key" in refused.value.fix
    elsewhere = Keys()
    elsewhere._secrets["critic"] = ELSEWHERE
    ballot = ms.CastBallot(time.time(), p.id, "critic", Choice.APPROVE, "from afar", "key")
    lab.command(run.id, elsewhere.signed(run.view.state, ballot))
    assert p.state == "APPLIED"
    assert proofs(p)["critic"].key == public_half(ELSEWHERE)


def test_an_agent_may_come_back_with_another_key_and_not_with_none(lab: hx.Lab, running: hx.Run) -> None:
    lab.add_agent(hx.Agent("critic"))
    old = running.agents["critic"].key
    lab.add_agent(hx.Agent("critic", public_key=public_half(ELSEWHERE)))
    assert running.agents["critic"].key == public_half(ELSEWHERE) != old


def test_a_reason_that_cannot_be_signed_is_refused_and_nothing_is_lost(running: hx.Run) -> None:
    with pytest.raises(hx.Refused, match="this cannot be signed") as refused:
        running.propose(change(running), reason="half a character: \ud83d")
    assert refused.value.rule == "unsignable"
    assert refused.value.fix
    assert running.propose(change(running), reason="a whole one: \U0001f600").state == "APPLIED"


# -- other processes


def store(home: Path) -> str:
    return f"sqlite:///{home}/lab.db"


def test_another_process_signs_with_the_key_files_it_can_read(leader: Any, tmp_path: Path) -> None:  # noqa: F811
    with hx.Lab(store=store(tmp_path), owner="dana", leader=False) as lab:
        run = lab.attach("run-1")
        p = run.propose(change(run), by="critic")
        p.vote("dana", "approve", via="key")
        assert p.state == "APPLIED"
        made = run.view.state.proposals[p.id]
        assert made.proof is not None
        assert good(made.proof)
        assert [(b.voter, b.via, b.proof and good(b.proof)) for b in made.ballots] == [("dana", "key", True)]
        (tmp_path / "go").touch()
        run.wait(10)
    report = audit(store(tmp_path), "run-1")
    assert report.findings == ()
    assert [(v.who, v.said, v.via) for v in report.votes] == [("critic", "proposed", ""), ("dana", "approve", "key")]


def test_a_process_that_cannot_read_a_key_looks_and_does_not_vote(leader: Any, tmp_path: Path) -> None:  # noqa: F811
    with hx.Lab(store=store(tmp_path), owner="dana", leader=False) as lab:
        run = lab.attach("run-1")
        p = run.propose(change(run), by="critic")
        for path in (tmp_path / "keys").iterdir():
            path.unlink()
    with hx.Lab(store=store(tmp_path), owner="dana", leader=False) as lab:
        p = lab.proposal(p.id)
        with pytest.raises(hx.NotAllowed, match="dana has a key in this run") as refused:
            p.vote("dana", "approve")
        assert refused.value.rule == "unsigned"
        assert p.state == "OPEN"


def test_a_counter_that_another_process_has_overtaken_is_raised_and_the_vote_counts(
    leader: Any,  # noqa: F811
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with hx.Lab(store=store(tmp_path), owner="dana", leader=False) as lab:
        run = lab.attach("run-1")
        run.propose(change(run, "one"), by="critic").vote("dana", "approve")
        signed, counters = lab.keys.signed, list[int]()

        def overtaken(state: Any, message: Any) -> Any:
            made = signed(state, message)
            if not counters:  # as if the vote before were not known here, and the clock far behind
                text = canonical_text({**made.proof.claims, "counter": 1})
                made = replace(made, proof=sign(lab.keys._secrets["dana"], text))
            counters.append(made.proof.counter)
            return made

        p = run.propose(change(run, "two"), by="critic")
        monkeypatch.setattr(lab.keys, "signed", overtaken)
        p.vote("dana", "approve")
        assert p.state == "APPLIED"
        assert counters == [1, p.tally.ballots[0].proof.counter], "the first was refused"


@pytest.mark.filterwarnings("ignore::PendingDeprecationWarning")  # Panel's, about the names of its own widgets
def test_the_token_of_a_dashboard_votes_under_its_agents_key(leader: Any, tmp_path: Path) -> None:  # noqa: F811
    with hx.Lab(store=store(tmp_path), owner="dana", leader=False) as lab:
        run = lab.attach("run-1")
        p = run.propose(change(run), by="critic")
        nobody = Dashboard(lab, None, lambda work: work(), Place(run.id))
        assert "cannot vote" in nobody.visit.vote(p.id, "approve", "", "")
        nobody.stop()
        pages = Dashboard(lab, Identity("dana", "token"), lambda work: work(), Place(run.id))
        try:
            pages.visit.vote(p.id, "approve", "seen in a browser", "")
        finally:
            pages.stop()
        assert p.state == "APPLIED"
        (ballot,) = run.view.state.proposals[p.id].ballots
        assert (ballot.via, ballot.reason) == ("token", "seen in a browser")
        assert ballot.proof is not None
        assert good(ballot.proof)
        assert json.loads(ballot.proof.text)["via"] == "token"


def test_an_agent_elsewhere_votes_with_its_own_key_and_without_the_labs(tmp_path: Path, slow_dag: hx.Dag) -> None:
    right, wrong = (tmp_path / "elsewhere" / name for name in ("critic.key", "other.key"))
    for path in (right, wrong):
        make_secret(path, "the key")
    with hx.Lab(pool="inline", store=store(tmp_path), owner="dana") as lab:
        lab.add_agent(hx.Agent("critic", public_key=Keys().hold("critic", right)))
        run = lab.start(slow_dag, policy=hx.Supermajority(1), run_id="r")
        p = run.propose(change(run))
        command = [sys.executable, "-c", ELSE, store(tmp_path), p.id, str(right), str(wrong)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        assert done.stdout.split() == ["unsigned-command", "unsigned-command", "APPLIED"], done.stderr
        assert p.state == "APPLIED"
        assert [(b.voter, b.via, b.reason) for b in p.tally.ballots] == [("critic", "key", "from afar")]
        assert not list((tmp_path / "keys").glob("critic*")), "the lab never had its secret half"


ELSE = """
import sys
import hexdag_lab as hx
from hexdag_lab.runtime.seal import Seal

store, proposal, right, wrong = sys.argv[1:]
with hx.Lab(store=store, owner="dana", leader=False) as lab:
    lab.shipping.key = Seal()  # as on a host that has no copy of the lab's
    p = lab.proposal(proposal)
    for key in (None, wrong, right):
        if key:
            lab.keys.hold("critic", key)
        try:
            p.vote("critic", "approve", "from afar", via="key")
            print(p.state)
        except hx.Refused as refused:
            print(refused.rule)
"""
