"""From the ballot that decides a change to the first line of the node that it adds, beside a plain `client.submit`.

    python -m tests.benchmarks.adding [samples] [--write]

*Idle*: a run is held open by a node that waits; one proposal after the other adds a node, and a person's ballot decides
it. The time is from before `vote` to the new node's first line, by the clock of one machine. Raw Dask is a
`client.submit` of the same function on the same scheduler, in turns. *Busy*: the same while another thread of the
notebook's process computes in pure Python; raw Dask is a `LocalCluster` as it comes, whose scheduler is in that same
process, while no lab is open. SQLite at full durability. `--write` puts the table into docs/benchmarks.md.
"""

from __future__ import annotations

import os
import statistics
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from distributed import Client, LocalCluster

import hexdag_lab as hx
from tests.benchmarks.page import command

WORKERS, THREADS = 2, 2
PAUSE = 0.03  #: seconds between two samples
WARM = 10  #: samples that do not count
TURNS = 2


def first_line(**ups: object) -> float:
    return time.time()


def waits(gate: str) -> None:
    while not os.path.exists(gate):  # noqa: PTH110
        time.sleep(0.01)


def added(run: hx.Run, name: str) -> float:
    """Seconds from the deciding ballot to the first line."""
    change = hx.Changeset.on(run.dag).add_node(hx.NodeSpec(name, first_line))
    proposal = run.propose(change, by="critic", reason="one more")
    time.sleep(PAUSE)
    began = time.time()
    proposal.vote("marie", "approve")
    while run.nodes[name].state != "SUCCEEDED":
        time.sleep(0.002)
    return float(run.result(name)) - began


def submitted(client: Client, name: str) -> float:
    """Seconds from `client.submit` to the first line."""
    time.sleep(PAUSE)
    began = time.time()
    return float(client.submit(first_line, key=f"first_line-{name}").result()) - began


@contextmanager
def busy() -> Iterator[None]:
    """A cell that computes."""
    done = threading.Event()

    def burn() -> None:
        while not done.is_set():
            sum(number * number for number in range(1000))

    cell = threading.Thread(target=burn)
    cell.start()
    try:
        yield
    finally:
        done.set()
        cell.join()


def with_a_lab(samples: int) -> dict[str, list[float]]:
    found: dict[str, list[float]] = {"ours": [], "raw": [], "ours busy": []}
    with (
        tempfile.TemporaryDirectory() as home,
        hx.Lab(store=f"sqlite:///{home}/lab.db", workers=WORKERS, threads=THREADS, policy=hx.Supermajority(1)) as lab,
    ):
        lab.add_agent(hx.Agent("critic", role="executor"))
        lab.add_agent(hx.HumanAgent("marie"))
        gate = Path(home) / "gate"
        run = lab.start(hx.Dag.of(hx.NodeSpec("waits", waits, params={"gate": str(gate)})))
        while run.nodes["waits"].state != "RUNNING":
            time.sleep(0.01)
        with Client(lab.doors._pool.address, set_as_default=False) as client:
            for number in range(-WARM, samples):
                pair = added(run, f"idle{number + WARM}"), submitted(client, f"idle{number}")
                if number >= 0:
                    found["ours"].append(pair[0])
                    found["raw"].append(pair[1])
        with busy():
            found["ours busy"] += [added(run, f"busy{number}") for number in range(samples)]
        gate.touch()
        run.wait(60)
    return found


def without(samples: int) -> list[float]:
    with (
        LocalCluster(n_workers=WORKERS, threads_per_worker=THREADS, dashboard_address=None) as local,
        Client(local, set_as_default=False) as client,
    ):
        for number in range(WARM):
            submitted(client, f"warm{number}")
        with busy():
            return [submitted(client, f"busy{number}") for number in range(samples)]


def measured(samples: int) -> dict[str, list[float]]:
    found: dict[str, list[float]] = {"ours": [], "raw": [], "ours busy": [], "raw busy": []}
    for _ in range(TURNS):
        for name, values in (with_a_lab(samples // TURNS) | {"raw busy": without(samples // TURNS)}).items():
            found[name] += values
    return found


def percentile(values: list[float], share: float) -> float:
    return sorted(values)[min(len(values) - 1, int(len(values) * share))]


def table(samples: int) -> str:
    before = os.getloadavg()[0]
    found = measured(samples)
    p50 = {name: statistics.median(values) for name, values in found.items()}
    p99 = {name: percentile(values, 0.99) for name, values in found.items()}
    lines = [
        f"{datetime.now(UTC):%Y-%m-%d}, {os.cpu_count()} cores, load {before:.1f} to {os.getloadavg()[0]:.1f}, "
        f"{samples} samples each.",
        "",
        "| what | p50 | p99 | target |",
        "| --- | --- | --- | --- |",
    ]
    for name, label in (
        ("raw", "idle: raw `client.submit` to the first line"),
        ("ours", "idle: deciding ballot to the new node's first line"),
        ("raw busy", "a cell computes: raw `client.submit`, scheduler in the notebook"),
        ("ours busy", "a cell computes: deciding ballot to the first line"),
    ):
        lines.append(f"| {label} | {p50[name] * 1e3:.1f} ms | {p99[name] * 1e3:.1f} ms | |")
    lines += [
        f"| idle, ours over raw | {p50['ours'] / p50['raw']:.2f}x | {p99['ours'] / p99['raw']:.2f}x | <= 2x / 3x |",
        f"| a cell computes, ours over raw | {p50['ours busy'] / p50['raw busy']:.2f}x "
        f"| {p99['ours busy'] / p99['raw busy']:.2f}x | p50 <= 0.5x |",
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    command("adding", __doc__ or "", table, 200, what="samples")
