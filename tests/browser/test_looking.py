"""What a person does on the served pages of one run: decide by a key, see an approval become void, hold versions
against each other, look back in time, in the light and in the dark. All tests share one lab and one server; each has
its run.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import expect

import hexdag_lab as hx
from tests.lab import gates
from tests.lab.conftest import fit, held, load, report
from tests.runtime.kit import until

from .conftest import Pages, Serving, approve_button, computed, tab

pytestmark = [
    pytest.mark.timeout(120),
    pytest.mark.filterwarnings("ignore:Widget.name is deprecated"),  # its successor is not in every Panel we allow
]


class Desk:
    """A lab of Dana's, whose critic may propose, and its pages."""

    def __init__(self) -> None:
        self.lab = hx.Lab(pool="inline", store="memory://", owner="dana", workers=3)
        self.lab.add_agent(hx.Agent("critic"))
        self.serving = Serving(self.lab, {"t": "dana"})

    def start(self, *more: hx.NodeSpec) -> hx.Run:
        """load -> fit, load -> held, which waits at its gate; and more."""
        gates.reset()
        run = self.lab.start(hx.Dag.of(load, fit.after("load"), held.after("load"), *more))
        until(lambda: (run.nodes["fit"].state, run.nodes["held"].state) == ("SUCCEEDED", "RUNNING"))
        return run

    def open(self, pages: Pages, run: hx.Run, **options: Any) -> Any:
        page = pages.open(f"{self.serving.address}?token=t&run={run.id}", **options)
        page.get_by_text(re.compile(r"^succeeded \d+$")).first.wait_for(timeout=30_000)  # the graph is drawn
        return page

    def close(self) -> None:
        gates.reset()
        self.serving.close()
        self.lab.close()


@pytest.fixture(scope="module")
def desk() -> Iterator[Desk]:
    made = Desk()
    yield made
    made.close()


def shows(page: Any, text: str | re.Pattern[str]) -> Any:
    found = page.get_by_text(text).locator("visible=true").first
    found.wait_for(timeout=10_000)
    return found


def test_one_key_approves(desk: Desk, pages: Pages) -> None:
    run = desk.start()
    p = run.propose(hx.Changeset.on(run.dag).add_node(report.after("fit")), by="critic")
    page = desk.open(pages, run)
    approve_button(page).wait_for()
    page.keyboard.press("a")
    shows(page, re.compile("● v2 critic"))
    assert p.state == "APPLIED"
    assert [(b.voter, b.choice, b.via) for b in p.tally.ballots] == [("dana", "approve", "token")]


def test_an_approval_that_became_stale_is_void_and_the_card_says_why_and_asks_again(desk: Desk, pages: Pages) -> None:
    run = desk.start(report.after("held", "fit"))
    new = hx.NodeSpec("report", lambda fit: "new")
    change = hx.Changeset.on(run.dag).replace_node("report", new, finished="rerun")
    p = run.propose(change, by="critic")
    page = desk.open(pages, run)
    approve_button(page).wait_for()
    gates.open_gate("held")
    shows(page, "it now throws away other work than it says here: once approved, it is voted on anew")
    approve_button(page).click()
    why = "voted on anew, earlier ballots are void: it now throws away other work than was voted on"
    shows(page, why)
    shows(page, re.compile("re-runs report"))
    shows(page, re.compile("no votes yet"))
    assert (p.state, run.dag.version) == ("OPEN", 1)
    approve_button(page).click()
    run.wait(20)
    assert (p.state, run.result("report")) == ("APPLIED", "new")
    assert pages.errors == []


def test_any_two_versions_stand_side_by_side_and_one_goes_back_by_a_proposal(desk: Desk, pages: Pages) -> None:
    run = desk.start()
    for name, reason in (("deep", "a first look"), ("wide", "a second look")):
        run.propose(hx.Changeset.on(run.dag).add_node(fit.as_node(name).after("load")), by="dana", reason=reason)
    until(lambda: run.dag.version == 3)
    page = desk.open(pages, run)
    tab(page, "Versions")
    sides, lines = page.locator(".sides"), page.locator("pre.log").locator("visible=true")
    shows(page, re.compile("dana · \\+1 node · a second look"))
    expect(sides.locator("h3")).to_have_text(["v2", "v3"])
    expect(lines.first).to_have_text("+ wide\n+ load -> wide", use_inner_text=True)
    page.get_by_label("from").select_option("1")
    expect(sides.locator("h3")).to_have_text(["v1", "v3"])
    expect(lines.first).to_have_text("+ deep\n+ wide\n+ load -> deep\n+ load -> wide", use_inner_text=True)
    drawn = [picture.locator("text").all_text_contents() for picture in page.locator(".sides .pic").all()]
    assert ["deep" in names for names in drawn] == [False, True]
    page.get_by_role("button", name="Go back to v1").click()
    shows(page, "Proposed: back to v1. See Proposals.")
    until(lambda: run.dag.version == 4)
    assert run.dag.digest == run.versions[0].dag.digest
    shows(page, "back to v1")


