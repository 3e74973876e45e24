"""Laws of the pure structures, against the plainest thing that does the same: dict, sorted, networkx.

Everything here is generated; what an example would show is in tests/core.
"""

import json
import math
import pickle
import string
from collections.abc import Callable, Mapping
from fractions import Fraction
from functools import cache
from itertools import pairwise, product
from typing import Any

import networkx as nx
import pytest
from hypothesis import HealthCheck, Phase, assume, given, settings
from hypothesis import strategies as st

from hexdag_lab.core.base.canon import canonical, plain
from hexdag_lab.core.base.codec import decode_data, dumps, encode_data, loads
from hexdag_lab.core.base.errors import CycleError, DagError, SchemaError
from hexdag_lab.core.base.frozen import FrozenDict
from hexdag_lab.core.base.heap import Heap, items, pop, push
from hexdag_lab.core.base.merkle import MerkleMap
from hexdag_lab.core.base.overlay import Overlay
from hexdag_lab.core.dag.changeset import Changeset
from hexdag_lab.core.dag.conflict import Conflict
from hexdag_lab.core.dag.dag import Dag
from hexdag_lab.core.dag.diff import diff
from hexdag_lab.core.dag.node import NodeSpec


def examples(count: int) -> Callable[[Any], Any]:
    """So many examples, the same in each run; no deadline, since the machine may be busy."""
    return settings(
        max_examples=count, deadline=None, derandomize=True, database=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
        phases=[Phase.explicit, Phase.generate, Phase.shrink],
    )  # fmt: skip


# -- the Merkle map, against dict

KEYS = st.text(string.ascii_lowercase[:4], max_size=3)
MAP_EDITS = st.lists(st.tuples(KEYS, st.none() | st.integers(0, 3)), max_size=60)  # None deletes


def edited(m: MerkleMap[int], edits: list[tuple[str, int | None]]) -> MerkleMap[int]:
    for key, value in edits:
        m = m.set(key, value) if value is not None else m.delete(key) if key in m else m
    return m


def as_dict(start: Mapping[str, int], edits: list[tuple[str, int | None]]) -> dict[str, int]:
    model = dict(start)
    for key, value in edits:
        model.pop(key, None)
        if value is not None:
            model[key] = value
    return model


@examples(300)
@given(MAP_EDITS, st.randoms(use_true_random=False))
def test_a_map_holds_what_a_dict_would_and_knows_nothing_of_its_history(edits: Any, random: Any) -> None:
    m, model = edited(MerkleMap(), edits), as_dict({}, edits)
    assert dict(m) == model
    assert len(m) == len(model)
    assert all(m[key] == value and key in m for key, value in model.items())
    shuffled = list(model.items())
    random.shuffle(shuffled)
    for same in (MerkleMap(shuffled), edited(MerkleMap(), shuffled), pickle.loads(pickle.dumps(m))):
        assert same == m
        assert same.digest == m.digest
        assert list(same.items()) == list(m.items())


@examples(300)
@given(MAP_EDITS, MAP_EDITS)
def test_a_diff_of_maps_is_what_differs(before: Any, after: Any) -> None:
    a = edited(MerkleMap(), before)
    b = edited(a, after)
    here, there = dict(a), dict(b)
    wanted = {key: (here.get(key), there.get(key)) for key in here | there if here.get(key) != there.get(key)}
    found = [(key, (old, new)) for key, old, new in a.diff(b)]
    assert dict(found) == wanted
    assert len(found) == len(wanted)
    assert (a.digest == b.digest) == (here == there)
    unrelated = MerkleMap(there)
    assert {key: (old, new) for key, old, new in a.diff(unrelated)} == wanted


