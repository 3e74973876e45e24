"""`Kept`: where a value is, not the value."""

from __future__ import annotations

from typing import NamedTuple

from ..base.codec import namedtuple


class Kept(NamedTuple):
    """A result or input in encoded form.

    codec    "json" or "pickle";  size in bytes;  sha256 of the bytes, hexadecimal
    inline   the bytes themselves where they are small
    mac      HMAC of codec and hash with the lab's key, hexadecimal: a pickle without it is not read
    where    "inline", "blob" (kept under its hash) or "pool" (only in workers' memory: not yet kept)
    """

    codec: str
    size: int
    sha256: str
    inline: bytes | None = None
    mac: str = ""
    where: str = "inline"


namedtuple(Kept)
