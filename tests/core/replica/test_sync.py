"""Copies of a draft that talk: what is said, what is not, and what is refused."""

from __future__ import annotations

import json
import zlib
from typing import Any

import pytest

from hexdag_lab.core.base.errors import DagError, SchemaError
from hexdag_lab.core.dag.node import NodeSpec
from hexdag_lab.core.dag.wiring import Wire
from hexdag_lab.core.replica.clock import Clock, Dot
from hexdag_lab.core.replica.packing import LARGEST, from_bytes, pack, to_bytes, unpack
from hexdag_lab.core.replica.replica import MOST_WAITING, Replica, Write
from hexdag_lab.core.replica.sync import Frames, Sync, framed
from hexdag_lab.core.replica.view import view


def step(**inputs: int) -> int:
    return len(inputs)


def spec(name: str, **params: int) -> NodeSpec:
    return NodeSpec(name, step, params=params)


def talk(a: Replica, b: Replica, at_a: Sync, at_b: Sync) -> tuple[Replica, Replica, Sync, Sync, int]:
    """Both speak until neither has anything to say; the number of messages."""
    for said in range(20):
        at_a, to_b = at_a.generate_message(a)
        at_b, to_a = at_b.generate_message(b)
        if to_b is not None:
            at_b, b = at_b.receive_message(b, to_b)
        if to_a is not None:
            at_a, a = at_a.receive_message(a, to_a)
        if to_a is to_b is None:
            return a, b, at_a, at_b, said
    raise AssertionError("they never stop talking")


def test_two_copies_that_meet_say_what_they_have_and_fall_silent() -> None:
    a, b = Replica("a").write({"x": spec("x")}), Replica("b").write({"y": spec("y")})
    a, b, at_a, at_b, _ = talk(a, b, Sync(), Sync())
    assert a.seen == b.seen == {"a": 1, "b": 1}
    assert at_a.generate_message(a)[1] is at_b.generate_message(b)[1] is None


def test_a_later_edit_travels_alone() -> None:
    a = Replica("a").write({f"n{i}": spec(f"n{i}") for i in range(100)})
    a, b, at_a, at_b, _ = talk(a, Replica("b"), Sync(), Sync())
    a = a.write({"n5": spec("n5", k=1)})
    _, data = at_a.generate_message(a)
    assert data is not None
    assert len(unpack(data)["writes"]) == 1
    _, b = at_b.receive_message(b, data)
    assert b.slots["n5"].shown.value.params == {"k": 1}


def test_a_copy_that_was_away_too_long_gets_the_whole_state() -> None:
    a = Replica("a").write({"x": spec("x"), "y": spec("y")}).write({"x": None}).trim()
    assert a.missing({}) is None
    _, data = Sync(Clock()).generate_message(a)
    assert data is not None
    assert "whole" in unpack(data)
    _, b = Sync().receive_message(Replica("b"), data)
    assert b.slots == a.slots


def test_what_the_other_end_says_it_has_is_believed_not_what_was_sent() -> None:
    a, b, at_a, at_b, _ = talk(Replica("a").write({"x": spec("x")}), Replica("b"), Sync(), Sync())
    a = a.write({"x": spec("x", k=1)})
    at_a, _lost = at_a.generate_message(a)
    b = b.write({"y": spec("y")})
    a, b, *_ = talk(a, b, at_a, at_b)
    assert a.seen == b.seen == {"a": 2, "b": 1}


def test_a_write_waits_for_its_causes() -> None:
    a = Replica("a").write({"x": spec("x")}).write({"x": spec("x", k=1)})
    first, second = a.missing({}) or ()
    b = Replica("b").deliver([second])
    assert not b.slots
    assert b.waiting
    assert b.deliver([first]).slots == a.slots
    assert not b.deliver([first]).waiting


def test_a_write_waits_for_what_its_author_had_seen_of_others() -> None:
    a = Replica("a").write({"x": spec("x")})
    b = Replica("b").merge(a).write({"x": spec("x", k=1)})
    later = [w for w in b.log.values() if w.dot.replica == "b"]
    c = Replica("c").deliver(later)
    assert not c.slots
    c = c.deliver(a.log.values())
    assert [w.value.params for w in c.slots["x"].writes] == [{"k": 1}]
    assert not c.waiting


def test_writes_that_wait_do_not_fill_the_memory_and_are_asked_for_again() -> None:
    a = Replica("a").write({"x": spec("x")})
    forged = [Write(Dot("z", 2 + i), Clock({"z": 1 + i}), f"n{i}", None) for i in range(MOST_WAITING + 50)]
    a = a.deliver(forged)
    assert len(a.waiting) == MOST_WAITING
    assert "z" not in a.seen


def test_what_somebody_writes_tells_what_she_has_seen_and_that_is_not_forgotten_with_the_write() -> None:
    a = Replica("a").write({"x": spec("x")})
    b = Replica("b").merge(a).write({"y": spec("y")})
    a = a.deliver([w for w in b.log.values() if w.dot.replica == "b"])
    assert a.known("b") == b.seen
    trimmed = a.trim()
    assert len(trimmed.log) == 0
    assert trimmed.known("b") == b.seen
    later = trimmed.write({"z": spec("z")})
    assert later.trim().missing(b.seen) == tuple(later.log.values()), "b has not seen it yet"


