"""Drafts and regions on screens, without a browser: text, cards, and what their buttons do in whose name."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest

import hexdag_lab as hx
from hexdag_lab.core.replica.copies import Copy
from hexdag_lab.core.replica.replica import Replica
from hexdag_lab.core.runs.region import Region
from hexdag_lab.runtime import wire
from hexdag_lab.views import drafts
from hexdag_lab.views.draft_widget import DraftWidget
from hexdag_lab.views.pages import Dashboard, Identity
from hexdag_lab.views.pages.drafts import ConflictCard, DraftsPage
from hexdag_lab.views.regions import regions
from hexdag_lab.views.visit import Visit
from tests.lab.conftest import load

pytestmark = pytest.mark.filterwarnings("ignore::PendingDeprecationWarning")  # Panel's, about its own widgets


def step(**inputs: Any) -> int:
    return len(inputs)


@pytest.fixture
def lab() -> Iterator[hx.Lab]:
    with hx.Lab(pool="inline", store="memory://", owner="dana") as made:
        yield made


@pytest.fixture
def draft(lab: hx.Lab) -> Any:
    """A draft in which dana and <lea> have changed `fit` without knowing of each other."""
    made = lab.draft("next", of=hx.Dag.of(load, hx.NodeSpec("fit", step).after("load")))
    before = made._replica
    made.replace_node("fit", hx.NodeSpec("fit", step, params={"depth": 3}))
    spec = made.dag.nodes["fit"].but(params={"depth": 5})
    hers = Replica("lea-1").merge(before).write({"fit": spec}, "<lea>", 1_700_000_000_000)
    made._wrote(made._replica.merge(hers))
    return made


def test_a_draft_as_text_names_the_copies_and_both_sides_of_a_conflict(draft: Any) -> None:
    said = repr_of(draft)["text/plain"]
    assert "draft next: 2 nodes, 1 open conflict" in said
    assert "dana (here): up to date" in said
    assert re.search(r"<lea>: 1 change behind, since \d\d:\d\d", said)
    assert "dana writes fit (step: depth=3)" in said
    assert "<lea> writes fit (step: depth=5)" in said
    assert said.count("(shown)") == 1


def repr_of(draft: Any) -> dict[str, Any]:
    found: dict[str, Any] = draft._repr_mimebundle_()
    return found


def test_a_draft_shows_itself_as_a_picture_where_no_widget_can(draft: Any) -> None:
    assert repr_of(draft)["image/svg+xml"].startswith("<svg")


def test_a_conflict_card_has_both_intents_and_no_markup_of_theirs(draft: Any) -> None:
    (held,) = draft.conflicts
    card = drafts.conflict(held, draft.intents(held), 1_700_000_100)
    assert "&lt;lea&gt;" in card
    assert "<lea>" not in card
    assert "changed by several" in card
    assert "depth=3" in card
    assert "depth=5" in card
    assert "01:40 ago" in card


def test_what_is_known_of_a_copy_is_said_in_words() -> None:
    now = 1_700_000_100.0
    known = Copy("lea-1", "lea", False, 1_700_000_000_000, 4, "writes fit", 3, 1_700_000_040_000)
    assert drafts.behind(known, now) == "3 changes behind, since 01:00"
    assert drafts.behind(known._replace(behind=1, since=None), now) == "1 change behind"
    assert drafts.behind(known._replace(behind=0), now) == "up to date"
    assert (drafts.ago(known.at, now), drafts.ago(0, now)) == ("01:40 ago", "")


def test_the_buttons_of_a_cell_settle_a_conflict(draft: Any) -> None:
    widget = DraftWidget(draft)
    (card,) = widget.cards.children
    buttons = {button.description: button for button in card.children[1].children}
    assert set(buttons) == {"Keep dana's", "Keep <lea>'s"}
    buttons["Keep <lea>'s"].click()
    assert draft.dag.nodes["fit"].params == {"depth": 5}
    assert widget.cards.children == ()
    assert draft.changes()[-1].by == "dana"


def test_a_button_that_comes_too_late_says_so_and_the_card_is_the_new_one(draft: Any) -> None:
    widget = DraftWidget(draft)
    late = widget.cards.children[0].children[1].children[0]
    draft.replace_node("fit", hx.NodeSpec("fit", step, params={"depth": 7}))
    late.click()
    assert "written anew meanwhile" in widget._said.value
    assert draft.dag.nodes["fit"].params == {"depth": 7}


def pressed(card: ConflictCard, label: str) -> None:
    (button,) = [button for button in card.view[1] if button.name == label]
    button.clicks += 1


def page_of(lab: hx.Lab, identity: Identity | None) -> tuple[DraftsPage, Any]:
    page = DraftsPage(Visit(lab, identity))
    page.look(())
    return page, page._shown["next"]


def test_the_page_settles_in_the_name_of_who_looks(lab: hx.Lab, draft: Any) -> None:
    _, section = page_of(lab, Identity("marie", "token"))
    (card,) = section._cards.values()
    pressed(card, "Keep dana's")
    assert section._cards == {}
    assert (draft.changes()[-1].by, draft.dag.nodes["fit"].params) == ("marie", {"depth": 3})


def test_nobody_settles_nothing(lab: hx.Lab, draft: Any) -> None:
    _, section = page_of(lab, None)
    (card,) = section._cards.values()
    pressed(card, "Keep dana's")
    assert "cannot settle a conflict" in section._said.object
    assert len(draft.conflicts) == 1


def test_a_lab_without_drafts_says_how_to_begin_one(lab: hx.Lab) -> None:
    pages = Dashboard(lab, Identity("dana", "token"), lambda work: work())
    pages._tabs.active = [*pages._tabs._names].index("Drafts")
    pages.look_at_runs()
    assert "lab.draft(name, of=run)" in pages._pages["Drafts"]._none.object
    lab.draft("first", of=hx.Dag.of(load))
    pages.look_at_runs()
    assert list(pages._pages["Drafts"]._shown) == ["first"]
    pages.stop()


def test_a_card_stays_the_same_while_nothing_has_changed(lab: hx.Lab, draft: Any) -> None:
    page, section = page_of(lab, Identity("marie", "token"))
    (card,) = section._cards.values()
    page.look(())
    assert [*section._cards.values()] == [card]


def test_a_draft_that_cannot_be_read_says_so_and_the_others_are_shown(lab: hx.Lab, draft: Any) -> None:
    lab.draft("other", of=hx.Dag.of(load))
    page, _ = page_of(lab, Identity("marie", "token"))
    lab.in_store(lambda store: store.commit(append={wire.draft("next"): [b"nonsense"]}))
    page.look(())
    assert "no message of a draft" in page._shown["next"]._head.object
    assert "1 node" in page._shown["other"]._head.object


def test_regions_say_which_is_home_which_is_cut_off_and_who_is_behind() -> None:
    rows = [
        Region("us", False, 2, 4, since=50_580.0, events=7, seconds=65.0),
        Region("eu", True, 3, 6, events=0, seconds=0.4),
        Region("<ap>", False, 1, 1),
    ]
    said = regions(rows)
    assert said.index("eu") < said.index("&lt;ap&gt;") < said.index("us</b>")
    assert "eu</b> (home: decides)" in said
    assert "cut off since 14:03:00 UTC" in said
    assert "7 events behind" in said
    assert "01:05 ago" in said
    assert "up to date" in said
    assert regions([]) == ""
