"""The lab's key: which pickles and commands are ours.

Reading a pickle runs code, so a pickle that comes out of a store is read only if its hash carries an HMAC made with the
lab's key; a command from another process counts only with one, too. The key is a file that only its owner can read.
"""

from __future__ import annotations

import hmac
import os
import secrets
from hashlib import sha256
from pathlib import Path

from ..core.base.errors import NotAllowed, SchemaError
from ..core.runs.value import Kept


class Seal:
    """Signs and checks with one key."""

    def __init__(self, key: bytes | None = None) -> None:
        self._key = key or secrets.token_bytes(32)

    @classmethod
    def of_file(cls, path: Path) -> Seal:
        """The key in a file, made with mode 0600 if it is not there."""
        if not path.exists():
            make_secret(path, "the lab's key")
        return cls(secret_of(path, "the lab's key"))

    @property
    def signer(self) -> bytes:
        """The secret half of the Ed25519 key that the lab signs the head of a journal with: 32 bytes."""
        return bytes.fromhex(self.mac("ed25519", "journal"))

    def mac(self, what: str, data: bytes | str) -> str:
        """HMAC-SHA256 of something under a domain, hexadecimal."""
        body = data.encode() if isinstance(data, str) else data
        return hmac.new(self._key, what.encode() + b"\0" + body, sha256).hexdigest()

    def good(self, mac: str, what: str, data: bytes | str) -> bool:
        """Whether `mac` was made with this key for that."""
        return hmac.compare_digest(mac.encode(), self.mac(what, data).encode())

    def code(self, digest: str) -> str:
        """A reference to shipped code: "SHA-256.HMAC"."""
        return f"{digest}.{self.mac('code', digest)}"

    def code_digest(self, reference: str) -> str:
        """The SHA-256 in a reference to code; `NotAllowed` if it was not made with this key."""
        digest, _, mac = reference.partition(".")
        if not self.good(mac, "code", digest):
            raise NotAllowed(
                "this code does not carry the lab's key, so it is not run",
                rule="unsigned-code",
                fix="propose it from a process that can read the lab's key file",
            )
        return digest

    def value(self, kept: Kept) -> Kept:
        """A kept value with its HMAC. What is only in the pool has no hash yet and gets none."""
        return kept if kept.where == "pool" else kept._replace(mac=self.mac("value", kept.codec + kept.sha256))

    def check_value(self, kept: Kept, what: str = "this value") -> None:
        """Raise `NotAllowed` if reading this value would load a pickle that nobody with the key has made."""
        if kept.codec != "json" and not self.good(kept.mac, "value", kept.codec + kept.sha256):
            raise NotAllowed(
                f"{what} is a pickle without the lab's key, so it is not read",
                rule="unsigned-value",
                fix="attach the run from a process that can read the lab's key file, or run its node again",
            )


def secret_of(path: Path, what: str) -> bytes:
    """The 32 bytes in a file of 64 hexadecimal digits, which is closed to others; `SchemaError` if it has none."""
    try:
        if os.name == "posix" and path.stat().st_mode & 0o077:
            path.chmod(0o600)
        secret = bytes.fromhex(path.read_text().strip())
    except (ValueError, OSError) as error:
        raise SchemaError(f"{what} in {path} cannot be read: {error}; move it away to get a new one") from error
    if len(secret) != 32:
        raise SchemaError(f"{what} in {path} is not 32 bytes; move it away to get a new one")
    return secret


def make_secret(path: Path, what: str) -> None:
    """Write a new secret of mode 0600, unless there is one. Raises `SchemaError` where it cannot be written."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _make(path)
    except OSError as error:
        raise SchemaError(f"{what} cannot be written to {path}: {error}") from error


def _make(path: Path) -> None:
    """Write it whole or not at all: another process may do the same at this moment."""
    aside = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        with open(os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:  # noqa: PTH123
            file.write(secrets.token_bytes(32).hex())
        try:
            os.link(aside, path)
        except FileExistsError:
            pass  # the other one was first
        except OSError:  # a file system without links
            if not path.exists():
                aside.replace(path)
    finally:
        aside.unlink(missing_ok=True)
