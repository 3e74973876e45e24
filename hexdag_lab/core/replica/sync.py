"""`Sync`: one end of a conversation between two copies of a draft, without I/O.

    sync, data = sync.generate_message(replica)        # None: nothing to say now
    sync, replica = sync.receive_message(replica, data)

Each message says what its sender has seen, and brings what the other is not known to have: the writes, or the whole
copy if the log does not reach back so far. Messages may be repeated, reordered and lost: what the other end says it has
seen is believed, not what was sent. After a silence, start with a new `Sync()`: it asks first.

Bytes come in any pieces over a stream: `framed` and `Frames` tell messages apart.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from ..base.errors import SchemaError
from .clock import Clock
from .packing import (
    LARGEST,
    Check,
    check_draft,
    clock_from_data,
    pack,
    reading,
    unpack,
    whole_from_data,
    whole_to_data,
    writes_from_data,
    writes_to_data,
)
from .replica import Replica


class Sync(NamedTuple):
    """What is known of the other end: `theirs`, what it has seen or was sent; `told`, what it was told of us."""

    theirs: Clock | None = None
    told: Clock | None = None

    def generate_message(self, replica: Replica) -> tuple[Sync, bytes | None]:
        """The next message to the other end, or None if it has all that is known here."""
        if self.theirs is not None and self.theirs.covers(replica.seen) and self.told == replica.seen:
            return self, None
        message: dict[str, Any] = {"id": replica.id, "seen": dict(replica.seen)}
        theirs = self.theirs
        if theirs is not None and not theirs.covers(replica.seen):
            writes = replica.missing(theirs)
            message |= {"whole": whole_to_data(replica)} if writes is None else writes_to_data(writes, replica.seen)
            theirs = theirs.joined(replica.seen)
        return Sync(theirs, replica.seen), pack(message)

    def receive_message(self, replica: Replica, data: bytes, check: Check = check_draft) -> tuple[Sync, Replica]:
        """The copy with what a message brings. Raises `SchemaError`, and then nothing has changed."""
        sender, seen, whole, writes = reading("a message of a draft", _parts, unpack(data), check)
        if sender == replica.id:
            raise SchemaError(f"both ends are replica {sender!r}: each copy needs an id of its own")
        if whole is not None:
            replica = replica.merge(whole)
        return Sync(seen, self.told), replica.deliver(writes, {sender: seen})


def _parts(data: Any, check: Check) -> tuple[str, Clock, Replica | None, Any]:
    seen = clock_from_data(data["seen"])
    whole = whole_from_data(data["whole"], check) if "whole" in data else None
    writes = writes_from_data(data, check, seen) if "writes" in data else ()
    return str(data["id"]), seen, whole, writes


_HEAD = 4  #: bytes of a length, the highest first


def framed(message: bytes) -> bytes:
    """A message as it goes into a stream: its length before it."""
    return len(message).to_bytes(_HEAD, "big") + message


class Frames:
    """Messages out of a stream of bytes that comes in any pieces."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> list[bytes]:
        """The messages that are whole now. Raises `SchemaError` for one that is announced to be too large."""
        self._buffer += data
        found = []
        while len(self._buffer) >= _HEAD:
            size = int.from_bytes(self._buffer[:_HEAD], "big")
            if size > LARGEST:
                raise SchemaError(f"a message of {size} bytes is announced; the largest has {LARGEST}")
            if len(self._buffer) < _HEAD + size:
                break
            found.append(bytes(self._buffer[_HEAD : _HEAD + size]))
            del self._buffer[: _HEAD + size]
        return found
