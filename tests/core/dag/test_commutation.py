"""The commutation table of docs/explanation, exhaustively over all small graphs.

Two single edits, each valid on the same graph, either commute (in both orders they give the same graph), or are the
same edit, or are a conflict of the kind that the table names. Rebase has to agree, from both sides.
"""

from collections import Counter
from collections.abc import Iterator
from functools import cache
from itertools import combinations, combinations_with_replacement, permutations, product
from typing import Any

from hexdag_lab.core.base.errors import DagError
from hexdag_lab.core.dag.changeset import Changeset
from hexdag_lab.core.dag.conflict import Conflict
from hexdag_lab.core.dag.dag import Dag
from hexdag_lab.core.dag.node import NodeSpec

NAMES = ("a", "b", "c")
Edit = tuple[str, ...]


@cache
def spec(name: str, content: str) -> NodeSpec:
    """A node whose edges are order only, so that the structure alone decides."""
    return NodeSpec(name, lambda tag: tag, params={"tag": content})


def graphs(all_names: tuple[str, ...] = NAMES, least: int = 0) -> Iterator[Dag]:
    """Every labelled DAG on each subset of at least so many names, all nodes with the content "old"."""
    for size in range(least, len(all_names) + 1):
        for names in combinations(all_names, size):
            pairs = [(up, down) for up in names for down in names if up != down]
            for chosen in product((False, True), repeat=len(pairs)):
                edges = [pair for pair, wanted in zip(pairs, chosen, strict=True) if wanted]
                made = with_edges(Dag.of(*(spec(name, "old") for name in names)), edges)
                if made is not None:
                    yield made


def with_edges(dag: Dag, edges: list[tuple[str, str]]) -> Dag | None:
    try:
        for up, down in edges:
            dag = dag.add_edge(up, down)
    except DagError:
        return None
    return dag


def edits(names: tuple[str, ...] = NAMES) -> list[Edit]:
    nodes = [(kind, name, content) for kind in ("add", "replace") for name in names for content in ("new", "newer")]
    return [
        *nodes,
        *(("remove", name) for name in names),
        *links(names),
        *(("unlink", *edge[1:]) for edge in links(names)),
    ]


def shapes(dags: Iterator[Dag], all_names: tuple[str, ...]) -> Iterator[Dag]:
    """One graph of those that differ in names only."""
    seen = set()
    for dag in dags:
        renamings = (dict(zip(all_names, order, strict=True)) for order in permutations(all_names))
        key = min(sorted((new[up], new[down]) for up, down in dag.edges) for new in renamings)
        if (len(dag), str(key)) not in seen:
            seen.add((len(dag), str(key)))
            yield dag


def links(names: tuple[str, ...]) -> list[Edit]:
    return [("link", up, down) for up in names for down in names if up != down]


def applied(dag: Dag, edit: Edit) -> Dag | None:
    """The graph after an edit; None if the edit is not valid on it. A node is removed without its edges only."""
    try:
        match edit:
            case ("add", name, content):
                return dag.add_node(spec(name, content))
            case ("replace", name, content):
                return dag.replace_node(name, spec(name, content))
            case ("remove", name):
                return None if dag.dependencies(name) or dag.dependents(name) else dag.remove_node(name)
            case ("link", up, down):
                return dag.add_edge(up, down)
            case (_, up, down):
                return dag.remove_edge(up, down)
    except DagError:
        return None
    raise AssertionError(edit)


def expected(one: Edit, two: Edit, dag: Dag) -> str:
    """What the table says about two edits."""
    if one == two:
        return "identical"
    kinds = {one[0], two[0]}
    if len({edit[1] for edit in (one, two)}) == 1 and kinds <= {"add", "replace", "remove"}:
        return {frozenset({"add"}): "both-added", frozenset({"replace"}): "both-changed"}.get(
            frozenset(kinds), "remove-vs-change"
        )
    if kinds == {"remove", "link"}:
        removed, linked = sorted((one, two), reverse=True)
        return "dangling" if removed[1] in linked[1:] else "commute"
    if kinds == {"link"}:
        both = with_edges(dag, [(one[1], one[2]), (two[1], two[2])])
        return "commute" if both is not None else "cycle"
    return "commute"


def found(one: Edit, two: Edit, dag: Dag, after: dict[Edit, Dag], changes: dict[Edit, Changeset]) -> str:
    """What rebase says about them; also that it is right, and the same from both sides."""
    here, there = changes[one].rebase(after[two]), changes[two].rebase(after[one])
    if isinstance(here, Conflict) or isinstance(there, Conflict):
        assert isinstance(here, Conflict)
        assert isinstance(there, Conflict)
        assert here.kind == there.kind
        orders = (applied(after[two], one), applied(after[one], two))
        assert None in orders or orders[0] != orders[1]
        return here.kind
    assert here.target == there.target == after[two].apply(here) == after[one].apply(there)
    if here.empty or there.empty:
        assert here.empty
        assert there.empty
        return "identical"
    assert here.target == applied(after[two], one) == applied(after[one], two)
    return "commute"


def outcomes(dags: Iterator[Dag], candidates: list[Edit]) -> Counter[str]:
    """How often each outcome comes up, over all pairs of edits that are valid on each graph."""
    seen: Counter[str] = Counter()
    for dag in dags:
        after = {edit: made for edit in candidates if (made := applied(dag, edit)) is not None}
        changes = {edit: Changeset.between(dag, made) for edit, made in after.items()}
        for one, two in combinations_with_replacement(sorted(after), 2):
            outcome = found(one, two, dag, after, changes)
            assert outcome == expected(one, two, dag), (sorted(dag.edges), list(dag), one, two)
            seen[outcome] += 1
    return seen


def test_all_pairs_of_edits_on_three_names() -> None:
    seen = outcomes(graphs(), edits())
    assert set(seen) == {
        "commute", "identical", "both-added", "both-changed", "remove-vs-change", "dangling", "cycle",
    }  # fmt: skip
    assert seen.total() == 1896


def test_all_pairs_of_edits_on_four_names() -> None:
    """Names differ in nothing but their order, which decides nothing: one graph of each shape will do."""
    names = (*NAMES, "d")
    seen = outcomes(shapes(graphs(names, least=4), names), edits(names))
    assert set(seen) == {
        "commute", "identical", "both-changed", "remove-vs-change", "dangling", "cycle",
    }  # fmt: skip


def test_all_pairs_of_new_edges_on_every_graph_of_four_names() -> None:
    """Two edges with four distinct ends can close a cycle as well."""
    names = (*NAMES, "d")
    seen = outcomes(graphs(names, least=4), links(names))
    assert set(seen) == {"commute", "identical", "cycle"}


def test_so_many_graphs_there_are() -> None:
    assert Counter(len(dag) for dag in graphs((*NAMES, "d"))) == {0: 1, 1: 4, 2: 18, 3: 100, 4: 543}
    assert Counter(len(dag) for dag in shapes(graphs(), NAMES)) == {0: 1, 1: 1, 2: 2, 3: 6}


def test_a_changed_node_at_the_end_of_a_new_edge_commutes() -> None:
    """The note at the table: structurally. What does not fit by type is found when the two are composed."""
    dag = Dag.of(spec("a", "old"), spec("b", "old"))
    change: Any = Changeset.on(dag).add_edge("a", "b").rebase(dag.replace_node("b", spec("b", "new")))
    assert change.edges_added == (("a", "b"),)