@examples(300)
@given(st.lists(st.dictionaries(KEYS, st.none() | st.integers(0, 3), max_size=9), max_size=40))
def test_an_overlay_holds_what_a_dict_would(updates: Any) -> None:
    overlay: Overlay[int] = Overlay({})
    model: dict[str, int] = {}
    versions = []
    for update in updates:
        versions.append((overlay, dict(model)))
        overlay = overlay.update(dict(update))
        model = {key: value for key, value in (model | update).items() if value is not None}
    versions.append((overlay, model))
    for version, wanted in versions:
        assert dict(version.items()) == wanted
        assert all(version.get(key) == wanted.get(key) for key in map("".join, product("abcd", repeat=2)))
    for (a, was), (b, now) in [*pairwise(versions), (versions[0], versions[-1]), (versions[-1], versions[0])]:
        differs = {(key, was.get(key), now.get(key)) for key in was.keys() | now.keys() if was.get(key) != now.get(key)}
        assert sorted(a.diff(b)) == sorted(differs)


@examples(200)
@given(MAP_EDITS, st.dictionaries(KEYS, st.none() | st.integers(0, 3)))
def test_many_changes_of_a_map_at_once_are_those_one_by_one(before: Any, changes: Any) -> None:
    m = edited(MerkleMap(), before)
    at_once = m.update(changes)
    assert at_once == edited(m, list(changes.items()))
    assert len(at_once) == len(dict(at_once))


# -- the heap, against sorted


@examples(200)
@given(
    st.lists(st.lists(st.tuples(st.tuples(st.integers(-3, 3), st.integers(0, 2)), st.sampled_from("abcd"))) | st.none())
)
def test_a_heap_gives_what_sorting_gives(steps: Any) -> None:
    heap: Heap = None
    model: list[tuple[tuple[int, int], str]] = []
    for step in steps:
        if step is not None:
            heap = push(heap, step)
            model = sorted([*model, *step])
        elif heap is not None:
            old = heap
            item, heap = pop(heap)
            assert item == model.pop(0)[1]
            assert pop(old)[0] == item
        assert sorted(items(heap)) == sorted(item for _, item in model)


# -- plain data and text

NUMBERS = st.integers() | st.floats() | st.fractions(max_denominator=99) | st.complex_numbers()
SCALARS = st.none() | st.booleans() | NUMBERS | st.text() | st.binary()
HASHABLE = st.recursive(SCALARS, lambda inner: st.tuples(inner, inner) | st.frozensets(inner, max_size=3), max_leaves=5)
DATA = st.recursive(
    HASHABLE | st.sets(HASHABLE, max_size=3),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(HASHABLE, inner, max_size=4) | st.tuples(inner, inner),
    max_leaves=12,
)


def same(a: Any, b: Any) -> bool:
    """Equal, with the same types all through; NaN equals NaN."""
    if type(a) is not type(b):
        return False
    if isinstance(a, float):
        return a == b or (math.isnan(a) and math.isnan(b))
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(same(x, y) for x, y in zip(a, b, strict=True))
    return canonical(a) == canonical(b)


@examples(300)
@given(DATA)
def test_plain_data_comes_back_from_text_with_its_types(value: Any) -> None:
    text = json.dumps(encode_data(value), allow_nan=False)
    assert same(decode_data(json.loads(text)), value)
    assert same(plain(value), value)
    spec = NodeSpec("x", takes(), params={"value": value})
    assert Dag.from_json(Dag.of(spec).to_json()) == Dag.of(spec)


@examples(200)
@given(DATA)
def test_records_come_back_from_text(value: Any) -> None:
    record = Conflict("kind", (str(value),), "ours", "theirs")
    assert loads(dumps((record, FrozenDict({"a": 1})))) == (record, FrozenDict({"a": 1}))
    again = loads(dumps(value))
    assert loads(dumps(again)) == again or "nan" in repr(again)  # lists are tuples from the first time on


@examples(300)
@given(DATA, DATA)
def test_other_content_has_other_bytes(one: Any, two: Any) -> None:
    assert (canonical(one) == canonical(two)) == (canonical(plain(one)) == canonical(plain(two)))
    if one != two and "nan" not in repr((one, two)):
        assert canonical(one) != canonical(two)


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=5)
    | st.sampled_from(["Dag", "Changeset"]),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from(["!", "v", "nodes", "name", "code", "base", "edges"]), inner, max_size=4)
    ),
    max_leaves=15,
)


@examples(300)
@given(JSON)
def test_any_json_is_read_or_refused(data: Any) -> None:
    text = json.dumps(data)
    for read in (loads, Dag.from_json):
        try:
            read(text)
        except SchemaError:
            continue


