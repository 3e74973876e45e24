"""`Depot`: a lab's store, blobs and key, for who looks after them. No lab is opened, and nobody needs to lead."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

from ..core.base.errors import SchemaError
from ..ports import Blobs, Store
from ..runtime.history import Journal
from ..runtime.seal import Seal
from ..runtime.stores import store_of
from ..worker.blobs import blobs_of
from .places import home_of


class Depot(NamedTuple):
    """What of a lab is not running. `seal`: None where its key is not here, or cannot be read."""

    store: Store
    blobs: Blobs
    seal: Seal | None

    @property
    def journal(self) -> Journal:
        """What is remembered of its runs."""
        return Journal(self.store, self.blobs, self.seal)


@asynccontextmanager
async def depot_of(store: Any, blobs: Any = None) -> AsyncIterator[Depot]:
    """The depot of a store; `blobs`: where they are, default: beside the store, as for `Lab`. Raises
    `StoreUnavailable`."""
    home, temporary = home_of(store)
    try:
        made = Depot(store_of(store), blobs_of(blobs if blobs is not None else f"file://{home / 'blobs'}"), _seal(home))
        await made.store.open()
        try:
            yield made
        finally:
            await made.store.close()
    finally:
        if temporary is not None:
            temporary.cleanup()


def _seal(home: Any) -> Seal | None:
    try:
        return Seal.of_file(home / "key") if (home / "key").exists() else None
    except SchemaError:
        return None
