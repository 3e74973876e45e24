"""A rehearsal gets what was recorded, byte for byte, asks nobody, and fails loudly where nothing was recorded."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import hexdag_lab as hx
from hexdag_lab.agents.tape import NotRecorded, Tape
from tests.agents.conftest import Room, Serve, calls, said
from tests.agents.test_llm import APPROVES, reviewer, voted

pytest.importorskip("pydantic_ai", reason="needs the extra llm")


@pytest.fixture
def tape(tmp_path: Path) -> Path:
    return tmp_path / "answers.jsonl"


def test_answers_come_back_byte_for_byte(tape: Path) -> None:
    answer = '{"a": "ü\\u2028 \\n"}'.encode()
    Tape(tape).record("what?", answer)
    assert Tape(tape).play("what?") == answer


def test_the_same_question_again_gets_the_next_answer_and_then_the_last(tape: Path) -> None:
    made = Tape(tape)
    for answer in (b"1", b"2"):
        made.record("again?", answer)
    assert [made.play("again?") for _ in range(3)] == [b"1", b"2", b"2"]
    assert made.play("again?", "another run") == b"1"


def test_measured_seconds_make_no_other_question(tape: Path) -> None:
    Tape(tape).record("ends 12.5 s later, 3 nodes", b"yes")
    assert Tape(tape).play("ends 0.3 s later, 3 nodes") == b"yes"
    with pytest.raises(NotRecorded):
        Tape(tape).play("ends 0.3 s later, 4 nodes")


def test_a_question_without_a_recording_shows_the_nearest_one_and_where_they_part(tape: Path) -> None:
    made = Tape(tape)
    made.record("approve the plan for node fit_7?", b"1")
    made.record("something else altogether", b"2")
    with pytest.raises(NotRecorded, match="the nearest is 97% alike") as caught:
        made.play("approve the plan for node fit_8?")
    assert "fit_8?" in str(caught.value)
    assert "fit_7?" in str(caught.value)
    assert "altogether" not in str(caught.value)


def test_an_empty_tape_a_missing_one_and_a_damaged_one_are_told_apart(tape: Path) -> None:
    with pytest.raises(hx.SchemaError, match=r"cannot be read.*record it first"):
        Tape(tape).play("?")
    tape.write_text("")
    with pytest.raises(NotRecorded, match="it is empty"):
        Tape(tape).play("?")
    Tape(tape).record("?", b"yes")
    row = json.loads(tape.read_text())
    tape.write_text(json.dumps(row | {"answer": "no"}) + "\n")
    with pytest.raises(hx.SchemaError, match=r"line 1 of the tape .* is damaged"):
        Tape(tape).play("?")
    tape.write_text("{}\n")
    with pytest.raises(hx.SchemaError, match=r"line 1 of the tape .* is no recording"):
        Tape(tape).play("?")


def rehearsed(room: Room, tape: Path, **options: Any) -> tuple[Any, Any]:
    return voted(room, reviewer("http://127.0.0.1:9/v1", rehearse=tape, **options))


def test_an_agent_that_was_recorded_is_rehearsed_without_any_server_or_key(
    room: Room, serve: Serve, tape: Path, tmp_path: Path
) -> None:
    endpoint = serve(APPROVES)
    voted(room, reviewer(endpoint.url, record=tape, key=None))
    room.gate = tmp_path / "second"
    before = len(endpoint.asked)
    room.lab.close()
    with hx.Lab(pool="inline", store="memory://", catalog=room.lab.catalog) as lab:
        proposal, run = rehearsed(Room(lab, tmp_path / "third"), tape, key="NOT_SET_HERE")
    assert proposal.state == "APPLIED"
    assert said(proposal) == ("approve", "it is cheap")
    (call,) = calls(run)
    assert call.rehearsed
    assert call.outcome == "answered"
    assert len(endpoint.asked) == before


def test_a_rehearsal_without_a_recording_is_an_error_in_the_log_and_the_journal(
    room: Room, tape: Path, caplog: pytest.LogCaptureFixture
) -> None:
    Tape(tape).record("model scripted\nsomething else", b"?")
    proposal, run = rehearsed(room, tape)
    assert said(proposal)[0] == "absent"
    assert "NotRecorded: the tape" in said(proposal)[1]
    assert calls(run)[0].outcome == "not recorded"
    assert [record.levelname for record in caplog.records if "has no answer to this question" in record.message] == [
        "ERROR"
    ]
