"""Agents' keys: who can sign here, and whether a signature is good. Ed25519, as RFC 8032 has it.

Each agent of a lab has a key of its own. The lab makes it, in a file of mode 0600 in the folder `keys` beside the lab's
own; an agent elsewhere may bring the public half of one that the lab never sees. A process signs for those whose file
it can read, and looks on for the rest. Secret halves stay in here: no journal, log or repr has them.
"""

from __future__ import annotations

import os
import secrets
import time
from functools import lru_cache
from hashlib import sha256
from pathlib import Path
from typing import Any
from urllib.parse import quote

from ..core.base.errors import NotAllowed, Refused, SchemaError
from ..core.machine import messages as ms
from ..core.machine.signatures import Signable, claims, expired, with_proof
from ..core.machine.state import RunState
from ..core.votes.signed import LIFETIME, Proof, canonical_text, is_canonical
from .seal import make_secret, secret_of


@lru_cache(maxsize=1000)
def _pair(secret: bytes) -> tuple[Any, str]:
    """The two halves of a key."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey  # 6 ms, and not before it is needed

    key = Ed25519PrivateKey.from_private_bytes(secret)
    return key, key.public_key().public_bytes_raw().hex()


def sign(secret: bytes, text: str) -> Proof:
    """A text signed with the secret half of a key (32 bytes)."""
    key, public = _pair(secret)
    return Proof(text, key.sign(text.encode()).hex(), public)


def public_half(secret: bytes) -> str:
    """The public half of a key, 64 hexadecimal digits."""
    return _pair(secret)[1]


def good(proof: Proof) -> bool:
    """Whether the signature of a proof is that of its text by its key."""
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    try:
        key, signature = bytes.fromhex(proof.key), bytes.fromhex(proof.signature)
        Ed25519PublicKey.from_public_bytes(key).verify(signature, proof.text.encode())
    except (InvalidSignature, ValueError, TypeError, AttributeError):
        return False
    return (key.hex(), signature.hex()) == (proof.key, proof.signature)  # one way to write them, and no other


def admitted(message: Signable, now: float) -> Signable | Refused:
    """A message whose proof, if it has one, is a good signature of a canonical text that still counts.

    `now` is this process's own time: what a message says of itself must not prolong it."""
    proof = message.proof
    if proof is None:
        return message
    if not good(proof):
        text = f"the signature of {message.by} does not fit what it signs"
        return NotAllowed(text, rule="bad-signature", fix="sign the text as it is sent, with the key that is named")
    if not is_canonical(proof.text):
        text = f"what {message.by} has signed is not canonical JSON (RFC 8785)"
        return NotAllowed(text, rule="not-canonical", fix="sign the canonical form, and send just that")
    return expired(proof, now) or message


class Keys:
    """The secret halves that this process has. `folder`: where their files are; None: they end with the process."""

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = folder
        self._secrets: dict[str, bytes] = {}

    def path(self, agent: str) -> Path | None:
        """The file of an agent's key. The hash tells apart what a file system may not: "Marie" and "marie"."""
        if self._folder is None:
            return None
        return self._folder / f"{quote(agent, safe='')[:80]}-{sha256(agent.encode()).hexdigest()[:8]}.key"

    def public(self, agent: str) -> str:
        """The public half of an agent's key, which is made if there is none yet."""
        path = self.path(agent)
        if agent not in self._secrets:
            if path is None:
                self._secrets[agent] = secrets.token_bytes(32)
            elif not path.exists():
                make_secret(path, f"the key of {agent}")
        found = self._public(agent)
        if found is None:
            raise SchemaError(f"the key of {agent} in {path} cannot be read; move it away to get a new one")
        return found

    def hold(self, agent: str, path: Path | str) -> str:
        """Sign for an agent with the key in a file; its public half. Raises `SchemaError` if there is none."""
        self._secrets[agent] = secret_of(Path(path), f"the key of {agent}")
        return public_half(self._secrets[agent])

    def _public(self, agent: str) -> str | None:
        """The public half of a key that this process has or can read, else None."""
        path = self.path(agent)
        if agent not in self._secrets and path is not None and os.access(path, os.R_OK):
            self._secrets[agent] = secret_of(path, f"the key of {agent}")
        secret = self._secrets.get(agent)
        return None if secret is None else public_half(secret)

    def signed(self, state: RunState, message: Any) -> Any:
        """A ballot or proposal with its signature, if its agent has a seat with a key that this process can use.

        Everything else comes back as it is, also what has a signature already; the core says what lacks one. Raises
        `SchemaError` for a reason that is no Unicode text."""
        if not isinstance(message, ms.Propose | ms.CastBallot) or message.proof is not None:
            return message
        seat = state.seats.get(message.by)
        if seat is None or not seat.key or self._public(message.by) != seat.key:
            return message
        if isinstance(message, ms.CastBallot) and message.proposal not in state.proposals:
            return message
        # Milliseconds: two processes that sign for one agent need not know of each other's counters.
        counter = max(state.counters.get(message.by, 0) + 1, time.time_ns() // 1_000_000)
        text = canonical_text({**claims(state, message), "counter": counter, "expires": int(time.time()) + LIFETIME})
        return with_proof(message, sign(self._secrets[message.by], text))

    def __repr__(self) -> str:
        return f"<Keys of {len(self._secrets)} agents>"
