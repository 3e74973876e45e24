"""`Depot`: a lab's store, blobs and key, for who looks after them. No lab is opened, and nobody needs to lead."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple

from ..core.base.errors import SchemaError, StoreUnavailable
from ..ports import Blobs, ListedBlobs, Store
from ..runtime.history import Journal
from ..runtime.seal import Seal
from ..runtime.stores import store_of
from ..worker.blobs import blobs_of
from .places import home_of, key_of


class Depot(NamedTuple):
    """What of a lab is not running. `seal`: None where its key is not here, or cannot be read."""

    store: Store
    blobs: Blobs
    seal: Seal | None

    @property
    def journal(self) -> Journal:
        """What is remembered of its runs."""
        return Journal(self.store, self.blobs, self.seal)

    @property
    def swept(self) -> ListedBlobs:
        """The blobs, as far as they can be listed and removed. Raises `SchemaError` if they cannot."""
        if not isinstance(self.blobs, ListedBlobs):
            raise SchemaError(f"{type(self.blobs).__name__} cannot list its blobs, so nobody can sweep them")
        return self.blobs


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


@asynccontextmanager
async def depots_of(store: Any, blobs: Any = None, also: Iterable[str] = ()) -> AsyncIterator[list[Depot]]:
    """The depots of all labs that keep their blobs in one place, that of `store` first. `also`: the URLs of stores that
    cannot be opened by what is known of them: passwords are not. Raises `StoreUnavailable` for one that cannot be read:
    then nobody can tell what it needs."""
    given = {key_of(url): url for url in also}
    async with AsyncExitStack() as stack:
        found = [await stack.enter_async_context(depot_of(store, blobs))]
        for key in sorted({*found[0].swept.used_by(), *given} - {key_of(store)}):
            if _removed(key):
                continue
            try:
                found.append(await stack.enter_async_context(depot_of(given.get(key, key), found[0].blobs)))
            except StoreUnavailable as error:
                raise StoreUnavailable(
                    f"these blobs are also those of the store {key}, which cannot be read: {error}; start it, or say "
                    "--also URL, with its password"
                ) from error
        yield found


def _removed(url: str) -> bool:
    """Whether a lab's file is not there any more, and so nothing in it that names a blob."""
    return url.startswith("sqlite:///") and not Path(url.removeprefix("sqlite:///")).exists()


def _seal(home: Any) -> Seal | None:
    try:
        return Seal.of_file(home / "key") if (home / "key").exists() else None
    except SchemaError:
        return None
