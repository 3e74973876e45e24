"""What a draft shows when several people edited it without knowing of each other, and what it holds back."""

from __future__ import annotations

import pytest
from pydantic import BaseModel

from hexdag_lab.core.base.errors import DagError
from hexdag_lab.core.dag.changeset import Changeset
from hexdag_lab.core.dag.dag import Dag
from hexdag_lab.core.dag.node import NodeSpec
from hexdag_lab.core.replica.draft import edit, settle
from hexdag_lab.core.replica.replica import Replica
from hexdag_lab.core.replica.view import EMPTY, moved, view


def step(**inputs: int) -> int:
    return len(inputs)


def one(x: int) -> int:
    return x


def same(x):  # type: ignore[no-untyped-def]
    return x


def node(name: str, *after: str, **params: int) -> NodeSpec:
    return NodeSpec(name, step, params=params).after(*after)


def draft(*nodes: NodeSpec) -> tuple[Replica, Replica]:
    """Two copies of a draft with some nodes."""
    first = edit(Replica("left"), Changeset.between(Dag.of(), Dag.of(*nodes)))
    return first, Replica("right").merge(first)


def on(replica: Replica) -> Changeset:
    return Changeset.on(view(replica).dag)


def both(left: Replica, right: Replica) -> tuple[Replica, Replica]:
    return left.merge(right), right.merge(left)


def test_edits_of_different_nodes_are_both_shown() -> None:
    left, right = draft(node("load"))
    left = edit(left, on(left).add_node(node("clean", "load")), "dana")
    right = edit(right, on(right).add_node(node("check", "load")), "arun")
    left, right = both(left, right)
    assert view(left) == view(right)
    assert view(left).dag.waves == (("load",), ("check", "clean"))
    assert not view(left).conflicts


def test_two_changes_of_one_node_are_a_conflict_that_names_both() -> None:
    left, right = draft(node("fit"))
    left = edit(left, on(left).replace_node("fit", node("fit", depth=3)), "dana")
    right = edit(right, on(right).replace_node("fit", node("fit", depth=5)), "arun")
    left, right = both(left, right)
    assert view(left) == view(right)
    assert view(left).dag.nodes["fit"].params == {"depth": 5}
    (conflict,) = view(left).conflicts.values()
    assert (conflict.kind, conflict.key) == ("both-changed", "fit")
    assert str(conflict) == "fit: arun's is shown, while at the same time dana changes it"


def test_the_same_change_twice_is_no_conflict() -> None:
    left, right = draft(node("fit"))
    left = edit(left, on(left).replace_node("fit", node("fit", depth=3)), "dana")
    right = edit(right, on(right).replace_node("fit", node("fit", depth=3)), "arun")
    assert not view(left.merge(right)).conflicts


def test_settling_a_conflict_is_an_edit_that_supersedes_what_it_saw() -> None:
    left, right = draft(node("fit"))
    left = edit(left, on(left).replace_node("fit", node("fit", depth=3)), "dana")
    right = edit(right, on(right).replace_node("fit", node("fit", depth=5)), "arun")
    left, right = both(left, right)
    (conflict,) = view(left).conflicts.values()
    left, right = both(settle(left, "fit", conflict.dots[0], "lea"), right)
    assert view(left) == view(right)
    assert view(left).dag.nodes["fit"].params == {"depth": 3}
    assert not view(left).conflicts


def test_settling_what_was_settled_meanwhile_is_refused() -> None:
    left, right = draft(node("fit"))
    left = edit(left, on(left).replace_node("fit", node("fit", depth=3)))
    right = edit(right, on(right).replace_node("fit", node("fit", depth=5)))
    left = left.merge(right)
    (conflict,) = view(left).conflicts.values()
    left = settle(left, "fit", conflict.dots[0])
    with pytest.raises(DagError, match="settled meanwhile"):
        settle(left, "fit", conflict.dots[0])


