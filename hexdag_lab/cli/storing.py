"""Commands for who looks after a store: `export`, `import`, `compact`, `gc`."""

from __future__ import annotations

import argparse
import asyncio
from pathlib import Path

from .commands import Commands, must_exist


def add(commands: Commands) -> None:
    """Add them to the parser."""
    export = commands.add("export", _export, "write a run into one file, with all that it names", "run", "file")
    into = commands.add("import", _import, "take a run out of a file into this store", "file")
    compact = commands.add("compact", _compact, "move old rows of long runs into blobs, as their leader does by itself")
    compact.add_argument("run", nargs="*", help="default: all runs of the store")
    gc = commands.add("gc", _gc, "remove the blobs that no run, draft or command names")
    gc.add_argument("--dry-run", action="store_true", help="say what would go, and remove nothing")
    gc.add_argument("--older-than", type=float, default=24.0, metavar="HOURS", help="younger ones stay; default: 24")
    gc.add_argument("--also", action="append", default=[], metavar="URL", help="another store that uses these blobs")
    for command in (export, into, compact, gc):
        command.add_argument("--blobs", default=None, metavar="URL", help="where they are; default: beside the store")


def _export(options: argparse.Namespace) -> int:
    from ..lab.depot import depot_of
    from ..runtime.moving import exported

    async def work() -> str:
        async with depot_of(options.store, options.blobs) as depot:
            moved = await exported(depot.store, depot.journal, depot.blobs, options.run, Path(options.file))
            return f"{options.file}: run {moved.run}, {moved.rows} events, {moved.blobs} blobs"

    must_exist(options.store)
    print(asyncio.run(work()))
    return 0


def _import(options: argparse.Namespace) -> int:
    from ..lab.depot import depot_of
    from ..runtime.moving import imported

    async def work() -> str:
        async with depot_of(options.store, options.blobs) as depot:
            moved = await imported(depot.store, depot.blobs, Path(options.file))
            return f"run {moved.run}: {moved.rows} events, {moved.blobs} blobs; hexdag-lab audit {moved.run} says more"

    print(asyncio.run(work()))
    return 0


def _compact(options: argparse.Namespace) -> int:
    from ..core.base.errors import NotAllowed
    from ..lab.depot import depot_of
    from ..runtime import wire
    from ..runtime.compaction import Compaction
    from ..runtime.history import rows_of

    async def work() -> None:
        async with depot_of(options.store, options.blobs) as depot:
            if depot.seal is None:
                text = "the lab's key is not here, and a snapshot without it would be read by nobody"
                raise NotAllowed(text, rule="no-key", fix="run it where the lab is, or share the key file")
            compaction = Compaction(depot.store, depot.blobs, depot.seal)
            for run in options.run or [row.data.decode() for row in await rows_of(depot.store, wire.RUNS)]:
                done = await compaction.compact(run)
                saved = f", its state at event {done.saved} is saved" if done.saved else ""
                print(f"{run}: {done.rows} rows moved into blobs{saved}")

    must_exist(options.store)
    asyncio.run(work())
    return 0


def _gc(options: argparse.Namespace) -> int:
    from ..lab.depot import depots_of
    from ..runtime.sweep import swept

    async def work() -> str:
        async with depots_of(options.store, options.blobs, options.also) as (first, *others):
            stores = [(depot.store, depot.journal) for depot in (first, *others)]
            found = await swept(first.swept, stores, options.older_than * 3600, options.dry_run)
        for blob in found.gone if options.dry_run else ():
            print(f"{blob.sha256}  {blob.size:>12,} bytes")
        size = sum(blob.size for blob in found.gone)
        verb = "would go" if options.dry_run else "are gone"
        young = f", {found.young} are younger than {options.older_than:g} h" if found.young else ""
        return f"{len(found.gone)} blobs of {size:,} bytes {verb}; {found.named} are in use{young}"

    must_exist(options.store)
    print(asyncio.run(work()))
    return 0
