"""The table of faults under a run: is anything lost or doubled when the leader or the store's server is killed?

python -m tests.benchmarks.failover [kind ...]

A service leads a run of 24 nodes in 4 layers from a process of its own, while a client proposes one more node after the
other; two standbys wait. "Killed" and "frozen": kill -9 and SIGSTOP of whoever leads, twice in a run; the seconds are
from then to the first thing that the next leader journals, the lease being 2 s. On one host a standby sees at once that
a process is gone; frozen is what it looks like from another host. "Server killed" is kill -9 of the store's server (of
etcd's leader), twice, started again at once on what it left. "Acknowledged" are changes whose proposer was told that
they are applied; lost are those of them that the run does not have.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections import Counter
from contextlib import ExitStack, chdir
from pathlib import Path
from typing import Any

import pytest

from tests.runtime.failover import LAYERS, WIDTH, Found, Restartable, drill, server_of

KINDS = ("sqlite", "redis", "valkey", "etcd", "consul")
FAULTS = ("killed", "frozen", "server killed")
COLUMNS = (
    "leader killed: taken over after", "leader frozen: taken over after", "server killed: goes on after",
    "results / doubled", "changes acknowledged / lost", "findings of the audit",
)  # fmt: skip


def drills(name: str, url: str, server: Any, folder: Path) -> dict[str, Found]:
    """What each fault has shown."""
    found = {}
    for fault in FAULTS:
        if fault == "server killed" and server is None:
            continue
        aside = folder / fault.replace(" ", "-")
        aside.mkdir()
        store = f"{url}?lab={aside.name}" if server is not None else f"sqlite:///{aside}/.hexdag/lab.db"
        victim = Restartable(server) if fault == "server killed" else None
        print(f"{name}: {fault} …", file=sys.stderr, flush=True)
        with chdir(aside):
            found[fault] = drill(aside, store, fault, times=2, server=victim)
    return found


def row(found: dict[str, Found]) -> dict[str, str]:
    """The cells of one kind."""
    after = {fault: " and ".join(f"{seconds:.1f} s" for seconds in one.seconds) for fault, one in found.items()}
    total = Counter[str]()
    for one in found.values():
        total.update(results=one.results, doubled=one.doubled, edits=one.edits, lost=one.lost)
        total["findings"] += len(one.findings)
    cells = (
        after["killed"], after["frozen"], after.get("server killed", ""),
        f"{total['results']} of {len(found) * LAYERS * WIDTH} / {total['doubled']}",
        f"{total['edits']} / {total['lost']}", str(total["findings"]),
    )  # fmt: skip
    return dict(zip(COLUMNS, cells, strict=True))


def main(names: list[str]) -> dict[str, dict[str, str]]:
    table: dict[str, dict[str, str]] = {}
    for name in names or KINDS:
        with tempfile.TemporaryDirectory() as temporary, ExitStack() as stack:
            folder = Path(os.path.realpath(temporary))
            try:
                url, server = stack.enter_context(server_of(name, folder))
            except pytest.skip.Exception as reason:
                print(f"{name} is not measured: {reason}")
                continue
            table[name] = row(drills(name, url, server, folder))
    print(f"| | {' | '.join(table)} |\n|{' --- |' * (len(table) + 1)}")
    for column in COLUMNS:
        print(f"| {column} | {' | '.join(cells[column] for cells in table.values())} |")
    return table


if __name__ == "__main__":
    main(sys.argv[1:])
