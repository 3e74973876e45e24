"""What signatures and the chain cost, beside one durable SQLite commit: interleaved in one process, medians.

python -m tests.benchmarks.signing [rounds]
"""

from __future__ import annotations

import asyncio
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from typing import Any

from hexdag_lab.core.machine import messages as ms
from hexdag_lab.core.machine.decide import apply
from hexdag_lab.core.machine.state import RunState
from hexdag_lab.core.votes.agent import Seat
from hexdag_lab.core.votes.ballot import Choice
from hexdag_lab.core.votes.weighing import Unanimous
from hexdag_lab.runtime.batch import Batch
from hexdag_lab.runtime.chain import Link
from hexdag_lab.runtime.keys import Keys, admitted
from hexdag_lab.runtime.seal import Seal
from hexdag_lab.runtime.stores import store_of
from tests.core.machine.diary import Diary, spec


def opened(keys: Keys) -> RunState:
    """A run of one node in which ada has proposed another, and bob and cy may vote."""
    diary = Diary("a", Unanimous())
    diary.start(slots=0, seats=tuple(Seat(name, key=keys.public(name)) for name in ("ada", "bob", "cy")))
    change = diary.change().add_node(spec("more"))
    diary.send(keys.signed(diary.state, ms.Propose(0.0, "r/p1", change, "ada", "more")))
    return diary.state


async def main(rounds: int = 300) -> float:
    keys, seal = Keys(), Seal()
    state, links = opened(keys), dict[str, Link]()
    times: dict[str, list[float]] = {}

    def note(label: str, call: Callable[..., Any], *arguments: Any) -> Any:
        began = time.perf_counter()
        value = call(*arguments)
        times.setdefault(label, []).append(time.perf_counter() - began)
        return value

    with tempfile.TemporaryDirectory() as folder:
        store = store_of(f"sqlite:///{folder}/lab.db")
        await store.open()
        for number in range(rounds):
            choice = Choice.ABSTAIN if number % 2 else Choice.APPROVE
            ballot = ms.CastBallot(state.at, "r/p1", "bob", choice, f"reason {number}", "key")
            signed = note("sign a ballot", keys.signed, state, ballot)
            note("check it at the door", admitted, signed, 0.0)
            plain = state._replace(seats=type(state.seats)({n: Seat(n) for n in state.seats}))
            note("decide it, unsigned", apply, plain, ballot)
            note("decide it, signed", apply, state, signed)
            batch = Batch({"r": state})
            batch.apply("r", signed, None)
            puts, append = note("link it and sign the head", batch.writes, "me", links, seal)
            kinds = {"commit it, unchained": ({"summary/plain": b"{}"}, {"run/plain": append["run/r"]}),
                     "commit it, chained": (puts, append)}  # fmt: skip
            for label in sorted(kinds, reverse=bool(number % 4 // 2)):
                began = time.perf_counter()
                await store.commit(puts=kinds[label][0], append=kinds[label][1])
                times.setdefault(label, []).append(time.perf_counter() - began)
            links |= batch.links
            state = batch.state("r")
        await store.close()
    medians = {label: statistics.median(values) for label, values in times.items()}
    commit = medians["commit it, unchained"]
    for label, median in medians.items():
        print(f"  {label:28s} {median * 1e6:7.0f} µs   {median / commit:5.2f} of a durable commit")
    more = sum(medians[label] for label in ("sign a ballot", "check it at the door", "link it and sign the head"))
    more += medians["commit it, chained"] - commit + medians["decide it, signed"] - medians["decide it, unsigned"]
    print(f"  all that is new, for a ballot that comes alone: {more / commit:.2f} of a durable commit")
    return more / commit


if __name__ == "__main__":
    asyncio.run(main(*map(int, sys.argv[1:])))