@examples(300)
@given(st.data())
def test_a_damaged_graph_is_read_or_refused(data: st.DataObject) -> None:
    """One value somewhere in the text of a good graph is replaced by something else."""
    document = json.loads(sample_graph().to_json())
    place, key = document, data.draw(st.sampled_from(sorted(document)))
    while isinstance(place[key], dict | list) and place[key] and data.draw(st.booleans()):
        place = place[key]
        key = data.draw(st.sampled_from(sorted(place) if isinstance(place, dict) else range(len(place))))
    place[key] = data.draw(JSON)
    try:
        dag = Dag.from_json(json.dumps(document))
    except DagError:
        return
    assert Dag.from_json(dag.to_json()) == dag


# -- graphs

NAMES = [f"n{i:02}" for i in range(14)]


@cache
def takes(*names: str) -> Callable[..., Any]:
    """A function with these parameters, all optional, and `value`, which is required by none."""
    source = f"def made({', '.join([*(f'{name}=0' for name in names), 'value=0'])}): ..."
    scope: dict[str, Any] = {}
    exec(source, scope)
    return scope["made"]  # type: ignore[no-any-return]


@cache
def spec(name: str, takes_: tuple[str, ...] = (), value: int = 0) -> NodeSpec:
    return NodeSpec(name, takes(*takes_), params={"value": value})


@cache
def sample_graph() -> Dag:
    a = NodeSpec("a", takes(), params={"value": [1, (2,)]}, retries=2, requires={"gpu"}, cost=Fraction(1, 3))
    return Dag.of(a, NodeSpec("b", takes("a"), version="1"), NodeSpec("c", takes("b"), timeout=3).after("a"))


# An edit is drawn as a kind and numbers, and says what it means on a graph: nearly always something that is possible.
NUMBER = st.integers(0, 999)
KIND = st.sampled_from(["add"] * 5 + ["edge"] * 8 + ["replace"] * 3 + ["no edge"] * 2 + ["remove", "anything"])
EDIT = st.tuples(KIND, NUMBER, NUMBER, NUMBER)
HISTORY = st.lists(EDIT, max_size=12) | st.lists(EDIT, min_size=30, max_size=60)
BASE = st.lists(EDIT, min_size=20, max_size=50)
CHANGE = st.lists(EDIT, min_size=1, max_size=4)
LONG_CHANGE = st.lists(EDIT, min_size=5, max_size=25)


def pick(names: Any, number: int) -> str:
    found = sorted(names) or NAMES
    return str(found[number % len(found)])


def meant(dag: Dag, edit: tuple[str, int, int, int]) -> Any:
    """An edit with the names that it means on a graph."""
    kind, i, j, k = edit
    taken = set(dag)
    wanted = tuple(sorted({pick(NAMES, j), pick(NAMES, k)}))[: j % 3]
    match kind:
        case "add":
            name = pick(set(NAMES) - taken, i)
            ups = {pick(taken, n) for n in (j, k)[: i % 3]} if taken else set()
            return kind, spec(name, tuple(n for n in wanted if n != name), k % 2).after(*ups)
        case "edge":
            return kind, pick(taken, i), pick(taken, j)
        case "no edge":
            edges = sorted(dag.edges)
            return kind, *(edges[i % len(edges)] if edges else (pick(taken, i), pick(taken, j)))
        case "replace":
            name = pick(taken, i)
            return kind, name, spec(name, tuple(n for n in wanted if n != name), k % 2)
        case "remove":
            return kind, pick(taken, i)
    return "edge", pick(NAMES, i), pick(NAMES, j)


def step(dag: Dag | Changeset, edit: Any) -> Any:
    """A graph, or a changeset, after an edit that names what it means."""
    match edit:
        case ("add", node):
            return dag.add_node(node)
        case ("edge", up, down):
            return dag.add_edge(up, down)
        case ("no edge", up, down):
            return dag.remove_edge(up, down)
        case ("remove", name):
            return dag.remove_node(name)
        case (_, name, node):
            return dag.replace_node(name, node)
    raise AssertionError(edit)