def test_a_change_is_shown_and_the_removal_of_the_same_moment_is_its_rival() -> None:
    left, right = draft(node("fit"))
    left = edit(left, on(left).replace_node("fit", node("fit", depth=3)), "dana")
    right = edit(right, on(right).remove_node("fit"), "arun")
    left, right = both(left, right)
    assert view(left) == view(right)
    assert "fit" in view(left).dag
    (conflict,) = view(left).conflicts.values()
    assert conflict.kind == "remove-vs-change"
    assert str(conflict) == "fit: dana's is shown, while at the same time arun removes it"


def test_an_edge_to_a_removed_node_is_held_back_and_comes_back_with_it() -> None:
    left, right = draft(node("load"), node("fit"))
    left = edit(left, on(left).add_edge("load", "fit"), "dana")
    right = edit(right, on(right).remove_node("load"), "arun")
    left, right = both(left, right)
    (conflict,) = view(left).conflicts.values()
    assert str(conflict) == "dana wants load -> fit, but there is no node load"
    left = edit(left, on(left).add_node(node("load")), "lea")
    assert view(left).dag.edges == {("load", "fit")}
    assert not view(left).conflicts


@pytest.mark.parametrize("names", [("left", "right"), ("right", "left")])
def test_of_edges_that_close_a_cycle_together_the_oldest_stay(names: tuple[str, str]) -> None:
    base, _ = draft(node("a"), node("b"), node("c"))
    old, new = Replica(names[0]).merge(base), Replica(names[1]).merge(base)
    old = edit(old, on(old).add_edge("a", "b").add_edge("b", "c"), "dana")
    new = new.write({"other": None}).write({"other": None}).write({"other": None})  # its clock is ahead
    new = edit(new, on(new).add_edge("c", "a"), "arun")
    old, new = both(old, new)
    assert view(old) == view(new)
    assert view(old).dag.edges == {("a", "b"), ("b", "c")}
    (conflict,) = view(old).conflicts.values()
    assert str(conflict) == "arun wants c -> a, but it would close the cycle c -> a -> b -> c"
    old = edit(old, on(old).remove_edge("a", "b"), "dana")
    assert view(old).dag.edges == {("b", "c"), ("c", "a")}


def test_a_parameter_is_filled_by_the_older_of_two_edges() -> None:
    left, right = draft(node("a"), node("b"), NodeSpec("fit", one))
    left = edit(left, on(left).add_edge("a", "fit"), "dana")
    right = right.write({"other": None}).write({"other": None})
    right = edit(right, on(right).add_edge("b", "fit"), "arun")
    shown = view(left.merge(right))
    assert shown.dag.edges == {("a", "fit")}
    (conflict,) = shown.conflicts.values()
    assert (conflict.kind, conflict.key) == ("taken", "b fit")
    assert "'x' is filled by both" in str(conflict)


def test_an_edge_whose_ends_do_not_fit_by_their_models_any_more_is_held_back() -> None:
    class Numbers(BaseModel):
        x: int

    class Words(BaseModel):
        text: str

    left, right = draft(NodeSpec("load", same, out_model=Numbers, params={"x": 1}), NodeSpec("fit", same))
    left = edit(left, on(left).add_edge("load", "fit"), "dana")
    right = edit(right, on(right).replace_node("fit", NodeSpec("fit", same, in_model=Words)), "arun")
    shown = view(left.merge(right))
    assert not shown.dag.edges
    (conflict,) = shown.conflicts.values()
    assert conflict.kind == "type"


def test_removing_and_adding_again_works_at_any_distance() -> None:
    left, right = draft(node("fit"))
    left = edit(left, on(left).remove_node("fit"))
    left, right = both(left, right)
    right = edit(right, on(right).add_node(node("fit", depth=2)))
    left, right = both(left, right)
    assert view(left).dag.nodes["fit"].params == {"depth": 2}
    assert not view(left).conflicts


def test_a_conflict_that_one_side_knows_more_of_keeps_all_its_sides() -> None:
    left, right = draft(node("fit"))
    third = Replica("third").merge(left)
    left = edit(left, on(left).replace_node("fit", node("fit", depth=1)))
    right = edit(right, on(right).replace_node("fit", node("fit", depth=2)))
    third = edit(third, on(third).replace_node("fit", node("fit", depth=3)))
    two = left.merge(right)
    three = two.merge(third)
    for merged in (two.merge(three), three.merge(two)):
        assert {w.value.params["depth"] for w in merged.slots["fit"].writes} == {1, 2, 3}


