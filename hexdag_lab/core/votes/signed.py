"""Signed ballots and proposals: the text that an agent's signature covers, and how it is held against what was sent.

The text is JSON in the canonical form of RFC 8785, so that anybody can make or check one with plain tools: an Ed25519
signature (RFC 8032) over its UTF-8 bytes. It names the run (by id, and by `origin`: two labs may both have a "run-1"),
the proposal and the digest of what it says, who signs in which role, a counter that only rises for that signer in that
run, and when it stops to count. Signatures are made and checked in `runtime`; here is only what they say.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import rfc8785

from ..base.codec import record
from ..base.errors import SchemaError

LIFETIME = 3600  #: seconds that a signature counts, unless its signer says otherwise
BALLOT = "hexdag-lab ballot 1"
PROPOSAL = "hexdag-lab proposal 1"

Claims = Mapping[str, str | int]
"""What a signed text says: field -> text or whole number."""


@record
class Proof:
    """A signed text with its signature (128 hexadecimal digits) and the public half of the key (64)."""

    text: str
    signature: str
    key: str

    @property
    def claims(self) -> Claims:
        """What was signed; empty if it cannot be read."""
        try:
            found = json.loads(self.text)
        except (ValueError, RecursionError):
            return {}
        return found if isinstance(found, dict) else {}

    @property
    def counter(self) -> int:
        """The signer's counter, 0 if there is none."""
        return whole(self.claims.get("counter"))

    @property
    def expires(self) -> int:
        """When it stops to count, in unix seconds; 0 if it does not say."""
        return whole(self.claims.get("expires"))


def whole(value: Any) -> int:
    """A whole number as it is, 0 for anything else."""
    return value if type(value) is int else 0


def canonical_text(claims: Claims) -> str:
    """Claims as JSON in the canonical form of RFC 8785. Raises `SchemaError` for what that cannot say."""
    try:
        return rfc8785.dumps(dict(claims)).decode()
    except (ValueError, RecursionError) as error:  # rfc8785's own errors are ValueErrors, as are those of UTF-8
        raise SchemaError(f"this cannot be signed, as it has no canonical JSON: {error}") from error


def is_canonical(text: str) -> bool:
    """Whether a text is an object in canonical form."""
    try:
        found = json.loads(text)
        return isinstance(found, dict) and rfc8785.dumps(found).decode() == text
    except (ValueError, RecursionError):
        return False
