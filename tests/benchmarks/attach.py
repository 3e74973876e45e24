"""How long it takes to attach a lab with 100,000 events, beside the time that reading the same rows takes by itself.

python -m tests.benchmarks.attach [events]

One run of 25,000 nodes on SQLite, each of them tried twice, written as a leader writes them: rows, chain, head. "Read"
is `sqlite3` and `json.loads` over all rows of the journal, and nothing else. "Fold" makes the state of all rows, as
attaching did before there were snapshots. Then the run is compacted, as its leader would have done meanwhile, and
"attach" is a process that opens the lab and attaches the run; "all events" also looks at every event. Each is a process
of its own, they take turns, and the medians of five are told: the ratios are what counts.
"""

from __future__ import annotations

import asyncio
import json
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from hexdag_lab.core.base.frozen import FrozenDict
from hexdag_lab.core.dag.dag import Dag
from hexdag_lab.core.dag.node import NodeSpec
from hexdag_lab.core.machine import messages as ms
from hexdag_lab.core.machine.effects import Submit
from hexdag_lab.core.machine.state import RunState
from hexdag_lab.core.runs.attempt import Task
from hexdag_lab.core.votes.agent import Role, Seat
from hexdag_lab.core.votes.presets import policy_of
from hexdag_lab.lab.depot import depot_of
from hexdag_lab.runtime.batch import Batch
from hexdag_lab.runtime.chain import Link
from hexdag_lab.runtime.compaction import Compaction
from hexdag_lab.runtime.seal import Seal
from hexdag_lab.runtime.stores.sqlite import SqliteStore
from hexdag_lab.worker import values

EVENTS, PER_NODE, ROUNDS, AT_ONCE = 100_000, 4, 5, 50  # events of one node: started, lost, started, succeeded

READ = """
    import json, sqlite3, sys, time
    began = time.perf_counter()
    db = sqlite3.connect(sys.argv[1] + "/lab.db")
    rows = [json.loads(data) for (data,) in db.execute("SELECT data FROM log WHERE stream = 'run/long' ORDER BY seq")]
    print(time.perf_counter() - began, len(rows))
"""
FOLD = """
    import asyncio, sys, time
    from hexdag_lab.runtime.history import Journal
    from hexdag_lab.runtime.stores.sqlite import SqliteStore
    began = time.perf_counter()
    async def main():
        store = SqliteStore(sys.argv[1] + "/lab.db")
        await store.open()
        state, _ = await Journal(store).state("long")
        print(time.perf_counter() - began, state.seq)
        await store.close()
    asyncio.run(main())
"""
ATTACH = """
    import sys, time
    import hexdag_lab as hx
    began = time.perf_counter()
    lab = hx.Lab(pool="inline", store=f"sqlite:///{sys.argv[1]}/lab.db", owner="dana", leader=False)
    run = lab.attach("long")
    if sys.argv[2:]:
        assert len(run.events()) == run.seq
    print(time.perf_counter() - began, run.seq)
    lab.close()
"""


def one() -> int:
    return 1


class Writer:
    """Writes a run as its leader does: a commit a step."""

    def __init__(self, home: Path) -> None:
        self.seal, self.store = Seal.of_file(home / "key"), SqliteStore(home / "lab.db")
        self.links: dict[str, Link] = {}
        self.state = RunState()

    async def step(self, *messages: object) -> list[Task]:
        """Decide and journal; the attempts that follow."""
        batch = Batch({"long": self.state})
        for message in messages:
            batch.apply("long", message, None)
        puts, append = batch.writes("nobody", self.links, self.seal)
        await self.store.commit({}, puts, append)
        self.links, self.state = self.links | batch.links, batch.state("long")
        return [task for _, effect in batch.effects if isinstance(effect, Submit) for task in effect.tasks]


async def write(home: Path, events: int) -> int:
    """A run of about so many events, which goes on; how many there are."""
    writer = Writer(home)
    await writer.store.open()
    names = [f"n{i}" for i in range(events // PER_NODE)]
    dag = Dag.of(*(NodeSpec(name, one) for name in names), NodeSpec("gpu", one, requires={"gpu"}))
    seats = (Seat("dana", Role.ORCHESTRATOR),)
    start = ms.StartRun(1.0, "long", dag, FrozenDict(), policy_of("solo"), seats, "dana", "dana")
    tasks = await writer.step(start, ms.PoolChanged(1.0, AT_ONCE, 0, (frozenset(),)), ms.Dispatch(1.0))
    kept = writer.seal.value(values.encode(1))
    while tasks:
        started = [ms.Started(2.0, task.node, task.fence, "w1") for task in tasks]
        ends = [
            ms.Succeeded(3.0, task.node, task.fence, 0.5, kept, "w1") if task.attempt > 1 else
            ms.Lost(3.0, task.node, task.fence, "its worker died")
            for task in tasks
        ]  # fmt: skip
        tasks = await writer.step(*started, *ends, ms.Dispatch(3.0))
    await writer.store.close()
    return writer.state.seq


async def compact(home: Path) -> None:
    async with depot_of(f"sqlite:///{home}/lab.db") as depot:
        assert depot.seal is not None
        await Compaction(depot.store, depot.blobs, depot.seal).compact("long")


def seconds(script: str, *args: object) -> float:
    lines = "\n".join(line.removeprefix("    ") for line in script.splitlines())
    said = subprocess.run([sys.executable, "-c", lines, *map(str, args)], capture_output=True, text=True, check=True)
    return float(said.stdout.split()[0])


def main(events: int) -> None:
    """Print the table."""
    with tempfile.TemporaryDirectory() as folder:
        plain, compacted = Path(folder) / "plain", Path(folder) / "compacted"
        plain.mkdir()
        began = time.perf_counter()
        count = asyncio.run(write(plain, events))
        print(f"{count:,} events written in {time.perf_counter() - began:.0f} s", file=sys.stderr)
        shutil.copytree(plain, compacted)
        asyncio.run(compact(compacted))
        found: dict[str, list[float]] = {"read": [], "attach": [], "all events": [], "fold": []}
        for _ in range(ROUNDS):
            found["read"].append(seconds(READ, plain))
            found["attach"].append(seconds(ATTACH, compacted))
            found["all events"].append(seconds(ATTACH, compacted, "events"))
            found["fold"].append(seconds(FOLD, plain))
    medians = {name: statistics.median(times) for name, times in found.items()}
    print("| what | seconds | beside reading |\n| --- | --- | --- |")
    for name, median in medians.items():
        print(f"| {name} | {median:.2f} | {median / medians['read']:.2f} |")
    print(json.dumps({"events": count, **{name: round(median, 3) for name, median in medians.items()}}))


if __name__ == "__main__":
    main(int(sys.argv[1]) if sys.argv[1:] else EVENTS)
