"""The dashboard without a browser: what its buttons do, in whose name, and what a page that may do nothing says."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest

import hexdag_lab as hx
from hexdag_lab.views.pages import Dashboard, Identity, Place
from hexdag_lab.views.pages.card import Card
from hexdag_lab.views.pages.edit import Editor
from hexdag_lab.views.pages.proposals import Cards
from hexdag_lab.views.pages.versions import going_back
from hexdag_lab.worker.context import Note
from tests.lab import gates
from tests.lab.conftest import fit, held, load, report, until

pytestmark = pytest.mark.filterwarnings("ignore::PendingDeprecationWarning")  # Panel's, about its own widgets


@pytest.fixture
def lab() -> Iterator[hx.Lab]:
    with hx.Lab(pool="inline", store="memory://", owner="dana") as made:
        made.add_agent(hx.Agent("critic"))
        yield made
        gates.reset()


@pytest.fixture
def run(lab: hx.Lab) -> hx.Run:
    made = lab.start(hx.Dag.of(load, fit.after("load"), held.after("load")))
    until(lambda: (made.nodes["fit"].state, made.nodes["held"].state) == ("SUCCEEDED", "RUNNING"))
    return made


@pytest.fixture
def pages(lab: hx.Lab, run: hx.Run) -> Iterator[Dashboard]:
    made = Dashboard(lab, Identity("dana", "token"), lambda work: work(), Place(run.id))
    yield made
    made.stop()


def asked(run: hx.Run, name: str = "deep", depth: int = 5) -> hx.ProposalHandle:
    spec = fit.as_node(name, depth=depth).after("load")
    return run.propose(hx.Changeset.on(run.dag).add_node(spec), by="critic")


def look(pages: Dashboard, page: str) -> Any:
    pages._tabs.active = [name for name, _ in zip(pages._tabs._names, pages._tabs, strict=True)].index(page)
    pages.look_at_runs()
    return pages._pages[page]


def editor_of(pages: Dashboard, run: hx.Run, p: hx.ProposalHandle) -> tuple[Editor, list[str]]:
    said: list[str] = []
    return Editor(pages.visit, run, run.view.state.proposals[p.id], said.append), said


def test_a_ballot_says_who_cast_it_and_how_she_was_known(pages: Dashboard, run: hx.Run) -> None:
    p = asked(run)
    card = Card(pages.visit, p.id)
    card.show(run, pages._film.now())
    card.cast("approve")
    assert p.state == "APPLIED"
    (ballot,) = run.view.state.proposals[p.id].ballots
    assert (ballot.voter, ballot.via) == ("dana", "token")


def test_nobody_can_do_anything_and_is_told_what_to_do(lab: hx.Lab, run: hx.Run) -> None:
    nobody = Dashboard(lab, None, lambda work: work(), Place(run.id))
    p = asked(run)
    for said in (
        nobody.visit.vote(p.id, "approve", "", ""),
        nobody.visit.propose(run, lambda: hx.Changeset.on(run.dag), ""),
        nobody.visit.steer(run, "cancel"),
    ):
        assert "open the address that `serve` printed, or log in" in said
    assert (p.state, run.status) == ("OPEN", "RUNNING")
    nobody.stop()


def test_an_edited_proposal_is_a_new_one_of_whoever_edits_and_says_so_on_the_old_one(
    pages: Dashboard, run: hx.Run
) -> None:
    spec = fit.as_node("deep", depth=5).after("load")
    change = hx.Changeset.on(run.dag).add_node(spec).add_node(fit.as_node("deeper", depth=9).after("load"))
    p = run.propose(change, by="critic")
    editor, said = editor_of(pages, run, p)
    editor._keep["deeper"].value = []
    editor._params["deep", "depth"].value = "7"
    editor._propose()
    assert said == [""]
    assert run.dag.nodes["deep"].params["depth"] == 7
    assert "deeper" not in run.dag
    assert run.versions[-1].by == "dana"
    assert p.requests[0].text == "edited by dana: see the newer proposal"


@pytest.mark.parametrize(
    ("text", "told"), [("7 +", "deep: depth is a Python value"), ("__import__('os')", "depth is a Python value")]
)
def test_an_edit_that_is_no_value_is_refused_in_a_sentence(pages: Dashboard, run: hx.Run, text: str, told: str) -> None:
    p = asked(run)
    editor, said = editor_of(pages, run, p)
    editor._params["deep", "depth"].value = text
    editor._propose()
    assert told in said[0]
    assert p.state == "OPEN"


def test_an_edit_that_leaves_nothing_is_no_proposal(pages: Dashboard, run: hx.Run) -> None:
    p = asked(run)
    editor, said = editor_of(pages, run, p)
    editor._keep["deep"].value = []
    editor._propose()
    assert said == ["nothing of it is left: reject it instead"]


def test_going_back_to_a_version_is_a_proposal_that_keeps_results(pages: Dashboard, run: hx.Run) -> None:
    run.propose(hx.Changeset.on(run.dag).add_node(report.after("fit")), by="dana")
    until(lambda: run.nodes["report"].state == "SUCCEEDED")
    versions = look(pages, "Versions")
    assert (versions._old.value, versions._new.value) == (1, 2)
    versions._revert()
    assert [(v.number, v.by, v.reason) for v in run.versions][-1] == (3, "dana", "back to v1")
    assert run.versions[2].digest == run.versions[0].digest
    assert run.nodes["fit"].state == "SUCCEEDED"
    assert going_back(run.feed.state, 1).empty


def test_a_new_version_takes_the_place_of_the_last_and_leaves_a_choice_and_what_was_said(
    pages: Dashboard, run: hx.Run
) -> None:
    def chosen() -> tuple[int, int]:
        versions.show(run, pages._film.now())
        return versions._old.value, versions._new.value

    def more(name: str) -> None:
        run.propose(hx.Changeset.on(run.dag).add_node(fit.as_node(name).after("load")), by="dana")

    versions = look(pages, "Versions")
    more("deep")
    assert chosen() == (1, 2)
    more("wide")
    assert chosen() == (2, 3)
    versions._old.value = 1
    versions._revert()
    assert "back to v1" in run.versions[-1].reason
    assert chosen() == (1, 3)
    assert "Proposed: back to v1" in versions._said.object


def test_the_inbox_has_all_runs_and_decides_what_is_alike_together(lab: hx.Lab, pages: Dashboard, run: hx.Run) -> None:
    other = lab.start(hx.Dag.of(load, held.after("load")))
    found = [asked(run, "one"), asked(run, "two"), asked(other, "three")]
    risky = run.propose(
        hx.Changeset.on(run.dag).replace_node("fit", fit.as_node("fit", depth=9), finished="rerun"), by="critic"
    )
    inbox = look(pages, "Inbox")
    assert set(inbox._rows) == {p.id for p in (*found, risky)}
    assert inbox._groups == [("add_node, low risk", "Approve all 3")], "what is risky is looked at one by one"
    inbox._vote_all(("add_node", "low"))
    assert [p.state for p in found] == ["APPLIED"] * 3
    assert risky.state == "OPEN"
    assert set(inbox._rows) == {risky.id}


def test_a_run_is_paused_and_cancelled_in_the_viewers_name_and_cancelling_takes_two_presses(
    pages: Dashboard, run: hx.Run
) -> None:
    pages._pause_or_go_on()
    until(lambda: run.status == "PAUSED")
    pages._refresh()
    pages._pause_or_go_on()
    until(lambda: run.status == "RUNNING")
    pages._cancel_run()
    assert run.status == "RUNNING"
    assert "Press it again" in pages._said.object
    pages._cancel_run()
    until(lambda: run.status == "CANCELLED")
    assert [e.by for e in run.events() if e.kind in ("RunPaused", "RunFinished")] == ["dana", "dana"]


def test_looking_back_shows_the_moment_and_what_was_decided_since_is_open_there(pages: Dashboard, run: hx.Run) -> None:
    p = asked(run)
    opened = run.seq
    p.vote("dana", "approve")
    until(lambda: p.state == "APPLIED")
    pages._tell(run.feed.state)
    pages._slider.value = opened
    assert "v1" in pages._header.object
    assert "1 open proposal" in pages._header.object
    card = pages._pages["Run"].cards.all[p.id]
    assert not card._buttons.visible, "the past cannot be voted on"
    pages._to_now()
    assert "v2" in pages._header.object
    assert "open proposal" not in pages._header.object


def test_pages_that_were_opened_before_there_was_a_run_show_the_first_one(lab: hx.Lab) -> None:
    early = Dashboard(lab, Identity("dana", "token"), lambda work: work())
    early.look_at_runs()
    assert early._run is None
    made = lab.start(hx.Dag.of(load))
    early.look_at_runs()
    assert (early._run, early._select.value) == (made, made.id)
    early.stop()


def test_the_foot_of_the_pages_says_what_the_store_survives(pages: Dashboard) -> None:
    assert "survives no fault" in pages.view[-1].object, "it is in memory"


def rest(pages: Dashboard, cards: Cards) -> None:
    """Let the time pass that a browser has for a new card, and look again."""
    cards._rests_until = time.monotonic()
    pages._refresh()


def test_a_card_stands_ready_hidden_so_that_a_proposal_needs_none_made(pages: Dashboard, run: hx.Run) -> None:
    cards = look(pages, "Proposals")._cards
    ready = cards.view[-1]
    assert not ready.visible
    p = asked(run)
    pages._refresh()
    assert cards.all[p.id].view is ready
    assert ready.visible
    assert not cards.view[0].visible, "something waits for a decision"
    pages._refresh()
    assert cards.view[-1] is ready, "the browser is still busy with it"
    rest(pages, cards)
    assert cards.view[-1] is not ready
    assert not cards.view[-1].visible, "the next one"


def shown(pages: Dashboard, page: str, monkeypatch: pytest.MonkeyPatch) -> list[hx.RunView]:
    """A page that is looked at while nobody follows the run, and the moments that it is shown from now on."""
    found, moments = look(pages, page), []
    pages.stop()
    show = found.show
    monkeypatch.setattr(found, "show", lambda run, moment: (moments.append(moment), show(run, moment)))
    return moments


@pytest.mark.parametrize("page", ["Run", "Proposals", "Versions", "Events"])
def test_a_look_leaves_a_page_alone_that_shows_all_there_is_and_shows_what_was_left_out(
    pages: Dashboard, run: hx.Run, monkeypatch: pytest.MonkeyPatch, page: str
) -> None:
    moments = shown(pages, page, monkeypatch)
    pages._refresh()
    moments.clear()
    pages.look_at_runs()
    assert moments == []
    run.feed.log.add(Note(time.time(), "held", 1, "hello"))
    pages.look_at_runs()
    assert [moment.lines[-1].text for moment in moments] == ["hello"]
    p = asked(run)
    pages.look_at_runs()
    assert [len(moment.state.open) for moment in moments] == [0, 1]
    assert p.id in moments[-1].state.open


@pytest.mark.parametrize("page", ["Agents", "Workers"])
def test_what_says_more_than_the_run_does_is_shown_at_each_look(
    pages: Dashboard, monkeypatch: pytest.MonkeyPatch, page: str
) -> None:
    moments = shown(pages, page, monkeypatch)
    pages.look_at_runs()
    pages.look_at_runs()
    assert len(moments) == 2


def test_a_look_takes_a_decided_card_away_and_leaves_the_past_alone(
    pages: Dashboard, run: hx.Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    moments, cards = shown(pages, "Proposals", monkeypatch), pages._pages["Proposals"]._cards
    p = asked(run)
    pages.look_at_runs()
    p.vote("dana", "reject")
    pages.look_at_runs()
    card = cards.all[p.id]
    assert card.decided
    assert card.view.visible, "it stays for some seconds"
    monkeypatch.setattr(card, "_gone", time.monotonic())
    pages.look_at_runs()
    assert p.id not in cards.all
    assert not card.view.visible
    pages.look_at_runs()
    moments.clear()
    pages._slider.end = run.seq
    pages._slider.value = 2
    assert [moment.live for moment in moments] == [False]
    pages.look_at_runs()
    assert len(moments) == 1


def test_a_page_is_laid_out_anew_only_for_a_card_that_is_made(pages: Dashboard, run: hx.Run) -> None:
    cards, laid_out = look(pages, "Proposals")._cards, []
    pages.stop()
    cards.view.param.watch(lambda event: laid_out.append(len(event.new)), "objects")
    for name in ("one", "two"):
        p = asked(run, name)
        pages._refresh()
        p.vote("dana", "reject")
        rest(pages, cards)
        cards.all[p.id]._gone = time.monotonic()
        pages._refresh()
    assert laid_out == [3, 3], "nothing, what lingers, and the one that stands ready"


class Draining:
    """A worker of a lab, which notes that it was asked to leave."""

    def __init__(self, lab: hx.Lab, monkeypatch: pytest.MonkeyPatch, outcome: Exception | None = None) -> None:
        self.asked: list[str] = []
        self._outcome = outcome
        monkeypatch.setattr(lab, "drain", self._drain)

    def _drain(self, worker: str, timeout: float | None = None) -> None:
        self.asked.append(worker)
        if self._outcome is not None:
            raise self._outcome


@pytest.mark.parametrize(
    ("outcome", "said"),
    [
        (None, "inline has left."),
        (TimeoutError(), "leaves when it has finished what it runs"),
        (hx.Refused("it is the last one", rule="last-worker", fix="start another"), "it is the last one"),
    ],
)
def test_a_worker_is_drained_by_a_second_press(
    lab: hx.Lab, pages: Dashboard, monkeypatch: pytest.MonkeyPatch, outcome: Exception | None, said: str
) -> None:
    draining, workers = Draining(lab, monkeypatch, outcome), look(pages, "Workers")
    (drain,) = workers._buttons[0]
    drain.clicks += 1
    assert draining.asked == []
    assert "Press it again" in workers._said.object
    drain.clicks += 1
    assert draining.asked == ["inline"]
    assert said in workers._said.object


def test_nobody_has_no_button_that_drains(lab: hx.Lab, run: hx.Run) -> None:
    nobody = Dashboard(lab, None, lambda work: work(), Place(run.id, "Workers"))
    assert list(look(nobody, "Workers")._buttons) == []
    assert "open the address" in nobody.visit.drain("inline")
    nobody.stop()
