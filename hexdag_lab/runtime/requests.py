"""What other processes ask of the leader's pool, which is no matter of a run: to keep a result, to let a worker go."""

from __future__ import annotations

from collections.abc import Callable

from ..core.base.errors import Refused
from ..ports import Pool
from . import wire
from .inbox import Item
from .results import Results


async def serve(item: Item, pool: Pool, results: Results, put: Callable[[Item], None]) -> None:
    """Do what is asked, and put what comes of it into the inbox: its answer, after what there is to journal."""
    answer: bool | Refused = True
    match item.message:
        case wire.Fetch(node, fence):  # a result that only the pool has
            kept = await results.keep(item.run, node, fence)
            if isinstance(kept, Refused):
                answer = kept
            else:
                put(Item(item.run, kept))
        case wire.Drain(worker):
            try:
                await drained(pool, worker)
            except Refused as refused:
                answer = refused
    put(item._replace(message=answer))


async def drained(pool: Pool, worker: str) -> None:
    """Wait until a worker has left. Raises the `Refused` that says why it cannot, or was not seen to."""
    try:
        await pool.drain(worker)
    except OSError as error:  # the scheduler or the worker went away; TimeoutError is one
        text = f"worker {worker} was not seen to leave: {str(error) or type(error).__name__}"
        raise Refused(text, rule="not-left", fix="if lab.workers() still has it, drain it again") from error
