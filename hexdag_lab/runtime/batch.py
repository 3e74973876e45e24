"""`Batch`: what one step of the controller has decided so far: events to journal, effects to perform, answers to give.

It is filled message by message; each is decided whole or not at all.
"""

from __future__ import annotations

import json
from typing import Any

from ..core.base.codec import dumps
from ..core.base.errors import Refused
from ..core.machine import effects as ef
from ..core.machine import events as ev
from ..core.machine.decide import apply
from ..core.machine.lessons import lessons
from ..core.machine.state import RunState
from ..core.runs.run import SETTLED
from . import wire
from .inbox import Item

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
        self.effects: list[tuple[str, ef.Effect]] = []
        self.replies: list[tuple[Item, Any]] = []
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
            else:
                self.effects.append((run, effect))

    def writes(self, leader: str) -> tuple[dict[str, bytes | None], dict[str, list[bytes]]]:
        """What is to be journaled: keys to put, and rows to append."""
        append = {wire.journal(run): rows for run, rows in self.rows.items()}
        puts: dict[str, bytes | None] = {
            wire.summary(run): _summary(self.states[run], leader) for run in self.events if self.states[run].started
        }
        for run, events in self.events.items():
            if any(isinstance(event, ENDS) for event in events) and self.states[run].over:
                puts[wire.lessons(run)] = _lessons(self.states[run])
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


def _summary(state: RunState, leader: str) -> bytes:
    """A run in one line, for lists."""
    over = state.over
    done = sum(rec.state in SETTLED for rec in state.nodes.values()) if over else len(state.nodes) - state.left
    row = {
        "status": state.status.value, "version": state.version, "done": done, "nodes": len(state.nodes),
        "open": len(state.open), "seq": state.seq, "at": state.at, "by": state.versions[0].by,
        "started": state.versions[0].at, "leader": leader,
    }  # fmt: skip
    return json.dumps(row).encode()