def test_a_log_that_two_cut_logs_make_has_no_hole_that_it_does_not_know_of() -> None:
    a = Replica("a").write({"x": spec("x")}).write({"y": spec("y")})
    old = Replica("old").merge(a)
    cut = a.write({"z": spec("z")}).trim()
    b = old.trim().merge(cut)
    assert b.missing(old.seen) is None, "z is in no log any more"
    assert Replica("c").deliver(b.missing(cut.seen) or ()).seen == {}
    assert view(old.merge(b)) == view(cut)


def test_both_ends_with_one_id_are_told() -> None:
    _, data = Sync().generate_message(Replica("a").write({"x": spec("x")}))
    assert data is not None
    with pytest.raises(SchemaError, match="both ends are replica 'a'"):
        Sync().receive_message(Replica("a"), data)


def test_an_id_that_was_used_twice_is_found() -> None:
    first, second = Replica("a").write({"x": spec("x")}), Replica("a").write({"x": spec("x", k=1)})
    with pytest.raises(SchemaError, match="two different writes are called a#1"):
        first.deliver(second.log.values())
    with pytest.raises(SchemaError, match="two different writes are called a#1"):
        Replica("b").merge(first).merge(second)


def test_a_stream_comes_in_any_pieces() -> None:
    frames, found = Frames(), []
    for byte in framed(b"one") + framed(b"") + framed(b"three"):
        found += frames.feed(bytes([byte]))
    assert found == [b"one", b"", b"three"]


def test_a_message_that_is_announced_too_large_is_refused_at_once() -> None:
    with pytest.raises(SchemaError, match="the largest has"):
        Frames().feed((LARGEST + 1).to_bytes(4, "big"))


def test_a_bomb_is_refused() -> None:
    with pytest.raises(SchemaError, match="at most"):
        unpack(zlib.compress(b" " * (LARGEST + 1), 9))


def written(**changes: Any) -> bytes:
    """A message with one write, in which something is wrong."""
    _, data = Sync(Clock()).generate_message(Replica("a").write({"x": spec("x")}))
    assert data is not None
    return pack({**{k: v for k, v in unpack(data).items() if k != "format"}, **changes})


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"writes": 5}, "cannot be read"),
        ({"writes": [[0, 1, [], "x", None]]}, "cannot be read"),
        ({"writes": [[9, 1, [], "x", None, 0, 0]]}, "cannot be read"),
        ({"writes": [[0, 0, [], "x", None, 0, 0]]}, "counts nothing"),
        ({"writes": [[0, True, [], "x", None, 0, 0]]}, "counts nothing"),
        ({"writes": [[0, 2, [], "x", None, 0, 0]]}, "not the next write"),
        ({"writes": [[0, 1, [], "no name", {"!": "Wire", "v": ["x", None]}, 0, 0]]}, "about something else"),
        ({"writes": [[0, 1, [], "import", None, 0, 0]]}, "cannot name a node"),
        ({"writes": [[0, 1, [], "x", {"!": "Nothing"}, 0, 0]]}, "unknown record"),
        ({"writes": [[0, 1, [], "x", 7, 0, 0]]}, "about something else"),
        ({"writes": [[0, 1, [], "x", None, 0, 10**400]]}, "is no time"),
        ({"writes": [[0, 1, [], "x", None, 0, 0.5]]}, "is no time"),
        ({"names": [5]}, "names are text"),
        ({"seen": {"a": -1}}, "counts nothing"),
    ],
)
def test_a_message_that_makes_no_sense_is_one_clear_error(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(DagError, match=said):
        Sync().receive_message(Replica("b"), written(**changes))


@pytest.mark.parametrize("data", [b"", b"x", zlib.compress(b"[]"), zlib.compress(b"{}"), zlib.compress(b"[" * 10**5)])
def test_what_is_no_message_is_refused(data: bytes) -> None:
    with pytest.raises(SchemaError, match=r"no message of a draft|whole and at most"):
        unpack(data)


def test_a_newer_format_says_so() -> None:
    with pytest.raises(SchemaError, match="format 99; this hexdag_lab reads up to 1"):
        unpack(zlib.compress(json.dumps({"format": 99}).encode()))


def test_a_whole_copy_with_superseded_writes_or_holes_is_refused() -> None:
    a = Replica("a").write({"x": spec("x")}).write({"x": spec("x", k=1)})
    assert from_bytes(to_bytes(a)) == a
    whole = unpack(to_bytes(a))["whole"]
    with pytest.raises(SchemaError, match="superseded"):
        from_bytes(pack({"whole": {**whole, "only_logged": []}}))
    with pytest.raises(SchemaError, match="lacks a#1"):
        from_bytes(pack({"whole": {**whole, "only_logged": [], "only_held": [0]}}))


def test_edges_travel_with_the_parameter_they_fill() -> None:
    a = Replica("a").write({"x": spec("x"), "y": spec("y"), "x y": Wire("x", "*")})
    _, data = Sync(Clock()).generate_message(a)
    assert data is not None
    _, b = Sync().receive_message(Replica("b"), data)
    assert b.slots["x y"].shown.value == Wire("x", "*")


def test_a_clock_of_what_two_have_seen() -> None:
    a, b = Clock({"x": 3, "y": 1}), Clock({"x": 1, "z": 2})
    assert a.joined(b) == {"x": 3, "y": 1, "z": 2}
    assert a.met(b) == {"x": 1}
    assert list(a.since(b)) == [Dot("x", 2), Dot("x", 3), Dot("y", 1)]
    assert not a.covers(b)
    assert (a.time, b.time) == (4, 3)
