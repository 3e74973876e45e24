"""The leases of critical sections in a simulated world: granted late, contended, and sometimes lost."""

from __future__ import annotations

from random import Random
from typing import Any

from ..core.machine import messages as ms
from ..core.machine.state import RunState
from ..core.runs.claim import Claim

STRANGER = "another lab"
MOST_LOST = 3  #: leases, in the life of one controller


class SimLeases:
    """What a store would hold. Each lease has one holder; a stranger holds some of them for a while."""

    def __init__(self, rng: Random) -> None:
        self._rng = rng
        self._holders: dict[str, tuple[str, int]] = {}
        self._lost = 0
        self._told: dict[tuple[str, int], str] = {}

    def look(self, state: RunState, now: float) -> list[Any]:
        """Give back what is claimed no more, grant what is free; what the controller is told of it."""
        claims = {(node, claim.seq): claim for node, claim in state.claims.items()}
        gone = {name for name, key in self._holders.items() if key not in claims and key[0] != STRANGER}
        self._holders = {name: key for name, key in self._holders.items() if name not in gone}
        return [said for key, claim in sorted(claims.items()) for said in self._answers(key, claim, now)]

    def _answers(self, key: tuple[str, int], claim: Claim, now: float) -> list[Any]:
        node, seq = key
        if self._holders.get(claim.name) == key:
            if claim.held and self._lost < MOST_LOST and self._rng.random() < 0.02:
                self._lost += 1
                self._holders[claim.name] = (STRANGER, 0)
                return [ms.LeaseLost(now, node, seq)]
            return []
        if claim.name not in self._holders and self._rng.random() < 0.1:
            self._holders[claim.name] = (STRANGER, 0)
        elif self._holders.get(claim.name) == (STRANGER, 0) and self._rng.random() < 0.5:
            del self._holders[claim.name]
        if claim.name not in self._holders and not claim.held:
            self._holders[claim.name] = key
            return [ms.LeaseTaken(now, node, seq)]
        holder = self._holders.get(claim.name, ("", 0))[0]
        if claim.held or self._told.get(key) == holder:
            return []
        self._told[key] = holder
        return [ms.LeaseBusy(now, node, seq, holder)]
