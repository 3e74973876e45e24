"""How soon a run hears of what happens, and does what it is told: notes, new code, moves. One command makes the table.

    python -m tests.benchmarks.live [--write]

Everything on one cluster of two workers, with SQLite at full durability; raw Dask is measured in turns with ours on the
same scheduler. `--write` puts the table into docs/benchmarks.md.
"""

from __future__ import annotations

import os
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Generator
from itertools import pairwise
from pathlib import Path
from typing import Any

from distributed import Client, get_worker

import hexdag_lab as hx
from tests.benchmarks.page import publish

GAP = 0.05  #: seconds between two notes of an idle cluster
EACH = 40  #: notes in a turn
TURNS = 5
FLOOD, PACE = 100_000, 30_000  #: notes, and how many a second a node tells
TICKS = 30  #: nodes whose code is reloaded
ROUNDS = 20  #: of reloads and of moves


def p50(values: list[float]) -> float:
    return statistics.median(values)


def p95(values: list[float]) -> float:
    return sorted(values)[max(0, int(len(values) * 0.95) - 1)]


# -- notes


def raw_notes(topic: str, count: int, gap: float) -> int:
    """What a Dask task does that tells something: the time at which it did."""
    worker = get_worker()
    for _ in range(count):
        worker.log_event(topic, time.time())
        time.sleep(gap)
    return count


def notes(count: int, gap: float) -> int:
    ctx = hx.context()
    for number in range(count):
        ctx.log(str(number))
        time.sleep(gap)
    return count


def flood(count: int, pace: int, gate: str) -> float:
    """Tells notes at a pace, as evenly as sleeping allows; the pace that came of it."""
    while not os.path.exists(gate):  # noqa: PTH110
        time.sleep(0.01)
    ctx, began = hx.context(), time.perf_counter()
    for number in range(count):
        ctx.log(str(number))
        if number % 100 == 99:
            ahead = (number + 1) / pace - (time.perf_counter() - began)
            time.sleep(max(0.0, ahead))
    return count / (time.perf_counter() - began)


def latencies(lab: hx.Lab, client: Client) -> tuple[list[float], list[float]]:
    """Seconds from telling to hearing: raw Dask's, ours; in turns."""
    raw, ours = list[float](), list[float]()
    client.subscribe_topic("raw", lambda event: raw.append(time.time() - event[1]))
    for turn in range(TURNS):
        client.submit(raw_notes, "raw", EACH, GAP, key=f"raw-{turn}").result()
        run = lab.start(hx.Dag.of(hx.NodeSpec("notes", notes, params={"count": EACH, "gap": GAP})))
        run.observe(lambda n: ours.append(time.time() - n.at) if isinstance(n, hx.Note) else None, notes=True)
        run.wait(60)
    client.unsubscribe_topic("raw")
    return raw, ours


def sustained(lab: hx.Lab, gate: Path) -> tuple[float, int]:
    """Notes a second that reach an observer while a node tells more than that, and how many were lost or out of
    order."""
    heard, done = list[int](), threading.Event()
    left_out = [0]

    def hear(note: Any) -> None:
        if isinstance(note, hx.Note):
            heard.append(int(note.text))
            left_out[0] += note.left_out
            if len(heard) == 1:
                began.append(time.perf_counter())
        elif note.kind == "RunFinished":
            ended.append(time.perf_counter())
            done.set()

    began, ended = list[float](), list[float]()
    run = lab.start(hx.Dag.of(hx.NodeSpec("flood", flood, params={"count": FLOOD, "pace": PACE, "gate": str(gate)})))
    run.observe(hear, notes=True)
    gate.touch()
    run.wait(120)
    done.wait(60)
    wrong = sum(after != before + 1 for before, after in pairwise(heard))
    return len(heard) / (ended[0] - began[0]), left_out[0] + FLOOD - len(heard) + wrong


# -- new code


def tick(home: str, number: int = 0) -> int:
    time.sleep(0.01)
    return number


def tick_anew(home: str, number: int = 0) -> int:
    mark = f"{home}/{os.getpid()}"
    if not os.path.exists(mark):  # noqa: PTH110
        Path(mark).write_text(repr(time.time()))
    time.sleep(0.01)
    return number


tick_anew.__name__, tick_anew.__qualname__ = tick.__name__, tick.__qualname__


