"""What comes out of a simulated world: its journal and what was seen on the way, or why it is broken."""

from __future__ import annotations

from collections import Counter
from hashlib import sha256
from typing import Any, NamedTuple

from ..core.base.codec import loads
from ..core.machine.evolve import evolve
from ..core.machine.state import RunState
from ..core.machine.story import sentence

Move = tuple[str, str]
START = 1000.0  #: unix seconds at which every world begins


class WorldBroken(AssertionError):
    """Something happened that must not. `seed` makes it happen again; `what` says it; `diary`: what led to it."""

    def __init__(self, seed: int, what: list[str], diary: list[str]) -> None:
        self.seed, self.what, self.diary = seed, what, diary
        told = "\n".join(["", *what, f"the last of {len(diary)} events:", *diary[-25:]])
        super().__init__(f"World({seed}).run() is broken:{told}")


class Outcome(NamedTuple):
    """How a world ended: its journal as encoded rows, its last state, and what happened on the way.

    counts       how often: steps, messages, crashes, events by kind, refusals by rule
    nodes, proposals, runs   the transitions that were seen, as (from, to)
    """

    seed: int
    journal: tuple[bytes, ...]
    state: RunState
    seconds: float
    counts: Counter[str]
    nodes: frozenset[Move]
    proposals: frozenset[Move]
    runs: frozenset[Move]

    @property
    def digest(self) -> str:
        """SHA-256 of the journal, hexadecimal."""
        return sha256(b"\n".join(self.journal)).hexdigest()

    def diary(self) -> list[str]:
        """The journal in words, a line for each event."""
        return in_words([loads(row) for row in self.journal])


class Seen:
    """Counts of what happened, and every transition, event by event."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.nodes, self.proposals, self.runs = set[Move](), set[Move](), set[Move]()

    def note(self, state: RunState, events: list[Any]) -> None:
        """Some events, and the state before them."""
        for event in events:
            self.counts[event.kind] += 1
            after = evolve(state, event)
            if after.nodes is not state.nodes:
                was = {name: rec.state for name, rec in state.nodes.items()}
                now = [(was[name], rec.state) for name, rec in after.nodes.items() if name in was]
                self.nodes |= {(old.value, new.value) for old, new in now if old is not new}
            if after.proposals is not state.proposals:
                before = [(state.proposals.get(id_), new) for id_, new in after.proposals.items()]
                moved = [(old.state, new.state) for old, new in before if old is not None]
                self.proposals |= {(old.value, new.value) for old, new in moved if old is not new}
            if after.status is not state.status:
                self.runs.add((state.status.value, after.status.value))
            state = after


def in_words(events: list[Any]) -> list[str]:
    """Events in words, a line for each; those without words are left out."""
    told = [(event, sentence(event)) for event in events]
    return [f"{event.seq:>4} {event.at - START:>8.2f}  {text}" for event, text in told if text]
