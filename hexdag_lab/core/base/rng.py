"""Chance for a core that has none: bytes that depend on a seed and a name, and on nothing else.

Counter-based (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", 2011), with SHA-256 as the function: there
is no state to carry, so whoever asks for the same name gets the same bytes, in any order and in any process. Seeds
arrive in messages. This is for simulation, and never for secrets.
"""

from __future__ import annotations

from hashlib import sha256

WIDTH = 32  #: bytes that one name gives


def chance(seed: str, name: str) -> bytes:
    """`WIDTH` bytes, each uniform over 0..255, for a name under a seed."""
    return sha256(f"{len(seed)}:{seed}/{name}".encode("utf-8", "surrogatepass")).digest()