def reload_seconds(lab: hx.Lab, home: Path) -> float:
    """From `run.reload` until the last worker has begun a node with the new code; both are busy with such nodes."""
    base = hx.node(tick)
    names = [f"tick_{n}" for n in range(TICKS)]
    run = lab.start(hx.Dag.of(*(base.as_node(n, number=i, home=str(home)) for i, n in enumerate(names))))
    while sum(node.state == "SUCCEEDED" for node in run.nodes.values()) < 4:
        time.sleep(0.002)
    began = time.time()
    assert run.reload(tick_anew).state == "APPLIED"
    run.wait(60)
    marks = [float(mark.read_text()) for mark in home.iterdir()]
    assert len(marks) == 2, "both workers have run new code"
    return max(marks) - began


# -- moves


def walk(home: str, steps: int = 60) -> Generator[int, None, None]:
    """Steps of 10 ms, each with a safe point."""
    for step in range((hx.context().restored or 0) + 1, steps + 1):
        time.sleep(0.01)
        with open(f"{home}/steps", "a") as file:  # noqa: PTH123
            file.write(f"{os.getpid()} {time.time()}\n")
        yield step


def steps_after_move(lab: hx.Lab, home: Path) -> float:
    """How many steps a node begins where it is, after it was told to move."""
    run = lab.start(hx.Dag.of(hx.NodeSpec("walk", walk, params={"home": str(home)})))
    path = home / "steps"
    while not path.exists() or len(path.read_text().splitlines()) < 10:
        time.sleep(0.005)
    to = next(row["id"] for row in lab.workers() if row["id"] != run.nodes["walk"].worker)
    began = time.time()
    assert run.migrate("walk", to=to).state == "APPLIED"
    run.wait(60)
    done = [line.split() for line in path.read_text().splitlines()]
    assert len(done) == 60, "no step is lost or done twice"
    return float(sum(pid == done[0][0] and float(at) > began for pid, at in done))


def rounds(measure: Callable[[hx.Lab, Path], float], lab: hx.Lab, home: Path, name: str) -> list[float]:
    found = []
    for number in range(ROUNDS):
        place = home / f"{name}-{number}"
        place.mkdir()
        found.append(measure(lab, place))
    return found


def table(home: Path) -> list[str]:
    with hx.Lab(store=f"sqlite:///{home / 'lab.db'}", workers=2) as lab:
        lab.start(hx.Dag.of(hx.NodeSpec("warm", notes, params={"count": 2, "gap": 0.0}))).wait(60)
        with Client(lab.doors._pool.address, set_as_default=False) as client:
            raw, ours = latencies(lab, client)
        rate, wrong = sustained(lab, home / "gate")
        reloads = rounds(reload_seconds, lab, home, "reload")
        moves = rounds(steps_after_move, lab, home, "move")
    load = os.getloadavg()[0]
    ratio = p50(ours) / p50(raw)
    return [
        f"{time.strftime('%Y-%m-%d')}, {os.cpu_count()} cores, load {load:.1f}, CPython {sys.version.split()[0]}.",
        "",
        "| what | figure | target |",
        "| --- | --- | --- |",
        f"| raw Dask: `log_event` to a subscriber, idle, p50 / p95 | {p50(raw) * 1e3:.1f} / {p95(raw) * 1e3:.1f} ms "
        "| |",
        f"| `ctx.log` to an observer, idle, p50 / p95 | {p50(ours) * 1e3:.1f} / {p95(ours) * 1e3:.1f} ms: "
        f"{ratio:.2f}x | <= 3x |",
        f"| the same, sustained, of {FLOOD:,} notes of one node | {rate:,.0f} a second, {wrong} lost or out of order "
        "| >= 20,000, none |",
        f"| new code on every worker, p50 / p95 of {ROUNDS} | {p50(reloads) * 1e3:.0f} / {p95(reloads) * 1e3:.0f} ms "
        "| p95 <= 100 ms |",
        f"| steps of 10 ms that a node does after it is told to move, p50 / p95 of {ROUNDS} | {p50(moves):.0f} / "
        f"{p95(moves):.0f} | p95 <= 5 |",
    ]


def main() -> None:
    with tempfile.TemporaryDirectory() as home:
        lines = "\n".join(table(Path(home)))
    print(lines)
    if "--write" in sys.argv[1:]:
        publish("live", lines)


if __name__ == "__main__":
    main()