def grown(dag: Dag, history: Any) -> Dag:
    """A graph after those edits that are possible."""
    for edit in history:
        try:
            dag = step(dag, meant(dag, edit))
        except DagError:
            continue
    return dag


def network(dag: Dag) -> Any:
    graph = nx.DiGraph()
    graph.add_nodes_from(dag)
    graph.add_edges_from(dag.edges)
    return graph


def check_against_networkx(dag: Dag) -> None:
    graph = network(dag)
    assert nx.is_directed_acyclic_graph(graph)
    assert [list(wave) for wave in dag.waves] == [sorted(wave) for wave in nx.topological_generations(graph)]
    for name in dag:
        assert dag.dependencies(name) == set(graph.predecessors(name))
        assert dag.dependents(name) == set(graph.successors(name))
        assert dag.below(name) == nx.descendants(graph, name)


def would_close_a_cycle(dag: Dag, edit: Any) -> bool:
    if edit[0] != "edge" or not {edit[1], edit[2]} <= set(dag) or (edit[1], edit[2]) in dag.edges:
        return False
    return bool(nx.has_path(network(dag), edit[2], edit[1]))


def check_path(error: CycleError, dag: Dag, up: str, down: str) -> None:
    path = error.path
    assert (path[0], path[1], path[-1]) == (up, down, up)
    assert set(pairwise(path[1:])) <= dag.edges
    assert len(set(path)) == len(path) - 1


@examples(500)
@given(HISTORY)
def test_a_history_of_edits_is_what_networkx_says(history: Any) -> None:
    dag = Dag.of()
    versions = []
    for drawn in history:
        edit = meant(dag, drawn)
        cyclic = would_close_a_cycle(dag, edit)
        try:
            after = step(dag, edit)
        except CycleError as error:
            assert cyclic or edit[0] == "replace"
            if cyclic:
                check_path(error, dag, edit[1], edit[2])
        except DagError:
            assert not cyclic
        else:
            assert not cyclic
            versions.append((dag, dag.digest, dag.waves, dag.edges))
            assert after.version == dag.version + 1
            dag = after
    check_against_networkx(dag)
    assert Dag.from_entries((e.spec, e.wires) for e in dag.entries.values()).waves == dag.waves
    for old, digest, waves, edges in versions[-5:]:
        fresh = Dag.from_entries((e.spec, e.wires) for e in old.entries.values())
        assert (old.digest, old.waves, old.edges) == (digest, waves, edges) == (fresh.digest, fresh.waves, fresh.edges)


@examples(100)
@given(HISTORY)
def test_after_every_edit_the_waves_are_right(history: Any) -> None:
    dag = Dag.of()
    for edit in history[:25]:
        dag = grown(dag, [edit])
        assert [list(wave) for wave in dag.waves] == [sorted(w) for w in nx.topological_generations(network(dag))]


@examples(200)
@given(HISTORY, st.sets(st.integers(0, 59)))
def test_waves_are_right_however_rarely_they_are_asked_for(history: Any, asked: set[int]) -> None:
    dag = Dag.of()
    for number, edit in enumerate(history):
        if number in asked:
            dag.waves  # noqa: B018
        dag = grown(dag, [edit])
    assert [list(wave) for wave in dag.waves] == [sorted(w) for w in nx.topological_generations(network(dag))]


@examples(100)
@given(BASE, st.randoms(use_true_random=False))
def test_a_graph_may_be_written_down_in_any_order(base: Any, random: Any) -> None:
    dag = grown(Dag.of(), base)
    specs = [spec(name).after(*dag.dependencies(name)) for name in dag]
    random.shuffle(specs)
    made = Dag.of(*specs)
    assert made.edges == dag.edges
    assert made.waves == dag.waves
    assert made == Dag.from_entries((e.spec, e.wires) for e in made.entries.values())
    for name in made:
        assert made.dependents(name) == dag.dependents(name)


@examples(100)
@given(HISTORY, st.sets(st.sampled_from(NAMES)))
def test_waves_after_some_nodes_are_those_of_the_rest(history: Any, finished: set[str]) -> None:
    dag = grown(Dag.of(), history)
    done = finished & set(dag)
    rest = network(dag)
    rest.remove_nodes_from(done)
    assert [list(wave) for wave in dag.waves_after(done)] == [sorted(w) for w in nx.topological_generations(rest)]


