"""`FileBlobs`: big values by content, in any place that fsspec has a name for: file://, memory://, s3://, ...

A blob lies at `sha256[:2]/sha256` below the URL. On a local disk it is written aside, synced and renamed, so
that it is there whole or not at all, also after a power cut. Put a blob before you commit its name: one that
nobody names is harmless, a name without bytes is not. Every read checks the hash; what the bytes mean is not
known here.
"""

from __future__ import annotations

import hashlib
import os
import re
import secrets
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any

from ..core.base.errors import StoreUnavailable
from ..ports import Blobs, Listed

_NAME = re.compile("[0-9a-f]{64}")


def blobs_of(url: str | os.PathLike[str] | Blobs) -> Blobs:
    """The blobs at a URL or path; a blob store passes through."""
    return FileBlobs(url) if isinstance(url, str | os.PathLike) else url


class FileBlobs:
    """Blobs below one URL. A local one is made absolute: it means the same to every process of the host."""

    def __init__(self, url: str | os.PathLike[str]) -> None:
        # only here: who keeps no blobs should not pay for it
        from fsspec.core import url_to_fs
        from fsspec.implementations.local import LocalFileSystem

        self.url = os.fspath(url)
        try:
            fs, root = url_to_fs(self.url, use_listings_cache=False)
        except ImportError as error:
            raise StoreUnavailable(f"blobs at {self.url} need another package: {error}") from error
        except ValueError as error:
            raise ValueError(
                f"there are no blobs at {self.url!r}: {error}; write file:///path, memory://name or s3://bucket/path"
            ) from error
        self._fs: Any = fs
        self._root = root.rstrip("/")
        self._local = isinstance(fs, LocalFileSystem)
        if self._local:
            self.url = fs.unstrip_protocol(root)

    def __repr__(self) -> str:
        return f"FileBlobs({self.url!r})"

    def __reduce__(self) -> tuple[type[FileBlobs], tuple[str]]:
        return FileBlobs, (self.url,)

    def put(self, data: bytes) -> str:
        """Keep bytes; their SHA-256. A damaged blob of that name is put right."""
        sha256 = hashlib.sha256(data).hexdigest()
        path = self._path(sha256)
        with suppress(OSError):  # not there yet, or unreadable: then the write tells
            if self._read(path) == data:
                self._touch(path)
                return sha256
        try:
            self._write(path, data)
        except OSError as error:
            raise StoreUnavailable(
                f"{len(data):,} bytes cannot be kept at {self.url}: {error}; free some space, or make it writable"
            ) from error
        return sha256

    def get(self, sha256: str) -> bytes:
        """The bytes, after a look at their hash."""
        if not _NAME.fullmatch(sha256):
            raise StoreUnavailable(f"{sha256!r} names no blob; a name is a SHA-256 in 64 hexadecimal digits")
        try:
            data = self._read(self._path(sha256))
        except FileNotFoundError as error:
            raise StoreUnavailable(
                f"blob {sha256} is missing at {self.url}; copy it from where it was made, or run its node again"
            ) from error
        except OSError as error:
            raise StoreUnavailable(
                f"blob {sha256} cannot be read at {self.url}: {error}; check access, then try again"
            ) from error
        found = hashlib.sha256(data).hexdigest()
        if found != sha256:
            raise StoreUnavailable(
                f"blob {sha256} at {self.url} is damaged: it holds {len(data):,} bytes of SHA-256 {found};"
                " restore it from a copy, or run its node again: putting the right bytes repairs it"
            )
        return data

    def has(self, sha256: str) -> bool:
        """Whether a blob of that name is there; `get` tells whether it is whole."""
        return bool(_NAME.fullmatch(sha256) and self._fs.exists(self._path(sha256)))

    def listed(self) -> Iterator[Listed]:
        """All that are there, by the times of the files."""
        try:
            found = self._fs.find(self._root, detail=True)
        except FileNotFoundError:
            return
        for path, info in sorted(found.items()):
            name = path.rpartition("/")[2]
            if _NAME.fullmatch(name) and path == self._path(name):
                yield Listed(name, int(info.get("size") or 0), self._put_at(path, info))

    def _put_at(self, path: str, info: Mapping[str, Any]) -> float:
        """When a file was written last; now, where nobody can tell."""
        at = info.get("mtime", info.get("LastModified", info.get("updated")))
        if at is None:
            with suppress(OSError, NotImplementedError):
                at = self._fs.modified(path)
        return at.timestamp() if isinstance(at, datetime) else float(at) if isinstance(at, int | float) else time.time()

    def remove(self, sha256: str) -> None:
        """Let go of the bytes, if they are there. Raises `StoreUnavailable` where that is forbidden."""
        try:
            with suppress(FileNotFoundError):
                self._fs.rm_file(self._path(sha256))
        except OSError as error:
            raise StoreUnavailable(f"blob {sha256} at {self.url} cannot be removed: {error}") from error

    def use_for(self, store: str) -> None:
        """Keep blobs for the labs of a store, too: a file in `used-by`, named by the hash of its URL, says so. One that
        is damaged is put right. Raises `StoreUnavailable` where nothing can be written."""
        data = store.encode()
        path = f"{self._root}/used-by/{hashlib.sha256(data).hexdigest()}"
        try:
            with suppress(FileNotFoundError):
                if self._read(path) == data:
                    return
            self._write(path, data)
        except OSError as error:
            raise StoreUnavailable(
                f"the blobs at {self.url} cannot be marked as those of {store}: {error}; make the place writable"
            ) from error

    def used_by(self) -> tuple[str, ...]:
        """The stores whose labs keep blobs here, sorted. Raises `StoreUnavailable` if one of them cannot be told: then
        nobody knows which blobs are needed."""
        folder = f"{self._root}/used-by"
        try:
            files = self._fs.ls(folder, detail=False) if self._fs.exists(folder) else []
            return tuple(sorted(self._user(file) for file in files if _NAME.fullmatch(file.rpartition("/")[2])))
        except OSError as error:
            raise StoreUnavailable(
                f"the blobs at {self.url} do not say whose they are: {error}; check access, then try again"
            ) from error

    def _user(self, path: str) -> str:
        url = self._read(path).decode(errors="replace")
        if hashlib.sha256(url.encode()).hexdigest() != path.rpartition("/")[2]:
            raise StoreUnavailable(
                f"{path} is damaged, and said which store's labs keep blobs here: open each lab once that does so,"
                " which puts it right; if it stays damaged, that lab is no more, and the file can be deleted"
            )
        return url

    def _touch(self, path: str) -> None:
        """Somebody is about to name a blob that is old: whoever looks for what nobody names must not take it away."""
        if self._local:
            with suppress(OSError):
                os.utime(path)
        else:
            self._fs.pipe_file(path, self._read(path))

    def _path(self, sha256: str) -> str:
        return f"{self._root}/{sha256[:2]}/{sha256}"

    def _write(self, path: str, data: bytes) -> None:
        if self._local:
            _write_durably(Path(path), data)
        else:
            self._fs.makedirs(path.rpartition("/")[0], exist_ok=True)
            self._fs.pipe_file(path, data)

    def _read(self, path: str) -> bytes:
        return bytes(self._fs.cat_file(path))


def _write_durably(path: Path, data: bytes) -> None:
    """Write aside, sync, rename, sync the directory: whole or not at all, also after a power cut."""
    folder = path.parent
    new_folder = not folder.is_dir()
    folder.mkdir(parents=True, exist_ok=True)
    aside = folder / f".{secrets.token_hex(8)}.part"
    try:
        with aside.open("xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        aside.replace(path)
    finally:
        aside.unlink(missing_ok=True)
    _sync_folder(folder)
    if new_folder:
        _sync_folder(folder.parent)


def _sync_folder(folder: Path) -> None:
    if os.name != "posix":
        return  # Windows cannot, and need not
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
