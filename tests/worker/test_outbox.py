"""What a worker says on its way out: in order, in company, and of a flood the last are left out and counted."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from hexdag_lab.core.base.codec import loads
from hexdag_lab.core.machine.messages import Failed, Started
from hexdag_lab.core.runs.run import Failure
from hexdag_lab.worker import outbox
from hexdag_lab.worker.context import Note, Notes
from hexdag_lab.worker.outbox import Outbox


class Wire:
    """What was sent, message by message, and what is to be flushed later."""

    def __init__(self) -> None:
        self.sent: list[list[Any]] = []
        self.later: list[Callable[[], None]] = []
        self.box = Outbox(self._send, lambda _, flush: self.later.append(flush))

    def _send(self, rows: list[tuple[str, bytes]]) -> None:
        self.sent.append([loads(data) for _, data in rows])

    def note(self, text: str, node: str = "n", **more: Any) -> None:
        self.box.say("r", Note(1.0, node, 1, text, **more))

    @property
    def texts(self) -> list[str]:
        """All notes that were sent, in order."""
        return [note.text for rows in self.sent for row in rows for note in _each(row)]


def _each(row: Any) -> list[Note]:
    return list(row.each()) if isinstance(row, Notes) else [row] if isinstance(row, Note) else []


@pytest.fixture
def wire(monkeypatch: pytest.MonkeyPatch) -> Wire:
    monkeypatch.setattr(outbox, "COMPANY", 60.0)  # so that no time passes in which the first note gets old
    return Wire()


def test_the_first_note_goes_at_once_and_the_next_ones_in_company(wire: Wire) -> None:
    for number in range(4):
        wire.note(str(number))
    assert wire.texts == ["0"]
    (flush,) = wire.later
    flush()
    assert wire.texts == ["0", "1", "2", "3"]
    assert isinstance(wire.sent[1][0], Notes), "notes of one attempt travel as one message"


def test_a_start_waits_for_company_and_what_is_urgent_takes_it_along(wire: Wire) -> None:
    wire.box.say("r", Started(1.0, "n", 1, "w0"))
    assert wire.sent == []
    wire.box.say("r", Failed(2.0, "n", 1, 0.1, Failure("E", "")))
    assert [type(row) for row in wire.sent[0]] == [Started, Failed]


def test_where_something_is_expected_a_start_need_not_call_for_its_sending(wire: Wire) -> None:
    wire.box.expect()
    wire.box.expect()
    wire.box.say("r", Started(1.0, "n", 1, "w0"))
    (flush,) = wire.later
    flush()
    assert [[type(row) for row in rows] for rows in wire.sent] == [[Started]]
    wire.box.expect()
    assert len(wire.later) == 2, "the next one is expected anew"


def test_nothing_overtakes_anything(wire: Wire) -> None:
    wire.note("a")
    wire.note("b")
    wire.note("c", node="m")
    wire.note("d", passing=True, stream="stdout", left_out=2, fraction=0.5)
    wire.note("e", node="m")
    wire.box.flush()
    assert wire.texts == ["a", "b", "c", "d", "e"]
    told = _each(wire.sent[1][2])[0]
    assert (told.passing, told.stream, told.left_out, told.fraction) == (True, "stdout", 2, 0.5)


def test_of_a_flood_the_last_are_left_out_and_the_next_note_says_how_many(
    wire: Wire, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outbox, "RATE", 0.0)
    wire.box._room = 3.0
    for number in range(10):
        wire.note(str(number))
    wire.box._room = 1.0
    wire.note("later")
    wire.note("too many again", left_out=4)
    wire.box.ended("r", "n", 1)
    assert wire.texts == ["0", "1", "2", "later", ""]
    notes = [note for rows in wire.sent for row in rows for note in _each(row)]
    assert [note.left_out for note in notes] == [0, 0, 0, 7, 5]


def test_the_end_of_an_attempt_sends_what_is_left(wire: Wire) -> None:
    wire.note("a")
    wire.note("b")
    wire.box.ended("r", "n", 1)
    assert wire.texts == ["a", "b"]
