"""Segments: how a log lies in a store of keys and values. The rows that one commit appends to a stream are one value.

So a commit of a thousand rows is one key, and fits what a transaction may hold. A segment is found by its last seq: the
first one at or after `seq` is the one that has the row `seq`. Beside the segments a stream has a head, the last seq of
all; whoever appends moves it under a guard, and so rows count without a gap.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from urllib.parse import quote

from ...ports import Row

DIGITS = 16  #: of a seq in a key, so that keys sort as numbers do


def packed(rows: Sequence[bytes]) -> bytes:
    """Rows as one value: their lengths in a line of text, then their bytes."""
    return b" ".join(b"%d" % len(row) for row in rows) + b"\n" + b"".join(rows)


def unpacked(last: int, data: bytes) -> list[Row]:
    """The rows of the segment whose last seq is `last`."""
    lengths, _, body = data.partition(b"\n")
    ends = list(accumulate(map(int, lengths.split())))
    starts = [0, *ends[:-1]]
    first = last - len(ends) + 1
    return [Row(first + i, body[start:end]) for i, (start, end) in enumerate(zip(starts, ends, strict=True))]


def folder(stream: str) -> str:
    """Where the segments of a stream are, and nothing else is."""
    return f"log/{quote(stream, safe='')}/"


def numbered(seq: int) -> str:
    """A seq as a part of a key."""
    return f"{seq:0{DIGITS}d}"
