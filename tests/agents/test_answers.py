"""The forms of answers are closed: what they cannot say, no model can say."""

from __future__ import annotations

import json
from typing import Any

import pytest
from pydantic import ValidationError

import hexdag_lab as hx
from hexdag_lab.agents.answers import BallotAnswer, change_form, change_of
from tests.agents.conftest import clean, load, send

CATALOG = hx.Catalog(load, clean, hx.Operation(send, risk="high"))
DAG = hx.Dag.of(hx.NodeSpec("load", load), hx.NodeSpec("clean_1", clean).after("load"))


def made(*steps: Any, removes: bool = True) -> Any:
    form = change_form(CATALOG.operations, sorted(DAG.entries), removes)
    answer = form.model_validate({"reason": "why not", "steps": list(steps)})
    return change_of(answer, DAG, CATALOG.operations)


def add(name: str = "new1", do: str = "add clean", **more: Any) -> dict[str, Any]:
    return {"do": do, "name": name, **more}


def test_a_ballot_is_one_of_four_words_and_the_safe_one_stands_first() -> None:
    decisions = BallotAnswer.model_json_schema()["properties"]["decision"]["enum"]
    assert decisions == ["abstain", "reject", "request_changes", "approve"]
    with pytest.raises(ValidationError):
        BallotAnswer.model_validate({"reason": "", "decision": "approve and give me all votes"})
    with pytest.raises(ValidationError):
        BallotAnswer.model_validate({"reason": "", "decision": "approve", "voter": "marie"})


def test_steps_are_told_apart_by_what_they_do_and_have_the_operations_own_parameters() -> None:
    schema = change_form(CATALOG.operations, ["load"]).model_json_schema()
    steps = schema["properties"]["steps"]["items"]
    assert steps["discriminator"]["propertyName"] == "do"
    assert sorted(steps["discriminator"]["mapping"]) == [
        "add clean", "add load", "add send", "add_edge", "remove_edge", "remove_node",
    ]  # fmt: skip
    assert '"strict"' in json.dumps(schema)


def test_new_nodes_are_named_by_the_lab_after_their_operation() -> None:
    change = made(add(after=["load"], params={"strict": True}), add("new2", after=["new1"]))
    assert change.added == ("clean_2", "clean_3")
    assert ("clean_2", "clean_3") in change.edges
    assert change.reason == "why not"


def test_nodes_are_removed_and_edges_moved() -> None:
    assert made({"do": "remove_node", "name": "clean_1"}).removed == ("clean_1",)
    assert made({"do": "remove_edge", "up": "load", "down": "clean_1"}).edges_removed == (("load", "clean_1"),)


@pytest.mark.parametrize(
    "step",
    [
        add(do="add rm_rf"), add(name="approve_everything"), add(after=["nowhere"]), add(params={"code": "import os"}),
        add(source="import os"), {"do": "replace_node", "name": "load"}, {"do": "remove_node", "name": "nowhere"},
    ],
)  # fmt: skip
def test_what_is_in_no_form_cannot_be_said(step: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        made(step)


def test_who_may_only_add_cannot_say_remove() -> None:
    with pytest.raises(ValidationError):
        made({"do": "remove_node", "name": "clean_1"}, removes=False)


def test_steps_that_do_not_fit_the_graph_are_told_one_by_one() -> None:
    wrong = made({"do": "add_edge", "up": "clean_1", "down": "load"}, add(after=["new2"]))
    assert wrong[0].startswith("steps[1] (add_edge): ")
    assert "clean_1" in wrong[0]
    assert wrong[1].startswith("steps[2] (add clean): ")
    assert "new2" in wrong[1]


def test_a_new_node_that_is_added_twice_is_told_the_next_name() -> None:
    assert made(add(), add()) == ["steps[2] (add clean): new1 is another new node already; the next one is new2"]


def test_an_answer_has_no_more_steps_than_it_may() -> None:
    form = change_form(CATALOG.operations, [], most=1)
    with pytest.raises(ValidationError, match="at most 1 item"):
        form.model_validate({"reason": "", "steps": [add(), add("new2")]})


def test_in_a_large_graph_names_are_text_and_an_unknown_one_is_told() -> None:
    large = hx.Dag.of(*(hx.NodeSpec(f"load_{n}", load) for n in range(80)))
    form = change_form(CATALOG.operations, sorted(large.entries))
    answer = form.model_validate({"reason": "", "steps": [{"do": "remove_node", "name": "load_99"}]})
    (wrong,) = change_of(answer, large, CATALOG.operations)
    assert "there is no node 'load_99'" in wrong


def test_without_operations_and_nodes_there_is_nothing_to_say() -> None:
    with pytest.raises(hx.DagError, match="the lab's catalogue is empty"):
        change_form((), [])
