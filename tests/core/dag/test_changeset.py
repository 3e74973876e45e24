"""Changesets: a change as its net effect, and what becomes of it on another graph."""

import pickle
from typing import Any

import pytest

from hexdag_lab.core.base.codec import dumps, loads
from hexdag_lab.core.base.errors import CycleError, DagError, DuplicateNode, SchemaError, UnboundParameter, UnknownNode
from hexdag_lab.core.dag.changeset import Changeset, Handling
from hexdag_lab.core.dag.conflict import Conflict
from hexdag_lab.core.dag.dag import Dag
from hexdag_lab.core.dag.diff import Diff, diff
from hexdag_lab.core.dag.node import NodeSpec, node


@node
def load(path: str = "data.csv") -> Any: ...


@node
def fit(load: Any, depth: int = 3) -> Any: ...


@node
def score(fit: Any) -> Any: ...


def other(load: Any) -> Any: ...


def render(result: Any) -> Any: ...


REPORT = NodeSpec("report", render).after("score")


@pytest.fixture
def dag() -> Dag:
    return Dag.of(load, fit, score)


def conflict(changeset: Changeset, onto: Dag) -> Conflict:
    """The conflict of a rebase; the graph must refuse the change, too."""
    found = changeset.rebase(onto)
    assert isinstance(found, Conflict)
    with pytest.raises(DagError):
        onto.apply(changeset)
    return found


class TestMaking:
    def test_it_does_what_the_edits_of_a_graph_do(self, dag: Dag) -> None:
        changeset = (
            Changeset.on(dag)
            .add_node(REPORT)
            .add_edge("load", "report")
            .remove_edge("load", "fit")
            .replace_node("score", other)
            .add_subgraph("report", Dag.of(NodeSpec("mail", lambda text: 1)))
            .remove_node("fit")
        )
        edited = (
            dag.add_node(REPORT)
            .add_edge("load", "report")
            .remove_edge("load", "fit")
            .replace_node("score", other)
            .merge_subgraph("report", Dag.of(NodeSpec("mail", lambda text: 1)))
            .remove_node("fit")
        )
        assert dag.apply(changeset) == edited
        assert dag.apply(changeset).version == dag.version + 1
        assert changeset == Changeset.between(dag, edited)

    def test_each_step_is_a_new_value(self, dag: Dag) -> None:
        empty = Changeset.on(dag)
        assert not empty.add_node(REPORT).empty
        assert empty.empty

    def test_only_the_net_effect_counts(self, dag: Dag) -> None:
        changeset = Changeset.on(dag).add_node(REPORT).replace_node("fit", other).remove_node("report")
        assert (changeset.added, changeset.removed, changeset.changed) == ((), (), ("fit",))
        assert Changeset.on(dag).add_node(REPORT).remove_node("report").empty
        assert Changeset.on(dag).remove_edge("load", "fit").add_edge("load", "fit").empty

    def test_what_is_wrong_on_its_own_base_raises_where_it_is_made(self, dag: Dag) -> None:
        changeset = Changeset.on(dag)
        for wrong, error in (
            (lambda: changeset.add_node(fit), DuplicateNode),
            (lambda: changeset.add_node(NodeSpec("x", render).after("nope")), UnknownNode),
            (lambda: changeset.add_edge("score", "load"), CycleError),
            (lambda: changeset.remove_node("nope"), UnknownNode),
            (lambda: changeset.remove_edge("load", "score"), DagError),
            (lambda: changeset.replace_node("fit", NodeSpec("fit", other, params={"x": 1})), UnboundParameter),
        ):
            with pytest.raises(error):
                wrong()

    def test_what_happens_to_work_that_runs_or_has_finished(self, dag: Dag) -> None:
        changeset = Changeset.on(dag).replace_node("fit", other, running="restart", finished="rerun")
        assert changeset.handling == {"fit": Handling("restart", "rerun")}
        changeset = changeset.remove_node("score", finished="keep").add_node(NodeSpec("x", lambda: 1))
        assert changeset.handling == {"fit": Handling("restart", "rerun"), "score": Handling("refuse", "keep")}
        assert Changeset.on(dag).replace_node("fit", other).handling == {}
        with pytest.raises(DagError, match="running= is one of"):
            Changeset.on(dag).replace_node("fit", other, running="kill")  # type: ignore[arg-type]

    def test_a_thousand_edits(self, dag: Dag) -> None:
        changeset = Changeset.on(dag)
        for i in range(1000):
            changeset = changeset.add_node(NodeSpec(f"n{i}", other))
        assert len(changeset.added) == 1000
        assert len(dag.apply(changeset)) == 1003