def test_a_removal_does_not_stay_for_ever() -> None:
    left, right = draft(node("fit"))
    left = edit(left, on(left).remove_node("fit"))
    left, right = both(left, right)
    assert len(left.slots) == 1
    left = left.deliver(told={"right": right.seen}).trim()
    assert len(left.slots) == len(left.log) == 0


def test_a_removal_that_somebody_has_not_seen_stays() -> None:
    a, b = draft(node("fit"))
    c = Replica("third").merge(a)
    a, b = edit(a, on(a).remove_node("fit"), "dana"), edit(b, on(b).remove_node("fit"), "arun")
    c = c.merge(a)
    c = edit(c, on(c).add_node(node("fit", depth=3)), "lea")  # she knows of dana's removal, and not of arun's
    a, b = both(a, b)
    trimmed = a.deliver(told={"right": b.seen, "third": c.seen}).trim()
    assert view(trimmed.merge(c)) == view(b.merge(c))
    (conflict,) = view(trimmed.merge(c)).conflicts.values()
    assert str(conflict) == "fit: lea's is shown, while at the same time arun removes it"


def test_a_view_of_many_nodes_moves_on_without_being_made_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    first = edit(Replica("left"), Changeset.between(Dag.of(), Dag.of(*(node(f"n{i}") for i in range(500)))))
    shown = moved(EMPTY, Replica("left"), first)
    after = edit(first, Changeset.on(shown.dag).add_edge("n1", "n2").replace_node("n3", node("n3", depth=1)))
    with monkeypatch.context() as patched:
        patched.setattr("hexdag_lab.core.replica.view.view", lambda _: pytest.fail("all of it was looked at"))
        found = moved(shown, first, after)
    assert found == view(after)
    assert [key for key, *_ in first.slots.diff(after.slots)] == ["n3", "n1 n2"]


class TestWhatTheFirstSketchGotWrong:
    """A dictionary of nodes with vector clocks and tombstones by name, merged node by node."""

    def test_a_tie_between_concurrent_changes_is_the_same_on_both_sides(self) -> None:
        left, right = draft(node("fit"))
        left = edit(left, on(left).replace_node("fit", node("fit", depth=3)))
        right = edit(right, on(right).replace_node("fit", node("fit", depth=5)))
        assert view(left.merge(right)) == view(right.merge(left))

    def test_the_loser_of_a_tie_is_not_lost(self) -> None:
        left, right = draft(node("fit"))
        left = edit(left, on(left).replace_node("fit", node("fit", depth=3)))
        right = edit(right, on(right).replace_node("fit", node("fit", depth=5)))
        slot = left.merge(right).slots["fit"]
        assert {w.value.params["depth"] for w in slot.writes} == {3, 5}

    def test_a_tombstone_does_not_win_over_a_node_that_was_added_again(self) -> None:
        left, right = draft(node("fit"))
        left = edit(left, on(left).remove_node("fit"))
        left = edit(left, on(left).add_node(node("fit")))
        left, right = both(left, right)
        assert "fit" in view(left).dag
        assert "fit" in view(right).dag

    def test_no_edge_dangles_after_a_merge(self) -> None:
        left, right = draft(node("a"), node("b"))
        left = edit(left, on(left).add_edge("a", "b"))
        right = edit(right, on(right).remove_node("b"))
        shown = view(left.merge(right)).dag
        assert all(up in shown and down in shown for up, down in shown.edges)

    def test_two_acyclic_sides_make_no_cycle(self) -> None:
        left, right = draft(node("a"), node("b"))
        left = edit(left, on(left).add_edge("a", "b"))
        right = edit(right, on(right).add_edge("b", "a"))
        shown = view(left.merge(right))
        assert len(shown.dag.edges) == len(shown.conflicts) == 1

    def test_what_was_removed_is_told_from_what_was_never_seen(self) -> None:
        left, right = draft(node("a"))
        left = edit(left, on(left).remove_node("a"))
        right = edit(right, on(right).add_node(node("b")))
        left, right = both(left, right)
        assert list(view(left).dag) == list(view(right).dag) == ["b"]