@examples(150)
@given(HISTORY, st.randoms(use_true_random=False))
def test_the_digest_is_that_of_the_content(history: Any, random: Any) -> None:
    dag = grown(Dag.of(), history)
    pairs = [(entry.spec, entry.wires) for entry in dag.entries.values()]
    random.shuffle(pairs)
    others = [
        Dag.from_entries(pairs, 7),
        Dag.from_json(dag.to_json()),
        Dag.of().apply(Changeset.between(Dag.of(), dag)),
    ]
    for other in others:
        assert other == dag
        assert other.digest == dag.digest
        assert other.waves == dag.waves
        assert not diff(dag, other)


# -- changes


@examples(200)
@given(HISTORY, HISTORY)
def test_between_leads_from_any_graph_to_any_other(one: Any, two: Any) -> None:
    a, b = grown(Dag.of(), one), grown(Dag.of(), two)
    change = Changeset.between(a, b)
    assert a.apply(change) == b
    assert a.apply(change).waves == b.waves
    assert change.empty == (a == b)
    found = diff(a, b)
    assert set(found.added) == set(b) - set(a)
    assert set(found.removed) == set(a) - set(b)
    assert set(found.edges_added) == b.edges - a.edges
    assert set(found.edges_removed) == a.edges - b.edges
    assert set(found.changed) <= set(a) & set(b)
    assert bool(found) == (a != b)


@examples(150)
@given(BASE, LONG_CHANGE)
def test_a_change_made_step_by_step_is_the_one_between(base: Any, edits: Any) -> None:
    a = grown(Dag.of(), base)
    change, b = Changeset.on(a), a
    for drawn in edits:
        edit = meant(b, drawn)
        try:
            b = step(b, edit)
        except DagError:
            continue
        change = step(change, edit)
    assert change == Changeset.between(a, b)
    assert change.target == b
    assert loads(dumps(change)) == change


@examples(150)
@given(BASE, LONG_CHANGE, LONG_CHANGE)
def test_changes_can_be_undone_and_joined(base: Any, first: Any, then: Any) -> None:
    a = grown(Dag.of(), base)
    b = grown(a, first)
    c = grown(b, then)
    one, two = Changeset.between(a, b), Changeset.between(b, c)
    back = one.invert(a)
    assert b.apply(back) == a
    assert one.compose(back, a).empty
    assert back.invert(b) == one
    both = one.compose(two, a)
    assert both == Changeset.between(a, c)
    assert a.apply(both) == c


@examples(300)
@given(BASE, CHANGE, CHANGE)
def test_two_changes_conflict_from_both_sides_or_meet_in_one_graph(base: Any, ours: Any, theirs: Any) -> None:
    a = grown(Dag.of(), base)
    left, right = grown(a, ours), grown(a, theirs)
    one, two = Changeset.between(a, left), Changeset.between(a, right)
    here, there = one.rebase(right), two.rebase(left)
    assert isinstance(here, Conflict) == isinstance(there, Conflict)
    if isinstance(here, Conflict) or isinstance(there, Conflict):
        with pytest.raises(DagError):
            right.apply(one)
        return
    met = right.apply(here)
    assert met == left.apply(there) == here.target
    check_against_networkx(met)
    assert here.rebase(right) == here
    back = here.invert(right)
    assert met.apply(back) == right


@examples(100)
@given(BASE, st.tuples(CHANGE, CHANGE, CHANGE))
def test_three_changes_meet_in_one_graph_whatever_the_order(base: Any, changes: Any) -> None:
    a = grown(Dag.of(), base)
    sets = [Changeset.between(a, grown(a, edits)) for edits in changes]
    met = set()
    for order in ((0, 1, 2), (0, 2, 1), (1, 0, 2), (1, 2, 0), (2, 0, 1), (2, 1, 0)):
        dag = a
        try:
            for place in order:
                dag = dag.apply(sets[place])
        except DagError:
            continue
        met.add(dag)
    assume(met)
    assert len(met) == 1
