"""A graph, and what differs between two, in a cell: text, HTML and SVG, in a live notebook and in a static page."""

from __future__ import annotations

import re
import subprocess
import sys
from typing import Any
from xml.etree import ElementTree

import nbformat
import pytest
from nbconvert import HTMLExporter

import hexdag_lab as hx
from hexdag_lab.core.base import pictures as hook
from hexdag_lab.views import pictures

NASTY = "<script>alert(1)</script>"


def load(path: str = "data.csv") -> Any: ...
def clean(load: Any) -> Any: ...
def fit(clean: Any, depth: int = 3) -> Any: ...
def old(load: Any) -> Any: ...
def report(fit: Any) -> Any: ...


@pytest.fixture
def dag() -> hx.Dag:
    return hx.Dag.of(load, clean, fit, old)


@pytest.fixture
def diff(dag: hx.Dag) -> hx.Diff:
    """report is new, old is gone, fit has another depth."""
    changed = dag.replace_node("fit", dag.nodes["fit"].but(params={"depth": 5}, retries=2)).remove_node("old")
    return hx.diff(dag, changed.add_node(report))


def texts(svg: str) -> list[str]:
    """What can be read in a picture; it is well-formed or this fails."""
    return [element.text or "" for element in ElementTree.fromstring(svg).iter() if element.tag.endswith("text")]


def test_a_graph_shows_itself_as_text_html_and_svg(dag: hx.Dag) -> None:
    shown = dag._repr_mimebundle_()
    assert set(shown) == {"text/plain", "text/html", "image/svg+xml"}
    assert shown["text/plain"] == str(dag)
    assert set(dag) <= set(texts(shown["image/svg+xml"]))
    assert "<td>wave 2</td><td>clean, old</td>" in shown["text/html"]
    assert shown["image/svg+xml"] in shown["text/html"]


def test_a_difference_is_told_by_colour_sign_and_word(diff: hx.Diff) -> None:
    shown = diff._repr_mimebundle_()
    assert shown["text/plain"].splitlines()[:3] == ["+ report", "- old", "~ fit"]
    page, read = shown["text/html"], texts(shown["image/svg+xml"])
    for sign, word, name, colour in (
        ("+", "added", "report", "#009E73"),
        ("−", "removed", "old", "#D55E00"),
        ("~", "changed", "fit", "#E69F00"),
    ):
        at = read.index(name)
        assert (read[at - 1], read[at + 1]) == (sign, word)
        assert f'stroke="{colour}"' in shown["image/svg+xml"]
        assert f"{sign} {word}</td><td>{name}" in page
    assert read[read.index("load") - 1] == "·", "what stays has no sign"
    assert "fit: depth none → 5, retries 0 → 2" in page
    assert "load → old: removed" in shown["image/svg+xml"]
    assert "would run: fit, report" in page
    assert "v1 → v4: +1 added, −1 removed, ~1 changed, +1 edge, −1 edge" in page


def test_no_two_nodes_stand_on_one_place(diff: hx.Diff) -> None:
    before, after = diff.graphs or (hx.Dag.of(), hx.Dag.of())
    places = pictures._places(before, after, {*before, *after})
    assert len(set(places.values())) == len(places) == 5


def test_no_difference_says_so(dag: hx.Dag) -> None:
    shown = hx.diff(dag, dag)._repr_mimebundle_()
    assert shown["text/plain"] == "(no difference)"
    assert "no difference" in shown["text/html"]
    assert "image/svg+xml" not in shown


def test_an_empty_graph_shows_itself() -> None:
    assert set(hx.Dag.of()._repr_mimebundle_()) == {"text/plain", "text/html", "image/svg+xml"}


def test_a_large_graph_is_drawn_by_its_waves_and_a_difference_by_its_neighbourhood() -> None:
    wide = hx.Dag.of(load, *(hx.NodeSpec(f"n{i}", clean).after("load") for i in range(400)))
    shown = wide._repr_mimebundle_()
    assert texts(shown["image/svg+xml"])[1:3] == ["wave 1", "1 node"]
    assert "400 nodes" in shown["image/svg+xml"]
    assert len(shown["text/html"]) < 10_000
    change = hx.diff(wide, wide.add_node(hx.NodeSpec("last", clean).after("n7")))
    read = texts(change._repr_mimebundle_()["image/svg+xml"])
    assert {"n7", "last"} <= set(read)
    assert "n8" not in read


def test_what_people_wrote_is_escaped(dag: hx.Dag) -> None:
    changed = dag.replace_node("fit", dag.nodes["fit"].but(params={"depth": NASTY}))
    for value in (changed, hx.diff(dag, changed)):
        assert "<script" not in "".join(value._repr_mimebundle_().values())


def test_versions_of_a_run_show_what_differs(dag: hx.Dag) -> None:
    with hx.Lab(pool="inline", store="memory://", owner="dana") as lab:
        run = lab.start(dag.add_node(hx.NodeSpec("waits", clean, requires={"gpu"})))
        run.propose(run.dag.add_node(report))
        assert "+ added</td><td>report" in run.diff(1, 2)._repr_mimebundle_()["text/html"]
        run.cancel()


def test_without_anybody_who_draws_there_is_the_text(dag: hx.Dag, monkeypatch: pytest.MonkeyPatch) -> None:
    def cannot(value: Any) -> Any:
        raise ImportError("no screens here")

    for painter in (None, cannot):
        monkeypatch.setattr(hook, "_painter", painter)
        assert dag._repr_mimebundle_() == {"text/plain": str(dag)}


def test_screens_are_loaded_only_when_something_is_shown() -> None:
    script = (
        "import sys, hexdag_lab as hx\n"
        "dag = hx.Dag.of(len)\n"
        "print(any(name.startswith('hexdag_lab.views') for name in sys.modules))\n"
        "dag._repr_mimebundle_()\n"
        "print(any(name in sys.modules for name in ('panel', 'distributed', 'anywidget')))\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]


def test_a_static_page_has_the_picture_and_the_words(diff: hx.Diff) -> None:
    """As nbconvert makes it of a notebook that was run and saved."""
    output = nbformat.v4.new_output("display_data", diff._repr_mimebundle_())
    cell = nbformat.v4.new_code_cell("hx.diff(dag, new)", outputs=[output])
    page, _ = HTMLExporter().from_notebook_node(nbformat.v4.new_notebook(cells=[cell]))
    assert re.search(r"<text [^>]*>report</text>", page)
    assert "would run: fit, report" in page


def test_a_change_of_when_and_how_a_node_runs_is_told() -> None:
    old = hx.Dag.of(hx.NodeSpec("fit", len, version="1", concurrency=2))
    new = old.replace_node("fit", old.nodes["fit"].but(when=lambda: True, optional=True, concurrency=3))
    table = hx.diff(old, new)._repr_mimebundle_()["text/html"]
    for told in ("optional False → True", "concurrency 2 → 3", "when"):
        assert told in table
