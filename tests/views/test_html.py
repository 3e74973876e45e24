"""Words of agents on a screen: escaped, without control and bidirectional characters, cut with a mark."""

from __future__ import annotations

import time

import hexdag_lab as hx
from hexdag_lab.views import html, svg
from hexdag_lab.views.wording import clean

NASTY = '<script>alert(1)</script><img src=x onerror="alert(2)">\u202edetrevni\u202c\x07\x1b[31m\u200b'


def long() -> None:
    time.sleep(1)


def render(x: int = 0) -> int:
    time.sleep(0.2)
    return x


def test_control_and_bidirectional_characters_go() -> None:
    text = clean(NASTY, 500)
    assert not set(text) & set("\u202e\u202c\x07\x1b\u200b")
    assert "detrevni" in text


def test_long_text_is_cut_with_a_mark() -> None:
    assert clean("a" * 1_000_000, 300) == "a" * 299 + "…"
    assert clean("short", 300) == "short"


def test_markup_in_reasons_votes_and_errors_stays_text() -> None:
    with hx.Lab(pool="inline", store="memory://", policy=hx.Supermajority(2 / 3)) as lab:
        for name in ("critic", "lea"):
            lab.add_agent(hx.Agent(name, trust=0.8))
        lab.add_agent(hx.Agent("author", role="executor"))
        run = lab.start(hx.Dag.of(hx.NodeSpec("a", long)))
        p = run.propose(hx.Changeset.on(run.dag).add_node(hx.NodeSpec("b", render)), by="author", reason=NASTY * 20_000)
        p.vote("critic", "approve", NASTY)
        state = run.feed.state
        pages = [
            html.card(state, state.proposals[p.id]), html.header(state), html.versions(state),
            html.events(list(run.events())), html.node(state, "a"), html.note(NASTY), svg.run_svg(state),
        ]  # fmt: skip
        for page in pages:
            assert "<script" not in page
            assert "<img" not in page
            assert "\u202e" not in page
            assert len(page) < 100_000
        assert "needs lea" in pages[0]
        p.vote("lea", "reject", NASTY)
        run.wait(10)


def test_the_static_picture_names_each_node_with_its_state() -> None:
    with hx.Lab(pool="inline", store="memory://") as lab:
        run = lab.start(hx.Dag.of(hx.NodeSpec("first", render), hx.NodeSpec("second", render).after("first")))
        run.wait(10)
        picture = svg.run_svg(run.feed.state)
        assert picture.startswith("<svg ")
        assert "first: SUCCEEDED" in picture
        assert "second: SUCCEEDED" in picture
        assert svg.dag_svg(run.dag).count("<rect") == 2
