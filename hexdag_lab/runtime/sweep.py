"""Which blobs nobody names any more. Marking is done on the safe side: whatever looks like a name counts as one.

A name is looked for in all that is journaled of all runs, also in segments and archives; in drafts; and in commands
that wait. What is younger than a grace period stays, for it may be about to be named.
"""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections.abc import Iterable
from typing import NamedTuple

from ..core.replica.packing import unpack
from ..ports import Listed, ListedBlobs, Store
from . import wire
from .history import Journal, drafts_of, rows_of

GRACE = 24 * 3600.0  #: seconds that a blob is left alone that nobody names yet
_NAME = re.compile(rb"(?<![0-9a-f])[0-9a-f]{64}(?![0-9a-f])")


class Swept(NamedTuple):
    """What a sweep has seen: blobs that are named, that are too young to tell, and that went, or would go."""

    named: int
    young: int
    gone: tuple[Listed, ...]


def names_of(texts: Iterable[bytes]) -> set[str]:
    """All that may be the name of a blob in some texts."""
    return {name.decode() for text in texts for name in _NAME.findall(text)}


async def names_in(store: Store, journal: Journal) -> set[str]:
    """All that may be the name of a blob in a store. Raises `StoreUnavailable` if something cannot be read."""
    found = names_of(row.data for row in await rows_of(store, wire.INBOX))
    for row in await rows_of(store, wire.RUNS):
        run = row.data.decode()
        archive = await store.get(wire.archive(run))
        found |= names_of([archive.data] if archive is not None else [])
        found |= names_of(row.data for row in await journal.rows(run))
    for draft in await drafts_of(store):
        rows = await rows_of(store, wire.draft(draft))
        found |= names_of(json.dumps(unpack(row.data)).encode() for row in rows)
    return found


async def swept(blobs: ListedBlobs, stores: Iterable[tuple[Store, Journal]], grace: float, dry: bool) -> Swept:
    """Let go of the blobs that none of these stores names. Whoever names one now that is old puts it again first, and
    so makes it young: what is about to go is looked at once more."""
    before = {blob.sha256: blob for blob in await asyncio.to_thread(lambda: list(blobs.listed()))}
    named = set[str]()
    for store, journal in stores:
        named |= await names_in(store, journal)
    old = {name for name, blob in before.items() if blob.at < time.time() - grace}
    now = await asyncio.to_thread(lambda: list(blobs.listed()))
    gone = tuple(blob for blob in now if blob.sha256 in old - named and blob.at == before[blob.sha256].at)
    if not dry:
        for blob in gone:
            await asyncio.to_thread(blobs.remove, blob.sha256)
    return Swept(len(before.keys() & named), len(before.keys() - named - old), gone)