class TestLooking:
    def test_it_says_what_it_changes_sorted(self, dag: Dag) -> None:
        changeset = (
            Changeset.on(dag).add_node(REPORT).remove_node("load").replace_node("fit", NodeSpec("fit", lambda: 1))
        )
        assert (changeset.added, changeset.removed, changeset.changed) == (("report",), ("load",), ("fit",))
        assert changeset.edges_added == (("score", "report"),)
        assert changeset.edges_removed == (("load", "fit"),)

    def test_in_one_line_and_in_several(self, dag: Dag) -> None:
        changeset = Changeset.on(dag).add_node(REPORT).add_edge("load", "score")
        assert changeset.summary == "+1 node, +1 edge"
        assert str(changeset) == "+ report\n+ load -> score\n+ score -> report"
        assert repr(changeset) == f"<Changeset on {dag.digest.hex()[:8]}: +1 node, +1 edge>"
        assert Changeset.on(dag).summary == "no change"
        assert str(Changeset.on(dag)) == "(no change)"

    def test_its_digest_is_that_of_the_change_not_of_the_graph(self, dag: Dag) -> None:
        more = dag.add_node(NodeSpec("x", lambda: 1))
        one, same = Changeset.on(dag).add_node(REPORT), Changeset.on(more).add_node(REPORT)
        assert one.digest == same.digest
        assert one != same
        assert one.digest != Changeset.on(dag).add_node(REPORT.but(retries=1)).digest
        assert one.digest != Changeset.on(dag).add_node(REPORT.but(blob="sha.mac")).digest
        assert len(one.digest) == 32

    def test_also_how_running_work_is_handled(self, dag: Dag) -> None:
        one, other_ = (Changeset.on(dag).replace_node("fit", other, running=r) for r in ("restart", "finish_old"))
        assert one.digest != other_.digest


class TestApplying:
    def test_to_the_graph_it_was_made_on(self, dag: Dag) -> None:
        assert dag.apply(Changeset.on(dag).add_node(REPORT)) == dag.add_node(REPORT)

    def test_to_another_graph_it_is_rebased(self, dag: Dag) -> None:
        moved = dag.add_node(NodeSpec("x", lambda: 1))
        assert moved.apply(Changeset.on(dag).add_node(REPORT)) == moved.add_node(REPORT)

    def test_a_node_may_give_its_place_to_another(self, dag: Dag) -> None:
        new = Dag.of(load, NodeSpec("fit", other), NodeSpec("score", lambda load, fit: 1))
        assert dag.apply(Changeset.between(dag, new)) == new

    def test_an_edge_may_turn_round(self) -> None:
        a, b = NodeSpec("a", lambda b=0: 1), NodeSpec("b", lambda a=0: 1)
        one, other_ = Dag.of(a).add_node(b), Dag.of(b).add_node(a)
        assert one.edges == {("a", "b")}
        assert other_.edges == {("b", "a")}
        assert one.apply(Changeset.between(one, other_)) == other_

    def test_what_fits_is_decided_by_its_net_effect(self, dag: Dag) -> None:
        """No step in between stands in the way: the old code would not take the new input."""
        new = Dag.of(load, NodeSpec("fit", lambda load, more: 1), NodeSpec("more", lambda: 2), score)
        assert dag.apply(Changeset.between(dag, new)) == new


