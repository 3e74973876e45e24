"""The card in a notebook's cell without a browser: what its buttons do, and how a proposal is edited there."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

import hexdag_lab as hx
from hexdag_lab.views.visit import Identity, Visit
from hexdag_lab.views.widget import CardWidget, EditorWidget
from tests.lab import gates
from tests.lab.conftest import fit, held, load, until


@pytest.fixture
def run() -> Iterator[hx.Run]:
    with hx.Lab(pool="inline", store="memory://", owner="dana") as lab:
        lab.add_agent(hx.Agent("critic"))
        made = lab.start(hx.Dag.of(load, held.after("load")))
        until(lambda: made.nodes["held"].state == "RUNNING")
        yield made
        gates.reset()


def asked(run: hx.Run) -> tuple[hx.ProposalHandle, CardWidget]:
    """A proposal of two nodes, and its card."""
    change = hx.Changeset.on(run.dag)
    for name, depth in (("deep", 5), ("deeper", 9)):
        change = change.add_node(fit.as_node(name, depth=depth).after("load"))
    p = run.propose(change, by="critic")
    card = CardWidget(Visit(run._lab, Identity("dana", "notebook")), run, p.id)
    card.show(run.feed.state)
    return p, card


def opened(card: CardWidget) -> EditorWidget:
    card.edit.click()
    (editor,) = card.editor.children
    assert isinstance(editor, EditorWidget)
    return editor


def test_an_edited_proposal_is_a_new_one_of_the_notebooks_owner_and_says_so_on_the_old_one(run: hx.Run) -> None:
    p, card = asked(run)
    editor = opened(card)
    editor.keep["deeper"].value = False
    editor.params["deep", "depth"].value = "7"
    editor.go.click()
    assert card.editor.children == (), "it is done with"
    assert run.dag.nodes["deep"].params["depth"] == 7
    assert "deeper" not in run.dag
    assert run.versions[-1].by == "dana"
    assert p.requests[0].text == "edited by dana: see the newer proposal"


def test_an_edit_that_is_wrong_is_refused_in_a_sentence_and_stays_open(run: hx.Run) -> None:
    p, card = asked(run)
    editor = opened(card)
    editor.params["deep", "depth"].value = "7 +"
    editor.go.click()
    assert "deep: depth is a Python value" in card._said.value
    assert card.editor.children == (editor,)
    assert (p.state, p.requests) == ("OPEN", ())


def test_a_second_press_closes_what_edits_and_a_decided_card_has_none(run: hx.Run) -> None:
    p, card = asked(run)
    opened(card)
    card.edit.click()
    assert card.editor.children == ()
    opened(card)
    card.buttons["reject"].click()
    card.freeze()
    assert (p.state, card.editor.children, card.edit.disabled) == ("REJECTED", (), True)
