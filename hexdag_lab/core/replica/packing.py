"""Writes and whole copies as bytes: compressed JSON, read with suspicion.

Nothing is executed on reading, and what does not make sense is one `SchemaError`: bytes come from other machines. A
name stands once, and a clock only where it is not what the same replica's write before left.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ..base.codec import decode, encode
from ..base.errors import HexdagError, SchemaError
from ..base.frozen import FrozenDict
from ..base.overlay import Overlay
from ..dag.node import NodeSpec, check_name
from ..dag.wiring import Wire
from .clock import NOTHING, Clock, Dot
from .replica import Replica, Slot, Write
from .view import edge_of

FORMAT = 1
LARGEST = 256 * 2**20  #: bytes of a message, unpacked
SHORT = 256  #: bytes of a message that is not compressed: that of a single edit is read sooner than inflated
_HIGHEST = 2**53  #: numbers above are not whole in every JSON reader

_JSON = json.JSONDecoder()

Check = Callable[[Write], None]


def check_draft(w: Write) -> None:
    """Raise a `DagError` unless a write is about a node or an edge as its key says."""
    edge = edge_of(w.key)
    for name in edge or (w.key,):
        check_name(name)
    if w.value is None:
        return
    if edge is None:
        if not isinstance(w.value, NodeSpec) or w.value.name != w.key or w.value.deps:
            raise SchemaError(f"the write of node {w.key!r} is about something else")
    elif not isinstance(w.value, Wire) or w.value.up != edge[0] or not isinstance(w.value.param, str | None):
        raise SchemaError(f"the write of edge {edge[0]} -> {edge[1]} is about something else")


def pack(data: Mapping[str, Any]) -> bytes:
    """JSON-able data as bytes, with the number of the format: compressed, where that is worth the time."""
    text = json.dumps({"format": FORMAT, **data}, separators=(",", ":"), allow_nan=False).encode()
    return text if len(text) <= SHORT else zlib.compress(text, 6)


def unpack(data: bytes) -> dict[str, Any]:
    """What `pack` was given. Raises `SchemaError`, also for what would become larger than `LARGEST`."""
    try:
        text = (data if data[:1] == b"{" else _inflated(data)).decode()
        found, end = _JSON.raw_decode(text)
        if end != len(text):
            raise SchemaError("this is no message of a draft: it goes on after its end")
    except (zlib.error, ValueError, RecursionError) as error:
        raise SchemaError(f"this is no message of a draft: {error}") from error
    if not isinstance(found, dict) or type(found.get("format")) is not int:
        raise SchemaError("this is no message of a draft")
    if found["format"] > FORMAT:
        raise SchemaError(
            f"this message has format {found['format']}; this hexdag_lab reads up to {FORMAT}: upgrade it"
        )
    return found


def _inflated(data: bytes) -> bytes:
    reader = zlib.decompressobj()
    text = reader.decompress(data, LARGEST)
    if reader.unconsumed_tail or not reader.eof:
        raise SchemaError(f"a message is whole and at most {LARGEST >> 20} MiB")
    return text


def reading(what: str, read: Callable[..., Any], *data: Any) -> Any:
    """`read(*data)`; whatever is wrong with it is a `SchemaError`."""
    try:
        return read(*data)
    except HexdagError:
        raise
    except (LookupError, TypeError, ValueError, AttributeError, RecursionError) as error:
        raise SchemaError(f"{what} cannot be read: {error!r}") from error


# -- writes


def writes_to_data(writes: Sequence[Write], seen: Clock = NOTHING) -> dict[str, Any]:
    """Writes in their order; each name once, and a clock only where it is not what its author's write before left. His
    first one mostly comes right after all that the sender has seen: `seen`."""
    names: dict[str, int] = {}
    clocks: dict[str, Clock] = {}
    rows, last = [], 0

    def place(name: str) -> int:
        return names.setdefault(name, len(names))

    for w in writes:
        known = (clocks.get(w.dot.replica) or _before(w.dot, seen)) == w.seen
        clock = 0 if known else [[place(replica), number] for replica, number in w.seen.items()]
        row = [place(w.dot.replica), w.dot.number, clock, w.key, encode(w.value), place(w.by), w.at - last]
        rows.append([*row, 1] if w.pinned else row)
        clocks[w.dot.replica], last = w.after, w.at
    return {"names": list(names), "writes": rows}


def writes_from_data(data: Any, check: Check = check_draft, seen: Clock = NOTHING) -> tuple[Write, ...]:
    """The writes that `writes_to_data` was given. Raises `SchemaError`."""
    names, rows = data["names"], data["writes"]
    for name in names:
        if type(name) is not str:
            raise SchemaError("names are text")
    latest: dict[str, Write] = {}
    found, last = [], 0
    for replica, number, clock, key, value, by, at, *pinned in rows:
        name = names[replica]
        dot = Dot(name, _number(number))
        if clock != 0:
            before = Clock({names[i]: _number(n) for i, n in clock})
        else:
            before = latest[name].after if name in latest else _before(dot, seen)
        if before.get(name, 0) != number - 1:
            raise SchemaError(f"{dot} says that it is not the next write of its replica")
        last = moment(last + at)
        w = Write(dot, before, str(key), decode(value), names[by], last, bool(pinned))
        check(w)
        found.append(w)
        latest[name] = w
    return tuple(found)


def _before(dot: Dot, seen: Clock) -> Clock:
    """The clock of a write's author, if he has seen all of `seen` and nothing else."""
    name, number = dot
    if number > 1:
        return seen.updated({name: number - 1})
    return Clock({other: n for other, n in seen.items() if other != name}) if name in seen else seen


