"""A run as one file: for a backup, and to move it to another store, whatever kind either is.

The file is a ZIP. It has the run's journal, the chain over it, its summary with the signed head, and every blob that
they name, byte for byte: all signatures stay, and an audit finds in the copy what it would have found before. Each part
has its SHA-256 in the manifest, and the manifest its own beside it. Nothing in it is executed on reading, and what is
signed with the key of another lab stays so: `hexdag-lab audit` says by whom.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from ..core.base.errors import Refused, SchemaError
from ..core.machine.state import RunState
from ..ports import Blobs, CommitRefused, Row, Store
from . import wire
from .history import Journal, folded
from .stores.segments import packed, unpacked
from .sweep import names_of

FORMAT = 1
_WHAT = "hexdag-lab run"
_STAMP = (1980, 1, 1, 0, 0, 0)  # equal runs make equal files
MOST_ROWS, MOST_BYTES = 500, 256 * 1024  #: of one commit of an import
FIX = "take another copy of it, or export it again: hexdag-lab export RUN FILE"


class Moved(NamedTuple):
    """What a file holds, or what was taken in of it."""

    run: str
    rows: int
    blobs: int


class Package(NamedTuple):
    """A run out of a file, every part of it checked. `blobs` are names; `digest` is that of the whole."""

    run: str
    rows: list[bytes]
    links: list[bytes]
    summary: bytes
    lessons: bytes | None
    blobs: tuple[str, ...]
    digest: str


# -- out


async def exported(store: Store, journal: Journal, blobs: Blobs, run: str, path: Path) -> Moved:
    """Write a run into a file, which is there whole or not at all. Raises `Refused` for a run that there is not,
    `StoreUnavailable` for what cannot be read."""
    whole = await journal.whole(run)
    if whole.summary is None:
        raise Refused(f"there is no run {run!r} in this store", rule="unknown-run", fix="hexdag-lab runs")
    lessons = await store.get(wire.lessons(run))
    rows = [row.data for row in whole.rows]
    parts = {"journal": packed(rows), "chain": packed(whole.links), "summary": whole.summary}
    if lessons is not None:
        parts["lessons"] = lessons.data
    named = await asyncio.to_thread(lambda: sorted(name for name in names_of(rows) if blobs.has(name)))
    await asyncio.to_thread(_write, path, run, parts, named, blobs)
    return Moved(run, len(rows), len(named))


def _write(path: Path, run: str, parts: dict[str, bytes], named: Sequence[str], blobs: Blobs) -> None:
    aside = path.with_name(f".{path.name}.part")
    digests = {name: hashlib.sha256(data).hexdigest() for name, data in parts.items()}
    manifest = {"what": _WHAT, "format": FORMAT, "run": run, "parts": digests, "blobs": list(named)}
    text = json.dumps(manifest, sort_keys=True).encode()
    try:
        with zipfile.ZipFile(aside, "w") as archive:
            _add(archive, "manifest.json", text)
            _add(archive, "manifest.sha256", hashlib.sha256(text).hexdigest().encode())
            for name, data in parts.items():
                _add(archive, name, data)
            for name in named:
                _add(archive, f"blobs/{name}", blobs.get(name))
        aside.replace(path)
    finally:
        aside.unlink(missing_ok=True)


def _add(archive: zipfile.ZipFile, name: str, data: bytes) -> None:
    archive.writestr(zipfile.ZipInfo(name, _STAMP), data, zipfile.ZIP_DEFLATED)


# -- in


def opened(path: Path) -> Package:
    """What is in a file. Raises `SchemaError` for one that is damaged, of a newer format, or something else."""
    try:
        with zipfile.ZipFile(path) as archive:
            return _checked(archive)
    except SchemaError as error:
        raise SchemaError(f"{path}: {error}") from error
    except FileNotFoundError as error:
        raise SchemaError(f"{path} is not there") from error
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError, ValueError, LookupError, TypeError) as error:
        raise SchemaError(f"{path} is no exported run, or is damaged: {error}; {FIX}") from error
    except (NotImplementedError, RuntimeError, RecursionError) as error:  # what zipfile says to strange headers
        raise SchemaError(f"{path} is damaged: {error}; {FIX}") from error


def _checked(archive: zipfile.ZipFile) -> Package:
    text = archive.read("manifest.json")
    digest = hashlib.sha256(text).hexdigest()
    if archive.read("manifest.sha256") != digest.encode():
        raise SchemaError(f"its manifest is damaged; {FIX}")
    manifest: dict[str, Any] = json.loads(text)
    if manifest.get("what") != _WHAT:
        raise SchemaError("it holds no run")
    if manifest["format"] > FORMAT:
        raise SchemaError(
            f"it has format {manifest['format']}, and this hexdag_lab reads up to {FORMAT}: upgrade hexdag-lab"
        )
    parts = {name: _part(archive, name, wanted) for name, wanted in manifest["parts"].items()}
    rows = [row.data for row in unpacked(0, parts["journal"])]
    links = [row.data for row in unpacked(0, parts["chain"])]
    for name in manifest["blobs"]:
        _part(archive, f"blobs/{name}", name)
    package = (manifest["run"], rows, links, parts["summary"], parts.get("lessons"), tuple(manifest["blobs"]), digest)
    return Package(*package)


def _part(archive: zipfile.ZipFile, name: str, wanted: str) -> bytes:
    try:
        data = archive.read(name)
    except KeyError:
        raise SchemaError(f"{name} is missing in it; {FIX}") from None
    except (zipfile.BadZipFile, zlib.error, EOFError) as error:
        raise SchemaError(f"{name} is damaged in it: {error}; {FIX}") from error
    if hashlib.sha256(data).hexdigest() != wanted:
        raise SchemaError(f"{name} in it is not what its digest says; {FIX}")
    return data


async def imported(store: Store, blobs: Blobs, path: Path) -> Moved:
    """Take a run out of a file into a store. It may be killed at any moment, and then done again.

    Raises `SchemaError` for a file that cannot be used, or does not fit this store, and `Refused` for a run that is
    there already; then nothing was changed."""
    package = await asyncio.to_thread(opened, path)
    folded(package.run, RunState(), [Row(seq, data) for seq, data in enumerate(package.rows, 1)])
    _check_fits(store, package)
    value = await store.get(wire.importing(package.run))
    if await store.get(wire.summary(package.run)) is not None:
        raise Refused(f"run {package.run} exists already in this store", rule="run-exists", fix="import it elsewhere")
    begun = value is not None and value.data.decode() == package.digest
    if not begun and (value is not None or await store.read(wire.journal(package.run), 0, 1)):
        text = f"a part of another run {package.run} is in this store"
        raise Refused(text, rule="run-exists", fix="finish the import that was begun, or import it elsewhere")
    await asyncio.to_thread(_put_blobs, path, package, blobs)
    await _journal(store, package, 0 if value is None else value.rev)
    return Moved(package.run, len(package.rows), len(package.blobs))


def _check_fits(store: Store, package: Package) -> None:
    largest, most = max(map(len, [*package.rows, package.summary])), store.limits.value
    if largest > most:
        raise SchemaError(
            f"run {package.run} has a row of {largest:,} bytes, and this store takes at most {most:,}: use another one"
        )


def _put_blobs(path: Path, package: Package, blobs: Blobs) -> None:
    with zipfile.ZipFile(path) as archive:
        for name in package.blobs:
            blobs.put(_part(archive, f"blobs/{name}", name))


async def _journal(store: Store, package: Package, rev: int) -> None:
    """Append what is not there yet; with the last commit the run is in the list of runs."""
    key, summary, mark = wire.importing(package.run), wire.summary(package.run), package.digest.encode()
    for stream, rows in ((wire.journal(package.run), package.rows), (wire.chain(package.run), package.links)):
        done = await _count(store, stream)
        for batch in _batches(rows[done:]):
            rev = _done(await store.commit({key: rev, summary: 0}, {key: mark}, {stream: batch}), package.run)
    puts: dict[str, bytes | None] = {key: None, summary: package.summary}
    if package.lessons is not None:
        puts[wire.lessons(package.run)] = package.lessons
    _done(await store.commit({key: rev, summary: 0}, puts, {wire.RUNS: [package.run.encode()]}), package.run)


async def _count(store: Store, stream: str) -> int:
    count = 0
    while rows := await store.read(stream, count):
        count = rows[-1].seq
    return count


def _batches(rows: Sequence[bytes]) -> Iterator[list[bytes]]:
    batch, size = list[bytes](), 0
    for row in rows:
        if batch and (len(batch) == MOST_ROWS or size + len(row) > MOST_BYTES):
            yield batch
            batch, size = [], 0
        batch.append(row)
        size += len(row)
    if batch:
        yield batch


def _done(answer: int | CommitRefused, run: str) -> int:
    if isinstance(answer, CommitRefused):
        text = f"run {run} is being imported by somebody else, or was started meanwhile"
        raise Refused(text, rule="run-exists", fix="look at hexdag-lab runs")
    return answer
