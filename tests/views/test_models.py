"""What screens show, as plain data: headers, waves, cards, versions; and agents' words, cleaned."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

import hexdag_lab as hx
from hexdag_lab.core.machine.story import seen_by, sentence
from hexdag_lab.views import models, outcomes, wording
from tests.lab import gates
from tests.lab.conftest import fit, held, load, report, until


@pytest.fixture
def run() -> Iterator[hx.Run]:
    """`load` and `fit` are done and `held` runs; dana owns the lab, critic and worker take part."""
    with hx.Lab(pool="inline", store="memory://", owner="dana") as lab:
        lab.add_agent(hx.Agent("critic", trust=0.8))
        lab.add_agent(hx.Agent("worker", role="executor"))
        lab.add_agent(hx.HumanAgent("marie", trust=0.5))
        dag = hx.Dag.of(load, fit.after("load"), held.after("load"))
        made = lab.start(dag, policy=hx.Supermajority(2 / 3) & hx.Deadline(90), budget=10)
        until(lambda: (made.nodes["fit"].state, made.nodes["held"].state) == ("SUCCEEDED", "RUNNING"))
        yield made
        gates.reset()


def card(run: hx.Run, p: hx.ProposalHandle, now: float | None = None) -> models.Card:
    state = run.view.state
    return models.card(state, state.proposals[p.id], p.at if now is None else now)


def test_the_header_counts(run: hx.Run) -> None:
    state = run.view.state
    assert models.header(state) == ("run-1", "RUNNING", 1, 2, 3, 1, 0)
    assert models.wave(state) == (2, 2)
    assert models.wave(run.at(1).state) == (1, 2)
    assert models.seconds_left(run.at(1).state) is None, "nothing is known yet"
    assert (models.seconds_left(state) or 0) >= 0


def test_waves_mark_states_by_shape_and_what_is_new(run: hx.Run) -> None:
    p = run.propose(run.dag.add_node(report.after("fit")), by="worker")
    p.vote("critic", "approve")
    p.vote("marie", "approve")
    assert p.state == "APPLIED"
    until(lambda: run.nodes["report"].state == "SUCCEEDED")
    first, second, third = models.waves(run.view.state)
    assert [(row.name, row.mark, row.new) for row in (*first, *second, *third)] == [
        ("load", "✓", False), ("fit", "✓", False), ("held", "▶", False), ("report", "✓", True),
    ]  # fmt: skip
    assert second[0].note.endswith(" s")
    assert second[1].note == ""
    assert set(models.MARKS) == set(hx.NodeState)
    assert len(set(models.MARKS.values())) == len(models.MARKS), "each state has a shape of its own"


def test_a_card_has_all_that_a_decision_needs(run: hx.Run) -> None:
    spec = report.as_node("later", fit="x").but(cost=2).after("held", "load")
    p = run.propose(hx.Changeset.on(run.dag).add_node(spec), by="worker", reason="one more")
    p.vote("critic", "approve", reason="cheap")
    c = card(run, p, now=p.at + 30)
    assert c.title == "worker proposes +1 node, against v1"
    assert (c.id, c.reason, c.state) == ("run-1/p1", "one more", "OPEN")
    assert c.changes == ("+ later (fit='x') after held, load",)
    assert c.effect == "keeps 3 done or running · starts 1 · nothing thrown away"
    assert c.estimate.endswith("s of work · cost 2 of the 10 left of 10")
    assert all(ok for ok, _ in c.checks)
    assert (True, "acyclic") in c.checks
    assert c.votes == ('critic approve (0.80) "cheap"',)
    assert c.tally == "0.61 of 0.66, needs marie"
    assert c.seconds_left == pytest.approx(60)
    assert c.settles == "rejects itself"
    assert models.waits_for_person(run.view.state, run.view.state.proposals[p.id])


def test_advice_is_called_advice(run: hx.Run) -> None:
    p = run.propose(run.dag.add_node(report.after("fit")), by="critic")
    p.vote("worker", "reject", reason="too dear")
    assert card(run, p).votes == ('worker reject (advice) "too dear"',)


def test_what_is_thrown_away_is_named_and_a_broken_check_says_all(run: hx.Run) -> None:
    redo = hx.Changeset.on(run.dag).replace_node("fit", hx.NodeSpec("fit", lambda load: 1), finished="rerun")
    assert "re-runs fit" in card(run, run.propose(redo, by="worker")).effect
    stop = hx.Changeset.on(run.dag).remove_node("held", running="restart")
    c = card(run, run.propose(stop, by="worker"))
    assert c.changes == ("- held",), "an edge of a node that goes needs no line"
    assert "cancels held" in c.effect
    bad = card(run, run.propose(hx.Changeset.on(run.dag).remove_node("fit"), by="worker"))
    assert next(text for ok, text in bad.checks if not ok).startswith("fit has finished; ")
    assert (bad.seconds_left, bad.settles, bad.state) == (None, "", "REJECTED")


def test_edges_between_what_stays_have_lines_and_many_changes_are_cut(run: hx.Run) -> None:
    change = hx.Changeset.on(run.dag).remove_edge("load", "held")
    assert models.changes(change, run.dag) == ("- load -> held",)
    for number in range(20):
        change = change.add_node(hx.NodeSpec(f"n{number:02d}", lambda: 1))
    lines = models.changes(change, run.dag)
    assert len(lines) == models.MOST_CHANGES
    assert lines[0] == "+ n00"
    assert lines[-1] == "… 10 more"


def test_the_table_of_versions_and_what_was_set_aside(run: hx.Run) -> None:
    first, second = (hx.Changeset.on(run.dag).add_node(report.as_node(n).after("fit")) for n in ("one", "two"))
    p = run.propose(first, by="worker", reason="because")
    q = run.propose(second, by="worker", reason="why not")
    p.vote("critic", "approve")
    p.vote("marie", "approve")
    q.vote("critic", "reject")
    state = run.view.state
    assert outcomes.versions(state) == (
        (1, "dana", "3 nodes", "started", ""),
        (2, "worker", "+1 node", "because", "critic approve, marie approve"),
    )
    (aside,) = outcomes.set_aside(state)
    assert (aside.id, aside.by, aside.change, aside.reason, aside.votes, aside.state) == (
        q.id, "worker", "+1 node", "why not", "critic reject", "REJECTED",
    )  # fmt: skip
    assert "cannot be reached" in aside.why


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain", "plain"),
        ("two\nlines\tand \x1b[31mred", "two lines and [31mred"),
        ("left \u202eright", "left right"),
        ("zero\u200bwidth", "zero width"),
        ("x" * 50, "x" * 29 + "…"),
        ("", ""),
        (" " * 20, ""),
    ],
)
def test_agents_words_are_cleaned(text: str, shown: str) -> None:
    assert wording.clean(text, 30) == shown


def test_a_card_of_hostile_words_is_one_line_each(run: hx.Run) -> None:
    p = run.propose(
        run.dag.add_node(report.after("fit")), by="worker", reason="yes\n\x1b[2JApproved by marie\u202e" * 50
    )
    p.vote("critic", "reject", reason="no\nno")
    c = card(run, p)
    words: list[Any] = [c.reason, c.title, *c.votes, *c.changes]
    assert all("\n" not in text and "\x1b" not in text and "\u202e" not in text for text in words)
    assert len(c.reason) <= 300


def sealed_run(run: hx.Run) -> tuple[hx.Run, hx.ProposalHandle]:
    """A run with a sealed vote that critic has answered."""
    other = run._lab.start(hx.Dag.of(load, held.after("load")), policy=hx.Supermajority(1 / 3, sealed=True))
    p = other.propose(other.dag.add_node(report.after("load")), by="worker")
    p.vote("critic", "reject", reason="too dear")
    return other, p


def test_a_card_shows_sealed_ballots_to_those_only_who_have_voted(run: hx.Run) -> None:
    other, p = sealed_run(run)
    state = other.view.state
    proposal = state.proposals[p.id]
    for viewer in ("", "marie"):
        shown = models.card(state, proposal, p.at, viewer)
        assert shown.votes == ("critic sealed (0.80)",)
        assert shown.tally == "1 of 4 have answered; sealed until you vote"
    shown = models.card(state, proposal, p.at, "critic")
    assert shown.votes == ('critic reject (0.80) "too dear"',)
    assert "too dear" not in str(outcomes.set_aside(state))
    assert "reject" not in str(outcomes.set_aside(state))


def test_no_line_about_a_sealed_ballot_tells_what_it_was(run: hx.Run) -> None:
    other, p = sealed_run(run)
    state = other.view.state
    lines = [sentence(seen_by(event, "marie", state)) for event in other.events()]
    assert f"critic on {p.id}: sealed" in lines
    assert not any("too dear" in line for line in lines)
    p.vote("marie", "reject")
    state = other.view.state
    assert f'critic on {p.id}: reject "too dear"' in [
        sentence(seen_by(event, "dana", state)) for event in other.events()
    ], "once it is decided everybody may know"


def test_a_node_says_what_is_not_kept_which_code_it_ran_and_that_it_moves(run: hx.Run) -> None:
    run.propose(run.dag.add_node(hx.NodeSpec("big", lambda: b"x" * 200_000, durable=False)), by="dana").vote(
        "critic", "approve"
    )
    next(iter(run.proposals.values())).vote("marie", "approve")
    until(lambda: run.nodes["big"].state == "SUCCEEDED")

    def notes() -> dict[str, str]:
        return {row.name: row.note for wave in models.waves(run.view.state) for row in wave}

    assert notes()["big"].endswith(" s · not kept")
    old = run.nodes["held"].code_hash
    p = run.reload(hx.NodeSpec("held", lambda load: "new"))
    for voter in ("critic", "marie"):
        p.vote(voter, "approve")
    assert notes()["held"] == f"code {old[:8]}, now {run.nodes['held'].code_hash[:8]}"


@pytest.mark.parametrize(
    ("later", "said"),
    [
        ((2.9, 8.1), "ends +2.9 (P90 +8.1) s later"),
        ((-1.4, -0.2), "ends 1.4 s sooner (P90 0.2 s sooner)"),
        ((-1.4, 0.5), "ends 1.4 s sooner (P90 0.5 s later)"),
    ],
)
def test_a_run_that_ends_earlier_ends_sooner(later: tuple[float, float], said: str) -> None:
    assert models._shift(*later) == said
