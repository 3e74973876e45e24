"""A draft as a file that travels: the copy, and the code that its nodes name.

Code is named by its SHA-256 and checked against it, so taking it in can replace nothing. That it may run is another
matter: the reference in the draft is signed with the key of the lab that wrote it.
"""

from __future__ import annotations

import hashlib
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path

from ..core.base.errors import SchemaError
from ..core.dag.node import NodeSpec
from ..core.replica.packing import from_bytes, to_bytes
from ..core.replica.replica import Replica
from ..ports import Blobs

DRAFT, CODE = "draft", "code/"
LARGEST = 256 * 2**20  #: bytes that a part may unpack to
_STAMP = (1980, 1, 1, 0, 0, 0)  # equal drafts are equal files


def written(replica: Replica, blobs: Blobs, path: Path) -> None:
    """Write a copy into a file; code that is not here is left out, since whoever wrote it has it."""
    with zipfile.ZipFile(path, "w") as archive:
        _add(archive, DRAFT, to_bytes(replica))
        for digest in sorted(set(_code(replica))):
            if blobs.has(digest):
                _add(archive, f"{CODE}{digest}", blobs.get(digest))


def taken_in(path: Path, blobs: Blobs) -> Replica:
    """The copy in a file; its code is put where the lab's code is. Raises `SchemaError` for what is no draft."""
    try:
        with zipfile.ZipFile(path) as archive:
            replica = from_bytes(_part(archive, DRAFT))
            for name in archive.namelist():
                if name.startswith(CODE):
                    blobs.put(_checked(name, _part(archive, name)))
    except SchemaError as error:
        raise SchemaError(f"{path}: {error}") from error
    except (zipfile.BadZipFile, zlib.error, EOFError, KeyError, NotImplementedError, RuntimeError) as error:
        raise SchemaError(f"{path}: it is no draft that draft.save wrote, or is damaged ({error})") from error
    return replica


def _code(replica: Replica) -> Iterator[str]:
    for write in replica.log.values():
        if isinstance(write.value, NodeSpec) and write.value.blob:
            yield write.value.blob.partition(".")[0]


def _add(archive: zipfile.ZipFile, name: str, data: bytes) -> None:
    archive.writestr(zipfile.ZipInfo(name, _STAMP), data, zipfile.ZIP_DEFLATED)


def _part(archive: zipfile.ZipFile, name: str) -> bytes:
    if archive.getinfo(name).file_size > LARGEST:
        raise SchemaError(f"its part {name} is larger than {LARGEST:,} bytes; a draft has no such part")
    return archive.read(name)


def _checked(name: str, data: bytes) -> bytes:
    if hashlib.sha256(data).hexdigest() != name.removeprefix(CODE):
        raise SchemaError(f"its part {name} is not what its name says; have it saved and sent again")
    return data
