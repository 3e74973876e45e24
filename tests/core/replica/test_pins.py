"""What a run has started stays in a draft as it was run: whoever wanted it otherwise is told so."""

from __future__ import annotations

import pytest

from hexdag_lab.core.base.errors import DagError
from hexdag_lab.core.dag.changeset import Changeset
from hexdag_lab.core.dag.dag import Dag
from hexdag_lab.core.dag.node import NodeSpec
from hexdag_lab.core.replica.conflicts import Choice, choices, chosen, intents
from hexdag_lab.core.replica.draft import BASE, edit, frozen, pins, values, write
from hexdag_lab.core.replica.replica import Replica
from hexdag_lab.core.replica.view import EMPTY, View, moved, view


def step(**inputs: int) -> int:
    return len(inputs)


def node(name: str, *after: str, **params: int) -> NodeSpec:
    return NodeSpec(name, step, params=params).after(*after)


RAN = Dag.of(node("load"), node("clean", "load"), node("fit", "clean"))
BEGUN = edit(Replica(BASE + RAN.digest.hex()), Changeset.between(Dag.of(), RAN))


def copy(name: str) -> Replica:
    return Replica(name).deliver(BEGUN.log.values())


def with_pins(replica: Replica, *nodes: str) -> Replica:
    return replica.deliver(pins(replica, RAN, nodes, "the run", 7))


def on(replica: Replica) -> Changeset:
    return Changeset.on(view(replica).dag)


def said(shown: View) -> list[str]:
    return [str(shown.conflicts[key]) for key in sorted(shown.conflicts)]


def test_pinning_what_nobody_has_changed_changes_nothing_that_is_shown() -> None:
    dana = copy("dana")
    pinned = with_pins(dana, "load", "clean")
    assert view(pinned) == view(dana)
    assert pins(pinned, RAN, ["load", "clean"]) == ()


def test_what_the_draft_did_not_begin_with_is_not_pinned() -> None:
    ran = RAN.add_node(node("later", "fit"))
    assert {w.key for w in pins(copy("dana"), ran, ["later", "load"])} == {"load"}


def test_an_edge_that_was_removed_before_its_end_started_is_a_conflict_with_both_intents() -> None:
    dana = copy("dana")
    dana = edit(dana, on(dana).remove_edge("load", "clean"), "dana")
    dana = with_pins(dana, "clean")
    shown = view(dana)
    assert ("load", "clean") in shown.dag.edges
    assert said(shown) == ["load -> clean: the run's is shown, while at the same time dana removes it"]
    (held,) = shown.conflicts.values()
    assert [(intent.by, intent.text, intent.shown) for intent in intents(dana, held)] == [
        ("dana", "removes the edge load -> clean", False),
        ("the run", "writes the edge load -> clean", True),
    ]
    assert [choice.label for choice in choices(dana, held)] == ["Keep the run's"]


def test_a_change_of_a_node_that_started_meanwhile_is_a_conflict_that_either_side_may_win() -> None:
    dana = copy("dana")
    dana = with_pins(edit(dana, on(dana).replace_node("fit", node("fit", depth=9)), "dana"), "fit")
    shown = view(dana)
    assert shown.dag.nodes["fit"].params == {}
    assert said(shown) == ["fit: the run's is shown, while at the same time dana changes it"]
    hers = next(c for c in choices(dana, shown.conflicts["fit"]) if c.label == "Keep dana's")
    settled = write(dana, chosen(dana, hers), "lea")
    assert view(settled).dag.nodes["fit"].params == {"depth": 9}
    assert settled.slots["fit"].shown.pinned, "it has started all the same"


