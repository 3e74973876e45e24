"""The events of a run in the order in which they happened in its regions, from a journal that heard of some late."""

from __future__ import annotations

from hexdag_lab.core.base.codec import dumps, loads
from hexdag_lab.core.machine import messages as ms
from hexdag_lab.core.machine.chronicle import CONTROLLER, Entry, chronicle
from hexdag_lab.core.runs.region import Reach
from tests.core.machine.diary import Diary, result

BOTH = (Reach("eu"), Reach("us"))


def apart() -> list[Entry]:
    """load runs in eu and ends there at 13, of which is heard at 20; meanwhile us goes on."""
    lab = Diary("load, beside > after")
    lab.start(slots=0)
    lab.send(ms.PoolChanged(10.0, 2, 0, (frozenset(),), BOTH))
    lab.send(ms.Dispatch(10.0))
    lab.send(ms.Started(11.0, "load", 1, "eu/w"))
    lab.send(ms.Started(11.5, "beside", 1, "us/w"))
    lab.send(ms.PoolChanged(15.0, 1, 0, (frozenset(),), (Reach("eu", 12.0), Reach("us"))))
    lab.send(ms.Succeeded(18.0, "beside", 1, 6.5, result("beside"), "us/w"))
    lab.send(ms.Dispatch(18.0))
    lab.send(ms.PoolChanged(20.0, 2, 0, (frozenset(),), BOTH))
    lab.send(ms.Succeeded(13.0, "load", 1, 2.0, result("load"), "eu/w"))
    return list(chronicle(lab.events))


def of(entries: list[Entry], kind: str, node: str) -> Entry:
    return next(entry for entry in entries if entry.event.kind == kind and entry.event.node == node)


def test_what_was_heard_of_late_stands_where_it_happened_and_says_by_how_much() -> None:
    entries = apart()
    told = [(str(entry.at), entry.region, entry.event.kind) for entry in entries if entry.event.node is not None]
    assert told == [
        ("11.0", "eu", "NodeStarted"),
        ("11.5", "us", "NodeStarted"),
        ("13.0", "eu", "NodeSucceeded"),
        ("18.0", "us", "NodeSucceeded"),
    ]
    late = of(entries, "NodeSucceeded", "load")
    assert late.late == 7.0
    assert str(late) == "00:00:13 UTC  eu: load succeeded in 2.00 s  (late by 7.0 s)"
    assert [entry for entry in entries if entry.late] == [late], "all else came in order"
    assert [entry.event.seq for entry in entries] != sorted(entry.event.seq for entry in entries)


def test_clocks_say_what_was_known_where() -> None:
    entries = apart()
    late, beside = of(entries, "NodeSucceeded", "load"), of(entries, "NodeSucceeded", "beside")
    assert late.seen["eu"] == 1, "in eu, that the node had begun"
    assert "us" not in late.seen, "and nothing of us"
    assert "eu" not in beside.seen
    begun = next(entry for entry in entries if entry.event.kind == "AttemptsSubmitted")
    assert begun.region == CONTROLLER
    assert late.seen[CONTROLLER] == begun.seen[CONTROLLER] + 1, "its submission, and nothing that came later"
    last = max((entry for entry in entries if entry.region == CONTROLLER), key=lambda entry: entry.event.seq)
    assert last.seen["us"] == 2


def test_all_of_a_journal_is_in_its_chronicle_once() -> None:
    lab = Diary("load > fit")
    lab.start(slots=1)
    lab.runs("load", "fit")
    entries = chronicle(lab.events)
    assert [entry.event for entry in entries] == lab.events, "in one region the order is that of the journal"
    assert {entry.region for entry in entries} == {CONTROLLER}
    assert not any(entry.late for entry in entries)


def test_an_event_that_was_heard_of_late_says_in_the_journal_when_it_was() -> None:
    lab = Diary("load")
    lab.start(slots=1)
    lab.send(ms.Started(10.0, "load", 1, "w"))
    lab.send(ms.PoolChanged(20.0, 2, 0, None))
    lab.send(ms.Succeeded(13.0, "load", 1, 2.0, result("load"), "w"))
    (event,) = [event for event in lab.events if event.kind == "NodeSucceeded"]
    assert (event.at, event.happened) == (20.0, 13.0)
    assert loads(dumps(event)) == event
    assert all(other.happened is None for other in lab.events if other.at < 20.0)
    assert b"happened" not in dumps(lab.events[0]), "what came in time says no more than before"
