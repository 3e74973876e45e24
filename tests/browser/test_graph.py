"""The graph component by itself in a real browser: a page, a host that is made of a few lines, and no server."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from hexdag_lab.views.module import graph_module

from .conftest import Pages

HOST = """
%s
window.said = [];
const heard = [];
const model = {
  get: () => undefined, send: (message) => window.said.push(message), off: () => {},
  on: (kind, fn) => { if (kind === "msg:custom") heard.push(fn); },
};
window.tell = (message) => heard.forEach((fn) => fn(message));
window.end = render({ model, el: document.querySelector("#graph") });
window.stats = () => document.querySelector("#graph > div").hexdag;
"""
WAITING, RUNNING, DONE, FAILED = 0, 2, 4, 5


def graph(seq: int = 1, **more: Any) -> dict[str, Any]:
    """load -> fit_1 … fit_5 -> board; and a proposed node below."""
    names = ["board", "fit_1", "fit_2", "fit_3", "fit_4", "fit_5", "load", "new"]
    edges = [(6, n) for n in range(1, 6)] + [(n, 0) for n in range(1, 6)] + [(0, 7)]
    return {
        "t": "graph", "seq": seq, "head": {"run": "r1", "status": "RUNNING", "version": 2, "open": 1},
        "names": names, "codes": [WAITING, DONE, RUNNING, FAILED, WAITING, WAITING, DONE, WAITING],
        "marks": [0, 0, 0, 0, 0, 1, 0, 3], "began": [0, 11, 12, 11, 0, 0, 10, 0], "seconds": [0, 2, 0, 1, 0, 0, 1, 0],
        "columns": [2, 1, 1, 1, 1, 1, 0, 3], "rows": [0, 0, 1, 2, 3, 4, 0, 0], "groups": ["fit"],
        "member": [-1, 0, 0, 0, 0, 0, -1, -1], "edges": [end for edge in edges for end in edge], "dashed": 1, **more,
    }  # fmt: skip


@pytest.fixture
def page(pages: Pages, tmp_path: Path) -> Any:
    return shown(pages, tmp_path)


def shown(pages: Pages, home: Path, style: str = "", **options: Any) -> Any:
    file = home / "page.html"
    file.write_text(f"<!doctype html><style>{style}</style><body><div id=graph></div><div style='height:3000px'></div>")
    page = pages.open(file.as_uri(), **options)
    page.add_script_tag(type="module", content=HOST % graph_module())
    page.wait_for_function("window.said?.length")
    tell(page, graph())
    page.wait_for_function("stats().frames > 0")
    return page


def tell(page: Any, message: dict[str, Any]) -> None:
    page.evaluate("(message) => tell(message)", message)


def words(page: Any) -> str:
    return page.locator("[aria-live]").inner_text()


def canvas(page: Any) -> Any:
    return page.get_by_role("application")


def pixel(page: Any, x: int, y: int) -> list[int]:
    return page.evaluate(
        "([x, y]) => [...document.querySelector('canvas').getContext('2d').getImageData(x, y, 1, 1).data]", [x, y]
    )


def test_it_says_hello_and_asks_again_when_a_message_is_missing(page: Any, pages: Pages) -> None:
    assert page.evaluate("said") == [{"t": "hello"}]
    tell(page, {"t": "delta", "seq": 2, "head": graph()["head"], "nodes": [[0, RUNNING, 13, 0]]})
    assert page.evaluate("stats().seq") == 2
    tell(page, {"t": "delta", "seq": 9, "head": graph()["head"], "nodes": []})
    assert page.evaluate("said") == [{"t": "hello"}, {"t": "hello"}]
    assert pages.errors == []


def test_states_are_told_by_word_in_the_legend_with_counts(page: Any) -> None:
    for text in ("waiting 4", "running 1", "succeeded 2", "failed 1", "+ added", "? proposed"):
        page.get_by_text(text, exact=True).wait_for()


def test_a_keyboard_walks_along_edges_and_a_reader_hears_where_it_is(page: Any) -> None:
    canvas(page).focus()
    for key, heard in (
        ("ArrowRight", "load: succeeded, wave 1"), ("ArrowRight", "fit_1: succeeded, wave 2"),
        ("ArrowDown", "fit_2: running, wave 2"), ("ArrowRight", "board: waiting, wave 3"),
        ("ArrowRight", "new: waiting, proposed, wave 4"), ("ArrowLeft", "board: waiting, wave 3"),
    ):  # fmt: skip
        page.keyboard.press(key)
        assert words(page) == heard
    page.keyboard.press("Escape")
    assert [said["node"] for said in page.evaluate("said") if said["t"] == "select"][-2:] == ["board", None]


def test_the_wheel_scrolls_the_page_and_zooms_only_with_ctrl_or_in_focus(page: Any) -> None:
    box = canvas(page).bounding_box()
    page.mouse.move(box["x"] + 200, box["y"] + 80)
    page.mouse.wheel(0, 200)
    page.wait_for_function("scrollY > 0")
    page.evaluate("scrollTo(0, 0)")
    frames = page.evaluate("stats().frames")
    page.keyboard.down("Control")
    page.mouse.wheel(0, -200)
    page.keyboard.up("Control")
    page.wait_for_function(f"stats().frames > {frames}")
    assert page.evaluate("scrollY") == 0


def test_groups_collapse_to_a_box_with_counts_and_expand_by_a_click(page: Any) -> None:
    drawn = page.evaluate("stats().frames")
    page.get_by_role("button", name="Groups").click()
    page.wait_for_function(f"stats().frames > {drawn}")
    assert page.get_by_role("button", name="Groups").get_attribute("aria-pressed") == "true"
    assert svg_texts(page) == {"load", "fit × 5", "board", "? new", "1", "2"}, (
        "of the group two wait; one each runs, is done, has failed"
    )
    canvas(page).focus()
    page.keyboard.press("g")
    page.wait_for_function("document.querySelector('button[aria-pressed=true]') === null")
    assert "fit_3" in svg_texts(page)


def svg_texts(page: Any) -> set[str]:
    """The names in the picture that one can keep."""
    with page.expect_download() as caught:
        page.get_by_role("button", name="SVG").click()
    assert caught.value.suggested_filename == "r1-v2.svg"
    found = ElementTree.fromstring(Path(caught.value.path()).read_text())
    texts = {text.text or "" for text in found.iter("{http://www.w3.org/2000/svg}text")}
    return {text for text in texts if not text.startswith("wave ")}


def test_a_picture_can_be_kept_as_png(page: Any) -> None:
    with page.expect_download() as caught:
        page.get_by_role("button", name="PNG").click()
    assert Path(caught.value.path()).read_bytes().startswith(b"\x89PNG")


def test_names_in_a_kept_picture_stay_text(page: Any) -> None:
    tell(page, graph(2, names=["<script>", "a&b", '"', "'", "x", "y", "z", "w"]))
    assert {"<script>", "a&b", '"'} <= svg_texts(page)


def test_a_search_finds_names_states_and_all_that_is_up_or_downstream(page: Any) -> None:
    search = page.get_by_role("searchbox")
    for text, count in (("fit", 5), ("failed", 1), ("+board", 7), ("fit_2+", 3), ("nothing", 0)):
        search.fill(text)
        page.get_by_text(f"{count} found").wait_for()
    search.fill("fit_4")
    search.press("Enter")
    assert words(page) == "fit_4: waiting, wave 2"
    search.press("Escape")
    assert search.input_value() == ""


def test_the_table_says_the_same_and_selects(page: Any) -> None:
    page.get_by_role("button", name="Table").click()
    rows = page.locator("tbody tr")
    assert rows.count() == 8
    cells = [rows.nth(1).locator("td").nth(n).inner_text() for n in range(6)]
    assert cells == ["fit_1", "succeeded", "2", "", "2.00", "load"]
    page.get_by_role("button", name="fit_3").click()
    assert words(page) == "fit_3: failed, wave 2"
    page.get_by_role("searchbox").fill("fit")
    page.wait_for_function("document.querySelectorAll('tbody tr').length === 5")


def test_by_time_nodes_stand_where_they_began_and_go_back_to_their_waves(page: Any) -> None:
    tell(
        page,
        graph(
            2, codes=[WAITING, DONE, DONE, FAILED, WAITING, WAITING, DONE, WAITING], seconds=[0, 2, 2, 1, 0, 0, 1, 0]
        ),
    )
    before = page.evaluate("stats().frames")
    page.get_by_role("button", name="Time").click()
    page.wait_for_function(f"stats().frames > {before}")
    with page.expect_download() as caught:
        page.get_by_role("button", name="SVG").click()
    found = ElementTree.fromstring(Path(caught.value.path()).read_text())
    at = {t.text: float(t.get("x", 0)) for t in found.iter("{http://www.w3.org/2000/svg}text")}
    assert at["not begun"] > at["load"]
    page.get_by_role("button", name="Time").click()
    assert "fit_5" in str(svg_texts(page))


def test_the_map_is_there_when_not_all_fits_and_moves_the_view(page: Any) -> None:
    small = page.locator("canvas[aria-hidden]")
    assert small.count() == 0
    canvas(page).focus()
    for _ in range(6):
        page.keyboard.press("+")
    small.wait_for(state="visible")
    frames = page.evaluate("stats().frames")
    small.click(position={"x": 10, "y": 10})
    page.wait_for_function(f"stats().frames > {frames}")
    canvas(page).focus()
    page.keyboard.press("0")
    small.wait_for(state="detached")


def test_following_keeps_what_runs_in_view(page: Any) -> None:
    canvas(page).focus()
    for _ in range(8):
        page.keyboard.press("+")
    page.get_by_role("button", name="Follow").click()
    frames = page.evaluate("stats().frames")
    tell(page, {"t": "delta", "seq": 2, "head": graph()["head"], "nodes": [[2, DONE, 12, 1], [0, RUNNING, 13, 0]]})
    page.wait_for_function(f"stats().frames > {frames + 1}")


def test_a_new_version_moves_nothing_that_has_kept_its_place(page: Any) -> None:
    before = pixel(page, 40, 60)
    tell(
        page, graph(2, marks=[0, 0, 0, 0, 0, 0, 0, 1], head={"run": "r1", "status": "RUNNING", "version": 3, "open": 0})
    )
    page.wait_for_function("stats().seq === 2 && stats().frames > 1")
    assert pixel(page, 40, 60) == before


@pytest.mark.parametrize(
    ("style", "options", "dark"),
    [
        ("body{background:#fff}", {}, False),
        ("body{background:#111}", {}, True),
        ("", {"color_scheme": "dark"}, False),  # no background at all: the browser's is white
        (":root{color-scheme:light dark} body{background:light-dark(#fff,#111)}", {"color_scheme": "dark"}, True),
    ],
)
def test_it_is_dark_where_the_page_is(
    pages: Pages, tmp_path: Path, style: str, options: dict[str, str], dark: bool
) -> None:
    page = shown(pages, tmp_path, style, **options)
    colour = page.locator("#graph > div > div").last.evaluate("(e) => getComputedStyle(e.parentElement).color")
    assert colour == ("rgb(230, 230, 230)" if dark else "rgb(32, 33, 36)")


@pytest.mark.parametrize(
    ("theme", "under", "dark"),
    [
        ("vscode-dark", "transparent", True),
        ("vscode-high-contrast", "transparent", True),
        ("vscode-high-contrast-light", "transparent", False),
        ("vscode-light", "transparent", False),
        ("vscode-dark", "white", False),  # what its Jupyter extension lays below widgets
    ],
)
def test_in_vs_code_it_is_dark_by_the_themes_class_unless_something_lies_below_it(
    page: Any, theme: str, under: str, dark: bool
) -> None:
    page.evaluate(
        """([theme, under]) => { document.querySelector("#graph").style.background = under;
            document.body.className = theme; }""",
        [theme, under],
    )
    wanted = "rgb(230, 230, 230)" if dark else "rgb(32, 33, 36)"
    page.wait_for_function("(c) => document.querySelector('#graph > div').style.color === c", arg=wanted)


def test_it_turns_dark_with_the_page(page: Any) -> None:
    page.evaluate("document.body.style.background = '#111'")
    page.wait_for_function("document.querySelector('#graph > div').style.color === 'rgb(230, 230, 230)'")


def test_nothing_is_drawn_while_nothing_changes_and_only_what_has(page: Any) -> None:
    page.wait_for_timeout(300)
    frames = page.evaluate("stats().frames")
    page.wait_for_timeout(300)
    assert page.evaluate("stats().frames") == frames
    for number in range(2, 5):
        tell(page, {"t": "delta", "seq": number, "head": graph()["head"], "nodes": [[0, number % 2 * 4, 13, 0]]})
    page.wait_for_function(f"stats().frames > {frames} && stats().deltas === 3")
    assert page.evaluate("stats().changed") >= 1


def test_once_ended_it_listens_and_ticks_no_more(page: Any) -> None:
    page.evaluate("""() => {
        window.ended = 0;
        const plain = window.clearInterval;
        window.clearInterval = (id) => { window.ended += 1; plain(id); };
        end();
    }""")
    assert page.evaluate("ended") == 2
    frames = page.evaluate("stats().frames")
    page.evaluate("document.body.style.background = '#222'")
    page.wait_for_timeout(200)
    assert page.evaluate("stats().frames") == frames


def test_the_module_is_its_files_and_nothing_else() -> None:
    text = graph_module()
    assert "import " not in "\n".join(line for line in text.splitlines() if not line.lstrip().startswith("//"))
    assert text.count("export default") == 1
    names = [
        line.split()[1].partition("(")[0] for line in text.splitlines() if line.startswith(("function ", "class "))
    ]
    assert len(names) == len(set(names)), "names are unique over all files"
    assert json.dumps(text)
