"""`Batch`: what one step of the controller has decided so far: events to journal, effects to perform, answers to give.

It is filled message by message; each is decided whole or not at all.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from ..core.base.codec import dumps
from ..core.base.errors import Refused
from ..core.machine import effects as ef
from ..core.machine import events as ev
from ..core.machine.decide import apply
from ..core.machine.lessons import lessons
from ..core.machine.state import RunState
from ..core.runs.run import SETTLED
from . import cache, chain, wire
from .inbox import Item
from .seal import Seal

#: after these, what a run that is over has taught is written down: it is needed when the next run starts
ENDS = (ev.RunFinished, ev.ProposalJudged)
MOST_LESSONS = 256  #: of one run; forgetting leaves less than a twelfth of what came before
MOST_BYTES = 60_000  #: that every store takes under one key


class Batch:
    """The decisions of one step over the states of all runs."""

    def __init__(self, states: dict[str, RunState]) -> None:
        self._before = states
        self.states: dict[str, RunState] = {}
        self.touched: dict[str, None] = {}
        self.started: list[str] = []
        self.events: dict[str, list[Any]] = {}
        self.rows: dict[str, list[bytes]] = {}
        self.links: dict[str, chain.Link] = {}
        self.effects: list[tuple[str, ef.Effect]] = []
        self.replies: list[tuple[Item, Any]] = []
        self.found: dict[str, bytes | None] = {}
        self.offset = 0

    def state(self, run: str) -> RunState:
        """A run as it would be after what was decided so far."""
        return self.states.get(run) or self._before.get(run) or RunState()

    def apply(self, run: str, message: Any, item: Item | None) -> None:
        """Decide a message; `item` gets the answer."""
        before = self.state(run)
        state, events, effects = apply(before, message)
        rows = [dumps(event) for event in events]  # what cannot be written was not decided
        if not before.started and state.started:
            self.started.append(run)
        if events:
            self.states[run] = state
            self.events.setdefault(run, []).extend(events)
            self.rows.setdefault(run, []).extend(rows)
        if state.started:
            self.touched[run] = None
        for effect in effects:
            if isinstance(effect, ef.Reply):
                if item is not None:
                    self.replies.append((item, effect.value))
            elif isinstance(effect, ef.Index):
                self.found |= cache.entries(run, effect)
            else:
                self.effects.append((run, effect))

    def writes(
        self, leader: str, links: Mapping[str, chain.Link], seal: Seal
    ) -> tuple[dict[str, bytes | None], dict[str, list[bytes]]]:
        """What is to be journaled: keys to put, and rows to append. `links`: the last ones of the runs' chains."""
        append, puts = dict[str, list[bytes]](), dict[str, bytes | None]()
        for run, rows in self.rows.items():
            link = self.links[run] = chain.linked(links.get(run) or chain.begin(run), rows)
            head = chain.signed_head(run, link, self.states[run].at, seal)
            append |= {wire.journal(run): rows, wire.chain(run): [chain.pack(link)]}
            row = {**summary(self.states[run]), "leader": leader, "head": chain.packed_head(head)}
            puts[wire.summary(run)] = json.dumps(row).encode()
        for run, events in self.events.items():
            if any(isinstance(event, ENDS) for event in events) and self.states[run].over:
                puts[wire.lessons(run)] = _lessons(self.states[run])
        puts |= self.found
        if self.started:
            append[wire.RUNS] = [run.encode() for run in self.started]
        for item, value in self.replies:
            if item.command:
                puts[wire.reply_key(item.command)] = wire.pack_reply(_plain(value))
        return puts, append


def _lessons(state: RunState) -> bytes:
    """What a run has taught, as far as there is room: the latest."""
    kept = lessons(state)[-MOST_LESSONS:]
    while len(text := dumps(kept)) > MOST_BYTES:
        kept = kept[(len(kept) + 1) // 2 :]
    return text


def _plain(value: Any) -> Any:
    """An answer that another process can read."""
    return value if isinstance(value, Refused) or not isinstance(value, Exception) else Refused(str(value))


def summary(state: RunState) -> dict[str, Any]:
    """A run in one line, for lists."""
    over = state.over
    done = sum(rec.state in SETTLED for rec in state.nodes.values()) if over else len(state.nodes) - state.left
    return {
        "status": state.status.value, "version": state.version, "done": done, "nodes": len(state.nodes),
        "open": len(state.open), "seq": state.seq, "at": state.at, "by": state.versions[0].by,
        "started": state.versions[0].at,
    }  # fmt: skip