class TestRebase:
    def test_on_its_own_base_it_is_itself(self, dag: Dag) -> None:
        changeset = Changeset.on(dag).add_node(REPORT)
        assert changeset.rebase(dag) == changeset

    def test_what_is_already_so_is_dropped(self, dag: Dag) -> None:
        changeset = Changeset.on(dag).add_node(REPORT).replace_node("fit", other)
        rebased = changeset.rebase(dag.add_node(REPORT))
        assert isinstance(rebased, Changeset)
        assert (rebased.added, rebased.changed) == ((), ("fit",))
        assert rebased.target == dag.apply(changeset)
        gone = changeset.rebase(dag.apply(changeset))
        assert isinstance(gone, Changeset)
        assert gone.empty

    def test_it_can_be_edited_further(self, dag: Dag) -> None:
        moved = dag.add_node(NodeSpec("x", lambda: 1))
        rebased = Changeset.on(dag).add_node(REPORT).rebase(moved)
        assert isinstance(rebased, Changeset)
        assert moved.apply(rebased.add_edge("x", "report")).edges >= {("x", "report")}

    def test_handling_and_reason_stay(self, dag: Dag) -> None:
        moved = dag.add_node(NodeSpec("x", lambda: 1))
        rebased = Changeset.on(dag).because("faster").replace_node("fit", other, finished="keep").rebase(moved)
        assert isinstance(rebased, Changeset)
        assert rebased.handling == {"fit": Handling("refuse", "keep")}
        assert rebased.reason == pickle.loads(pickle.dumps(rebased)).reason == "faster"


class TestConflicts:
    """Values with both intents."""

    def test_both_added(self, dag: Dag) -> None:
        found = conflict(Changeset.on(dag).add_node(REPORT), dag.add_node(REPORT.but(retries=1)))
        assert (found.kind, found.keys) == ("both-added", ("report",))
        assert str(found) == "both-added on report: this change adds it, but meanwhile it was added"

    def test_both_changed(self, dag: Dag) -> None:
        found = conflict(Changeset.on(dag).replace_node("fit", other), dag.replace_node("fit", lambda load: 2))
        assert (found.kind, found.keys) == ("both-changed", ("fit",))

    def test_remove_against_change(self, dag: Dag) -> None:
        assert conflict(Changeset.on(dag).remove_node("fit"), dag.replace_node("fit", other)).kind == "remove-vs-change"
        found = conflict(Changeset.on(dag).replace_node("fit", other), dag.remove_node("fit"))
        assert (found.kind, found.ours, found.theirs) == ("remove-vs-change", "changes it", "it was removed")

    def test_dangling(self, dag: Dag) -> None:
        more = dag.add_node(NodeSpec("x", lambda: 1))
        assert conflict(Changeset.on(more).add_edge("x", "fit"), more.remove_node("x")).kind == "dangling"
        assert conflict(Changeset.on(more).remove_node("x"), more.add_edge("x", "fit")).kind == "dangling"

    def test_two_edges_that_close_a_cycle_together(self) -> None:
        dag = Dag.of(*(NodeSpec(name, lambda: 1) for name in "abcd")).add_edge("b", "c").add_edge("d", "a")
        changeset, moved = Changeset.on(dag).add_edge("a", "b"), dag.add_edge("c", "d")
        found = conflict(changeset, moved)
        assert found.kind == "cycle"
        assert found.keys == ("a", "b", "c", "d", "a")
        with pytest.raises(CycleError) as caught:
            moved.apply(changeset)
        assert caught.value.path == found.keys

    def test_two_edges_into_one_parameter(self) -> None:
        dag = Dag.of(NodeSpec("a", lambda: 1), NodeSpec("b", lambda: 2), NodeSpec("c", lambda x: x))
        changeset, moved = Changeset.on(dag).add_edge("a", "c"), dag.add_edge("b", "c")
        assert conflict(changeset, moved).kind == "unbound"
        with pytest.raises(UnboundParameter, match="'x' is filled by both"):
            moved.apply(changeset)

    def test_an_edge_that_fills_something_else_meanwhile(self) -> None:
        dag = Dag.of(NodeSpec("a", lambda: 1), NodeSpec("c", lambda x, y: x))
        ordered = dag.add_edge("a", "c")
        found = conflict(Changeset.on(dag).add_edge("a", "c"), dag.replace_node("c", lambda x: x).add_edge("a", "c"))
        assert (found.kind, found.keys, found.theirs) == ("both-added", ("a -> c",), "the edge fills x")
        found = conflict(Changeset.on(ordered).remove_edge("a", "c"), ordered.replace_node("c", lambda x: x))
        assert (found.kind, found.ours) == ("both-changed", "removes the edge")

    def test_one_survives_the_journal(self, dag: Dag) -> None:
        found = conflict(Changeset.on(dag).add_node(REPORT), dag.add_node(REPORT.but(retries=1)))
        assert loads(dumps(found)) == found