def clock_from_data(data: Any) -> Clock:
    """A clock of JSON data."""
    for number in data.values():
        if type(number) is not int or not 0 < number < _HIGHEST:
            raise SchemaError(f"{number!r} counts nothing")
    return Clock(data)


def moment(value: Any) -> int:
    """A time of JSON data, in unix milliseconds."""
    if type(value) is not int or not -_HIGHEST < value < _HIGHEST:
        raise SchemaError(f"{value!r} is no time")
    return value


def _number(value: Any) -> int:
    if type(value) is not int or not 0 < value < _HIGHEST:
        raise SchemaError(f"{value!r} counts nothing")
    return value


# -- whole copies


def whole_to_data(replica: Replica) -> dict[str, Any]:
    """A copy with all that it holds, for one that its log does not reach back to, or for a file."""
    held = {str(w.dot): w for slot in replica.slots.values() for w in slot.writes}
    every = sorted({**replica.log, **held, **replica.waiting}.values(), key=lambda w: w.order)
    return {
        "id": replica.id, "seen": dict(replica.seen), "cut": dict(replica.cut),
        "heard": {name: dict(clock) for name, clock in replica.heard.items()},
        "only_held": [i for i, w in enumerate(every) if str(w.dot) not in replica.log and str(w.dot) in held],
        "only_logged": [i for i, w in enumerate(every) if str(w.dot) in replica.log and str(w.dot) not in held],
        **writes_to_data(every),
    }  # fmt: skip


def whole_from_data(data: Any, check: Check = check_draft) -> Replica:
    """The copy that `whole_to_data` was given. Raises `SchemaError`."""
    seen = clock_from_data(data["seen"])
    only_held, only_logged = set(data["only_held"]), set(data["only_logged"])
    slots: dict[str, list[Write]] = {}
    log: dict[str, Write] = {}
    waiting: dict[str, Write] = {}
    for i, w in enumerate(writes_from_data(data, check)):
        if not seen.has(w.dot):
            waiting[str(w.dot)] = w
            continue
        if i not in only_logged:
            slots.setdefault(w.key, []).append(w)
        if i not in only_held:
            log[str(w.dot)] = w
    heard = {str(name): clock_from_data(clock) for name, clock in data["heard"].items()}
    replica = Replica(
        str(data["id"]), seen, Overlay({key: Slot(tuple(writes)) for key, writes in slots.items()}), Overlay(log),
        clock_from_data(data["cut"]), FrozenDict(waiting), FrozenDict(heard),
    )  # fmt: skip
    _check_whole(replica)
    return replica


def _check_whole(replica: Replica) -> None:
    if not replica.seen.covers(replica.cut):
        raise SchemaError("its log is cut above what it has seen")
    for dot in replica.seen.since(replica.cut):
        if str(dot) not in replica.log:
            raise SchemaError(f"its log lacks {dot}")
    for slot in replica.slots.values():
        if any(a is not b and a.seen.has(b.dot) for a in slot.writes for b in slot.writes):
            raise SchemaError(f"it holds superseded writes of {slot.writes[0].key!r}")


def to_bytes(replica: Replica) -> bytes:
    """A whole copy as bytes."""
    return pack({"whole": whole_to_data(replica)})


def from_bytes(data: bytes, check: Check = check_draft) -> Replica:
    """The copy that `to_bytes` was given. Raises `SchemaError`."""
    whole: Replica = reading("a copy of a draft", lambda d: whole_from_data(d["whole"], check), unpack(data))
    return whole
