"""What became of the first rows of a long journal: they lie in blobs, and an `Archive` in the store says in which.

A segment holds rows of the journal and the links of the chain over them, byte for byte: whoever reads a run through
`history.Journal` cannot tell where its rows were. Beside them may be a snapshot, the state at one row, so that nobody
has to fold all that came before (`snapshot.py`). How both come about is in `compaction.py`.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Sequence
from typing import NamedTuple

from ..core.base.errors import SchemaError
from ..ports import Row
from .stores.segments import packed, unpacked

FORMAT = 1
_MAGIC = b"hexdag-lab segment 1"


class Segment(NamedTuple):
    """The rows of a journal after `after`, up to `seq`, and links of its chain up to row `links` of that stream, in a
    blob (SHA-256, hexadecimal)."""

    after: int
    seq: int
    links: int
    blob: str


class Saved(NamedTuple):
    """Where the snapshot of the state at `seq` is: a blob, the code that can read it, and the lab's mark on these."""

    seq: int
    blob: str
    code: str
    mac: str


class Archive(NamedTuple):
    """The segments of a run in order, the first one from row 1 on, and its latest snapshot."""

    segments: tuple[Segment, ...] = ()
    saved: Saved | None = None

    @property
    def seq(self) -> int:
        """The last row of the journal that is in a segment; 0: none is."""
        return self.segments[-1].seq if self.segments else 0

    @property
    def links(self) -> int:
        """The last row of the chain's stream that is in a segment."""
        return self.segments[-1].links if self.segments else 0

    def pack(self) -> bytes:
        """As the value of a key."""
        return json.dumps({"format": FORMAT, "segments": self.segments, "saved": self.saved}).encode()

    @classmethod
    def unpack(cls, data: bytes) -> Archive:
        """What `pack` has made; `SchemaError` if it is damaged, or from a newer hexdag_lab."""
        try:
            said = json.loads(data)
            if said["format"] > FORMAT:
                raise SchemaError(f"it has format {said['format']}, and this hexdag_lab reads up to {FORMAT}: upgrade")
            segments = tuple([Segment(*segment) for segment in said["segments"]])
            return cls(segments, None if said["saved"] is None else Saved(*said["saved"]))
        except (ValueError, TypeError, LookupError, RecursionError) as error:
            raise SchemaError(f"this is no archive: {error}") from error


def packed_segment(rows: Sequence[bytes], links: Sequence[bytes]) -> bytes:
    """Rows of a journal and links of its chain as a blob."""
    return zlib.compress(packed([_MAGIC, packed(rows), packed(links)]), 1)


def unpacked_segment(segment: Segment, data: bytes) -> tuple[list[Row], list[Row]]:
    """The rows and the links of a segment, numbered as in their streams; `SchemaError` for another blob."""
    try:
        magic, rows, links = (row.data for row in unpacked(3, zlib.decompress(data)))
        if magic != _MAGIC:
            raise SchemaError("it is of another kind")
        found = unpacked(segment.seq, rows), unpacked(segment.links, links)
        if found[0][0].seq != segment.after + 1:
            raise SchemaError("it has another number of rows")
    except (ValueError, LookupError, zlib.error) as error:
        text = f"rows {segment.after + 1} to {segment.seq} cannot be read from blob {segment.blob}: {error}"
        raise SchemaError(text) from error
    return found
