"""`Claim`: that a node wants the lease which its `exclusive` names, or has it."""

from __future__ import annotations

from typing import NamedTuple


class Claim(NamedTuple):
    """One claim of one node. `seq` is that of the event that made it, so that a late answer to an earlier one is known.

    held    the node may run;  holder  else: who holds the lease, as far as that is known
    """

    name: str
    seq: int
    held: bool = False
    holder: str = ""

    def __str__(self) -> str:
        """Why a node that waits for it does not run."""
        return f"waits for the lease {self.name!r}" + (f", which {self.holder} holds" if self.holder else "")