class TestAlgebra:
    def test_invert(self, dag: Dag) -> None:
        changeset = Changeset.on(dag).add_node(REPORT).remove_node("load")
        after = dag.apply(changeset)
        back = changeset.invert(dag)
        assert back.base == after.digest
        assert after.apply(back) == dag

    def test_compose(self, dag: Dag) -> None:
        first = Changeset.on(dag).add_node(REPORT).replace_node("fit", other, finished="keep")
        then = Changeset.on(dag.apply(first)).remove_node("report").replace_node("score", other, running="restart")
        both = first.compose(then, dag)
        assert dag.apply(both) == dag.apply(first).apply(then)
        assert (both.added, both.changed) == ((), ("fit", "score"))
        assert both.handling == {"fit": Handling("refuse", "keep"), "score": Handling("restart", "refuse")}


class TestTravelling:
    def test_as_text(self, dag: Dag) -> None:
        changeset = (
            Changeset.on(dag).add_node(REPORT).remove_node("load", finished="keep").replace_node("fit", lambda: 1)
        )
        again = loads(dumps(changeset))
        assert again == changeset
        assert again.handling == changeset.handling
        assert again.nodes == changeset.nodes
        assert dag.apply(again) == dag.apply(changeset)

    def test_read_from_text_it_can_be_applied_but_not_edited(self, dag: Dag) -> None:
        again = loads(dumps(Changeset.on(dag).add_node(REPORT)))
        with pytest.raises(DagError, match="make it anew on a graph"):
            again.add_node(NodeSpec("x", lambda: 1))

    def test_pickled_it_leaves_the_graphs_behind(self, dag: Dag) -> None:
        changeset = Changeset.on(dag).add_node(REPORT)
        again = pickle.loads(pickle.dumps(changeset))
        assert again == changeset
        assert again.target is None
        assert dag.apply(again) == dag.apply(changeset)

    @pytest.mark.parametrize(
        ("old", "new"),
        [
            ('"report":', '"fit":'),
            ('["score","report"', '["load","report"'),
            ('{"!":"NodeChange","old":null', '{"!":"Handling"'),
            ('"base":"', '"base":"xyz'),
            ('"edges":[[', '"edges":[["a",'),
            ('"new":{"name":"report"', '"new":{"name":"report","after":["load"]'),
        ],
    )
    def test_each_part_must_be_about_what_it_stands_for(self, dag: Dag, old: str, new: str) -> None:
        text = dumps(Changeset.on(dag).add_node(REPORT)).decode()
        assert old in text
        with pytest.raises(SchemaError):
            loads(text.replace(old, new))

    def test_handling_is_checked(self, dag: Dag) -> None:
        text = dumps(Changeset.on(dag).replace_node("fit", other, running="restart")).decode()
        with pytest.raises(SchemaError, match="handling is one of"):
            loads(text.replace("restart", "kill"))


class TestDiff:
    def test_it_names_what_differs_sorted(self, dag: Dag) -> None:
        new = (
            dag.add_node(REPORT)
            .remove_node("load")
            .replace_node("fit", NodeSpec("fit", lambda: 1))
            .add_edge("fit", "report")
        )
        found = diff(dag, new)
        assert found.added == ("report",)
        assert found.removed == ("load",)
        assert found.changed == ("fit",)
        assert found.edges_added == (("fit", "report"), ("score", "report"))
        assert found.edges_removed == (("load", "fit"),)

    def test_it_reads_well(self, dag: Dag) -> None:
        found = diff(dag, dag.add_node(REPORT).replace_node("fit", other))
        assert repr(found) == str(found) == "+ report\n~ fit\n+ score -> report"

    def test_nothing(self, dag: Dag) -> None:
        assert not diff(dag, dag.numbered(7))
        assert str(diff(dag, dag)) == "(no difference)"
        assert diff(dag, dag) == Diff()

    def test_cost_is_no_difference(self, dag: Dag) -> None:
        assert not diff(dag, Dag.of(load, fit.spec.but(cost=3), score))

    def test_a_node_that_is_wired_otherwise_is_changed(self) -> None:
        a, b, c = NodeSpec("a", lambda: 1), NodeSpec("b", lambda: 2), NodeSpec("c", lambda x, y: x)
        one = Dag.of(a, b, c.but(params={"y": 0}).after("a")).replace_node("c", c)
        two = Dag.of(a, b, c.but(params={"x": 0}).after("a")).replace_node("c", c)
        assert one.wires("c") != two.wires("c")
        assert diff(one, two) == Diff(changed=("c",))
