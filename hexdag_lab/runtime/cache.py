"""`Cache`: where in this store a result lies, by its action key.

An entry is written in the commit that journals the result, and names the row: the journal stays the truth. What cannot
be read, or is not kept any more, is a miss.
"""

from __future__ import annotations

import asyncio
import json
import logging
from typing import Any

from ..core.base.codec import dumps, loads
from ..core.machine.effects import Index
from ..core.runs.reuse import Found, Made, Recipe
from ..ports import Store
from . import wire
from .history import Journal
from .shipping import Shipping

_log = logging.getLogger(__name__)


def entries(run: str, index: Index) -> dict[str, bytes]:
    """The keys and values by which a result of a run can be found, and by which others can say why they differ."""
    row = {"run": run, "seq": index.seq, "node": index.node, "version": index.version, "seconds": index.seconds}
    last = {"run": run, "recipe": dumps(index.recipe).decode()}
    return {wire.cached(index.key): json.dumps(row).encode(), wire.last(index.node): json.dumps(last).encode()}


class Cache:
    """Reads what `entries` gave to the store."""

    def __init__(self, store: Store, journal: Journal, shipping: Shipping) -> None:
        self._store, self._journal, self._shipping = store, journal, shipping

    async def find(self, node: str, key: str) -> Found:
        """A kept result by its action key, or what the node was last made from; nothing if neither can be used."""
        try:
            made = await self._made(key)
            before, run = (None, "") if made else await self._before(node)
            return Found(node, key, made, before, run)
        except Exception as error:  # whatever it is: the node can run
            _log.warning("a cached result of %s cannot be used: %s", node, error)
            return Found(node, key)

    async def _made(self, key: str) -> Made | None:
        value = await self._store.get(wire.cached(key))
        if value is None:
            return None
        row = json.loads(value.data)
        run, node = str(row["run"]), str(row["node"])
        found = await self._journal.row(run, int(row["seq"]))
        event: Any = None if found is None else loads(found.data)
        if event is None or event.node != node:
            return None
        made = Made(run, node, int(row["version"]), float(row["seconds"]), event.result)
        here = await asyncio.to_thread(self._shipping.has, made.result, f"the cached result of {node}")
        return made if here else None

    async def _before(self, node: str) -> tuple[Recipe | None, str]:
        value = await self._store.get(wire.last(node))
        if value is None:
            return None, ""
        row = json.loads(value.data)
        recipe = loads(row["recipe"])
        return (recipe, str(row["run"])) if isinstance(recipe, Recipe) else (None, "")