@pytest.mark.parametrize("pinned_first", [True, False])
def test_a_new_edge_into_a_node_that_has_started_is_held_back(pinned_first: bool) -> None:
    dana, lea = copy("dana"), copy("lea")
    dana = with_pins(dana, "load", "clean")
    lea = edit(lea, on(lea).add_node(node("extra")).add_edge("extra", "clean"), "lea")
    before, after = (dana, dana.merge(lea)) if pinned_first else (lea, lea.merge(dana))
    shown = moved(moved(EMPTY, Replica("dana"), before), before, after)
    assert shown == view(after)
    assert ("extra", "clean") not in shown.dag.edges
    assert "extra" in shown.dag
    assert said(shown) == ["lea wants extra -> clean, but clean has started, so its inputs stay as they are"]
    (held,) = shown.conflicts.values()
    (give_up,) = choices(after, held)
    settled = write(after, chosen(after, give_up))
    assert not view(settled).conflicts


def test_a_cycle_with_an_edge_into_a_node_that_has_started_costs_the_other_edge() -> None:
    dana, lea = copy("dana"), copy("lea")
    lea = edit(lea, on(lea).remove_edge("clean", "fit").add_edge("fit", "load"), "lea")
    dana = with_pins(dana, "clean", "fit")
    both = dana.merge(lea)
    assert {("load", "clean"), ("clean", "fit")} <= view(both).dag.edges
    assert [held.kind for _, held in sorted(view(both).conflicts.items())] == ["remove-vs-change", "cycle"]


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda on: on.remove_edge("load", "clean"), "clean has started, so its inputs cannot change"),
        (lambda on: on.add_node(node("x")).add_edge("x", "clean"), "add a new node after x instead"),
        (lambda on: on.remove_node("clean"), "clean has started, so it cannot be removed"),
        (lambda on: on.remove_node("load"), r"cannot change \(edge load -> clean\)"),
    ],
)
def test_an_edit_that_knows_what_has_started_is_refused(change: object, sentence: str) -> None:
    dana = with_pins(copy("dana"), "clean")
    refused = frozen(dana, values(change(on(dana))))  # type: ignore[operator]
    assert refused is not None
    with pytest.raises(type(refused), match=sentence):
        raise refused


def test_an_edit_below_what_has_started_is_not_refused() -> None:
    dana = with_pins(copy("dana"), "clean")
    for change in (on(dana).add_node(node("report", "clean")), on(dana).replace_node("clean", node("clean", depth=1))):
        assert frozen(dana, values(change)) is None
    assert edit(dana, on(dana).replace_node("clean", node("clean", depth=1))).slots["clean"].shown.pinned


def test_two_copies_that_pin_the_same_do_not_disagree() -> None:
    dana, lea = with_pins(copy("dana"), "load", "clean"), with_pins(copy("lea"), "clean")
    assert not view(dana.merge(lea)).conflicts
    assert view(dana.merge(lea)) == view(lea.merge(dana))


def test_a_choice_fits_only_what_it_was_made_of() -> None:
    dana, lea = copy("dana"), copy("lea")
    dana = edit(dana, on(dana).replace_node("fit", node("fit", depth=1)), "dana")
    lea = edit(lea, on(lea).replace_node("fit", node("fit", depth=2)), "lea")
    both = dana.merge(lea)
    choice: Choice = choices(both, view(both).conflicts["fit"])[0]
    other = edit(both, on(both).replace_node("fit", node("fit", depth=3)), "arun")
    with pytest.raises(DagError, match="fit was written anew meanwhile"):
        chosen(other, choice)
    alike = write(both, choice.values, "arun")
    assert chosen(alike, choice) == choice.values, "who wanted the same is in nobody's way"


def test_a_cycle_can_be_settled_by_giving_up_any_of_its_edges() -> None:
    dana, lea = copy("dana"), copy("lea")
    dana = edit(dana, on(dana).remove_edge("load", "clean").add_edge("fit", "load"), "dana")
    both = dana.merge(edit(lea, on(lea).add_edge("load", "fit"), "lea"))
    (held,) = view(both).conflicts.values()
    labels = {choice.label for choice in choices(both, held)}
    assert labels == {"Give up load -> fit", "Give up fit -> load"}
    for choice in choices(both, held):
        assert not view(write(both, chosen(both, choice))).conflicts
