"""`Cache`: where in this store a result lies, by its action key.

An entry is written in the commit that journals the result, and names the row: the journal stays the truth. What cannot
be read, or is not kept any more, is a miss.
"""

from __future__ import annotations

import asyncio
import json
import logging
from typing import Any

from ..core.base.codec import loads
from ..core.machine.effects import Index
from ..core.runs.reuse import Made
from ..ports import Store
from . import wire
from .shipping import Shipping

_log = logging.getLogger(__name__)


def entry(run: str, index: Index) -> tuple[str, bytes]:
    """The key and value by which a result of a run can be found."""
    row = {"run": run, "seq": index.seq, "node": index.node, "version": index.version, "seconds": index.seconds}
    return wire.cached(index.key), json.dumps(row).encode()


class Cache:
    """Reads what `entry` wrote."""

    def __init__(self, store: Store, shipping: Shipping) -> None:
        self._store, self._shipping = store, shipping

    async def find(self, key: str) -> Made | None:
        """A kept result by its action key; None if there is none that can be used."""
        try:
            return await self._find(key)
        except Exception as error:  # whatever it is: the node can run
            _log.warning("a cached result cannot be used: %s", error)
            return None

    async def _find(self, key: str) -> Made | None:
        value = await self._store.get(wire.cached(key))
        if value is None:
            return None
        row = json.loads(value.data)
        run, node = str(row["run"]), str(row["node"])
        (found,) = await self._store.read(wire.journal(run), int(row["seq"]) - 1, 1)
        event: Any = loads(found.data)
        if event.node != node:
            return None
        made = Made(run, node, int(row["version"]), float(row["seconds"]), event.result)
        here = await asyncio.to_thread(self._shipping.has, made.result, f"the cached result of {node}")
        return made if here else None
