"""What a store remembers: a run as the fold of its journal, and commands that nobody has answered."""

from __future__ import annotations

from ..core.base.codec import loads
from ..core.base.errors import SchemaError
from ..core.machine.events import Base
from ..core.machine.evolve import evolve
from ..core.machine.state import RunState
from ..ports import Row, Store
from . import wire
from .seal import Seal


async def rows_of(store: Store, stream: str) -> list[Row]:
    """All rows of a stream as they are, whatever became of them."""
    found = list[Row]()
    while rows := await store.read(stream, found[-1].seq if found else 0):
        found += rows
    return found


async def history(store: Store, run: str) -> tuple[RunState, list[Base]]:
    """A run's state and events, folded from its journal. Raises `SchemaError` if a row is missing or out of place."""
    state, events = RunState(), list[Base]()
    for row in await rows_of(store, wire.journal(run)):
        event = loads(row.data)
        if not row.seq == event.seq == state.seq + 1:
            text = f"the journal of run {run} is damaged at row {state.seq + 1}: it is missing, or another row"
            raise SchemaError(f"{text}; `hexdag-lab audit {run}` says more")
        state = evolve(state, event)
        events.append(event)
    return state, events


async def unanswered(store: Store, seal: Seal, run: str, upto: int) -> list[wire.Command]:
    """Commands for a run that came from other processes while nobody led it, up to a row of the inbox."""
    found, after = list[wire.Command](), 0
    while after < upto and (rows := await store.read(wire.INBOX, after, min(1000, upto - after))):
        for row in rows:
            after = row.seq
            command = wire.unpack_command(row.data, seal)
            if command.run == run and await store.get(wire.reply_key(command.id)) is None:
                found.append(command)
    return found
