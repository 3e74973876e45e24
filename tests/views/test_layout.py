"""Where nodes stand: waves are columns, and a new version moves nobody who need not move."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

import hexdag_lab as hx
from hexdag_lab.views.layout import layout


def work(**ups: object) -> None: ...


def graph(edges: dict[str, list[str]]) -> hx.Dag:
    return hx.Dag.of(*(hx.NodeSpec(name, work).after(*ups) for name, ups in edges.items()))


@st.composite
def dags(draw: st.DrawFn) -> hx.Dag:
    size = draw(st.integers(1, 25))
    ups = {f"n{i}": [f"n{j}" for j in range(i) if draw(st.integers(0, 6)) == 0] for i in range(size)}
    return graph(ups)


def test_a_column_is_a_wave() -> None:
    dag = graph({"load": [], "a": ["load"], "b": ["load"], "join": ["a", "b"]})
    assert {name: column for name, (column, _) in layout(dag).items()} == {"load": 0, "a": 1, "b": 1, "join": 2}


@given(dags())
@settings(max_examples=60, deadline=None)
def test_no_two_nodes_stand_in_one_place(dag: hx.Dag) -> None:
    places = layout(dag)
    assert set(places) == set(dag)
    assert len(set(places.values())) == len(places)


@given(dags(), st.data())
@settings(max_examples=60, deadline=None)
def test_adding_a_node_moves_nobody(dag: hx.Dag, data: st.DataObject) -> None:
    before = layout(dag)
    up = data.draw(st.sampled_from(sorted(dag)))
    after = layout(dag.add_node(hx.NodeSpec("new", work).after(up)), before)
    assert {name: after[name] for name in before} == before
    assert len(set(after.values())) == len(after)


def test_a_node_that_changes_its_wave_finds_a_free_row_near_its_upstreams() -> None:
    dag = graph({"a": [], "b": [], "c": [], "d": ["a"]})
    before = layout(dag)
    after = layout(dag.add_edge("a", "c"), before)
    assert after["c"][0] == 1
    assert after["c"] != after["d"]
    assert {n: after[n] for n in ("a", "b", "d")} == {n: before[n] for n in ("a", "b", "d")}


def test_the_same_graph_stands_the_same_way_whatever_was_edited_before() -> None:
    one = graph({"a": [], "b": ["a"], "c": ["a"]})
    other = graph({"a": [], "c": ["a"]}).add_node(hx.NodeSpec("b", work).after("a"))
    assert layout(one) == layout(other)
