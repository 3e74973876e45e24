"""The chain over a run's journal, by which a change to what was written is found.

Each commit adds one link to the stream `chain/RUN`: which rows it covers, and a hash over the link before it and those
rows. The head, the last link with its time, is signed with the lab's key and put with the run's summary. All of it is
in the same commit as the rows, so it holds for every store. What it cannot show: a store that was put back as a whole,
head and all, to an earlier moment. For that, keep a head elsewhere (`hexdag-lab audit RUN --save FILE`).
"""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from typing import Any, NamedTuple

from ..core.base.canon import digest
from ..core.base.errors import SchemaError
from ..core.votes.signed import Claims, Proof, canonical_text
from ..ports import Store
from . import wire
from .history import rows_of
from .keys import good, sign
from .seal import Seal

HEAD = "hexdag-lab head 1"
_log = logging.getLogger(__name__)


class Link(NamedTuple):
    """One commit: it wrote the rows from `after` + 1 to `seq`; `hash` (hexadecimal) covers these and all before."""

    after: int
    seq: int
    hash: str


def begin(run: str, after: int = 0) -> Link:
    """What the first link follows: nothing, or the rows of a journal from before there were chains."""
    return Link(after, after, digest(b"hexdag-lab chain 1", run.encode(), str(after).encode()).hex())


def linked(link: Link, rows: Sequence[bytes]) -> Link:
    """The link that follows another with these rows."""
    return Link(link.seq, link.seq + len(rows), digest(bytes.fromhex(link.hash), *rows).hex())


def pack(link: Link) -> bytes:
    """A link as a row."""
    return json.dumps(link._asdict(), separators=(",", ":")).encode()


def unpack(row: bytes) -> Link:
    """The link in a row; `SchemaError` if it holds none."""
    try:
        link = Link(**json.loads(row))
        if not 0 <= link.after <= link.seq or len(bytes.fromhex(link.hash)) != 32:
            raise ValueError("it covers no rows, or has no hash")
    except (ValueError, TypeError, RecursionError) as error:
        raise SchemaError(f"this is no link of a chain: {error}") from error
    return link


def signed_head(run: str, link: Link, at: float, seal: Seal) -> Proof:
    """The head of a run's chain at a time (unix seconds), signed with the lab's key."""
    said: Claims = {"type": HEAD, "run": run, "seq": link.seq, "hash": link.hash, "at": round(at)}
    return sign(seal.signer, canonical_text(said))


def packed_head(head: Proof) -> dict[str, str]:
    """A head as it stands in a summary, and in a file of its own."""
    return {"text": head.text, "signature": head.signature, "key": head.key}


def unpacked_head(data: Any) -> Proof:
    """The head in that form, with a good signature; `SchemaError` if it is none."""
    if not isinstance(data, dict) or not all(isinstance(data.get(name), str) for name in ("text", "signature", "key")):
        raise SchemaError("this is no head of a journal")
    head = Proof(data["text"], data["signature"], data["key"])
    if not good(head):
        raise SchemaError("the signature of this head does not fit what it signs")
    if head.claims.get("type") != HEAD:
        raise SchemaError("what was signed here is no head of a journal")
    return head


async def last_link(store: Store, run: str, seq: int) -> Link:
    """What goes on from a journal of `seq` rows: its last link. Where they do not fit, an audit will say so, too."""
    rows = await rows_of(store, wire.chain(run))
    if not rows:
        return begin(run, seq)
    try:
        link = unpack(rows[-1].data)
    except SchemaError:
        link = begin(run, 0)
    if link.seq != seq:
        _log.warning("the journal of run %s is not as it was written: hexdag-lab audit %s says where", run, run)
    return link._replace(seq=seq)