def test_the_slider_shows_graph_votes_workers_and_words_as_of_then_and_nothing_runs_again(
    desk: Desk, pages: Pages
) -> None:
    run = desk.start(hx.NodeSpec("talks", lambda load: print("said late")).after("held"))
    p = run.propose(hx.Changeset.on(run.dag).add_node(report.after("fit")), by="critic", reason="one more look")
    opened = run.seq
    p.vote("dana", "approve", "good catch")
    gates.open_gate("held")
    run.wait(20)
    calls, events = list(gates.calls), run.seq
    page = desk.open(pages, run)
    shows(page, "talks | said late")
    shows(page, "succeeded 5")
    drag(page, to=opened, last=events)
    shows(page, re.compile("^as it was at "))
    shows(page, f"as of event {opened} of {events}")
    shows(page, re.compile(r"RUNNING"))
    shows(page, "? proposed")
    page.get_by_text("talks | said late").locator("visible=true").wait_for(state="detached")
    shows(page, re.compile("no votes yet"))
    assert approve_button(page).count() == 0, "what is past cannot be decided"
    tab(page, "Workers")
    shows(page, re.compile("^held$"))
    tab(page, "Events")
    assert "talks" not in shows(page, re.compile("critic proposes")).inner_text()
    slider = page.get_by_role("slider")
    slider.focus()
    for key, at in (("Home", 1), ("ArrowRight", 2), ("End", events)):
        page.keyboard.press(key)
        shows(page, f"as of event {at} of {events}")
    shows(page, "SUCCEEDED")
    tab(page, "Proposals")
    shows(page, re.compile("good catch"))
    assert (gates.calls, run.seq) == (calls, events)
    assert pages.errors == []


def drag(page: Any, to: int, last: int) -> None:
    """Drag the slider by mouse from its end, which is the last event, to the place of another."""
    slider = page.get_by_role("slider")
    expect(slider).to_have_attribute("max", str(last), timeout=10_000)
    box, knob = slider.bounding_box(), 16
    at = lambda event: box["x"] + knob / 2 + (event - 1) / (last - 1) * (box["width"] - knob)  # noqa: E731
    y = box["y"] + box["height"] / 2
    page.mouse.move(at(last), y)
    page.mouse.down()
    page.mouse.move(at(last / 2), y)
    shows(page, re.compile("^as it was at "))  # which changes nothing of the slider under the hand
    page.mouse.move(at(to), y)
    page.mouse.up()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("asked", "options", "dark"),
    [
        ("", {"color_scheme": "light"}, False),
        ("", {"color_scheme": "dark"}, True),
        ("&theme=dark", {"color_scheme": "light"}, True),
    ],
    ids=["the system's light", "the system's dark", "Panel's dark"],
)
def test_all_of_a_page_is_dark_or_none_of_it(
    desk: Desk, pages: Pages, asked: str, options: dict[str, str], dark: bool
) -> None:
    run = desk.start()
    run.propose(hx.Changeset.on(run.dag).add_node(report.after("fit")), by="critic")
    page = pages.open(f"{desk.serving.address}?token=t&run={run.id}{asked}", **options)
    approve_button(page).wait_for()
    shows(page, "? proposed")
    words = page.locator(".hx b.status").locator("visible=true").first
    picture = page.locator("[role=toolbar]").locator("xpath=..")
    for each in (words, picture):
        red, green, blue = map(int, re.findall(r"\d+", computed(each, "color"))[:3])
        assert (red + green + blue > 3 * 128) == dark, f"{each} is written in {red}, {green}, {blue}"
    under = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (sum(map(int, re.findall(r"\d+", under)[:3])) < 3 * 128) == dark, under
